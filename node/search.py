"""Full-text search and threads over both boxes, following behind: delivery never waits for an index.

    follow      the next rows after the watermark, a few at a time, until there are none
    find        words (accents folded, beginnings of words), or a piece of a case reference, newest first

A hit is found again by box and row; whoever shows it asks the wall between desks first, which `find` does too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

import msgspec

from node.model import Record
from node.store import Transaction
from node.tables import state
from protocol.errors import UsageError
from protocol.messages.content import SCHEMA
from protocol.names import MESSAGE_ID_BYTES, MessageId, read_id

ROWS_A_STEP: Final = 512
MAX_BEHIND: Final = 4_096
"""So many messages of each box that are not indexed yet are looked through for a thread."""

MIN_FRAGMENT_CHARS: Final = 3
_WORD: Final = re.compile(r"\w+")


class Box(IntEnum):
    """Where a hit lies: what came in, or what was written here."""

    INBOX = 0
    OUTBOX = 1


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """A message by its box and row id."""

    box: Box
    row: int

    @property
    def item(self) -> int:
        """The one number under which the indexes hold it."""
        return self.row * 2 + self.box

    @classmethod
    def of(cls, item: int) -> Hit:
        """The hit that `item` numbers."""
        return cls(Box(item % 2), item // 2)


# -- following ---------------------------------------------------------------------------------------
_SOURCES: Final = {
    Box.INBOX: "SELECT id, message_id, content FROM inbox WHERE id > ? ORDER BY id LIMIT +?",
    Box.OUTBOX: "SELECT id, message_id, content FROM outbox WHERE id > ? ORDER BY id LIMIT +?",
}


def follow(tx: Transaction, limit: int = ROWS_A_STEP) -> int:
    """Index at most `limit` further messages; gives how many, 0 once everything is indexed."""
    received = _follow(tx, Box.INBOX, limit)
    return received + (_follow(tx, Box.OUTBOX, limit - received) if received < limit else 0)


def behind(tx: Transaction) -> int:
    """How many messages are not indexed yet, at most."""
    top = tx.all("SELECT name, seq FROM sqlite_sequence WHERE name IN ('inbox', 'outbox')")
    # Ids leap where a backup was put back.
    return sum((seq - _watermark(tx, Box[name.upper()])) % state.LEAP for name, seq in top)


def _watermark(tx: Transaction, box: Box) -> int:
    return int(state.get(tx, f"indexed {box.name}") or 0)


def _follow(tx: Transaction, box: Box, limit: int) -> int:
    rows = tx.all(_SOURCES[box], (_watermark(tx, box), limit))
    if rows:
        _index(tx, [each for each in (_read(box, *row) for row in rows) if each is not None])
        state.put(tx, f"indexed {box.name}", rows[-1][0])
    return len(rows)


class _Text(Record, frozen=True, gc=False):
    text: str = ""


class _Document(Record, frozen=True, gc=False):
    """What is searched of a document, all of which was verified when it came."""

    schema: str = ""
    subject: str = ""
    body: _Text = _Text()
    thread: str | None = None
    in_reply_to: str | None = None
    case_reference: str | None = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


class _Found(Record, frozen=True, gc=False):
    item: int
    document: _Document
    root: MessageId
    is_root: bool


def _read(box: Box, row: int, message_id: bytes, content: bytes) -> _Found | None:
    try:
        document = _DOCUMENT.decode(content)
        root = thread_of(document, MessageId(message_id))
    except (msgspec.DecodeError, UnicodeDecodeError, UsageError):
        return None  # damaged on disk, for it was verified when it came: shown as that, and not searched
    if document.schema != SCHEMA:
        return None  # of a later schema: shown, and not searched
    return _Found(Hit(box, row).item, document, root, is_root=root == message_id)


def _index(tx: Transaction, found: Sequence[_Found]) -> None:
    words = [(each.item, each.document.subject, each.document.body.text) for each in found]
    tx.many("INSERT INTO words (rowid, subject, body) VALUES (?, ?, ?)", words)
    cases = [(each.item, each.document.case_reference) for each in found if each.document.case_reference]
    tx.many("INSERT INTO cases (rowid, reference) VALUES (?, ?)", cases)
    # Whoever begins a thread is found under its own id.
    threads = [(each.root, each.item) for each in found if not each.is_root]
    tx.many("INSERT OR IGNORE INTO thread (root, item) VALUES (?, ?)", threads)


class _Threaded(Protocol):
    @property
    def thread(self) -> str | None: ...

    @property
    def in_reply_to(self) -> str | None: ...


def thread_of(content: _Threaded, message_id: MessageId) -> MessageId:
    """The id of the first message of the thread that this message is in: its own, if it begins one."""
    named = content.thread or content.in_reply_to
    return message_id if named is None else MessageId(read_id("msg", named)[:MESSAGE_ID_BYTES])


# -- finding -----------------------------------------------------------------------------------------
def find(tx: Transaction, words: str, desks: Sequence[str] | None = None, limit: int = 50) -> list[Hit]:
    """At most `limit` messages that hold all of these words (or begin with them), newest first, of these desks alone.

    Raises `UsageError` if there is no word in it.
    """
    terms = _WORD.findall(words)
    if not terms:
        raise UsageError("nothing to search for")
    return _visible(tx, "words", " ".join(f'"{term}"*' for term in terms), desks, limit)


def find_case(tx: Transaction, fragment: str, desks: Sequence[str] | None = None, limit: int = 50) -> list[Hit]:
    """The same for messages whose case reference holds `fragment`, three characters at least."""
    # For SQLite a text ends with its first zero.
    fragment = fragment.replace("\0", " ")
    if len(fragment.strip()) < MIN_FRAGMENT_CHARS:
        raise UsageError(f"a piece of a case reference has {MIN_FRAGMENT_CHARS} characters at least")
    quoted = fragment.strip().replace('"', '""')
    return _visible(tx, "cases", f'"{quoted}"', desks, limit)


def thread(tx: Transaction, root: MessageId, desks: Sequence[str] | None = None) -> list[Hit]:
    """Every message of the thread that begins with this one, in order of the boxes' rows."""
    rows = tx.all(
        f"SELECT item FROM thread WHERE root = ? UNION SELECT id * 2 + {Box.OUTBOX} FROM outbox WHERE message_id = ? "  # noqa: S608
        f"UNION SELECT r.inbox * 2 + {Box.INBOX} FROM peer p JOIN received r ON r.peer = p.id AND r.message_id = ? "
        "WHERE r.inbox IS NOT NULL",
        (root, root, root),
    )
    items = sorted({*(row[0] for row in rows), *_following(tx, root)})
    return [hit for hit in map(Hit.of, items) if _is_of(tx, hit, desks)]


