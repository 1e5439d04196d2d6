"""What may be wrong with a hub, found from its home: problem, effect and remedy, a row each.

Nothing is changed, and a hub that runs is not disturbed: its database is read beside it.  A *problem* needs somebody
now, a *warning* soon.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from cryptography import x509

from hub.client import Hub
from hub.config import Home, HubConfig, console_tls, load, tls_context
from hub.core import NOT_INSTALLED, founding_statement
from hub.identity import CharterSigner, HubKeys
from hub.log import Log
from hub.sqlite_check import altered, damage, looking
from hub.sqlite_store import SCHEMA, store_version
from hub.sqlite_sums import About, contradictions
from hub.store import Transaction
from keys.home import resolve
from keys.journal import first_broken
from keys.last_backup import overdue
from keys.times import show_time
from keys.wal import broken
from protocol.errors import (
    ConfigError,
    HomeMissingError,
    KeyAccessError,
    KeyDamagedError,
    NotRunningError,
    PassphraseError,
    StoreError,
    ValijaError,
)
from protocol.limits import DAY_SECONDS, MIB
from protocol.merkle import leaf_hash, root
from protocol.names import show_id
from protocol.trust.checkpoint import LogKey
from protocol.trust.notes import Note
from protocol.trust.registry import Entry, Registry
from protocol.trust.statements import Charter, SignedStatement, StatementType, statement_hash

_GIB: Final = 1024 * MIB
_FEW_BYTES: Final = 2 * _GIB
_NO_BYTES: Final = 256 * MIB
_SHALLOW_BYTES: Final = 64 * MIB
_CERTIFICATE_DAYS: Final = 30
_CHARTER_DAYS: Final = 90
_TLS_DAYS: Final = 14
_CLOCK_SECONDS: Final = 60
_OLD_SECONDS: Final = 7 * DAY_SECONDS
_CONNECT_SECONDS: Final = 3.0
_NAMED: Final = 5
_NEWEST: Final = (1 << 63) - 1
_RESTORE: Final = (
    "stop the hub, check disk and memory of this machine, and put the newest backup back: valija-hub restore"
)


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str
    effect: str = ""
    remedy: str = ""

    def value(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def ok(name: str, found: str) -> Row:
    """Nothing to do."""
    return Row(name, Level.OK, found)


@dataclass(frozen=True, slots=True)
class Visit:
    """What the checks look at; `status` is what the running hub tells, None if none runs.

    `journal_head` is a head of the journal that was noted elsewhere, in hexadecimal; empty if none is given.
    """

    home: Home
    config: HubConfig
    environment: Mapping[str, str]
    now: int
    deep: bool
    status: Mapping[str, Any] | None
    journal_head: str = ""


def examine(home: Home, environment: Mapping[str, str], *, deep: bool = False, journal_head: str = "") -> list[Row]:
    """Everything that was looked at, in the order in which it should be put right; `HomeMissingError`."""
    now = int(time.time())
    try:
        config = load(home, environment)
    except HomeMissingError:
        raise
    except ConfigError as error:
        return [Row("settings", Level.PROBLEM, str(error), "the hub does not start", f"correct {home.config}")]
    visit = Visit(home, config, environment, now, deep, _status(home), journal_head)
    rows = [ok("settings", str(home.config)), *_guarded(_written, visit)]
    # Whoever opens a damaged log loses a trace of what it held.
    checks = _CHECKS if is_healthy(rows) else [check for check in _CHECKS if check not in _INSIDE]
    for check in checks:
        rows += _guarded(check, visit)
    return rows


def is_healthy(rows: list[Row]) -> bool:
    """Whether nothing is a problem."""
    return all(row.level is not Level.PROBLEM for row in rows)


def _status(home: Home) -> Mapping[str, Any] | None:
    try:
        return Hub.at_home(home).get("/status")
    except NotRunningError:
        return None


def _guarded(check: Callable[[Visit], Iterator[Row]], visit: Visit) -> list[Row]:
    rows: list[Row] = []
    try:
        rows.extend(check(visit))
    except ValijaError as error:
        name = check.__name__.strip("_")
        rows.append(Row(name, Level.PROBLEM, str(error), "this could not be looked at", _remedy(error, visit.home)))
    return rows


def _remedy(error: ValijaError, home: Home) -> str:
    match error:
        case PassphraseError():
            return "let `secret`, or the file named in its place, be the one with which these keys were made; an old one is in each backup"
        case KeyDamagedError():
            return (
                "put the key file back from the newest backup: valija-hub restore; without one an operating key can be made "
                "and certified anew, and a log key only by another charter"
            )
        case KeyAccessError():
            return f"put back what is missing of {home.folder}, owned by the hub's user, the keys and the secret closed to all others"
        case ConfigError(detail=detail) if detail == NOT_INSTALLED:
            return f"valija-hub install --home {home.folder} CHARTER CERTIFICATE"
        case ConfigError():
            return f"correct {home.config}, or put back what it names"
    return _RESTORE


# -- the checks ------------------------------------------------------------------------------------------
def _written(visit: Visit) -> Iterator[Row]:
    """What was committed before an unclean stop can be read; said only if it cannot."""
    found = broken(visit.home.database)
    if found is not None:
        yield Row(
            "store", Level.PROBLEM,
            f"the write-ahead log is damaged: {found.commits} commits or more cannot be read, from its frame {found.frame} on",
            "messages that were accepted would be missing, so the hub does not start; the files are as they were",
            "set the home aside whole and put the newest backup back: valija-hub restore; the nodes submit again",
        )  # fmt: skip


def _keys(visit: Visit) -> Iterator[Row]:
    """Key files are there, closed to others, and open with the secret."""
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    opened = {"operating": keys.hub.public.fingerprint, "log": keys.open_log().public.fingerprint}
    shown = ", ".join(f"the {name} key {fingerprint[:8].hex()}…" for name, fingerprint in opened.items())
    yield ok("keys", f"they open: {shown}")


def _console(visit: Visit) -> Iterator[Row]:
    """What the console shows to browsers serves; said only if it does not."""
    console = console_tls(visit.home, visit.config)
    if console is not None:
        console.context()
    yield from ()


def _tls(visit: Visit) -> Iterator[Row]:
    if tls_context(visit.home, visit.config) is None:
        yield ok("tls", "plain, on loopback only")
        return
    path = resolve(visit.home, visit.config.tls.certificate)
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise ConfigError(f"{path} is no certificate") from None
    yield _runway(
        "tls", "TLS certificate", int(certificate.not_valid_after_utc.timestamp()), visit.now, _TLS_DAYS,
        ("nodes refuse the connection", "renew it, then send SIGHUP to the hub"),
    )  # fmt: skip


def _store(visit: Visit) -> Iterator[Row]:
    path = visit.home.database
    if not path.exists():
        raise ConfigError(NOT_INSTALLED)
    size = path.stat().st_size
    if size > _SHALLOW_BYTES and not visit.deep:
        yield ok("store", f"{size // MIB} MiB, not read through; say --deep for that")
        return
    found = damage(path)
    if found is None:
        yield ok("store", f"{size // MIB} MiB, intact")
        return
    yield Row("store", Level.PROBLEM, f"the database is damaged: {found}", "messages may be lost or undeliverable",
              "stop the hub, and put the newest backup back: valija-hub restore")  # fmt: skip


def _items(visit: Visit) -> Iterator[Row]:
    """What waits is what was accepted, bit for bit."""
    path = visit.home.database
    if not path.exists() or (path.stat().st_size > _SHALLOW_BYTES and not visit.deep):
        return
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    with looking(path) as tx:
        found = list(altered(tx, _replayed(tx, keys)))
    if not found:
        yield ok("items", "everything that waits is what was accepted")
        return
    named = ", ".join(
        f"{show_id('env', each.envelope_id)} ({each.part}) from {each.sender} to {each.recipient}"
        for each in found[:_NAMED]
    )
    yield Row("items", Level.PROBLEM, f"{len(found)} that wait are altered: {named}",
              "their recipients refuse them; their senders seal them again, at the latest when they expire",
              "check disk and memory of this machine; nothing is lost while their senders' nodes stand")  # fmt: skip


_CONSEQUENCES: Final = {
    About.CURSORS: ("the member's node is refused when it acknowledges, or is given nothing any more", _RESTORE),
    About.COUNTS: (
        "its mailbox is full too early or too late",
        "no message is lost; the counts are those of the items again after valija-hub restore of the newest backup",
    ),
    About.MAILBOXES: ("nothing behind it is delivered to this member", _RESTORE),
    About.ENVELOPES: ("its ciphertext is erased too early or never", _RESTORE),
    About.INCARNATION: ("nodes refuse what this hub signs", _RESTORE),
    About.CALENDARS: (
        "nobody can seal to the member, whose messages wait at their senders",
        "restart the member's node; if it stays so, valija-hub restore the newest backup",
    ),
}


def _tables(visit: Visit) -> Iterator[Row]:
    """What the hub keeps books of adds up."""
    path = visit.home.database
    if not path.exists() or (path.stat().st_size > _SHALLOW_BYTES and not visit.deep):
        return
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    found: dict[About, list[str]] = {}
    with looking(path) as tx:
        for wrong in contradictions(tx, _replayed(tx, keys)):
            found.setdefault(wrong.about, []).append(wrong.found)
    for about, each in found.items():
        named = f"{len(each)} do not add up: {'; '.join(each[:_NAMED])}"
        yield Row(about.value, Level.PROBLEM, named, *_CONSEQUENCES[about])
    if not found:
        yield ok("tables", "the hub's books add up")


def _replayed(tx: Transaction, keys: HubKeys) -> Registry:
    first = founding_statement(tx)
    if first is None:
        raise ConfigError(NOT_INSTALLED)
    return Log.load(tx, first.association, CharterSigner(keys)).registry


def _log(visit: Visit) -> Iterator[Row]:
    """The log in the store is the one that its checkpoint signs, and its times are not ahead of the clock."""
    if not visit.home.database.exists():
        return
    with looking(visit.home.database) as tx:
        key, entries, note = _log_key(tx), tx.entries(0, tx.log_size()), tx.checkpoint()
        sizes = [size for (size,) in tx.rows("SELECT size FROM checkpoint")]
        missing = [index for index, entry in enumerate(entries) if not _is_whole(tx, entry)]
    if note is None:
        raise StoreError("no checkpoint is kept")
    try:
        signed = key.open(Note.parse(note))
    except ValijaError as error:
        yield _bad_log(f"its checkpoint does not verify: {error}")
        return
    said = (signed.checkpoint.size, signed.checkpoint.root)
    if missing:
        yield _bad_log(f"the statement of entry {missing[0]} is not what was logged")
    elif said != (len(entries), root([leaf_hash(each) for each in entries])):
        yield _bad_log("the log is not what its signed checkpoint says")
    elif sizes != [signed.checkpoint.size]:
        yield _bad_log(f"its checkpoint is of size {signed.checkpoint.size}, and kept as one of size {sizes[0]}")
    else:
        yield ok("log", f"{len(entries)} entries, as the checkpoint says")
    newest = max(Entry.parse(entries[-1]).logged_at, signed.cosignature.timestamp)
    if newest > visit.now + _CLOCK_SECONDS:
        yield Row("clock", Level.PROBLEM, f"the clock is {newest - visit.now} s behind the hub's own last entry",
                  "envelopes expire late and nodes refuse the session", "correct the clock of this machine")  # fmt: skip
    else:
        yield ok("clock", f"past the newest log entry, {show_time(newest)}")


def _bad_log(found: str) -> Row:
    remedy = "restore a backup; every member holds a copy of the log"
    return Row("log", Level.PROBLEM, found, "the hub does not start", remedy)


def _is_whole(tx: Transaction, entry: bytes) -> bool:
    wanted = Entry.parse(entry).hash
    raw = tx.statement(wanted)
    return raw is not None and statement_hash(raw) == wanted


def _log_key(tx: Transaction) -> LogKey:
    """The log's key by the newest charter: the hub appends no charter but one that applies."""
    entries = [Entry.parse(entry) for entry in tx.entries(0, tx.log_size())]
    charters = [entry.hash for entry in entries if entry.type == StatementType.CHARTER]
    raw = tx.statement(charters[-1]) if charters else None
    statement = None if raw is None else SignedStatement.from_bytes(raw).statement
    if not isinstance(statement, Charter):
        raise ConfigError(NOT_INSTALLED)
    return LogKey(statement.hub.origin, statement.hub.log_key, statement.hub.log_ed25519)


