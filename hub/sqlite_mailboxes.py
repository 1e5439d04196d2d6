"""Envelopes, mailboxes and expiry in SQLite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hub.schema import POSITION_BITS
from hub.sqlite_base import LAST_POSITION, SqliteBase, translated
from hub.store import Acceptance, EnvelopeRecord, Freed, NewItem, NewNotice, Queue, StoredAttestation, Waiting
from protocol.errors import ConflictError, StoreError
from protocol.merkle import HASH_BYTES


class SqliteMailboxes(SqliteBase):
    """What `hub.store.Transaction` says of envelopes, mailboxes and expiry."""

    # -- envelopes
    @translated
    def submitted(self, sender: str, submission: bytes) -> EnvelopeRecord | None:
        """See `Transaction.submitted`."""
        sql = "SELECT ref, id, sender, expires_at FROM envelope WHERE sender = ? AND submission = ?"
        row = self._one(sql, sender, submission)
        return None if row is None else EnvelopeRecord(*row)

    @translated
    def envelope(self, envelope_id: bytes) -> EnvelopeRecord | None:
        """See `Transaction.envelope`."""
        row = self._one("SELECT ref, id, sender, expires_at FROM envelope WHERE id = ?", envelope_id)
        return None if row is None else EnvelopeRecord(*row)

    @translated
    def add_envelope(self, envelope_id: bytes, sender: str, submission: bytes, expires_at: int) -> int:
        """See `Transaction.add_envelope`."""
        sql = "INSERT INTO envelope (id, sender, submission, expires_at) VALUES (?, ?, ?, ?)"
        ref = self._execute(sql, envelope_id, sender, submission, expires_at).lastrowid
        return ref or 0

    @translated
    def acceptance(self, ref: int, recipient: str) -> Acceptance | None:
        """See `Transaction.acceptance`."""
        row = self._one("SELECT * FROM acceptance WHERE ref = ? AND recipient = ?", ref, recipient)
        return None if row is None else _acceptance(*row)

    @translated
    def add_acceptances(self, acceptances: Sequence[Acceptance]) -> None:
        """See `Transaction.add_acceptances`."""
        self._many(
            "INSERT INTO acceptance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (each.ref, each.recipient, each.position, each.slot_digest, *_columns(each.attestation))
                for each in acceptances
            ],
        )

    @translated
    def add_batch(self, signature: bytes, keep_until: int) -> int:
        """See `Transaction.add_batch`."""
        number = self._execute("INSERT INTO batch VALUES (NULL, ?, ?)", signature, keep_until).lastrowid
        return number or 0

    @translated
    def batch(self, batch: int) -> bytes:
        """See `Transaction.batch`."""
        signature = self._blob("SELECT signature FROM batch WHERE id = ?", batch)
        if signature is None:
            raise StoreError("batch signature")
        return signature

    # -- mailboxes
    @translated
    def keep_content(self, ref: int, core: bytes, ciphertext: bytes) -> None:
        """See `Transaction.keep_content`."""
        sql = "INSERT INTO content VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        if self._execute(sql, ref, core, ciphertext).rowcount == 1:
            self._contents[ref] = core, ciphertext

    def _content(self, ref: int) -> tuple[bytes, bytes]:
        # What is accepted and delivered at once is not read back, and what many wait for is read once.
        found: tuple[bytes, bytes] | None = self._contents.get(ref)
        if found is None:
            found = self._one("SELECT core, ciphertext FROM content WHERE ref = ?", ref)
            if found is None:
                raise StoreError("content is not kept")
            self._contents[ref] = found
        return found

    @translated
    def add_items(self, items: Sequence[NewItem]) -> None:
        """See `Transaction.add_items`."""
        self._many(
            "INSERT INTO item (place, ref, slot, size_bytes, queued_at_ms) VALUES (?, ?, ?, ?, ?)",
            [
                (self._place(each.member, each.position), each.ref, each.slot, each.size_bytes, each.queued_at_ms)
                for each in items
            ],
        )
        for ref, count in Counter(each.ref for each in items).items():
            sql = "UPDATE envelope SET waiting = waiting + ? WHERE ref IN (SELECT ref FROM content WHERE ref = ?)"
            if self._execute(sql, count, ref).rowcount != 1:
                raise StoreError("content is not kept")

    @translated
    def add_notices(self, notices: Sequence[NewNotice]) -> None:
        """See `Transaction.add_notices`."""
        self._many(
            "INSERT INTO item (place, size_bytes, queued_at_ms, expires_at, data, salt, leaf, path, batch) "
            "VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    self._place(each.member, each.position),
                    each.queued_at_ms,
                    each.expires_at,
                    *_columns(each.attestation),
                )
                for each in notices
            ],
        )

    @translated
    def waiting(self, member: str, after: int, max_items: int, max_bytes: int) -> list[Waiting]:
        """See `Transaction.waiting`."""
        first, last = self._place(member, after), self._place(member, LAST_POSITION)
        rows = self._execute(
            "SELECT i.place, i.ref, i.slot, i.size_bytes, i.queued_at_ms, a.data, a.salt, a.leaf, a.path, "
            "a.batch, i.data, i.salt, i.leaf, i.path, i.batch FROM item i "
            "LEFT JOIN acceptance a ON a.ref = i.ref AND a.recipient = ? "
            "WHERE i.place > ? AND i.place <= ? ORDER BY i.place LIMIT ?",
            member,
            first,
            last,
            max_items,
        )
        # Fetched one by one: what would pass the limit is not read from the disk.
        found: list[Waiting] = []
        for row in rows:
            max_bytes -= row[3]
            if max_bytes < 0:
                break
            found.append(self._waiting(row))
        return found

    def _waiting(self, row: Any) -> Waiting:
        place, ref, slot, size_bytes, queued_at_ms, *columns = row
        position = place & LAST_POSITION
        if slot is None:
            return Waiting(position, None, b"", None, _attestation(*columns[5:]), size_bytes, queued_at_ms)
        core, ciphertext = self._content(ref)
        return Waiting(position, core, ciphertext, slot, _attestation(*columns[:5]), size_bytes, queued_at_ms)

    @translated
    def remove_up_to(self, member: str, position: int) -> Freed:
        """See `Transaction.remove_up_to`."""
        return self._remove(self._place(member, 0), self._place(member, position))

    @translated
    def remove_at(self, member: str, position: int) -> Freed | None:
        """See `Transaction.remove_at`."""
        place = self._place(member, position)
        if self._one("SELECT 1 FROM item WHERE place = ? AND ref IS NOT NULL", place) is None:
            return None
        return self._remove(place, place)

    def _remove(self, first: int, last: int) -> Freed:
        rows = self._execute(
            "DELETE FROM item WHERE place BETWEEN ? AND ? RETURNING place, ref, size_bytes, queued_at_ms, "
            "(SELECT sender FROM envelope WHERE envelope.ref = item.ref)",
            first,
            last,
        ).fetchall()
        slots = [row for row in rows if row[1] is not None]
        counts = Counter(row[1] for row in slots)
        self._many("UPDATE envelope SET waiting = waiting - ? WHERE ref = ?", [(n, ref) for ref, n in counts.items()])
        self._many(
            "DELETE FROM content WHERE ref = ?1 AND (SELECT waiting FROM envelope WHERE ref = ?1) = 0",
            [(ref,) for ref in counts],
        )
        sizes, queued_at_ms, senders = (tuple([row[column] for row in slots]) for column in (2, 3, 4))
        return Freed(sizes, queued_at_ms, senders)

    @translated
    def queues(self) -> list[Queue]:
        """See `Transaction.queues`."""
        rows = self._execute(
            "SELECT m.name, count(*), m.waiting_bytes, min(i.place) FROM member m "
            "JOIN item i ON i.place BETWEEN m.id << ?1 AND (m.id << ?1) + ?2 GROUP BY m.id ORDER BY m.name",
            POSITION_BITS,
            LAST_POSITION,
        ).fetchall()
        oldest = "SELECT queued_at_ms FROM item WHERE place = ?"
        return [Queue(name, count, size, self._one(oldest, place)[0]) for name, count, size, place in rows]

    # -- expiry
    @translated
    def overdue(self, now: int, limit: int) -> list[EnvelopeRecord]:
        """See `Transaction.overdue`."""
        sql = "SELECT ref, id, sender, expires_at FROM envelope WHERE expires_at <= ? ORDER BY expires_at, ref LIMIT ?"
        return [EnvelopeRecord(*row) for row in self._execute(sql, now, limit)]

    @translated
    def undelivered(self, ref: int) -> list[Acceptance]:
        """See `Transaction.undelivered`."""
        rows = self._execute(
            "SELECT a.* FROM acceptance a JOIN member m ON m.name = a.recipient "
            "JOIN item i ON i.place = (m.id << ?) + a.position WHERE a.ref = ? ORDER BY a.recipient",
            POSITION_BITS,
            ref,
        )
        return [_acceptance(*row) for row in rows]

    @translated
    def forget(self, ref: int) -> None:
        """See `Transaction.forget`."""
        if self._one("SELECT 1 FROM content WHERE ref = ?", ref) is not None:
            raise ConflictError("an item still waits")
        self._execute("DELETE FROM acceptance WHERE ref = ?", ref)
        self._execute("DELETE FROM envelope WHERE ref = ?", ref)

    @translated
    def purge(self, now: int) -> None:
        """See `Transaction.purge`."""
        self._execute("DELETE FROM item WHERE expires_at IS NOT NULL AND expires_at <= ?", now)
        self._execute("DELETE FROM batch WHERE keep_until <= ?", now)

    @translated
    def next_expiry(self) -> int | None:
        """See `Transaction.next_expiry`."""
        # Each is the first entry of an index; over their union SQLite would read them all.
        times = [
            self._number("SELECT min(expires_at) FROM envelope"),
            self._number("SELECT min(expires_at) FROM item WHERE expires_at IS NOT NULL"),
            self._number("SELECT min(keep_until) FROM batch"),
        ]
        return min((time for time in times if time is not None), default=None)


def _columns(attestation: StoredAttestation) -> tuple[bytes, bytes, int, bytes, int]:
    return (attestation.data, attestation.salt, attestation.index, b"".join(attestation.path), attestation.batch)


def _attestation(data: bytes, salt: bytes, leaf: int, path: bytes, batch: int) -> StoredAttestation:
    steps = tuple([path[start : start + HASH_BYTES] for start in range(0, len(path), HASH_BYTES)])
    return StoredAttestation(data, salt, leaf, steps, batch)


def _acceptance(ref: int, recipient: str, position: int, slot_digest: bytes, *columns: Any) -> Acceptance:
    return Acceptance(ref, recipient, position, slot_digest, _attestation(*columns))
