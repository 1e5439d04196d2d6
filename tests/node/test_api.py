"""The API over real HTTP: two nodes and a hub inside this process, the operator's socket and the desks' tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from node import acceptance, api_node, api_requests, problems
from node.daemon import Daemon
from node.event_views import Place
from protocol import names
from protocol.errors import DamagedError
from tests.support.association import Association, found
from tests.support.described import hold
from tests.support.hub_home import running as hub
from tests.support.node_home import case_system, connected, eventually, node, operator
from tests.support.unread import REQUESTS, SECRET, STATUSES, TOO_LONG, ask

AR, BR, CO = "ar-mpf", "br-mpf", "co-fgn"
NETWORK = "rfai"


@dataclass
class Scene:
    """Two nodes with a hub between them, and each one's operator and case system."""

    association: Association
    nodes: dict[str, Daemon]
    operators: dict[str, aiohttp.ClientSession]
    systems: dict[str, aiohttp.ClientSession]


@pytest.fixture(scope="module")
def association(tmp_path_factory: pytest.TempPathFactory) -> Association:
    folder = tmp_path_factory.mktemp("a")
    return found(folder / "x", [AR, BR, CO], {NETWORK: [AR, BR, CO]}, tls=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(association: Association) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hub(association.hub_home))
        made = Scene(association, {}, {}, {})
        for member in (AR, BR):
            daemon = await stack.enter_async_context(node(association.homes[member]))
            made.nodes[member] = daemon
            made.operators[member] = await stack.enter_async_context(operator(association.homes[member]))
            token = association.tokens[member]
            made.systems[member] = await stack.enter_async_context(case_system(daemon, token))
            await connected(daemon)
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


def written(**changes: Any) -> dict[str, Any]:
    return {"to": [BR], "subject": "Consulta", "body": "Se solicita información."} | changes


