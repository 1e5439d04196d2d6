"""The port through which the relay and the log remember: synchronous transactions over one member's worth of words.

A store knows nothing of the rules; it keeps rows, counts who still waits for a ciphertext, and holds to four promises:

- What a transaction did is durable once `commit` returned, and gone without trace if it did not.
- What a savepoint did is gone if its block raised, and the rest of the transaction stands.
- A ciphertext is kept once, exactly as long as an item refers to it.
- A position of a mailbox, an index of the log and an envelope's submission are taken once: `ConflictError`.

The memory store and the SQLite store pass the same contract suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from hub.shares import Shares, with_slot, without_slots
from keys.journal import Entry
from protocol.names import Incarnation


@dataclass(frozen=True, slots=True)
class Account:
    """What the hub keeps of one member: positions from 1 (0: none yet), what waits for it, its highest submission.

    `last_position` was given out last, `handed_over` sent to its node at least once, `acknowledged` is its cursor.
    `messages` and `waiting_bytes` count the slots in its mailbox, never notices.  `highest_submission` is empty, or
    24 bytes that order as submissions do.  `shares` divides the first two by the slots' senders.
    """

    last_position: int = 0
    handed_over: int = 0
    acknowledged: int = 0
    messages: int = 0
    waiting_bytes: int = 0
    highest_submission: bytes = b""
    shares: Shares = field(default_factory=dict)

    def with_slot(self, position: int, size_bytes: int, sender: str) -> Account:
        """The account after a slot of `sender` was put at `position`."""
        messages, waiting_bytes = self.messages + 1, self.waiting_bytes + size_bytes
        shares = with_slot(self.shares, sender, size_bytes)
        # Once for every slot that passes: `replace` takes several times as long.
        return Account(
            position, self.handed_over, self.acknowledged, messages, waiting_bytes, self.highest_submission, shares
        )

    def without(self, freed: Freed) -> Account:
        """The account after these slots left."""
        messages, waiting_bytes = self.messages - len(freed.sizes), self.waiting_bytes - sum(freed.sizes)
        shares = without_slots(self.shares, zip(freed.senders, freed.sizes, strict=True))
        return replace(self, messages=messages, waiting_bytes=waiting_bytes, shares=shares)


@dataclass(frozen=True, slots=True)
class StoredAttestation:
    """A leaf of a batch that this hub signed: its bytes, salt, index and path, and the number of the batch here."""

    data: bytes
    salt: bytes
    index: int
    path: tuple[bytes, ...]
    batch: int


@dataclass(frozen=True, slots=True)
class EnvelopeRecord:
    """An envelope that is remembered: `ref` is its number here, `expires_at` Unix seconds."""

    ref: int
    id: bytes
    sender: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One accepted slot of the envelope `ref`: where it was put, the digest of its bytes, and what the hub answered."""

    ref: int
    recipient: str
    position: int
    slot_digest: bytes
    attestation: StoredAttestation


@dataclass(frozen=True, slots=True)
class NewItem:
    """A slot to put into a mailbox: the attestation is its acceptance's, the rest the envelope's content."""

    member: str
    position: int
    ref: int
    slot: bytes
    size_bytes: int
    queued_at_ms: int


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice to the sender, kept until it is acknowledged or `expires_at` (Unix seconds) has come."""

    member: str
    position: int
    attestation: StoredAttestation
    queued_at_ms: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item as it is delivered; a notice has neither core nor slot, and no ciphertext."""

    position: int
    core: bytes | None
    ciphertext: bytes = field(repr=False)
    slot: bytes | None
    attestation: StoredAttestation
    size_bytes: int
    queued_at_ms: int


