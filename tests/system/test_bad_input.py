"""Every refusal has a stable code, one sentence, its status, and leaves everything as it was: told by real daemons.

`house` runs for all tests of this file: two nodes that exchange, and members who are suspended, expelled or never came.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgpack
import pytest

from keys import drafts
from protocol.codec import encode
from protocol.envelope import AttestationData
from protocol.frames import Acknowledge, Close, decode_frame, encode_frame
from protocol.limits import MAX_FRAME_BYTES, MAX_STATEMENT_BYTES
from protocol.statements import Expulsion, Revocation, Suspension, sign_statement
from tests.support.hub_client import WIDE, Ended, HubClient, connected
from tests.support.processes import Daemon
from tests.system.forked import Done, run
from tests.system.house import Answer, Api, House, eventually, post
from tests.system.insider import Insider
from tests.system.refusals import check_answer, check_command, check_sentence, contents, sentence_of

AR, BR = "ar-mpf", "br-mpf"
SUSPENDED, EXPELLED, NEVER_CAME, INSIDER = "sus-mp", "exp-mp", "new-mp", "ins-mp"
REVOKED: Final = "rev-mp"
BOMB_DEPTH: Final = 100_000
JSON_BOMB: Final = b"[" * BOMB_DEPTH
# Arrays of one element, each inside the other: small on the wire, and as deep as it is long.
PACKED_BOMB: Final = b"\x91" * BOMB_DEPTH + b"\xc0"
LENGTH_BOMB: Final = b"\xdd\xff\xff\xff\xff"
SIZE_BOMB: Final = b"\xc6\xff\xff\xff\xff"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """See above."""
    members = (AR, BR, REVOKED, SUSPENDED, EXPELLED, NEVER_CAME, INSIDER)
    with House(tmp_path_factory.mktemp("b"), members) as house:
        house.start(AR, BR)
        at, association = house.association.now, house.association.charter.association
        house.publish(
            house.association.signed_by_stewards(Suspension(association, SUSPENDED, at, "inquiry")),
            house.association.signed_by_stewards(Expulsion(association, EXPELLED, at, "left", at)),
        )
        ar = house.api(AR)
        eventually("the expulsion", lambda: not standing_of(ar)[EXPELLED])
        ar.settled(ar.send(BR, key="taken", body="the first content", urgency="urgent"))
        yield house


def standing_of(api: Api) -> dict[str, bool]:
    return {each["member"]: each["in_standing"] for each in api.get("members")["members"]}


@pytest.fixture
def ar(house: House) -> Api:
    return house.api(AR)


# -- commands ------------------------------------------------------------------------------------------
SEND, AT, IDLE, HUB = ("send", "--body", "-"), ("--home", "<ar>"), ("--home", "<idle>"), ("--home", "<hub>")
# Program, words, what the environment says, code.
COMMANDS: dict[str, tuple[str, tuple[str, ...], dict[str, str], str]] = {
    "a recipient whom nobody admitted": ("node", (*SEND, *AT, "--to", "xx-none"), {}, "unknown_recipient"),
    "a suspended recipient": ("node", (*SEND, *AT, "--to", SUSPENDED), {}, "recipient_suspended"),
    "an expelled recipient, among others": ("node", (*SEND, *AT, "--to", BR, "--to", EXPELLED), {}, "recipient_suspended"),
    "a network that does not exist": ("node", (*SEND, *AT, "--to", "#nada"), {}, "unknown_network"),
    "a recipient in another association": ("node", (*SEND, *AT, "--to", "br-mpf@iap"), {}, "invalid_request"),
    "nobody but oneself": ("node", (*SEND, *AT, "--to", AR), {}, "invalid_request"),
    "a desk that does not exist": ("node", (*SEND, *AT, "--to", BR, "--desk", "nadie"), {}, "unknown_desk"),
    "a key that names other content": ("node", (*SEND, *AT, "--to", BR, "--key", "taken"), {}, "conflict"),
    "a handling code that is none": ("node", (*SEND, *AT, "--to", BR, "--handling", "TLP:PINK"), {}, "invalid_request"),
    "a message that nobody sent": ("node", ("show", *AT, "msg_" + "a" * 26), {}, "unknown_message"),
    "a second daemon on the same home": ("node", ("serve", *AT), {}, "home_locked"),
    "a new home where one is": ("node", ("init", *AT, "--member", AR, "--charter", "<charter>"), {}, "already_exists"),
    "a second hub on the same home": ("hub", ("serve", *HUB), {}, "home_locked"),
    "an installation under a running hub": ("hub", ("install", *HUB, "<charter>"), {}, "home_locked"),
    "a new hub where one is": ("hub", ("init", *HUB, "--association", "aiamp"), {}, "already_exists"),
    "a node that does not run": ("node", ("inbox", *IDLE), {}, "not_running"),
    "a home that is not there": ("node", ("serve", "--home", "<nowhere>"), {}, "home_missing"),
    "a hub that is not there": ("hub", ("serve", "--home", "<nowhere>"), {}, "home_missing"),
    "a wrong secret": ("node", ("serve", *IDLE), {"VALIJA_SECRET_FILE": "<other secret>"}, "wrong_passphrase"),
    "a secret that others may read": ("node", ("serve", *IDLE), {"VALIJA_SECRET_FILE": "<open secret>"}, "key_access"),
    "a secret that is not there": ("node", ("serve", *IDLE), {"VALIJA_SECRET_FILE": "<nowhere>"}, "key_access"),
    "a wrong secret of the hub": ("hub", ("serve", *HUB), {"VALIJA_SECRET_FILE": "<other secret>"}, "wrong_passphrase"),
    "a plain hub elsewhere": ("node", ("serve", *IDLE), {"VALIJA_NODE_HUB_URL": "http://hub.example.org"}, "bad_config"),
    "a hub open to the world": ("hub", ("serve", *HUB), {"VALIJA_HUB_LISTEN_HOST": "0.0.0.0"}, "bad_config"),
    "a wrong passphrase": (
        "keys",
        ("--keystore", "<keystore>", "sign", "<charter>", "--key", "ana", "--yes", "--passphrase-file", "<passphrase>"),
        {},
        "wrong_passphrase",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def done(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every command of the table, run to its end, two at a time; all that they could have changed is as it was."""
    places = places_of(house, tmp_path_factory.mktemp("places"))
    idle = [house.folder(NEVER_CAME), Path(places["<keystore>"]), house.association.charter_file.parent]
    ar, before = house.api(AR), (house.api(AR).standing(), state_of_hub(house), contents(*idle))

    def carry_out(case: str) -> Done:
        program, words, environment, _code = COMMANDS[case]
        named = {name: places.get(value, value) for name, value in environment.items()}
        return run(program, *(places.get(word, word) for word in words), text="otro", environment=named)

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(COMMANDS, pool.map(carry_out, COMMANDS), strict=True))
    assert (ar.standing(), state_of_hub(house), contents(*idle)) == before
    assert not Path(places["<nowhere>"]).exists()
    return found


