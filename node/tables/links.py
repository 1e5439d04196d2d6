"""Our links: what was signed to whom under which numbers, and how far each has come (SPEC 10.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from node.model import LinkState, Record, pack, unpack
from node.store import Row, Transaction
from protocol.messages.envelope import Core
from protocol.messages.message import Kind, Link
from protocol.messages.receipts import VoidReason
from protocol.names import EnvelopeId, Incarnation


def _evidence(inlink: int | None, place: int | None) -> tuple[int, int] | None:
    return None if inlink is None or place is None else (inlink, place)


class LinkRow(Record, frozen=True, gc=False):
    """One link; `envelope` is the row id of the envelope it was last sealed in, `hold` why it cannot be just now."""

    id: int
    peer: int
    incarnation: Incarnation
    first_seq: int
    count: int
    kind: Kind
    manifest: int
    raw: bytes
    leaf: bytes
    proof: bytes
    batch: int
    signed_at: int
    state: LinkState
    envelope: int | None
    relayed: bool
    hold: str | None
    wake_at: int | None
    first_attestation: int | None
    reseal_day: int
    reseals: int
    receipt: int | None
    receipt_place: int | None

    @property
    def evidence(self) -> tuple[int, int] | None:
        """The (inlink, place) of the receipt that says so, if one does."""
        return _evidence(self.receipt, self.receipt_place)

    @property
    def last_seq(self) -> int:
        """The last number that it takes or closes."""
        return self.first_seq + self.count - 1


_COLUMNS: Final = (
    "id, peer, incarnation, first_seq, count, kind, manifest, raw, leaf, proof, batch, signed_at, state, envelope, "
    "relayed, hold, wake_at, first_attestation, reseal_day, reseals, receipt, receipt_place"
)
_OF_LINK: Final = ", ".join(f"l.{name.strip()}" for name in _COLUMNS.split(","))
_SELECT: Final = f"SELECT {_COLUMNS} FROM link "  # noqa: S608 - fixed column names
_OPEN: Final = int(LinkState.OPEN)
_UNWANTED: Final = f"{int(VoidReason.WITHDRAWN)}, {int(VoidReason.EXPIRED)}"


def _link(row: Row) -> LinkRow:
    read: Row = (
        *row[:2],
        unpack(row[2]),
        *row[3:5],
        Kind(row[5]),
        *row[6:12],
        LinkState(row[12]),
        row[13],
        bool(row[14]),
    )
    return LinkRow(*read, *row[15:])


def add(
    tx: Transaction,
    peer: int,
    link: Link,
    leaf: bytes,
    manifest: int,
    proof: bytes,
    batch: int,
    at: int,
    state: LinkState,
) -> int:
    """The row id of this newly signed link."""
    return tx.add(
        "INSERT INTO link (peer, incarnation, first_seq, count, kind, manifest, raw, leaf, proof, batch, signed_at, state) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            peer,
            pack(link.incarnation),
            link.first_seq,
            link.count,
            int(link.kind),
            manifest,
            link.raw,
            leaf,
            proof,
            batch,
            at,
            int(state),
        ),
    )


# -- finding -----------------------------------------------------------------------------------------
def find(tx: Transaction, row_id: int) -> LinkRow:
    """The link with this row id."""
    return _link(tx.one(_SELECT + "WHERE id = ?", (row_id,)) or ())


def by_leaf(tx: Transaction, leaf: bytes) -> LinkRow | None:
    """The link with this leaf, None if it is none of ours."""
    row = tx.one(_SELECT + "WHERE leaf = ?", (leaf,))
    return _link(row) if row else None


def by_number(tx: Transaction, peer: int, incarnation: Incarnation, seq: int, kind: Kind) -> list[LinkRow]:
    """The links of this kind to the peer that take or close this number."""
    rows = tx.all(
        _SELECT
        + "WHERE peer = ? AND incarnation = ? AND first_seq BETWEEN ? AND ? AND first_seq + count > ? AND kind = ?",
        (peer, pack(incarnation), seq - 255, seq, seq, int(kind)),
    )
    return [_link(row) for row in rows]


def of_peer(tx: Transaction, peer: int, kinds: Sequence[Kind]) -> list[LinkRow]:
    """All links of these kinds to the peer, oldest first."""
    marks = ", ".join("?" * len(kinds))
    rows = tx.all(_SELECT + f"WHERE peer = ? AND kind IN ({marks}) ORDER BY id", (peer, *map(int, kinds)))
    return [_link(row) for row in rows]


def of_message(tx: Transaction, message: int) -> list[tuple[LinkRow, int]]:
    """(link, place) for each link that carried this message, oldest first."""
    rows = tx.all(
        f"SELECT p.place, {_OF_LINK} FROM placement p JOIN link l ON l.manifest = p.manifest "  # noqa: S608
        "WHERE p.message = ? ORDER BY l.id",
        (message,),
    )
    return [(_link(row[1:]), row[0]) for row in rows]


def manifest_of(tx: Transaction, message: int) -> int | None:
    """The row id of the manifest in which this message first went; None if it was not placed."""
    row = tx.one(
        "SELECT l.manifest FROM placement p JOIN link l ON l.manifest = p.manifest WHERE p.message = ? ORDER BY l.id LIMIT 1",
        (message,),
    )
    return row[0] if row else None


def open_of_kinds(tx: Transaction, kinds: Sequence[Kind]) -> list[LinkRow]:
    """All open links of these kinds, oldest first."""
    marks = ", ".join("?" * len(kinds))
    rows = tx.all(_SELECT + f"WHERE state = {_OPEN} AND kind IN ({marks}) ORDER BY id", tuple(map(int, kinds)))
    return [_link(row) for row in rows]


def under_way(tx: Transaction, envelope: int) -> list[LinkRow]:
    """The links whose newest envelope is this one."""
    return [_link(row) for row in tx.all(_SELECT + "WHERE envelope = ?", (envelope,))]


def manifest_digest(tx: Transaction, row_id: int) -> bytes:
    """The digest of the manifest of this link."""
    row = tx.one("SELECT m.digest FROM link l JOIN manifest m ON m.id = l.manifest WHERE l.id = ?", (row_id,))
    return bytes(row[0]) if row else b""


# -- time --------------------------------------------------------------------------------------------
def awake(tx: Transaction, now: int, limit: int) -> list[LinkRow]:
    """At most `limit` links whose time has come, oldest first."""
    # Nearly always nothing: a row of many columns costs its description even where there is none.
    sql = "SELECT id FROM link WHERE wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at, id LIMIT +?"
    return [find(tx, row[0]) for row in tx.all(sql, (now, limit))]


def next_wake(tx: Transaction) -> int | None:
    """The earliest time at which a link wants something; None if none does."""
    row = tx.one("SELECT min(wake_at) FROM link WHERE wake_at IS NOT NULL")
    return row[0] if row else None


def wake(tx: Transaction, row_id: int, at: int | None, hold: str | None = None) -> None:
    """Afterwards the link wants to be sealed (or judged) again at `at`, and is held for this reason until then."""
    tx.run("UPDATE link SET wake_at = ?, hold = ? WHERE id = ?", (at, hold, row_id))


def wake_open(tx: Transaction, row_id: int, at: int) -> None:
    """Afterwards the link, if it is open, is judged again at `at`."""
    tx.run(f"UPDATE link SET wake_at = ? WHERE id = ? AND state = {_OPEN}", (at, row_id))  # noqa: S608


def wake_peer(tx: Transaction, peer: int, at: int, *, refused_too: bool) -> None:
    """Afterwards the links to this peer that were held for want of a prekey are tried again at `at`.

    With `refused_too` also those that the hub refused.
    """
    reason = "hold <> 'reseal_limit'" if refused_too else "hold = 'no_prekey'"
    tx.run(f"UPDATE link SET wake_at = ? WHERE peer = ? AND state = {_OPEN} AND {reason}", (at, peer))  # noqa: S608


def wake_held_by(tx: Transaction, at: int) -> None:
    """Afterwards what is held for want of a prekey or of room is tried again at `at` at the latest."""
    reasons = "'no_prekey', 'prekey_unknown', 'prekey_expired', 'mailbox_full'"
    sql = f"UPDATE link SET wake_at = ? WHERE wake_at > ? AND state = {_OPEN} AND hold IN ({reasons})"  # noqa: S608
    tx.run(sql, (at, at))


def wake_open_by(tx: Transaction, at: int) -> None:
    """Afterwards every open link wants to be sealed again at `at` at the latest."""
    sql = f"UPDATE link SET wake_at = ? WHERE state = {_OPEN} AND (wake_at IS NULL OR wake_at > ?)"  # noqa: S608
    tx.run(sql, (at, at))


def wake_unanswered(tx: Transaction, at: int) -> None:
    """Afterwards every open link that no hub is known to hold wants to be sealed again at `at`."""
    tx.run(f"UPDATE link SET wake_at = ? WHERE state = {_OPEN} AND NOT relayed AND hold IS NULL", (at,))  # noqa: S608


# -- envelopes ---------------------------------------------------------------------------------------
def keep_envelope(tx: Transaction, core: Core, links: Iterable[int], wake_at: int) -> int:
    """The row id of a new envelope, in which these links are from now on; unanswered, they wake at `wake_at`."""
    row_id = tx.add(
        "INSERT INTO envelope (envelope_id, core, expires_at) VALUES (?, ?, ?)", (core.id, core.raw, core.expires_at)
    )
    rows = [(row_id, wake_at, link) for link in links]
    tx.many("UPDATE link SET envelope = ?, relayed = 0, hold = NULL, wake_at = ? WHERE id = ?", rows)
    return row_id


def envelope_row(tx: Transaction, envelope_id: EnvelopeId) -> int | None:
    """The row id of an envelope of ours, None if it is none."""
    row = tx.one("SELECT id FROM envelope WHERE envelope_id = ?", (envelope_id,))
    return row[0] if row else None


def envelope_id(tx: Transaction, row_id: int) -> EnvelopeId:
    """The id of the envelope with this row id."""
    return EnvelopeId((tx.one("SELECT envelope_id FROM envelope WHERE id = ?", (row_id,)) or (b"",))[0])


def accepted(tx: Transaction, row_id: int, attestation: int, *, newest: bool) -> None:
    """Afterwards the link's acceptance is known; and if it is its newest envelope's, that the hub holds it."""
    tx.run(
        "UPDATE link SET relayed = max(relayed, ?), hold = CASE WHEN ? THEN NULL ELSE hold END, "
        "first_attestation = coalesce(first_attestation, ?) WHERE id = ?",
        (newest, newest, attestation, row_id),
    )


# -- states ------------------------------------------------------------------------------------------
def settle(tx: Transaction, row_id: int, to: LinkState, receipt: tuple[int, int] | None = None) -> None:
    """Afterwards the link is in a state that wants nothing more; `receipt` is (inlink, place) of what says so."""
    inlink, place = receipt or (None, None)
    tx.run(
        "UPDATE link SET state = ?, wake_at = NULL, hold = NULL, receipt = coalesce(?, receipt), "
        "receipt_place = coalesce(?, receipt_place) WHERE id = ?",
        (int(to), inlink, place, row_id),
    )


def reopen(tx: Transaction, row_id: int, at: int) -> None:
    """Afterwards the link is open, and wants to be sealed again at `at`."""
    tx.run(f"UPDATE link SET state = {_OPEN}, relayed = 0, wake_at = ?, hold = NULL WHERE id = ?", (at, row_id))  # noqa: S608


def count_reseal(tx: Transaction, row_id: int, day: int, count: int) -> None:
    """Afterwards the link was asked for anew `count` times on this day."""
    tx.run("UPDATE link SET reseal_day = ?, reseals = ? WHERE id = ?", (day, count, row_id))


def release(tx: Transaction, peer: int, incarnation: Incarnation, last: int) -> None:
    """Afterwards our receipts and notices of this incarnation up to number `last` are released."""
    # Without this index each link that comes in would go through all that were ever sent to its peer.
    tx.run(
        "UPDATE link INDEXED BY link_unreleased "  # noqa: S608
        f"SET state = {int(LinkState.RELEASED)}, wake_at = NULL, hold = NULL WHERE peer = ? "
        f"AND incarnation = ? AND first_seq + count - 1 <= ? AND kind IN (2, 4) AND state = {_OPEN}",
        (peer, pack(incarnation), last),
    )


# -- numbers that differ from their link -----------------------------------------------------------------
class NumberRow(Record, frozen=True, gc=False):
    """A number that has gone another way than its link; `reason` is why it is or will be void."""

    link: int
    place: int
    state: LinkState
    reason: VoidReason | None
    void_link: int | None
    receipt: int | None
    receipt_place: int | None

    @property
    def evidence(self) -> tuple[int, int] | None:
        """The (inlink, place) of the receipt that says so, if one does."""
        return _evidence(self.receipt, self.receipt_place)


def _number(row: Row) -> NumberRow:
    return NumberRow(row[0], row[1], LinkState(row[2]), VoidReason(row[3]) if row[3] else None, *row[4:])


_NUMBER: Final = "SELECT link, place, state, reason, void_link, receipt, receipt_place FROM number_out "


def numbers(tx: Transaction, link: int) -> dict[int, NumberRow]:
    """The numbers of this link that have gone another way, by place."""
    return {row[1]: _number(row) for row in tx.all(_NUMBER + "WHERE link = ? ORDER BY place", (link,))}


def begin_void(tx: Transaction, link: int, places: Iterable[int], reason: VoidReason) -> None:
    """Afterwards these numbers are to be voided, unless they had gone another way already."""
    tx.many(
        f"INSERT OR IGNORE INTO number_out (link, place, state, reason) VALUES (?, ?, {int(LinkState.VOIDING)}, ?)",  # noqa: S608
        [(link, place, int(reason)) for place in places],
    )


def being_voided(tx: Transaction, reason: VoidReason) -> list[LinkRow]:
    """The links under way with a number that is to be closed for this reason and that no receipt closed yet."""
    numbers = f"SELECT link FROM number_out WHERE state = {int(LinkState.VOIDING)} AND reason = ?"  # noqa: S608
    rows = tx.all(_SELECT + f"WHERE envelope IS NOT NULL AND id IN ({numbers}) ORDER BY id", (int(reason),))
    return [_link(row) for row in rows]


def unvoided(tx: Transaction) -> list[NumberRow]:
    """The numbers to be voided for which no void was signed yet, in order."""
    where = f"WHERE state = {int(LinkState.VOIDING)} AND void_link IS NULL ORDER BY link, place"
    return [_number(row) for row in tx.all(_NUMBER + where)]


def voided_by(tx: Transaction, link: int, places: Iterable[int], void_link: int) -> None:
    """Afterwards these numbers are closed by this void."""
    rows = [(void_link, link, place) for place in places]
    tx.many("UPDATE number_out SET void_link = ? WHERE link = ? AND place = ?", rows)


def settle_number(tx: Transaction, link: int, place: int, to: LinkState, receipt: tuple[int, int]) -> None:
    """Afterwards this number is in a state that `receipt`, (inlink, place), proves; its reason stays."""
    tx.run(
        "INSERT INTO number_out (link, place, state, receipt, receipt_place) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (link, place) DO UPDATE SET state = excluded.state, receipt = excluded.receipt, "
        "receipt_place = excluded.receipt_place",
        (link, place, int(to), *receipt),
    )


def reopen_numbers(tx: Transaction, link: int, place: int) -> None:
    """Afterwards numbers from this place on that were delivered are as open as their link; void or unwanted ones are voiding."""
    delivered, void, voiding = (int(each) for each in (LinkState.DELIVERED, LinkState.VOID, LinkState.VOIDING))
    unwanted = f"state = {void} OR state = {delivered} AND reason IN ({_UNWANTED})"
    these = "WHERE link = ? AND place >= ? AND"
    tx.run(f"UPDATE number_out SET state = {voiding} {these} ({unwanted})", (link, place))  # noqa: S608
    tx.run(f"DELETE FROM number_out {these} state = {delivered}", (link, place))  # noqa: S608


def voided(tx: Transaction, void_link: int) -> list[tuple[int, int]]:
    """(link, place) of each number that this void closes."""
    rows = tx.all("SELECT link, place FROM number_out WHERE void_link = ? ORDER BY link, place", (void_link,))
    return [(row[0], row[1]) for row in rows]


def accepted_at(tx: Transaction, attestation: int) -> int:
    """When the hub accepted a link, by this attestation of it."""
    row = tx.one("SELECT at FROM attestation WHERE id = ?", (attestation,))
    return row[0] if row else 0
