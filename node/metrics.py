"""What the operator of a node sees: counts, sizes, ages and times, labelled by error code and by nothing else.

Each figure is looked at when somebody asks.  No name of a person, desk or member, no identifier and no text becomes one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from keys.last_backup import last
from node import search
from node.config import Home
from node.engine import Engine
from node.problems import known_codes
from node.store import Transaction
from node.tables import finding, inbox, state, urgent, webhooks
from node.uplink import Uplink
from node.vitals import session
from protocol.errors import StandingError, ValijaError
from protocol.trust.standing import CertificateRecord

_NAME: Final = "valija_node_"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its name, what it says, and its value, or one for each code."""

    name: str
    about: str
    value: float = 0
    by_code: Mapping[str, int] | None = None
    only_grows: bool = field(default=False)


def measured(home: Home, engine: Engine, uplink: Uplink, tx: Transaction, now: int, tls_end: int) -> list[Figure]:
    """The figures of a running node at `now`, in Unix seconds; to be read on the store's thread.

    `tls_end` is when the first TLS certificate that it shows ends.
    """
    rooms: tuple[Iterator[Figure], ...] = (
        _line(engine, uplink),
        _papers(engine, now, tls_end),
        _prekeys(engine),
        _messages(tx, now),
        _webhooks(tx),
        _nudges(tx, now),
        _files(home),
    )
    return [figure for room in rooms for figure in room]