def _runways(visit: Visit) -> Iterator[Row]:
    """How long the hub's certificate and the charter still hold."""
    if not visit.home.database.exists():
        return
    certificate, charter = _ends(visit)
    if certificate is None:
        yield Row("certificate", Level.PROBLEM, "no certificate of this hub's key is in standing",
                  "nodes refuse the hub", "have one signed with valija-keys certify hub, then install it")  # fmt: skip
    else:
        yield _runway(
            "certificate", "the hub's certificate", certificate, visit.now, _CERTIFICATE_DAYS,
            ("nodes refuse the hub", "have one signed with valija-keys certify hub, then publish it"),
        )  # fmt: skip
    yield _runway(
        "charter", "the charter", charter, visit.now, _CHARTER_DAYS,
        ("nothing can be changed, and after 90 days nothing is sent", "the stewards sign the next one"),
    )  # fmt: skip


def _ends(visit: Visit) -> tuple[int | None, int]:
    if visit.status is not None:
        return visit.status["certificate_not_after"], visit.status["charter_expires_at"]
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    with looking(visit.home.database) as tx:
        registry = _replayed(tx, keys)
    own = keys.certificates(registry, visit.now)
    return (own[0].not_after if own else None), registry.charter.expires_at


def _runway(name: str, what: str, until: int, now: int, warn_days: int, said: tuple[str, str]) -> Row:
    found = f"{what} holds until {show_time(until)}"
    if until <= now:
        return Row(name, Level.PROBLEM, f"{what} ended at {show_time(until)}", *said)
    if until <= now + warn_days * DAY_SECONDS:
        return Row(name, Level.WARNING, found, f"then {said[0]}", said[1])
    return ok(name, found)