def places_of(house: House, folder: Path) -> dict[str, str]:
    """What the words of the table stand for."""
    association = house.association
    return {
        "<ar>": str(house.folder(AR)),
        "<idle>": str(house.folder(NEVER_CAME)),
        "<hub>": str(association.hub_home.folder),
        "<nowhere>": str(folder / "nowhere"),
        "<charter>": str(association.charter_file),
        "<keystore>": str(association.keystore("ana").folder),
        "<other secret>": kept(folder / "other", b"ab" * 32 + b"\n", 0o600),
        "<open secret>": kept(folder / "open", association.homes[NEVER_CAME].secret.read_bytes(), 0o644),
        "<passphrase>": kept(folder / "passphrase", b"not the passphrase of anybody\n", 0o600),
    }


def kept(path: Path, data: bytes, mode: int) -> str:
    path.touch(mode)
    path.chmod(mode)
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_is_refused_and_changes_nothing(done: dict[str, Done], case: str) -> None:
    check_command(done[case], COMMANDS[case][-1])


def test_what_the_command_line_does_not_understand_has_its_own_status(house: House, ar: Api) -> None:
    before = ar.standing()
    refused = run("node", "send", "--home", house.folder(AR))
    assert (refused.status, refused.told["error"]["code"]) == (2, "invalid_request")
    assert ar.standing() == before


