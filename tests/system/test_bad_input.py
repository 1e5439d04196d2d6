"""Every refusal has a stable code, one sentence, its status, and leaves everything as it was: told by real daemons.

`house` runs for all tests of this file: two nodes that exchange, and members who are suspended, expelled or never came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Final

import pytest

from protocol.trust.statements import Expulsion, Revocation, Suspension
from tests.support.processes import Daemon
from tests.system.forked import Command, Done, run
from tests.system.house import Answer, Api, House, eventually
from tests.system.insider import Insider
from tests.system.refusals import check_answer, check_command, check_sentence, contents, sentence_of

AR, BR = "ar-mpf", "br-mpf"
SUSPENDED, EXPELLED, NEVER_CAME = "sus-mp", "exp-mp", "new-mp"
REVOKED: Final = "rev-mp"
JSON_BOMB: Final = b"[" * 100_000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """See above."""
    members = (AR, BR, REVOKED, SUSPENDED, EXPELLED, NEVER_CAME)
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
    ar, before = house.api(AR), (house.api(AR).standing(), house.state_of_hub(), contents(*idle))

    def begun(case: str) -> Command:
        program, words, environment, _code = COMMANDS[case]
        named = {name: places.get(value, value) for name, value in environment.items()}
        return Command(program, *(places.get(word, word) for word in words), text="otro", environment=named)

    found: dict[str, Done] = {}
    for pair in zip_longest(*[iter(COMMANDS)] * 2):
        running = {case: begun(case) for case in pair if case}
        found |= {case: command.done() for case, command in running.items()}
    assert (ar.standing(), house.state_of_hub(), contents(*idle)) == before
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
    size = house.state_of_hub()[0]
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
