"""The operators' console: who gets in, what they see, what they do, and that the journal tells all of it."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pyotp
import pytest
import trustme

from hub import diagnosis, doctor
from hub.board import charts, guidance
from hub.board.app import MAX_FORM_BYTES
from hub.board.doors import Doors
from hub.board.render import delay, moment, number, runway, size
from hub.board.settings import Console, mistakes, origin
from hub.operators import Operators
from hub.rounds import Round
from hub.steering import BY_COMMAND
from hub.store import Operator
from hub.trend import Minute, Trend
from keys import passwords
from keys.journal import first_broken
from keys.levels import Level
from keys.throttle import FREE_FAILURES
from protocol.errors import ConfigError, LoginError, TooManyError
from protocol.limits import MIB
from protocol.messages.envelope import AttestationData
from protocol.session.frames import Deliver
from protocol.trust.statements import Admission
from tests.support.hub_client import connected
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.unread import REQUESTS, SECRET, ask
from tests.support.world import World

ALBA, BERTA = "ar-mpf", "br-mpf"
PASSWORD = "una frase bastante larga"
KEY = "JBSWY3DPEHPK3PXP" * 2
HOSTILE = "<script>alert(1)</script>\"'>&{{7907*7919}}"
LISTEN = '[console]\nlisten = "127.0.0.1:0"\n'
PAGES = ("/", "/members", f"/members/{ALBA}", "/refusals", "/sessions", "/journal")


@pytest.fixture(scope="module")
def world() -> World:
    return young_world()


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    passwords.nobody.cache_clear()
    monkeypatch.setattr(passwords, "_PASSES", 1)
    monkeypatch.setattr(passwords, "_MEMORY_BYTES", 8_192)
    yield
    passwords.nobody.cache_clear()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world, extra=LISTEN)) as started:
        yield started


@asynccontextmanager
async def browser(hub: Running, **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser that is at a page of the console."""
    assert hub.daemon.console is not None
    own = {"Origin": hub.daemon.console, "Sec-Fetch-Site": "same-origin"}
    given = own | {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in given.items() if value}
    async with aiohttp.ClientSession(hub.daemon.console, headers=kept) as session:
        yield session


async def add(hub: Running, login: str, role: str = "operator") -> None:
    operator = Operator(login, role, passwords.hash_password(PASSWORD), KEY)
    await Operators(hub.core).add(BY_COMMAND, operator)


def proof(login: str, at: float | None = None) -> dict[str, str]:
    code = pyotp.TOTP(KEY).at(int(time.time() if at is None else at))
    return {"login": login, "password": PASSWORD, "code": code}


@asynccontextmanager
async def visiting(hub: Running, login: str, role: str = "operator") -> AsyncIterator[aiohttp.ClientSession]:
    """A browser in which somebody new has logged in."""
    await add(hub, login, role)
    async with browser(hub) as session:
        answer = await session.post("/login", data=proof(login, hub.core.clock()), allow_redirects=False)
        assert answer.status == 303, await answer.text()
        yield session


async def text(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path) as answer:
        assert answer.status == 200, path
        return await answer.text()


async def token(session: aiohttp.ClientSession) -> str:
    found = re.search(r'name="token" value="([^"]+)"', await text(session, "/"))
    assert found
    return found[1]


async def act(session: aiohttp.ClientSession, path: str, confirm: str, **fields: str) -> int:
    """The status of the answer to a form of ours that was sent with this typed into it."""
    data = {"token": await token(session), "confirm": confirm} | fields
    async with session.post(path, data=data, allow_redirects=False) as answer:
        return answer.status


async def told(hub: Running) -> list[tuple[str, str, str]]:
    """The journal, oldest first: who, what, on what; its chain holds."""
    entries = (await hub.daemon.steering.journal(1 << 40, 1_000))[::-1]
    assert first_broken((entry, hashed) for _number, entry, hashed in entries) is None
    return [(entry.who, entry.act, entry.about) for _number, entry, _hashed in entries]


