"""The pages for messages, over real HTTP between two nodes and a hub: what is read, written, answered, and by whom not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from node import desks, status
from node.config import Home
from node.i18n import speech
from node.people.acts import NODE
from node.people.roles import Role
from node.status import State
from node.tables import people as table
from node.tables.drafts import Draft
from node.web import folders, texts, words, writing
from node.web.parts import Parts
from node.web.render import rfc3339
from protocol.errors import UsageError
from protocol.messages.content import BodyFormat, Text
from protocol.messages.receipts import VoidReason
from tests.support.association import found
from tests.support.authenticator import Authenticator
from tests.support.hub_home import running as hub
from tests.support.node_home import connected, eventually, node, operator

AR, CO = "ar-mpf", "co-fgn"
QUIET = "br-mpf"
"""A member whose node is not there."""
HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>\x1b[31m{{7*7}}"
_ROW = re.compile(r'<a href="(/messages/[^"?]+)')


@dataclass
class Town:
    """Two services with pages, and the browsers of their people."""

    pages: dict[str, Parts]
    ports: dict[str, int]
    stack: AsyncExitStack
    homes: dict[str, Home]
    people: dict[tuple[str, str], aiohttp.ClientSession] = field(default_factory=dict)

    async def person(self, member: str, login: str, role: Role = Role.PROSECUTOR, *desks: str) -> aiohttp.ClientSession:
        """The browser of somebody who has logged in."""
        if (member, login) not in self.people:
            parts = self.pages[member]
            text = await parts.register.add(NODE, login, f"Persona {login}", role, desks or ("central",))
            headers = {"Origin": parts.site.origin, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
            session = aiohttp.ClientSession(f"http://localhost:{self.ports[member]}", headers=headers)
            await self.stack.enter_async_context(session)
            key = Authenticator(parts.site.origin)
            options = await (await session.post(f"/invitation/{text}/passkey/ask")).text()
            assert (await session.post(f"/invitation/{text}/passkey", json=key.make(options))).status == 200
            self.people[member, login] = session
        return self.people[member, login]

    def acts(self, member: str, login: str) -> list[tuple[str, str]]:
        entries = self.pages[member].service.store.read(table.journal)
        return [(entry.act, entry.about) for _, entry, _ in entries if entry.who == login]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    association = found(
        tmp_path_factory.mktemp("m") / "x", [AR, CO, QUIET], {"rfai": [AR, CO], "todos": [AR, CO, QUIET]}, tls=False
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hub(association.hub_home))
        made = Town({}, {}, stack, association.homes)
        for member in (AR, CO):
            given = {"VALIJA_NODE_WEB_LISTEN": "127.0.0.1:0"}
            daemon = await stack.enter_async_context(node(association.homes[member], given))
            assert daemon.pages
            assert daemon.web_address
            daemon.pages.outgoing.undo_seconds = 0
            made.pages[member], made.ports[member] = daemon.pages, daemon.web_address[1]
            async with operator(association.homes[member]) as socket:
                await socket.post("/api/v1/desks", json={"name": "antidrogas"})
            await connected(daemon)
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def text_of(session: aiohttp.ClientSession, path: str, **query: str) -> str:
    async with session.get(path, params=query) as answer:
        assert answer.status == 200, path
        return await answer.text()


async def draft(session: aiohttp.ClientSession, begin: str = "/compose") -> str:
    """The address of a draft begun so."""
    async with session.get(begin, allow_redirects=False) as answer:
        assert answer.status == 303
        return answer.headers["Location"]


def sends(where: str) -> str:
    """Where the form of this draft is sent."""
    return f"{where.partition('?')[0]}/send"


def form(**changes: Any) -> dict[str, Any]:
    return {
        "desk": "central", "to": CO, "type": "message", "subject": "Consulta", "body": "Se consulta.",
        "urgency": "routine", "format": "plain",
    } | changes  # fmt: skip


async def send(session: aiohttp.ClientSession, begin: str = "/compose", **changes: Any) -> None:
    where = await draft(session, begin)
    async with session.post(sends(where), data=form(**changes), allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()


async def arrived(session: aiohttp.ClientSession, subject: str, folder: str = "/inbox") -> str:
    """The address of the message with this subject, once it is in the folder."""

    async def look() -> str:
        text = await text_of(session, folder)
        for row in text.split('<li class="line')[1:]:
            if subject in row:
                return _ROW.search(row)[1]  # type: ignore[index]
        return ""

    return str(await eventually(subject, look))


# -- a message crosses -----------------------------------------------------------------------------------
async def test_a_request_is_written_read_accepted_and_proven(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, type="mla-request", subject="Legajo 4512", case_reference="4512/2026", due="2026-12-01T12:00",
               urgency="urgent", tlp="TLP:AMBER")  # fmt: skip
    address = await arrived(luis, "Legajo 4512")
    shown = await text_of(luis, address)
    assert "4512/2026" in shown
    assert "TLP:AMBER" in shown
    assert "Persona ana" in shown
    assert ("opened", address.rpartition("/")[2]) in town.acts(CO, "luis")
    async with luis.post(
        f"{address}/answer", data={"desk": "central", "action": "accepted", "note": "En curso."}
    ) as told:
        assert told.status == 200

    async def acknowledged() -> bool:
        text = await text_of(ana, address)
        return "state-acknowledged" in text and "En curso." in text

    await eventually("the receipt", acknowledged)
    receipt = await text_of(ana, f"{address}/receipt/{CO}")
    assert "ContentHandover" in receipt
    async with ana.get(f"{address}/receipt/{CO}/export") as exported:
        told_all = await exported.json()
        assert told_all["signed_by"] == CO
        assert set(told_all["proof"]) >= {"body", "salt", "manifest", "link", "place"}
        assert "attachment" in exported.headers["Content-Disposition"]


def journaled(town: Town, member: str, login: str, address: str) -> int:
    return town.acts(member, login).count(("opened", address.rpartition("/")[2]))


@pytest.mark.parametrize("how", ["reply", "forward"])
async def test_what_is_quoted_was_opened(town: Town, how: str) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, subject=f"Sin abrir {how}", body="textoreservado", tlp="TLP:AMBER", urgency="urgent")
    address = await arrived(luis, f"Sin abrir {how}")
    store = town.pages[CO].service.store

    def waits() -> int:
        return int(store.read(lambda tx: tx.one("SELECT count(*) FROM urgent"))[0])  # type: ignore[index]

    before = waits()
    where = await draft(luis, f"/compose?{how}={address.removeprefix('/messages/')}")
    assert ("textoreservado" in await text_of(luis, where)) == (how == "forward")
    assert journaled(town, CO, "luis", address) == 1
    assert waits() == before - 1
    row = next(each for each in (await text_of(luis, "/inbox")).split('<li class="line')[1:] if address in each)
    assert not row.startswith(" new")
    await text_of(luis, address)
    assert journaled(town, CO, "luis", address) == 1


async def test_reading_what_a_colleague_sent_is_journaled(town: Town) -> None:
    ana, luis, berta = await town.person(AR, "ana"), await town.person(CO, "luis"), await town.person(AR, "berta")
    await send(ana, subject="De la colega", tlp="TLP:RED")
    address = await arrived(luis, "De la colega")
    await text_of(berta, address)
    await text_of(berta, address)
    assert journaled(town, AR, "berta", address) == 1


async def test_an_answer_stands_in_the_thread_and_ends_the_waiting(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, type="consultation", subject="Pregunta unica")
    address = await arrived(luis, "Pregunta unica")
    assert address in await text_of(ana, "/waiting")
    where = await draft(luis, f"/compose?reply={address.removeprefix('/messages/')}")
    begun = await text_of(luis, where)
    assert "Re: Pregunta unica" in begun
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', begun))
    # Who is answered stands as a choice that is made, and not once more as a name typed below.
    to, others = re.findall(r'name="to" value="([^"]*)" checked', begun), filled(begun, "others")
    assert (to, others) == ([f"{AR}/central"], "")
    data = form(subject="Re: Pregunta unica", to=to[0], type="consultation") | fields
    async with luis.post(sends(where), data=data, allow_redirects=False) as answer:
        assert answer.status == 303
    back = await arrived(ana, "Re: Pregunta unica")

    async def in_thread() -> bool:
        text = await text_of(ana, back)
        return "The whole thread" in text and text.split("The whole thread")[1].count("Pregunta unica") == 2

    await eventually("the thread", in_thread)

    async def not_waiting() -> bool:
        return address not in await text_of(ana, "/waiting")

    await eventually("the end of the waiting", not_waiting)


async def test_a_member_is_written_to_from_its_page(town: Town) -> None:
    ana = await town.person(AR, "ana")
    auditor = await town.person(AR, "alba", Role.AUDITOR)
    for who, path, offered in ((ana, CO, True), (ana, AR, False), (auditor, CO, False)):
        assert (f'href="/compose?to={path}"' in await text_of(who, f"/members/{path}")) == offered
    begun = await text_of(ana, await draft(ana, f"/compose?to={CO}"))
    assert re.findall(r'name="to" value="([^"]*)" checked', begun) == [CO]
    for wrong in (AR, "nobody", "co-fgn/x", "<b>"):
        begun = await text_of(ana, await draft(ana, f"/compose?to={wrong}"))
        assert (" checked" in begun, filled(begun, "others")) == (False, "")


async def test_what_two_were_asked_waits_until_both_have_answered(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    for subject, to in (("Pregunta a dos", {"others": QUIET}), ("Pregunta a la red", {"to": "#todos"})):
        await send(ana, type="consultation", subject=subject, **to)
        address = await arrived(luis, subject)
        thread = {"in_reply_to": address.rpartition("/")[2], "thread": address.rpartition("/")[2]}
        await send(luis, to=f"{AR}/central", subject=f"De uno: {subject}", **thread)
        await arrived(ana, f"De uno: {subject}")
    waiting = await text_of(ana, "/waiting")
    assert "Pregunta a dos" in waiting
    # Of a network nobody can say who has to answer: one does.
    assert "Pregunta a la red" not in waiting


async def test_new_messages_are_counted_and_opening_them_counts_down(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, subject="Para contar")
    address = await arrived(luis, "Para contar")

    def count(text: str) -> int:
        found_count = re.search(r"<title>\((\d+)\)", text)
        return int(found_count[1]) if found_count else 0

    before = count(await text_of(luis, "/inbox"))
    assert count(await text_of(luis, address)) == before - 1
    await luis.post(f"{address}/new")
    assert count(await text_of(luis, "/inbox")) == before
    await luis.post(f"{address}/flag", data={"on": "1"})
    assert "flagged" in await text_of(luis, address)


async def flag(session: aiohttp.ClientSession, address: str, on: str = "1") -> None:
    async with session.post(f"{address}/flag", data={"on": on}) as answer:
        assert answer.status == 200


async def test_what_a_person_flagged_stands_together_newest_first(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    clara = await town.person(AR, "clara", Role.CLERK, "central", "antidrogas")
    assert "Nothing is flagged" in await text_of(clara, "/flagged")
    await send(ana, subject="Marcado enviado")
    mine = await arrived(clara, "Marcado enviado", "/sent")
    await arrived(luis, "Marcado enviado")
    await send(luis, to=AR, subject="Marcado recibido")
    await send(luis, to=f"{AR}/antidrogas", subject="Marcado aparte")
    addresses = [await arrived(clara, each) for each in ("Marcado recibido", "Marcado aparte")]
    for address in (addresses[0], mine, addresses[1]):
        await flag(clara, address)

    async def shown(**query: str) -> tuple[list[str], str]:
        text = await text_of(clara, "/flagged", **query)
        return _ROW.findall(text.partition('<section class="message"')[0]), text

    # All of this happened in one second.
    await town.pages[AR].service.write(lambda tx: tx.run("UPDATE outbox SET accepted_at = accepted_at - 60"))
    rows, _ = await shown()
    assert rows == [*addresses[::-1], mine]
    # Flags are a person's own, and each opens beside the folder that it was chosen in.
    assert rows[0] not in await text_of(ana, "/flagged")
    beside = await text_of(clara, rows[0], **{"in": "flagged"})
    assert 'href="/flagged" aria-current="page"' in beside
    monkeypatch.setattr(folders, "LINES", 2)
    first, text = await shown()
    found = re.search(r"/flagged\?before=(\d+)", text)
    assert found
    rest, text = await shown(before=found[1])
    assert (first, rest) == (rows[:2], rows[2:])
    assert "Earlier messages" not in text
    await flag(clara, addresses[0], "0")
    assert addresses[0] not in (await shown())[0]
    # A desk that is taken away takes what was flagged there along.
    await town.pages[AR].register.assign(NODE, "clara", "Persona clara", Role.CLERK, ["central"])
    assert (await shown())[0] == [mine]


async def test_news_come_by_themselves_to_whoever_may_know(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    other = await town.person(CO, "nora", Role.CLERK, "antidrogas")
    async with luis.get("/live") as mine, other.get("/live") as theirs:
        await send(ana, subject="Noticia", urgency="emergency")
        async with asyncio.timeout(30):
            # A page without lists learns at once how many are new.
            assert re.search(rb'data: {"new":\d+}', await mine.content.readuntil(b"}"))
            await theirs.content.readuntil(b"}")
            # What an earlier test sent may come first.
            await mine.content.readuntil(b'"pressing":true')
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await theirs.content.readuntil(b"data")
    # What came between the page and its stream is told too.
    begin = re.search(r'data-live="([^"]+)"', await text_of(luis, "/inbox"))
    assert begin
    await send(ana, subject="Entremedio")
    await arrived(luis, "Entremedio")
    async with luis.get(begin[1]) as mine, asyncio.timeout(30):
        await mine.content.readuntil(b"event: news")
    async with luis.get("/live", params={"after": "x"}) as refused:
        assert refused.status == 400


async def test_every_page_of_a_reader_hears_of_news(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    for path in (where, "/members", "/account", "/drafts", "/inbox"):
        text = await text_of(ana, path)
        assert 'data-stream="/live"' in text, path
        assert '<p id="news" role="status">' in text, path


async def test_a_refused_message_leads_back_to_its_draft_in_another_language(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    async with ana.post(f"{where}/send", data=form(subject="")) as answer:
        assert answer.status == 400
        assert f'name="here" value="{where}"' in await answer.text()


# -- walls -------------------------------------------------------------------------------------------------
@pytest.mark.attack("IDOR")
async def test_a_clerk_does_not_read_another_desk(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    nora = await town.person(CO, "nora", Role.CLERK, "antidrogas")
    await send(ana, subject="Solo para la central", body="palabraoculta")
    address = await arrived(luis, "Solo para la central")

    async def indexed() -> bool:
        return "Solo para la central" in await text_of(luis, "/search", q="palabraoculta")

    await eventually("the index", indexed)
    for path in (address, f"{address}/receipt/{CO}", f"{address}/receipt/{CO}/export"):
        async with nora.get(path) as answer:
            assert answer.status == 404, path
    for act, data in (
        ("answer", {"desk": "antidrogas", "action": "acknowledged"}),
        ("flag", {"on": "1"}),
        ("withdraw", {}),
    ):
        async with nora.post(f"{address}/{act}", data=data) as answer:
            assert answer.status in {403, 404}, act
    # Nor is it taken back, or said to be there, by another desk of its author's.
    apart = await town.person(AR, "aparte", Role.PROSECUTOR, "antidrogas")
    async with apart.post(f"{address}/withdraw", data={}) as answer:
        assert answer.status == 404
    assert "Solo para la central" not in await text_of(nora, "/inbox")
    assert "Solo para la central" not in await text_of(nora, "/search", q="palabraoculta")
    async with nora.get(f"/compose?reply={address.removeprefix('/messages/')}") as answer:
        assert answer.status == 404


async def test_a_clerk_decides_nothing_and_writes_nothing_formal(town: Town) -> None:
    ana, clerk = await town.person(AR, "ana"), await town.person(CO, "carlos", Role.CLERK)
    await send(ana, subject="Para decidir")
    address = await arrived(clerk, "Para decidir")
    for action in ("accepted", "declined", "needs-information"):
        async with clerk.post(f"{address}/answer", data={"desk": "central", "action": action}) as answer:
            assert answer.status == 403
    async with clerk.post(f"{address}/answer", data={"desk": "central", "action": "acknowledged"}) as answer:
        assert answer.status == 200
    where = await draft(clerk)
    async with clerk.post(sends(where), data=form(to=AR, kind="formal")) as answer:
        assert answer.status == 403


async def test_an_auditor_reads_and_changes_nothing(town: Town) -> None:
    ana, auditor = await town.person(AR, "ana"), await town.person(CO, "olga", Role.AUDITOR)
    await send(ana, subject="Para auditar")
    address = await arrived(auditor, "Para auditar")
    assert "Para auditar" in await text_of(auditor, address)
    async with auditor.post(f"{address}/answer", data={"desk": "central", "action": "acknowledged"}) as answer:
        assert answer.status == 403
    async with auditor.get("/compose") as answer:
        assert answer.status == 403


async def test_an_administrator_reads_no_mail(town: Town) -> None:
    admin = await town.person(CO, "adela", Role.ADMINISTRATOR)
    for path in ("/inbox", "/search?q=x", "/members", "/compose"):
        async with admin.get(path) as answer:
            assert answer.status == 403, path


@pytest.mark.attack("IDOR")
async def test_nobody_opens_the_draft_of_another(town: Town) -> None:
    ana, berta = await town.person(AR, "ana"), await town.person(AR, "berta")
    where = await draft(ana)
    await ana.post(where, data=form(subject="Secreto mio"))
    assert "Secreto mio" in await text_of(ana, where)
    async with berta.get(where) as answer:
        assert answer.status == 404
    for act in ("", "/send", "/drop", "/undo"):
        await berta.post(where + act, data=form(subject="Cambiado"))
    assert "Secreto mio" in await text_of(ana, where)


# -- writing -----------------------------------------------------------------------------------------------
async def test_a_draft_says_what_is_missing_and_keeps_what_was_typed(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    async with ana.post(sends(where), data=form(type="mla-request", subject="Sin referencia")) as answer:
        assert answer.status == 400
        text = await answer.text()
    assert "Case reference" in text
    assert "Sin referencia" in text
    for change in (
        {"to": ""},
        {"subject": ""},
        {"due": "mañana"},
        {"type": "conjuro"},
        {"desk": "antidrogas"},
    ):
        async with ana.post(sends(where), data=form(**change)) as answer:
            assert answer.status in {400, 403}, change


async def test_it_says_who_will_be_able_to_read_it(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    for to, expected in (
        (CO, f"Fiscalía {CO}"),
        ("#rfai", f"Fiscalía {CO}"),
        (AR, "nobody but your own service"),
        ("xx-nadie", "unknown_member"),
        ("#ninguna", "unknown_network"),
        ("a@b@c", "an address is a member"),
    ):
        async with ana.post(where, data=form(to=to)) as answer:
            readers = (await answer.text()).split('id="readers"')[1].split("</div>")[0]
            assert expected in readers, to
            assert "valija-node" not in readers


async def test_why_nobody_can_read_it_is_told_in_the_reader_s_language(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    await ana.post("/account/look", data={"language": "es", "theme": ""})
    try:
        for to, expected in (("xx-nadie", "Aquí no hay ningún miembro"), ("a", "un nombre tiene de 2 a 32 letras")):
            async with ana.post(where, data=form(to=to)) as answer:
                assert expected in (await answer.text()).split('id="readers"')[1].split("</div>")[0], to
    finally:
        await ana.post("/account/look", data={"language": "en", "theme": ""})


async def test_all_that_is_missing_is_told_at_once_with_the_way_to_it(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    empty = form(type="mla-request", to="", subject="")
    async with ana.post(sends(where), data=empty, allow_redirects=False) as answer:
        assert answer.status == 400
        text = await answer.text()
    told = text.split('role="alert" id="problem"')[1].split("</div>")[0]
    for name in ("to", "subject", "case_reference", "due"):
        assert f'href="#{name}" id="missing-{name}"' in told
        field_of = re.search(rf'<\w+ [^>]*id="{name}"[^>]*>', text)[0]  # type: ignore[index]
        assert f'aria-describedby="missing-{name}"' in field_of
        assert name == "to" or 'aria-invalid="true"' in field_of
    async with ana.post(sends(where), data=form(due="mañana")) as answer:
        text = await answer.text()
    assert re.search(r'<input id="due"[^>]* aria-invalid="true" aria-describedby="problem"', text)
    assert text.count("aria-invalid") == 1


async def test_people_are_named_as_they_are_known_wherever_a_message_goes(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, subject="Con nombres", others="#rfai, co-fgn/antidrogas")
    address = await arrived(ana, "Con nombres", "/sent")
    known = f"Fiscalía {CO} / antidrogas"
    assert known in await text_of(ana, "/sent")
    text = await text_of(ana, address)
    assert known in text
    assert f"{CO}@" not in text
    # Who can read it begins with whoever wrote it, as it does on the form.
    for who, own in ((ana, AR), (luis, CO)):
        await arrived(who, "Con nombres", "/sent" if who is ana else "/inbox")
        readers = (await text_of(who, address)).split("Who can read this")[1].split("</dd>")[0]
        assert readers.index(f"Fiscalía {AR}") < readers.index(f"Fiscalía {CO}")
        assert re.search(rf"Fiscalía {own}</span> \(your service\)", readers)
    # Its desk is offered from now on, and what the form cannot know it says.
    where = await draft(ana)
    assert f'value="{CO}/antidrogas"' in await text_of(ana, where)
    async with ana.post(where, data=form(to=f"{CO}/nunca", subject="A una que no hay")) as answer:
        text = await answer.text()
    assert "only its own node knows" in text.split('id="readers"')[1].split("</div>")[0]
    assert f'value="{CO}/nunca" checked' in text
    assert f"Fiscalía {CO} / nunca" in await text_of(ana, "/drafts")
    monkeypatch.setattr(town.pages[AR].outgoing, "undo_seconds", 3_600)
    await ana.post(sends(where), data=form(to="#rfai", others=f"{CO}/nunca"))
    assert f"Fiscalía {CO} / nunca" in await text_of(ana, f"{where}/sending")


async def test_somebody_without_a_desk_is_told_what_to_do(town: Town) -> None:
    nueva = await town.person(AR, "nueva")
    text = await text_of(nueva, "/search?q=zzzz")
    assert "Choose a message to read it here." not in text
    assert "The message that you choose from a list is shown here." in text
    register = town.pages[AR].register
    await register.assign(NODE, "nueva", "Persona nueva", Role.PROSECUTOR, [])
    where = await draft(nueva)
    for path in ("/inbox", where):
        assert "Ask your administrator for one." in await text_of(nueva, path)
    async with nueva.post(sends(where), data=form(desk="")) as answer:
        assert answer.status == 400
        assert 'href="#desk"' in await answer.text()


async def test_an_empty_inbox_names_the_next_step(town: Town) -> None:
    await town.pages[CO].service.write(lambda tx: desks.add(tx, "vacia", 1))
    town.pages[CO].service.store.read(town.pages[CO].service.desks.refresh)
    for role, may_write in ((Role.CLERK, True), (Role.AUDITOR, False)):
        sola = await town.person(CO, f"sola.{role.value}", role, "vacia")
        lines = (await text_of(sola, "/inbox")).split('id="lines"')[1].split("</section>")[0]
        assert 'href="/members"' in lines
        assert ('href="/compose"' in lines) is may_write


async def test_what_is_about_to_go_can_be_kept_back(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await town.person(AR, "ana")
    monkeypatch.setattr(town.pages[AR].outgoing, "undo_seconds", 3_600)
    where = await draft(ana)
    await ana.post(sends(where), data=form(subject="Me lo pienso"))
    assert "go on writing" in await text_of(ana, f"{where}/sending")
    await ana.post(f"{where}/undo")
    assert "Me lo pienso" in await text_of(ana, where)
    assert "Me lo pienso" not in await text_of(ana, "/sent")
    for due, is_told in (("2100-01-02T10:00", False), ("2020-01-02T10:00", True)):
        await ana.post(sends(where), data=form(subject="Me lo pienso", due=due))
        assert ("lies in the past" in await text_of(ana, f"{where}/sending")) is is_told
        await ana.post(f"{where}/undo")


async def test_what_can_be_judged_at_once_is_refused_on_the_form(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(luis, to=AR, subject="Solo para ustedes", tlp="TLP:RED")
    address = await arrived(ana, "Solo para ustedes")
    forward = f"/compose?forward={address.removeprefix('/messages/')}"
    passed = re.findall(r'name="(forward_of)" value="([^"]*)"', await text_of(ana, await draft(ana, forward)))
    for change, code in (
        ({"to": "", "others": "xx-nadie"}, "unknown_recipient"),
        ({"to": "#ninguna"}, "unknown_network"),
        ({"to": AR}, "invalid_request"),
        (dict(passed) | {"tlp": "TLP:GREEN"}, "handling_forbids"),
    ):
        where = await draft(ana)
        data = form(subject="No puede ir") | change
        async with ana.post(sends(where), data=data, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status >= 400, code
        assert f"Code for support: {code}" in text
        assert "No puede ir" in text
        assert "did not go" not in await text_of(ana, "/inbox")
        await ana.post(f"{where}/drop")


async def test_what_did_not_go_later_is_told_on_every_page_of_mail(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = await town.person(AR, "mudada")
    # Long enough for what follows on a busy machine.
    monkeypatch.setattr(town.pages[AR].outgoing, "undo_seconds", 3)
    where = await draft(moved)
    await moved.post(sends(where), data=form(subject="Ya no puede"))
    register = town.pages[AR].register
    await register.assign(NODE, "mudada", "Persona mudada", Role.PROSECUTOR, ["antidrogas"])

    async def refused() -> bool:
        return "forbidden" in await (await moved.get(where)).text()

    await eventually("the refusal", refused)
    assert "did not go" in await text_of(moved, "/drafts")
    for path in ("/inbox", "/sent", "/held", "/search?q=nada"):
        assert "1 message did not go: see your drafts." in await text_of(moved, path)
    await moved.post(f"{where}/drop")
    assert "did not go" not in await text_of(moved, "/inbox")


async def test_who_takes_it_back_too_late_is_told_and_led_to_the_message(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    await ana.post(sends(where), data=form(subject="Demasiado tarde"))
    await arrived(ana, "Demasiado tarde", "/sent")
    async with ana.post(f"{where}/undo") as answer:
        assert answer.status == 409
        text = await answer.text()
    assert "Too late" in text
    message = re.search(r'href="(/messages/[^"]+)"', text)
    assert message
    assert "Demasiado tarde" in await text_of(ana, message[1])
    # The draft's address leads there, too, and what is kept late begins nothing again.
    async with ana.get(where) as answer:
        assert answer.url.path == message[1]
    await ana.post(where, data=form(subject="Otra vez"))
    assert "Otra vez" not in await text_of(ana, "/drafts")


def chosen(text: str, name: str) -> str:
    """What is chosen in this list of the form."""
    found_value = re.search(r'value="([^"]*)" selected', text.split(f'name="{name}"')[1].split("</select>")[0])
    return found_value[1] if found_value else ""


def filled(text: str, name: str) -> str:
    """What stands in this field of the form."""
    return re.search(rf'name="{name}"[^>]* value="([^"]*)"', text)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("mla-request", "mla-response"), ("extradition-request", "message"), ("consultation", "message")],
)
async def test_an_answer_asks_for_no_act_in_turn(town: Town, asked: str, answered: str) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    subject = f"Se pide {asked}"
    await send(ana, type=asked, subject=subject, case_reference="77/2026", due="2031-12-01T12:00", urgency="emergency")
    address = await arrived(luis, subject)
    where = await draft(luis, f"/compose?reply={address.removeprefix('/messages/')}")
    text = await text_of(luis, where)
    assert (chosen(text, "type"), chosen(text, "urgency")) == (answered, "routine")
    assert (filled(text, "due"), filled(text, "case_reference")) == ("", "77/2026")
    # Nothing has to be added for it to go.
    data = form(to=AR, subject="Re", type=answered, case_reference=filled(text, "case_reference"))
    async with luis.post(sends(where), data=data, allow_redirects=False) as answer:
        assert answer.status == 303
    # Who writes again to those whom they asked answers nothing.
    again = await draft(ana, f"/compose?reply={address.removeprefix('/messages/')}")
    assert chosen(await text_of(ana, again), "type") == "message"


async def test_what_is_passed_on_is_the_same_act_with_its_fields(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, type="extradition-request", subject="Para pasar", case_reference="78/2026", due="2031-12-01T12:00",
               urgency="urgent", use_limits="Solo aqui", format="commonmark")  # fmt: skip
    address = await arrived(luis, "Para pasar")
    text = await text_of(luis, await draft(luis, f"/compose?forward={address.removeprefix('/messages/')}"))
    lists = [chosen(text, name) for name in ("type", "urgency", "format")]
    assert lists == ["extradition-request", "urgent", "commonmark"]
    assert (filled(text, "due"), filled(text, "case_reference")) == ("2031-12-01T12:00", "78/2026")
    assert "Solo aqui</textarea>" in text


async def test_nothing_is_kept_before_something_is_typed(town: Town) -> None:
    zoe = await town.person(AR, "zoe")
    where = [await draft(zoe) for _ in range(3)]
    for each in where:
        await text_of(zoe, each)
    assert "/drafts/" not in await text_of(zoe, "/drafts")
    await zoe.post(where[0], data=form(subject="Empezado"))
    assert "Empezado" in await text_of(zoe, where[0])
    assert (await text_of(zoe, "/drafts")).count("/drafts/") == 1
    await zoe.post(f"{where[0]}/drop")
    assert "/drafts/" not in await text_of(zoe, "/drafts")


async def test_what_a_handling_code_forbids_is_not_passed_on(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, subject="Bajo TLP", tlp="TLP:AMBER")
    address = await arrived(luis, "Bajo TLP")
    where = await draft(luis, f"/compose?forward={address.removeprefix('/messages/')}")
    shown = address.rpartition("/")[2]
    data = form(to=AR, forward_of=shown, tlp="TLP:CLEAR", subject="Fwd: Bajo TLP")
    async with luis.post(sends(where), data=data, allow_redirects=False) as answer:
        assert answer.status == 403
        assert "handling_forbids" in await answer.text()


# -- hostile input -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["plain", "commonmark"])
@pytest.mark.attack("XSS")
async def test_a_hostile_message_is_text_everywhere(town: Town, how: str) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    line = HOSTILE.replace("\x1b", "\u202e")
    subject = f"{line} {how}"
    body = HOSTILE + "\n\n![x](https://evil.example/p.png) [a](javascript:alert(1)) [b](https://good.example) <b>x</b>"
    await send(ana, subject=subject, body=body, case_reference=line, format=how)
    address = await arrived(luis, f"{{{{7*7}}}} {how}")
    for session, path in ((luis, "/inbox"), (luis, address), (ana, "/sent"), (ana, address)):
        text = await text_of(session, path)
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert 'src="https://evil' not in text
        assert 'href="javascript' not in text
        assert "<b>x</b>" not in text
    where = await draft(luis, f"/compose?reply={address.removeprefix('/messages/')}")
    assert "<script>alert" not in await text_of(luis, where)


@pytest.mark.parametrize(
    "path", ["/messages/ar-mpf/msg_x", "/messages/x/msg_zzz", "/messages/../../etc", "/messages/ar-mpf/msg_" + "a" * 26, "/drafts/99999999999999999999", "/drafts/web-x",
             "/drafts/-1", "/members/xx", "/messages/%00/msg_aaaa"])  # fmt: skip
async def test_what_does_not_exist_is_refused_in_words(town: Town, path: str) -> None:
    ana = await town.person(AR, "ana")
    async with ana.get(path) as answer:
        assert answer.status in ({404} if "msg_" in path else {400, 404, 422})
        text = await answer.text()
        assert "Code for support" in text
        assert "valija-node" not in text
        assert ("There is no such message" in text) == ("unknown_message" in text)


async def test_members_show_their_fingerprints(town: Town) -> None:
    ana = await town.person(AR, "ana")
    assert f"/members/{CO}" in await text_of(ana, "/members")
    text = await text_of(ana, f"/members/{CO}")
    assert re.search(r'class="spoken">([a-z]{5} ){15}[a-z]{5}<', text)
    assert "<svg" in text


# -- what was answered ---------------------------------------------------------------------------------------
async def answered(session: aiohttp.ClientSession, address: str, action: str, note: str = "", **more: str) -> int:
    data = {"desk": "central", "action": action, "note": note, **more}
    async with session.post(f"{address}/answer", data=data) as told:
        return told.status


async def test_what_a_desk_answered_shows_on_both_sides_and_is_not_contradicted_unasked(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, type="mla-request", subject="Se declina", case_reference="77/2026", due="2020-12-01T12:00")
    address = await arrived(luis, "Se declina")
    assert "overdue" in await text_of(luis, address)
    assert await answered(luis, address, "acknowledged") == 200
    assert await answered(luis, address, "declined", "Falta la firma.") == 200
    shown = await text_of(luis, address)
    assert "Falta la firma." in shown.split("What your service answered")[1]
    assert "desk declined" in (await text_of(luis, "/inbox")).split(address)[1].split("</li>")[0]
    assert "overdue" not in (await text_of(luis, "/inbox")).split(address)[1].split("</li>")[0]
    contrary = {"desk": "central", "action": "accepted", "note": "Ahora sí, con <b>firma</b>."}
    async with luis.post(f"{address}/answer", data=contrary) as answer:
        assert answer.status == 400
        text = await answer.text()
    # The note stays, beside why and the box that confirms it.
    assert "answered otherwise already" in text
    assert 'value="Ahora sí, con &lt;b&gt;firma&lt;/b&gt;."' in text
    assert 'name="otherwise"' in text
    assert await answered(luis, address, "declined", "Otra nota.") == 200

    async def told() -> bool:
        return "Otra nota." in await text_of(ana, address)

    await eventually("the answers", told)
    text = await text_of(ana, address)
    assert "desk declined" in text
    assert "took the message in hand" not in text
    assert "overdue" not in text
    assert address not in await text_of(ana, "/waiting")
    receipt = await text_of(ana, f"{address}/receipt/{CO}", answer="2")
    for expected in ("Falta la firma.", "<strong>declined</strong>", "central", "Persona luis"):
        assert expected in receipt, expected
    assert "received and taken in hand" in await text_of(ana, f"{address}/receipt/{CO}", answer="1")
    async with ana.get(f"{address}/receipt/{CO}?answer=9") as none:
        assert none.status == 404
    assert await answered(luis, address, "accepted", otherwise="1") == 200


async def test_what_a_request_came_to_ends_its_day(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, type="mla-request", subject="Se ejecuta", case_reference="78/2026", due="2020-12-01T12:00")
    address = await arrived(luis, "Se ejecuta")
    assert "overdue: due" in (await text_of(luis, "/inbox")).split(address)[1].split("</li>")[0]
    thread = {"in_reply_to": address.rpartition("/")[2], "thread": address.rpartition("/")[2]}
    await send(luis, to=f"{AR}/central", type="mla-response", subject="Hecho", case_reference="78/2026",
               matter="executed", **thread)  # fmt: skip
    await arrived(ana, "Hecho")
    for session, folder in ((luis, "/inbox"), (ana, "/sent")):

        async def settled(session: aiohttp.ClientSession = session, folder: str = folder) -> bool:
            row = (await text_of(session, folder)).split(address)[1].split("</li>")[0]
            return "overdue" not in row and ">executed<" in row

        await eventually("the end of the day", settled)


async def test_what_waits_behind_many_is_on_a_later_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await town.person(AR, "ana")
    await send(ana, type="consultation", subject="Antigua sin respuesta")
    await arrived(ana, "Antigua sin respuesta", "/waiting")
    await send(ana, subject="Nueva que no pregunta")
    await arrived(ana, "Nueva que no pregunta", "/sent")
    monkeypatch.setattr(folders, "_LOOKED_THROUGH", 1)
    first = await text_of(ana, "/waiting")
    assert "Nothing among the newest" in first
    later = re.search(r'href="(/waiting\?before=\d+)"', first)
    assert later
    assert "Antigua sin respuesta" in await text_of(ana, later[1])


async def test_search_goes_on_and_is_gone_back_to(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await town.person(AR, "ana")
    monkeypatch.setattr(folders, "LINES", 2)
    for number in range(3):
        await send(ana, subject=f"Hallazgo {number}", body="palabrarepetida & más")

    async def indexed() -> bool:
        return "More that hold these words" in await text_of(ana, "/search", q="palabrarepetida")

    await eventually("the index", indexed)
    first = await text_of(ana, "/search", q="palabrarepetida")
    later = re.search(r'href="(/search\?[^"]+)"', first.split('<ul class="list">')[1])
    assert later
    rest = await text_of(ana, later[1].replace("&amp;", "&"))
    assert ("Hallazgo 0" in rest, "Hallazgo 0" in first) == (True, False)
    assert "More that hold" not in rest
    hit = re.search(r'<a href="(/messages/[^"]+)"', rest)
    assert hit
    opened = await text_of(ana, hit[1].replace("&amp;", "&"))
    assert "Found for" in opened
    assert later[1] in opened.split('class="back"')[1].split("</p>")[0]


async def test_what_never_left_is_not_said_to_be_signed_for() -> None:
    shown = words.explained(State.WITHDRAWN, [], is_signed=False)
    assert "signed" not in shown
    assert "signed" in words.explained(State.WITHDRAWN, [], is_signed=True)


async def test_what_is_being_taken_back_says_so_and_is_not_offered_to_be(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, subject="De vuelta", type="consultation")
    address = await arrived(luis, "De vuelta")
    known = status.deliveries_of

    def closing(*given: Any) -> dict[int, list[status.Delivery]]:
        return {
            row: [
                msgspec.structs.replace(each, state=State.RELAYED, closing=VoidReason.WITHDRAWN, receipt=None)
                for each in told
            ]
            for row, told in known(*given).items()
        }

    monkeypatch.setattr(status, "deliveries_of", closing)
    shown = await text_of(ana, f"{address}?in=sent")
    assert shown.count(">being taken back</span>") >= 2
    assert "it signs that it never had the message" in shown
    assert "keeps it for the recipient" not in shown
    assert f'{address}/withdraw"' not in shown
    # Nobody is asked for an answer any more.
    assert "De vuelta" not in await text_of(ana, "/waiting")


async def test_whose_desks_change_hears_no_more_of_the_old_ones(town: Town) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    moved, register = await town.person(CO, "mudada"), town.pages[CO].register
    async with moved.get("/live") as news, asyncio.timeout(30):
        await news.content.readuntil(b"}")
        await register.assign(NODE, "mudada", "Persona mudada", Role.PROSECUTOR, ["antidrogas"])
        await send(ana, subject="Ya no es suya", urgency="urgent")
        await arrived(luis, "Ya no es suya")
        assert b"event: news" not in await news.content.read()


@pytest.mark.parametrize("due_at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_a_day_that_stands_in_no_calendar_here_is_told_all_the_same(due_at: str) -> None:
    for zone in ("America/Bogota", "Europe/Madrid", "UTC"):
        told = speech("es", zone)
        assert told.moment(rfc3339(due_at))
        assert writing._local(due_at, told)


async def test_a_date_past_the_calendar_is_named_on_the_form(town: Town) -> None:
    ana = await town.person(AR, "ana")
    where = await draft(ana)
    zone = speech("en", "America/Bogota").zone
    with pytest.raises(UsageError, match="choose a day"):
        writing._due("9999-12-31T23:59", zone)
    async with ana.post(sends(where), data=form(due="0000-01-01T00:00")) as answer:
        assert answer.status == 400
        assert "the date is none" in await answer.text()


async def test_codes_and_grades_are_told_in_words(town: Town) -> None:
    luis = await town.person(CO, "luis")
    handling = {"europol": ["H2"], "source": "B", "information": 4}
    asked = {"to": [CO], "subject": "Con códigos", "body": "x", "handling": handling}
    async with operator(town.homes[AR]) as socket:
        answer = await socket.post("/api/v1/messages", json=asked, headers={"Idempotency-Key": "codigos"})
        assert answer.status == 202, await answer.text()
    shown = await text_of(luis, await arrived(luis, "Con códigos"))
    assert "H2: Not to be passed on without permission" in shown
    assert "<dd>B4 " in shown


async def test_an_auditor_is_offered_nothing_that_is_refused(town: Town) -> None:
    auditor = await town.person(CO, "oto", Role.AUDITOR, "antidrogas")
    shown = await text_of(auditor, "/sent")
    assert 'href="/drafts"' not in shown
    assert "Nothing was sent from these desks yet." in shown
    assert 'href="/drafts"' in await text_of(await town.person(CO, "luis"), "/sent")


async def test_who_is_still_to_be_placed_is_named_as_people_know_them(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, luis = await town.person(AR, "ana"), await town.person(CO, "luis")
    await send(ana, subject="Aún aquí")
    address = await arrived(luis, "Aún aquí")
    known = status.deliveries_of

    def unplaced(*given: Any) -> dict[int, list[status.Delivery]]:
        return {row: [status.Delivery(None, State.QUEUED)] for row in known(*given)}

    monkeypatch.setattr(status, "deliveries_of", unplaced)
    shown = (await text_of(ana, address)).split("Where it stands")[1]
    assert "Fiscalía co-fgn" in shown
    assert "@aiamp" not in shown


async def test_a_text_that_would_keep_the_node_from_its_work_is_shown_as_it_was_written() -> None:
    long = "[" * (texts.MAX_READ_CHARS + 1)
    assert texts.body(Text(format=BodyFormat.COMMONMARK, text=long)) == f'<p class="plain">{long}</p>'
    assert "<em>" in texts.body(Text(format=BodyFormat.COMMONMARK, text="*a*" + " b" * 100))


async def test_what_went_stands_in_the_journal_even_if_it_was_thrown_away_meanwhile(town: Town) -> None:
    await town.person(AR, "ana")
    parts, before = town.pages[AR], town.acts(AR, "ana")
    fields = {"desk": "central", "type": "message", "subject": "Ya iba", "body": "x"}
    form_sent = writing.Typed(fields, {"to": [CO]}, "passkey").encode()
    person = parts.register.named("ana").id
    await parts.outgoing._send(Draft(0, person, f"web-{'0' * 32}", form_sent, 0, 0, None))
    (act,) = town.acts(AR, "ana")[len(before) :]
    assert act[0] == "sent"
