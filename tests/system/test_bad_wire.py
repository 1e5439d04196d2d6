"""What reaches a hub from strangers and from members, and breaks the protocol: each refused by its code, nothing changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import aiohttp
import msgpack
import pytest

from keys import drafts
from protocol.codec import encode
from protocol.limits import MAX_FRAME_BYTES, MAX_STATEMENT_BYTES
from protocol.messages.envelope import AttestationData
from protocol.session.frames import Acknowledge, Close, decode_frame, encode_frame
from protocol.trust.statements import Suspension, sign_statement
from tests.support.hub_client import WIDE, Ended, HubClient, connected
from tests.system.house import House, post
from tests.system.insider import Insider
from tests.system.refusals import check_sentence

AR, BR, SUSPENDED, INSIDER = "ar-mpf", "br-mpf", "sus-mp", "ins-mp"
BOMB_DEPTH: Final = 100_000
# Arrays of one element, each inside the other: small on the wire, and as deep as it is long.
PACKED_BOMB: Final = b"\x91" * BOMB_DEPTH + b"\xc0"
LENGTH_BOMB: Final = b"\xdd\xff\xff\xff\xff"
SIZE_BOMB: Final = b"\xc6\xff\xff\xff\xff"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub alone; its members' nodes do not run, and one of them is suspended."""
    with House(tmp_path_factory.mktemp("w"), [AR, BR, SUSPENDED, INSIDER]) as house:
        house.hub().wait()
        at, association = house.association.now, house.association.charter.association
        house.publish(house.association.signed_by_stewards(Suspension(association, SUSPENDED, at, "inquiry")))
        yield house


# -- statements at a running hub -------------------------------------------------------------------------
def statement(house: House, **how: Any) -> bytes:
    """A roster that would apply, but for `how` it is signed."""
    charter = house.association.charter.association
    roster = drafts.roster(
        how.get("association", charter), "casos", (("es", "Casos"),), 1, [AR, BR], house.association.now
    )
    keys = [key.signing() for key in house.association.stewards[: how.get("signatures", 2)]]
    return sign_statement(roster.body(), how.get("association", charter), keys).raw


def long_way(raw: bytes) -> bytes:
    """The same value, its outer array written longer than need be."""
    assert raw[0] & 0xF0 == 0x90
    return b"\xdc\x00" + bytes([raw[0] & 0x0F]) + raw[1:]


def flipped(raw: bytes) -> bytes:
    """The same bytes, but for one bit of the last signature."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


STATEMENTS: dict[str, tuple[Callable[[House], bytes], int, str]] = {
    "nothing": (lambda _house: b"", 400, "malformed"),
    "a truncated statement": (lambda house: statement(house)[:-1], 400, "malformed"),
    "a statement with more behind it": (lambda house: statement(house) + b"\x00", 400, "malformed"),
    "a statement written the long way": (lambda house: long_way(statement(house)), 400, "non_canonical"),
    "a nested bomb": (lambda _house: PACKED_BOMB, 413, "limit_exceeded"),
    "an array of four thousand million": (lambda _house: LENGTH_BOMB, 413, "limit_exceeded"),
    "a string of four gigabytes": (lambda _house: SIZE_BOMB, 400, "malformed"),
    "a map": (lambda _house: msgpack.packb({"a": 1}), 400, "malformed"),
    "a body over its limit": (lambda _house: b"\x00" * (MAX_STATEMENT_BYTES + 1), 413, "limit_exceeded"),
    "too few signatures": (lambda house: statement(house, signatures=1), 422, "threshold_not_met"),
    "a signature with one bit changed": (lambda house: flipped(statement(house)), 422, "bad_signature"),
    "another association": (lambda house: statement(house, association=b"\x07" * 32), 422, "wrong_association"),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_statement_is_refused(house: House, case: str) -> None:
    make, status, code = STATEMENTS[case]
    before = house.state_of_hub()
    answer = post(house.association.url, "/log/statements", make(house))
    assert (answer.status, answer.kind) == (status, "application/problem+json"), answer
    assert answer.body["code"] == code, answer
    check_sentence(code, answer.body["title"])
    assert house.state_of_hub() == before


# -- messages at the hub's door --------------------------------------------------------------------------
def hello(**change: Any) -> bytes:
    """The hello of a member, well-formed but for the change."""
    values = [
        0,
        b"\x01" * 32,
        1,
        "xx-none",
        b"\x02" * 32,
        None,
        b"\x03" * 32,
        b"\x04" * 32,
        1,
        b"\x05" * 32,
        1,
        b"\x06" * 32,
    ]
    return encode([change.get(str(place), value) for place, value in enumerate(values)])


DOOR: dict[str, tuple[bytes | str, str]] = {
    "nothing": (b"", "malformed"),
    "text": ("hello", "malformed"),
    "a truncated hello": (hello()[:-1], "malformed"),
    "a hello written the long way": (b"\xdc\x00\x0c" + hello()[1:], "non_canonical"),
    "a hello of another version": (hello(**{"0": 9}), "unsupported_version"),
    "another association's member": (hello(), "wrong_association"),
    "a hello with a map": (b"\x9c" + msgpack.packb({}) + hello()[2:], "malformed"),
    "a nested bomb": (PACKED_BOMB[:8_000], "limit_exceeded"),
    "an array of four thousand million": (LENGTH_BOMB, "limit_exceeded"),
    "a hello over its limit": (b"\x00" * 8_193, "limit_exceeded"),
    "a frame over its limit": (b"\x00" * (MAX_FRAME_BYTES + 1), "limit_exceeded"),
}


@pytest.mark.parametrize("case", DOOR)
async def test_a_stranger_is_refused(house: House, case: str) -> None:
    said, code = DOOR[case]
    before = house.state_of_hub()
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{house.association.url}/session") as line:
        await (line.send_str(said) if isinstance(said, str) else line.send_bytes(said))
        answer = await line.receive(10)
        assert answer.type is aiohttp.WSMsgType.BINARY, answer
        close = decode_frame(answer.data)
        assert isinstance(close, Close)
        assert close.code == code, close.detail
        assert (await line.receive(10)).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    assert house.state_of_hub() == before


async def test_a_message_far_over_the_limit_is_not_even_read(house: House) -> None:
    before = house.state_of_hub()
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{house.association.url}/session") as line:
        with suppress(ConnectionError):  # the hub may hang up before all of it is sent
            await line.send_bytes(b"\x00" * (MAX_FRAME_BYTES * 2))
        while (answer := await line.receive(10)).type is aiohttp.WSMsgType.BINARY:
            close = decode_frame(answer.data)
            assert isinstance(close, Close)
            assert close.code == "limit_exceeded"
        assert answer.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    assert house.state_of_hub() == before


# -- messages of a member whose session is open ----------------------------------------------------------
def sealed(client: HubClient, plaintext: bytes) -> bytes:
    """These bytes as the session's next message: well sealed, whatever they are."""
    channel = client.machine._channel
    assert channel is not None
    return channel.seal(plaintext)


