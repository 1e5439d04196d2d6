"""A relay with everything around it but sessions: an association, published prekeys, envelopes that nobody can open."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from hub.attesting import Attestor
from hub.intake import Sender
from hub.relay import Group, Relay, Result
from hub.store import Store, Transaction
from protocol.messages.envelope import Core, Slot, Submission
from protocol.names import EnvelopeId, Incarnation, Party
from protocol.session.items import SubmitItem
from protocol.signing import fresh_salts
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, epoch_at, sign_calendar
from protocol.trust.registry import Registry
from protocol.trust.statements import Limits
from tests.support.world import DAY, LIMITS, World

T = TypeVar("T")

ALBA, BERTA, CARLA, DORA = "ar-mpf", "br-mpf", "co-fgn", "es-fge"
SMALLEST = 8_192


@cache
def world(limits: Limits = LIMITS) -> World:
    """One association for all tests that log nothing more."""
    return World(limits=limits)


def noise(size: int, *names: object) -> bytes:
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(repr(names).encode()).digest(size)


@cache
def calendar(
    association: World, member: str, issued_at: int, first: int, days: int = 15, breed: str = ""
) -> SignedCalendar:
    """A calendar of keys that nobody holds the secret of."""
    epochs = [(first + day, noise(1_216, member, first + day, breed)) for day in range(days)]
    built = PrekeyCalendar.build(association.association, member, association.certificates[member], issued_at, epochs)
    return sign_calendar(association.key(member), built)


@dataclass
class House:
    """A relay on a store, with a clock that stands still until it is set."""

    store: Store
    world: World
    now: float

    def __init__(self, store: Store, association: World | None = None, members: Iterable[str] | None = None) -> None:
        self.store = store
        self.world = association or world()
        self.registry: Registry = self.world.registry
        self.now = float(self.world.start + 100)
        self.counter = 0
        self.restart()
        for member in self.world.certificates if members is None else members:
            if member:
                self.publish(member)

    def restart(self) -> None:
        """A new process on what the store holds."""
        attestor = Attestor(self.world.association, self.world.hub_key, self.world.hub_certificate, fresh_salts)
        self.relay = Relay(attestor)

    def run(self, job: Callable[[Group], T]) -> T:
        """The job, in a group and a commit of its own."""
        return self.together(job)[0]

    def together(self, *jobs: Callable[[Group], T], failures: type[Exception] | None = None) -> list[T]:
        """The jobs in one group and one commit; one that raises undoes itself alone.

        The first thing raised is raised at the end, unless it is of the `failures` that are expected.
        """
        tx = self.store.begin()
        group = self.relay.group(tx, self.registry, self.now)
        found: list[T] = []
        failure: Exception | None = None
        for job in jobs:
            try:
                with group.job():
                    found.append(job(group))
            except Exception as error:  # noqa: BLE001 - raised below
                failure = failure or error
        group.close()
        tx.commit()
        self.last = group
        if failure is not None and not (failures and isinstance(failure, failures)):
            raise failure
        return found

    # -- what nodes do -----------------------------------------------------------------------------------
    def sender(self, member: str) -> Sender:
        return Sender(self.world.party(member), self.world.certificates[member])

    def publish(self, member: str, *, first: int | None = None, days: int = 15, breed: str = "") -> SignedCalendar:
        today = epoch_at(int(self.now))
        signed = calendar(self.world, member, int(self.now), today if first is None else first, days, breed)
        self.run(lambda group: group.publish(self.world.party(member), signed.raw))
        return signed

    def slot(self, recipient: str, tag: object = 0, *, epoch: int | None = None, party: Party | None = None) -> Slot:
        """A slot for today by the calendar that the hub holds."""
        tx = self.store.begin()
        try:
            return self._slot(tx, recipient, tag, epoch, party)
        finally:
            tx.rollback()

    def _slot(
        self, tx: Transaction, recipient: str, tag: object, epoch: int | None = None, party: Party | None = None
    ) -> Slot:
        day = epoch_at(int(self.now)) if epoch is None else epoch
        raw = tx.calendar(recipient)
        known = None if raw is None else SignedCalendar.from_bytes(raw).claimed.hash(day)
        prekey = known or noise(32, "no prekey")
        leaf, wrap = noise(32, "leaf", recipient, tag), noise(1_843, "wrap", recipient, tag)
        return Slot.build(party or self.world.party(recipient), day, prekey, leaf, wrap)

    def store_calendar(self, member: str) -> bytes | None:
        tx = self.store.begin()
        try:
            return tx.calendar(member)
        finally:
            tx.rollback()

    def envelope(
        self,
        sender: str,
        recipients: Sequence[str],
        *,
        lifetime: int = DAY,
        size: int = SMALLEST,
        counter: int | None = None,
    ) -> SubmitItem:
        """An envelope with a fresh submission and one slot for each recipient."""
        tx = self.store.begin()
        try:
            return self.envelope_in(tx, sender, recipients, lifetime=lifetime, size=size, counter=counter)
        finally:
            tx.rollback()

    def envelope_in(
        self,
        tx: Transaction,
        sender: str,
        recipients: Sequence[str],
        *,
        lifetime: int = DAY,
        size: int = SMALLEST,
        counter: int | None = None,
    ) -> SubmitItem:
        """The same while a transaction is open."""
        if counter is None:
            self.counter += 1
            counter = self.counter
        ciphertext = noise(size, sender, counter, lifetime)
        until = int(self.now) + lifetime
        core = Core.build(self.world.party(sender), Submission(Incarnation(1, 5), counter), until, ciphertext)
        return SubmitItem(core.raw, ciphertext, tuple(self._slot(tx, each, counter).raw for each in recipients))

    def submit(self, sender: str, *items: SubmitItem) -> list[Result]:
        return self.run(lambda group: group.submit(self.sender(sender), items))

    def send(self, sender: str, *recipients: str, lifetime: int = DAY) -> EnvelopeId:
        """One envelope, accepted for all."""
        (result,) = self.submit(sender, self.envelope(sender, recipients, lifetime=lifetime))
        assert (result.code, len(result.answers)) == (None, len(recipients))
        return result.envelope_id
