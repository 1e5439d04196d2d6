"""Real hub, real nodes: what people do with messages, and what is left of a stream of them when daemons are killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.system.forked import run
from tests.system.house import Api, House, eventually
from tests.system.stream import Killing, Stream

MEMBERS = ("ar-mpf", "br-mpf", "co-fgn", "es-fge")
NETWORK = {"rfai": ["ar-mpf", "br-mpf", "co-fgn"]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Four nodes, of which three are a network; one of them is stopped and started by tests that need that."""
    with House(tmp_path_factory.mktemp("x"), MEMBERS, NETWORK) as house:
        house.start()
        # Whoever stops from here on has published prekeys that the others hold.
        ar = house.api("ar-mpf")
        ar.settled(ar.send("br-mpf", "co-fgn", "es-fge", body="buenos días", urgency="urgent"))
        yield house


@pytest.fixture
def ar(house: House) -> Api:
    return house.api("ar-mpf")


@pytest.fixture
def br(house: House) -> Api:
    return house.api("br-mpf")


@pytest.fixture
def es(house: House) -> Iterator[Api]:
    """A node that the test may stop: it runs again, with a session, afterwards."""
    yield house.api("es-fge")
    node = house.daemons.nodes["es-fge"]
    if not node.is_running():
        node.start()
    node.wait()


def deliveries(message: Any) -> dict[str, Any]:
    return {each["recipient"]["member"]: each for each in message["deliveries"]}


# -- one message -----------------------------------------------------------------------------------------
def test_a_message_arrives_as_it_was_written_with_a_receipt_of_its_recipient(ar: Api, br: Api) -> None:
    written: dict[str, Any] = {
        "type": "mla-request", "subject": "Cuentas — «Ñandú» 🗂", "body": "Línea uno\n\tdos\r\n\u202etres\x00",
        "urgency": "urgent", "case_reference": "FRO 4127/2026", "due_at": "2027-01-31T12:00:00Z", "language": "es",
        "handling": {"tlp": "TLP:AMBER", "europol": ["H2"]}, "author": {"name": "Ana", "role": "fiscal", "login_method": "x"},
    }  # fmt: skip
    sent = ar.send("br-mpf@aiamp", **written)
    told, read = ar.settled(sent), br.received(sent)
    expected = written | {"body": {"format": "plain", "text": written["body"]}}
    assert {name: read["content"][name] for name in expected} == expected
    assert read["content"] == told["content"]
    assert [each["member"] for each in read["readers"]] == ["br-mpf"]
    assert read["sender"]["member"] == "ar-mpf"
    receipt = deliveries(told)["br-mpf"]["receipt"]
    assert (receipt["event"], receipt["signed_by"]) == ("ContentConsignment", "br-mpf")
    assert read["mark"] is None


def test_a_network_is_exactly_its_roster(house: House, ar: Api, br: Api) -> None:
    sent = ar.send("#rfai@aiamp", subject="Alerta", body="a la red", urgency="emergency")
    told = ar.settled(sent)
    assert deliveries(told).keys() == {"br-mpf", "co-fgn"}
    for api in (br, house.api("co-fgn")):
        read = api.received(sent)
        assert read["network"] == "#rfai"
        assert {each["member"] for each in read["readers"]} == {"br-mpf", "co-fgn"}
    # What comes later from the same sender has arrived, so what came before is not under way either.
    later = ar.send("es-fge", body="después")
    house.api("es-fge").received(later)
    assert house.api("es-fge").ask("GET", f"messages/{sent}").body["code"] == "unknown_message"


def test_the_same_request_again_is_the_same_message(ar: Api, br: Api) -> None:
    first = ar.hand_in("br-mpf", key="once and for all", body="una vez", urgency="urgent")
    again = ar.hand_in("br-mpf", key="once and for all", body="una vez", urgency="urgent")
    assert first.body["id"] == again.body["id"]
    assert (first.body["fresh"], again.body["fresh"]) == (True, False)
    ar.settled(first.body["id"])
    assert [each["id"] for each in br.inbox()].count(first.body["id"]) == 1


def test_a_batch_is_accepted_line_by_line(house: House, br: Api) -> None:
    desk = house.desk("ar-mpf")
    lines = [{"to": ["br-mpf"], "body": f"línea {n}", "idempotency_key": f"batch {n}"} for n in range(20)]
    lines[7] = lines[7] | {"to": ["xx-none"]}
    answer = desk.ask(
        "POST", "messages", "\n".join(map(json.dumps, lines)).encode(), Content_Type="application/x-ndjson"
    )
    told = [json.loads(line) for line in answer.body.splitlines()]
    assert told.pop(7)["error"]["code"] == "unknown_recipient"
    ids = [each["id"] for each in told]
    for each in ids:
        desk.settled(each)
    arrived = [each["id"] for each in br.inbox()]
    assert [each for each in arrived if each in ids] == ids


