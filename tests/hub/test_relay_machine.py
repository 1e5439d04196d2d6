"""Whatever happens in whatever order, with crashes between: the relay does what a page of naive bookkeeping says.

Nothing acknowledged by the hub is lost, nothing comes again after its reader acknowledged it, positions only ascend,
a ciphertext is kept exactly while somebody waits for it, and what was not committed never was.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from hub.attesting import Promise
from hub.memory_store import MemoryStore
from hub.relay import Group, Result
from hub.sqlite_store import SqliteStore
from hub.store import Rule, Store, transaction
from protocol.messages.envelope import AttestationData
from protocol.names import EnvelopeId
from protocol.session.items import SubmitItem, Window
from protocol.trust.statements import Limits
from tests.hub.house import ALBA, BERTA, CARLA, House, world
from tests.support.world import DAY

MEMBERS = (ALBA, BERTA, CARLA)
MOST = 4
LIMITS = Limits(14 * DAY, 1 << 30, MOST, DAY, DAY)
EVERYTHING = Window(1_000, 1 << 30)

Row = tuple[bytes | None, bytes | None]


@dataclass
class Sent:
    """An envelope that a node once submitted."""

    sender: str
    recipients: tuple[str, ...]
    item: SubmitItem
    expires_at: int


@dataclass
class Model:
    """What the hub should hold: per member the items by position, and what was accepted and answered."""

    mailboxes: dict[str, dict[int, tuple[EnvelopeId, bytes | None]]] = field(
        default_factory=lambda: {member: {} for member in MEMBERS}
    )
    last: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEMBERS, 0))
    handed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEMBERS, 0))
    acknowledged: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEMBERS, 0))
    accepted: dict[tuple[EnvelopeId, str], int] = field(default_factory=dict)
    attested: dict[tuple[EnvelopeId, str], bytes] = field(default_factory=dict)
    remembered: dict[EnvelopeId, Sent] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)

    def shares(self, member: str) -> dict[str, int]:
        slots = [envelope_id for envelope_id, slot in self.mailboxes[member].values() if slot is not None]
        return dict(Counter(self.remembered[each].sender for each in slots))

    def slots(self, member: str) -> int:
        return sum(slot is not None for _id, slot in self.mailboxes[member].values())

    def has_room(self, member: str, sender: str) -> bool:
        """Who has as much in a mailbox as is free in it gets no more."""
        slots = [envelope_id for envelope_id, slot in self.mailboxes[member].values() if slot is not None]
        held = sum(self.remembered[each].sender == sender for each in slots)
        most = self.rules.get(member, Rule()).max_messages or MOST
        return most - len(slots) > held

    def put(self, member: str, envelope_id: EnvelopeId, slot: bytes | None) -> int:
        self.last[member] += 1
        self.mailboxes[member][self.last[member]] = (envelope_id, slot)
        return self.last[member]

    def submit(self, sent: Sent, item: SubmitItem, recipients: tuple[str, ...], now: int) -> str | list[str]:
        if sent.expires_at <= now:
            return "bad_expiry"
        held = item.id in self.remembered
        self.remembered[item.id] = sent
        answers = []
        for member, slot in zip(recipients, item.slots, strict=True):
            if (item.id, member) in self.accepted:
                answers.append("accepted")
            elif not self.has_room(member, sent.sender):
                answers.append("mailbox_full")
            else:
                self.accepted[item.id, member] = self.put(member, item.id, slot)
                answers.append("accepted")
        if not held and "accepted" not in answers:
            del self.remembered[item.id]
        return answers

    def recall(self, sent: Sent, member: str) -> bool:
        position = self.accepted.get((sent.item.id, member), 0)
        if sent.item.id not in self.remembered or position <= self.handed[member]:
            return False
        return self.mailboxes[member].pop(position, None) is not None

    def expire(self, now: int) -> None:
        overdue = [(sent.expires_at, envelope_id) for envelope_id, sent in self.remembered.items()]
        for _expires_at, envelope_id in sorted(
            (each for each in overdue if each[0] <= now), key=lambda each: (each[0], self.order(each[1]))
        ):
            sent = self.remembered.pop(envelope_id)
            for member in sorted(MEMBERS):
                position = self.accepted.pop((envelope_id, member), 0)
                self.attested.pop((envelope_id, member), None)
                if position in self.mailboxes[member]:
                    del self.mailboxes[member][position]
                    self.put(sent.sender, envelope_id, None)

    def order(self, envelope_id: EnvelopeId) -> int:
        return list(self.remembered).index(envelope_id)


class RelayMachine(RuleBasedStateMachine):
    """Three nodes and a hub; subclasses say on which store."""

    sent: Bundle[Sent] = Bundle("sent")
    store: Store

    def open_store(self) -> Store:
        raise NotImplementedError

    def kept(self) -> dict[int, int]:
        """How many wait for each content that the store keeps, by envelope number."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.store = self.open_store()
        self.house = House(self.store, world(LIMITS))
        self.model = Model()
        self.highest: dict[str, int] = {}

    # -- what nodes do
    @rule(
        target=sent,
        sender=st.sampled_from(MEMBERS),
        recipients=st.sets(st.sampled_from(MEMBERS), min_size=1),
        lifetime=st.integers(1, 100),
    )
    def submit(self, sender: str, recipients: set[str], lifetime: int) -> Sent:
        names = tuple(sorted(recipients))
        item = self.house.envelope(sender, names, lifetime=lifetime)
        sent = Sent(sender, names, item, int(self.house.now) + lifetime)
        self.check_answer(sent, item, names)
        self.highest[sender] = self.house.counter
        return sent

    @rule(sent=sent, some=st.data())
    def retry(self, sent: Sent, some: st.DataObject) -> None:
        chosen = some.draw(st.sets(st.sampled_from(range(len(sent.recipients))), min_size=1))
        item = replace(sent.item, slots=tuple(sent.item.slots[number] for number in sorted(chosen)))
        self.check_answer(sent, item, tuple(sent.recipients[number] for number in sorted(chosen)))

    def check_answer(self, sent: Sent, item: SubmitItem, recipients: tuple[str, ...]) -> None:
        (result,) = self.house.submit(sent.sender, item)
        expected = self.model.submit(sent, item, recipients, int(self.house.now))
        assert self.answers(result) == expected
        for member, attestation in zip(recipients, result.item.attestations, strict=False):
            if AttestationData.from_bytes(attestation.data).result == "accepted":
                first = self.model.attested.setdefault((item.id, member), attestation.data)
                assert attestation.data == first, "the first answer again"

    def answers(self, result: Result) -> str | list[str]:
        if result.code is not None:
            return result.code
        return [AttestationData.from_bytes(each.data).result for each in result.item.attestations]

    @rule(member=st.sampled_from(MEMBERS), count=st.integers(1, 5), behind=st.integers(0, 3))
    def deliver(self, member: str, count: int, behind: int) -> None:
        after = max(self.model.acknowledged[member], self.model.handed[member] - behind)
        items = self.house.run(lambda group: group.deliveries(member, after, Window(count, 1 << 30)))
        waiting = [position for position in sorted(self.model.mailboxes[member]) if position > after]
        if self.model.rules.get(member, Rule()).is_suspended:
            waiting = []
        assert [item.position for item in items] == waiting[:count]
        assert all(item.position > self.model.acknowledged[member] for item in items)
        if items:
            self.model.handed[member] = max(self.model.handed[member], items[-1].position)

    @rule(member=st.sampled_from(MEMBERS), behind=st.integers(0, 4))
    def acknowledge(self, member: str, behind: int) -> None:
        position = max(0, self.model.handed[member] - behind)
        self.house.run(lambda group: group.acknowledge(member, position))
        self.model.acknowledged[member] = max(self.model.acknowledged[member], position)
        mailbox = self.model.mailboxes[member]
        for held in [each for each in mailbox if each <= position]:
            del mailbox[held]

    @rule(sent=sent, member=st.sampled_from(MEMBERS))
    def recall(self, sent: Sent, member: str) -> None:
        party = self.house.world.party(member)
        promise = self.house.run(lambda group: group.recall(sent.sender, sent.item.id, party))
        assert (promise is not None) is self.model.recall(sent, member)
        if promise is not None:
            assert AttestationData.from_bytes(promise.attestation.data).result == "recalled"

    @rule(seconds=st.integers(0, 60))
    def expire(self, seconds: int) -> None:
        self.house.now += seconds
        self.house.run(lambda group: group.expire())
        self.model.expire(int(self.house.now))
        following = self.house.last.next_expiry
        assert following is None or following > self.house.now

    @rule(
        target=sent,
        sender=st.sampled_from(MEMBERS),
        member=st.sampled_from(MEMBERS),
        acknowledged=st.sampled_from(MEMBERS),
    )
    def many_jobs_in_one_group(self, sender: str, member: str, acknowledged: str) -> Any:
        """Submit, submit again, recall what was just accepted, acknowledge, and one job that fails after all of that."""
        kept, gone = (self.house.envelope(sender, [member], lifetime=50) for _ in range(2))
        until = int(self.house.now) + 50
        sent = [Sent(sender, (member,), item, until) for item in (kept, gone)]
        handed = self.model.handed[acknowledged]

        def everything(group: Group) -> tuple[list[Result], Promise | None]:
            results = group.submit(self.house.sender(sender), [kept, gone, kept])
            group.acknowledge(acknowledged, handed)
            return results, group.recall(sender, gone.id, self.house.world.party(member))

        def failing(group: Group) -> tuple[list[Result], Promise | None]:
            everything(group)
            raise KeyError

        (first, second, again), recalled = self.house.together(everything, failing, failures=KeyError)[0]
        expected = [self.model.submit(each, each.item, (member,), int(self.house.now)) for each in (*sent, sent[0])]
        assert [self.answers(each) for each in (first, second, again)] == expected
        assert (recalled is not None) is self.model.recall(sent[1], member)
        mailbox = self.model.mailboxes[acknowledged]
        for held in [each for each in mailbox if each <= handed]:
            del mailbox[held]
        self.model.acknowledged[acknowledged] = handed
        for each, result in zip(sent, (first, second), strict=True):
            if self.answers(result) == ["accepted"]:
                self.model.attested[each.item.id, member] = result.item.attestations[0].data
        self.highest[sender] = self.house.counter
        return multiple(*sent)

    # -- what operators do
    @rule(member=st.sampled_from(MEMBERS), is_suspended=st.booleans(), max_messages=st.sampled_from([None, 1, MOST, 9]))
    def decide(self, member: str, is_suspended: bool, max_messages: int | None) -> None:
        """Durable, and in force from the next group on."""
        decided = Rule(is_suspended, max_messages)
        self.house.run(lambda group: group.tx.put_rule(member, decided))
        self.house.relay.rules[member] = self.model.rules[member] = decided

    # -- what befalls the hub
    @rule(what=st.sampled_from(["submit", "acknowledge", "expire", "deliver"]), member=st.sampled_from(MEMBERS))
    def crash_before_the_commit(self, what: str, member: str) -> None:
        item = self.house.envelope(member, list(MEMBERS))
        jobs: dict[str, Callable[[Group], object]] = {
            "submit": lambda group: group.submit(self.house.sender(member), [item]),
            "acknowledge": lambda group: group.acknowledge(member, self.model.handed[member]),
            "expire": lambda group: group.expire(),
            "deliver": lambda group: group.deliveries(member, 0, EVERYTHING),
        }
        group = self.house.relay.group(self.store.begin(), self.house.registry, self.house.now)
        with group.job():
            jobs[what](group)
        group.close()
        self.restart()

    @rule()
    def restart(self) -> None:
        self.reopen()
        self.house.store = self.store
        self.house.restart()
        with transaction(self.store) as tx:
            self.house.relay.rules = tx.rules()

    def reopen(self) -> None:
        raise NotImplementedError

    # -- what always holds
    @invariant()
    def mailboxes_hold_what_the_model_says(self) -> None:
        with transaction(self.store) as tx:
            for member in MEMBERS:
                found = {each.position: each for each in tx.waiting(member, 0, 1_000, 1 << 40)}
                mailbox = self.model.mailboxes[member]
                assert {at: (each.core, each.slot) for at, each in found.items()} == {
                    at: self.row(envelope_id, slot) for at, (envelope_id, slot) in mailbox.items()
                }
                account = tx.account(member)
                assert account.last_position == self.model.last[member]
                assert account.handed_over == self.model.handed[member]
                assert account.acknowledged == self.model.acknowledged[member]
                assert account.messages == self.model.slots(member)
                assert {name: share.messages for name, share in account.shares.items()} == self.model.shares(member)
                assert account.waiting_bytes == sum(each.size_bytes for each in found.values())
                counter = int.from_bytes(account.highest_submission[-8:], "big")
                assert counter == self.highest.get(member, 0)

    def row(self, envelope_id: EnvelopeId, slot: bytes | None) -> Row:
        return (None, None) if slot is None else (self.model.remembered[envelope_id].item.core, slot)

    @invariant()
    def content_is_kept_exactly_while_somebody_waits(self) -> None:
        waiting: dict[EnvelopeId, int] = {}
        for mailbox in self.model.mailboxes.values():
            for envelope_id, slot in mailbox.values():
                if slot is not None:
                    waiting[envelope_id] = waiting.get(envelope_id, 0) + 1
        assert sorted(self.kept().values()) == sorted(waiting.values())

    def teardown(self) -> None:
        self.store.close()


class MemoryMachine(RelayMachine):
    def open_store(self) -> Store:
        return MemoryStore()

    def reopen(self) -> None:
        assert isinstance(self.store, MemoryStore)
        self.store.crash()

    def kept(self) -> dict[int, int]:
        assert isinstance(self.store, MemoryStore)
        envelopes = self.store._tables.envelopes
        return {ref: each.waiting for ref, each in envelopes.items() if each.content is not None}


class SqliteMachine(RelayMachine):
    def open_store(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "hub.db"
        return SqliteStore(self.path)

    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)

    def kept(self) -> dict[int, int]:
        reader = sqlite3.connect(self.path)
        try:
            return dict(reader.execute("SELECT ref, waiting FROM content JOIN envelope USING (ref)").fetchall())
        finally:
            reader.close()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestOnMemory = MemoryMachine.TestCase
TestOnMemory.settings = settings(max_examples=15, stateful_step_count=30)
TestOnSqlite = SqliteMachine.TestCase
TestOnSqlite.settings = settings(max_examples=6, stateful_step_count=25)
