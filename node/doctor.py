"""What may be wrong with a node: problem, effect and remedy, a row each.

First the home itself is looked at, then what the running daemon tells of itself.  Nothing is changed.  A *problem*
needs somebody now, a *warning* soon.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from keys.last_backup import overdue
from keys.migrating import taken
from node import archive, archive_check
from node import config as settings
from node.client import NodeClient
from node.config import Home, NodeConfig
from node.founding import open_custody
from node.schema import steps
from protocol.errors import NewerHomeError, NotRunningError, StoreError, ValijaError
from protocol.limits import CLOCK_TELL_SECONDS, MIB

_FEW_BYTES: Final = 2048 * MIB
_NO_BYTES: Final = 256 * MIB
_CERTIFICATE_DAYS: Final = 30
_CHARTER_DAYS: Final = 90
_PREKEY_DAYS: Final = 3
_SECONDS: Final = 5.0

Vitals: TypeAlias = Mapping[str, Any]


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at: what was found, under which error code, what follows and what to do."""

    name: str
    level: Level
    found: str
    code: str = ""
    effect: str = ""
    remedy: str = ""

    def value(self) -> dict[str, str]:
        """What a program reads."""
        return {name: str(value) for name, value in asdict(self).items()}


def is_healthy(rows: list[Row]) -> bool:
    """Whether nothing needs somebody now."""
    return not any(row.level is Level.PROBLEM for row in rows)


def examine(home: Home, environment: Mapping[str, str], *, deep: bool = False) -> list[Row]:
    """Everything that can be found out; `HomeMissingError` if there is no home, `ConfigError` if it cannot be read.

    `deep`: a large archive is read through too, however long it takes.
    """
    config = settings.load(home, environment)
    rows = [_ok("home", f"{home.folder}, the node of {config.member.name}"), _disk(home)]
    rows += [*_keys(home, config, environment, deep=deep), _backup(home)]
    try:
        vitals = NodeClient(home.socket, _SECONDS).get("status")
    except NotRunningError as error:
        effect = "nothing is sent or received, and no command works"
        return [*rows, _problem("daemon", error, effect, f"valija-node serve --home {home.folder}")]
    except ValijaError as error:
        return [*rows, _problem("daemon", error, "the daemon answers, but not what it should", "look at its log")]
    return [*rows, _ok("daemon", f"process {vitals['pid']}, since {vitals['started_at']}"), *judge(vitals)]


def judge(vitals: Vitals) -> list[Row]:
    """What the state of a running node means."""
    return [row for look in _LOOKS for row in look(vitals)]


# -- the home ------------------------------------------------------------------------------------------
def _disk(home: Home) -> Row:
    free = shutil.disk_usage(home.folder).free
    found = f"{free // MIB} MiB free"
    if free >= _FEW_BYTES:
        return _ok("disk", found)
    level = Level.WARNING if free >= _NO_BYTES else Level.PROBLEM
    return Row("disk", level, found, "store", "the daemon ends when it cannot write", "make room, or enlarge the disk")


def _keys(home: Home, config: NodeConfig, environment: Mapping[str, str], *, deep: bool) -> list[Row]:
    try:
        custody = open_custody(home, config, environment)
    except ValijaError as error:
        return [_problem("keys", error, "the daemon cannot start", "put back the secret file, or name it in [keys]")]
    return [_ok("keys", "the secret opens them"), _archive(home, custody.archive_key, deep=deep)]


def _archive(home: Home, key: bytes, *, deep: bool) -> Row:
    known, fault = len(archive.schema(key).names), None
    try:
        with archive.opened(home.archive, key) as connection:
            version = taken(connection, steps)[1]
            is_read = deep or archive_check.is_shallow(home.archive)
            if is_read:
                fault = archive_check.damage(connection)
    except ValijaError as error:
        return _problem("archive", error, "the daemon cannot start", "valija-node restore the newest backup")
    if version > known:
        newer = NewerHomeError(f"version {version}, this program knows up to {known}")
        return _problem("archive", newer, "the daemon cannot start", "install the newer program again")
    if fault is not None:
        effect = "what stands there cannot be read, and the daemon ends when it comes to it"
        remedy = (
            "check this machine's disk, then valija-node restore the newest backup: peers send again what is missing"
        )
        return _problem("archive", StoreError(fault), effect, remedy)
    later = f", brought to {known} at the next start" if version < known else ""
    return _ok("archive", f"version {version}{later}, " + ("intact" if is_read else "not read through; say --deep"))