# -- desks -----------------------------------------------------------------------------------------------
def test_a_desk_is_a_wall(house: House, ar: Api, br: Api) -> None:
    assert br.post("desks", {"name": "antidrogas"}).status == 201
    token = br.post("tokens", {"desk": "antidrogas", "label": "case system"}).body["token"]
    drugs, central = house.desk("br-mpf", token), house.desk("br-mpf")
    to_desk = ar.send("br-mpf/antidrogas", body="a la oficina", urgency="urgent")
    to_all = ar.send("br-mpf", body="a la central", urgency="urgent")
    ar.settled(to_desk), ar.settled(to_all)
    assert [each["id"] for each in drugs.inbox()] == [to_desk]
    assert to_desk not in [each["id"] for each in central.inbox()]
    assert to_all in [each["id"] for each in central.inbox()]
    for hidden, desk in ((to_all, drugs), (to_desk, central)):
        for method, path in (("GET", ""), ("POST", "/acknowledge"), ("POST", "/withdraw")):
            assert desk.ask(method, f"messages/{hidden}{path}").status == 404
    refused = drugs.hand_in("ar-mpf", body="en nombre ajeno", desk="central")
    assert (refused.status, refused.body["code"]) == (400, "invalid_request")
    assert drugs.ask("GET", "status").body.keys() == {"member", "version", "hub", "desk", "session"}
    assert drugs.ask("POST", "tokens", b'{"desk": "central"}').status == 403
    answer = drugs.send("ar-mpf", body="de la oficina", urgency="urgent")
    drugs.settled(answer)
    assert ar.received(answer)["content"]["from"] == {"member": "br-mpf", "desk": "antidrogas"}


def test_a_revoked_token_opens_nothing(house: House, ar: Api) -> None:
    made = ar.post("tokens", {"desk": "central", "label": "brief"}).body
    desk = house.desk("ar-mpf", made["token"])
    assert desk.ask("GET", "messages").status == 200
    assert ar.ask("DELETE", f"tokens/{made['handle']}").status == 200
    refused = desk.ask("GET", "messages")
    assert (refused.status, refused.body["code"]) == (401, "unauthorized")


# -- answers ---------------------------------------------------------------------------------------------
def test_replies_and_forwards_by_command_within_the_handling_code(house: House, ar: Api, br: Api) -> None:
    home = ("--home", house.folder("br-mpf"))
    sent = ar.send("br-mpf", type="mla-request", subject="Pedido", body="texto", handling={"tlp": "TLP:AMBER+STRICT"})
    br.received(sent)
    replied = run("node", "reply", *home, sent, "--body", "-", text="respuesta")
    assert replied.status == 0, replied
    answer = ar.received(replied.told["id"])
    content = answer["content"]
    assert (content["type"], content["subject"], content["thread"]) == ("mla-response", "Re: Pedido", sent)
    assert (content["in_reply_to"], content["handling"]) == (sent, {"tlp": "TLP:AMBER+STRICT"})
    forbidden = run("node", "forward", *home, sent, "--to", "co-fgn")
    assert (forbidden.status, forbidden.told["error"]["code"]) == (1, "handling_forbids")
    free = ar.send("br-mpf", subject="Libre", body="texto libre", handling={"tlp": "TLP:GREEN"})
    br.received(free)
    passed = run("node", "forward", *home, free, "--to", "co-fgn", "--comment", "Para ustedes")
    assert passed.status == 0, passed
    read = house.api("co-fgn").received(passed.told["id"])
    assert read["content"]["subject"] == "Fwd: Libre"
    assert "texto libre" in read["content"]["body"]["text"]
    thread = run("node", "thread", "--home", house.folder("ar-mpf"), sent)
    assert [each["id"] for each in thread.told["items"]] == [sent, replied.told["id"]]


def test_each_answer_of_a_desk_is_a_signed_receipt(ar: Api, br: Api) -> None:
    sent = ar.send("br-mpf", body="acusar recibo")
    br.received(sent)
    author = {"name": "Joana", "role": "promotora", "login_method": "passkey"}
    for action, note in (("acknowledged", ""), ("accepted", "em curso")):
        answer = br.post(f"messages/{sent}/acknowledge", {"action": action, "note": note, "author": author})
        assert (answer.status, answer.body["action"]) == (202, action)
    eventually("both answers", lambda: len(deliveries(ar.message(sent))["br-mpf"]["answers"]) == 2)
    told = deliveries(ar.reaches(sent, {"br-mpf": "acknowledged"}))["br-mpf"]
    assert [(each["action"], each["note"], each["by"]["name"]) for each in told["answers"]] == [
        ("acknowledged", "", "Joana"),
        ("accepted", "em curso", "Joana"),
    ]
    assert (told["receipt"]["event"], told["receipt"]["signed_by"]) == ("ContentHandover", "br-mpf")