async def post(client: aiohttp.ClientSession, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    async with client.post(f"/api/v1/{path}", json=body, headers=headers) as answer:
        await hold(answer)
        return answer.status, await answer.json(content_type=None)


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with client.get(f"/api/v1/{path}") as answer:
        await hold(answer)
        return answer.status, await answer.json(content_type=None)


async def sent(client: aiohttp.ClientSession, key: str, **changes: Any) -> str:
    status, body = await post(client, "messages", written(**changes), key)
    assert status == 202, body
    return str(body["id"])


async def arrived(scene: Scene, message_id: str, member: str = BR) -> Any:
    async def ready() -> Any:
        status, body = await get(scene.operators[member], f"messages/{message_id}")
        return body if status == 200 else None

    return await eventually(f"{message_id} at {member}", ready)


async def refused(client: aiohttp.ClientSession, method: str, path: str, status: int, code: str, **given: Any) -> Any:
    async with client.request(method, path, **given) as answer:
        await hold(answer)
        assert answer.content_type == problems.CONTENT_TYPE
        body = await answer.json(content_type=problems.CONTENT_TYPE)
        assert (answer.status, body["code"], body["status"]) == (status, code, status), body
        assert body["title"]
        assert body["type"] == f"urn:valija:error:{code}"
        return body


# -- handing in ----------------------------------------------------------------------------------------
async def test_an_accepted_message_says_who_will_be_able_to_read_it(scene: Scene) -> None:
    status, body = await post(scene.systems[AR], "messages", written(to=[f"#{NETWORK}"]), "readers")
    assert status == 202
    assert body["fresh"] is True
    assert [each["member"] for each in body["readers"]] == [BR, CO]
    assert body["readers"][0] == {"member": BR, "titles": {"es": f"Fiscalía {BR}"}, "country": "BR"}


async def test_it_arrives_and_both_sides_tell_the_same(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "both", subject="Ñandú", case_reference="FRO 4127/2026")
    there = await arrived(scene, message_id)
    assert there["sender"]["member"] == AR
    assert there["content"]["from"] == {"member": AR, "desk": "central"}
    assert there["content"]["author"]["login_method"] == "token"
    _status, here = await get(scene.systems[AR], f"messages/{message_id}")
    assert here["content"] == there["content"]

    async def delivered() -> Any:
        _, told = await get(scene.systems[AR], f"messages/{message_id}")
        return told["deliveries"][0] if told["deliveries"][0]["state"] == "delivered" else None

    delivery = await eventually("a receipt", delivered)
    assert delivery["recipient"] == {"member": BR}
    assert delivery["receipt"]["event"] == "ContentConsignment"
    assert delivery["receipt"]["signed_by"] == BR


async def test_the_same_key_and_message_again_is_the_same_message(scene: Scene) -> None:
    first = await post(scene.systems[AR], "messages", written(), "again")
    again = await post(scene.systems[AR], "messages", written(), "again")
    assert first[0] == again[0] == 202
    assert first[1]["id"] == again[1]["id"]
    assert (first[1]["fresh"], again[1]["fresh"]) == (True, False)


async def test_the_same_key_with_another_message_is_a_conflict(scene: Scene) -> None:
    await sent(scene.systems[AR], "conflict")
    status, body = await post(scene.systems[AR], "messages", written(subject="Otra"), "conflict")
    assert (status, body["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"to": ["xx-none"]}, 422, "unknown_recipient"),
        ({"to": ["#nobody"]}, 422, "unknown_network"),
        ({"to": [AR]}, 400, "invalid_request"),
        ({"to": ["br-mpf@iap"]}, 400, "invalid_request"),
        ({"to": ["BR"]}, 400, "invalid_request"),
        ({"to": []}, 400, "invalid_request"),
        ({"subject": "x" * 301}, 400, "invalid_request"),
        ({"due_at": "mañana"}, 400, "invalid_request"),
        ({"type": "poem"}, 400, "invalid_request"),
        ({"desk": "otra"}, 400, "invalid_request"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400, "invalid_request"),
        ({"expires_at": "2027-01-01T00:00:00"}, 400, "invalid_request"),
        ({"expires_at": "soon"}, 400, "invalid_request"),
        ({"surprise": 1}, 400, "invalid_request"),
        ({"idempotency_key": "x"}, 400, "invalid_request"),
        ({"forward_of": "msg_" + "a" * 26}, 404, "unknown_message"),
        ({"handling": {"tlp": "TLP:PURPLE"}}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_carried_out_is_refused(scene: Scene, changes: dict, status: int, code: str) -> None:
    body = await refused(
        scene.systems[AR], "POST", "/api/v1/messages", status, code, json=written(**changes),
        headers={"Idempotency-Key": f"bad {changes}"[:200].encode("ascii", "ignore").decode()},
    )  # fmt: skip
    assert "mañana" not in json.dumps(body, ensure_ascii=False)


async def test_a_key_is_required(scene: Scene) -> None:
    url = "/api/v1/messages"
    await refused(scene.systems[AR], "POST", url, 400, "invalid_request", json=written())
    long = {"Idempotency-Key": "k" * 256}
    await refused(scene.systems[AR], "POST", url, 400, "invalid_request", json=written(), headers=long)
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    await refused(scene.systems[AR], "POST", url, 400, "invalid_request", json=written(), headers=twice)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"to":' + b"[" * 5000, b'"text"', b"null"])
async def test_what_is_no_json_is_refused(scene: Scene, body: bytes) -> None:
    headers = {"Idempotency-Key": "json"}
    await refused(scene.systems[AR], "POST", "/api/v1/messages", 400, "invalid_request", data=body, headers=headers)


@pytest.mark.attack("oversized body")
async def test_a_body_over_the_cap_is_refused_with_and_without_a_length(scene: Scene) -> None:
    headers, large = {"Idempotency-Key": "large"}, b" " * (api_requests.MAX_SINGLE_BYTES + 1)
    url = "/api/v1/messages"
    await refused(scene.operators[AR], "POST", url, 413, "limit_exceeded", data=large, headers=headers)

    async def chunks() -> AsyncIterator[bytes]:
        for _chunk in range(13):
            yield b" " * 65_536

    await refused(scene.operators[AR], "POST", url, 413, "limit_exceeded", data=chunks(), headers=headers)
    many = b"\n".join([b"{}"] * (api_requests.MAX_BATCH_LINES + 1))
    headers = {"Content-Type": "application/x-ndjson"}
    await refused(scene.operators[AR], "POST", f"{url}:batch", 413, "limit_exceeded", data=many, headers=headers)


# -- batches -------------------------------------------------------------------------------------------
async def batch(client: aiohttp.ClientSession, lines: list[Any], path: str = "messages") -> list[Any]:
    data = b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines)
    headers = {"Content-Type": "application/x-ndjson"}
    async with client.post(f"/api/v1/{path}", data=data, headers=headers) as answer:
        await hold(answer)
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        return [json.loads(line) for line in (await answer.read()).splitlines()]


async def test_a_batch_is_answered_line_by_line(scene: Scene) -> None:
    good = [written(idempotency_key=f"batch-{number}") for number in range(3)]
    lines = [good[0], b"{", good[1], written(), written(idempotency_key="batch-0", subject="Otra"), good[2], good[1]]
    lines.append(written(idempotency_key="nobody", to=["xx-none"]))
    lines.append(written(idempotency_key="forward", forward_of="msg_" + "a" * 26))
    answers = await batch(scene.systems[AR], lines)
    told = [each.get("fresh", each.get("error", {}).get("code")) for each in answers]
    assert told == [True, "invalid_request", True, "invalid_request", "conflict", True, False, "unknown_recipient",
                    "unknown_message"]  # fmt: skip
    assert answers[2]["id"] == answers[6]["id"]
    again = await batch(scene.systems[AR], good, "messages:batch")
    assert [each["fresh"] for each in again] == [False] * 3
    for each in again:
        await arrived(scene, each["id"])


async def test_a_large_batch_is_one_answer(scene: Scene) -> None:
    lines = [written(idempotency_key=f"many-{number}", body="x" * 500) for number in range(300)]
    answers = await batch(scene.systems[AR], lines)
    assert len({each["id"] for each in answers}) == 300
    await arrived(scene, answers[-1]["id"])


async def test_an_empty_batch_is_refused(scene: Scene) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    await refused(scene.systems[AR], "POST", "/api/v1/messages", 400, "invalid_request", data=b"\n \n", headers=headers)


# -- lists ---------------------------------------------------------------------------------------------
async def test_the_inbox_is_read_by_cursor_in_archive_order(scene: Scene) -> None:
    ids = [await sent(scene.systems[AR], f"page-{number}") for number in range(5)]
    await arrived(scene, ids[-1])
    seen: list[str] = []
    after = ""
    for _page in range(1000):
        _status, page = await get(scene.systems[BR], f"messages?limit=2&after={after}")
        seen += [each["id"] for each in page["items"]]
        if not page["more"]:
            break
        after = page["next"]
    assert seen[-5:] == ids
    assert len(seen) == len(set(seen))
    _status, newest = await get(scene.systems[BR], "messages?limit=2&before=")
    assert [each["id"] for each in newest["items"]] == ids[:2:-1]
    _status, older = await get(scene.systems[BR], f"messages?limit=2&before={newest['next']}")
    assert [each["id"] for each in older["items"]] == [ids[2], ids[1]]


async def test_the_outbox_tells_where_each_stands(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "outbox", to=[BR, CO])
    await arrived(scene, message_id)

    async def told() -> Any:
        _status, page = await get(scene.systems[AR], "outbox?limit=1&before=")
        states = {each["recipient"]["member"]: each for each in page["items"][0]["deliveries"] if each["recipient"]}
        return states if states.get(BR, {}).get("state") == "delivered" else None

    states = await eventually("the outbox", told)
    assert (states[CO]["state"], states[CO]["reason"]) == ("held", "no_prekey")


@pytest.mark.parametrize("query", ["after=zzz", "after=AAAA", "limit=0", "limit=501", "limit=x", "after=A&before=B",
                                   "limit=1&limit=2", "after=__________8"])  # fmt: skip
async def test_no_other_cursor_or_limit_is_taken(scene: Scene, query: str) -> None:
    await refused(scene.systems[AR], "GET", f"/api/v1/messages?{query}", 400, "invalid_request")


async def test_a_message_is_named_by_the_start_of_its_id(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "short")
    for shown in (message_id, message_id[:12], message_id.removeprefix("msg_")[:8]):
        status, body = await get(scene.systems[AR], f"messages/{shown}")
        assert (status, body["id"]) == (200, message_id)
    for shown in ("msg_a", "msg_" + "a" * 27, "MSG_AAAA", "msg_aaa1"):
        await refused(scene.systems[AR], "GET", f"/api/v1/messages/{shown}", 400, "invalid_request")
    await refused(scene.systems[AR], "GET", "/api/v1/messages/msg_" + "7" * 26, 404, "unknown_message")


# -- acts ----------------------------------------------------------------------------------------------
async def test_a_desk_acknowledges_and_the_sender_has_it_signed(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "ack")
    await arrived(scene, message_id)
    asked = {
        "action": "needs-information",
        "note": "¿Qué período?",
        "author": {"name": "Rui", "role": "", "login_method": "x"},
    }
    status, body = await post(scene.systems[BR], f"messages/{message_id[:14]}/acknowledge", asked)
    assert (status, body) == (202, {"id": message_id, "action": "needs-information"})

    async def acknowledged() -> Any:
        _status, told = await get(scene.systems[AR], f"messages/{message_id}")
        return told["deliveries"][0] if told["deliveries"][0]["state"] == "acknowledged" else None

    delivery = await eventually("an answer", acknowledged)
    (answer,) = delivery["answers"]
    assert (answer["desk"], answer["action"], answer["note"]) == ("central", "needs-information", "¿Qué período?")
    assert delivery["receipt"]["event"] == "ContentHandover"


async def test_only_what_was_received_is_acknowledged(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "own")
    url = f"/api/v1/messages/{message_id}/acknowledge"
    await refused(scene.systems[AR], "POST", url, 404, "unknown_message")
    there = await arrived(scene, message_id)
    await refused(scene.systems[BR], "POST", url, 400, "invalid_request", json={"action": "applauded"})
    await refused(scene.systems[BR], "POST", f"/api/v1/messages/{there['id']}/withdraw", 404, "unknown_message")


async def test_what_waits_is_withdrawn_and_what_is_delivered_is_not(scene: Scene) -> None:
    waiting = await sent(scene.systems[AR], "withdraw", to=[CO])
    status, body = await post(scene.systems[AR], f"messages/{waiting}/withdraw")
    assert status == 202
    assert body["deliveries"][0]["state"] == "withdrawn"
    message_id = await sent(scene.systems[AR], "too late")
    await arrived(scene, message_id)

    async def too_late() -> Any:
        _status, told = await get(scene.systems[AR], f"messages/{message_id}")
        return told["deliveries"][0]["state"] == "delivered"

    await eventually("a receipt", too_late)
    await refused(scene.systems[AR], "POST", f"/api/v1/messages/{message_id}/withdraw", 409, "too_late")


async def test_a_handling_code_holds_where_a_message_is_passed_on(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "red", handling={"tlp": "TLP:RED"})
    await arrived(scene, message_id)
    passed = {"to": [CO], "body": "x", "forward_of": message_id, "handling": {"tlp": "TLP:RED"}}
    status, body = await post(scene.systems[BR], "messages", passed, "red 1")
    assert (status, body["code"]) == (403, "handling_forbids")
    assert CO in body["detail"]
    status, body = await post(scene.systems[BR], "messages", passed | {"to": [AR]}, "red 2")
    assert status == 202, "its author could read it before"
    status, body = await post(
        scene.systems[BR], "messages", passed | {"to": [AR], "handling": {"tlp": "TLP:GREEN"}}, "red 3"
    )
    assert (status, body["code"]) == (403, "handling_forbids")


async def test_own_messages_are_passed_on_within_their_code(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "h2", handling={"europol": ["H2"]})
    passed = {"to": [CO], "body": "x", "forward_of": message_id, "handling": {"europol": ["H2"]}}
    status, body = await post(scene.systems[AR], "messages", passed, "h2 1")
    assert (status, body["code"]) == (403, "handling_forbids")


async def test_threads_and_search_find_both_directions(scene: Scene) -> None:
    first = await sent(scene.systems[AR], "thread 1", body="La palabra es CALIFORNIO.", case_reference="CAUSA-77-X")
    await arrived(scene, first)
    answer = {"to": [AR], "body": "Respuesta californio", "thread": first, "in_reply_to": first}
    second = await sent(scene.systems[BR], "thread 2", **answer)
    await arrived(scene, second, AR)

    async def found() -> Any:
        _status, body = await get(scene.systems[AR], "search?q=californio")
        return body["items"] if len(body["items"]) == 2 else None

    hits = await eventually("both in the index", found)
    assert {each["id"] for each in hits} == {first, second}
    _status, body = await get(scene.systems[AR], "search?q=USA-77&limit=5")
    assert [each["id"] for each in body["items"]] == [first]
    _status, body = await get(scene.systems[AR], f"threads/{second}")
    assert [each["id"] for each in body["items"]] == [first, second]
    await refused(scene.systems[AR], "GET", "/api/v1/search", 400, "invalid_request")


async def thread_of_two(client: aiohttp.ClientSession, message_id: str) -> bool:
    status, body = await get(client, f"threads/{message_id}")
    return status == 200 and len(body["items"]) == 2


async def test_where_two_senders_use_one_id_nobody_is_guessed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    own = await sent(scene.systems[BR], "collision", to=[AR], body="De Brasil", handling={"tlp": "TLP:RED"})
    await arrived(scene, own, AR)
    monkeypatch.setattr(
        acceptance,
        "message_id",
        lambda *named: api_requests.message_id_of(own) if named[-1] == "forged" else names.message_id(*named),
    )
    assert await sent(scene.systems[AR], "forged", body="Con el mismo identificador") == own

    async def both() -> Any:
        status, body = await get(scene.systems[BR], f"messages/{own}")
        return body if status == 400 else None

    told = await eventually("the second of the same id", both)
    assert (told["code"], told["detail"]) == (
        "invalid_request",
        f"several messages have this id; say from whom (from): {BR} or {AR}",
    )
    for sender, text in ((BR, "De Brasil"), (f"{AR}@aiamp", "Con el mismo identificador")):
        status, body = await get(scene.systems[BR], f"messages/{own[:12]}?from={sender}")
        assert (status, body["content"]["body"]["text"]) == (200, text)
        await eventually("both in the thread", partial(thread_of_two, scene.systems[BR], f"{own}?from={sender}"))
    await refused(scene.systems[BR], "GET", f"/api/v1/messages/{own}?from={CO}", 404, "unknown_message")
    await refused(scene.systems[BR], "GET", f"/api/v1/threads/{own}", 400, "invalid_request")
    act = {"action": "accepted"}
    await refused(scene.systems[BR], "POST", f"/api/v1/messages/{own}/acknowledge", 400, "invalid_request", json=act)
    await refused(
        scene.systems[BR], "POST", f"/api/v1/messages/{own}/acknowledge?from={BR}", 404, "unknown_message", json=act
    )
    assert (await post(scene.systems[BR], f"messages/{own}/acknowledge?from={AR}", act))[0] == 202
    # Only the own one can be taken back, and this one is delivered; neither code is got round.
    await refused(scene.systems[BR], "POST", f"/api/v1/messages/{own}/withdraw", 409, "too_late")
    passed = written(to=[CO], forward_of=own, handling={"tlp": "TLP:RED"})
    await refused(scene.systems[BR], "POST", "/api/v1/messages", 403, "handling_forbids", json=passed,
                  headers={"Idempotency-Key": "collision 2"})  # fmt: skip


async def test_a_content_that_the_disk_damaged_is_never_shown_as_the_senders(scene: Scene) -> None:
    spoiled = await sent(scene.systems[AR], "damaged", subject="Secuestro", body="Lo que se firmó, zanahoria")
    await arrived(scene, spoiled)
    fine = await sent(scene.systems[AR], "after it", subject="Después")
    await arrived(scene, fine)
    row = scene.nodes[BR].service.store

    def spoil(tx: Any) -> bytes:
        (content,) = tx.one("SELECT content FROM inbox WHERE message_id = ?", (api_requests.message_id_of(spoiled),))
        # Well-formed, and not what was signed.
        other = content.replace(b"zanahoria", b"alcachofa")
        tx.run("UPDATE inbox SET content = ? WHERE message_id = ?", (other, api_requests.message_id_of(spoiled)))
        return bytes(content)

    original = await asyncio.wrap_future(row.submit(spoil))
    try:
        for path in (f"messages/{spoiled}", f"threads/{spoiled}"):
            await refused(scene.systems[BR], "GET", f"/api/v1/{path}", 500, "damaged")
        act = {"action": "accepted"}
        await refused(scene.systems[BR], "POST", f"/api/v1/messages/{spoiled}/acknowledge", 500, "damaged", json=act)
        passed = written(to=[CO], forward_of=spoiled)
        await refused(scene.systems[BR], "POST", "/api/v1/messages", 403, "handling_forbids", json=passed,
                      headers={"Idempotency-Key": "damaged 2"})  # fmt: skip
        _status, page = await get(scene.systems[BR], "messages?limit=2&before=")
        newest, before = page["items"]
        assert (newest["id"], newest["content"]["subject"], "damaged" in newest) == (fine, "Después", False)
        assert (before["id"], before["damaged"]) == (spoiled, True)
        assert before["content"]["subject"] == before["content"]["body"]["text"] == str(DamagedError())
        assert "alcachofa" not in str(page)
    finally:
        undo = "UPDATE inbox SET content = ? WHERE message_id = ?"
        named = api_requests.message_id_of(spoiled)
        await asyncio.wrap_future(row.submit(lambda tx: tx.run(undo, (original, named))))
    assert (await get(scene.systems[BR], f"messages/{spoiled}"))[0] == 200


# -- walls ---------------------------------------------------------------------------------------------
async def desk_token(scene: Scene, member: str, desk: str) -> str:
    await post(scene.operators[member], "desks", {"name": desk})
    status, body = await post(scene.operators[member], "tokens", {"desk": desk, "label": "prueba"})
    assert status == 201
    return str(body["token"])


async def test_the_token_of_another_desk_sees_nothing(scene: Scene) -> None:
    token = await desk_token(scene, BR, "antidrogas")
    theirs = await sent(scene.systems[AR], "wall 1", to=[f"{BR}/central"])
    ours = await sent(scene.systems[AR], "wall 2", to=[f"{BR}/antidrogas"])
    await arrived(scene, theirs)
    await arrived(scene, ours)
    async with case_system(scene.nodes[BR], token) as client:
        _status, page = await get(client, "messages?limit=500")
        assert [each["id"] for each in page["items"]] == [ours]
        await refused(client, "GET", f"/api/v1/messages/{theirs}", 404, "unknown_message")
        await refused(client, "POST", f"/api/v1/messages/{theirs}/acknowledge", 404, "unknown_message")
        passed = written(to=[AR], forward_of=theirs)
        await refused(client, "POST", "/api/v1/messages", 404, "unknown_message", json=passed,
                      headers={"Idempotency-Key": "wall"})  # fmt: skip
        mine = await sent(client, "wall 3", to=[AR])
        _status, listed = await get(client, "outbox")
        assert [each["id"] for each in listed["items"]] == [mine]
        _status, told = await get(client, "desks")
        assert [each["name"] for each in told["desks"]] == ["antidrogas"]
        _status, told = await get(client, "status")
        assert told.keys() == {"member", "version", "session", "hub", "desk"}
    await refused(scene.systems[BR], "GET", f"/api/v1/messages/{ours}", 404, "unknown_message")
    await refused(scene.systems[BR], "GET", f"/api/v1/messages/{mine}", 404, "unknown_message")
    _status, page = await get(scene.operators[BR], "messages?limit=500&desk=antidrogas")
    assert [each["id"] for each in page["items"]] == [ours]


async def test_a_token_is_its_desk_on_the_operators_socket_too(scene: Scene) -> None:
    token = await desk_token(scene, BR, "aduanas")
    theirs = await sent(scene.systems[AR], "socket", to=[f"{BR}/central"])
    await arrived(scene, theirs)
    shown = {"Authorization": f"Bearer {token}"}
    operators = scene.operators[BR]
    await refused(operators, "GET", f"/api/v1/messages/{theirs}", 404, "unknown_message", headers=shown)
    await refused(operators, "POST", "/api/v1/desks", 403, "forbidden", headers=shown, json={"name": "xx"})
    wrong = {"Authorization": "Bearer vlj_no"}
    await refused(operators, "GET", f"/api/v1/messages/{theirs}", 401, "unauthorized", headers=wrong)


async def test_what_is_for_no_desk_that_exists_is_shown_to_the_first(scene: Scene) -> None:
    message_id = await sent(scene.systems[AR], "no desk", to=[f"{BR}/inexistente"])
    await arrived(scene, message_id)
    status, body = await get(scene.systems[BR], f"messages/{message_id}")
    assert (status, body["content"]["to"]) == (200, [f"{BR}/inexistente@aiamp"])


async def test_desks_and_tokens_are_the_operators(scene: Scene) -> None:
    for path, body in (("desks", {"name": "x1"}), ("tokens", {"desk": "central"})):
        await refused(scene.systems[AR], "POST", f"/api/v1/{path}", 403, "forbidden", json=body)
    await refused(scene.systems[AR], "DELETE", "/api/v1/tokens/abcd", 403, "forbidden")
    await refused(scene.operators[AR], "POST", "/api/v1/desks", 409, "already_exists", json={"name": "central"})
    await refused(scene.operators[AR], "POST", "/api/v1/desks", 400, "invalid_request", json={"name": "No"})
    await refused(scene.operators[AR], "POST", "/api/v1/desks", 400, "invalid_request", json={"nombre": "x1"})
    await refused(scene.operators[AR], "POST", "/api/v1/tokens", 422, "unknown_desk", json={"desk": "nada"})
    await refused(scene.operators[AR], "POST", "/api/v1/messages", 422, "unknown_desk", json=written(desk="nada"),
                  headers={"Idempotency-Key": "desk"})  # fmt: skip


@pytest.mark.parametrize("path", ["desks", "tokens", "messages"])
@pytest.mark.parametrize("body", [b'{"name": "\xff"}', b'{"desk": "\xed\xa0\x80"}', b"\xfe\xff", b"[" * 100_000])
async def test_a_form_that_is_no_text_is_the_callers_fault(scene: Scene, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "form"}
    async with scene.operators[BR].post(f"/api/v1/{path}", data=body, headers=headers) as answer:
        told = await answer.json(content_type=None)
        assert (answer.status, told["code"]) in {(400, "invalid_request"), (413, "limit_exceeded")}


async def test_a_revoked_token_opens_nothing_any_more(scene: Scene) -> None:
    token = await desk_token(scene, AR, "extradiciones")
    async with case_system(scene.nodes[AR], token) as client:
        assert (await get(client, "status"))[0] == 200
        _status, told = await get(scene.operators[AR], "desks")
        (handle,) = [
            each["handle"] for desk in told["desks"] if desk["name"] == "extradiciones" for each in desk["tokens"]
        ]
        async with scene.operators[AR].delete(f"/api/v1/tokens/{handle}") as answer:
            assert (await answer.json())["revoked_at"]
        await refused(client, "GET", "/api/v1/status", 401, "unauthorized")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer vlj_", "Bearer vlj_" + "A" * 43, "Basic dTpw", "Bearer x"])
async def test_without_a_valid_token_nothing_is_told(scene: Scene, header: str) -> None:
    async with case_system(scene.nodes[AR], "") as client:
        headers = {"Authorization": header} if header else {}
        for path in ("messages", "status", "events", "nowhere"):
            await refused(client, "GET", f"/api/v1/{path}", 401, "unauthorized", headers=headers)


# -- the rest ------------------------------------------------------------------------------------------
async def test_what_is_not_there_is_a_problem_too(scene: Scene) -> None:
    await refused(scene.operators[AR], "GET", "/api/v1/nowhere", 404, "invalid_request")
    await refused(scene.operators[AR], "PUT", "/api/v1/messages", 405, "invalid_request")


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_no_request_is_a_problem_too(scene: Scene, name: str) -> None:
    for where in (scene.nodes[AR].address or ("", 0), str(scene.association.homes[AR].socket)):
        answer = await ask(where, REQUESTS[name])
        told = problems.read(answer.body.encode(), answer.status)
        code = "limit_exceeded" if name in TOO_LONG else "invalid_request"
        assert (told.code, answer.status) == (code, STATUSES[name])
        assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (
            problems.CONTENT_TYPE,
            "nosniff",
        )
        assert SECRET not in str(answer)


async def test_members_networks_and_health(scene: Scene) -> None:
    _status, told = await get(scene.systems[AR], "members")
    assert [(each["member"], each["is_this_node"]) for each in told["members"]] == [
        (AR, True),
        (BR, False),
        (CO, False),
    ]
    assert all(each["in_standing"] for each in told["members"])
    _status, told = await get(scene.systems[AR], "networks")
    assert [each["member"] for each in told["networks"][0]["members"]] == [AR, BR, CO]
    for path in ("/livez", "/readyz"):
        async with scene.operators[AR].get(path) as answer:
            assert answer.status == 200


async def test_the_operator_is_told_everything_but_content(scene: Scene) -> None:
    _status, told = await get(scene.operators[AR], "status")
    assert told["session"] == "open"
    assert told["association"]["is_witnessed"] is False
    assert told["certificate"]["in_standing"] is True
    assert told["prekeys"]["days_ahead"] == 14
    assert told["messages"]["sent"] >= 0


# -- events --------------------------------------------------------------------------------------------
async def events(answer: aiohttp.ClientResponse, last: str, state: str = "") -> list[dict[str, Any]]:
    """The events of this stream up to one about the message `last` (in this state); those of other tests come too."""
    found: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    async with asyncio.timeout(30):
        async for raw in answer.content:
            name, _, value = raw.decode().rstrip("\r\n").partition(": ")
            if name in {"id", "event", "data"}:
                event[name] = value
            elif event.get("data"):
                found.append(event | {"data": json.loads(event["data"])})
                event = {}
                data = found[-1]["data"]
                if data["id"] == last and (not state or state in {each["state"] for each in data["deliveries"]}):
                    return found
    raise AssertionError(found)


def about(found: list[dict[str, Any]], ids: list[str]) -> list[str]:
    return [each["data"]["id"] for each in found if each["data"]["id"] in ids]


async def test_a_stream_tells_of_new_messages_to_their_desk_alone(scene: Scene) -> None:
    token = await desk_token(scene, BR, "exteriores")
    async with (
        scene.systems[BR].get("/api/v1/events") as central,
        case_system(scene.nodes[BR], token) as other,
        other.get("/api/v1/events") as exteriores,
    ):
        first = await sent(scene.systems[AR], "stream 1", to=[f"{BR}/exteriores"])
        second = await sent(scene.systems[AR], "stream 2", urgency="urgent")
        third = await sent(scene.systems[AR], "stream 3", to=[f"{BR}/exteriores"])
        seen = await events(central, second)
        assert about(seen, [first, second, third]) == [second]
        assert (seen[-1]["event"], seen[-1]["data"]["urgency"]) == ("message", "urgent")
        assert [each["data"]["id"] for each in await events(exteriores, third)] == [first, third]


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_stream_ends_with_its_token(scene: Scene, ending: str) -> None:
    token = await desk_token(scene, BR, f"cierre-{ending}")
    desks = scene.nodes[BR].service.desks
    async with case_system(scene.nodes[BR], token) as other, other.get("/api/v1/events") as stream:
        before = await sent(scene.systems[AR], f"before {ending}", to=[f"{BR}/cierre-{ending}"])
        assert (await events(stream, before))[-1]["data"]["id"] == before
        (known,) = [each for each in desks._tokens.values() if each[0].desk == f"cierre-{ending}"]
        if ending == "revoked":
            async with scene.operators[BR].delete(f"/api/v1/tokens/{known[1].token}") as answer:
                assert answer.status == 200
        else:
            desks._until[known[1]] = int(scene.nodes[BR].service.now())
        await sent(scene.systems[AR], f"after {ending}", to=[f"{BR}/cierre-{ending}"])
        assert b"after" not in await asyncio.wait_for(stream.content.read(), 10)


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_stream_ends_with_its_token_though_nothing_happens(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(api_node, "LOOK_SECONDS", 0.01)
    token = await desk_token(scene, BR, f"quieta-{ending}")
    desks = scene.nodes[BR].service.desks
    async with case_system(scene.nodes[BR], token) as other, other.get("/api/v1/events") as stream:
        (known,) = [each for each in desks._tokens.values() if each[0].desk == f"quieta-{ending}"]
        if ending == "revoked":
            async with scene.operators[BR].delete(f"/api/v1/tokens/{known[1].token}") as answer:
                assert answer.status == 200
        else:
            desks._until[known[1]] = int(scene.nodes[BR].service.now())
        await asyncio.wait_for(stream.content.read(), 10)
    await eventually("no stream", lambda: not scene.nodes[BR].service.streams.total())


async def test_a_token_has_so_many_streams_and_no_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_node, "MAX_STREAMS", 2)
    token = await desk_token(scene, BR, "muchas")
    async with case_system(scene.nodes[BR], token) as other:
        async with other.get("/api/v1/events") as one, other.get("/api/v1/events") as two:
            assert (one.status, two.status) == (200, 200)
            await refused(other, "GET", "/api/v1/events", 429, "too_many_requests")
            assert int((await other.get("/api/v1/events")).headers["Retry-After"]) > 1
        await eventually("room again", lambda: not scene.nodes[BR].service.streams.total())


async def test_a_stream_says_where_it_begins_so_that_nothing_is_lost_before_its_first_event(scene: Scene) -> None:
    async with scene.systems[BR].get("/api/v1/events") as stream:
        name, _, place = (await stream.content.readline()).decode().strip().partition(": ")
        assert (name, await stream.content.readline()) == ("id", b"\n")
    message_id = await sent(scene.systems[AR], "after a stream that told of nothing")
    async with scene.systems[BR].get("/api/v1/events", headers={"Last-Event-ID": place}) as stream:
        assert about(await events(stream, message_id), [message_id]) == [message_id]


async def test_a_stream_is_taken_up_behind_the_last_event_seen(scene: Scene) -> None:
    async with scene.systems[BR].get("/api/v1/events") as stream:
        before = await sent(scene.systems[AR], "resume 0")
        seen = (await events(stream, before))[-1]
    lines = [written(idempotency_key=f"resume-{number}") for number in range(1, 5)]
    ids = [each["id"] for each in await batch(scene.systems[AR], lines)]
    await arrived(scene, ids[-1])
    headers = {"Last-Event-ID": seen["id"]}
    async with scene.systems[BR].get("/api/v1/events", headers=headers) as stream:
        again = await events(stream, ids[-1])
        assert about(again, [before, *ids]) == ids
    second = next(each["id"] for each in again if each["data"]["id"] == ids[1])
    async with scene.systems[BR].get(f"/api/v1/events?after={second}") as stream:
        assert about(await events(stream, ids[-1]), ids) == ids[2:]
    places = [Place.read(each["id"]) for each in again]
    assert places == sorted(places)


async def test_a_sender_sees_its_deliveries_change(scene: Scene) -> None:
    async with scene.systems[AR].get("/api/v1/events") as stream:
        message_id = await sent(scene.systems[AR], "changes", urgency="urgent")
        seen = await events(stream, message_id, "delivered")
    mine = [each for each in seen if each["data"]["id"] == message_id]
    assert {each["event"] for each in mine} == {"delivery"}
    assert mine[-1]["data"]["deliveries"][0]["recipient"] == {"member": BR}


@pytest.mark.parametrize("place", ["x", "1", "1-x", "-1-0", "9" * 30 + "-0"])
async def test_no_other_event_id_is_taken(scene: Scene, place: str) -> None:
    await refused(scene.systems[AR], "GET", f"/api/v1/events?after={place}", 400, "invalid_request")
