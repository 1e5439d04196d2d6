"""A node and a hub that talk as they like, over lines that delay and break: the two machines never fall out.

The node submits, acknowledges and asks; the hub answers and delivers; messages wait on the line in both directions,
so each end acts on an old picture of the other.  Whatever one machine lets its side send, the other accepts; what
it refuses changes nothing; after a broken line a new session resumes from what both remember.
"""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.errors import UsageError
from protocol.messages.envelope import Submission
from protocol.names import EnvelopeId
from protocol.session.channel import Ephemeral
from protocol.session.frames import (
    Acknowledge,
    Calendars,
    Deliver,
    Frame,
    Lookup,
    Publish,
    Published,
    Recall,
    Recalled,
    Registry,
    Results,
    Submit,
    Welcome,
)
from protocol.session.items import ResultItem, SubmitItem, Window, fitting
from protocol.session.machine import Answer, Authenticated, Closed, FrameReceived, Opened, State
from tests.protocol.pair import ATTESTED, LIFE, NOW, PEER, delivery, hub_session, item, node_session

SIZES = st.sampled_from([0, 100, 8192, 50_000])
WINDOWS = st.builds(Window, st.integers(1, 5), st.sampled_from([1, 9_000, 40_000, 1 << 20]))


class Talk(RuleBasedStateMachine):
    @initialize(window=WINDOWS)
    def connect(self, window: Window) -> None:
        self.number = 0
        self.draws = 0
        self.outbox: dict[EnvelopeId, SubmitItem] = {}
        self.answered: set[EnvelopeId] = set()
        self.mailbox: deque[int] = deque()
        self.last_mailed = 0
        self.hub_cursor = self.node_cursor = 0
        self.request = 0
        self.open_session(window)

    def open_session(self, window: Window) -> None:
        self.draws += 1
        draw = (bytes([self.draws]) * 32, bytes([self.draws + 1]) * 32)
        self.node, self.hub = node_session(draw=Ephemeral(*draw)), hub_session(draw=Ephemeral(*reversed(draw)))
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.asked: list[SubmitItem] = []
        self.requests: list[Frame] = []
        self.heard: list[int] = []
        (server,) = self.hub.receive(self.node.start(NOW), NOW)
        assert isinstance(server, Answer)
        (finish,) = self.node.receive(server.data, NOW)
        assert isinstance(finish, Answer)
        (authenticated,) = self.hub.receive(finish.data, NOW)
        assert isinstance(authenticated, Authenticated)
        welcome = Welcome(self.hub_cursor, Submission(LIFE, self.number) if self.number else None, window)
        (opened,) = self.node.receive(self.hub.send(welcome), NOW)
        assert isinstance(opened, Opened)
        assert opened.welcome == welcome
        self.reading = False
        self.sent: set[EnvelopeId] = set()

    # -- the node --------------------------------------------------------------------------------
    @rule(size=SIZES, slots=st.integers(1, 3))
    def write(self, size: int, slots: int) -> None:
        self.number += 1
        envelope = item(self.number, slots, size)
        self.outbox[envelope.id] = envelope

    @rule(limit=st.integers(1, 8))
    def submit(self, limit: int) -> None:
        waiting = [envelope for known, envelope in self.outbox.items() if known not in self.sent][:limit]
        count = min(self.node.flow.submittable(waiting), fitting(waiting))
        if count < len(waiting):
            room = self.node.flow.submit_room
            with pytest.raises(UsageError):
                self.node.send(Submit(tuple(waiting[: count + 1])))
            assert self.node.flow.submit_room == room
        if count:
            self.sent |= {envelope.id for envelope in waiting[:count]}
            self.up.append(self.node.send(Submit(tuple(waiting[:count]))))

    @rule(window=WINDOWS, share=st.floats(0, 1))
    def acknowledge(self, window: Window, share: float) -> None:
        self.node_cursor = max(self.node_cursor, ([0, *self.heard])[int(share * len(self.heard))])
        self.up.append(self.node.send(Acknowledge(self.node_cursor, window)))

    @precondition(lambda self: self.heard)
    @rule()
    def acknowledge_too_much(self) -> None:
        with pytest.raises(UsageError):
            self.node.send(Acknowledge(self.heard[-1] + 1, Window(1, 1)))

    @rule(kind=st.sampled_from(["recall", "publish", "lookup"]))
    def ask(self, kind: str) -> None:
        self.request += 1
        frames: dict[str, Frame] = {
            "recall": Recall(self.request, EnvelopeId(bytes(32)), PEER),
            "publish": Publish(self.request, b"calendar"),
            "lookup": Lookup(self.request, ("ar-mpf", "co-fgn")),
        }
        self.up.append(self.node.send(frames[kind]))

    @precondition(lambda self: self.down)
    @rule()
    def node_hears(self) -> None:
        (event,) = self.node.receive(self.down.popleft(), NOW)
        assert isinstance(event, FrameReceived), event
        frame = event.frame
        if isinstance(frame, Deliver):
            positions = [each.position for each in frame.items]
            assert positions[0] > max([self.node_cursor, *self.heard])
            self.heard += positions
        if isinstance(frame, Results):
            for result in frame.items:
                assert result.envelope_id in self.sent
                assert result.envelope_id not in self.answered
                self.answered.add(result.envelope_id)
                del self.outbox[result.envelope_id]

    # -- the hub ---------------------------------------------------------------------------------
    @precondition(lambda self: self.up)
    @rule()
    def hub_hears(self) -> None:
        (event,) = self.hub.receive(self.up.popleft(), NOW)
        assert isinstance(event, FrameReceived), event
        frame = event.frame
        if isinstance(frame, Submit):
            self.asked += frame.items
        elif isinstance(frame, Acknowledge):
            self.reading = True
            self.hub_cursor = max(self.hub_cursor, frame.position)
            while self.mailbox and self.mailbox[0] <= self.hub_cursor:
                self.mailbox.popleft()
        else:
            self.requests.append(frame)

    def delivered_to(self) -> int:
        return self.hub.flow._last_position

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), refuse=st.booleans())
    def answer_some(self, data: st.DataObject, refuse: bool) -> None:
        chosen = data.draw(
            st.lists(st.sampled_from(self.asked), min_size=1, max_size=4, unique_by=lambda each: each.id)
        )
        self.asked = [each for each in self.asked if each not in chosen]
        results = [
            ResultItem(each.id, "conflict" if refuse else None, () if refuse else tuple(ATTESTED[: len(each.slots)]))
            for each in chosen
        ]
        self.down.append(self.hub.send(Results(tuple(results))))
        with pytest.raises(UsageError):
            self.hub.send(Results((results[0],)))

    @precondition(lambda self: self.requests)
    @rule()
    def answer_request(self) -> None:
        frame = self.requests.pop(0)
        match frame:
            case Recall():
                reply: Frame = Recalled(frame.request, ATTESTED[0])
            case Publish():
                reply = Published(frame.request, "stale")
            case Lookup():
                reply = Calendars(frame.request, tuple((member, None) for member in frame.members))
            case _:
                raise AssertionError(frame)
        self.down.append(self.hub.send(reply))
        with pytest.raises(UsageError):
            self.hub.send(reply)

    @rule(gap=st.integers(1, 3))
    def mail(self, gap: int) -> None:
        self.last_mailed += gap
        self.mailbox.append(self.last_mailed)
        self.down.append(self.hub.send(Registry(self.last_mailed)))

    @precondition(lambda self: self.reading)
    @rule(limit=st.integers(1, 6), size=SIZES)
    def deliver(self, limit: int, size: int) -> None:
        after = max(self.hub_cursor, self.delivered_to())
        waiting = [delivery(at, size) for at in self.mailbox if at > after][:limit]
        count = min(self.hub.flow.deliverable(waiting), fitting(waiting))
        if count < len(waiting):
            with pytest.raises(UsageError):
                self.hub.send(Deliver(tuple(waiting[: count + 1])))
        if count:
            self.down.append(self.hub.send(Deliver(tuple(waiting[:count]))))

    # -- the line --------------------------------------------------------------------------------
    @rule(window=WINDOWS)
    def breaks(self, window: Window) -> None:
        self.node_cursor = max([self.node_cursor, *self.heard[: len(self.heard) // 2]])
        self.open_session(window)

    @precondition(lambda self: len(self.down) > 1)
    @rule(window=WINDOWS)
    def loses_a_message(self, window: Window) -> None:
        self.down.popleft()
        (*_before, end) = self.node.receive(self.down.popleft(), NOW)
        assert isinstance(end, Closed)
        assert end.code == "bad_frame"
        self.open_session(window)

    @invariant()
    def the_giver_never_counts_more_than_the_taker(self) -> None:
        assert self.node.state is State.OPEN
        assert self.hub.state is State.OPEN
        node, hub = self.node.flow, self.hub.flow
        assert hub._submitted.keys() <= node._submitted.keys()
        assert set(node._delivered) <= set(hub._delivered)
        assert hub._requests.keys() <= node._requests.keys()

    @invariant()
    def the_count_of_bytes_is_their_sum(self) -> None:
        for flow in (self.node.flow, self.hub.flow):
            assert flow._submitted_bytes == sum(each.size for each in flow._submitted.values())
            assert flow._delivered_bytes == sum(size for _position, size in flow._delivered)

    def teardown(self) -> None:
        """What is on the line arrives, what is asked is answered, what is mailed is read: nothing stays under way."""
        while self.up or self.down or self.asked or self.requests:
            while self.up:
                self.hub_hears()
            if self.asked:
                self.down.append(
                    self.hub.send(Results(tuple(ResultItem(each.id, "conflict", ()) for each in self.asked)))
                )
                self.asked = []
            while self.requests:
                self.answer_request()
            while self.down:
                self.node_hears()
        assert not self.node.flow._submitted
        assert not self.hub.flow._submitted
        assert not self.node.flow._requests
        self.read_on()
        assert (self.heard or [self.node_cursor])[-1] == (self.last_mailed if self.heard else self.node_cursor)

    def read_on(self) -> None:
        wide = Window(99, 1 << 30)
        while True:
            self.node_cursor = max([self.node_cursor, *self.heard])
            self.up.append(self.node.send(Acknowledge(self.node_cursor, wide)))
            self.hub_hears()
            self.deliver(99, 100)
            if not self.down:
                break
            while self.down:
                self.node_hears()
        assert self.node_cursor >= self.last_mailed or not self.mailbox
        assert not self.hub.flow._delivered


TestTalk = Talk.TestCase
TestTalk.settings = settings(settings.get_profile("default"), max_examples=25, stateful_step_count=40)