# -- taking back -----------------------------------------------------------------------------------------
def test_what_is_not_delivered_can_be_withdrawn_and_the_recipient_signs_for_it(house: House, ar: Api, es: Api) -> None:
    house.daemons.nodes["es-fge"].stop()
    sent = ar.send("es-fge", subject="retirado", body="nunca llega", urgency="urgent")
    kept = ar.send("es-fge", body="llega")
    ar.reaches(sent, {"es-fge": "relayed"})
    assert ar.post(f"messages/{sent}/withdraw").status == 202
    closing = deliveries(ar.message(sent))["es-fge"]
    assert (closing["state"], closing["closing"]) == ("relayed", "withdrawn")
    house.daemons.nodes["es-fge"].start()
    told = deliveries(ar.reaches(sent, {"es-fge": "withdrawn"}))["es-fge"]
    assert told["receipt"]["signed_by"] == "es-fge"
    ar.settled(kept)
    assert sent not in [each["id"] for each in es.inbox()]
    assert kept in [each["id"] for each in es.inbox()]


def test_what_was_withdrawn_while_the_hub_was_away_is_recalled_when_it_is_back(house: House, ar: Api, es: Api) -> None:
    house.daemons.nodes["es-fge"].stop()
    sent = ar.send("es-fge", subject="retirado", body="tampoco llega", urgency="urgent")
    ar.reaches(sent, {"es-fge": "relayed"})
    (hub,) = house.daemons.hubs.values()
    hub.kill()
    assert ar.post(f"messages/{sent}/withdraw").status == 202
    hub.start()
    probe = ar.send("br-mpf", body="el hub volvió", urgency="urgent")
    ar.settled(probe)
    house.daemons.nodes["es-fge"].start()
    ar.reaches(sent, {"es-fge": "withdrawn"})
    assert sent not in [each["id"] for each in es.inbox()]


def test_what_is_delivered_cannot_be_withdrawn(ar: Api, br: Api) -> None:
    sent = ar.send("br-mpf", body="ya está", urgency="urgent")
    ar.settled(sent)
    refused = ar.post(f"messages/{sent}/withdraw")
    assert (refused.status, refused.body["code"]) == (409, "too_late")
    assert ar.states(sent) == {"br-mpf": "delivered"}
    assert br.received(sent)["content"]["body"]["text"] == "ya está"


def test_one_recipient_who_is_away_delays_nobody_else(house: House, ar: Api, es: Api) -> None:
    house.daemons.nodes["es-fge"].stop()
    sent = ar.send("br-mpf", "es-fge", body="a los dos", urgency="urgent")
    ar.reaches(sent, {"br-mpf": "delivered", "es-fge": "relayed"})
    house.daemons.nodes["es-fge"].start()
    ar.settled(sent)
    assert es.received(sent)["content"]["body"]["text"] == "a los dos"


# -- events ----------------------------------------------------------------------------------------------
def finds(api: Api, words: str, message_id: str) -> bool:
    return [each["id"] for each in api.get("search", q=words)["items"]] == [message_id]


def test_what_is_found_is_what_the_desk_may_see(house: House, ar: Api, br: Api) -> None:
    sent = ar.send("br-mpf", subject="Búsqueda de ornitorrinco", body="extravagante", case_reference="EXP-99817/A")
    br.received(sent)
    for words in ("ornitorrinco busqueda", "EXTRAVAGANTE", "99817"):
        eventually(f"search {words}", partial(finds, br, words, sent))
    made = br.post("desks", {"name": "vacia"})
    assert made.status == 201
    empty = house.desk("br-mpf", br.post("tokens", {"desk": "vacia"}).body["token"])
    assert empty.get("search", q="ornitorrinco")["items"] == []


# -- killed ----------------------------------------------------------------------------------------------
def test_everything_accepted_arrives_once_whoever_is_killed_when(tmp_path: Path) -> None:
    with House(tmp_path, ["ar-mpf", "br-mpf", "co-fgn"]) as house:
        house.start()
        stream = Stream(house, {"ar-mpf": ["br-mpf", "co-fgn"], "br-mpf": ["co-fgn", "ar-mpf"]}, pause=0.05)
        with stream, Killing(house, seed=20261122) as killing:
            killing.rounds(["br-mpf", "hub", "ar-mpf"])
        stream.check()


@pytest.mark.full
def test_everything_accepted_arrives_once_under_a_long_rain_of_kills(tmp_path: Path) -> None:
    with House(tmp_path, MEMBERS) as house:
        house.start()
        roads = {one: [other for other in MEMBERS if other != one] for one in MEMBERS}
        stream = Stream(house, roads, pause=0.02)
        with stream, Killing(house, seed=20261123) as killing:
            killing.rain([*MEMBERS, "hub", "hub"], kills=24)
        stream.check(seconds=120)
