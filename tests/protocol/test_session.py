"""Two session machines joined in memory, and whatever may stand between them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bodies import Role
from protocol.codec import decode, encode
from protocol.errors import (
    DrainingError,
    FencedError,
    KeyAccessError,
    MalformedError,
    TransportError,
    UsageError,
)
from protocol.limits import CLOCK_REFUSE_SECONDS, MAX_FRAME_BYTES, MAX_HELLO_BYTES
from protocol.session.channel import Channel, Ephemeral, channel_of, session_keys
from protocol.session.frames import (
    SHAPES,
    Acknowledge,
    Close,
    Deliver,
    Direction,
    Finish,
    Frame,
    Publish,
    Registry,
    Results,
    Submit,
    Welcome,
    decode_frame,
    encode_frame,
)
from protocol.session.handshake import ClientHello, KnownRegistry, RegistryFacts, ServerHello, transcript
from protocol.session.items import ResultItem, Window
from protocol.session.machine import (
    HUB_RECEIVES,
    HUB_SENDS,
    NODE_RECEIVES,
    NODE_SENDS,
    Answer,
    Authenticated,
    Closed,
    Event,
    FrameReceived,
    HubIdentity,
    HubSession,
    NodeIdentity,
    NodeSession,
    Opened,
    Session,
    Source,
    State,
)
from protocol.signing import Label, Signature
from tests.protocol.pair import (
    ATTESTED,
    HUB_CERTIFICATE,
    HUB_DRAW,
    HUB_LIFE,
    LIFE,
    NODE,
    NODE_CERTIFICATE,
    NODE_DRAW,
    NODE_KEY,
    NOW,
    PEER_CERTIFICATE,
    PEER_KEY,
    WELCOME,
    FakeRegistry,
    answer,
    delivery,
    hub_session,
    item,
    node_session,
    opened,
    reading,
)
from tests.protocol.vectors_primitives import load
from tests.support.world import World

YEAR = 365 * 86_400


def unpacked(data: bytes) -> list[Any]:
    """The items of an encoded array."""
    value = decode(data, MAX_HELLO_BYTES)
    assert isinstance(value, list)
    return value


def close_of(events: list[Event]) -> Closed:
    """The `Closed` that ends these events, of which at most an answer comes before."""
    *before, last = events
    assert isinstance(last, Closed), events
    assert all(isinstance(event, Answer) for event in before)
    assert len(before) <= 1
    return last


def refusal(session: Session, data: bytes, now: int = NOW) -> str:
    """The code with which this side ends the session; nothing is said or heard after it."""
    closed = close_of(session.receive(data, now))
    assert closed.source is Source.HERE
    silent(session, data)
    return closed.code


def silent(session: Session, data: bytes = b"") -> None:
    assert session.state is State.CLOSED
    assert session.receive(data, NOW) == []
    assert session.close(DrainingError()) == []
    with pytest.raises(TransportError):
        session.send(Close("draining", ""))


# -- the way it goes ---------------------------------------------------------------------------------
def test_a_session_opens_and_carries_frames_both_ways() -> None:
    node, hub = node_session(), hub_session()
    server = hub.receive(node.start(NOW), NOW)
    assert (node.state, hub.state) == (State.HELLO, State.HELLO)
    finish = node.receive(answer(server), NOW)
    assert node.state is State.PROVEN
    (authenticated,) = hub.receive(answer(finish), NOW)
    assert isinstance(authenticated, Authenticated)
    assert authenticated.hello.party == NODE
    assert authenticated.hello.incarnation == LIFE
    assert hub.state is State.PROVEN
    (event,) = node.receive(hub.send(WELCOME), NOW)
    assert isinstance(event, Opened)
    assert event.welcome == WELCOME
    assert (event.hello.certificate, event.hello.incarnation) == (HUB_CERTIFICATE, HUB_LIFE)
    assert event.hello.facts.size == FakeRegistry().size
    assert (node.state, hub.state) == (State.OPEN, State.OPEN)
    submit = Submit((item(1), item(2)))
    assert hub.receive(node.send(submit), NOW) == [FrameReceived(submit)]
    results = Results((ResultItem(item(1).id, None, (ATTESTED[0],)), ResultItem(item(2).id, "conflict", ())))
    assert node.receive(hub.send(results), NOW) == [FrameReceived(results)]
    assert hub.receive(node.send(Acknowledge(0, Window(9, 99_999))), NOW) != []
    deliver = Deliver((delivery(1), delivery(2)))
    assert node.receive(hub.send(deliver), NOW) == [FrameReceived(deliver)]
    assert hub.flow.delivery_room.envelopes == 7


def test_a_node_without_an_incarnation_yet_is_let_in() -> None:
    hub = hub_session()
    node = node_session(incarnation=None)
    events = hub.receive(answer(node.receive(answer(hub.receive(node.start(NOW), NOW)), NOW)), NOW)
    assert isinstance(events[0], Authenticated)
    assert events[0].hello.incarnation is None


def test_the_registry_itself_serves() -> None:
    world = World()
    registry: KnownRegistry = world.registry
    (certificate,) = world.registry.node_certificates("ar-mpf", world.now)
    (life,) = world.registry.incarnations(Role.NODE, "ar-mpf")
    me = NodeIdentity(world.party("ar-mpf"), certificate.id, life, world.key("ar-mpf").sign)
    it = HubIdentity(world.association, world.hub_certificate, world.hub_incarnation, world.hub_key.sign)
    node, hub = NodeSession(me, NODE_DRAW, registry), HubSession(it, HUB_DRAW, registry)
    finish = answer(node.receive(answer(hub.receive(node.start(world.now), world.now)), world.now))
    (event,) = hub.receive(finish, world.now)
    assert isinstance(event, Authenticated)
    assert event.hello.facts == RegistryFacts.of(world.registry)
    assert event.hello.facts.root == world.registry.root


def test_one_ends_sending_is_the_others_receiving() -> None:
    for sends, receives in ((NODE_SENDS, HUB_RECEIVES), (HUB_SENDS, NODE_RECEIVES)):
        assert sends[State.OPEN] == receives[State.OPEN]
    assert set(NODE_SENDS[State.OPEN]) | set(HUB_SENDS[State.OPEN]) | {Finish, Welcome} == set(SHAPES)
    for kind, shape in SHAPES.items():
        up = any(kind in turns for turns in HUB_RECEIVES.values())
        down = any(kind in turns for turns in NODE_RECEIVES.values())
        assert (up, down) == (
            shape.direction is not Direction.HUB_TO_NODE,
            shape.direction is not Direction.NODE_TO_HUB,
        )


def test_nothing_of_a_message_is_kept() -> None:
    node, hub = reading()
    secret = b"plaintext that should not stay" * 300
    envelope = replace(item(1), ciphertext=secret)
    hub.receive(node.send(Submit((envelope,))), NOW)
    node.receive(hub.send(Deliver((replace(delivery(1), ciphertext=secret),))), NOW)
    for session in (node, hub):
        held = list(bytes_of(session.flow))
        assert held, "the id of what is under way"
        assert not [each for each in (*held, *bytes_of(session)) if b"should not stay" in each]


def bytes_of(start: object) -> Iterator[bytes]:
    """Every byte string that this object holds, however deep, whatever its repr shows."""
    seen: set[int] = set()
    todo = [start]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(each))
        if isinstance(each, bytes):
            yield each
        todo += gc.get_referents(each)


# -- who may speak -----------------------------------------------------------------------------------
def test_a_stranger_is_told_unknown_member() -> None:
    registry = FakeRegistry(names={"co-fgn"})
    assert refusal(hub_session(registry=registry), node_session().start(NOW)) == "unknown_member"


def test_a_revoked_certificate_is_told_not_in_standing() -> None:
    registry = FakeRegistry()
    del registry.records[NODE_CERTIFICATE]
    assert refusal(hub_session(registry=registry), node_session().start(NOW)) == "not_in_standing"


@pytest.mark.parametrize("certificate", [PEER_CERTIFICATE, HUB_CERTIFICATE])
def test_another_ones_certificate_is_told_not_in_standing(certificate: bytes) -> None:
    hello = node_session(certificate=certificate, sign=PEER_KEY.sign).start(NOW)
    assert refusal(hub_session(), hello) == "not_in_standing"


def test_a_hubs_certificate_in_a_members_name_opens_nothing() -> None:
    registry = FakeRegistry()
    registry.records[NODE_CERTIFICATE] = replace(registry.records[NODE_CERTIFICATE], role=Role.HUB)
    assert refusal(hub_session(registry=registry), node_session().start(NOW)) == "not_in_standing"


def test_a_node_that_signs_with_another_key_is_told_bad_signature() -> None:
    hub = hub_session()
    node = node_session(sign=PEER_KEY.sign)
    finish = answer(node.receive(answer(hub.receive(node.start(NOW), NOW)), NOW))
    first, closed = hub.receive(finish, NOW)
    assert isinstance(first, Answer)
    assert closed == Closed("bad_signature", "valija/0 session", Source.HERE)
    assert node.receive(first.data, NOW) == [Closed("bad_signature", "valija/0 session", Source.PEER)]
    silent(node)
    silent(hub)


def server_hello(**changes: Any) -> tuple[NodeSession, bytes]:
    node = node_session()
    return node, answer(hub_session(**changes).receive(node.start(NOW), NOW))


def test_a_hub_with_another_key_is_wrong_hub() -> None:
    node, hello = server_hello(sign=PEER_KEY.sign)
    assert refusal(node, hello) == "wrong_hub"


def test_a_hub_with_a_certificate_that_is_unknown_here_is_wrong_hub() -> None:
    node, hello = server_hello(certificate=bytes(32))
    assert refusal(node, hello) == "wrong_hub"


def test_a_node_that_plays_the_hub_is_wrong_hub() -> None:
    node, hello = server_hello(certificate=PEER_CERTIFICATE, sign=PEER_KEY.sign)
    closed = close_of(node.receive(hello, NOW))
    assert (closed.code, closed.detail) == ("wrong_hub", "the certificate is no hub's")


def test_another_association_is_refused_by_the_hub() -> None:
    assert refusal(hub_session(association=bytes(32)), node_session().start(NOW)) == "wrong_association"


def test_another_association_is_refused_by_the_node() -> None:
    node, hello = server_hello()
    signed, *rest = unpacked(hello)
    values = unpacked(signed)
    assert refusal(node, encode([encode([0, bytes(32), *values[2:]]), *rest])) == "wrong_association"


@pytest.mark.parametrize("other", [1, 2**40])
def test_another_version_is_refused_by_both(other: int) -> None:
    values = unpacked(node_session().start(NOW))
    assert refusal(hub_session(), encode([other, "shaped otherwise", *values[1:]])) == "unsupported_version"
    node, hello = server_hello()
    _signed, *rest = unpacked(hello)
    assert refusal(node, encode([encode([other]), *rest])) == "unsupported_version"


@pytest.mark.parametrize("part", [0, 2, 3, 4, 5])
def test_a_hub_of_version_0_knows_members_alone(part: int) -> None:
    values = unpacked(node_session().start(NOW))
    values[2] = part
    assert refusal(hub_session(), encode(values)) == "unsupported_version"


# -- clocks ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("offset", [CLOCK_REFUSE_SECONDS + 1, -CLOCK_REFUSE_SECONDS - 1, YEAR, -YEAR])
def test_a_wrong_clock_is_told_with_the_hubs_time(offset: int) -> None:
    hub, node = hub_session(), node_session()
    first, closed = hub.receive(node.start(NOW + offset), NOW)
    assert isinstance(first, Answer)
    detail = f"hub time {NOW}, the node is {abs(offset)} s {'ahead' if offset > 0 else 'behind'}"
    assert closed == Closed("clock_skew", detail, Source.HERE)
    assert node.receive(first.data, NOW + offset) == [Closed("clock_skew", detail, Source.HINT)]
    silent(node)


@pytest.mark.parametrize("offset", [CLOCK_REFUSE_SECONDS + 1, -CLOCK_REFUSE_SECONDS - 1, YEAR, -YEAR])
def test_a_node_finds_a_wrong_clock_itself(offset: int) -> None:
    node, hello = server_hello()
    closed = close_of(node.receive(hello, NOW + offset))
    assert (closed.code, closed.source) == ("clock_skew", Source.HERE)
    assert f"hub time {NOW}" in closed.detail


@pytest.mark.parametrize("offset", [CLOCK_REFUSE_SECONDS, -CLOCK_REFUSE_SECONDS])
def test_an_hour_apart_is_still_fine(offset: int) -> None:
    registry = FakeRegistry()
    for known, record in registry.records.items():
        registry.records[known] = replace(record, not_before=0, not_after=NOW + YEAR)
    hub, node = hub_session(registry=registry), node_session(registry=registry)
    hello = answer(hub.receive(node.start(NOW + offset), NOW))
    assert isinstance(node.receive(hello, NOW + offset)[0], Answer)
    assert node.state is State.PROVEN


# -- who stands between ------------------------------------------------------------------------------
LOW_ORDER = [bytes(32), bytes([1]) + bytes(31), bytes([0xEC]) + bytes([0xFF]) * 30 + bytes([0x7F])]


@pytest.mark.parametrize("share", LOW_ORDER)
def test_a_share_that_forces_the_secret_is_refused(share: bytes) -> None:
    values = unpacked(node_session().start(NOW))
    values[7] = share
    assert refusal(hub_session(), encode(values)) == "malformed"
    with pytest.raises(MalformedError):
        channel_of(HUB_DRAW, share, bytes(32), node=True)


def test_a_share_exchanged_on_the_way_up_ends_at_the_node() -> None:
    node, hub = node_session(), hub_session()
    values = unpacked(node.start(NOW))
    values[7] = Ephemeral(bytes(32), bytes([9]) * 32).share
    assert refusal(node, answer(hub.receive(encode(values), NOW))) == "wrong_hub"


def test_a_share_exchanged_on_the_way_down_ends_at_the_node() -> None:
    node, hello = server_hello()
    signed, *rest = unpacked(hello)
    values = unpacked(signed)
    values[5] = Ephemeral(bytes(32), bytes([9]) * 32).share
    assert refusal(node, encode([encode(values), *rest])) == "wrong_hub"


def test_who_holds_other_keys_cannot_finish_for_the_node() -> None:
    # The node's signature is of another transcript than the one that the thief opens with the hub.
    thief = Ephemeral(bytes(32), bytes([9]) * 32)
    hub = hub_session()
    values = unpacked(node_session().start(NOW))
    values[7] = thief.share
    client = ClientHello.from_bytes(encode(values))
    server = ServerHello.from_bytes(answer(hub.receive(client.raw, NOW)))
    salt = transcript(client, server)
    stolen = NODE_KEY.sign(Label.SESSION, client.association, bytes(32))
    message = channel_of(thief, server.share, salt, node=True).seal(encode_frame(Finish(stolen)))
    assert refusal(hub, message) == "bad_signature"


def test_a_replayed_client_hello_opens_nothing() -> None:
    node, hub = node_session(), hub_session()
    hello = node.start(NOW)
    finish = answer(node.receive(answer(hub.receive(hello, NOW)), NOW))
    again = hub_session(draw=Ephemeral(bytes([7]) * 32, bytes([8]) * 32))
    events = again.receive(hello, NOW)
    assert all(isinstance(event, Answer) for event in events)
    assert refusal(again, finish) == "bad_frame"


def test_a_replayed_server_hello_opens_nothing() -> None:
    _node, hello = server_hello()
    fresh = node_session(draw=Ephemeral(bytes([7]) * 32, bytes([8]) * 32))
    fresh.start(NOW)
    assert refusal(fresh, hello) == "wrong_hub"


AT_NODE = {1, 3, 6, 7}  # which messages of the exchange below the node hears; the hub hears the others


def exchange(change: Callable[[int, bytes], list[bytes]]) -> tuple[NodeSession, HubSession, list[Closed]]:
    """Run a whole session, each message replaced by `change(its number, it)`; what closed, until somebody closes."""
    node, hub = node_session(), hub_session()
    closed: list[Closed] = []

    def hear(number: int, message: bytes) -> list[Event]:
        listener = node if number in AT_NODE else hub
        events = [event for each in change(number, message) for event in listener.receive(each, NOW)]
        closed.extend(event for event in events if isinstance(event, Closed))
        return events

    script: list[Callable[[], bytes]] = [
        lambda: node.start(NOW),
        lambda: b"",
        lambda: b"",
        lambda: hub.send(WELCOME),
        lambda: node.send(Acknowledge(0, Window(9, 99_999))),
        lambda: node.send(Submit((item(1),))),
        lambda: hub.send(Results((ResultItem(item(1).id, "conflict", ()),))),
        lambda: hub.send(Deliver((delivery(1),))),
    ]
    replies: list[Event] = []
    for number, make in enumerate(script):
        message = make() or next(event.data for event in replies if isinstance(event, Answer))
        replies = hear(number, message)
        if closed:
            break
    return node, hub, closed


def test_an_untouched_exchange_closes_nothing() -> None:
    node, hub, closed = exchange(lambda _number, message: [message])
    assert closed == []
    assert (node.state, hub.state) == (State.OPEN, State.OPEN)


@pytest.mark.parametrize("number", range(8))
@given(data=st.data())
def test_a_flipped_bit_ends_the_session_at_that_message(number: int, data: st.DataObject) -> None:
    where = data.draw(st.floats(0, 1, exclude_max=True))
    bit = data.draw(st.integers(0, 7))
    heard = []

    def flip(at: int, message: bytes) -> list[bytes]:
        heard.append(at)
        spot = int(where * len(message))
        return [message if at != number else message[:spot] + bytes([message[spot] ^ 1 << bit]) + message[spot + 1 :]]

    node, hub, closed = exchange(flip)
    # A ClientHello that still says something possible is found out by the answer, which signs it.
    assert heard[-1] == number or (number, heard[-1]) == (0, 1)
    assert (node if heard[-1] in AT_NODE else hub).state is State.CLOSED
    assert len(closed) == 1
    if number >= 2:
        assert closed[0].code == "bad_frame"
    if heard[-1] == 1 and number == 0:
        assert closed[0].code == "wrong_hub"


@pytest.mark.parametrize("number", range(8))
def test_a_message_twice_ends_the_session(number: int) -> None:
    node, hub, closed = exchange(lambda at, message: [message] * (1 + (at == number)))
    (end,) = closed
    assert end.code == "bad_frame"
    assert (node if number in AT_NODE else hub).state is State.CLOSED


@pytest.mark.parametrize("number", [4, 6])
def test_a_message_dropped_ends_the_session_at_the_next(number: int) -> None:
    _node, _hub, closed = exchange(lambda at, message: [message] * (at != number))
    assert [end.code for end in closed] == ["bad_frame"]


@pytest.mark.parametrize("number", [4, 6])
def test_messages_exchanged_end_the_session(number: int) -> None:
    held: list[bytes] = []

    def swap(at: int, message: bytes) -> list[bytes]:
        if at == number:
            held.append(message)
            return []
        return [message, *held] if at == number + 1 else [message]

    _node, _hub, closed = exchange(swap)
    assert [end.code for end in closed] == ["bad_frame"]


def test_what_one_says_is_not_echoed_to_it() -> None:
    node, _hub = opened()
    assert refusal(node, node.send(Acknowledge(0, Window(1, 1)))) == "bad_frame"


@pytest.mark.parametrize("junk", [b"", b"\x00", bytes(15), bytes(16), bytes(17)])
def test_junk_is_a_bad_frame_and_before_the_channel_malformed(junk: bytes) -> None:
    for session in opened():
        assert refusal(session, junk) == "bad_frame"
    assert refusal(hub_session(), junk) == "malformed"
    node = node_session()
    node.start(NOW)
    assert refusal(node, junk) == "malformed"


# -- a peer that breaks the rules --------------------------------------------------------------------
def forged(receiver: Session, sender: Session, frame: Frame) -> str:
    """The code with which `receiver` refuses a frame that an honest `sender` would not send."""
    assert sender._channel is not None
    return refusal(receiver, sender._channel.seal(encode_frame(frame)))


def test_frames_out_of_turn_or_of_the_other_direction_are_replayed() -> None:
    node, hub = opened()
    assert forged(hub, node, Registry(1)) == "replayed"
    node, hub = opened()
    assert forged(node, hub, Publish(1, b"")) == "replayed"
    node, hub = opened()
    assert forged(node, hub, WELCOME) == "replayed"
    signature = Signature(bytes(64), bytes(3309))
    node, hub = opened()
    assert forged(hub, node, Finish(signature)) == "replayed"


def test_a_node_is_not_heard_before_welcome() -> None:
    node, hub = node_session(), hub_session()
    hub.receive(answer(node.receive(answer(hub.receive(node.start(NOW), NOW)), NOW)), NOW)
    assert forged(hub, node, Acknowledge(0, Window(1, 1))) == "replayed"


def test_only_a_finish_follows_the_hellos() -> None:
    node, hub = node_session(), hub_session()
    node.receive(answer(hub.receive(node.start(NOW), NOW)), NOW)
    assert node._channel is not None
    node._channel._sent = 0  # the Finish is left out
    assert forged(hub, node, Acknowledge(0, Window(1, 1))) == "replayed"


def test_a_peer_beyond_its_window_is_told() -> None:
    node, hub = opened(Welcome(0, None, Window(1, 1 << 20)))
    assert forged(hub, node, Submit((item(1), item(2)))) == "limit_exceeded"
    node, hub = reading(window=Window(1, 1 << 20))
    assert forged(node, hub, Deliver((delivery(1), delivery(2)))) == "limit_exceeded"


def test_a_peer_that_answers_nothing_is_told() -> None:
    node, hub = opened()
    assert forged(node, hub, Results((ResultItem(item(1).id, "conflict", ()),))) == "replayed"


def test_the_peer_hears_the_code() -> None:
    node, hub = opened()
    assert node._channel is not None
    events = hub.receive(node._channel.seal(encode_frame(Registry(1))), NOW)
    assert close_of(events).code == "replayed"
    (closed,) = node.receive(answer(events[:1]), NOW)
    assert closed == Closed("replayed", "Registry in a session that is open", Source.PEER)
    silent(node)


def test_what_is_too_large_is_refused_before_it_is_opened() -> None:
    for session in opened():
        assert refusal(session, bytes(MAX_FRAME_BYTES + 1)) == "limit_exceeded"
    for session in opened():
        assert refusal(session, bytes(MAX_FRAME_BYTES)) == "bad_frame"
    assert refusal(hub_session(), bytes(MAX_HELLO_BYTES + 1)) == "limit_exceeded"
    node, hub = node_session(), hub_session()
    hub.receive(node.start(NOW), NOW)
    assert refusal(node, bytes(MAX_HELLO_BYTES + 1)) == "limit_exceeded"
    assert refusal(hub, bytes(MAX_HELLO_BYTES + 1)) == "limit_exceeded"


def test_a_frame_that_opens_and_is_none_is_refused_by_its_own_code() -> None:
    for value, code in ((b"\x93\x1a\x01\x02", "malformed"), (b"\x92\x1a\xcc\x01", "non_canonical")):
        node, hub = opened()
        assert hub._channel is not None
        assert refusal(node, hub._channel.seal(value)) == code


# -- our own callers ---------------------------------------------------------------------------------
def test_what_may_not_be_sent_is_not_sent_and_changes_nothing() -> None:
    node, hub = opened(Welcome(0, None, Window(1, 1 << 20)))
    too_much = Submit((item(1), item(2)))
    for session, frame in ((node, too_much), (node, Registry(1)), (hub, Publish(1, b"")), (hub, WELCOME)):
        with pytest.raises(UsageError):
            session.send(frame)
    with pytest.raises(UsageError):
        hub.send(Deliver((delivery(1),)))
    assert hub.receive(node.send(Submit((item(1),))), NOW)[0] == FrameReceived(Submit((item(1),)))
    assert node.receive(hub.send(Registry(13)), NOW) == [FrameReceived(Registry(13))]


def test_a_frame_over_the_limit_leaves_the_window_as_it_was() -> None:
    node, _hub = opened(Welcome(0, None, Window(9, 1 << 30)))
    before = node.flow.submit_room
    with pytest.raises(UsageError):
        node.send(Submit((item(1, size=MAX_FRAME_BYTES),)))
    assert node.flow.submit_room == before


def test_a_node_starts_once_and_hears_nothing_before() -> None:
    node = node_session()
    with pytest.raises(UsageError):
        node.receive(b"", NOW)
    with pytest.raises(UsageError):
        node.send(Publish(1, b""))
    node.start(NOW)
    with pytest.raises(UsageError):
        node.start(NOW)


def test_a_hub_says_nothing_before_it_heard() -> None:
    with pytest.raises(UsageError):
        hub_session().send(Registry(1))


@pytest.mark.parametrize("sizes", [(31, 32), (32, 31), (33, 32)])
def test_fresh_secrets_have_their_size(sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        Ephemeral(bytes(sizes[0]), bytes(sizes[1]))


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(HUB_DRAW)


def test_a_key_that_cannot_be_used_is_our_own_trouble() -> None:
    def locked(_label: Label, _association: bytes, _message: bytes) -> Signature:
        raise KeyAccessError

    with pytest.raises(KeyAccessError):
        hub_session(sign=locked).receive(node_session().start(NOW), NOW)
    node = node_session(sign=locked)
    hello = answer(hub_session().receive(node.start(NOW), NOW))
    with pytest.raises(KeyAccessError):
        node.receive(hello, NOW)
    assert node.state is State.HELLO


# -- farewells ---------------------------------------------------------------------------------------
def test_a_close_is_heard_and_ends_both() -> None:
    node, hub = opened()
    assert node.receive(hub.send(Close("fenced", "another session")), NOW) == [
        Closed("fenced", "another session", Source.PEER)
    ]
    silent(node)
    silent(hub)


@pytest.mark.parametrize("end", [0, 1])
def test_either_end_closes_for_a_reason(end: int) -> None:
    pair: tuple[Session, Session] = opened()
    closing, other = pair[end], pair[1 - end]
    events = closing.close(FencedError("newer"))
    assert close_of(events) == Closed("fenced", "newer", Source.HERE)
    assert other.receive(answer(events[:1]), NOW) == [Closed("fenced", "newer", Source.PEER)]
    silent(closing)


def test_a_node_that_proved_the_hub_believes_its_close() -> None:
    node, hub = node_session(), hub_session()
    hub.receive(answer(node.receive(answer(hub.receive(node.start(NOW), NOW)), NOW)), NOW)
    assert node.receive(hub.send(Close("not_in_standing", "")), NOW) == [Closed("not_in_standing", "", Source.PEER)]


def test_a_close_in_plain_is_a_hint() -> None:
    node = node_session()
    node.start(NOW)
    (event,) = node.receive(encode_frame(Close("draining", "")), NOW)
    assert event == Closed("draining", "", Source.HINT)
    silent(node)


def test_a_plain_close_that_is_malformed_is_not_believed() -> None:
    node = node_session()
    node.start(NOW)
    assert refusal(node, encode([27, "Draining now", ""])) == "malformed"


def test_a_plain_close_to_an_open_session_is_a_bad_frame() -> None:
    node, _hub = opened()
    assert refusal(node, encode_frame(Close("draining", ""))) == "bad_frame"


def test_before_the_channel_only_the_hub_has_words_to_close_with() -> None:
    node = node_session()
    node.start(NOW)
    assert node.close(DrainingError()) == [Closed("draining", "", Source.HERE)]
    first, _closed = hub_session().close(DrainingError())
    assert isinstance(first, Answer)
    assert first.data == encode_frame(Close("draining", ""))


def test_a_hub_closes_in_secret_once_both_hellos_are_said() -> None:
    node, hub = node_session(), hub_session()
    hello = answer(hub.receive(node.start(NOW), NOW))
    first, _closed = hub.close(DrainingError())
    node.receive(hello, NOW)
    assert isinstance(first, Answer)
    assert node.receive(first.data, NOW) == [Closed("draining", "", Source.PEER)]


# -- the channel -------------------------------------------------------------------------------------
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_a_channel_carries_each_direction_in_order(messages: list[bytes]) -> None:
    one, two = session_keys(bytes(32), bytes(32))
    left, right = Channel(one, two), Channel(two, one)
    sealed = [left.seal(message) for message in messages]
    assert [right.open(message) for message in sealed] == messages
    assert all(len(each) == len(message) + 16 for each, message in zip(sealed, messages, strict=True))
    assert len(set(sealed)) == len(sealed)
    assert left.open(right.seal(b"back")) == b"back"


# -- vectors -----------------------------------------------------------------------------------------
VECTORS = load("session")
(VALID,) = VECTORS["valid"]
SAID = [bytes.fromhex(VALID[name]) for name in ("client_hello", "server_hello")]
SAID += [bytes.fromhex(message["message"]) for message in VALID["messages"]]
SENDERS = ["node", "hub", *(message["from"] for message in VALID["messages"])]
HEARD_AT = {"node": VECTORS["now"], "hub": VECTORS["now"] + 5}


def recorded_signature(plaintext: str) -> Signature:
    return Signature.parse(unpacked(bytes.fromhex(plaintext))[1:])


def replayed(count: int) -> dict[str, Session]:
    """Both machines after the first `count` messages, each of which they made themselves as the vectors have it."""
    finish = recorded_signature(VALID["messages"][0]["plaintext"])
    node, hub = (
        node_session(sign=lambda *_: finish),
        hub_session(sign=lambda *_: recorded_signature(VALID["server_hello"])),
    )
    sessions: dict[str, Session] = {"node": node, "hub": hub}
    made = [node.start(HEARD_AT["node"])]
    for number in range(count):
        sender, receiver = SENDERS[number], {"node": "hub", "hub": "node"}[SENDERS[number]]
        if number > 2:
            plaintext = VALID["messages"][number - 2]["plaintext"]
            made.append(sessions[sender].send(decode_frame(bytes.fromhex(plaintext))))
        assert made[-1] == SAID[number]
        events = sessions[receiver].receive(SAID[number], HEARD_AT[receiver])
        made += [event.data for event in events if isinstance(event, Answer)]
    return sessions


def test_the_recorded_session_is_said_again_byte_by_byte() -> None:
    sessions = replayed(len(SAID))
    assert sessions["hub"].state is State.CLOSED
    shared = NODE_DRAW.agree(HUB_DRAW.share)
    client, server = ClientHello.from_bytes(SAID[0]), ServerHello.from_bytes(SAID[1])
    assert shared.hex() == VALID["shared"]
    assert transcript(client, server).hex() == VALID["transcript"]
    assert [key.hex() for key in session_keys(shared, transcript(client, server))] == [VALID["k_node"], VALID["k_hub"]]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors_give_their_error(case: dict[str, Any]) -> None:
    receiver = {"node": "hub", "hub": "node"}[SENDERS[case["after"]]]
    closed = close_of(replayed(case["after"])[receiver].receive(bytes.fromhex(case["message"]), HEARD_AT[receiver]))
    assert closed.code == case["error"]
    assert closed.source is Source.HERE


def test_every_fault_has_a_name() -> None:
    names = [case["name"] for case in VECTORS["invalid"]]
    assert len(set(names)) == len(names)
    assert VECTORS["description"]
