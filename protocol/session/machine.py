"""The session between a node and its hub, without any input or output (SPEC section 11).

Bytes of whole WebSocket messages go in, events come out; who calls gives the time, the fresh secrets, the signing
and the registry.  Theory first:

    node    NEW ──start()──► HELLO ──ServerHello / Finish──► PROVEN ──Welcome──► OPEN ──► CLOSED
    hub     NEW ──ClientHello / ServerHello──► HELLO ──Finish──► PROVEN ──send(Welcome)──► OPEN ──► CLOSED

- NEW and HELLO are plain at the node, NEW alone is plain at the hub: the channel's keys exist once both hellos do.
- PROVEN means that this side has all it needs, and Welcome is still missing: the node has proved the hub by its
  hello, the hub has proved the node by its Finish and looks up what Welcome must say.
- What may be sent and received in a state is in the two tables below; nothing else is.  One end's sending table
  is the other's receiving table, and `protocol.session.flow` counts at both ends alike: what one end may not receive, the
  other can not send.  An error in sending is our caller's (`UsageError`) and changes nothing; an error in
  receiving is the peer's and closes the session for good, with its code, in one last Close frame if the channel
  is up (or plain, from a hub before that).
- Before the channel is up nothing proves who speaks: a plain Close is a hint (`Source.HINT`), not a fact.  It ends
  this attempt, as any broken line does, and must change nothing else.
- A hub learns of a member only by `Authenticated`: a replayed ClientHello gets as far as HELLO, so it must fence
  nobody.
- Once closed, `receive` gives no events and `send` raises `TransportError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final, TypeAlias

from protocol.codec import decode
from protocol.errors import (
    LimitError,
    PeerError,
    ReplayError,
    StandingError,
    TransportError,
    UsageError,
    ValijaError,
)
from protocol.limits import MAX_HELLO_BYTES
from protocol.names import AssociationId, Incarnation, Party, StatementId
from protocol.session.channel import Channel, Ephemeral, channel_of
from protocol.session.flow import Flow
from protocol.session.frames import SHAPES, Close, Direction, Finish, Frame, Welcome, decode_frame, encode_frame
from protocol.session.handshake import (
    ClientHello,
    KnownRegistry,
    RegistryFacts,
    ServerHello,
    Sign,
    check_client,
    check_server,
    transcript,
)
from protocol.signing import Label, PublicKey


class State(Enum):
    """Where a session stands; see the theory above."""

    NEW = "new"
    HELLO = "hello"
    PROVEN = "proven"
    OPEN = "open"
    CLOSED = "closed"


class Source(Enum):
    """Whose word a `Closed` is: found here, said by the proven peer, or claimed in plain by nobody knows whom."""

    HERE = "here"
    PEER = "peer"
    HINT = "hint"


# -- events ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Answer:
    """Send these bytes as one message."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """At the hub: this member's node has proved itself.  Send a Welcome, and close any older session of the member."""

    hello: ClientHello


@dataclass(frozen=True, slots=True)
class Opened:
    """At the node: the hub is who it should be, and lets us in."""

    hello: ServerHello
    welcome: Welcome


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """The peer said this, in its turn and within its windows."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over: close the connection.  `code` is one of SPEC section 13 (a newer peer's may be unknown here)."""

    code: str
    detail: str
    source: Source


Event: TypeAlias = Answer | Authenticated | Opened | FrameReceived | Closed

# -- the tables --------------------------------------------------------------------------------------
Turns: TypeAlias = Mapping[State, Mapping[type[Frame], State]]


def _turns(opening: Mapping[State, Mapping[type[Frame], State]], *, to: Direction) -> Turns:
    spoken = [kind for kind, shape in SHAPES.items() if shape.direction is to and kind not in {Finish, Welcome}]
    turns = {**opening, State.OPEN: dict.fromkeys(spoken, State.OPEN)}
    return {state: {**after, Close: State.CLOSED} for state, after in turns.items()}


