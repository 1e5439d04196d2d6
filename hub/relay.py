"""The rules of the relay: what is accepted, in which order it is delivered, when it is erased (SPEC 9.4, 9.5, 11.2).

The shell runs what arrived as jobs of one `Group`: one transaction, one time, one signature under all that the hub
attests in it.  A job that raises leaves no trace, in the store or here.  What is accepted in a group is written when
it closes, because a mailbox item goes with its signed attestation; until then a draft stands for it.

    submit → accepted, waits in the mailbox ─┬─ acknowledge → erased
             (or refused, slot by slot)      ├─ recall      → erased, unless it was handed over
                                             └─ expire      → erased, and a notice waits for the sender
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from hub.attesting import Attestor, Promise, fulfil, recall_attestation
from hub.drafts import Draft, DraftNotice, Drafts, Tally
from hub.intake import Sender, Terms, examine, read_submission_key, refusal_of_recipient, submission_key
from hub.prekeys import PrekeyBook
from hub.shares import NOTHING, Share, fullness
from hub.store import Acceptance, EnvelopeRecord, Freed, Queue, Rule, Transaction
from protocol.errors import ConflictError, MailboxFullError, PeerError, ReplayError, StandingError
from protocol.limits import MAX_ENVELOPES_PER_FRAME, MAX_FRAME_BYTES
from protocol.messages.envelope import (
    RESULT_ACCEPTED,
    RESULT_EXPIRED,
    RESULT_RECALLED,
    Attestation,
    AttestationData,
    Core,
    Envelope,
    Event,
    Slot,
    Submission,
)
from protocol.names import EnvelopeId, Party
from protocol.session.items import DeliverItem, ResultItem, SubmitItem, Window
from protocol.trust.registry import Registry

EXPIRE_AT_ONCE: Final = 64
_DIGEST_BYTES: Final = 32
_MS: Final = 1_000
_NO_RULE: Final = Rule()


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one envelope; `item` is what the frame carries, once the group is durable."""

    envelope_id: EnvelopeId
    code: str | None
    answers: tuple[Promise | Attestation, ...] = ()

    @property
    def item(self) -> ResultItem:
        """What travels; `UsageError` before the group closed."""
        signed = tuple([each.attestation if isinstance(each, Promise) else each for each in self.answers])
        return ResultItem(self.envelope_id, self.code, signed)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """How one mailbox stands: what its slots take of what it may hold, and until when senders find prekeys.

    `fullness` is as `hub.shares` says; `prekeys_until` is in Unix seconds, None without a calendar.
    """

    messages: int
    waiting_bytes: int
    max_messages: int
    max_bytes: int
    fullness: float
    is_suspended: bool
    prekeys_until: int | None


class Relay:
    """One hub's rules between groups: with what it attests, the prekeys it has read, what operators decided."""

    def __init__(self, attestor: Attestor) -> None:
        """The hub attests with `attestor`, and nobody decided anything."""
        self.attestor = attestor
        self.prekeys = PrekeyBook()
        self.rules: dict[str, Rule] = {}

    def group(self, tx: Transaction, registry: Registry, now: float) -> Group:
        """A group of jobs on `tx` at `now` (Unix seconds, with fraction); the registry does not change in it."""
        return Group(self, tx, registry, now)


