"""HTTP at the hub: the log to be mirrored, statements posted, refusals as problems, figures for the operator alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Request
from prometheus_client.parser import text_string_to_metric_families

from hub.door import MOST_ADDRESSES, Door
from hub.web import _STATUS, offer_of, operator_app, public_app
from protocol import errors
from protocol.errors import LimitError, ValijaError
from protocol.limits import MAX_OFFER_BYTES, MAX_STATEMENT_BYTES
from protocol.trust.statements import Role
from tests.support.endless import Endless
from tests.support.hub_client import connected, line, mirror
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.unread import REQUESTS, SECRET, STATUSES, TOO_LONG, ask
from tests.support.world import World

ALBA = "ar-mpf"


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world)) as started:
        yield started


@pytest.fixture
async def web(hub: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=hub.url) as client:
        yield client


@pytest.fixture
async def admin(hub: Running) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(hub.home.socket))
    async with aiohttp.ClientSession(base_url="http://hub", connector=connector) as client:
        yield client


async def post(web: aiohttp.ClientSession, body: bytes) -> tuple[int, dict[str, Any]]:
    async with web.post("/log/statements", data=body) as response:
        return response.status, await response.json(content_type=None)


async def test_the_log_is_mirrored_whole(hub: Running, world: World) -> None:
    registry = await mirror(hub.url, world)
    # What the world logged, its hub's own opening in place of the world's.
    assert registry.size == len(world.statements)
    assert registry.incarnations(Role.HUB, "") == [hub.core.incarnation]
    assert (registry.size, registry.root) == (hub.core.log.registry.size, hub.core.log.registry.root)


async def test_a_statement_is_posted_once(hub: Running, web: aiohttp.ClientSession, world: World) -> None:
    world.now = int(time.time())
    signed = world.admit("pt-pgr")
    size = hub.core.log.registry.size
    before = hub.core.checkpoint
    assert await post(web, signed.raw) == (200, {"index": size, "size": size + 1})
    assert await post(web, signed.raw) == (200, {"index": size, "size": size + 1})
    assert hub.core.checkpoint != before
    assert (await mirror(hub.url, world)).member("pt-pgr").name == "pt-pgr"
    async with web.get(f"/log/statement/{signed.hash.hex()}") as response:
        assert await response.read() == signed.raw
        assert "immutable" in response.headers["Cache-Control"]


async def test_what_does_not_apply_is_a_problem_and_changes_nothing(
    hub: Running, web: aiohttp.ClientSession, world: World
) -> None:
    other = young_world(name="otra")
    world.now = int(time.time())
    cases = {
        "malformed": b"nothing",
        "wrong_association": other.admit("pt-pgr").raw,
        "threshold_not_met": world.sign(world.admit("pt-pgr").statement, world.stewards[:1]).raw,
        "unknown_member": world.certify("pt-pgr").raw,
        "limit_exceeded": bytes(MAX_STATEMENT_BYTES + 1),
    }
    before = (hub.core.log.registry.size, hub.core.checkpoint)
    for code, body in cases.items():
        status, problem = await post(web, body)
        assert problem["code"] == code
        assert 400 <= status < 500
        assert problem["status"] == status
    assert (hub.core.log.registry.size, hub.core.checkpoint) == before
    assert hub.core.totals.refusals["threshold_not_met"] == 1


async def test_a_problem_never_echoes_what_was_sent(web: aiohttp.ClientSession) -> None:
    status, problem = await post(web, b"<script>SECRETO</script>")
    assert status == 400
    assert "SECRETO" not in json.dumps(problem)


@pytest.mark.parametrize("path", ["0/000", "entries/000", "0/001", "9/000", "entries/000.p/999"])
async def test_tiles_that_are_not_there(web: aiohttp.ClientSession, path: str) -> None:
    async with web.get(f"/log/tile/{path}") as response:
        assert response.status in {400, 404}


@pytest.mark.parametrize("path", ["/log/tile/x", "/log/statement/zz", "/log/statement/" + "A" * 64])
async def test_paths_of_another_form(web: aiohttp.ClientSession, path: str) -> None:
    async with web.get(path) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "invalid_request")


async def test_a_statement_that_is_not_logged(web: aiohttp.ClientSession) -> None:
    async with web.get("/log/statement/" + "0" * 64) as response:
        assert response.status == 404


async def test_a_slow_body_is_not_waited_for(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.web.BODY_SECONDS", 0.2)
    host, port = hub.daemon.address or ("", 0)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /log/statements HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_no_request_is_told_so_as_a_problem(hub: Running, name: str) -> None:
    for where in (hub.daemon.address or ("", 0), str(hub.home.socket)):
        answer = await ask(where, REQUESTS[name])
        told = json.loads(answer.body)
        assert answer.headers["content-type"].startswith("application/problem+json")
        code = "limit_exceeded" if name in TOO_LONG else "invalid_request"
        assert (told["code"], told["status"], answer.status) == (code, STATUSES[name], STATUSES[name])
        assert SECRET not in str(answer)


async def test_health(hub: Running, web: aiohttp.ClientSession) -> None:
    for path in ("/livez", "/readyz"):
        async with web.get(path) as response:
            assert response.status == 200
    hub.daemon.hall.is_draining = True
    async with web.get("/readyz") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
    async with web.get("/livez") as response:
        assert response.status == 200


async def figures(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as response:
        assert response.status == 200
        families = text_string_to_metric_families(await response.text())
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_figures(hub: Running, web: aiohttp.ClientSession, admin: aiohttp.ClientSession, world: World) -> None:
    async with connected(hub.url, world, "br-mpf") as berta:
        await berta.publish()
    async with connected(hub.url, world, ALBA) as alba:
        await alba.submit(alba.envelope(["br-mpf"]))
        await alba.submit(alba.envelope(["es-fge"]))
        for client in (web, admin):
            found = await figures(client)
            assert found["valija_hub_sessions"] == 1
            assert found["valija_hub_queue_items br-mpf"] == 1
            assert found["valija_hub_accepted_total"] == 1
            assert found["valija_hub_refused_total prekey_unknown"] == 1
            assert found["valija_hub_registry_size"] == hub.core.log.registry.size


async def test_status(hub: Running, web: aiohttp.ClientSession, admin: aiohttp.ClientSession, world: World) -> None:
    async with connected(hub.url, world, "br-mpf") as berta:
        await berta.publish()
    async with connected(hub.url, world, ALBA) as alba:
        item = alba.envelope(["br-mpf"])
        await alba.submit(item)
        async with admin.get("/status") as response:
            told = await response.json()
        members = {each["member"]: each for each in told["members"]}
        assert (told["association"], told["sessions"], told["totals"]["accepted"]) == ("aiamp", 1, 1)
        assert members[ALBA]["session_since"] is not None
        assert members["br-mpf"]["queued"] == 1
        assert members["br-mpf"]["queued_bytes"] == item.size
        assert members["br-mpf"]["prekeys_until"] > time.time() + 10 * 86_400
        assert members[ALBA]["certificate_not_after"] > time.time()
        assert (members[ALBA]["sent_last_hour"], members["br-mpf"]["taken_last_hour"]) == (1, 0)
        assert members["co-fgn"] | {"quota_bytes": 0, "certificate_not_after": 0} == {
            "member": "co-fgn",
            "in_standing": True,
            "certificate_not_after": 0,
            "messages": 0,
            "fullness": 0.0,
            "prekeys_until": None,
            "quota_messages": world.registry.charter.limits.mailbox_messages,
            "sent_last_hour": 0,
            "suspended": False,
            "taken_last_hour": 0,
            "quota_bytes": 0,
            "session_since": None,
            "last_seen": None,
            "queued": 0,
            "queued_bytes": 0,
            "oldest_seconds": 0,
        }
    # The status names members and how busy they are: not for the network.
    async with web.get("/status") as response:
        assert response.status == 404


async def test_figures_are_not_for_the_network(hub: Running) -> None:
    def paths(app: Any) -> set[str]:
        return {resource.canonical for resource in app.router.resources()}

    assert "/metrics" not in paths(public_app(hub.core, hub.daemon.hall, figures=False))
    assert paths(operator_app(hub.core, hub.daemon.hall)) == {"/metrics", "/livez", "/readyz"}


async def test_on_loopback_the_operators_address_is_asked_by_its_own_name(hub: Running) -> None:
    async with TestClient(TestServer(operator_app(hub.core, hub.daemon.hall))) as client:
        assert (await client.get("/metrics")).status == 200
        for name in ("evil.example", "evil.example:8441", "["):
            assert (await client.get("/metrics", headers={"Host": name})).status in {400, 404}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/session", 400), ("GET", "/nowhere", 404), ("DELETE", "/log/checkpoint", 405)],
)
async def test_what_cannot_be_asked_is_a_problem_too(
    web: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with web.request(method, path) as response:
        told = await response.json(content_type="application/problem+json")
        assert (response.status, told["status"], told["code"]) == (status, status, "invalid_request")
        assert (response.headers.get("Allow") is not None) is (status == 405)


async def test_strangers_wait_outside_when_the_door_is_full(tmp_path: Path, world: World) -> None:
    async with running(make_home(tmp_path / "hub", world, extra="[sessions]\nstrangers = 2\n")) as hub:
        async with (
            line(hub.url),
            line(hub.url),
            aiohttp.ClientSession() as client,
            client.get(f"{hub.url}/session") as response,
        ):
            assert (response.status, (await response.json(content_type=None))["code"]) == (429, "limit_exceeded")
        async with connected(hub.url, world, ALBA), connected(hub.url, world, "br-mpf") as berta:
            # Members who proved themselves stand at the door no longer.
            assert hub.daemon.hall.door.strangers == 0
            await berta.publish()


def test_the_door_counts_by_address() -> None:
    door = Door(total=4, per_address=2, per_minute=60)
    with door.place("192.0.2.1"), door.place("::ffff:192.0.2.1"):
        with pytest.raises(LimitError), door.place("192.0.2.1"):
            raise AssertionError
        with door.place("2001:db8::1"), door.place("2001:db8::2"):
            assert door.strangers == 4
        # Four stand there: nobody else comes in, from wherever.
        with (
            door.place("2001:db8::1"),
            door.place("2001:db8:0:1::1"),
            pytest.raises(LimitError),
            door.place("127.0.0.1"),
        ):
            raise AssertionError
    assert door.strangers == 0
    with door.place("127.0.0.1"), door.place("::1"), door.place("127.0.0.1"):
        assert door.strangers == 3


def knocks(door: Door, address: str, times: int) -> int:
    """How often the door opened."""
    opened = 0
    for _ in range(times):
        with suppress(LimitError), door.place(address):
            opened += 1
    return opened


def test_one_address_knocks_only_so_often() -> None:
    now = [1_000.0]
    door = Door(total=99, per_address=99, per_minute=6, clock=lambda: now[0])
    assert knocks(door, "192.0.2.1", 9) == 6
    with pytest.raises(LimitError, match="wait 10 seconds"), door.place("::ffff:192.0.2.1"):
        raise AssertionError
    assert knocks(door, "192.0.2.2", 1) == 1, "another address is another matter"
    assert knocks(door, "127.0.0.1", 99) == 99, "a proxy here speaks for everybody"
    now[0] += 20
    assert knocks(door, "192.0.2.1", 9) == 2
    now[0] += 10_000
    assert knocks(door, "192.0.2.1", 9) == 6


def test_no_crowd_of_addresses_fills_the_memory() -> None:
    now = [1_000.0]
    door = Door(total=9, per_address=9, per_minute=1, clock=lambda: now[0])
    for number in range(MOST_ADDRESSES + 9):
        assert knocks(door, f"10.0.{number >> 8}.{number & 255}", 1) == 1
    assert len(door._knocks._spent) == MOST_ADDRESSES
    assert knocks(door, f"10.0.{number >> 8}.{number & 255}", 1) == 0, "the newest are remembered"


async def test_who_comes_too_often_is_told_when_to_come_again(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.door._key", lambda address: address)
    home = make_home(tmp_path / "hub", world, extra="[sessions]\nconnections_per_minute = 4\n")
    async with running(home) as hub, connected(hub.url, world, ALBA) as alba:
        for _ in range(3):
            async with line(hub.url):
                pass
        async with aiohttp.ClientSession() as client, client.get(f"{hub.url}/session") as response:
            told = await response.json(content_type=None)
            assert (response.status, told["code"], response.headers["Retry-After"]) == (429, "limit_exceeded", "15")
        # Who is in stays in.
        await alba.publish()


def test_every_refusal_has_a_status() -> None:
    def classes(base: type[ValijaError]) -> list[type[ValijaError]]:
        return [base, *(found for each in base.__subclasses__() for found in classes(each))]

    unmapped = {
        each.code for each in classes(errors.ValijaError) if not any(issubclass(each, kind) for kind, _ in _STATUS)
    }
    # What is left answers 500: faults of the hub's own, or codes that only a node knows.
    assert {"internal", "key_access"} <= unmapped
    assert not unmapped & {"malformed", "stale", "threshold_not_met", "not_in_standing", "draining", "store"}


async def test_an_offer_is_read_up_to_its_limit() -> None:
    offer = Endless(bytes(1 << 16))
    with pytest.raises(LimitError):
        await offer_of(cast("Request", offer))
    assert offer.given == MAX_OFFER_BYTES // (1 << 16) + 1