def _version(visit: Visit) -> Iterator[Row]:
    """The store is of a version that this program knows."""
    if not visit.home.database.exists():
        return
    version, known = store_version(visit.home.database), len(SCHEMA.names)
    if version > known:
        yield Row("version", Level.PROBLEM, f"the store has version {version}, this program knows up to {known}",
                  "the hub does not start", "install the newer program again")  # fmt: skip
    else:
        later = f", brought to {known} at the next start" if version < known else ""
        yield ok("version", f"{version}{later}")


def _backup(visit: Visit) -> Iterator[Row]:
    """A backup was made not long ago."""
    found, is_overdue = overdue(visit.home.folder, visit.now)
    if is_overdue:
        yield Row("backup", Level.WARNING, found, "if this disk dies, keys and quotas of members are lost with it",
                  "valija-hub backup FILE, to another machine, every day")  # fmt: skip
    else:
        yield ok("backup", found)


def _journal(visit: Visit) -> Iterator[Row]:
    """What the journal tells of operators follows entry by entry."""
    path = visit.home.database
    if not path.exists() or store_version(path) < len(SCHEMA.names):
        return
    with looking(path) as tx:
        entries = tx.journal(_NEWEST, _NEWEST)[::-1]
    broken = first_broken((entry, hashed) for _number, entry, hashed in entries)
    gap = next((place for place, (number, *_rest) in enumerate(entries) if number != place + 1), None)
    if broken is None and gap is None:
        yield _whole([hashed.hex() for *_rest, hashed in entries], visit.journal_head.lower())
        return
    places = [each for each in (broken, gap) if each is not None]
    yield Row("journal", Level.PROBLEM, f"entry {min(places) + 1} of the operators' journal was changed, or those before it",
              "nobody can say from it what operators did", "compare with the lines operator_act of the hub's logs")  # fmt: skip


