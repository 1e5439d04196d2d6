"""Webhooks over real HTTP: a node, and an endpoint on loopback that is listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from node.daemon import Daemon
from node.tables import state
from node.tables import webhooks as table
from node.webhooks import postman, signing
from node.webhooks.guard import ForbiddenAddressError, Guard, is_public
from protocol.errors import UsageError
from tests.support.association import Association, found
from tests.support.described import hold
from tests.support.hub_home import running as hub
from tests.support.node_home import case_system, connected, eventually, node, operator

AR, BR = "ar-mpf", "br-mpf"
LISTED = ("127.0.0.1",)


@dataclass
class Endpoint:
    """A server that keeps what it is told, and answers as the test says."""

    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], web.Response] = lambda _body: web.Response()
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/valija"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.told]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.told.append((dict(request.headers), body))
        await self.gate.wait()
        return self.answer(json.loads(body))


@asynccontextmanager
async def endpoint(port: int = 0) -> AsyncIterator[Endpoint]:
    made = Endpoint()
    made.gate.set()
    app = web.Application()
    app.router.add_post("/valija", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        made.gate.set()
        await runner.cleanup()


@dataclass
class House:
    association: Association
    here: Daemon
    sender: aiohttp.ClientSession
    system: aiohttp.ClientSession
    own: aiohttp.ClientSession


@pytest_asyncio.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(postman, "pause_seconds", lambda _attempts, _jitter: 0)
    association = found(tmp_path / "x", [AR, BR], {}, tls=False)
    listing(association.homes[BR].config)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hub(association.hub_home))
        there = await stack.enter_async_context(node(association.homes[AR]))
        here = await stack.enter_async_context(node(association.homes[BR]))
        sender = await stack.enter_async_context(case_system(there, association.tokens[AR]))
        system = await stack.enter_async_context(case_system(here, association.tokens[BR]))
        own = await stack.enter_async_context(operator(association.homes[BR]))
        await connected(there)
        await connected(here)
        yield House(association, here, sender, system, own)


def listing(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(f'{text}\n[webhooks]\nallow = ["127.0.0.1"]\n' if "\n[webhooks]" not in text else
                      text.replace("[webhooks]", '[webhooks]\nallow = ["127.0.0.1"]'), encoding="utf-8")  # fmt: skip


async def asked(client: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with client.request(method, f"/api/v1/{path}", json=body) as answer:
        await hold(answer)
        return answer.status, await answer.json(content_type=None)


async def added(client: aiohttp.ClientSession, url: str) -> Any:
    status, body = await asked(client, "POST", "webhooks", {"url": url})
    assert status == 201, body
    return body


async def sent(client: aiohttp.ClientSession, key: str, **more: Any) -> str:
    body = {"to": [BR], "subject": "Reservado", "body": "Secreto"} | more
    async with client.post("/api/v1/messages", json=body, headers={"Idempotency-Key": key}) as answer:
        assert answer.status == 202
        return str((await answer.json())["id"])


def ids(place: Endpoint) -> list[str]:
    return [each["data"]["id"] for each in place.bodies if each["type"] == "message"]


def verified(secret: str, told: tuple[dict[str, str], bytes]) -> bool:
    headers, body = told
    try:
        Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    except WebhookVerificationError:
        return False
    return True


# -- telling -------------------------------------------------------------------------------------------
async def test_it_tells_what_came_without_what_was_written_and_signs_it(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        message_id = await sent(house.sender, "one", urgency="urgent")
        await eventually("the notice", lambda: message_id in ids(place))
        (headers, body) = place.told[0]
        assert b"Reservado" not in body
        assert b"Secreto" not in body
        told = json.loads(body)
        assert told["data"] == {"id": message_id, "thread": message_id, "urgency": "urgent",
                                "cursor": told["data"]["cursor"]}  # fmt: skip
        assert verified(hook["secret"], place.told[0])
        assert not verified(hook["secret"], (headers, body + b" "))
        assert not verified(signing.show_secret(b"x" * 32), place.told[0])

        async def noted() -> Any:
            log = (await asked(house.system, "GET", f"webhooks/{hook['name']}/notices"))[1]
            return log["items"][0] if log["items"][0]["attempts"] else None

        item = await eventually("its outcome", noted)
        assert (item["status"], item["outcome"], item["next_at"], item["attempts"]) == (200, "answered", None, 1)
        # The same cursor as that of the pages: what was told is fetched from there.
        assert item["event"] == told["data"]["cursor"]


async def test_two_secrets_sign_while_one_follows_the_other(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        _status, rotated = await asked(house.system, "POST", f"webhooks/{hook['name']}/rotate")
        assert rotated["secret"] != hook["secret"]
        assert (await asked(house.system, "POST", f"webhooks/{hook['name']}/test"))[0] == 202
        await eventually("the trial", lambda: place.told)
        assert place.bodies[0]["type"] == "webhook.test"
        assert verified(rotated["secret"], place.told[0])
        assert verified(hook["secret"], place.told[0])
        listed = (await asked(house.system, "GET", "webhooks"))[1]
        assert "secret" not in json.dumps(listed)


async def test_who_rotates_twice_in_a_day_still_verifies_by_the_secret_it_knows(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        lost, kept = [
            (await asked(house.system, "POST", f"webhooks/{hook['name']}/rotate"))[1]["secret"] for _ in range(2)
        ]
        await asked(house.system, "POST", f"webhooks/{hook['name']}/test")
        await eventually("the trial", lambda: place.told)
        assert [verified(secret, place.told[0]) for secret in (hook["secret"], lost, kept)] == [True, False, True]


async def test_what_is_made_after_a_rotation_is_signed_by_both_however_close_they_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated: list[str] = []
    take = postman.Postman._take

    async def taking(self: postman.Postman, hook: Any) -> bool:
        # Between the look at the webhook and the look at what it is to be told.
        if not rotated:
            rotated.append((await asked(house.own, "POST", f"webhooks/{hook.name}/rotate"))[1]["secret"])
            await asked(house.own, "POST", f"webhooks/{hook.name}/test")
        return await take(self, hook)

    async with endpoint() as place:
        monkeypatch.setattr(postman.Postman, "_take", taking)
        hook = await added(house.system, place.url)
        await eventually("the trial", lambda: place.told)
        assert verified(rotated[0], place.told[0])
        assert verified(hook["secret"], place.told[0])


async def test_what_is_down_is_told_when_it_is_up_again_in_order_of_each_thread(house: House) -> None:
    async with endpoint() as place:
        port = place.port
    hook = await added(house.system, f"http://127.0.0.1:{port}/valija")
    first = await sent(house.sender, "down 1")
    wanted = [first] + [await sent(house.sender, f"down {number}", thread=first) for number in range(2, 6)]

    async def tried() -> bool:
        items = (await asked(house.system, "GET", f"webhooks/{hook['name']}/notices"))[1]["items"]
        return len(items) == 5 and items[0]["attempts"] > 0

    await eventually("an attempt", tried)
    assert (await asked(house.system, "GET", f"webhooks/{hook['name']}"))[1]["failing_since"]
    async with endpoint(port) as place:
        # One in the middle fails twice: what is behind it in its thread waits, another thread does not.
        refusals = {wanted[2]: 2}

        def answer(body: dict[str, Any]) -> web.Response:
            left = refusals.get(body["data"]["id"], 0)
            refusals[body["data"]["id"]] = left - 1
            return web.Response(status=500 if left > 0 else 204)

        place.answer = answer
        await eventually("all", lambda: set(ids(place)) >= set(wanted))
        seen = ids(place)
        assert [each for each in seen if each in wanted] == [*wanted[:2], *[wanted[2]] * 3, *wanted[3:]]

        async def mended() -> bool:
            return not (await asked(house.system, "GET", f"webhooks/{hook['name']}"))[1]["failing_since"]

        await eventually("no failure", mended)


async def test_a_thread_that_fails_holds_up_no_other(house: House) -> None:
    async with endpoint() as place:
        await added(house.system, place.url)
        stuck = await sent(house.sender, "stuck")
        place.answer = lambda body: web.Response(status=503 if body["data"]["id"] == stuck else 200)
        other = await sent(house.sender, "other")
        await eventually("the other", lambda: other in ids(place))


async def test_who_says_gone_is_left_alone_with_an_alarm(house: House) -> None:
    async with endpoint() as place:
        place.answer = lambda _body: web.Response(status=410)
        hook = await added(house.system, place.url)
        await sent(house.sender, "gone")

        async def disabled() -> Any:
            told = (await asked(house.system, "GET", f"webhooks/{hook['name']}"))[1]
            return told["disabled_why"]

        assert await eventually("disabled", disabled) == "gone"
        alarms = await house.here.service.read(state.alarms)
        assert [each.code for each in alarms].count("webhook_disabled") == 1
        count = len(place.told)
        later = await sent(house.sender, "after gone")
        place.answer = lambda _body: web.Response()
        assert (await asked(house.system, "POST", f"webhooks/{hook['name']}/enable"))[1]["disabled_at"] is None
        # Nothing that came meanwhile is lost, nor what was refused.
        await eventually("what came meanwhile", lambda: later in ids(place))
        assert len(place.told) >= count + 2


async def test_thirty_days_of_failure_end_it(house: House) -> None:
    async with endpoint() as place:
        place.answer = lambda _body: web.Response(status=500)
        hook = await added(house.system, place.url)
        await sent(house.sender, "fails")
        await eventually("a failure", lambda: len(place.told) > 1)
        since = int(house.here.now()) - postman.PATIENCE_SECONDS
        await house.here.service.write(lambda tx: tx.run("UPDATE webhook SET failing_since = ?", (since,)))

        async def disabled() -> Any:
            return (await asked(house.system, "GET", f"webhooks/{hook['name']}"))[1]["disabled_why"]

        assert await eventually("disabled", disabled) == "failing for 30 days"


async def test_who_is_put_in_force_again_has_thirty_days_anew(house: House) -> None:
    async with endpoint() as place:
        place.answer = lambda _body: web.Response(status=500)
        hook = await added(house.system, place.url)
        message_id = await sent(house.sender, "fails")
        await eventually("a failure", lambda: place.told)
        since = int(house.here.now()) - postman.PATIENCE_SECONDS
        await asked(house.system, "POST", f"webhooks/{hook['name']}/disable")
        await house.here.service.write(lambda tx: tx.run("UPDATE notice SET created_at = ?", (since,)))
        await asked(house.system, "POST", f"webhooks/{hook['name']}/enable")
        tried = len(place.told)
        await eventually("another failure", lambda: len(place.told) > tried + 1)
        place.answer = lambda _body: web.Response()
        told = len(place.told)
        await eventually("what had waited", lambda: message_id in ids(place)[told:])


async def test_a_webhook_that_is_disabled_is_not_tried(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        message_id = await sent(house.sender, "one")
        await eventually("the notice", lambda: message_id in ids(place))
        path = f"webhooks/{hook['name']}"
        number = (await asked(house.system, "GET", f"{path}/notices"))[1]["items"][0]["number"]
        await asked(house.system, "POST", f"{path}/disable")
        for act in ("test", f"notices/{number}/redeliver"):
            status, told = await asked(house.system, "POST", f"{path}/{act}")
            assert (status, told["code"], "enable" in told["title"]) == (409, "disabled", True)


async def test_a_webhook_that_is_removed_is_gone_with_its_log_and_makes_room(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        message_id = await sent(house.sender, "one")
        await eventually("the notice", lambda: message_id in ids(place))
        path = f"webhooks/{hook['name']}"
        assert (await asked(house.system, "DELETE", path))[0] == 200
        assert (await asked(house.system, "DELETE", path))[0] == 404
        assert (await asked(house.system, "GET", f"{path}/notices"))[0] == 404
        assert (await asked(house.system, "GET", "webhooks"))[1] == {"webhooks": []}
        told = len(place.told)
        later = await sent(house.sender, "two")
        await eventually("it arrived", lambda: _is_here(house, later))
        assert (await added(house.system, place.url))["name"] != hook["name"]
        assert later not in ids(place)[told:]


async def _is_here(house: House, message_id: str) -> bool:
    return (await asked(house.system, "GET", f"messages/{message_id}"))[0] == 200


async def test_a_notice_says_when_the_event_happened(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        await asked(house.system, "POST", f"webhooks/{hook['name']}/disable")
        message_id = await sent(house.sender, "one")
        await eventually("it arrived", lambda: _is_here(house, message_id))
        await house.here.service.write(lambda tx: tx.run("UPDATE event SET at = 1800000000"))
        await asked(house.system, "POST", f"webhooks/{hook['name']}/enable")
        await eventually("the notice", lambda: message_id in ids(place))
        assert place.bodies[0]["timestamp"] == "2027-01-15T08:00:00Z"


@pytest.mark.attack("SSRF")
async def test_a_redirect_is_not_followed_and_a_slow_one_not_waited_for(house: House) -> None:
    async with endpoint() as place, endpoint() as elsewhere:
        place.answer = lambda _body: web.Response(status=302, headers={"Location": elsewhere.url})
        hook = await added(house.system, place.url)
        await sent(house.sender, "redirect")

        async def outcome(wanted: str) -> bool:
            items = (await asked(house.system, "GET", f"webhooks/{hook['name']}/notices"))[1]["items"]
            return bool(items) and items[0]["outcome"] == wanted

        await eventually("refused", lambda: outcome("redirect not followed"))
        assert elsewhere.told == []
    async with endpoint(place.port) as place:
        place.gate.clear()
        client: Any = house.here.service.feed.watchers[0]
        client.__self__._client._timeout = aiohttp.ClientTimeout(total=0.2)
        await eventually("too slow", lambda: outcome("no answer in time"))


async def test_what_was_told_is_told_again_when_asked(house: House) -> None:
    async with endpoint() as place:
        hook = await added(house.system, place.url)
        message_id = await sent(house.sender, "again")
        await eventually("the notice", lambda: ids(place).count(message_id) == 1)

        async def done() -> Any:
            items = (await asked(house.system, "GET", f"webhooks/{hook['name']}/notices"))[1]["items"]
            return items and items[0]["next_at"] is None and items[0]

        item = await eventually("done", done)
        path = f"webhooks/{hook['name']}/notices"
        assert (await asked(house.system, "POST", f"{path}/{item['number']}/redeliver"))[0] == 202
        await eventually("again", lambda: ids(place).count(message_id) == 2)
        assert place.told[0][0]["webhook-id"] == place.told[1][0]["webhook-id"]
        for wrong in ("999999", "x", "9" * 30):
            assert (await asked(house.system, "POST", f"{path}/{wrong}/redeliver"))[0] == 404


async def test_who_dies_between_sending_and_writing_sends_again_and_loses_nothing(house: House) -> None:
    async with endpoint() as place:
        await added(house.system, place.url)
        place.gate.clear()
        message_id = await sent(house.sender, "killed")
        await eventually("sent", lambda: message_id in ids(place))
        # The postman ends while its endpoint has the notice and its answer is not written down.
        watcher: Any = house.here.service.feed.watchers[0]
        await watcher.__self__.close()
        place.gate.set()
        fresh = postman.Postman(house.here.service, Guard(LISTED), house.here.log, house.here.fail)
        later = await sent(house.sender, "after")
        await fresh.start()
        house.here.service.feed.watchers.append(fresh.notify)
        await eventually("both", lambda: ids(place).count(message_id) == 2 and later in ids(place))
        await fresh.close()


# -- walls ---------------------------------------------------------------------------------------------
@pytest.mark.attack("IDOR")
async def test_a_desk_knows_its_own_webhooks_alone(house: House) -> None:
    await asked(house.own, "POST", "desks", {"name": "otra"})
    token = (await asked(house.own, "POST", "tokens", {"desk": "otra"}))[1]["token"]
    async with endpoint() as place, case_system(house.here, token) as other:
        hook = await added(house.system, place.url)
        assert (await asked(other, "GET", "webhooks"))[1] == {"webhooks": []}
        name = hook["name"]
        for method, path in (("GET", name), ("POST", f"{name}/rotate"), ("POST", f"{name}/disable"),
                             ("POST", f"{name}/enable"), ("POST", f"{name}/test"), ("GET", f"{name}/notices"),
                             ("POST", f"{name}/notices/1/redeliver")):  # fmt: skip
            seen = await asked(other, method, f"webhooks/{path}")
            assert seen[0] == 404
            assert seen == await asked(other, method, f"webhooks/{path}".replace(name, "whk_0"))
        theirs = await sent(house.sender, "theirs", to=[f"{BR}/otra"])
        ours = await sent(house.sender, "ours", to=[f"{BR}/central"])
        await eventually("ours", lambda: ours in ids(place))
        assert theirs not in ids(place)
        status, body = await asked(other, "POST", "webhooks", {"url": place.url, "desk": "central"})
        assert (status, body["errors"][0]["pointer"]) == (400, "/desk")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "100.64.0.1",
     "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fec0::1", "192.0.0.8", "192.88.99.1"],
)  # fmt: skip
@pytest.mark.attack("SSRF")
def test_no_webhook_leads_inside(address: str) -> None:
    guard = Guard(())
    assert not guard.may_reach("cases.example.org", address)
    shown = f"[{address}]" if ":" in address else address
    with pytest.raises(UsageError):
        guard.check(f"https://{shown}/")


@pytest.mark.parametrize("url", ["https://127.1/", "https://2130706433/", "https://0x7f000001/", "http://example.org/",
                                 "ftp://example.org/", "https://u:p@example.org/", "https:///x", "https://[::1", "kk",
                                 "https://example.org:99999/", "https://example.org/#x",
                                 "https://example.org/" + "x" * 2_048, "https://ejemplo.org/ñ",
                                 "https://ex\0ample.org/", "https://ex\tample.org/", "https://example.org/\x1b[2J",
                                 "https://example.org:0/", "https://a..b/", "https://-/", "https://8.8.8.8%25x/",
                                 "https://[fe80::1%25eth0]/"])  # fmt: skip
def test_no_other_address_is_taken(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Guard(()).check(url)
    assert url not in str(caught.value)


def test_what_is_listed_may_be_reached_and_no_more() -> None:
    guard = Guard(("10.1.0.0/16", "cases.intranet"))
    assert guard.may_reach("x.example", "10.1.2.3")
    assert not guard.may_reach("x.example", "10.2.2.3")
    assert guard.may_reach("cases.intranet", "192.168.0.1")
    assert guard.check("http://cases.intranet/x")
    assert guard.check("http://10.1.9.9:8080/x")
    assert guard.check("https://example.org/x")
    assert is_public(__import__("ipaddress").ip_address("93.184.215.14"))


class Bent(AbstractResolver):
    """A resolver that says what the test says."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        return [{"hostname": host, "host": each, "port": port, "family": 2, "proto": 0, "flags": 0}
                for each in self.addresses]  # fmt: skip

    async def close(self) -> None:
        return


