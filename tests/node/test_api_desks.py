"""What a case system's token is good for, and that a desk never learns of another: one node and its hub, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from node import api_messages, api_node
from node.daemon import Daemon
from node.routes import Route
from node.scopes import Scope
from tests.support.association import Association, found
from tests.support.described import hold
from tests.support.hub_home import running as hub
from tests.support.node_home import case_system, connected, eventually, node, operator

AR, BR = "ar-mpf", "br-mpf"
ROUTES = (*api_messages.TABLE, *api_node.TABLE)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class House:
    """Two nodes; of the second its operator, and a system at each of its two desks."""

    there: Daemon
    here: Daemon
    sender: aiohttp.ClientSession
    operator: aiohttp.ClientSession
    central: aiohttp.ClientSession
    other: aiohttp.ClientSession


async def made(client: aiohttp.ClientSession, desk: str, **more: Any) -> Any:
    async with client.post("/api/v1/tokens", json={"desk": desk} | more) as answer:
        assert answer.status == 201
        return await answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    association: Association = found(tmp_path_factory.mktemp("d") / "x", [AR, BR], {}, tls=False)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hub(association.hub_home))
        there = await stack.enter_async_context(node(association.homes[AR]))
        here = await stack.enter_async_context(node(association.homes[BR]))
        own = await stack.enter_async_context(operator(association.homes[BR]))
        await own.post("/api/v1/desks", json={"name": "otra"})
        other = (await made(own, "otra"))["token"]
        clients = [
            await stack.enter_async_context(case_system(daemon, token))
            for daemon, token in ((there, association.tokens[AR]), (here, association.tokens[BR]), (here, other))
        ]
        await connected(there)
        await connected(here)
        yield House(there, here, clients[0], own, clients[1], clients[2])


async def told(client: aiohttp.ClientSession, method: str, path: str, **given: Any) -> tuple[int, Any]:
    async with client.request(method, f"/api/v1{path}", **given) as answer:
        await hold(answer)
        return answer.status, await answer.json(content_type=None)


async def sent(client: aiohttp.ClientSession, key: str, to: str) -> str:
    status, body = await told(
        client, "POST", "/messages", json={"to": [to], "subject": key}, headers={"Idempotency-Key": key}
    )
    assert status == 202, body
    return str(body["id"])


async def arrived(client: aiohttp.ClientSession, message_id: str) -> None:
    async def there() -> bool:
        return (await told(client, "GET", f"/messages/{message_id}"))[0] == 200

    await eventually(message_id, there)


@pytest.mark.parametrize("scope", Scope)
async def test_a_token_is_good_for_its_scopes_alone(house: House, scope: Scope) -> None:
    token = await made(house.operator, "central", scopes=[scope], label=scope)
    assert (token["scopes"], token["expires_at"]) == ([scope], None)
    async with case_system(house.here, token["token"]) as client:
        for route in ROUTES:
            if route.scope in {None, scope} or route.path == "/events":
                continue
            path = route.path.replace("{id}", "msg_aaaa").replace("{handle}", "00000000")
            status, body = await told(client, route.method, path, json={})
            assert (status, body["code"]) == (403, "forbidden"), route
        status, body = await told(client, "GET", "/status")
        assert (status, body["desk"]) == (200, "central")
        if scope is Scope.READ:
            assert (await told(client, "GET", "/messages"))[0] == 200
        if scope is Scope.SEND:
            await sent(client, f"by {scope}", AR)


async def test_a_token_ends_when_it_expires(house: House) -> None:
    token = await made(house.operator, "central", expires_at="2100-01-01T00:00:00Z")
    assert token["expires_at"] == "2100-01-01T00:00:00Z"
    async with case_system(house.here, token["token"]) as client:
        assert (await told(client, "GET", "/messages"))[0] == 200
        held = house.here.service
        rows = "UPDATE token SET expires_at = ? WHERE label = '' AND expires_at IS NOT NULL"
        await held._change(lambda tx: tx.run(rows, (int(held.now()) - 1,)))
        status, body = await told(client, "GET", "/messages")
        assert (status, body["code"]) == (401, "unauthorized")
    for wrong in ("2001-01-01T00:00:00Z", "mañana"):
        status, body = await told(house.operator, "POST", "/tokens", json={"desk": "central", "expires_at": wrong})
        assert (status, body["errors"][0]["pointer"]) == (400, "/expires_at")
    for scopes in (["all"], []):
        status, body = await told(house.operator, "POST", "/tokens", json={"desk": "central", "scopes": scopes})
        assert (status, body["errors"][0]["pointer"][:7]) == (400, "/scopes")


def concerning(message_id: str, handle: str) -> list[tuple[Route, str]]:
    named = [each for each in ROUTES if "{" in each.path]
    return [(each, each.path.replace("{id}", message_id).replace("{handle}", handle)) for each in named]


@pytest.mark.attack("IDOR")
async def test_a_desk_never_learns_of_another(house: House) -> None:
    to_other = await sent(house.sender, "idor 1", f"{BR}/otra")
    await arrived(house.other, to_other)
    by_other = await sent(house.other, "idor 2", AR)
    handle = (await told(house.operator, "GET", "/desks"))[1]["desks"][1]["tokens"][0]["handle"]
    nowhere = "msg_" + "7" * 26
    for message_id in (to_other, by_other):
        for route, path in concerning(message_id, handle):
            # The very same answer as for what does not exist.
            _route, absent = next(each for each in concerning(nowhere, "00000000") if each[0] is route)
            seen = await told(house.central, route.method, path, json={})
            assert seen == await told(house.central, route.method, absent, json={}), route
            assert seen[0] in {403, 404}, route
    for path in ("/messages?limit=500", "/outbox?limit=500", "/search?q=idor", "/desks", "/status", "/events?after=0-0",
                 "/messages?desk=otra&limit=500", "/outbox?desk=otra&limit=500"):  # fmt: skip
        status, body = await told(house.central, "GET", path, headers={"Accept": "application/json"})
        assert status == 200
        for secret in (to_other, by_other, "otra", "idor"):
            assert secret not in str(body), path
    key = {"Idempotency-Key": "idor 3"}
    for desk in ("otra", "nada"):
        status, body = await told(house.central, "POST", "/messages", json={"to": [AR], "desk": desk}, headers=key)
        assert (status, body["code"], body["detail"]) == (
            400, "invalid_request", "this token speaks for central alone",
        )  # fmt: skip
    # The other's key is no key of this desk.
    mine = await sent(house.central, "idor 2", AR)
    assert mine != by_other


async def test_events_are_read_in_pages_by_the_same_cursor_as_the_stream(house: House) -> None:
    wanted = [await sent(house.sender, f"page {number}", BR) for number in range(5)]
    await arrived(house.central, wanted[-1])
    pages = {"Accept": "application/json"}
    after, seen, cursors = "0-0", [], []
    for _page in range(1000):
        status, body = await told(house.central, "GET", f"/events?limit=2&after={after}", headers=pages)
        assert status == 200
        assert len(body["items"]) <= 2
        seen += [each for each in body["items"] if each["type"] == "message"]
        cursors += [each["id"] for each in body["items"]]
        after = body["next"]
        if not body["more"]:
            break
    assert len(cursors) == len(set(cursors))
    assert [each["data"]["id"] for each in seen if each["data"]["id"] in wanted] == wanted
    status, body = await told(house.central, "GET", f"/events?after={after}", headers=pages)
    assert (body["items"], body["more"], body["next"]) == ([], False, after)
    # The stream goes on from where a page ended.
    place = next(each["id"] for each in seen if each["data"]["id"] == wanted[3])
    async with house.central.get(f"/api/v1/events?after={place}") as stream, asyncio.timeout(30):
        async for raw in stream.content:
            if raw.startswith(b"data: ") and b"received_at" in raw:
                assert wanted[4] in raw.decode()
                break
    status, body = await told(house.central, "GET", "/events?after=x", headers=pages)
    assert (status, body["errors"][0]["parameter"]) == (400, "after")


async def test_a_sender_has_each_receipt_with_its_proof(house: House) -> None:
    message_id = await sent(house.sender, "receipt", BR)

    async def receipted() -> Any:
        _status, body = await told(house.sender, "GET", f"/messages/{message_id}/receipts")
        return body["items"]

    (item,) = await eventually("a receipt", receipted)
    assert (item["message"], item["recipient"], item["event"]) == (message_id, BR, "ContentConsignment")
    assert item["proof"].keys() == {"body", "salt", "manifest", "link", "leaf_proof", "batch", "place"}
    assert (await told(house.central, "GET", f"/messages/{message_id}/receipts"))[0] == 404


async def test_who_asks_too_fast_is_told_when_to_ask_again(tmp_path: Any) -> None:
    association = found(tmp_path / "x", [AR], {}, tls=False)
    slow = {"VALIJA_NODE_API_REQUEST_BURST": "3", "VALIJA_NODE_API_REQUESTS_PER_SECOND": "1"}
    async with (
        node(association.homes[AR], slow) as daemon,
        case_system(daemon, association.tokens[AR]) as client,
        operator(association.homes[AR]) as own,
    ):
        answers = []
        for _request in range(8):
            async with client.get("/api/v1/status") as answer:
                answers.append((answer.status, answer.headers.get("Retry-After"), await answer.json(content_type=None)))
                assert answer.headers["RateLimit-Policy"] == '"token";q=3;w=3'
                assert answer.headers["RateLimit"].startswith('"token";r=')
        assert [each[0] for each in answers[:3]] == [200] * 3
        refused = [each for each in answers if each[0] == 429]
        assert refused
        assert all((wait, body["code"]) == ("1", "too_many_requests") for _status, wait, body in refused)
        async with own.get("/api/v1/status") as answer:
            assert (answer.status, "RateLimit" in answer.headers) == (200, False)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "where"),
    [
        ("POST", "/messages", {"to": [AR], "expires_at": "2001-01-01T00:00:00Z"}, {}, {"pointer": "/expires_at"}),
        ("POST", "/messages", {"to": [BR]}, {}, {"pointer": "/to"}),
        ("POST", "/messages", {"to": [AR], "desk": "nada"}, {}, {"pointer": "/desk"}),
        (
            "POST",
            "/messages",
            {"to": [AR], "subject": "otra"},
            {"Idempotency-Key": "used"},
            {"header": "Idempotency-Key"},
        ),
        ("POST", "/messages/ms/withdraw", None, {}, {"parameter": "id"}),
        ("GET", "/messages/msg_x", None, {}, {"parameter": "id"}),
        ("GET", "/messages?desk=nada", None, {}, {"parameter": "desk"}),
        ("GET", "/events", None, {"Last-Event-ID": "x"}, {"header": "Last-Event-ID"}),
        ("POST", "/desks", {"name": "No"}, {}, {"pointer": "/name"}),
        ("POST", "/tokens", {"desk": "nada"}, {}, {"pointer": "/desk"}),
        ("POST", "/tokens", {"desk": "central", "label": "x" * 65}, {}, {"pointer": "/label"}),
        ("DELETE", "/tokens/zz", None, {}, {"parameter": "handle"}),
    ],
)
async def test_a_refusal_points_at_what_is_wrong(
    house: House, method: str, path: str, body: Any, headers: dict[str, str], where: dict[str, str]
) -> None:
    if headers.get("Idempotency-Key") == "used":
        await sent(house.operator, "used", AR)
    key = {"Idempotency-Key": "fresh"} if path == "/messages" else {}
    _status, answered = await told(house.operator, method, path, json=body, headers=key | headers)
    (fault,) = answered["errors"]
    assert {name: fault[name] for name in fault if name != "detail"} == where
