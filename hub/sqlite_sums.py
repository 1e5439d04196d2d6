"""What the rows of the hub's database must say of each other; where they do not, the disk changed one of them.

`hub.sqlite_check` reads what members signed and what the hub signed for them.  The rest is the hub's own bookkeeping,
under no signature, in which one bit shuts a member out or stops the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from hub.log import HUB
from hub.schema import POSITION_BITS
from hub.shares import Share, decode_shares
from hub.sqlite_base import LAST_POSITION
from hub.sqlite_store import SqliteTransaction
from protocol.bodies import Role
from protocol.errors import ValijaError, VerificationError
from protocol.names import show_id
from protocol.trust.prekeys import SignedCalendar
from protocol.trust.registry import Registry


class About(StrEnum):
    """What does not add up."""

    CURSORS = "cursors"
    COUNTS = "counts"
    MAILBOXES = "mailboxes"
    ENVELOPES = "envelopes"
    INCARNATION = "incarnation"
    CALENDARS = "calendars"


class Wrong(NamedTuple):
    """One contradiction: what it is about, and what is said of whom."""

    about: About
    found: str


def contradictions(tx: SqliteTransaction, registry: Registry) -> Iterator[Wrong]:
    """Everything in the database that contradicts the rest of it, or this registry.  `StoreError` if it cannot be read."""
    for about, look in _LOOKS.items():
        yield from (Wrong(about, found) for found in look(tx))
    yield from (Wrong(About.INCARNATION, found) for found in _incarnation(tx, registry))
    yield from (Wrong(About.CALENDARS, found) for found in _calendars(tx, registry))


def _cursors(tx: SqliteTransaction) -> Iterator[str]:
    sql = (
        "SELECT name, acknowledged, handed_over, last_position FROM member "
        "WHERE NOT (0 <= acknowledged AND acknowledged <= handed_over AND handed_over <= last_position)"
    )
    for name, acknowledged, handed_over, last in tx.rows(sql):
        yield f"{name}: acknowledged {acknowledged}, handed over {handed_over}, last position {last}"


def _counts(tx: SqliteTransaction) -> Iterator[str]:
    sums: dict[int, dict[str, Share]] = {}
    sql = (
        "SELECT i.place >> ?, e.sender, count(*), sum(i.size_bytes) FROM item i "
        "JOIN envelope e ON e.ref = i.ref GROUP BY 1, 2"
    )
    for number, sender, messages, size_bytes in tx.rows(sql, POSITION_BITS):
        sums.setdefault(number, {})[sender] = Share(messages, size_bytes)
    for number, name, *told in tx.rows("SELECT id, name, messages, waiting_bytes, shares FROM member"):
        shares = sums.get(number, {})
        messages, size_bytes = (sum(share[column] for share in shares.values()) for column in (0, 1))
        if told[:2] != [messages, size_bytes]:
            yield f"{name}: {told[0]} messages of {told[1]} bytes counted, {messages} of {size_bytes} wait"
        elif _shares(told[2]) != shares:
            yield f"{name}: the shares of its senders are not what waits"


def _shares(raw: bytes) -> object:
    try:
        return decode_shares(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_IS_SOUND: Final = {
    "m.id IS NOT NULL": "in the mailbox of nobody",
    "(i.place & ?2) > m.acknowledged AND (i.place & ?2) <= m.last_position": "at a position that is not given out",
    "i.ref IS NULL OR e.ref IS NOT NULL": "of no envelope",
    "i.ref IS NULL OR c.ref IS NOT NULL": "without ciphertext",
    "(i.ref IS NULL) = (i.slot IS NULL)": "neither slot nor notice",
    "i.ref IS NULL OR a.position = (i.place & ?2)": "accepted for another position",
    "i.ref IS NOT NULL OR (b.id IS NOT NULL AND i.expires_at IS NOT NULL "
    "AND i.data IS NOT NULL AND i.salt IS NOT NULL AND i.leaf IS NOT NULL AND i.path IS NOT NULL)": "half a notice",
}
_ITEMS: Final = (
    "SELECT m.name, i.place & ?2, "  # noqa: S608 - constant conditions
    f"CASE {' '.join(f'WHEN NOT ifnull({sound}, 0) THEN {wrong!r}' for sound, wrong in _IS_SOUND.items())} END AS wrong "
    "FROM item i LEFT JOIN member m ON m.id = i.place >> ?1 LEFT JOIN envelope e ON e.ref = i.ref "
    "LEFT JOIN content c ON c.ref = i.ref LEFT JOIN acceptance a ON a.ref = i.ref AND a.recipient = m.name "
    "LEFT JOIN batch b ON b.id = i.batch WHERE wrong IS NOT NULL"
)


def _items(tx: SqliteTransaction) -> Iterator[str]:
    for name, position, wrong in tx.rows(_ITEMS, POSITION_BITS, LAST_POSITION):
        yield f"{name or 'nobody'}, position {position}: {wrong}"


_ENVELOPES: Final = (
    "SELECT e.id, e.waiting, count(i.ref), c.ref IS NOT NULL FROM envelope e LEFT JOIN content c ON c.ref = e.ref "
    "LEFT JOIN item i ON i.ref = e.ref GROUP BY e.ref "
    "HAVING e.waiting != count(i.ref) OR (c.ref IS NOT NULL) != (count(i.ref) > 0)"
)
_STRAYS: Final = (
    "SELECT 'ciphertext', ref FROM content WHERE ref NOT IN (SELECT ref FROM envelope) "
    "UNION ALL SELECT 'acceptance', ref FROM acceptance WHERE ref NOT IN (SELECT ref FROM envelope)"
)


def _envelopes(tx: SqliteTransaction) -> Iterator[str]:
    for envelope_id, told, waiting, is_kept in tx.rows(_ENVELOPES):
        kept = "kept" if is_kept else "not kept"
        yield f"{show_id('env', envelope_id)}: {told} counted, {waiting} wait, ciphertext {kept}"
    for what, ref in tx.rows(_STRAYS):
        yield f"{what} of an envelope {ref} that is not there"


def _incarnation(tx: SqliteTransaction, registry: Registry) -> Iterator[str]:
    held, logged = tx.incarnation(), registry.incarnations(Role.HUB, HUB)
    # None: put back from a backup, and not started since.
    if held is not None and held not in logged[-1:]:
        yield f"the hub's incarnation {held.value()} is not the newest that the log holds"


def _calendars(tx: SqliteTransaction, registry: Registry) -> Iterator[str]:
    for member, raw in tx.rows("SELECT member, signed FROM calendar ORDER BY member"):
        try:
            _check_calendar(member, raw, registry)
        except ValijaError as error:
            yield f"{member}: {error.code}"


def _check_calendar(member: str, raw: bytes, registry: Registry) -> None:
    signed = SignedCalendar.from_bytes(raw)
    # In standing or not: one that is old is nobody's fault.
    record = registry.certificate(signed.claimed.certificate)
    calendar = signed.verify(record.key)
    if (record.role, record.party, calendar.member) != (Role.NODE, calendar.party, member):
        raise VerificationError("another's")


_LOOKS: Final[dict[About, Callable[[SqliteTransaction], Iterator[Any]]]] = {
    About.CURSORS: _cursors,
    About.COUNTS: _counts,
    About.MAILBOXES: _items,
    About.ENVELOPES: _envelopes,
}