async def test_the_log_tells_the_head_of_every_entry(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []
    monkeypatch.setattr("hub.steering._log", SimpleNamespace(warning=lambda _event, head, **_more: heads.append(head)))
    async with visiting(hub, "ana") as session:
        await act(session, "/drain", "drain")
        await session.post("/login", data=proof("ana") | {"password": "wrong"})
    await Operators(hub.core).remove(BY_COMMAND, "ana")
    entries = await hub.daemon.steering.journal(1 << 40, 1_000)
    assert {"operator-added", "logged-in", "operator-removed"} <= {entry.act for _number, entry, _hashed in entries}
    assert heads == [hashed.hex() for *_rest, hashed in reversed(entries)]


# -- the door --------------------------------------------------------------------------------------------
async def test_a_stranger_sees_nothing_and_changes_nothing(hub: Running) -> None:
    async with browser(hub) as session:
        for path in (*PAGES, "/nothing", "/members/../journal"):
            async with session.get(path, allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, "/login"), path
        for path in ("/drain", "/reopen", "/logout", f"/members/{ALBA}/suspend", f"/members/{ALBA}/quota"):
            async with session.post(path, data={"confirm": "drain"}) as answer:
                assert answer.status == 403, path
    assert not hub.daemon.hall.is_draining
    assert await told(hub) == []


@pytest.mark.attack("session fixation")
async def test_password_and_code_open_the_door_once(hub: Running) -> None:
    await add(hub, "ana")
    async with browser(hub, Cookie="valija-console=" + "A" * 43) as session:
        answer = await session.post("/login", data=proof("ana") | {"login": " ANA "}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.cookies["valija-console"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert cookie.value != "A" * 43
    async with browser(hub) as another:
        # The same code opens it no second time.
        assert (await another.post("/login", data=proof("ana"))).status == 401
    assert [each[1] for each in await told(hub)] == ["operator-added", "logged-in", "login-failed"]


async def test_what_is_wrong_is_not_told(hub: Running) -> None:
    await add(hub, "ana")
    for wrong in ({"password": PASSWORD + "x"}, {"code": "000000"}, {"login": "eva"}, {"login": HOSTILE}):
        async with browser(hub) as session:
            answer = await session.post("/login", data=proof("ana") | wrong)
            shown = await answer.text()
            assert (answer.status, "login_failed" in shown) == (401, True)
            assert HOSTILE not in shown
    # A stranger's attempts do not fill the journal.
    assert [each for each in await told(hub) if each[1] == "login-failed"] == [("ana", "login-failed", "console")] * 2


@pytest.mark.attack("brute force")
async def test_guessing_is_slowed(hub: Running) -> None:
    await add(hub, "ana")
    async with browser(hub) as session:
        for _ in range(FREE_FAILURES):
            assert (await session.post("/login", data=proof("ana") | {"password": "x" * 20})).status == 401
        answer = await session.post("/login", data=proof("ana"))
        assert (answer.status, "too_many" in await answer.text()) == (429, True)
        assert 0 < int(answer.headers["Retry-After"]) < 60


async def test_an_address_is_slowed_unless_it_is_a_tunnels(hub: Running) -> None:
    doors = Doors(hub.core, Operators(hub.core), hub.daemon.steering, 60, 60)
    for address, expected in (("127.0.0.1", LoginError), ("::1", LoginError), ("192.0.2.7", TooManyError)):
        for turn in range(FREE_FAILURES):
            with pytest.raises(LoginError):
                await doors.login(f"x{turn}", PASSWORD, "000000", address)
        with pytest.raises(expected):
            await doors.login("somebody-else", PASSWORD, "000000", address)


async def test_no_crowd_takes_the_hubs_memory(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.board.doors._MAX_SESSIONS", 1)
    async with visiting(hub, "ana") as ana, visiting(hub, "bea") as bea:
        assert (await ana.get("/", allow_redirects=False)).status == 303
        assert (await bea.get("/", allow_redirects=False)).status == 200
    monkeypatch.setattr("keys.turns.Turns.is_full", True)
    async with browser(hub) as session:
        assert (await session.post("/login", data=proof("ana"))).status == 429


async def test_logging_out_ends_the_session(hub: Running) -> None:
    async with visiting(hub, "ana") as session:
        assert (await session.post("/logout", data={"token": "x"})).status == 403
        assert (
            await session.post("/logout", data={"token": await token(session)}, allow_redirects=False)
        ).status == 303
        assert (await session.get("/", allow_redirects=False)).status == 303
    assert (await told(hub))[-1] == ("ana", "logged-out", "console")


async def test_who_is_removed_is_out_at_once(hub: Running) -> None:
    async with visiting(hub, "ana") as session:
        await Operators(hub.core).remove(BY_COMMAND, "ana")
        await add(hub, "ana")
        assert (await session.get("/", allow_redirects=False)).status == 303


async def test_sessions_end(tmp_path: Path, world: World) -> None:
    at = time.time()
    home = make_home(tmp_path / "hub", world, extra=LISTEN + "idle_minutes = 10\nsession_hours = 1\n")
    async with running(home, clock=lambda: at) as hub, visiting(hub, "ana") as session:
        at += 9 * 60
        await text(session, "/")
        at += 9 * 60
        # What a page does by itself keeps no session alive.
        assert (await session.get("/", headers={"Valija-By-Itself": "1"})).status == 200
        at += 2 * 60
        assert (await session.get("/", allow_redirects=False)).status == 303
    async with running(home, clock=lambda: at) as hub, visiting(hub, "bea") as session:
        for _ in range(7):
            await text(session, "/")
            at += 9 * 60
        assert (await session.get("/", allow_redirects=False)).status == 303


# -- what stands before every page -----------------------------------------------------------------------
@pytest.mark.attack("CSRF")
async def test_no_other_site_acts(hub: Running) -> None:
    foreign: tuple[dict[str, str], ...] = (
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "", "Sec_Fetch_Site": ""},
    )
    async with visiting(hub, "ana") as own:
        sent, cookies = {"token": await token(own), "confirm": "drain"}, own.cookie_jar
        for headers in foreign:
            async with browser(hub, **headers) as session:
                session.cookie_jar.update_cookies({each.key: each.value for each in cookies})
                assert (await session.post("/drain", data=sent)).status == 403, headers
    assert not hub.daemon.hall.is_draining


@pytest.mark.attack("CSRF")
async def test_a_form_carries_the_token_of_its_session(hub: Running) -> None:
    async with visiting(hub, "ana") as ana, visiting(hub, "bea") as bea:
        for sent in ({}, {"token": ""}, {"token": await token(bea)}):
            assert (await ana.post("/drain", data={"confirm": "drain"} | sent)).status == 403
    assert not hub.daemon.hall.is_draining


async def test_under_another_name_there_is_nothing(hub: Running) -> None:
    async with browser(hub, Host="evil.example") as session:
        assert (await session.get("/login")).status == 421


async def test_every_page_is_hardened(hub: Running) -> None:
    async with visiting(hub, "ana") as session:
        for path in ("/login", "/", "/nothing", "/static/x/console.js"):
            async with session.get(path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "require-trusted-types-for 'script'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cache-Control"] == "no-store"


async def test_pages_hold_no_inline_script_or_style_and_ask_nobody_else(hub: Running) -> None:
    hub.core.trend.close_minute(int(time.time()), 1, 2)
    async with visiting(hub, "ana") as session:
        for path in PAGES:
            shown = await text(session, path)
            assert not re.search(r"<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=|javascript:", shown), path
            assert not re.search(r'(?:src|href|action)="(?!/|data:,"|#)', shown), path
        for name in ("css", "js"):
            found = re.search(rf'"(/static/[^"]+\.{name})"', shown)
            assert found
            async with session.get(found[1]) as answer:
                assert (answer.status, "immutable" in answer.headers["Cache-Control"]) == (200, True)


@pytest.mark.attack("oversized body")
async def test_a_form_too_large_or_of_another_kind(hub: Running) -> None:
    async with visiting(hub, "ana") as session:
        assert (await session.post("/drain", data={"confirm": "x" * MAX_FORM_BYTES})).status == 413
        assert (await session.post("/drain", json={"confirm": "drain"})).status == 400
        both = [("token", await token(session)), ("confirm", "drain"), ("confirm", "drain")]
        assert (await session.post("/drain", data=both)).status == 400
    assert not hub.daemon.hall.is_draining


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_no_page_can_be_made_of_is_told_on_a_page(hub: Running, name: str) -> None:
    assert hub.daemon.console is not None
    answer = await ask(("127.0.0.1", int(hub.daemon.console.rpartition(":")[2])), REQUESTS[name])
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "This did not work" in answer.body
    assert (SECRET in str(answer), "aaaa" in answer.body) == (False, False)


# -- what it shows ---------------------------------------------------------------------------------------
async def test_members_as_they_stand(hub: Running, world: World) -> None:
    async with connected(hub.url, world, BERTA) as berta:
        await berta.publish()
    async with connected(hub.url, world, ALBA) as alba, visiting(hub, "ana", "viewer") as session:
        items = [alba.envelope([BERTA]) for _ in range(3)]
        await alba.submit(*items)
        await alba.submit(alba.envelope(["es-fge"]))
        rows = {
            found[1]: re.findall(r"<td>(.*?)</td>", found[2], re.DOTALL)
            for found in re.finditer(
                r'href="/members/([^"]+)">.*?</th>(.*?)</tr>', await text(session, "/members"), re.DOTALL
            )
        }
        seen, waiting, _oldest, quota, _sent, taken, prekeys, certificate, _notes = rows[BERTA]
        assert (waiting, taken) == ("3", "0")
        assert "3 of 100000 messages" in quota
        assert (prekeys[:9], certificate[:10]) == ("14 d left", "364 d left")
        assert seen[:2] == "20"
        assert rows[ALBA][0] == "now"
        assert rows[ALBA][4] == "3"
        assert "no prekeys" in rows["co-fgn"][-1]
        shown = await text(session, "/refusals")
        assert "prekey_unknown" in shown
        assert "prekey" in re.sub(r"<[^>]+>|prekey_unknown", "", shown)
        assert ALBA in await text(session, "/sessions")
        overview = await text(session, "/")
        assert "3 items" in overview
        for path in PAGES:
            page = (await text(session, path)).encode()
            # Nothing of what passes shows: neither content nor what says which content it was.
            for item in items:
                for secret in (item.ciphertext, item.core, item.slots[0], item.id):
                    assert secret[:16] not in page
                    assert secret[:16].hex().encode() not in page
            assert b"env_" not in page


@pytest.mark.attack("XSS")
async def test_hostile_names_show_as_text(tmp_path: Path) -> None:
    world = young_world()
    home = make_home(tmp_path / "hub", world, extra=LISTEN)
    world.now = int(time.time())
    signed = world.admit("xx-mal")
    assert isinstance(signed.statement, Admission)
    hostile = replace(signed.statement, titles=(("es", HOSTILE),))
    async with running(home) as hub:
        await hub.core.publish(world.sign(hostile).raw)
        await hub.daemon.steering.record(HOSTILE, _Named(HOSTILE), HOSTILE, HOSTILE)  # type: ignore[arg-type]
        async with visiting(hub, "ana") as session:
            shown = await text(session, "/members/xx-mal")
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
            journal = await text(session, "/journal")
            assert journal.count("&lt;script&gt;alert(1)") == 4
            for page in (shown, journal):
                assert "<script>alert" not in page
                assert str(7907 * 7919) not in page
            async with session.get("/members/%3Cscript%3Ealert(1)%3C%2Fscript%3E") as answer:
                assert answer.status == 404
                assert "alert(1)" not in await answer.text()
            async with session.get("/journal?before=%3Cscript%3E") as answer:
                assert answer.status == 200
            async with session.post("/members/x%0d%0aSet-Cookie:%20a=b/suspend", allow_redirects=False) as answer:
                assert answer.status in {400, 403, 404}
                assert "Set-Cookie" not in answer.headers


class _Named:
    def __init__(self, value: str) -> None:
        self.value = value


async def test_the_journal_is_paged(hub: Running) -> None:
    for _ in range(55):
        await hub.daemon.steering.drain("ana")
        await hub.daemon.steering.reopen("ana")
    async with visiting(hub, "ana") as session:
        first = await text(session, "/journal")
        earlier = re.search(r'href="(/journal\?before=\d+)"', first)
        assert earlier
        assert re.findall(r'<th scope="row">(\d+)</th>', await text(session, earlier[1]))[0] == "62"
    assert len(await told(hub)) == 112


# -- what operators do -----------------------------------------------------------------------------------
async def test_a_viewer_looks_and_does_not_act(hub: Running) -> None:
    async with visiting(hub, "vera", "viewer") as session:
        for path, word in (("/drain", "drain"), (f"/members/{ALBA}/suspend", ALBA), (f"/members/{ALBA}/quota", ALBA)):
            assert await act(session, path, word, messages="1") == 403
        for path in PAGES:
            assert 'name="confirm"' not in await text(session, path)
    assert [each[1] for each in await told(hub)] == ["operator-added", "logged-in"]
    assert not hub.daemon.hall.is_draining
    assert (await hub.core.mailboxes([ALBA]))[ALBA].max_messages > 1


async def test_what_is_typed_wrong_changes_nothing(hub: Running) -> None:
    async with visiting(hub, "ana") as session:
        before = await hub.core.mailboxes([ALBA])
        for typed in ("", "DRAIN", "ar-mp", BERTA, f"{ALBA} x"):
            for path in ("/drain", "/reopen", f"/members/{ALBA}/suspend", f"/members/{ALBA}/quota"):
                assert await act(session, path, typed, messages="7") == 400
        assert await hub.core.mailboxes([ALBA]) == before
    assert len(await told(hub)) == 2
    assert not hub.daemon.hall.is_draining


async def test_suspended_delivery_waits_and_resumed_goes_on(hub: Running, world: World) -> None:
    async with visiting(hub, "ana") as session, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0)
        assert await act(session, f"/members/{BERTA}/suspend", BERTA) == 303
        async with connected(hub.url, world, ALBA) as alba:
            items = [alba.envelope([BERTA]) for _ in range(3)]
            results = await alba.submit(*items)
            assert [each.code for each in results] == [None] * 3
            # Asking again, and asking for something else, brings nothing either: what came so far is all that came.
            await berta.acknowledge(0)
            await berta.publish()
        assert not [each for each in berta.others if isinstance(each, Deliver)]
        assert (await hub.core.mailboxes([BERTA]))[BERTA].messages == 3
        assert "delivery suspended" in await text(session, "/members")
        assert await act(session, f"/members/{BERTA}/resume", BERTA) == 303
        assert [each.core for each in await berta.deliveries(3)] == [each.core for each in items]
    assert [each[1:] for each in await told(hub)][-2:] == [("delivery-suspended", BERTA), ("delivery-resumed", BERTA)]


async def test_suspension_meets_who_connects_later_and_outlives_a_restart(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, extra=LISTEN)
    async with running(home) as hub, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        async with connected(hub.url, world, ALBA) as alba:
            await alba.submit(alba.envelope([BERTA]))
        await hub.daemon.steering.suspend("ana", BERTA)
    async with running(home) as hub, connected(hub.url, world, BERTA) as berta:
        await berta.acknowledge(0)
        await berta.publish()
        assert not [each for each in berta.others if isinstance(each, Deliver)]
        await hub.daemon.steering.resume("ana", BERTA)
        assert len(await berta.deliveries(1)) == 1


async def test_a_quota_refuses_and_survives_a_restart(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, extra=LISTEN)
    async with running(home) as hub, visiting(hub, "ana") as session, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        assert await act(session, f"/members/{BERTA}/quota", BERTA, messages="1", mib="") == 303
        for bad in ({"messages": "0"}, {"messages": "-1"}, {"mib": "1"}, {"mib": "9" * 15}, {"messages": "viele"}):
            assert await act(session, f"/members/{BERTA}/quota", BERTA, **bad) == 400
        assert "0 of 1" in await text(session, f"/members/{BERTA}")
        async with connected(hub.url, world, ALBA) as alba:
            first, second = await alba.submit(alba.envelope([BERTA]), alba.envelope([BERTA]))
            assert [_result(each) for each in (first, second)] == ["accepted", "mailbox_full"]
    async with running(home) as hub, connected(hub.url, world, ALBA) as alba:
        (again,) = await alba.submit(alba.envelope([BERTA]))
        assert _result(again) == "mailbox_full"
        await hub.daemon.steering.set_quota("ana", BERTA, None, None)
        (more,) = await alba.submit(alba.envelope([BERTA]))
        assert _result(more) == "accepted"
        entries = [each for each in await told(hub) if each[1] == "quota-changed"]
        assert len(entries) == 2


def _result(item: Any) -> str:

    assert item.code is None
    return str(AttestationData.from_bytes(item.attestations[0].data).result)


async def test_a_drained_hub_lets_nobody_in_until_it_is_reopened(hub: Running, world: World) -> None:
    async with visiting(hub, "ana") as session:
        async with connected(hub.url, world, ALBA) as alba:
            assert await act(session, "/drain", "drain") == 303
            assert (await alba.ended()).code == "draining"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(hub.url, world, ALBA):
                raise AssertionError
        assert refused.value.status == 503
        assert "draining" in await text(session, "/")
        assert await act(session, "/drain", "drain") == 303
        assert await act(session, "/reopen", "reopen") == 303
        async with connected(hub.url, world, ALBA):
            pass
    assert [each[1] for each in await told(hub)][-2:] == ["drained", "reopened"]


async def test_the_doctor_sees_a_journal_that_was_changed(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, extra=LISTEN)
    async with running(home) as hub:
        for login in ("ana", "bea", "eva"):
            await add(hub, login)

    async def found(head: str = "") -> diagnosis.Row:
        rows = await asyncio.to_thread(doctor.examine, home, {}, journal_head=head)
        return next(each for each in rows if each.name == "journal")

    well = await found()
    assert (well.level, well.found[:9]) == (Level.OK, "3 kept, e")
    newest = well.found.rpartition(" ")[2]
    assert (len(newest), (await found(newest)).level) == (64, Level.OK)
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("DELETE FROM journal WHERE number = 3")
        connection.commit()
    # Its end is gone: only a head that was noted elsewhere tells.
    assert ((await found()).level, (await found(newest)).level) == (Level.OK, Level.PROBLEM)
    for change in ("UPDATE journal SET who = 'nobody' WHERE number = 2", "DELETE FROM journal WHERE number = 1"):
        with closing(sqlite3.connect(home.database)) as connection:
            connection.execute(change)
            connection.commit()
        ill = await found()
        assert ill.level is Level.PROBLEM
    assert "entry 1 " in ill.found


# -- settings --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("console", "words"),
    [
        (Console(), []),
        (Console(listen="127.0.0.1:8442"), []),
        (Console(listen="[::1]:0", public_origin="http://localhost:8442"), []),
        (Console(listen="8442"), ["no host:port"]),
        (Console(listen="a@b:1"), ["no host:port"]),
        (Console(listen="a:99999999"), ["no host:port"]),
        (Console(listen="0.0.0.0:8442"), ["tls_certificate", "public_origin"]),
        (Console(listen="hub.example:1", tls_certificate="c", tls_key="k", public_origin="https://hub.example:1"), []),
        (Console(tls_certificate="c"), ["belong together"]),
        (Console(public_origin="http://hub.example"), ["https alone"]),
        (Console(public_origin="https://hub.example/path"), ["no origin"]),
        (Console(public_origin="https://hub.example#part"), ["no origin"]),
        (Console(public_origin="http://[x"), ["no origin"]),
        (Console(idle_minutes=0), ["idle_minutes"]),
        (Console(session_hours=25), ["session_hours"]),
    ],
)
def test_settings(console: Console, words: list[str]) -> None:
    found = mistakes(console)
    assert len(found) == len(words)
    assert all(word in each for word, each in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://Hub.example.org:443/", "https://hub.example.org"),
        ("https://hub.example.org:8442", "https://hub.example.org:8442"),
        ("http://localhost:80", "http://localhost"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]"),
        ("", "http://localhost:8442"),
    ],
)
def test_the_origin_is_as_browsers_write_it(written: str, expected: str) -> None:
    assert origin(Console(public_origin=written), 8442) == expected


