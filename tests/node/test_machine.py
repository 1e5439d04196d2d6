"""Two nodes write to each other through everything that can go wrong; when it stops, all is told and told truly.

What the model of `tests.models.delivery` explores in the abstract, the real cores suffer here: loss, disorder,
duplicates, crashes, backups put back noticed and unnoticed, prekeys lost, a hub that lies or starts anew, months.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from node.memory_store import MemoryStore
from node.status import State
from protocol.errors import TooLateError, UnknownMessageError
from protocol.messages.content import Urgency
from tests.node.lab import HubMemory, Lab, tampered
from tests.support.world import DAY

MEMBERS = ("ar-mpf", "co-fgn")
A_NODE = st.sampled_from(MEMBERS)
PLACE = st.integers(0, 63)


def other(member: str) -> str:
    return MEMBERS[1 - MEMBERS.index(member)]


class Exchange(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.lab = Lab(*MEMBERS)
        self.asked: dict[tuple[str, str], bytes] = {}
        self.taken_back: set[tuple[str, str]] = set()
        self.backups: dict[str, MemoryStore] = {}
        self.hub_backup = HubMemory()
        self.lies = self.restores = 0

    # -- people ------------------------------------------------------------------------------------------
    @precondition(lambda self: len(self.asked) < 8)
    @rule(member=A_NODE, urgent=st.booleans())
    def write(self, member: str, urgent: bool) -> None:
        key = f"{member} {len(self.asked)}"
        urgency = Urgency.URGENT if urgent else Urgency.ROUTINE
        node = self.lab[member]
        document = node.document(key, other(member), urgency=urgency)
        self.asked[member, key] = document
        node.write(key, key, other(member), document=document)

    @precondition(lambda self: bool(self.asked))
    @rule(at=PLACE)
    def withdraw(self, at: int) -> None:
        member, key = list(self.asked)[at % len(self.asked)]
        node = self.lab[member]
        identifier = node.write(key, key, other(member), document=self.asked[member, key])
        try:
            node.withdraw(identifier)
        except TooLateError:
            return
        self.taken_back.add((member, key))

    def ask_again(self, member: str) -> None:
        for (writer, key), document in self.asked.items():
            if writer == member and (writer, key) not in self.taken_back:
                self.lab[member].write(key, key, other(member), document=document)

    # -- the line ----------------------------------------------------------------------------------------
    @rule(member=A_NODE)
    def prepare(self, member: str) -> None:
        node = self.lab[member]
        node.begin_if_needed()
        if node.is_up:
            node.prepare()

    @rule(member=A_NODE)
    def offer(self, member: str) -> None:
        if self.lab[member].is_up:
            self.lab.offer(member)

    @precondition(lambda self: bool(self.lab.frames))
    @rule(at=PLACE, keep=st.booleans())
    def arrive(self, at: int, keep: bool) -> None:
        self.lab.arrive(at % len(self.lab.frames), keep=keep)

    @rule()
    def flow(self) -> None:
        self.lab.flow()

    @rule(member=A_NODE)
    def cut(self, member: str) -> None:
        self.lab[member].cut()

    @rule(member=A_NODE)
    def connect(self, member: str) -> None:
        if not self.lab[member].is_up:
            self.lab[member].connect()

    @rule(seconds=st.sampled_from((1.0, 3.0, 600.0)))
    def wait(self, seconds: float) -> None:
        self.lab.now += seconds
        self.lab.mirror_all()

    # -- machines break ------------------------------------------------------------------------------------
    @rule(member=A_NODE)
    def crash(self, member: str) -> None:
        self.lab[member].crash()

    @rule(member=A_NODE)
    def back_up(self, member: str) -> None:
        self.backups[member] = self.lab[member].snapshot()

    @precondition(lambda self: bool(self.backups) and self.restores < 3)
    @rule(member=A_NODE, noticed=st.booleans())
    def put_back(self, member: str, noticed: bool) -> None:
        if member in self.backups:
            self.restores += 1
            self.lab[member].restore(self.backups[member], noticed=noticed)
            self.ask_again(member)

    @rule(member=A_NODE)
    def lose_prekeys(self, member: str) -> None:
        node = self.lab[member]
        node.life += 100
        node.publish()

    # -- the hub -------------------------------------------------------------------------------------------
    @rule()
    def back_up_hub(self) -> None:
        self.hub_backup = self.lab.hub.memory_copy()

    @precondition(lambda self: self.restores < 3)
    @rule(empty=st.booleans())
    def put_back_hub(self, empty: bool) -> None:
        self.restores += 1
        self.lab.hub.restart_from(HubMemory() if empty else self.hub_backup)

    @precondition(lambda self: self.lies < 3)
    @rule(member=A_NODE, at=PLACE, how=st.sampled_from(("drop", "tamper", "again")))
    def lie(self, member: str, at: int, how: str) -> None:
        box = self.lab.hub.memory.mailboxes[member]
        if not box.items:
            return
        self.lies += 1
        index = at % len(box.items)
        item: Any = box.items[index]
        if how == "again":
            box.put(item.core, item.ciphertext, item.slot, item.attestation)
        else:
            box.items[index : index + 1] = [tampered(item)] if how == "tamper" and item.core else []

    # -- the end -------------------------------------------------------------------------------------------
    def teardown(self) -> None:
        if not hasattr(self, "lab"):
            return
        for _round in range(3):
            self.lab.settle(20)
            self.lab.pass_time(15 * DAY, step=5 * DAY)
        self.lab.settle(20)
        for member in MEMBERS:
            self.judge(member)

    def judge(self, member: str) -> None:
        node, texts = self.lab[member], self.lab[other(member)].texts
        assert len(texts) == len(set(texts)), "handed over twice"
        for (writer, key), document in self.asked.items():
            if writer != member:
                continue
            try:
                identifier = node.write(key, key, other(member), document=document)
                told = node.told(identifier)[other(member)]
            except (UnknownMessageError, KeyError):
                assert (writer, key) in self.taken_back  # its caller did not ask again after a restore
                continue
            assert told in {State.DELIVERED, State.WITHDRAWN}, f"{key} ends as {told}"
            assert (key in texts) is (told is State.DELIVERED), f"{key} was told {told}"
            assert told is State.DELIVERED or (writer, key) in self.taken_back


Exchange.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestExchange = Exchange.TestCase