def _backup(home: Home) -> Row:
    found, is_overdue = overdue(home.folder, int(time.time()))
    if not is_overdue:
        return _ok("backup", found)
    effect = "if this disk dies, what was received is sent again, and what was sent since then is lost"
    return Row("backup", Level.WARNING, found, "", effect, "valija-node backup FILE, to another machine, every day")


# -- what the daemon tells -----------------------------------------------------------------------------
_HUB_REMEDIES: Final = {
    "hub_gone": "check this machine's network and [hub] url; ask the hub's operator",
    "proxy_refused": "check [hub] proxy: its address, its user and that it allows CONNECT to the hub",
    "tls_inspected": "ask for access without inspection, or name the inspector's authority in [hub] ca_file",
    "wrong_hub": "check [hub] url; if it is right, tell the stewards at once",
    "clock_skew": "correct the clock of this machine",
    "not_in_standing": "have this node's public key certified, and the certificate published",
    "unknown_member": "ask the stewards whether this member is admitted, under this very name",
    "fenced": "look for a second node of this member; if there is none, tell the stewards",
    "bad_log": "tell the stewards at once",
    "stale": "the hub shows an older state than before: ask its operator what was restored",
}


def _hub(vitals: Vitals) -> Iterator[Row]:
    hub = vitals["hub"]
    if hub["phase"] == "connected":
        yield _ok("hub", f"connected to {hub['url']} since {hub['since']}")
    elif hub["error"] is None:
        yield Row("hub", Level.WARNING, f"connecting to {hub['url']}", "", "messages wait", "wait a minute")
    else:
        code = hub["error"]["code"]
        remedy = _HUB_REMEDIES.get(code, "look at the daemon's log")
        found = f"{hub['url']}: {hub['error']['message']}"
        yield Row("hub", Level.PROBLEM, found, code, "messages are kept here and go when the hub is reached", remedy)
    ahead = hub["clock_ahead_seconds"]
    if ahead is not None and abs(ahead) > CLOCK_TELL_SECONDS:
        found = f"the hub's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        yield Row("clock", Level.WARNING, found, "clock_skew", "over an hour nothing is sent", "correct the clock")


def _standing(vitals: Vitals) -> Iterator[Row]:
    certificate = vitals["certificate"]
    if certificate is None:
        remedy = "valija-keys certify node with the file node-key.txt, then publish the certificate"
        yield Row("certificate", Level.PROBLEM, "this node has none", "not_in_standing", "it cannot send", remedy)
    elif not certificate["in_standing"]:
        remedy = "have the key certified anew, and ask the stewards if it was revoked"
        yield Row("certificate", Level.PROBLEM, "it is not in standing", "not_in_standing", "nothing is sent", remedy)
    elif certificate["days_left"] < _CERTIFICATE_DAYS:
        found = f"it ends in {certificate['days_left']} days"
        yield Row("certificate", Level.WARNING, found, "", "then nothing is sent", "have the key certified anew")
    else:
        yield _ok("certificate", f"valid until {certificate['valid_until']}")


def _registry(vitals: Vitals) -> Iterator[Row]:
    association, registry = vitals["association"], vitals["registry"]
    if association is None:
        yield Row("registry", Level.PROBLEM, "empty", "", "nobody can be written to", "wait until the hub is reached")
        return
    if association["charter_days_left"] < _CHARTER_DAYS:
        level = Level.PROBLEM if association["charter_days_left"] < 0 else Level.WARNING
        found = f"the charter ends or ended at {association['charter_expires_at']}"
        effect = "then nothing can be changed, and 90 days later nothing is sent"
        yield Row("charter", level, found, "charter_expired", effect, "ask the stewards for the next charter")
    if not association["is_witnessed"]:
        effect = "the hub's word alone says how new the registry is"
        remedy = "the stewards may name witnesses in the next charter"
        yield Row("witnesses", Level.WARNING, "unwitnessed: the charter names none", "unwitnessed", effect, remedy)
    age, alarm, stop = (registry[f"{name}_seconds"] for name in ("age", "alarm_after", "stop_after"))
    if age is None or age > alarm:
        level = Level.PROBLEM if age is None or age > stop else Level.WARNING
        effect = f"at {stop // 3600} hours nothing is sent any more"
        yield Row("registry", level, f"{(age or 0) // 3600} hours old", "stale_view", effect, "check the hub's line")
    else:
        yield _ok("registry", f"{registry['size']} entries, {age} s old")


