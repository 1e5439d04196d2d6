"""What administrators see of the node, over real HTTP: its state, and how each webhook fares, is tried and told again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import pytest_asyncio

from node.desks import Operator
from node.people.acts import NODE
from node.people.roles import Role
from node.tables import people as table
from node.tables import state, webhooks
from node.web.parts import Parts
from tests.node.test_webhooks import Endpoint, endpoint, listing
from tests.support.association import found
from tests.support.authenticator import Authenticator
from tests.support.node_home import eventually, node

AR = "ar-mpf"
HOSTILE = "http://127.0.0.1:1/<script>alert(1)</script>"


@dataclass
class Desk:
    """The pages of a node with one webhook, and the endpoint that it tells."""

    parts: Parts
    place: Endpoint
    name: str

    @asynccontextmanager
    async def visiting(self, login: str, role: Role) -> AsyncIterator[aiohttp.ClientSession]:
        origin = self.parts.site.origin
        text = await self.parts.register.add(NODE, login, "Ana", role, ["central"])
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
        async with aiohttp.ClientSession(origin, headers=headers) as session:
            key = Authenticator(origin)
            options = await (await session.post(f"/invitation/{text}/passkey/ask")).text()
            assert (await session.post(f"/invitation/{text}/passkey", json=key.make(options))).status == 200
            yield session


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    association = found(tmp_path / "x", [AR], {}, tls=False)
    listing(association.homes[AR].config)
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(endpoint())
        given = {"VALIJA_NODE_WEB_LISTEN": "127.0.0.1:0"}
        daemon = await stack.enter_async_context(node(association.homes[AR], given))
        assert daemon.pages
        made = await daemon.pages.book.add(f"http://127.0.0.1:{place.port}/valija", None, Operator())
        yield Desk(daemon.pages, place, str(made["name"]))


async def text_of(session: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with session.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


async def post(session: aiohttp.ClientSession, path: str) -> str:
    async with session.post(path, data={}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def test_an_administrator_sees_tries_and_repeats(desk: Desk) -> None:
    one = f"/webhooks/{desk.name}"
    async with desk.visiting("ana", Role.ADMINISTRATOR) as ana:
        assert f'href="{one}"' in await text_of(ana, "/webhooks")
        assert "It was told nothing yet." in await text_of(ana, one)
        await post(ana, f"{one}/test")
        await eventually("the test", lambda: len(desk.place.bodies) == 1)

        async def answered() -> str:
            shown = await text_of(ana, one)
            return shown if "204 answered" in shown or "200 answered" in shown else ""

        shown = str(await eventually("the log", answered))
        assert "a test" in shown
        again = re.search(rf'action="({one}/notices/[0-9]+/redeliver)"', shown)
        assert again
        await post(ana, again[1])
        await eventually("it again", lambda: len(desk.place.bodies) == 2)
        assert desk.place.bodies[0] == desk.place.bodies[1]
        assert "disabled since" in await post(ana, f"{one}/disable")
        assert "by hand" in await text_of(ana, "/webhooks")
        assert "in force" in await post(ana, f"{one}/enable")
    entries = desk.parts.service.store.read(table.journal)
    told = [(entry.about, entry.detail.partition(" ")[0]) for _, entry, _ in entries if entry.act == "webhook-handled"]
    assert told == [(desk.name, each) for each in ("test", "redeliver", "disable", "enable")]


async def test_who_does_not_administer_sees_and_does_nothing(desk: Desk) -> None:
    one = f"/webhooks/{desk.name}"
    for login, role in (("luis", Role.PROSECUTOR), ("aud", Role.AUDITOR)):
        async with desk.visiting(login, role) as luis:
            assert "/webhooks" not in await text_of(luis, "/account")
            for path in ("/webhooks", one):
                await text_of(luis, path, 403)
            for path in ("test", "disable", "notices/1/redeliver"):
                async with luis.post(f"{one}/{path}", data={}) as answer:
                    assert answer.status == 403
    assert desk.place.bodies == []


async def test_what_is_not_there_is_said_so_and_an_address_is_text(desk: Desk) -> None:
    await desk.parts.book.add(HOSTILE, None, Operator())
    async with desk.visiting("ana", Role.ADMINISTRATOR) as ana:
        shown = await text_of(ana, "/webhooks")
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert(1)" in shown
        await text_of(ana, "/webhooks/whk_0000000000000000", 404)
        for path in ("/webhooks/whk_0000000000000000/test", f"/webhooks/{desk.name}/notices/99/redeliver"):
            async with ana.post(path, data={}) as answer:
                assert answer.status == 404
        # Another site's form does nothing.
        async with ana.post(f"/webhooks/{desk.name}/test", data={}, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
            assert answer.status == 403


# -- the state of the node -------------------------------------------------------------------------------
async def test_an_administrator_sees_how_the_node_is_and_what_to_do(desk: Desk) -> None:
    async with desk.visiting("ana", Role.ADMINISTRATOR) as ana:
        assert 'href="/node"' in await text_of(ana, "/people")
        shown = await text_of(ana, "/node")
        # The worst stands first: nothing has been heard of any hub.
        assert shown.index("level-problem") < shown.index("level-warning") < shown.index("level-ok")
        for each in ("none was made yet", "What to do:", "1, and none fails", "There was none."):
            assert each in shown
        service, at = desk.parts.service, int(desk.parts.now())
        about = "the hub refuses what goes to <b>co-fgn</b>"
        for code, detail in (
            ("silent_peer", "co-fgn"),
            ("recipient_suspended", about),
            ("new_incarnation", "restored"),
            ("nudge_failed", "desk central, duty: no answer in time"),
        ):
            await service.write(partial(state.alarm, at=at, code=code, detail=detail))
        (hook,) = await service.read(webhooks.all_of)
        await service.write(lambda tx: webhooks.disable(tx, hook.id, at, "gone"))
        shown = await text_of(ana, "/node")
        # Once, among what needs somebody, with the way to it.
        assert shown.count(desk.name) == 1
        assert (
            shown.index("was given up at") < shown.index('href="/webhooks">All webhooks') < shown.index("level-warning")
        )
        assert shown.index("restored from a backup") < shown.index("&lt;b&gt;co-fgn") < shown.index("has not answered")
        await ana.post("/language", data={"language": "es", "here": "/node"})
        shown = await text_of(ana, "/node")
    for each in ("Estado del nodo", "todavía no se hizo ninguna", "el relevo rechaza lo que va a", "se restauró desde",
                 "dijo que ya no existe", "oficina central, guardia: sin respuesta a tiempo"):  # fmt: skip
        assert each in shown
    # Neither sentences nor times are those of programs.
    assert not re.search(r">[^<]*(none was made|the hub refuses|restored from|\dT\d\d:)", shown)


async def test_nobody_else_sees_how_the_node_is(desk: Desk) -> None:
    for login, role in (("luis", Role.PROSECUTOR), ("caro", Role.CLERK), ("aud", Role.AUDITOR)):
        async with desk.visiting(login, role) as luis:
            assert "/node" not in await text_of(luis, "/account")
            await text_of(luis, "/node", 403)
