"""The pages before and behind the door, over real HTTP: who gets in, what a foreign page can do, what everybody sees."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp
import pyotp
import pytest
import pytest_asyncio

from keys import passwords
from keys.throttle import Throttle
from node.config import Home
from node.i18n import LANGUAGES
from node.people import register
from node.people.acts import NODE, Act
from node.people.roles import DENIED, Power, Role
from node.tables import people as table
from node.web import pages_live, settings, words
from node.web.app import MAX_FORM_BYTES
from node.web.parts import Parts
from protocol.errors import UsageError
from tests.support.association import found
from tests.support.authenticator import Authenticator
from tests.support.node_home import node, operator
from tests.support.unread import REQUESTS, SECRET, ask

PASSWORD = "una frase bastante larga"
HOSTILE = "<script>alert(1)</script>\"'>&\x1b[31m{{7907*7919}}"


@dataclass
class Pages:
    """The pages of one node as a browser reaches them."""

    parts: Parts
    port: int
    home: Home
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.parts.site.origin

    @asynccontextmanager
    async def browser(self, **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
        given = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"} | headers
        kept = {name: value for name, value in given.items() if value}
        async with aiohttp.ClientSession(f"http://localhost:{self.port}", headers=kept) as session:
            yield session

    async def invite(self, login: str, role: Role = Role.PROSECUTOR, name: str = "Ana Pérez") -> str:
        return await self.parts.register.add(NODE, login, name, role, ["central"])

    @asynccontextmanager
    async def visiting(
        self, login: str, role: Role, name: str = "Ana Pérez", key: Authenticator | None = None
    ) -> AsyncIterator[aiohttp.ClientSession]:
        """A browser in which somebody new has logged in with a passkey."""
        text = await self.invite(login, role, name)
        async with self.browser() as session:
            key = key or Authenticator(self.origin)
            options = await (await session.post(f"/invitation/{text}/passkey/ask")).text()
            answer = await session.post(f"/invitation/{text}/passkey?label=llave", json=key.make(options))
            assert answer.status == 200, await answer.text()
            yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pages]:
    association = found(tmp_path_factory.mktemp("w") / "x", ["ar-mpf"], {}, tls=False)
    before = passwords._PASSES, passwords._MEMORY_BYTES
    passwords._PASSES, passwords._MEMORY_BYTES = 1, 8_192  # type: ignore[misc]
    async with AsyncExitStack() as stack:
        given = {"VALIJA_NODE_WEB_LISTEN": "127.0.0.1:0"}
        daemon = await stack.enter_async_context(node(association.homes["ar-mpf"], given))
        assert daemon.pages
        assert daemon.web_address
        yield Pages(daemon.pages, daemon.web_address[1], association.homes["ar-mpf"])
    passwords._PASSES, passwords._MEMORY_BYTES = before  # type: ignore[misc]


pytestmark = pytest.mark.asyncio(loop_scope="module")


# -- the door --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/account", "/people", "/journal", "/people/nadie", "/nothing"])
async def test_a_stranger_is_sent_to_the_door(pages: Pages, path: str) -> None:
    async with pages.browser() as session, session.get(path, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/login?next=")


async def test_what_a_page_asks_by_itself_after_its_session_is_told_so(pages: Pages) -> None:
    async with pages.browser() as session:
        for path, headers in (("/live", {}), ("/inbox", {"Valija-By-Itself": "1"})):
            async with session.get(path, headers=headers, allow_redirects=False) as answer:
                assert answer.status == 401, path


@pytest.mark.parametrize("path", ["/logout", "/account/codes", "/people", "/people/ana/disable", "/account/look"])
async def test_a_stranger_changes_nothing(pages: Pages, path: str) -> None:
    async with pages.browser() as session, session.post(path, data={"a": "b"}) as answer:
        assert answer.status == 401
        text = await answer.text()
    # It is no matter of roles: the session has ended, and here is where to log in.
    assert "Your session has ended" in text
    assert 'href="/login"' in text
    assert "forbidden" not in text


async def test_what_answers_a_form_once_is_not_left_by_changing_the_language(pages: Pages) -> None:
    switch = 'action="/language"'
    async with pages.visiting("unica", Role.ADMINISTRATOR) as session:
        for path, data in (
            ("/account/codes", {}),
            ("/people", {"login": "otra", "name": "Otra", "role": "clerk"}),
            ("/people/otra/invite", {}),
            ("/people", {"login": "otra", "name": "Otra", "role": "clerk"}),
        ):
            async with session.post(path, data=data) as answer:
                assert switch not in await answer.text(), path
        assert switch in await (await session.get("/people")).text()


async def test_somebody_invited_chooses_a_password_and_comes_back(pages: Pages) -> None:
    text = await pages.invite("clara")
    async with pages.browser() as session:
        shown = await (await session.get(f"/invitation/{text}")).text()
        secret = key_of(shown)
        form = {"totp": secret, "password": PASSWORD, "again": PASSWORD + "x", "code": pyotp.TOTP(secret).now()}
        differ = await session.post(f"/invitation/{text}", data=form)
        assert differ.status == 400
        assert "the two passwords differ" in await differ.text()
        told = await (await session.post(f"/invitation/{text}", data=form | {"again": PASSWORD})).text()
        codes = re.findall(r"<code>([A-Z2-7-]{19})</code>", told)
        assert len(codes) == passwords.RECOVERY_CODES
        account = await (await session.get("/account")).text()
        assert "password and a code" in account
        await session.post("/logout")
        assert (await session.get("/account", allow_redirects=False)).status == 303
        wrong = await session.post("/login", data={"login": "clara", "password": PASSWORD, "code": "000000"})
        assert wrong.status == 401
        assert "login_failed" in await wrong.text()
        back = await session.post("/login/recovery", data={"login": "CLARA ", "code": codes[0]}, allow_redirects=False)
        assert (back.status, back.headers["Location"]) == (303, "/account")
        assert "came in with a recovery code" in await (await session.get("/account")).text()


def key_of(shown: str) -> str:
    """The key for an authenticator that this page offers."""
    return re.search(r'name="totp" value="([A-Z2-7]+)"', shown)[1]  # type: ignore[index]


async def test_a_key_that_was_scanned_stays_good_in_another_language(pages: Pages) -> None:
    where = f"/invitation/{await pages.invite('lengua')}"
    async with pages.browser() as session, pages.browser() as other:
        secret = key_of(await (await session.get(where)).text())
        await session.post("/language", data={"language": "es", "here": where})
        shown = await (await session.get(where)).text()
        assert "Bienvenid" in shown
        assert key_of(shown) == secret
        # Whoever else has the address learns nothing of it, and no key is taken from a cookie of others' making.
        assert key_of(await (await other.get(where)).text()) != secret
        for forged in (secret, f"{secret}.", f"{secret}.{'0' * 64}", "ñ.ñ", "A" * 32):
            shown = await (await other.get(where, headers={"Cookie": f"valija_key={quote(forged)}"})).text()
            assert key_of(shown) not in {secret, "A" * 32}
        form = {"totp": secret, "password": PASSWORD, "again": PASSWORD, "code": pyotp.TOTP(secret).now()}
        welcomed = await session.post(where, data=form)
        assert welcomed.status == 200
        # No browser keeps it once it is in use.
        forgotten = welcomed.cookies["valija_key"]
        assert (forgotten["max-age"], forgotten["path"]) == ("0", where)
        # The language chosen before the door is spoken behind it, and after the next login.
        assert '<html lang="es"' in await (await session.get("/account")).text()
        assert pages.parts.register.named("lengua").language == "es"


@pytest.mark.parametrize("key", ["", "a", "A", "ñ" * 32, "A" * 5_000, "1" * 32])
async def test_a_key_that_no_page_offered_is_refused(pages: Pages, key: str) -> None:
    where = f"/invitation/{await pages.invite(f'clave{abs(hash(key)) % 10**8}')}"
    form = {"totp": key, "password": PASSWORD, "again": PASSWORD, "code": "000000"}
    async with pages.browser() as session:
        for again in (PASSWORD, "otra"):
            async with session.post(where, data=form | {"again": again}) as answer:
                assert answer.status == 400
                assert "invalid_request" in await answer.text()


async def test_whoever_lost_the_authenticator_sets_a_new_one(pages: Pages) -> None:
    where = f"/invitation/{await pages.invite('perdida')}"
    async with pages.browser() as session:
        secret = key_of(await (await session.get(where)).text())
        form = {"totp": secret, "password": PASSWORD, "again": PASSWORD, "code": pyotp.TOTP(secret).now()}
        codes = re.findall(r"<code>([A-Z2-7-]{19})</code>", await (await session.post(where, data=form)).text())
        await session.post("/logout")
        await session.post("/login/recovery", data={"login": "perdida", "code": codes[0]})
        assert 'href="/account/password"' in await (await session.get("/account")).text()
        fresh = key_of(await (await session.get("/account/password")).text())
        renewed = {"totp": fresh, "password": PASSWORD, "again": PASSWORD, "code": pyotp.TOTP(fresh).now()}
        differ = await session.post("/account/password", data=renewed | {"again": "otra"})
        assert (differ.status, key_of(await differ.text())) == (400, fresh)
        done = await session.post("/account/password", data=renewed, allow_redirects=False)
        assert (done.status, done.headers["Location"]) == (303, "/account")


WAYS_IN = (
    ("GET", "/account/password", "/account/password"),
    ("POST", "/account/password", "/account/password"),
    ("POST", "/account/codes", "/account"),
    ("POST", "/account/passkey/ask", "/account"),
    ("POST", "/account/passkey", "/account"),
    ("POST", "/account/passkey/remove", "/account"),
    ("POST", "/people/sentada/invite", "/people/sentada"),
    ("POST", "/people/sentada/enable", "/people/sentada"),
    ("POST", "/people/sentada", "/people/sentada"),
    ("POST", "/people", "/people"),
)


async def test_an_open_browser_alone_changes_nothing_of_who_gets_in(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, store = Authenticator(pages.origin), pages.parts.service.store
    async with pages.visiting("sentada", Role.ADMINISTRATOR, key=key) as session:
        person = pages.parts.register.named("sentada").id

        def ways_in() -> object:
            of_person = [
                f"SELECT * FROM {each} WHERE person = ?"  # noqa: S608
                for each in ("passkey", "recovery_code", "invitation")
            ]
            return store.read(lambda tx: [tx.all(sql, (person,)) for sql in of_person])

        before = ways_in()
        monkeypatch.setattr(register, "FRESH_SECONDS", 0)
        for method, path, after in WAYS_IN:
            sent = {"name": "otro"} if path.startswith("/people") else None
            async with session.request(method, path, data=sent, allow_redirects=False) as answer:
                asked = f"/login?again=1&next={after}"
                assert (answer.status, answer.headers.get("Location")) == (303, asked), path
        for path in ("/people", "/people/sentada"):
            # Nobody types what would be refused.
            shown = await (await session.get(path)).text()
            assert 'href="/login?again=1&amp;next=/people' in shown
            assert 'name="role"' not in shown
        assert ways_in() == before
        # They are told why, prove it, come back, and the session of before is over.
        shown = await (await session.get("/login?again=1&next=%2Faccount")).text()
        assert "You logged in over ten minutes ago" in shown
        assert 'data-next="/account"' in shown
        tried = {"login": "sentada", "password": PASSWORD, "code": "000000", "next": "/account", "again": "1"}
        async with session.post("/login", data=tried) as answer:
            assert answer.status == 401
            assert "You logged in over ten minutes ago" in await answer.text()
        monkeypatch.undo()
        options = await (await session.post("/login/passkey/ask")).text()
        assert (await session.post("/login/passkey", json=key.prove(options))).status == 204
        assert len(store.read(lambda tx: table.sessions(tx, person))) == 1
        assert (await session.post("/account/codes", allow_redirects=False)).status == 200
        assert ways_in() != before


async def test_who_guesses_is_told_how_long_to_wait(pages: Pages) -> None:
    form = {"login": "nadie.nunca", "password": "x", "code": "0"}
    async with pages.browser() as session:
        answers = [await session.post("/login", data=form) for _attempt in range(7)]
    slowed = [each for each in answers if each.status == 429]
    assert slowed
    assert all(int(each.headers["Retry-After"]) >= 1 for each in slowed)
    pages.parts.doors._throttle = Throttle()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox, Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36", "Chrome, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1", "Safari, iOS"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1.15", "Safari, macOS"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36", "Chrome, Android"),
        ("curl/8", "curl/8"),
        ("", "?"),
    ],
)  # fmt: skip
async def test_a_browser_is_called_as_people_call_it(agent: str, name: str) -> None:
    assert words.browser(agent) == name


async def test_a_passkey_opens_the_door(pages: Pages) -> None:
    text, key = await pages.invite("berta"), Authenticator(pages.origin)
    async with pages.browser() as session:
        options = await (await session.post(f"/invitation/{text}/passkey/ask")).text()
        made = await session.post(f"/invitation/{text}/passkey?label={'x' * 300}", json=key.make(options))
        assert made.status == 200
        await session.post("/logout")
        options = await (await session.post("/login/passkey/ask")).text()
        assert (await session.post("/login/passkey", json=key.prove(options))).status == 204
        assert (await session.get("/account", allow_redirects=False)).status == 200


@pytest.mark.attack("session fixation")
async def test_a_session_begins_with_a_fresh_cookie(pages: Pages) -> None:
    # Fixation: what a browser brings is never what it has afterwards.
    planted = "A" * 43
    async with pages.browser(Cookie=f"valija={planted}") as session:
        text, key = await pages.invite("fija"), Authenticator(pages.origin)
        options = await (await session.post(f"/invitation/{text}/passkey/ask")).text()
        answer = await session.post(f"/invitation/{text}/passkey", json=key.make(options))
        cookie = answer.cookies["valija"]
        assert cookie.value != planted
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    async with pages.browser(Cookie=f"valija={planted}") as session:
        assert (await session.get("/account", allow_redirects=False)).status == 303


async def test_of_too_many_streams_of_one_person_the_oldest_ends(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_live, "MAX_STREAMS", 2)
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        mine = await stack.enter_async_context(pages.visiting("oyente", Role.PROSECUTOR))
        other = await stack.enter_async_context(pages.visiting("otro", Role.CLERK))
        opened = [await stack.enter_async_context(each.get("/live")) for each in (other, mine, mine, mine)]
        for each in opened:
            await each.content.readuntil(b"\r\n\r\n")
        theirs, oldest, *newer = opened
        assert await oldest.content.read() == b""
        assert not any(each.content.at_eof() for each in (theirs, *newer))
    counted = pages.parts.streams
    async with asyncio.timeout(10):
        while any(counted.values()):  # noqa: ASYNC110 - a server learns late that a browser has left
            await asyncio.sleep(0.01)


# -- foreign pages ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "", "Sec-Fetch-Site": "same-site"},
        {"Origin": "", "Sec-Fetch-Site": "none"},
        {"Origin": "", "Sec-Fetch-Site": ""},
    ],
)
@pytest.mark.attack("CSRF")
async def test_a_page_of_another_site_changes_nothing(pages: Pages, headers: dict[str, str]) -> None:
    async with pages.visiting(f"csrf{abs(hash(str(headers))) % 10**8}", Role.PROSECUTOR) as session:
        sent = {name: value for name, value in (dict(session.headers) | headers).items() if value}
        cookie = {each.key: each.value for each in session.cookie_jar}
        url = f"http://localhost:{pages.port}/account/codes"
        async with aiohttp.ClientSession(cookies=cookie) as foreign, foreign.post(url, headers=sent) as answer:
            assert answer.status == 403
            assert "page of another site" in await answer.text()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", "localhost:1", ""])
async def test_under_another_name_there_is_nothing(pages: Pages, host: str) -> None:
    async with pages.browser(Host=host or "x") as session, session.get("/login") as answer:
        assert answer.status == 421


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y"]
)
@pytest.mark.attack("header injection")
async def test_the_door_leads_to_this_site_alone(pages: Pages, after: str) -> None:
    async with pages.visiting(f"next{abs(hash(after)) % 10**8}", Role.PROSECUTOR) as session:
        answer = await session.get("/login", params={"next": after}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_every_answer_is_hardened(pages: Pages) -> None:
    async with pages.browser() as session:
        for path in ("/login", "/account", "/nothing", "/static/x/y", "/invitation/none"):
            async with session.get(path, allow_redirects=False) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "same-origin"


async def test_pages_hold_no_script_of_their_own_and_nothing_from_elsewhere(pages: Pages) -> None:
    async with pages.visiting("hilda", Role.ADMINISTRATOR) as session:
        for path in ("/login", "/account", "/people", "/people/hilda", "/webhooks", "/node", "/journal"):
            text = await (await session.get(path)).text()
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text), path
            for address in re.findall(r'(?:src|href|action)="([^"]+)"', text):
                assert address.startswith(("/", "#")), address


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/x/valija.css", "/static/%2e%2e/%2e%2e/app.py", "/static/x/..%2fapp.py", "/static/"],
)
@pytest.mark.attack("path traversal")
async def test_files_beside_the_served_ones_are_not_there(pages: Pages, path: str) -> None:
    async with pages.browser() as session, session.get(path, allow_redirects=False) as answer:
        assert answer.status in {303, 404}


async def test_what_pages_load_is_there(pages: Pages) -> None:
    async with pages.browser() as session:
        text = await (await session.get("/login")).text()
        loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
        assert len(loaded) >= 4
        style = next(each for each in loaded if each.endswith("valija.css"))
        fonts = re.findall(r'url\("([^"]+)"\)', await (await session.get(style)).text())
        assert len(fonts) == 2
        for path in [*loaded, *fonts]:
            async with session.get(path) as answer:
                assert answer.status == 200
                assert "immutable" in answer.headers["Cache-Control"]


# -- hostile input ---------------------------------------------------------------------------------------
@pytest.mark.attack("XSS")
async def test_a_hostile_name_is_text_everywhere(pages: Pages) -> None:
    with pytest.raises(UsageError, match="no line break and no other control character"):
        await pages.invite("malo", Role.CLERK, HOSTILE)
    await pages.invite("malo", Role.CLERK, HOSTILE.replace("\x1b", "\u202e"))
    async with pages.visiting("inge", Role.ADMINISTRATOR) as session:
        for path in ("/people", "/people/malo", "/journal"):
            text = await (await session.get(path)).text()
            assert "<script>alert" not in text
            assert str(7907 * 7919) not in text


@pytest.mark.attack("oversized body")
async def test_an_oversized_form_is_refused(pages: Pages) -> None:
    form = io.BytesIO(b"login=" + b"x" * MAX_FORM_BYTES)
    async with pages.browser(**{"Content-Type": "application/x-www-form-urlencoded"}) as session:
        answer = await session.post("/login", data=form)
        assert answer.status == 413
        assert "limit_exceeded" in await answer.text()


@pytest.mark.parametrize("body", [b"login=%ff%fe&password=x", b"login=a&login=b", b"\xff\xfe=\xff", b""])
async def test_a_form_that_is_none_is_refused(pages: Pages, body: bytes) -> None:
    async with pages.browser(**{"Content-Type": "application/x-www-form-urlencoded"}) as session:
        assert (await session.post("/login", data=body)).status in {400, 401}


async def test_an_address_that_does_not_exist_says_so(pages: Pages) -> None:
    async with pages.visiting("juana", Role.PROSECUTOR) as session:
        await session.post("/language", data={"language": "es", "here": "/inbox"})
        async with session.get("/nothing") as answer:
            text = await answer.text()
            assert answer.status == 404
        assert "Aquí no hay ninguna página" in text
        assert "Not Found" not in text


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_no_page_can_be_made_of_is_said_in_every_language(pages: Pages, name: str) -> None:
    answer = await ask(("127.0.0.1", pages.port), REQUESTS[name])
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for language in LANGUAGES:
        assert f'lang="{language}"' in answer.body
    assert "La dirección" in answer.body
    assert (SECRET in str(answer), "aaaa" in answer.body) == (False, False)


# -- roles and languages ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.PROSECUTOR, {"/account"}),
        (Role.CLERK, {"/account"}),
        (Role.AUDITOR, {"/account", "/journal"}),
        (Role.ADMINISTRATOR, {"/account", "/journal", "/people"}),
    ],
)
async def test_a_role_opens_what_it_should(pages: Pages, role: Role, may: set[str]) -> None:
    async with pages.visiting(f"rol.{role.value}", role) as session:
        for path in ("/account", "/journal", "/people"):
            async with session.get(path) as answer:
                assert answer.status == (200 if path in may else 403), path


async def test_whoever_may_not_is_told_in_their_language_who_may(pages: Pages) -> None:
    assert set(DENIED) == set(Power)
    async with pages.visiting("pepa", Role.PROSECUTOR) as session:
        await session.post("/language", data={"language": "es", "here": "/account"})
        for path, told in (("/people", "esto lo hace la administración"), ("/journal", "lo leen la administración")):
            async with session.get(path) as answer:
                assert answer.status == 403
                assert told in await answer.text()


async def test_an_administrator_invites_changes_and_shuts_out(pages: Pages) -> None:
    async with pages.visiting("kati", Role.ADMINISTRATOR) as session:
        form = {"login": "leo", "name": "Leo", "role": "clerk", "desk": "central"}
        shown = await (await session.post("/people", data=form)).text()
        assert re.search(rf"{pages.origin}/invitation/[A-Za-z0-9_-]{{43}}", shown)
        await session.post("/people/leo", data=form | {"role": "prosecutor"})
        assert pages.parts.register.named("leo").role is Role.PROSECUTOR
        await session.post("/people/leo/disable")
        assert pages.parts.register.find("leo") is None
        own = await session.post("/people/kati/disable")
        assert own.status == 400
        assert (await session.post("/people/kati", data=form | {"role": "clerk"})).status == 400


async def test_an_invitation_that_is_refused_keeps_what_was_typed(pages: Pages) -> None:
    async with pages.visiting("nilda", Role.ADMINISTRATOR) as session:
        form = {"login": "nilda", "name": "Nilda Otra", "role": "auditor", "desk": "central"}
        async with session.post("/people", data=form) as answer:
            assert answer.status == 409
            text = await answer.text()
        assert "somebody logs in as nilda already" in text
        asked = text.split('id="invite"')[1]
        for kept in ('value="nilda"', 'value="Nilda Otra"', 'value="auditor" selected', 'value="central" checked'):
            assert kept in asked, kept
        assert "Invitation for nora.z" in await (await session.post("/people", data=form | {"login": "nora.z"})).text()


@pytest.mark.parametrize("path", ["/people", "/people/rosa"])
async def test_what_was_typed_before_logging_in_again_is_there_afterwards(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    key, login = Authenticator(pages.origin), f"irma{path.count('/')}"
    if pages.parts.register.find("rosa") is None:
        await pages.invite("rosa")
    async with (
        pages.visiting(login, Role.ADMINISTRATOR, key=key) as session,
        pages.visiting(f"{login}.b", Role.ADMINISTRATOR) as other,
    ):
        typed = {"login": "nora.q", "name": "Nora <Quiroga>", "role": "auditor", "desk": "central"}
        monkeypatch.setattr(register, "FRESH_SECONDS", 0)
        async with session.post(
            path, data=typed | {"name": typed["name"] + "x" * 200}, allow_redirects=False
        ) as answer:
            assert answer.status == 303
        async with session.post(path, data=typed, allow_redirects=False) as answer:
            assert answer.status == 303
        assert "Quiroga" not in await (await session.get(path)).text()
        monkeypatch.undo()
        assert "Quiroga" not in await (await other.get(path)).text()
        assert "Quiroga" not in await (await session.get("/people/nobody")).text()
        options = await (await session.post("/login/passkey/ask")).text()
        assert (await session.post("/login/passkey", json=key.prove(options))).status == 204
        shown = await (await session.get(path)).text()
        for kept in (
            'value="Nora &lt;Quiroga&gt;"',
            'value="auditor" selected',
            'value="central" checked',
            "send it now",
        ):
            assert kept in shown, kept
        # Once: whoever comes back later is shown how things are.
        assert "Quiroga" not in await (await session.get(path)).text()


async def test_a_change_that_is_refused_keeps_what_was_typed(pages: Pages) -> None:
    async with pages.visiting("nuria", Role.ADMINISTRATOR) as session:
        form = {"name": "Nuria Otra", "role": "auditor", "desk": "central"}
        for asked, told in (
            (form, "nobody takes the administration from themselves"),
            (form | {"role": "administrator", "name": "N" * 200}, "1 to 120 characters"),
        ):
            async with session.post("/people/nuria", data=asked) as answer:
                assert answer.status == 400
                text = await answer.text()
            assert told in text
            kept = f'value="{asked["name"]}"', f'value="{asked["role"]}" selected', 'value="central" checked'
            assert not [each for each in kept if each not in text]
            assert "<h1>Ana Pérez</h1>" in text
        async with session.post("/people/nadie", data=form) as answer:
            assert answer.status == 400
            assert "nobody here logs in as nadie" in await answer.text()


async def test_each_language_is_spoken_when_it_is_asked_for(pages: Pages) -> None:
    async with pages.browser(**{"Accept-Language": "fr, es;q=0.8"}) as session:
        text = await (await session.get("/login")).text()
        assert '<html lang="es"' in text
        await session.post("/language", data={"language": "pt-PT", "here": "/login"})
        assert '<html lang="pt-PT"' in await (await session.get("/login")).text()
        assert (await session.post("/language", data={"language": "xx", "here": "/"})).status == 400


async def test_the_journal_tells_in_the_readers_language_what_was_done(pages: Pages) -> None:
    assert set(words.ACTS) == {act.value for act in Act}
    async with pages.visiting("julia", Role.AUDITOR) as session:
        await session.get("/journal")
        await session.post("/language", data={"language": "es", "here": "/journal"})
        text = await (await session.get("/journal")).text()
        assert "<td>entró</td>" in text
        assert "<td>leyó este registro</td>" in text
        assert not [act for act in words.ACTS if f"<td>{act}</td>" in text]
        assert "<td>llave de acceso</td>" in text
        assert "<td>auditoría: central</td>" in text
        assert "<td>quien opera el nodo</td>" in text
        await session.post("/language", data={"language": "pt-BR", "here": "/journal"})
        assert "<td>auditoria: central</td>" in await (await session.get("/journal")).text()


async def test_the_journal_page_says_whether_it_is_whole(pages: Pages) -> None:
    store = pages.parts.service.store
    async with pages.visiting("jorge", Role.AUDITOR) as session:
        head = store.read(table.journal_head)[1].hex()
        assert head in await (await session.get("/journal")).text()
        assert "Checked" not in await (await session.get("/journal?before=3")).text()
        store.submit(lambda tx: tx.run("UPDATE journal SET who = 'x' || who WHERE id = 1")).result()
        text = await (await session.get("/journal")).text()
        assert "Entry 1 was changed or taken away" in text
        store.submit(lambda tx: tx.run("UPDATE journal SET who = substr(who, 2) WHERE id = 1")).result()


# -- the operator's way ------------------------------------------------------------------------------------
async def test_the_operator_makes_the_first_administrator(pages: Pages) -> None:
    async with operator(pages.home) as socket, pages.browser() as session:
        asked = {"login": "primera", "name": "Primera", "role": "administrator"}
        made = await (await socket.post("/api/v1/people", json=asked)).json()
        key = Authenticator(pages.origin)
        invitation = made["invitation"].removeprefix(pages.origin)
        options = await (await session.post(f"{invitation}/passkey/ask")).text()
        assert (await session.post(f"{invitation}/passkey", json=key.make(options))).status == 200
        assert (await session.get("/people", allow_redirects=False)).status == 200
        listed = await (await socket.get("/api/v1/people")).json()
        assert {
            "login": "primera",
            "name": "Primera",
            "role": "administrator",
            "desks": [],
            "disabled_at": None,
        } in listed["people"]
        assert (await socket.post("/api/v1/people/primera/disable")).status == 200
        assert (await session.get("/people", allow_redirects=False)).status == 303
        again = await (await socket.post("/api/v1/people/primera/enable")).json()
        assert again["invitation"] != made["invitation"]


@pytest.mark.parametrize(
    "asked", [{}, {"login": "x", "name": "y", "role": "king"}, [], {"login": 1, "name": "", "role": ""}]
)
async def test_what_is_no_person_is_refused(pages: Pages, asked: object) -> None:
    async with operator(pages.home) as socket, socket.post("/api/v1/people", json=asked) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://Valija.example.org:443/", "https://valija.example.org"),
        ("https://valija.example.org:8443", "https://valija.example.org:8443"),
        ("https://valija.example.org:0443", "https://valija.example.org"),
        ("https://valija.example.org:", "https://valija.example.org"),
        ("", "http://localhost:8451"),
    ],
)
async def test_the_origin_is_as_browsers_write_it(written: str, origin: str) -> None:
    assert settings.site(settings.Web(public_origin=written), 8451).origin == origin