def _prekeys(vitals: Vitals) -> Iterator[Row]:
    prekeys = vitals["prekeys"]
    found = f"{prekeys['held']} held, for {prekeys['days_ahead']} days ahead"
    if prekeys["days_ahead"] < _PREKEY_DAYS:
        remedy = "they are made by themselves once the hub is reached; check the disk"
        yield Row("prekeys", Level.WARNING, found, "no_prekey", "then nobody can seal to this node", remedy)
    elif prekeys["overdue"]:
        effect = "messages of those days stay readable to a thief of this machine"
        remedy = "correct the clock; they are destroyed when hub and machine agree on the time"
        yield Row("prekeys", Level.WARNING, f"{prekeys['overdue']} should be gone", "", effect, remedy)
    else:
        yield _ok("prekeys", found)


def _messages(vitals: Vitals) -> Iterator[Row]:
    counts = vitals["messages"]
    found = f"{counts['sent']} sent, {counts['received']} received, {counts['under_way']} under way"
    yield _ok("messages", found)
    waiting = counts["waiting"] + counts["held"]
    if waiting:
        effect = "they go by themselves as soon as they can"
        yield Row("held", Level.WARNING, f"{waiting} deliveries wait", "held", effect, "valija-node outbox says why")
    for code, count in counts["held_for"].items():
        level = Level.PROBLEM if code == "forked_view" else Level.WARNING
        effect = "they are shown as soon as they can be judged"
        yield Row(
            "set aside", level, f"{count} received envelopes wait", code, effect, "if it stays so, ask the stewards"
        )
    if counts["quarantined"]:
        effect = "their senders were told; nothing of them is shown"
        found = f"{counts['quarantined']} received envelopes were refused"
        yield Row("quarantine", Level.WARNING, found, "unverifiable", effect, "ask the senders' operators")
    if counts["forks"]:
        effect = "somebody is shown another registry than others"
        found = f"{counts['forks']} checkpoints contradict this mirror"
        yield Row("fork", Level.PROBLEM, found, "forked_view", effect, "tell the stewards at once")


def _nudges(vitals: Vitals) -> Iterator[Row]:
    nudges = vitals["nudges"]
    for desk in nudges["unknown_desks"]:
        found, remedy = f"[nudges.desks.{desk}] is about no desk", "correct the name, or valija-node desk add"
        yield Row("nudges", Level.WARNING, found, "unknown_desk", "nobody is called by these settings", remedy)
    for desk in nudges["desks"]:
        yield _unopened(desk)
    if not nudges["desks"]:
        yield _ok("nudges", "nothing urgent is unopened" + ("" if nudges["calls"] else "; nobody would be called"))


def _unopened(desk: Vitals) -> Row:
    found = f"{desk['count']} urgent unopened at {desk['desk']} since {desk['since']}"
    if not desk["calls"]:
        remedy = "set [nudges] duty in node.toml"
        return Row("nudges", Level.WARNING, found, "", "nobody is called", remedy)
    if desk["failing_since"] is not None:
        found += f"; calls fail since {desk['failing_since']}: {desk['outcome']}"
        remedy = "check [mail] and [nudges] in node.toml, and whoever takes the call; tell the desk by telephone"
        return Row("nudges", Level.PROBLEM, found, "", "whoever is on duty does not hear of it", remedy)
    if desk["escalated"]:
        found += f"; duty was called {desk['called']} times, then escalation"
        return Row("nudges", Level.PROBLEM, found, "", "another service waits", "tell the desk by telephone")
    called = f"; duty was called {desk['called']} times" if desk["called"] else "; duty is called in time"
    return Row("nudges", Level.OK, found + called)


_LOOKS: Final[tuple[Callable[[Vitals], Iterator[Row]], ...]] = (
    _hub,
    _standing,
    _registry,
    _prekeys,
    _messages,
    _nudges,
)


def _ok(name: str, found: str) -> Row:
    return Row(name, Level.OK, found)


def _problem(name: str, error: ValijaError, effect: str, remedy: str) -> Row:
    return Row(name, Level.PROBLEM, str(error), error.code, effect, remedy)
