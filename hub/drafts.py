"""What a group of jobs gathers before it is written: accounts, promises, slots and notices.

All of it is copied before a job and put back if the job raises, as the store's savepoint does with what was written.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from hub.attesting import Promise
from hub.store import Acceptance, Account, Freed, NewItem, NewNotice, Transaction

_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A slot that was accepted in this group and waits at `position` once it is written."""

    ref: int
    sender: str
    recipient: str
    position: int
    slot: bytes = field(repr=False)
    slot_digest: bytes
    size_bytes: int
    promise: Promise


@dataclass(frozen=True, slots=True)
class DraftNotice:
    """A notice that waits for `sender` at `position` once it is written, until `expires_at` at the latest."""

    sender: str
    position: int
    expires_at: int
    promise: Promise


@dataclass(slots=True)
class Tally:
    """What happened in a group, for the operator: slots accepted, recalled and expired, refusals by code, delays.

    `sent` counts the accepted slots by sender, `taken` the acknowledged ones by recipient.
    """

    accepted: int = 0
    recalled: int = 0
    expired: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    delivery_seconds: list[float] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Tally:
        """An independent one."""
        return replace(
            self,
            refusals=self.refusals.copy(),
            delivery_seconds=self.delivery_seconds.copy(),
            sent=self.sent.copy(),
            taken=self.taken.copy(),
        )


@dataclass(slots=True)
class Drafts:
    """Everything not yet written; `slots` are found by envelope number and recipient."""

    accounts: dict[str, Account] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    promises: list[Promise] = field(default_factory=list)
    slots: dict[tuple[int, str], Draft] = field(default_factory=dict)
    recalled: set[tuple[int, str]] = field(default_factory=set)
    notices: list[DraftNotice] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def copy(self) -> Drafts:
        """An independent one."""
        return Drafts(
            self.accounts.copy(),
            self.changed.copy(),
            self.promises.copy(),
            self.slots.copy(),
            self.recalled.copy(),
            self.notices.copy(),
            self.tally.copy(),
        )

    # -- accounts
    def account(self, member: str, tx: Transaction) -> Account:
        """The member's account as this group left it."""
        if member not in self.accounts:
            self.accounts[member] = tx.account(member)
        return self.accounts[member]

    def put(self, member: str, account: Account) -> None:
        """Replace the member's account."""
        self.accounts[member] = account
        self.changed.add(member)

    def release(self, member: str, freed: Freed, tx: Transaction) -> None:
        """What was erased counts no longer against the member's quota."""
        self.put(member, self.account(member, tx).without(freed))

    # -- writing
    @property
    def woken(self) -> frozenset[str]:
        """The members in whose mailboxes something new waits."""
        fresh = {draft.recipient for key, draft in self.slots.items() if key not in self.recalled}
        return frozenset(fresh | {notice.sender for notice in self.notices})

    def write(self, tx: Transaction, queued_at: float) -> None:
        """Write all of it, every promise being fulfilled; `queued_at` is in Unix seconds."""
        queued_at_ms = int(queued_at * _MS)
        slots = list(self.slots.values())
        tx.add_acceptances([_acceptance(draft) for draft in slots])
        tx.add_items([_item(draft, queued_at_ms) for draft in slots])
        for key in self.recalled:
            tx.remove_at(self.slots[key].recipient, self.slots[key].position)
        tx.add_notices([_notice(notice, queued_at_ms) for notice in self.notices])
        tx.put_accounts({member: self.accounts[member] for member in self.changed})


def _acceptance(draft: Draft) -> Acceptance:
    return Acceptance(draft.ref, draft.recipient, draft.position, draft.slot_digest, draft.promise.row)


def _item(draft: Draft, queued_at_ms: int) -> NewItem:
    return NewItem(draft.recipient, draft.position, draft.ref, draft.slot, draft.size_bytes, queued_at_ms)


def _notice(notice: DraftNotice, queued_at_ms: int) -> NewNotice:
    return NewNotice(notice.sender, notice.position, notice.promise.row, queued_at_ms, notice.expires_at)