@pytest.mark.attack("SSRF")
async def test_a_name_that_leads_to_this_machine_is_refused_when_it_is_resolved() -> None:
    with pytest.raises(ForbiddenAddressError):
        await Guard((), Bent("127.0.0.1", "10.0.0.1")).resolve("cases.example.org", 443)
    found_ = await Guard((), Bent("127.0.0.1", "93.184.215.14")).resolve("cases.example.org", 443)
    assert [each["host"] for each in found_] == ["93.184.215.14"]


@pytest.mark.attack("SSRF")
async def test_a_name_bent_to_this_machine_reaches_no_server_of_it(house: House) -> None:
    async with endpoint() as place:
        guard = Guard((), Bent("127.0.0.1"))
        sender = postman.Postman(house.here.service, guard, house.here.log, house.here.fail)
        await sender.start()
        hook = table.Webhook(1, "whk_x", "central", f"https://cases.example.org:{place.port}/valija", b"x" * 32, None, 0,
                             0, 0, 0, None, None, None, 0)  # fmt: skip
        notice = table.Notice(1, 1, "1-0", "message", "t", b"{}", 0, 0, 0, None, None, None)
        assert await sender._post(hook, notice) == (None, "address not allowed")
        await sender.close()
        assert place.told == []


def test_pauses_grow_to_half_a_day_and_thirty_days_of_them_are_bounded() -> None:
    pauses = [postman.pause_seconds(attempts, lambda: 0.5) for attempts in range(100)]
    assert pauses[:3] == [5, 10, 20]
    assert pauses == sorted(pauses)
    assert pauses[-1] == postman.LONGEST_SECONDS
    assert (postman.pause_seconds(3, lambda: 0.0), postman.pause_seconds(3, lambda: 1.0)) == (30, 50)
