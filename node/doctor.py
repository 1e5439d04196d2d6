"""What may be wrong with a node: problem, effect and remedy, a row each.

First the home itself is looked at, then what the running daemon tells of itself.  Nothing is changed.  A *problem*
needs somebody now, a *warning* soon.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias

from keys.last_backup import last, overdue
from keys.migrating import taken
from keys.prekeys import damaged_files
from keys.times import show_time
from node import archive, archive_check
from node import config as settings
from node.client import NodeClient
from node.config import Home, NodeConfig
from node.founding import open_custody, read_anchor
from node.people.heads import Check
from node.problems import error_of
from node.schema import steps
from node.speaking import N_, Told, told, told_error
from node.sql import SqlTransaction
from protocol.errors import DamagedError, KeyDamagedError, NewerHomeError, NotRunningError, StoreError, ValijaError
from protocol.limits import CLOCK_TELL_SECONDS, DAY_SECONDS, MIB

_FEW_BYTES: Final = 2048 * MIB
_NO_BYTES: Final = 256 * MIB
_CERTIFICATE_DAYS: Final = 30
_CHARTER_DAYS: Final = 90
_PREKEY_DAYS: Final = 3
_SECONDS: Final = 5.0
_ALARM_LIFE: Final = timedelta(days=7)

_NAMES: Final = {
    "home": N_("home"),
    "disk": N_("disk"),
    "keys": N_("keys"),
    "archive": N_("archive"),
    "journal": N_("journal"),
    "backup": N_("backup"),
    "daemon": N_("daemon"),
    "hub": N_("hub"),
    "clock": N_("clock"),
    "certificate": N_("certificate"),
    "registry": N_("registry"),
    "charter": N_("charter"),
    "witnesses": N_("witnesses"),
    "prekeys": N_("prekeys"),
    "messages": N_("messages"),
    "held": N_("held"),
    "set aside": N_("set aside"),
    "quarantine": N_("quarantine"),
    "fork": N_("fork"),
    "nudges": N_("nudges"),
    "webhooks": N_("webhooks"),
    "alarms": N_("alarms"),
}
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

    @property
    def title(self) -> Told:
        """What was looked at, for a person."""
        return told(_NAMES[self.name])

    def value(self) -> dict[str, str]:
        """What a program reads."""
        return {name: str(getattr(self, name)) for name in ("name", "level", "found", "code", "effect", "remedy")}


def is_healthy(rows: list[Row]) -> bool:
    """Whether nothing needs somebody now."""
    return not any(row.level is Level.PROBLEM for row in rows)


def examine(home: Home, environment: Mapping[str, str], *, deep: bool = False) -> list[Row]:
    """Everything that can be found out; `HomeMissingError` if there is no home, `ConfigError` if it cannot be read.

    `deep`: a large archive is read through too, however long it takes.
    """
    config = settings.load(home, environment)
    rows = [
        _ok("home", told("%(home)s, the node of %(member)s", home=home.folder, member=config.member.name)),
        _disk(home),
    ]
    rows += [*_keys(home, config, environment, deep=deep), *_charter(home), _backup(home)]
    try:
        vitals = NodeClient(home.socket, _SECONDS).get("status")
    except NotRunningError as error:
        effect = told("nothing is sent or received, and no command works")
        return [*rows, _problem("daemon", error, effect, f"valija-node serve --home {home.folder}")]
    except ValijaError as error:
        effect = told("the daemon answers, but not what it should")
        return [*rows, _problem("daemon", error, effect, told("look at its log"))]
    return [
        *rows,
        _ok("daemon", told("process %(pid)s, since %(when)s", pid=vitals["pid"], when=vitals["started_at"])),
        *judge(vitals),
    ]


def glance(home: Home, vitals: Vitals) -> list[Row]:
    """What a running node can be asked at any time: its disk, its newest backup, and what it tells of itself."""
    return [_disk(home), _backup(home), *judge(vitals)]


def judge(vitals: Vitals) -> list[Row]:
    """What the state of a running node means."""
    return [row for look in _LOOKS for row in look(vitals)]


# -- the home ------------------------------------------------------------------------------------------
def _disk(home: Home) -> Row:
    free = shutil.disk_usage(home.folder).free
    found = told("%(free)d MiB free", free=free // MIB)
    if free >= _FEW_BYTES:
        return _ok("disk", found)
    level = Level.WARNING if free >= _NO_BYTES else Level.PROBLEM
    effect, remedy = told("the daemon ends when it cannot write"), told("make room, or enlarge the disk")
    return Row("disk", level, found, "store", effect, remedy)


def _keys(home: Home, config: NodeConfig, environment: Mapping[str, str], *, deep: bool) -> list[Row]:
    try:
        custody = open_custody(home, config, environment)
    except ValijaError as error:
        remedy = told("put back the secret file, or name it in [keys]")
        return [_problem("keys", error, told("the daemon cannot start"), remedy)]
    archived = _archive(home, custody.archive_key, deep=deep)
    journal = _journal(home, custody.archive_key) if archived.level is Level.OK else []
    return [_ok("keys", told("the secret opens them")), *_damaged_prekeys(home), archived, *journal]


def _charter(home: Home) -> list[Row]:
    """What the daemon trusts first can be read; nothing where it can."""
    try:
        read_anchor(home.charter)
    except ValijaError as error:
        remedy = told(
            "put %(path)s back as the stewards gave it out, or valija-node restore the newest backup", path=home.charter
        )
        return [_problem("charter", error, told("the daemon cannot start"), remedy)]
    return []


def _damaged_prekeys(home: Home) -> list[Row]:
    """What the daemon set aside when it started; nothing where everything opens."""
    damaged = [path.name for path in damaged_files(home.prekeys)]
    if not damaged:
        return []
    found = told("damaged, set aside and replaced: %(names)s", names=", ".join(damaged))
    effect = told("what was sealed to them is sealed again by its senders; nothing is lost")
    remedy = told("check this machine's disk and memory; these files are destroyed by themselves after their days")
    return [Row("prekeys", Level.WARNING, found, KeyDamagedError.code, effect, remedy)]


def _archive(home: Home, key: bytes, *, deep: bool) -> Row:
    known, fault = len(archive.schema(key).names), None
    restore = told(
        "check this machine's disk, then valija-node restore the newest backup: peers send again what is missing"
    )
    try:
        with archive.opened(home.archive, key) as connection:
            version = taken(connection, steps)[1]
            is_read = deep or archive_check.is_shallow(home.archive)
            if is_read:
                fault = archive_check.damage(connection)
    except DamagedError as error:
        return _problem("archive", error, told("the daemon cannot start"), restore)
    except ValijaError as error:
        remedy = told("valija-node restore the newest backup")
        return _problem("archive", error, told("the daemon cannot start"), remedy)
    if version > known:
        newer = NewerHomeError(
            told("version %(version)d, this program knows up to %(known)d", version=version, known=known)
        )
        return _problem("archive", newer, told("the daemon cannot start"), told("install the newer program again"))
    if fault is not None:
        effect = told("what stands there cannot be read, and the daemon ends when it comes to it")
        return _problem("archive", StoreError(fault), effect, restore)
    read = told("intact") if is_read else told("not read through; say --deep")
    if version < known:
        facts = {"version": version, "known": known, "read": read}
        return _ok("archive", told("version %(version)d, brought to %(known)d at the next start, %(read)s", **facts))
    return _ok("archive", told("version %(version)d, %(read)s", version=version, read=read))


def _journal(home: Home, key: bytes) -> list[Row]:
    """Whether what the journal tells of people follows entry by entry; nothing of an archive that has none yet."""
    with archive.opened(home.archive, key) as connection:
        if taken(connection, steps)[1] < len(archive.schema(key).names):
            return []
        tx, check = SqlTransaction(connection), Check()
        while check.step(tx):
            pass
    if check.broken is None:
        facts = {"count": check.count, "head": check.head.hex()}
        return [
            _ok("journal", told("%(count)d entries, each bound to the one before it; the newest is %(head)s", **facts))
        ]
    found = told("entry %(number)d was changed or taken away, or one before it", number=check.broken)
    effect = told("nobody can say from it what people did")
    remedy = told("compare with the lines journal_head of the daemon's logs, and keep the home as it is")
    return [Row("journal", Level.PROBLEM, found, "", effect, remedy)]


def _backup(home: Home) -> Row:
    now, known, found = int(time.time()), last(home.folder), told("none was made yet")
    if known is not None:
        days = max(0, now - known.at) // DAY_SECONDS
        facts = {"when": show_time(known.at), "days": days, "file": known.file}
        found = told("made at %(when)s, %(days)d days ago: %(file)s", **facts)
    if not overdue(home.folder, now)[1]:
        return _ok("backup", found)
    effect = told("if this disk dies, what was received is sent again, and what was sent since then is lost")
    remedy = told("valija-node backup FILE, to another machine, every day")
    return Row("backup", Level.WARNING, found, "", effect, remedy)


# -- what the daemon tells -----------------------------------------------------------------------------
_HUB_REMEDIES: Final = {
    "hub_gone": N_("check this machine's network and [hub] url; ask the hub's operator"),
    "proxy_refused": N_("check [hub] proxy: its address, its user and that it allows CONNECT to the hub"),
    "tls_inspected": N_("ask for access without inspection, or name the inspector's authority in [hub] ca_file"),
    "wrong_hub": N_("check [hub] url; if it is right, tell the stewards at once"),
    "clock_skew": N_("correct the clock of this machine"),
    "not_in_standing": N_("have this node's public key certified, and the certificate published"),
    "unknown_member": N_("ask the stewards whether this member is admitted, under this very name"),
    "fenced": N_("look for a second node of this member; if there is none, tell the stewards"),
    "bad_log": N_("tell the stewards at once"),
    "stale": N_("the hub shows an older state than before: ask its operator what was restored"),
}


def _hub(vitals: Vitals) -> Iterator[Row]:
    hub = vitals["hub"]
    if hub["phase"] == "connected":
        yield _ok("hub", told("connected to %(url)s since %(when)s", url=hub["url"], when=hub["since"]))
    elif hub["error"] is None:
        found = told("connecting to %(url)s", url=hub["url"])
        yield Row("hub", Level.WARNING, found, "", told("messages wait"), told("wait a minute"))
    else:
        code = hub["error"]["code"]
        remedy = told(_HUB_REMEDIES.get(code, N_("look at the daemon's log")))
        found = told(_NAMED, name=hub["url"], what=_of_code(code, hub["error"]["message"]))
        effect = told("messages are kept here and go when the hub is reached")
        yield Row("hub", Level.PROBLEM, found, code, effect, remedy)
    ahead = hub["clock_ahead_seconds"]
    if ahead is not None and abs(ahead) > CLOCK_TELL_SECONDS:
        seconds = abs(ahead)
        before = told("the hub's clock is %(seconds)d s ahead of this machine's", seconds=seconds)
        behind = told("the hub's clock is %(seconds)d s behind this machine's", seconds=seconds)
        effect, remedy = told("over an hour nothing is sent"), told("correct the clock")
        yield Row("clock", Level.WARNING, before if ahead > 0 else behind, "clock_skew", effect, remedy)


def _standing(vitals: Vitals) -> Iterator[Row]:
    certificate = vitals["certificate"]
    if certificate is None:
        found, effect = told("this node has none"), told("it cannot send")
        remedy = told("valija-keys certify node with the file node-key.txt, then publish the certificate")
        yield Row("certificate", Level.PROBLEM, found, "not_in_standing", effect, remedy)
    elif not certificate["in_standing"]:
        found, effect = told("it is not in standing"), told("nothing is sent")
        remedy = told("have the key certified anew, and ask the stewards if it was revoked")
        yield Row("certificate", Level.PROBLEM, found, "not_in_standing", effect, remedy)
    elif certificate["days_left"] < _CERTIFICATE_DAYS:
        found = told("it ends in %(days)d days", days=certificate["days_left"])
        effect, remedy = told("then nothing is sent"), told("have the key certified anew")
        yield Row("certificate", Level.WARNING, found, "", effect, remedy)
    else:
        yield _ok("certificate", told("valid until %(when)s", when=certificate["valid_until"]))


def _registry(vitals: Vitals) -> Iterator[Row]:
    association, registry = vitals["association"], vitals["registry"]
    if association is None:
        effect, remedy = told("nobody can be written to"), told("wait until the hub is reached")
        yield Row("registry", Level.PROBLEM, told("empty"), "", effect, remedy)
        return
    if association["charter_days_left"] < _CHARTER_DAYS:
        level = Level.PROBLEM if association["charter_days_left"] < 0 else Level.WARNING
        found = told("the charter ends or ended at %(when)s", when=association["charter_expires_at"])
        effect = told("then nothing can be changed, and 90 days later nothing is sent")
        remedy = told("ask the stewards for the next charter")
        yield Row("charter", level, found, "charter_expired", effect, remedy)
    if not association["is_witnessed"]:
        effect = told("the hub's word alone says how new the registry is")
        remedy = told("the stewards may name witnesses in the next charter")
        found = told("unwitnessed: the charter names none")
        yield Row("witnesses", Level.WARNING, found, "unwitnessed", effect, remedy)
    age, alarm, stop = (registry[f"{name}_seconds"] for name in ("age", "alarm_after", "stop_after"))
    if age is None or age > alarm:
        level = Level.PROBLEM if age is None or age > stop else Level.WARNING
        effect = told("at %(hours)d hours nothing is sent any more", hours=stop // 3600)
        found, remedy = told("%(hours)d hours old", hours=(age or 0) // 3600), told("check the hub's line")
        yield Row("registry", level, found, "stale_view", effect, remedy)
    else:
        yield _ok("registry", told("%(size)d entries, %(age)d s old", size=registry["size"], age=age))


def _prekeys(vitals: Vitals) -> Iterator[Row]:
    prekeys = vitals["prekeys"]
    found = told("%(held)d held, for %(days)d days ahead", held=prekeys["held"], days=prekeys["days_ahead"])
    if prekeys["days_ahead"] < _PREKEY_DAYS:
        remedy = told("they are made by themselves once the hub is reached; check the disk")
        effect = told("then nobody can seal to this node")
        yield Row("prekeys", Level.WARNING, found, "no_prekey", effect, remedy)
    elif prekeys["overdue"]:
        effect = told("messages of those days stay readable to a thief of this machine")
        remedy = told("correct the clock; they are destroyed when hub and machine agree on the time")
        yield Row("prekeys", Level.WARNING, told("%(num)d should be gone", num=prekeys["overdue"]), "", effect, remedy)
    else:
        yield _ok("prekeys", found)


def _messages(vitals: Vitals) -> Iterator[Row]:
    counts = vitals["messages"]
    facts = {name: counts[name] for name in ("sent", "received", "under_way")}
    yield _ok("messages", told("%(sent)d sent, %(received)d received, %(under_way)d under way", **facts))
    waiting = counts["waiting"] + counts["held"]
    if waiting:
        effect, remedy = told("they go by themselves as soon as they can"), told("valija-node outbox says why")
        found = told("%(num)d deliveries wait", num=waiting)
        yield Row("held", Level.WARNING, found, "held", effect, remedy)
    for code, count in counts["held_for"].items():
        level = Level.PROBLEM if code == "forked_view" else Level.WARNING
        effect, remedy = told("they are shown as soon as they can be judged"), told("if it stays so, ask the stewards")
        yield Row("set aside", level, told("%(num)d received envelopes wait", num=count), code, effect, remedy)
    if counts["quarantined"]:
        effect, remedy = told("their senders were told; nothing of them is shown"), told("ask the senders' operators")
        found = told("%(num)d received envelopes were refused", num=counts["quarantined"])
        yield Row("quarantine", Level.WARNING, found, "unverifiable", effect, remedy)
    if counts["forks"]:
        effect, remedy = told("somebody is shown another registry than others"), told("tell the stewards at once")
        found = told("%(num)d checkpoints contradict this mirror", num=counts["forks"])
        yield Row("fork", Level.PROBLEM, found, "forked_view", effect, remedy)


def _nudges(vitals: Vitals) -> Iterator[Row]:
    nudges = vitals["nudges"]
    for desk in nudges["unknown_desks"]:
        found = told("[nudges.desks.%(desk)s] is about no desk", desk=desk)
        effect, remedy = told("nobody is called by these settings"), told("correct the name, or valija-node desk add")
        yield Row("nudges", Level.WARNING, found, "unknown_desk", effect, remedy)
    for desk in nudges["desks"]:
        yield _unopened(desk)
    if not nudges["desks"]:
        quiet, idle = told("nothing urgent is unopened"), told("nothing urgent is unopened; nobody would be called")
        yield _ok("nudges", quiet if nudges["calls"] else idle)


def _unopened(desk: Vitals) -> Row:
    facts = {"count": desk["count"], "desk": desk["desk"], "since": desk["since"]}
    found = told("%(count)d urgent unopened at %(desk)s since %(since)s", **facts)
    if not desk["calls"]:
        remedy = told("set [nudges] duty in node.toml")
        return Row("nudges", Level.WARNING, found, "", told("nobody is called"), remedy)
    if desk["failing_since"] is not None:
        why = {"when": desk["failing_since"], "why": desk["outcome"]}
        found = told("%(found)s; calls fail since %(when)s: %(why)s", found=found, **why)
        remedy = told("check [mail] and [nudges] in node.toml, and whoever takes the call; tell the desk by telephone")
        return Row("nudges", Level.PROBLEM, found, "", told("whoever is on duty does not hear of it"), remedy)
    called = {"found": found, "called": desk["called"]}
    if desk["escalated"]:
        found = told("%(found)s; duty was called %(called)d times, then escalation", **called)
        remedy = told("tell the desk by telephone")
        return Row("nudges", Level.PROBLEM, found, "", told("another service waits"), remedy)
    if not desk["called"]:
        return Row("nudges", Level.OK, told("%(found)s; duty is called in time", found=found))
    return Row("nudges", Level.OK, told("%(found)s; duty was called %(called)d times", **called))


def _webhooks(vitals: Vitals) -> Iterator[Row]:
    # A daemon that was not started again since this program came tells nothing of them.
    told_of = vitals.get("webhooks") or {"count": 0, "troubled": []}
    effect = told("its case system hears of nothing until it asks by itself")
    for hook in told_of["troubled"]:
        facts = {"name": hook["name"], "desk": hook["desk"]}
        if hook["disabled_at"] is not None:
            why = {"when": hook["disabled_at"], "why": hook["disabled_why"]}
            found = told("%(name)s of the desk %(desk)s was given up at %(when)s: %(why)s", **facts, **why)
            remedy = told("repair where it leads, then valija-node webhook enable: nothing is lost; or remove it")
            yield Row("webhooks", Level.PROBLEM, found, "", effect, remedy)
        else:
            found = told("%(name)s of the desk %(desk)s fails since %(when)s", **facts, when=hook["failing_since"])
            yield Row("webhooks", Level.WARNING, found, "", effect, told("valija-node webhook log says why"))
    if told_of["count"] and not told_of["troubled"]:
        yield _ok("webhooks", told("%(num)d, and none fails", num=told_of["count"]))


def _alarms(vitals: Vitals) -> Iterator[Row]:
    """The newest alarm of each code, and how many there were, in the last week."""
    since = datetime.fromisoformat(vitals["now"]) - _ALARM_LIFE
    fresh = [each for each in vitals["alarms"] if datetime.fromisoformat(each["at"]) > since]
    count = Counter(each["code"] for each in fresh)
    for code, newest in {each["code"]: each for each in fresh}.items():
        facts = {"count": count[code], "when": newest["at"], "detail": newest["detail"]}
        found = told("%(code)s: %(count)d in a week, the newest at %(when)s: %(detail)s", code=code, **facts)
        effect = told("something happened that a person should know of")
        remedy = told("valija-node status shows the newest alarms; if one comes again, ask whom it names")
        yield Row("alarms", Level.WARNING, found, code, effect, remedy)


_LOOKS: Final[tuple[Callable[[Vitals], Iterator[Row]], ...]] = (
    _hub,
    _standing,
    _registry,
    _prekeys,
    _messages,
    _nudges,
    _webhooks,
    _alarms,
)


_NAMED: Final = "%(name)s: %(what)s"


def _ok(name: str, found: str) -> Row:
    return Row(name, Level.OK, found)


def _problem(name: str, error: ValijaError, effect: str, remedy: str) -> Row:
    return Row(name, Level.PROBLEM, told_error(error), error.code, effect, remedy)


def _of_code(code: str, message: str) -> Told:
    """What a running node said of an error: its own sentence, and whatever stands behind it."""
    error = error_of(code, "")
    sentence = str(error)
    if error.code != code or not message.startswith(sentence):
        return told(message)
    return told_error(type(error)(message.removeprefix(sentence).strip().removeprefix("(").removesuffix(")")))