NODE_SENDS: Final = _turns({State.PROVEN: {}}, to=Direction.NODE_TO_HUB)
NODE_RECEIVES: Final = _turns({State.PROVEN: {Welcome: State.OPEN}}, to=Direction.HUB_TO_NODE)
HUB_SENDS: Final = _turns({State.HELLO: {}, State.PROVEN: {Welcome: State.OPEN}}, to=Direction.HUB_TO_NODE)
HUB_RECEIVES: Final = _turns({State.HELLO: {Finish: State.PROVEN}, State.PROVEN: {}}, to=Direction.NODE_TO_HUB)


# -- the machines ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who opens a session: a member, its node's certificate and the newest incarnation, None before the first."""

    party: Party
    certificate: StatementId
    incarnation: Incarnation | None
    sign: Sign = field(repr=False)


@dataclass(frozen=True, slots=True)
class HubIdentity:
    """Who answers: the hub of an association, its certificate and incarnation."""

    association: AssociationId
    certificate: StatementId
    incarnation: Incarnation
    sign: Sign = field(repr=False)


class Session(ABC):
    """What both ends have in common: the channel, the tables and the book."""

    _sends: ClassVar[Turns]
    _receives: ClassVar[Turns]

    def __init__(self) -> None:
        """Nothing said yet."""
        self._state = State.NEW
        self._channel: Channel | None = None
        self._flow = Flow()

    @property
    def state(self) -> State:
        """Where this session stands."""
        return self._state

    @property
    def flow(self) -> Flow:
        """What is under way, to be read only: how much may still be submitted or delivered."""
        return self._flow

    def receive(self, data: bytes, now: int) -> list[Event]:
        """What follows from one message of the peer, at `now` (Unix seconds).

        A peer that breaks the protocol is answered by events too: a last `Answer`, where one can be sent, and
        `Closed`.  Raises only what our own side does: `KeyAccessError` of the signing, `UsageError` before `start`.
        """
        if self._state is State.CLOSED:
            return []
        try:
            if self._channel is None:
                return self._greeted(data, now)
            return self._received(self._opened(self._channel, data))
        except (PeerError, StandingError) as error:
            return self.close(error)

    def send(self, frame: Frame) -> bytes:
        """The message that carries `frame`.

        Raises `UsageError` for what may not be sent now, or passes a window, and changes nothing then;
        `TransportError` once the session is closed.
        """
        if self._state is State.CLOSED:
            raise TransportError("the session is closed")
        after = self._sends.get(self._state, {}).get(type(frame))
        if self._channel is None or after is None:
            raise UsageError(f"no {type(frame).__name__} in a session that is {self._state.value}")
        plaintext = encode_frame(frame)
        try:
            self._flow.book(frame)
        except PeerError as error:
            raise UsageError(error.detail) from error
        self._state = after
        return self._channel.seal(plaintext)

    def close(self, error: ValijaError) -> list[Event]:
        """End the session because of `error`: a last `Answer`, where one can be sent, and `Closed`; nothing if closed."""
        if self._state is State.CLOSED:
            return []
        self._state = State.CLOSED
        frame = Close.of(error)
        return [*self._farewell(encode_frame(frame)), Closed(frame.code, frame.detail, Source.HERE)]

    def _farewell(self, plaintext: bytes) -> list[Event]:
        return [] if self._channel is None else [Answer(self._channel.seal(plaintext))]

    def _opened(self, channel: Channel, data: bytes) -> Frame:
        # A stranger's first encrypted message is a Finish: it gets no room for more.
        if self._state is State.HELLO and len(data) > MAX_HELLO_BYTES:
            raise LimitError(f"a message of {len(data)} bytes, at most {MAX_HELLO_BYTES}")
        return decode_frame(channel.open(data))

    def _received(self, frame: Frame) -> list[Event]:
        after = self._receives[self._state].get(type(frame))
        if after is None:
            raise ReplayError(f"{type(frame).__name__} in a session that is {self._state.value}")
        self._flow.book(frame)
        event = Closed(frame.code, frame.detail, Source.PEER) if isinstance(frame, Close) else self._event(frame)
        self._state = after
        return [event]

    @abstractmethod
    def _greeted(self, data: bytes, now: int) -> list[Event]:
        """What follows from a message before the channel is up."""

    @abstractmethod
    def _event(self, frame: Frame) -> Event:
        """What a frame that is in turn means."""