async def test_a_console_over_tls(tmp_path: Path, world: World) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    files = f'tls_certificate = "{tmp_path}/certificate.pem"\ntls_key = "{tmp_path}/key.pem"\n'
    async with running(make_home(tmp_path / "hub", world, extra=LISTEN + files)) as hub:
        assert (hub.daemon.console or "").startswith("https://localhost:")
        await add(hub, "ana")
        hub.daemon.reload()
        async with browser(hub) as session:
            answer = await session.post("/login", data=proof("ana"), allow_redirects=False, ssl=_trusting(authority))
            assert answer.status == 303
            assert answer.cookies["__Host-valija-console"]["secure"]
            assert "max-age" in answer.headers["Strict-Transport-Security"]


def _trusting(authority: trustme.CA) -> Any:

    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls_files_that_do_not_serve(tmp_path: Path, world: World) -> None:
    files = 'tls_certificate = "nowhere.pem"\ntls_key = "nowhere.pem"\n'
    with pytest.raises(ConfigError, match=r"console\.tls_certificate"):
        async with running(make_home(tmp_path / "hub", world, extra=LISTEN + files)):
            raise AssertionError


async def test_a_port_of_the_console_that_is_taken(tmp_path: Path, world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home = make_home(tmp_path / "hub", world, extra=f'[console]\nlisten = "127.0.0.1:{port}"\n')
        with pytest.raises(ConfigError, match=f"port {port}"):
            async with running(home):
                raise AssertionError


# -- charts and words ------------------------------------------------------------------------------------
def minute(at: int, accepted: int, median: float | None = None) -> Minute:
    return Minute(at, accepted, accepted, 0, {}, 2, 5, median, median)


def test_charts_draw_the_day_and_say_it_in_rows() -> None:
    now = 1_800_000_000 // 3_600 * 3_600
    minutes = [minute(now - 25 * 3_600, 1_000), minute(now - 7_200, 4), minute(now - 7_140, 2, 0.5), minute(now, 10)]
    slots, delays, waiting, sessions = charts.day(minutes, now)
    assert (slots.top, delays.top, waiting.top, sessions.top) == ("10", "500 ms", "5", "2")
    assert [at for at, _values in slots.rows] == [now - 3_600, now - 7_200, now - 10_800]
    assert slots.rows[0][1] == ("10", "10")
    assert delays.rows[0][1] == ("-", "-")
    # Where nothing was delivered the line is broken; a lone point is a stroke.
    assert len(delays.lines[0].pieces) == 1
    first, again = delays.lines[0].pieces[0].split()
    assert first == again
    for chart in (slots, delays, waiting, sessions):
        for line in chart.lines:
            for point in " ".join(line.pieces).split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= charts.WIDTH
                assert 0 <= y <= charts.HEIGHT


def test_charts_of_nothing() -> None:
    assert [chart.rows for chart in charts.day([], 0)] == [()] * 4


def test_numbers_as_they_are_read() -> None:
    assert [size(each) for each in (5, 2_048, 3 * MIB, 5 << 30)] == ["5 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"]
    assert [delay(each) for each in (None, 0.0421, 2.5, 120.0)] == ["-", "42 ms", "2.5 s", "2 min"]
    assert [moment(each) for each in (0, 1 << 60)] == ["1970-01-01 00:00", f"{1 << 60} seconds, past the year 9999"]
    assert [runway(90_000, 0), runway(60, 90)] == ["1 d left, until 1970-01-02 01:00", "over, until 1970-01-01 00:01"]
    assert [number(each) for each in (3.0, 0.25, 12.7)] == ["3", "0.2", "13"]


def test_what_needs_a_look() -> None:
    well = {
        "in_standing": True,
        "suspended": False,
        "queued": 0,
        "oldest_seconds": 0,
        "queued_bytes": 0,
        "fullness": 0.79,
        "prekeys_until": 10**9,
        "certificate_not_after": 10**9,
    }
    assert list(guidance.of_member(well, 0)) == []
    assert list(guidance.of_member(well | {"in_standing": False}, 0)) == ["not in standing"]
    late = well | {"suspended": True, "fullness": 0.8, "queued": 1, "oldest_seconds": 7_200, "prekeys_until": 5}
    found = list(guidance.of_member(late | {"certificate_not_after": 100}, 6))
    assert [each.split()[0] for each in found] == ["delivery", "mailbox", "oldest", "prekeys", "certificate"]
    hub = {"now": 0, "draining": True, "certificate_not_after": 1, "charter_expires_at": 1}
    assert len(list(guidance.of_hub(hub, 0, "never made"))) == 5
    well_hub = {"now": 0, "draining": False, "certificate_not_after": 10**9, "charter_expires_at": 10**9}
    assert list(guidance.of_hub(well_hub, 1 << 40, "")) == []


async def test_minutes_are_counted_by_the_running_hub_and_kept(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.chores._MINUTE", 0.01)
    closed, close = asyncio.Event(), hub.core.close_minute

    async def closing_minute(present: Collection[str]) -> None:
        await close(present)
        closed.set()

    monkeypatch.setattr(hub.core, "close_minute", closing_minute)
    hub.core.last_seen["alba"] = 7
    sampling = asyncio.create_task(hub.daemon._chores.sample(["berta", "carla"]))

    def kept(round_: Round) -> tuple[list[bytes], dict[str, int]]:
        return round_.group.tx.minutes(), round_.group.tx.presence()

    async with asyncio.timeout(20):
        await closed.wait()
    sampling.cancel()
    minutes, seen = await hub.core.writer.run(kept)
    # A hub that is started again begins with what this one kept.
    begun = Trend()
    begun.restore(minutes[:1])
    assert begun.minutes[0] == hub.core.trend.minutes[0]
    assert (begun.minutes[0].sessions, begun.minutes[0].waiting) == (2, 0)
    assert (seen["alba"], set(seen)) == (7, {"alba", "berta", "carla"})
    assert hub.daemon.hall.last_seen["berta"] >= seen["berta"] > 7
