"""How this node is, in one value: what `status` shows and `doctor` judges.  No content, no subject, no key."""

from __future__ import annotations

import math
import os

from keys.kinds import hex_groups
from keys.program import program_version
from node.api_requests import show_time
from node.api_views import View
from node.engine import Engine
from node.recovery import put_off_until
from node.schema import steps
from node.store import Transaction
from node.tables import finding, inbox, state
from node.uplink import LineState, Phase, Uplink
from protocol.errors import StandingError
from protocol.names import show_id

_ALARMS = 20


def vitals(engine: Engine, uplink: Uplink, url: str, started_at: int, tx: Transaction, now: int) -> View:
    """The state of a running node at `now`, in Unix seconds; to be built on the store's thread."""
    return {
        "member": engine.me.member,
        "version": program_version(),
        "schema": len(tx.all("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (steps.name,))),
        "pid": os.getpid(),
        "now": show_time(now),
        "started_at": show_time(started_at),
        "session": session(uplink),
        "association": _association(engine, now),
        "hub": {"url": url, **_line(uplink.state), "clock_ahead_seconds": engine.hub_ahead_seconds},
        "registry": _registry(engine, now),
        "certificate": _certificate(engine, now),
        "incarnation": _incarnation(tx),
        "incarnation_put_off_until": None if (until := put_off_until(tx, now)) is None else show_time(until),
        "prekeys": _prekeys(engine),
        "messages": finding.counts(tx) | {"held_for": inbox.held_codes(tx)},
        "alarms": [_alarm(each) for each in state.alarms(tx)[-_ALARMS:]],
    }


def brief(engine: Engine, uplink: Uplink) -> View:
    """What a desk is told: whose node this is, and whether it is connected."""
    told = _line(uplink.state)
    hub = {"phase": told["phase"], "since": told["since"]}
    return {"member": engine.me.member, "version": program_version(), "session": session(uplink), "hub": hub}


def session(uplink: Uplink) -> str:
    """Whether a session with the hub is open: `open` or `closed`."""
    return "open" if uplink.state.phase is Phase.CONNECTED else "closed"


def _line(told: LineState) -> View:
    error = None if told.error is None else {"code": told.error.code, "message": str(told.error)}
    return {"phase": told.phase, "since": show_time(told.since), "failures": told.failures, "error": error}


def _association(engine: Engine, now: int) -> View | None:
    registry = engine.mirror.registry
    if not registry.size:
        return None
    charter = registry.charter
    return {
        "name": charter.name,
        "id": hex_groups(registry.association),
        "charter_version": charter.version,
        "charter_fingerprint": hex_groups(registry.charter_id),
        "charter_expires_at": show_time(charter.expires_at),
        "charter_days_left": (charter.expires_at - now) // 86_400,
        "is_witnessed": bool(charter.witnesses.keys),
    }


def _registry(engine: Engine, now: int) -> View:
    mirror, registry = engine.mirror, engine.mirror.registry
    age = mirror.age(now)
    limits = registry.charter.limits if registry.size else None
    return {
        "size": registry.size,
        "root": registry.root.hex(),
        "age_seconds": int(age) if math.isfinite(age) else None,
        "alarm_after_seconds": limits.freshness_alarm_seconds if limits else None,
        "stop_after_seconds": limits.freshness_stop_seconds if limits else None,
    }


def _certificate(engine: Engine, now: int) -> View | None:
    mine = engine.certificate
    if mine is None:
        return None
    try:
        engine.mirror.registry.certificate_standing(mine.id, now)
        standing = True
    except StandingError:
        standing = False
    return {
        "id": show_id("stm", mine.id),
        "valid_until": show_time(mine.not_after),
        "days_left": (mine.not_after - now) // 86_400,
        "in_standing": standing,
    }


def _incarnation(tx: Transaction) -> list[int] | None:
    current = state.incarnation(tx)
    return None if current is None else [*current.value()]


def _prekeys(engine: Engine) -> View:
    runway = engine.runway()
    return {"held": runway.held, "days_ahead": runway.days_ahead, "overdue": len(runway.overdue)}


def _alarm(alarm: state.Alarm) -> View:
    return {"at": show_time(alarm.at), "code": alarm.code, "detail": alarm.detail}