def render(figures: list[Figure]) -> bytes:
    """The same in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Page(figures))
    return generate_latest(registry)


class _Page:
    def __init__(self, figures: list[Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Any]:
        return map(_family, self._figures)


def _family(figure: Figure) -> Any:
    make: Callable[..., Any] = CounterMetricFamily if figure.only_grows else GaugeMetricFamily
    if figure.by_code is None:
        return make(_NAME + figure.name, figure.about, value=figure.value)
    family = make(_NAME + figure.name, figure.about, labels=["code"])
    shown: Counter[str] = Counter()
    for code, count in figure.by_code.items():
        # A code that nobody knows is shown as `internal`: what is shown is never another's text.
        shown[code if code in known_codes() else ValijaError.code] += count
    for code, count in shown.items():
        family.add_metric([code], count)
    return family


# -- rooms ---------------------------------------------------------------------------------------------
def _line(engine: Engine, uplink: Uplink) -> Iterator[Figure]:
    yield Figure("session", "1 while a session with the hub is open", session(uplink) == "open")
    yield Figure("line_failures", "Failed attempts since the last session", uplink.state.failures)
    ahead = engine.hub_ahead_seconds
    about = "How far the hub's clock was ahead when the last session opened; NaN before the first"
    yield Figure("hub_clock_ahead_seconds", about, math.nan if ahead is None else ahead)


def _papers(engine: Engine, now: int, tls_end: int) -> Iterator[Figure]:
    mirror, registry, mine = engine.mirror, engine.mirror.registry, engine.certificate
    charter_end = registry.charter.expires_at if registry.size else 0
    stop = registry.charter.limits.freshness_stop_seconds if registry.size else 0
    yield Figure("registry_size", "Entries of the registry log held here", registry.size)
    yield Figure("registry_age_seconds", "Age of the newest checkpoint held here", mirror.age(now))
    yield Figure("registry_stop_seconds", "The age from which nothing is sent", stop)
    yield Figure("charter_end_seconds", "When the charter ends, in Unix seconds; 0: none is known", charter_end)
    end = mine.not_after if mine else 0
    yield Figure("certificate_end_seconds", "When the certificate ends, in Unix seconds; 0: none", end)
    about = "When the first TLS certificate that is shown ends, in Unix seconds; 0: none is"
    yield Figure("tls_end_seconds", about, tls_end)
    yield Figure("certificate_in_standing", "1 while the certificate is in standing", _stands(engine, mine, now))


def _stands(engine: Engine, mine: CertificateRecord | None, now: int) -> bool:
    if mine is None:
        return False
    try:
        engine.mirror.registry.certificate_standing(mine.id, now)
    except StandingError:
        return False
    return True


def _prekeys(engine: Engine) -> Iterator[Figure]:
    runway = engine.runway()
    yield Figure("prekeys_held", "Prekeys held", runway.held)
    yield Figure("prekey_days", "Days after today for which there are prekeys", runway.days_ahead)
    yield Figure("prekeys_overdue", "Prekeys that should be destroyed already", len(runway.overdue))


def _messages(tx: Transaction, now: int) -> Iterator[Figure]:
    counts = finding.counts(tx)
    yield Figure("sent", "Messages ever accepted here", counts["sent"], only_grows=True)
    yield Figure("received", "Messages ever received", counts["received"], only_grows=True)
    yield Figure("outbox_under_way", "Deliveries that nobody signed for yet", counts["under_way"])
    yield Figure("outbox_held", "Deliveries under way that may not go now", counts["held"])
    yield Figure("outbox_waiting", "Deliveries that cannot be sealed yet", counts["waiting"])
    oldest = finding.oldest_sent(tx)
    age = 0 if oldest is None else max(0, now - oldest)
    yield Figure("outbox_oldest_age_seconds", "Age of the oldest delivery that nobody signed for", age)
    yield Figure("held", "Received envelopes that wait, by reason", by_code=inbox.held_codes(tx))
    yield Figure("quarantined", "Received envelopes that were refused and kept", counts["quarantined"])
    yield Figure("forks", "Checkpoints of others that contradict the mirror", counts["forks"])
    yield Figure("search_behind", "Messages that search does not find yet", search.behind(tx))


def _webhooks(tx: Transaction) -> Iterator[Figure]:
    hooks = webhooks.all_of(tx)
    enabled = [each for each in hooks if each.disabled_at is None]
    failing = sum(each.failing_since is not None for each in enabled)
    yield Figure("webhooks_failing", "Webhooks whose last notice was not taken", failing)
    given_up = sum(each.disabled_at is not None and each.disabled_why != webhooks.BY_HAND for each in hooks)
    yield Figure("webhooks_disabled", "Webhooks that this node gave up; those disabled by hand do not count", given_up)
    waiting = sum(webhooks.waiting(tx, each.id) for each in enabled)
    yield Figure("webhook_notices_waiting", "Notices that no case system took yet", waiting)


def _nudges(tx: Transaction, now: int) -> Iterator[Figure]:
    waiting, known = urgent.waiting(tx, ""), urgent.nudging(tx)
    yield Figure(
        "urgent_unopened", "Urgent messages that nobody at their desk has opened", sum(w.count for w in waiting)
    )
    told = min((each.told_at for each in waiting if each.told_at is not None), default=None)
    about = "How long ago duty was first called for the oldest urgent message that is still unopened; 0: none"
    yield Figure("nudge_unanswered_seconds", about, 0 if told is None else max(0, now - told))
    about = "Addresses of those on duty whose last call did not go through"
    yield Figure("nudges_failing", about, sum(each.failing_since is not None for each in known))
    sent, failed = (int(state.get(tx, name) or 0) for name in (state.NUDGES_SENT, state.NUDGES_FAILED))
    yield Figure("nudges_sent", "Calls that went through", sent, only_grows=True)
    yield Figure("nudges_failed", "Calls that did not go through", failed, only_grows=True)


def _files(home: Home) -> Iterator[Figure]:
    files = (home.archive, home.archive.with_name(f"{home.archive.name}-wal"))
    size = sum(each.stat().st_size for each in files if each.exists())
    yield Figure("archive_bytes", "Size of the archive with its log", size)
    known = last(home.folder)
    yield Figure(
        "last_backup_seconds", "When the newest backup was made, in Unix seconds; 0: never", known.at if known else 0
    )