CANONICAL = encode([24, 1, [AR]])
SPOKEN: dict[str, tuple[Callable[[HubClient], bytes], str]] = {
    "a message under no key": (lambda _client: os.urandom(64), "bad_frame"),
    "a truncated message": (lambda client: sealed(client, CANONICAL)[:-1], "bad_frame"),
    "a message with one bit changed": (lambda client: flipped(sealed(client, CANONICAL)), "bad_frame"),
    "nothing": (lambda _client: b"", "bad_frame"),
    "a truncated frame": (lambda client: sealed(client, CANONICAL[:-1]), "malformed"),
    "a frame written the long way": (lambda client: sealed(client, b"\xdc\x00\x03" + CANONICAL[1:]), "non_canonical"),
    "a frame of an unknown type": (lambda client: sealed(client, encode([99, 1])), "malformed"),
    "a frame that only a hub sends": (lambda client: sealed(client, encode([26, 7])), "replayed"),
    "a nested bomb": (lambda client: sealed(client, PACKED_BOMB), "limit_exceeded"),
    "an array of four thousand million": (lambda client: sealed(client, LENGTH_BOMB), "limit_exceeded"),
    "an acknowledgement of what was never delivered": (lambda client: sealed(client, encode_frame(Acknowledge(99, WIDE))), "replayed"),
    "a frame over its limit": (lambda client: sealed(client, b"\x00" * (MAX_FRAME_BYTES - 15)), "limit_exceeded"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOKEN)
async def test_a_member_is_refused_and_its_session_ends(house: House, case: str) -> None:
    make, code = SPOKEN[case]
    before = house.state_of_hub()
    insider: Any = Insider(house.association)
    async with connected(house.association.url, insider, INSIDER) as client:
        await client.socket.send_bytes(make(client))
        ended: Ended = await client.ended()
    assert ended.code == code, ended.closed
    assert house.state_of_hub() == before


async def test_what_is_wrong_with_one_envelope_refuses_that_envelope_alone(house: House) -> None:
    before = house.state_of_hub()
    insider: Any = Insider(house.association)
    insider.keys["xx-none"] = insider.key(INSIDER)
    insider.certificates["xx-none"] = insider.certificates[INSIDER]
    async with connected(house.association.url, insider, INSIDER) as client:
        first = client.envelope([BR])
        client.counter -= 1
        other = client.envelope([BR], size=16_384)
        late, far = client.envelope([BR], lifetime=-5), client.envelope([BR], lifetime=15 * 86_400)
        unknown, suspended = client.envelope(["xx-none"]), client.envelope([SUSPENDED])
        answers = [(await client.submit(each))[0] for each in (first, other, late, far, unknown, suspended)]
    told = [each.code or AttestationData.from_bytes(each.attestations[0].data).result for each in answers]
    # What was refused for everybody is forgotten, so that the same number with other content is judged anew.
    expected = [
        "prekey_unknown",
        "prekey_unknown",
        "bad_expiry",
        "bad_expiry",
        "unknown_recipient",
        "recipient_suspended",
    ]
    assert told == expected
    assert house.state_of_hub() == before