class NodeSession(Session):
    """The node's end.  `registry` is its own mirror: what a hub says is judged by nothing else."""

    _sends = NODE_SENDS
    _receives = NODE_RECEIVES

    def __init__(self, identity: NodeIdentity, ephemeral: Ephemeral, registry: KnownRegistry) -> None:
        """Nothing said yet; `ephemeral` is fresh."""
        super().__init__()
        self._identity = identity
        self._ephemeral = ephemeral
        self._registry = registry
        self._client: ClientHello | None = None
        self._server: ServerHello | None = None

    def start(self, now: int) -> bytes:
        """The first message, at `now` (Unix seconds); `UsageError` the second time."""
        if self._state is not State.NEW:
            raise UsageError("this session was started before")
        me, facts = self._identity, RegistryFacts.of(self._registry)
        self._client = ClientHello.build(me.party, me.certificate, me.incarnation, self._ephemeral, now, facts)
        self._state = State.HELLO
        return self._client.raw

    def _greeted(self, data: bytes, now: int) -> list[Event]:
        if self._client is None:
            raise UsageError("this session was not started")
        if (hint := _plain_close(data)) is not None:
            self._state = State.CLOSED
            return [Closed(hint.code, hint.detail, Source.HINT)]
        server = ServerHello.from_bytes(data)
        check_server(server, self._client, self._registry, now)
        salt = transcript(self._client, server)
        channel = channel_of(self._ephemeral, server.share, salt, node=True)
        signature = self._identity.sign(Label.SESSION, server.association, salt)
        self._server, self._channel, self._state = server, channel, State.PROVEN
        return [Answer(channel.seal(encode_frame(Finish(signature))))]

    def _event(self, frame: Frame) -> Event:
        if isinstance(frame, Welcome) and self._server is not None:
            return Opened(self._server, frame)
        return FrameReceived(frame)


class HubSession(Session):
    """The hub's end, one for each connection."""

    _sends = HUB_SENDS
    _receives = HUB_RECEIVES

    def __init__(self, identity: HubIdentity, ephemeral: Ephemeral, registry: KnownRegistry) -> None:
        """Nothing said yet; `ephemeral` is fresh."""
        super().__init__()
        self._identity = identity
        self._ephemeral = ephemeral
        self._registry = registry
        self._claim: _Claim | None = None

    def _greeted(self, data: bytes, now: int) -> list[Event]:
        me, facts = self._identity, RegistryFacts.of(self._registry)
        client = ClientHello.from_bytes(data)
        key = check_client(client, me.association, self._registry, now)
        server = ServerHello.build(client, me.certificate, me.incarnation, self._ephemeral, now, facts, me.sign)
        salt = transcript(client, server)
        self._channel = channel_of(self._ephemeral, client.share, salt, node=False)
        self._claim, self._state = _Claim(client, key, salt), State.HELLO
        return [Answer(server.raw)]

    def _farewell(self, plaintext: bytes) -> list[Event]:
        return super()._farewell(plaintext) or [Answer(plaintext)]

    def _event(self, frame: Frame) -> Event:
        if isinstance(frame, Finish) and self._claim is not None:
            return self._claim.prove(frame)
        return FrameReceived(frame)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A hello whose sender has still to prove that it holds `key`."""

    hello: ClientHello
    key: PublicKey
    transcript: bytes

    def prove(self, finish: Finish) -> Authenticated:
        self.key.verify(Label.SESSION, self.hello.association, self.transcript, finish.signature)
        return Authenticated(self.hello)


def _plain_close(data: bytes) -> Close | None:
    """The Close that `data` claims to be; a ServerHello is an array of as many, but starts with bytes."""
    value = decode(data, MAX_HELLO_BYTES)
    if not isinstance(value, list) or value[:1] != [SHAPES[Close].type]:
        return None
    frame = decode_frame(data)
    return frame if isinstance(frame, Close) else None
