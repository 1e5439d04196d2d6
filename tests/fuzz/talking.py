"""The target of sessions: both ends of one, in any state, fed with messages raw, forged by a proven peer, and honest.

An input is [end, window, [[kind, bytes]…]].  Whoever sits at the other end holds the keys of the channel, and may seal
whatever it likes: a peer that proved itself is no friend.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache, partial
from typing import Any, Final

from protocol.codec import encode
from protocol.errors import TransportError, UsageError
from protocol.limits import MAX_FRAME_BYTES
from protocol.session.channel import Channel, channel_of
from protocol.session.frames import Acknowledge, Frame, Submit, Welcome, decode_frame, encode_frame
from protocol.session.handshake import ClientHello, ServerHello, transcript
from protocol.session.items import Window
from protocol.session.machine import Answer, Closed, Event, HubSession, NodeSession, Session, State
from protocol.signing import Label, PrivateKey, Signature
from tests.fuzz.mutate import blob, unpack
from tests.fuzz.reading import WORDS, vectors
from tests.fuzz.target import Target, refused_or, require
from tests.protocol.pair import HUB_DRAW, HUB_KEY, NODE_DRAW, NODE_KEY, NOW, hub_session, item, node_session

RAW, FORGED, OWN, HONEST = range(4)
MAX_STEPS: Final = 12
STATES: Final = (State.NEW, State.HELLO, State.PROVEN, State.OPEN, State.CLOSED)


@lru_cache(maxsize=64)
def _signed(key: PrivateKey, label: Label, association: bytes, message: bytes) -> Signature:
    # The draws are fixed, so the few messages that are signed come again and again.
    return key.sign(label, association, message)


class Line:
    """One end under test, its honest peer, and the channel as that peer's end would seal."""

    def __init__(self, *, node: bool, welcome: Welcome) -> None:
        self.node_first = node
        self.node: NodeSession = node_session(sign=lambda *words: _signed(NODE_KEY, *words))
        self.hub: HubSession = hub_session(sign=lambda *words: _signed(HUB_KEY, *words))
        self.own: Session = self.node if node else self.hub
        self.peer: Session = self.hub if node else self.node
        self.welcome = welcome
        self.hello = self.node.start(NOW)
        self.forger: Channel | None = None
        self.steps = 0

    def advance(self) -> None:
        """The next honest message of the handshake."""
        self.steps += 1
        if self.steps == 1:
            answer = self._heard(self.hub, self.hello)
            if answer is not None:
                self.answer = answer
        elif self.steps == 2 and hasattr(self, "answer"):
            finish = self._heard(self.node, self.answer)
            if finish is not None:
                self._heard(self.hub, finish)
        elif self.steps == 3 and self.hub.state is State.PROVEN:
            self._heard(self.node, self.hub.send(self.welcome))
        self._forge()

    def _heard(self, session: Session, message: bytes) -> bytes | None:
        events = self.receive(session, message)
        return next((event.data for event in events if isinstance(event, Answer)), None)

    def _forge(self) -> None:
        if self.forger is None and self.own._channel is not None:
            self.forger = _twin(self)

    def receive(self, session: Session, message: bytes) -> list[Event]:
        """What follows, checked: events never contradict the state."""
        before = session.state
        events = session.receive(message, NOW)
        after = session.state
        require(STATES.index(after) >= STATES.index(before), f"from {before.value} back to {after.value}")
        require(
            (after is State.CLOSED) or not any(isinstance(each, Closed) for each in events), "closed and not closed"
        )
        if before is State.CLOSED:
            require(events == [], "a closed session speaks")
        room = session.flow.submit_room, session.flow.delivery_room
        require(all(each.envelopes >= 0 and each.max_bytes >= 0 for each in room), "less than no room")
        return events


def _twin(line: Line) -> Channel:
    """A channel that seals as the peer of `own` would, with its numbers."""
    client, server = ClientHello.from_bytes(line.hello), ServerHello.from_bytes(line.answer)
    draws = (HUB_DRAW, client.share) if line.node_first else (NODE_DRAW, server.share)
    return channel_of(draws[0], draws[1], transcript(client, server), node=not line.node_first)


def session(data: bytes) -> None:
    try:
        end, (envelopes, size), steps = unpack(data)
        welcome = Welcome(5, None, Window(int(envelopes) % 300, int(size) % MAX_FRAME_BYTES))
        played = [(int(kind) % 4, blob(message)) for kind, message in steps[:MAX_STEPS]]
        line = Line(node=bool(end), welcome=welcome)
    except (ValueError, TypeError, OverflowError, MemoryError):
        return
    for kind, message in played:
        _step(line, kind, message)


def _step(line: Line, kind: int, message: bytes) -> None:
    if kind == RAW:
        line.receive(line.own, message)
    elif kind == HONEST:
        line.advance()
    elif kind == FORGED and line.forger is not None and line.own._channel is not None:
        line.forger._sent = line.own._channel._received
        line.receive(line.own, line.forger.seal(message))
    elif kind == OWN:
        frame = refused_or(lambda: decode_frame(message))
        if frame is not None:
            _send(line.own, frame)


def _send(session: Session, frame: Frame) -> None:
    before = session.state, session.flow.submit_room, session.flow.delivery_room
    if refused_or(lambda: session.send(frame), (UsageError, TransportError)) is None:
        require(before == (session.state, session.flow.submit_room, session.flow.delivery_room), "refused, yet counted")


# -- seeds -----------------------------------------------------------------------------------------------
@cache
def _frames() -> tuple[bytes, ...]:
    return tuple(each for each in vectors("frames", "encoded") if refused_or(partial(decode_frame, each)) is not None)


def seeds() -> Iterator[bytes]:
    up: list[Any] = [[HONEST, b""]] * 3
    wide = [100, 1 << 21]
    for end in (0, 1):
        yield encode([end, wide, up])
        for frame in _frames():
            yield encode([end, wide, [*up, [FORGED, frame]]])
            yield encode([end, wide, [*up, [OWN, frame]]])
    submit = encode_frame(Submit((item(1, size=8), item(2, size=8))))
    start = encode_frame(Acknowledge(0, Window(9, 99_999)))
    yield encode([0, wide, [*up, [FORGED, start], [FORGED, submit], [FORGED, submit]]])
    yield encode([1, wide, [*up, [OWN, start], [OWN, submit], *([FORGED, each] for each in _frames()[:6])]])
    yield encode([0, [1, 16], [*up, [FORGED, start], *([FORGED, each] for each in _frames())][:MAX_STEPS]])
    for hello in vectors("session", "client_hello"):
        yield encode([0, wide, [[RAW, hello]]])
    for hello in vectors("session", "server_hello"):
        yield encode([1, wide, [[RAW, hello]]])
    for number in range(3):
        yield encode([0, wide, [*up[:number], [RAW, b"\x93\x1b\xa8draining\xa0"]]])
        yield encode([1, wide, [*up[:number], [RAW, b"\x93\x1b\xa8draining\xa0"]]])


TARGETS: Final = (Target("session", session, seeds, words=WORDS, max_bytes=32_768),)