# -- HTTP at a running node ------------------------------------------------------------------------------
LINE = json.dumps({"to": [BR], "body": "x", "idempotency_key": "never"}).encode()
GOOD = json.dumps({"to": [BR], "body": "x"}).encode()
KEY = {"Idempotency_Key": "never"}
NDJSON = {"Content_Type": "application/x-ndjson"}
REQUESTS: dict[str, tuple[str, str, bytes | None, dict[str, str], int, str]] = {
    "a body over its limit": ("POST", "messages", b'{"body": "' + b"x" * 800_000, KEY, 413, "limit_exceeded"),
    "a batch over its limit": ("POST", "messages", LINE * 150_000, NDJSON, 413, "limit_exceeded"),
    "a batch of too many lines": ("POST", "messages", b"{}\n" * 4_097, NDJSON, 413, "limit_exceeded"),
    "a nested bomb": ("POST", "messages", JSON_BOMB, KEY, 400, "invalid_request"),
    "a nested bomb in a field": ("POST", "messages", b'{"to":' + JSON_BOMB, KEY, 400, "invalid_request"),
    "a truncated body": ("POST", "messages", GOOD[:-1], KEY, 400, "invalid_request"),
    "no UTF-8": ("POST", "messages", GOOD.replace(b"x", b"\xff"), KEY, 400, "invalid_request"),
    "no idempotency key": ("POST", "messages", GOOD, {}, 400, "invalid_request"),
    "an idempotency key too long": ("POST", "messages", GOOD, {"Idempotency_Key": "k" * 256}, 400, "invalid_request"),
    "an unknown field": ("POST", "messages", GOOD[:-1] + b', "bcc": []}', KEY, 400, "invalid_request"),
    "a wrong type": ("POST", "messages", GOOD.replace(b'"x"', b"7"), KEY, 400, "invalid_request"),
    "a body over the content's limit": ("POST", "messages", GOOD.replace(b'"x"', b'"' + b"x" * 600_000 + b'"'), KEY, 400, "invalid_request"),
    "a subject too long": ("POST", "messages", GOOD[:-1] + b', "subject": "' + b"s" * 301 + b'"}', KEY, 400, "invalid_request"),
    "a lone surrogate": ("POST", "messages", GOOD.replace(b'"x"', b'"\\ud800"'), KEY, 400, "invalid_request"),
    "an expiry in the past": ("POST", "messages", GOOD[:-1] + b', "expires_at": "2020-01-01T00:00:00Z"}', KEY, 400, "invalid_request"),
    "the same key with other content": ("POST", "messages", GOOD, {"Idempotency_Key": "taken"}, 409, "conflict"),
    "a recipient whom nobody admitted": ("POST", "messages", GOOD.replace(b"br", b"xx"), KEY, 422, "unknown_recipient"),
    "a suspended recipient": ("POST", "messages", GOOD.replace(b"br-mpf", b"sus-mp"), KEY, 422, "recipient_suspended"),
    "a message id that is none": ("GET", "messages/no!", None, {}, 400, "invalid_request"),
    "a path out of the tree": ("GET", "messages/..%2f..%2fsecret", None, {}, 400, "invalid_request"),
    "a cursor that is none": ("GET", "messages?after=nonsense", None, {}, 400, "invalid_request"),
    "a page that is none": ("GET", "messages?limit=0", None, {}, 400, "invalid_request"),
    "a path that leads nowhere": ("GET", "nonsense", None, {}, 404, "invalid_request"),
    "a method that is none": ("DELETE", "messages", None, {}, 405, "invalid_request"),
    "an event id that is none": ("GET", "events?after=nonsense", None, {}, 400, "invalid_request"),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_refused(house: House, ar: Api, case: str) -> None:
    method, path, body, headers, status, code = REQUESTS[case]
    before = ar.standing()
    for api in (ar, house.desk(AR)):
        check_answer(api.ask(method, path, body, **headers), status, code)
    assert ar.standing() == before


@pytest.mark.parametrize("token", ["", "nonsense", "vlj_" + "A" * 43, "\xff"])
def test_a_token_that_is_none_opens_nothing(house: House, ar: Api, token: str) -> None:
    before = ar.standing()
    desk = house.desk(AR)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    stranger = Api(AR, desk.socket, desk.address)
    for method, path, body in (("GET", "messages", None), ("POST", "messages", GOOD), ("GET", "events", None)):
        check_answer(stranger.ask(method, path, body, **headers), 401, "unauthorized")
    assert ar.standing() == before


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


def log_size(house: House) -> int:
    (hub,) = house.daemons.hubs.values()
    return int(hub.get("/status")[1]["registry_size"])


def state_of_hub(house: House) -> Any:
    """What must not change when the hub refuses something."""
    (hub,) = house.daemons.hubs.values()
    told = hub.get("/status")[1]
    queues = [(each["member"], each["queued"], each["queued_bytes"]) for each in told["members"]]
    return told["registry_size"], queues, told["totals"]["accepted"]


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_statement_is_refused(house: House, case: str) -> None:
    make, status, code = STATEMENTS[case]
    before = state_of_hub(house)
    answer = post(house.association.url, "/log/statements", make(house))
    assert (answer.status, answer.kind) == (status, "application/problem+json"), answer
    assert answer.body["code"] == code, answer
    check_sentence(code, answer.body["title"])
    assert state_of_hub(house) == before


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
    before = state_of_hub(house)
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{house.association.url}/session") as line:
        await (line.send_str(said) if isinstance(said, str) else line.send_bytes(said))
        answer = await line.receive(10)
        assert answer.type is aiohttp.WSMsgType.BINARY, answer
        close = decode_frame(answer.data)
        assert isinstance(close, Close)
        assert close.code == code, close.detail
        assert (await line.receive(10)).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    assert state_of_hub(house) == before


async def test_a_message_far_over_the_limit_is_not_even_read(house: House) -> None:
    before = state_of_hub(house)
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{house.association.url}/session") as line:
        with suppress(ConnectionError):  # the hub may hang up before all of it is sent
            await line.send_bytes(b"\x00" * (MAX_FRAME_BYTES * 2))
        while (answer := await line.receive(10)).type is aiohttp.WSMsgType.BINARY:
            close = decode_frame(answer.data)
            assert isinstance(close, Close)
            assert close.code == "limit_exceeded"
        assert answer.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    assert state_of_hub(house) == before


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
    before = state_of_hub(house)
    insider: Any = Insider(house.association)
    async with connected(house.association.url, insider, INSIDER) as client:
        await client.socket.send_bytes(make(client))
        ended: Ended = await client.ended()
    assert ended.code == code, ended.closed
    assert state_of_hub(house) == before


async def test_what_is_wrong_with_one_envelope_refuses_that_envelope_alone(house: House) -> None:
    before = state_of_hub(house)
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
    expected = ["prekey_unknown", "conflict", "bad_expiry", "bad_expiry", "unknown_recipient", "recipient_suspended"]
    assert told == expected
    assert state_of_hub(house) == before


# -- revoked ---------------------------------------------------------------------------------------------
def test_nothing_is_sealed_to_a_node_whose_certificate_is_revoked(house: House, ar: Api) -> None:
    node = house.node(REVOKED)
    node.wait()
    del house.daemons.nodes[REVOKED]  # it will never be ready again
    with stopped_at_the_end(node):
        revoke_and_send(house, ar)


@contextmanager
def stopped_at_the_end(node: Daemon) -> Iterator[None]:
    try:
        yield
    finally:
        node.stop()


def revoke_and_send(house: House, ar: Api) -> None:
    revoked = house.api(REVOKED)
    ar.settled(ar.send(REVOKED, body="antes", urgency="urgent"))
    # What was sealed before the revocation is not touched by it: so all of it is answered before.
    eventually("no receipt under way", lambda: ar.status()["messages"]["under_way"] == 0)
    certificate, association = Insider(house.association).certificates[REVOKED], house.association.charter.association
    statement = Revocation(association, certificate, house.association.now, "stolen")
    house.publish(house.association.signed_by_stewards(statement))
    size = log_size(house)
    eventually("the revocation", lambda: ar.status()["registry"]["size"] == size)
    sent = ar.send(REVOKED, BR, body="después", urgency="urgent")
    told = ar.reaches(sent, {REVOKED: "held", BR: "delivered"})
    (held,) = [each for each in told["deliveries"] if each["recipient"]["member"] == REVOKED]
    assert held["reason"] == "no_prekey"
    code, message = eventually("the refusal", revoked.line_error)
    assert code == "not_in_standing"
    check_sentence(code, message)
    assert not revoked.is_connected()
    # It keeps what its own people write: whether that goes is decided when it has a certificate again.
    kept = revoked.send(BR, body="de un nodo revocado", urgency="urgent")
    ar.settled(ar.send(BR, body="más tarde", urgency="urgent"))
    assert revoked.states(kept) == {"": "queued"}
    assert [each["content"]["body"]["text"] for each in revoked.inbox()] == ["antes"]


def test_who_never_came_is_waited_for(house: House, ar: Api) -> None:
    sent = ar.send(NEVER_CAME, BR, body="cuando llegue", urgency="urgent")
    told = ar.reaches(sent, {NEVER_CAME: "held", BR: "delivered"})
    assert {each["reason"] for each in told["deliveries"]} == {None, "no_prekey"}
    withdrawn = ar.post(f"messages/{sent}/withdraw")
    assert withdrawn.status == 202
    assert ar.states(sent) == {NEVER_CAME: "withdrawn", BR: "delivered"}


# -- the hub is gone -------------------------------------------------------------------------------------
def test_a_hub_that_is_gone_is_told_and_waited_for(house: House, ar: Api) -> None:
    (hub,) = house.daemons.hubs.values()
    hub.kill()
    try:
        eventually("told", lambda: ar.line_error()[0] == "hub_gone")
        check_sentence(*ar.line_error())
        sent = ar.send(BR, body="mientras tanto", urgency="urgent")
        assert set(ar.states(sent).values()) <= {"queued", "sealed"}
        home, paper = house.association.hub_home.folder, house.association.charter_file
        check_command(run("hub", "status", "--home", home), "not_running")
        check_command(run("hub", "publish", "--hub", house.association.url, paper), "hub_gone")
        check_command(run("node", "publish", "--home", house.folder(AR), paper), "hub_gone")
    finally:
        hub.start()
        house.daemons.ready()
    ar.settled(sent)


def test_the_checks_can_fail() -> None:
    for said in ("No.", "The clocks differ", "Two\nlines"):
        with pytest.raises(AssertionError):
            check_sentence("clock_skew", said)
    with pytest.raises(AssertionError):
        check_answer(Answer(400, "application/json", {}), 400, "malformed")
    with pytest.raises(AssertionError):
        check_command(Done(0, {"error": {"code": "stale", "message": sentence_of("stale")}}, ""), "stale")
