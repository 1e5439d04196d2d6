"""The store in memory: the same promises as the SQLite one but durability beyond the process.

A store that is dropped while a transaction is open has forgotten it: `crash` says so.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence

from hub.memory_base import StoredEnvelope, Tables
from hub.memory_operators import MemoryOperators
from hub.store import (
    Acceptance,
    Account,
    EnvelopeRecord,
    Freed,
    NewItem,
    NewNotice,
    Queue,
    Waiting,
)
from protocol.errors import ConflictError, StoreError
from protocol.names import Incarnation


class MemoryStore:
    """A hub's memory that lives as long as this object; for tests, simulators and measurements."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._tables = Tables()
        self._open: MemoryTransaction | None = None

    def begin(self) -> MemoryTransaction:
        """A new transaction; `StoreError` while another is open."""
        if self._open is not None and self._open.alive:
            raise StoreError("a transaction is open")
        self._open = MemoryTransaction(self._tables)
        return self._open

    def crash(self) -> None:
        """Lose what was not committed, as a process that ends does."""
        if self._open is not None:
            self._open.rollback()

    def close(self) -> None:
        """Lose what was not committed."""
        self.crash()


class MemoryTransaction(MemoryOperators):
    """See `hub.store.Transaction`."""

    # -- members
    def account(self, member: str) -> Account:
        """See `Transaction.account`."""
        return self._tables.accounts.get(member, Account())

    def put_accounts(self, accounts: Mapping[str, Account]) -> None:
        """See `Transaction.put_accounts`."""
        for member, account in accounts.items():
            self._put(self._tables.accounts, member, account)

    def calendar(self, member: str) -> bytes | None:
        """See `Transaction.calendar`."""
        return self._tables.calendars.get(member)

    def put_calendar(self, member: str, calendar: bytes) -> None:
        """See `Transaction.put_calendar`."""
        self._put(self._tables.calendars, member, calendar)

    # -- envelopes
    def submitted(self, sender: str, submission: bytes) -> EnvelopeRecord | None:
        """See `Transaction.submitted`."""
        ref = self._tables.submissions.get((sender, submission))
        return None if ref is None else self._tables.envelopes[ref].record

    def envelope(self, envelope_id: bytes) -> EnvelopeRecord | None:
        """See `Transaction.envelope`."""
        ref = self._tables.refs.get(envelope_id)
        return None if ref is None else self._tables.envelopes[ref].record

    def add_envelope(self, envelope_id: bytes, sender: str, submission: bytes, expires_at: int) -> int:
        """See `Transaction.add_envelope`."""
        if envelope_id in self._tables.refs or (sender, submission) in self._tables.submissions:
            raise ConflictError("envelope")
        ref = self._number("envelope")
        self._put(self._tables.refs, envelope_id, ref)
        self._put(self._tables.submissions, (sender, submission), ref)
        record = EnvelopeRecord(ref, envelope_id, sender, expires_at)
        self._put(self._tables.envelopes, ref, StoredEnvelope(record, submission))
        return ref

    def acceptance(self, ref: int, recipient: str) -> Acceptance | None:
        """See `Transaction.acceptance`."""
        envelope = self._tables.envelopes.get(ref)
        return None if envelope is None else envelope.acceptances.get(recipient)

    def add_acceptances(self, acceptances: Sequence[Acceptance]) -> None:
        """See `Transaction.add_acceptances`."""
        for acceptance in acceptances:
            held = self._tables.envelopes[acceptance.ref].acceptances
            if acceptance.recipient in held:
                raise ConflictError("acceptance")
            self._put(held, acceptance.recipient, acceptance)

    def add_batch(self, signature: bytes, keep_until: int) -> int:
        """See `Transaction.add_batch`."""
        number = self._number("batch")
        self._put(self._tables.batches, number, (signature, keep_until))
        return number

    def batch(self, batch: int) -> bytes:
        """See `Transaction.batch`."""
        if batch not in self._tables.batches:
            raise StoreError("batch signature")
        return self._tables.batches[batch][0]

    # -- mailboxes
    def keep_content(self, ref: int, core: bytes, ciphertext: bytes) -> None:
        """See `Transaction.keep_content`."""
        envelope = self._tables.envelopes[ref]
        if envelope.content is None:
            self._set_content(envelope, (core, ciphertext), 0)

    def _set_content(self, envelope: StoredEnvelope, content: tuple[bytes, bytes] | None, waiting: int) -> None:
        old = (envelope.content, envelope.waiting)

        def restore() -> None:
            envelope.content, envelope.waiting = old

        self._journal.append(restore)
        envelope.content, envelope.waiting = content, waiting

    def add_items(self, items: Sequence[NewItem]) -> None:
        """See `Transaction.add_items`."""
        for item in items:
            envelope = self._tables.envelopes[item.ref]
            if envelope.content is None:
                raise StoreError("content is not kept")
            self._add(item)
            self._set_content(envelope, envelope.content, envelope.waiting + 1)

    def add_notices(self, notices: Sequence[NewNotice]) -> None:
        """See `Transaction.add_notices`."""
        for notice in notices:
            self._add(notice)

    def _add(self, item: NewItem | NewNotice) -> None:
        if (item.member, item.position) in self._tables.items:
            raise ConflictError("position")
        self._put(self._tables.items, (item.member, item.position), item)
        places = self._tables.places.setdefault(item.member, [])
        insort(places, item.position)
        self._journal.append(lambda: places.remove(item.position))

    def waiting(self, member: str, after: int, max_items: int, max_bytes: int) -> list[Waiting]:
        """See `Transaction.waiting`."""
        places = self._tables.places.get(member, [])
        found: list[Waiting] = []
        for position in places[bisect_right(places, after) :][:max_items]:
            item = self._delivered(self._tables.items[member, position])
            max_bytes -= item.size_bytes
            if max_bytes < 0:
                break
            found.append(item)
        return found

    def _delivered(self, item: NewItem | NewNotice) -> Waiting:
        if isinstance(item, NewNotice):
            return Waiting(item.position, None, b"", None, item.attestation, 0, item.queued_at_ms)
        envelope = self._tables.envelopes[item.ref]
        if envelope.content is None:
            raise StoreError("content is not kept")
        attestation = envelope.acceptances[item.member].attestation
        core, ciphertext = envelope.content
        return Waiting(item.position, core, ciphertext, item.slot, attestation, item.size_bytes, item.queued_at_ms)

    def remove_up_to(self, member: str, position: int) -> Freed:
        """See `Transaction.remove_up_to`."""
        places = self._tables.places.get(member, [])
        removed = [self._remove(member, each) for each in places[: bisect_right(places, position)]]
        slots = [item for item in removed if isinstance(item, NewItem)]
        return self._freed(slots)

    def remove_at(self, member: str, position: int) -> Freed | None:
        """See `Transaction.remove_at`."""
        item = self._tables.items.get((member, position))
        if not isinstance(item, NewItem):
            return None
        self._remove(member, position)
        return self._freed([item])

    def _freed(self, slots: list[NewItem]) -> Freed:
        return Freed(
            tuple(slot.size_bytes for slot in slots),
            tuple(slot.queued_at_ms for slot in slots),
            tuple(self._tables.envelopes[slot.ref].record.sender for slot in slots),
        )

    def _remove(self, member: str, position: int) -> NewItem | NewNotice:
        item = self._tables.items[member, position]
        self._drop(self._tables.items, (member, position))
        places = self._tables.places[member]
        places.remove(position)
        self._journal.append(lambda: insort(places, position))
        if isinstance(item, NewItem):
            envelope = self._tables.envelopes[item.ref]
            left = envelope.waiting - 1
            self._set_content(envelope, envelope.content if left else None, left)
        return item

    def queues(self) -> list[Queue]:
        """See `Transaction.queues`."""
        return [self._queue(member, places) for member, places in sorted(self._tables.places.items()) if places]

    def _queue(self, member: str, places: list[int]) -> Queue:
        oldest = self._tables.items[member, places[0]].queued_at_ms
        return Queue(member, len(places), self.account(member).waiting_bytes, oldest)

    # -- expiry
    def overdue(self, now: int, limit: int) -> list[EnvelopeRecord]:
        """See `Transaction.overdue`."""
        records = (envelope.record for envelope in self._tables.envelopes.values())
        return sorted((each for each in records if each.expires_at <= now), key=_expiry)[:limit]

    def undelivered(self, ref: int) -> list[Acceptance]:
        """See `Transaction.undelivered`."""
        held = sorted(self._tables.envelopes[ref].acceptances.values(), key=lambda each: each.recipient)
        return [each for each in held if (each.recipient, each.position) in self._tables.items]

    def forget(self, ref: int) -> None:
        """See `Transaction.forget`."""
        envelope = self._tables.envelopes[ref]
        if envelope.waiting:
            raise ConflictError("an item still waits")
        self._drop(self._tables.refs, envelope.record.id)
        self._drop(self._tables.submissions, (envelope.record.sender, envelope.submission))
        self._drop(self._tables.envelopes, ref)

    def purge(self, now: int) -> None:
        """See `Transaction.purge`."""
        notices = [item for item in self._tables.items.values() if isinstance(item, NewNotice)]
        for notice in notices:
            if notice.expires_at <= now:
                self._remove(notice.member, notice.position)
        for number in [number for number, (_, until) in self._tables.batches.items() if until <= now]:
            self._drop(self._tables.batches, number)

    def next_expiry(self) -> int | None:
        """See `Transaction.next_expiry`."""
        times = [envelope.record.expires_at for envelope in self._tables.envelopes.values()]
        times += [item.expires_at for item in self._tables.items.values() if isinstance(item, NewNotice)]
        times += [until for _, until in self._tables.batches.values()]
        return min(times, default=None)

    # -- the log and the hub itself
    def incarnation(self) -> Incarnation | None:
        """See `Transaction.incarnation`."""
        return self._tables.incarnation.get("hub")

    def put_incarnation(self, incarnation: Incarnation) -> None:
        """See `Transaction.put_incarnation`."""
        self._put(self._tables.incarnation, "hub", incarnation)

    def forget_incarnation(self) -> None:
        """See `Transaction.forget_incarnation`."""
        self._drop(self._tables.incarnation, "hub")

    def log_size(self) -> int:
        """See `Transaction.log_size`."""
        return len(self._tables.entries)

    def append_entry(self, index: int, entry: bytes, statement_hash: bytes, statement: bytes) -> None:
        """See `Transaction.append_entry`."""
        if index != len(self._tables.entries) or statement_hash in self._tables.statements:
            raise ConflictError("log entry")
        self._put(self._tables.entries, index, (entry, statement_hash))
        self._put(self._tables.statements, statement_hash, (index, statement))

    def entries(self, start: int, end: int) -> list[bytes]:
        """See `Transaction.entries`."""
        return [self._tables.entries[index][0] for index in range(start, min(end, len(self._tables.entries)))]

    def statement(self, statement_hash: bytes) -> bytes | None:
        """See `Transaction.statement`."""
        found = self._tables.statements.get(statement_hash)
        return None if found is None else found[1]

    def index_of(self, statement_hash: bytes) -> int | None:
        """See `Transaction.index_of`."""
        found = self._tables.statements.get(statement_hash)
        return None if found is None else found[0]

    def checkpoint(self) -> bytes | None:
        """See `Transaction.checkpoint`."""
        found = self._tables.checkpoint.get("newest")
        return None if found is None else found[1]

    def put_checkpoint(self, size: int, note: bytes) -> None:
        """See `Transaction.put_checkpoint`."""
        held, _ = self._tables.checkpoint.get("newest", (0, b""))
        if size < held:
            raise ConflictError("an older checkpoint")
        self._put(self._tables.checkpoint, "newest", (size, note))


def _expiry(record: EnvelopeRecord) -> tuple[int, int]:
    return (record.expires_at, record.ref)