def _following(tx: Transaction, root: MessageId) -> list[int]:
    """The items of the thread that the index does not hold yet: an answer stands in its thread once it has arrived."""
    rows = [(box, row) for box in Box for row in tx.all(_SOURCES[box], (_watermark(tx, box), MAX_BEHIND))]
    found = (_read(box, *row) for box, row in rows)
    return [each.item for each in found if each is not None and each.root == root]


def _visible(tx: Transaction, index: str, match: str, desks: Sequence[str] | None, limit: int) -> list[Hit]:
    # The wall stands in the query, which ends with the last hit that is shown: the rest is not even counted.
    wall, seen = "", tuple(desks or ())
    if desks is not None:
        marks = ", ".join("?" * len(seen))
        wall = (
            f"AND CASE rowid % 2 WHEN {Box.INBOX} THEN EXISTS (SELECT 1 FROM inbox_desk d "  # noqa: S608
            f"WHERE d.desk IN ({marks}) AND d.inbox = {index}.rowid / 2) "
            f"ELSE EXISTS (SELECT 1 FROM outbox o WHERE o.id = {index}.rowid / 2 AND o.desk IN ({marks})) END "
        )
    sql = f"SELECT rowid FROM {index} WHERE {index} MATCH ? {wall}ORDER BY rowid DESC LIMIT +?"  # noqa: S608
    return [Hit.of(row[0]) for row in tx.all(sql, (match, *seen, *(seen if wall else ()), limit))]


def _is_of(tx: Transaction, hit: Hit, desks: Sequence[str] | None) -> bool:
    if desks is None:
        return True
    marks = ", ".join("?" * len(desks))
    sql = {
        Box.INBOX: f"SELECT 1 FROM inbox_desk WHERE desk IN ({marks}) AND inbox = ?",  # noqa: S608
        Box.OUTBOX: f"SELECT 1 FROM outbox WHERE desk IN ({marks}) AND id = ?",  # noqa: S608
    }
    return tx.one(sql[hit.box], (*desks, hit.row)) is not None