def _whole(heads: list[str], noted: str) -> Row:
    """Of a journal in which each entry follows from the last: its end may have been cut off, or all written anew."""
    if noted and noted not in heads:
        return Row("journal", Level.PROBLEM, f"no entry of the operators' journal has the head {noted}, which was told once",
                   "entries were taken away from its end, or all of it was written anew",
                   "compare with the lines operator_act of the hub's logs, and keep the home as it is")  # fmt: skip
    newest = f"; the newest is {heads[-1]}" if heads else ""
    return ok("journal", f"{len(heads)} kept, each act of operators bound to the one before it{newest}")


def _disk(visit: Visit) -> Iterator[Row]:
    free = shutil.disk_usage(visit.home.folder).free
    found = f"{free / _GIB:.1f} GiB free"
    if free < _NO_BYTES:
        yield Row("disk", Level.PROBLEM, found, "the hub stops when it cannot write", "make room, or move the home")
    elif free < _FEW_BYTES:
        yield Row("disk", Level.WARNING, found, "mailboxes cannot grow much more", "make room, or move the home")
    else:
        yield ok("disk", found)


def _running(visit: Visit) -> Iterator[Row]:
    """The hub answers, also where nodes look for it."""
    if visit.status is None:
        yield Row("running", Level.PROBLEM, "the hub does not answer", "nodes keep their messages until it does",
                  "start it: valija-hub serve")  # fmt: skip
        return
    listen = visit.config.listen
    place = f"{listen.host} port {listen.port}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    try:
        socket.create_connection((host, listen.port), _CONNECT_SECONDS).close()
    except OSError as error:
        yield Row("running", Level.PROBLEM, f"nothing answers at {place}: {error.strerror or error}",
                  "no node can connect", "see the hub's log")  # fmt: skip
        return
    yield ok("running", f"{visit.status['sessions']} sessions, at {place}")


