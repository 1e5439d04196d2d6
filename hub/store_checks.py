"""What may be wrong with what a hub has stored: its database and log, the items that wait, its books, its journal.

Nothing is changed, and a hub that runs is not disturbed: its database is read beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.core import NOT_INSTALLED, founding_statement
from hub.diagnosis import RESTORE, Row, Visit, ok
from hub.identity import CharterSigner, HubKeys
from hub.log import Log
from hub.sqlite_check import altered, damage, looking
from hub.sqlite_store import SCHEMA, store_version
from hub.sqlite_sums import About, contradictions
from hub.store import Transaction
from keys.journal import first_broken
from keys.levels import Level
from keys.times import show_time
from keys.wal import broken
from protocol.errors import ConfigError, StoreError, ValijaError
from protocol.limits import MIB
from protocol.merkle import leaf_hash, root
from protocol.names import show_id
from protocol.trust.checkpoint import LogKey
from protocol.trust.notes import Note
from protocol.trust.registry import Entry, Registry
from protocol.trust.statements import Charter, SignedStatement, StatementType, statement_hash

_SHALLOW_BYTES: Final = 64 * MIB
_CLOCK_SECONDS: Final = 60
_NAMED: Final = 5
_NEWEST: Final = (1 << 63) - 1


def written(visit: Visit) -> Iterator[Row]:
    """What was committed before an unclean stop can be read; said only if it cannot."""
    found = broken(visit.home.database)
    if found is not None:
        yield Row(
            "store", Level.PROBLEM,
            f"the write-ahead log is damaged: {found.commits} commits or more cannot be read, from its frame {found.frame} on",
            "messages that were accepted would be missing, so the hub does not start; the files are as they were",
            "set the home aside whole and put the newest backup back: valija-hub restore; the nodes submit again",
        )  # fmt: skip


def version(visit: Visit) -> Iterator[Row]:
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


def store(visit: Visit) -> Iterator[Row]:
    """The database can be read through, page by page; a large one only if that is asked for."""
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


def items(visit: Visit) -> Iterator[Row]:
    """What waits is what was accepted, bit for bit."""
    path = visit.home.database
    if not path.exists() or (path.stat().st_size > _SHALLOW_BYTES and not visit.deep):
        return
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    with looking(path) as tx:
        found = list(altered(tx, replayed(tx, keys)))
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
    About.CURSORS: ("the member's node is refused when it acknowledges, or is given nothing any more", RESTORE),
    About.COUNTS: (
        "its mailbox is full too early or too late",
        "no message is lost; the counts are those of the items again after valija-hub restore of the newest backup",
    ),
    About.MAILBOXES: ("nothing behind it is delivered to this member", RESTORE),
    About.ENVELOPES: ("its ciphertext is erased too early or never", RESTORE),
    About.INCARNATION: ("nodes refuse what this hub signs", RESTORE),
    About.CALENDARS: (
        "nobody can seal to the member, whose messages wait at their senders",
        "restart the member's node; if it stays so, valija-hub restore the newest backup",
    ),
}


def tables(visit: Visit) -> Iterator[Row]:
    """What the hub keeps books of adds up."""
    path = visit.home.database
    if not path.exists() or (path.stat().st_size > _SHALLOW_BYTES and not visit.deep):
        return
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    found: dict[About, list[str]] = {}
    with looking(path) as tx:
        for wrong in contradictions(tx, replayed(tx, keys)):
            found.setdefault(wrong.about, []).append(wrong.found)
    for about, each in found.items():
        named = f"{len(each)} do not add up: {'; '.join(each[:_NAMED])}"
        yield Row(about.value, Level.PROBLEM, named, *_CONSEQUENCES[about])
    if not found:
        yield ok("tables", "the hub's books add up")


def replayed(tx: Transaction, keys: HubKeys) -> Registry:
    """The registry by the hub's own log."""
    first = founding_statement(tx)
    if first is None:
        raise ConfigError(NOT_INSTALLED)
    return Log.load(tx, first.association, CharterSigner(keys)).registry


def log(visit: Visit) -> Iterator[Row]:
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


def journal(visit: Visit) -> Iterator[Row]:
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
