"""The other members: what was numbered to them, what was heard of them."""

from __future__ import annotations

from dataclasses import dataclass

from node.model import pack, unpack
from node.store import Row, Transaction
from protocol.names import AssociationId, Incarnation, Party


@dataclass(frozen=True, slots=True)
class Peer:
    """A member that we wrote to or heard of; `newest` is the newest incarnation of it that was applied."""

    id: int
    party: Party
    newest: Incarnation | None
    sent_at: int
    heard_at: int
    traffic_at: int
    notice_due: bool


_COLUMNS = "id, association, member, newest, sent_at, heard_at, traffic_at, notice_due"


def _peer(row: Row) -> Peer:
    newest = unpack(row[3]) if row[3] else None
    return Peer(row[0], Party(AssociationId(row[1]), row[2]), newest, row[4], row[5], row[6], bool(row[7]))


def meet(tx: Transaction, party: Party) -> Peer:
    """The peer of this party, made where it was not known."""
    key = (party.association, party.member)
    sql = f"SELECT {_COLUMNS} FROM peer WHERE association = ? AND member = ?"  # noqa: S608 - fixed column names
    row = tx.one(sql, key)
    if row is None:
        tx.run("INSERT INTO peer (association, member) VALUES (?, ?)", key)
        row = tx.one(sql, key)
    return _peer(row or ())


def find(tx: Transaction, peer: int) -> Peer:
    """The peer with this row id."""
    return _peer(tx.one(f"SELECT {_COLUMNS} FROM peer WHERE id = ?", (peer,)) or ())  # noqa: S608


def everyone(tx: Transaction) -> list[Peer]:
    """All peers, by row id."""
    return [_peer(row) for row in tx.all(f"SELECT {_COLUMNS} FROM peer ORDER BY id")]  # noqa: S608


def due_notices(tx: Transaction) -> list[Peer]:
    """The peers that must learn of our new incarnation."""
    return [_peer(row) for row in tx.all(f"SELECT {_COLUMNS} FROM peer WHERE notice_due ORDER BY id")]  # noqa: S608


def due_notice(tx: Transaction, peer: int) -> None:
    """Afterwards the peer is due a notice."""
    tx.run("UPDATE peer SET notice_due = 1 WHERE id = ?", (peer,))


def noticed(tx: Transaction, peer: int) -> None:
    """Afterwards the peer is due none."""
    tx.run("UPDATE peer SET notice_due = 0 WHERE id = ?", (peer,))


def sent(tx: Transaction, peer: int, at: int, *, traffic: bool) -> None:
    """A link to the peer was signed; `traffic` if it was not an empty one."""
    tx.run(
        "UPDATE peer SET sent_at = ?, traffic_at = max(traffic_at, ?) WHERE id = ?", (at, at if traffic else 0, peer)
    )


def heard(tx: Transaction, peer: int, at: int, newest: Incarnation, *, traffic: bool) -> Peer:
    """The peer, now that a link of it was applied and `newest` is its newest incarnation; from the first on days are counted."""
    (row,) = tx.all(
        "UPDATE peer SET heard_at = ?, silent = 0, newest = ?, traffic_at = max(traffic_at, ?), "  # noqa: S608
        f"sent_at = CASE sent_at WHEN 0 THEN ? ELSE sent_at END WHERE id = ? RETURNING {_COLUMNS}",
        (at, pack(newest), at if traffic else 0, at, peer),
    )
    return _peer(row)


def quiet(tx: Transaction, sent_before: int, traffic_after: int) -> list[Peer]:
    """The peers with traffic since `traffic_after` to whom no link went since `sent_before`."""
    sql = f"SELECT {_COLUMNS} FROM peer WHERE sent_at <= ? AND traffic_at >= ? ORDER BY id"  # noqa: S608
    return [_peer(row) for row in tx.all(sql, (sent_before, traffic_after))]


def fallen_silent(tx: Transaction, heard_before: int, traffic_after: int) -> list[Peer]:
    """The peers heard of before, with traffic since `traffic_after`, silent since `heard_before`; each told once."""
    where = "heard_at BETWEEN 1 AND ? AND traffic_at >= ? AND NOT silent"
    rows = tx.all(f"SELECT {_COLUMNS} FROM peer WHERE {where}", (heard_before, traffic_after))  # noqa: S608
    tx.run(f"UPDATE peer SET silent = 1 WHERE {where}", (heard_before, traffic_after))  # noqa: S608
    return [_peer(row) for row in rows]


# -- our series to a peer ----------------------------------------------------------------------------
def next_seq(tx: Transaction, peer: int, incarnation: Incarnation) -> int:
    """The next unused number to the peer in this incarnation of ours."""
    row = tx.one("SELECT next_seq FROM own_series WHERE peer = ? AND incarnation = ?", (peer, pack(incarnation)))
    return int(row[0]) if row else 1


def take_numbers(tx: Transaction, peer: int, incarnation: Incarnation, upto: int) -> None:
    """Afterwards the numbers below `upto` are used."""
    tx.run(
        "INSERT INTO own_series (peer, incarnation, next_seq) VALUES (?, ?, ?) "
        "ON CONFLICT (peer, incarnation) DO UPDATE SET next_seq = max(next_seq, excluded.next_seq)",
        (peer, pack(incarnation), upto),
    )


# -- a peer's series to us ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Series:
    """What is held of one incarnation of a peer: all numbers up to `contiguous`, none above `highest`."""

    id: int
    incarnation: Incarnation
    contiguous: int
    highest: int


def series(tx: Transaction, peer: int, incarnation: Incarnation) -> Series:
    """The series of this incarnation of the peer, made where it was not known."""
    key = (peer, pack(incarnation))
    sql = "SELECT id, contiguous, highest FROM peer_series WHERE peer = ? AND incarnation = ?"
    row = tx.one(sql, key)
    if row is None:
        return Series(tx.add("INSERT INTO peer_series (peer, incarnation) VALUES (?, ?)", key), incarnation, 0, 0)
    return Series(row[0], incarnation, row[1], row[2])


def all_series(tx: Transaction, peer: int) -> list[Series]:
    """Every series heard of the peer, oldest incarnation first."""
    sql = "SELECT id, incarnation, contiguous, highest FROM peer_series WHERE peer = ? ORDER BY incarnation"
    return [Series(row[0], unpack(row[1]), row[2], row[3]) for row in tx.all(sql, (peer,))]


def held(tx: Transaction, before: Series, first: int, last: int) -> Series:
    """The series after the numbers `first` to `last` were recorded, stored."""
    contiguous = before.contiguous
    if first <= contiguous + 1:
        contiguous = max(contiguous, last)
    # What had come early is reached when the gap before it closes.
    while contiguous < before.highest:
        if not tx.one("SELECT 1 FROM number_in WHERE series = ? AND seq = ?", (before.id, contiguous + 1)):
            break
        contiguous += 1
    after = Series(before.id, before.incarnation, contiguous, max(before.highest, last))
    tx.run("UPDATE peer_series SET contiguous = ?, highest = ? WHERE id = ?", (contiguous, after.highest, after.id))
    return after