class Group:
    """The jobs of one commit; every method is one, but `job`, which surrounds each, and `close`, which ends them."""

    def __init__(self, relay: Relay, tx: Transaction, registry: Registry, now: float) -> None:
        """See `Relay.group`."""
        self.tx = tx
        self.registry = registry
        self.now = now
        self.next_expiry: int | None = None
        self._relay = relay
        self._at = int(now)
        self._drafts = Drafts()
        self._recipients: dict[Party, str | None] = {}
        self._hashes: dict[str, Mapping[int, bytes]] = {}

    @property
    def tally(self) -> Tally:
        """What happened in this group."""
        return self._drafts.tally

    @property
    def woken(self) -> frozenset[str]:
        """The members to whom something new can be delivered after the commit."""
        return self._drafts.woken

    @contextmanager
    def job(self) -> Iterator[None]:
        """Undo what the block did, here and in the store, if it raises."""
        before = self._drafts.copy()
        try:
            with self.tx.savepoint():
                yield
        except BaseException:
            self._drafts = before
            self._relay.prekeys.forget()
            self._hashes.clear()
            raise

    def abandon(self) -> None:
        """The transaction was undone: nothing that this group read may be believed."""
        self._relay.prekeys.forget()

    def close(self) -> None:
        """Sign and write what was gathered; the caller commits.  `next_expiry` says when `expire` has to run next."""
        drafts = self._drafts
        fulfil(drafts.promises, self._relay.attestor, self.tx)
        drafts.write(self.tx, self.now)
        self.next_expiry = self.tx.next_expiry()

    # -- submitting ------------------------------------------------------------------------------------
    def submit(self, sender: Sender, items: Sequence[SubmitItem]) -> list[Result]:
        """What becomes of each envelope, in order: refused as a whole by a code, or one answer per slot."""
        terms = Terms.of(sender, self.registry, self._at)
        return [self._submit(terms, item) for item in items]

    def _submit(self, terms: Terms, item: SubmitItem) -> Result:
        envelope_id = item.id
        try:
            envelope = examine(item, terms)
            ref, is_new = self._remember(envelope_id, envelope.core)
        except (PeerError, StandingError, ConflictError) as error:
            self.tally.refusals[error.code] += 1
            return Result(envelope_id, error.code)
        answers = [self._answer(ref, envelope_id, envelope, slot, is_new=is_new) for slot in envelope.slots]
        if any(isinstance(each, Promise) and each.keep_until is not None for each in answers):
            self.tx.keep_content(ref, envelope.core.raw, envelope.ciphertext)
        elif is_new:
            # Refused slots are judged anew, so nothing of them has to be remembered.
            self.tx.forget(ref)
        return Result(envelope_id, None, tuple(answers))

    def _remember(self, envelope_id: EnvelopeId, core: Core) -> tuple[int, bool]:
        member = core.sender.member
        key = submission_key(core.submission)
        known = self.tx.submitted(member, key)
        if known is not None and known.id != envelope_id:
            raise ConflictError("submission")
        account = self._drafts.account(member, self.tx)
        if key > account.highest_submission:
            self._drafts.put(member, replace(account, highest_submission=key))
        if known is not None:
            return known.ref, False
        return self.tx.add_envelope(envelope_id, member, key, core.expires_at), True

    def _answer(
        self, ref: int, envelope_id: EnvelopeId, envelope: Envelope, slot: Slot, *, is_new: bool
    ) -> Promise | Attestation:
        slot_digest = hashlib.blake2b(slot.raw, digest_size=_DIGEST_BYTES).digest()
        held = None if is_new else self._held(ref, slot.recipient)
        if held is not None and held.slot_digest == slot_digest:
            return held.promise if isinstance(held, Draft) else recall_attestation(held.attestation, self.tx)
        size = len(envelope.core.raw) + len(envelope.ciphertext) + len(slot.raw)
        code = ConflictError.code if held is not None else self._refusal(slot, envelope.core.sender.member, size)
        if code is not None:
            self.tally.refusals[code] += 1
            return self._promise(Event.REJECTED, envelope_id, slot, code)
        promise = self._promise(Event.ACCEPTED, envelope_id, slot, RESULT_ACCEPTED, envelope.core.expires_at)
        self._accept(ref, envelope.core.sender.member, slot, slot_digest, size, promise)
        return promise

    def _held(self, ref: int, recipient: Party) -> Draft | Acceptance | None:
        # Only this association's members are ever accepted, so the name alone finds them.
        if recipient.association != self.registry.association:
            return None
        return self._drafts.slots.get((ref, recipient.member)) or self.tx.acceptance(ref, recipient.member)

    def _refusal(self, slot: Slot, sender: str, size: int) -> str | None:
        recipient = slot.recipient
        if recipient not in self._recipients:
            self._recipients[recipient] = refusal_of_recipient(recipient, self.registry, self._at)
        code = self._recipients[recipient] or PrekeyBook.refusal(slot, self._prekeys(recipient.member), self._at)
        return code or self._refusal_of_room(recipient.member, sender, size)

    def _prekeys(self, member: str) -> Mapping[int, bytes]:
        if member not in self._hashes:
            self._hashes[member] = self._relay.prekeys.of(member, self.tx, self.registry, self._at)
        return self._hashes[member]

    def _refusal_of_room(self, member: str, sender: str, size: int) -> str | None:
        max_messages, max_bytes = self.quota(member)
        account = self._drafts.account(member, self.tx)
        free_messages = max_messages - account.messages
        free_bytes = max_bytes - account.waiting_bytes
        share = account.shares.get(sender, NOTHING)
        has_room = free_messages > share.messages and free_bytes > share.size_bytes and free_bytes >= size
        return None if has_room else MailboxFullError.code

    def quota(self, member: str) -> tuple[int, int]:
        """How many messages and bytes the member's mailbox may hold: as the charter says, or an operator in its place."""
        limits, rule = self.registry.charter.limits, self._relay.rules.get(member, _NO_RULE)
        messages = limits.mailbox_messages if rule.max_messages is None else rule.max_messages
        return messages, limits.mailbox_bytes if rule.max_bytes is None else rule.max_bytes

    def _accept(self, ref: int, sender: str, slot: Slot, slot_digest: bytes, size: int, promise: Promise) -> None:
        member = slot.recipient.member
        account = self._drafts.account(member, self.tx)
        position = account.last_position + 1
        self._drafts.put(member, account.with_slot(position, size, sender))
        self._drafts.slots[ref, member] = Draft(ref, sender, member, position, slot.raw, slot_digest, size, promise)
        self.tally.accepted += 1
        self.tally.sent[sender] += 1

    def _promise(
        self,
        event: Event,
        envelope_id: EnvelopeId,
        slot: Slot | AttestationData,
        result: str,
        keep_until: int | None = None,
    ) -> Promise:
        data = self._relay.attestor.data(event, envelope_id, slot.recipient, slot.link_leaf, result, self._at)
        promise = Promise(data, keep_until)
        self._drafts.promises.append(promise)
        return promise

    # -- delivering ------------------------------------------------------------------------------------
    def deliveries(self, member: str, after: int, room: Window) -> list[DeliverItem]:
        """The items after position `after` for which there is room, in order; from now on they count as handed over.

        One item alone may be larger than the room, if nothing is under way.  Nothing of a mailbox whose delivery is
        suspended.
        """
        if self._relay.rules.get(member, _NO_RULE).is_suspended:
            return []
        account = self._drafts.account(member, self.tx)
        count = min(room.envelopes, MAX_ENVELOPES_PER_FRAME)
        found = self.tx.waiting(member, after, count, min(room.max_bytes, MAX_FRAME_BYTES))
        if not found and after <= account.acknowledged:
            found = self.tx.waiting(member, after, min(count, 1), MAX_FRAME_BYTES)
        if found and found[-1].position > account.handed_over:
            self._drafts.put(member, replace(account, handed_over=found[-1].position))
        return [
            DeliverItem(
                each.position, each.core, each.ciphertext, each.slot, recall_attestation(each.attestation, self.tx)
            )
            for each in found
        ]

    def acknowledge(self, member: str, position: int) -> None:
        """Erase everything up to `position`; `ReplayError` if the hub never handed over so much."""
        account = self._drafts.account(member, self.tx)
        if position > account.handed_over:
            raise ReplayError(f"position {position}")
        if position <= account.acknowledged:
            return
        freed = self.tx.remove_up_to(member, position)
        self._drafts.put(member, replace(account, acknowledged=position))
        self._drafts.release(member, freed, self.tx)
        self.tally.taken[member] += len(freed.sizes)
        self.tally.delivery_seconds += [max(0.0, self.now - queued / _MS) for queued in freed.queued_at_ms]

    def welcome(self, member: str) -> tuple[int, Submission | None]:
        """The member's cursor, and the highest submission seen of it."""
        account = self._drafts.account(member, self.tx)
        return account.acknowledged, read_submission_key(account.highest_submission)

    # -- taking back -----------------------------------------------------------------------------------
    def recall(self, sender: str, envelope_id: EnvelopeId, recipient: Party) -> Promise | None:
        """Erase the slot that `sender` submitted for `recipient`; None if it is gone, handed over or unknown."""
        record = self.tx.envelope(envelope_id)
        if record is None or record.sender != sender:
            return None
        held = self._held(record.ref, recipient)
        if held is None or not self._erase(record.ref, held):
            return None
        self.tally.recalled += 1
        return self._promise(Event.FAILED, envelope_id, _attested(held), RESULT_RECALLED)

    def _erase(self, ref: int, held: Draft | Acceptance) -> bool:
        key, account = (ref, held.recipient), self._drafts.account(held.recipient, self.tx)
        if isinstance(held, Draft):
            if key in self._drafts.recalled:
                return False
            self._drafts.recalled.add(key)
            freed = Freed((held.size_bytes,), senders=(held.sender,))
            self._drafts.put(held.recipient, account.without(freed))
            return True
        if held.position <= account.handed_over:
            return False
        return self._remove(held)

    def _remove(self, held: Acceptance) -> bool:
        freed = self.tx.remove_at(held.recipient, held.position)
        if freed is None:
            return False
        self._drafts.release(held.recipient, freed, self.tx)
        return True

    def expire(self) -> bool:
        """Erase what is overdue, with a notice to its sender for each slot; True if there is more of it."""
        overdue = self.tx.overdue(self._at, EXPIRE_AT_ONCE)
        for record in overdue:
            self._expire(record)
        has_more = len(overdue) == EXPIRE_AT_ONCE
        if not has_more:
            # What is overdue and still waits is delivered until its turn comes, under a signature as old as itself.
            self.tx.purge(self._at)
        return has_more

    def _expire(self, record: EnvelopeRecord) -> None:
        until = self._at + self.registry.charter.limits.envelope_lifetime_seconds
        for held in self.tx.undelivered(record.ref):
            self._remove(held)
            promise = self._promise(Event.FAILED, EnvelopeId(record.id), _attested(held), RESULT_EXPIRED, until)
            account = self._drafts.account(record.sender, self.tx)
            position = account.last_position + 1
            self._drafts.put(record.sender, replace(account, last_position=position))
            self._drafts.notices.append(DraftNotice(record.sender, position, until, promise))
            self.tally.expired += 1
        self.tx.forget(record.ref)

    # -- prekeys and overview --------------------------------------------------------------------------
    def publish(self, party: Party, calendar: bytes) -> None:
        """The signed calendar is the member's from now on; raises what `PrekeyBook.publish` does."""
        self._relay.prekeys.publish(calendar, party, self.tx, self.registry, self._at)
        self._hashes.pop(party.member, None)

    def lookup(self, members: Sequence[str]) -> list[tuple[str, bytes | None]]:
        """The signed calendar of each of these members, as far as there is one."""
        return [(member, self.tx.calendar(member)) for member in members]

    def queues(self) -> list[Queue]:
        """Every mailbox that holds something, without what this group adds."""
        return self.tx.queues()

    def mailbox(self, member: str) -> Mailbox:
        """How this member's mailbox stands, without what this group adds."""
        account, (max_messages, max_bytes) = self.tx.account(member), self.quota(member)
        is_suspended = self._relay.rules.get(member, _NO_RULE).is_suspended
        until = self._relay.prekeys.until(member, self.tx)
        used, most = Share(account.messages, account.waiting_bytes), Share(max_messages, max_bytes)
        full = fullness(account.shares, used, most)
        return Mailbox(account.messages, account.waiting_bytes, max_messages, max_bytes, full, is_suspended, until)


def _attested(held: Draft | Acceptance) -> AttestationData:
    return AttestationData.from_bytes(held.promise.data if isinstance(held, Draft) else held.attestation.data)