@dataclass(frozen=True, slots=True)
class Freed:
    """What left a mailbox: each removed slot's size in bytes, when it was queued, and by whom; notices count not."""

    sizes: tuple[int, ...] = ()
    queued_at_ms: tuple[int, ...] = ()
    senders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """How one mailbox stands: items of both kinds, the bytes of its slots, and when the oldest item was queued."""

    member: str
    items: int
    waiting_bytes: int
    oldest_queued_at_ms: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What operators decided of one mailbox: whether it is handed out, and limits in place of the charter's."""

    is_suspended: bool = False
    max_messages: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who may use the console: the hash of their password, the key of their time codes, the last one used."""

    login: str
    role: str
    password: str = field(repr=False)
    totp: str = field(repr=False)
    totp_step: int = 0


class Transaction(Protocol):
    """Everything that the hub reads and writes, all of it undone unless `commit` returns.

    Each operation raises `StoreError` if the store fails, and leaves the transaction to be rolled back.
    """

    @property
    def alive(self) -> bool:
        """Whether the transaction still stands; a store that fails may have had to undo all of it."""

    def commit(self) -> None:
        """Make it durable; anything raised here means that nobody knows, and that the process must end."""

    def rollback(self) -> None:
        """Undo everything since the beginning."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A block whose effects are undone if it raises."""

    # -- members
    def account(self, member: str) -> Account:
        """The account of this member, empty if nothing was ever kept of it."""

    def put_accounts(self, accounts: Mapping[str, Account]) -> None:
        """Replace the accounts of these members."""

    def calendar(self, member: str) -> bytes | None:
        """The signed calendar that the member published last."""

    def put_calendar(self, member: str, calendar: bytes) -> None:
        """Replace the member's calendar."""

    # -- operators
    def rules(self) -> dict[str, Rule]:
        """What operators decided, by member."""

    def put_rule(self, member: str, rule: Rule) -> None:
        """Replace what was decided of this member's mailbox; `Rule()` is as if nothing ever was."""

    def presence(self) -> dict[str, int]:
        """When each member was last seen (Unix seconds)."""

    def put_presence(self, member: str, seen_at: int) -> None:
        """Keep when this member was last seen."""

    def minutes(self) -> list[bytes]:
        """What was told of each minute that is kept, oldest first."""

    def put_minute(self, at: int, told: bytes, keep_from: int) -> None:
        """Keep what is told of the minute that ended `at`, and forget those that ended before `keep_from`."""

    def operators(self) -> list[Operator]:
        """Who may use the console, by login."""

    def put_operator(self, operator: Operator) -> None:
        """Keep this operator, in place of one with the same login."""

    def drop_operator(self, login: str) -> bool:
        """Forget the operator with this login; False if there was none."""

    def journal_head(self) -> bytes:
        """The hash of the newest entry of the journal, `keys.journal.START` if there is none."""

    def add_to_journal(self, entry: Entry, hashed: bytes) -> None:
        """Put `entry`, whose hash this is, behind all others; they are numbered from 1."""

    def journal(self, before: int, limit: int) -> list[tuple[int, Entry, bytes]]:
        """At most `limit` entries with numbers below `before`, the newest first, each with its hash."""

    # -- envelopes
    def submitted(self, sender: str, submission: bytes) -> EnvelopeRecord | None:
        """The envelope that this sender submitted under these 24 bytes, while it is remembered."""

    def envelope(self, envelope_id: bytes) -> EnvelopeRecord | None:
        """The envelope of this id, while it is remembered."""

    def add_envelope(self, envelope_id: bytes, sender: str, submission: bytes, expires_at: int) -> int:
        """Remember an envelope; its number here.  `ConflictError` if its id or submission is remembered already."""

    def acceptance(self, ref: int, recipient: str) -> Acceptance | None:
        """What was accepted for this recipient of the envelope."""

    def add_acceptances(self, acceptances: Sequence[Acceptance]) -> None:
        """Remember them; `ConflictError` if one of them is."""

    def add_batch(self, signature: bytes, keep_until: int) -> int:
        """Keep an encoded batch signature until this time (Unix seconds); its number here."""

    def batch(self, batch: int) -> bytes:
        """The encoded batch signature of this number; `StoreError` if there is none."""

    # -- mailboxes
    def keep_content(self, ref: int, core: bytes, ciphertext: bytes) -> None:
        """Hold core and ciphertext of an envelope for the items that the caller adds next; once is enough."""

    def add_items(self, items: Sequence[NewItem]) -> None:
        """Put slots into mailboxes; `ConflictError` if a position is taken, `StoreError` if content is not kept."""

    def add_notices(self, notices: Sequence[NewNotice]) -> None:
        """Put notices into mailboxes; `ConflictError` if a position is taken."""

    def waiting(self, member: str, after: int, max_items: int, max_bytes: int) -> list[Waiting]:
        """The items after this position, in order: as many as fit both limits, counted by `size_bytes`."""

    def remove_up_to(self, member: str, position: int) -> Freed:
        """Erase the member's items up to and including this position, and each ciphertext that nobody waits for."""

    def remove_at(self, member: str, position: int) -> Freed | None:
        """Erase the slot at this position likewise; None if none is there."""

    def queues(self) -> list[Queue]:
        """Every mailbox that holds something, by member."""

    # -- expiry
    def overdue(self, now: int, limit: int) -> list[EnvelopeRecord]:
        """At most `limit` remembered envelopes whose expires_at has come, the longest overdue first."""

    def undelivered(self, ref: int) -> list[Acceptance]:
        """The acceptances of the envelope whose items still wait, by recipient."""

    def forget(self, ref: int) -> None:
        """Forget an envelope for which nothing waits any more, with its acceptances."""

    def purge(self, now: int) -> None:
        """Drop the notices and batch signatures whose time has come."""

    def next_expiry(self) -> int | None:
        """When (Unix seconds) an envelope, a notice or a batch signature expires next; None if nothing ever will."""

    # -- the log and the hub itself
    def incarnation(self) -> Incarnation | None:
        """The hub's present incarnation."""

    def put_incarnation(self, incarnation: Incarnation) -> None:
        """Begin this incarnation."""

    def forget_incarnation(self) -> None:
        """Mark this store as put back from a backup: it has no incarnation until the next one begins."""

    def log_size(self) -> int:
        """How many entries the log has."""

    def append_entry(self, index: int, entry: bytes, statement_hash: bytes, statement: bytes) -> None:
        """Add the entry at `index`, which is the size; `ConflictError` if it is not, or the statement is logged."""

    def entries(self, start: int, end: int) -> list[bytes]:
        """The entries from index `start` up to, not including, `end`, as far as there are any."""

    def statement(self, statement_hash: bytes) -> bytes | None:
        """The logged statement with this hash."""

    def index_of(self, statement_hash: bytes) -> int | None:
        """The index of the entry that logs the statement with this hash."""

    def checkpoint(self) -> bytes | None:
        """The newest signed note."""

    def put_checkpoint(self, size: int, note: bytes) -> None:
        """Replace it; `ConflictError` if one of a larger size was kept: the log never rolls back."""


class Store(Protocol):
    """One hub's memory; one thread at a time has a transaction open."""

    def begin(self) -> Transaction:
        """A new transaction; `StoreError` if there is none to be had."""

    def close(self) -> None:
        """Let go of files and memory; what was committed stays."""


@contextmanager
def transaction(store: Store) -> Iterator[Transaction]:
    """A transaction that is committed when the block ends, and undone if it raises."""
    opened = store.begin()
    try:
        yield opened
    except BaseException:
        opened.rollback()
        raise
    opened.commit()
