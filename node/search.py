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
from typing import Final

from node.store import Transaction
from node.tables import state
from protocol.errors import PeerError, UsageError
from protocol.messages.content import Content, from_json
from protocol.names import MESSAGE_ID_BYTES, MessageId, read_id

ROWS_A_STEP: Final = 128
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
    """Index at most `limit` further messages of each box; gives how many, 0 once everything is indexed."""
    return sum(_follow(tx, box, limit) for box in Box)


def behind(tx: Transaction) -> int:
    """How many messages are not indexed yet, at most."""
    top = tx.all("SELECT name, seq FROM sqlite_sequence WHERE name IN ('inbox', 'outbox')")
    return sum(seq - _watermark(tx, Box[name.upper()]) for name, seq in top)


def _watermark(tx: Transaction, box: Box) -> int:
    return int(state.get(tx, f"indexed {box.name}") or 0)


def _follow(tx: Transaction, box: Box, limit: int) -> int:
    rows = tx.all(_SOURCES[box], (_watermark(tx, box), limit))
    for row_id, message_id, document in rows:
        _index(tx, Hit(box, row_id).item, MessageId(message_id), document)
    if rows:
        state.put(tx, f"indexed {box.name}", rows[-1][0])
    return len(rows)


def _index(tx: Transaction, item: int, message_id: MessageId, document: bytes) -> None:
    try:
        content = from_json(document)
    except PeerError:
        return  # it was verified when it came; a document of a later schema is shown, and not searched
    tx.run("INSERT INTO words (rowid, subject, body) VALUES (?, ?, ?)", (item, content.subject, content.body.text))
    if content.case_reference:
        tx.run("INSERT INTO cases (rowid, reference) VALUES (?, ?)", (item, content.case_reference))
    root = thread_of(content, message_id)
    tx.run("INSERT OR IGNORE INTO thread (root, item) VALUES (?, ?)", (root, item))


def thread_of(content: Content, message_id: MessageId) -> MessageId:
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
    rows = tx.all("SELECT item FROM thread WHERE root = ? ORDER BY item", (root,))
    return [hit for hit in (Hit.of(row[0]) for row in rows) if _is_of(tx, hit, desks)]


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