def _queues(visit: Visit) -> Iterator[Row]:
    """Mailboxes that nobody empties."""
    if visit.status is None:
        return
    members = visit.status["members"]
    late = [each["member"] for each in members if each["queued"] and each["oldest_seconds"] >= _OLD_SECONDS]
    if late:
        yield Row("mailboxes", Level.WARNING, f"waiting for over a week: {', '.join(late)}",
                  "their messages will expire", "ask the operators of these nodes")  # fmt: skip
    else:
        yield ok("mailboxes", f"{sum(each['queued'] for each in members)} items wait")


def _steered(visit: Visit) -> Iterator[Row]:
    """What operators decided and may have forgotten."""
    if visit.status is None:
        return
    held = [each["member"] for each in visit.status["members"] if each["suspended"]]
    if visit.status["draining"]:
        yield Row("draining", Level.WARNING, "nobody is let in", "nodes keep their messages until somebody is",
                  "valija-hub drain --undo")  # fmt: skip
    if held:
        yield Row("suspended", Level.WARNING, f"nothing is delivered to {', '.join(held)}",
                  "what waits for them expires in the end", "valija-hub resume MEMBER")  # fmt: skip


_INSIDE: Final = frozenset((_version, _store, _log, _items, _tables, _runways, _journal))
"""They read the database."""

_CHECKS: Final = (
    _keys,
    _tls,
    _console,
    _version,
    _store,
    _log,
    _items,
    _tables,
    _runways,
    _journal,
    _backup,
    _disk,
    _running,
    _queues,
    _steered,
)
