"""Nodes whose pages real browsers show: every person a context of their own, with a passkey of their own.

    with Site(tmp_path, ["ar-mpf", "co-fgn"]) as site:
        ana = site.person("ar-mpf", "ana.perez", "Ana Pérez")
        ana.page.goto(ana.at("/inbox"))

Hub and nodes are the daemons themselves; the browser is Debian's Chromium, and what stands in for the finger on a
security key is the browser's own virtual authenticator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, Playwright, expect, sync_playwright

from tests.support.association import free_port
from tests.system.house import House

CHROMIUM: Final = "/usr/bin/chromium"
WIDE: Final = (1_360, 900)
NARROW: Final = (360, 740)
NOTHING: Final[Mapping[str, Mapping[str, str]]] = {}
PATIENCE_MS: Final = 40_000
_LOCALES: Final = {"es": "es-AR", "pt-BR": "pt-BR", "pt-PT": "pt-PT", "en": "en-GB"}
_KEY: Final = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass
class Visitor:
    """Somebody at a browser; `complaints` holds what the browser refused, failed at or asked of a foreign address."""

    member: str
    login: str
    origin: str
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    key: CDPSession | None = None

    def watch(self) -> None:
        """From now on everything that goes wrong in the page is written down."""
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", lambda said: self._said(said.text) if said.type == "error" else None)
        self.page.on("request", lambda asked: self._asked(asked.url))

    def _said(self, text: str) -> None:
        # A refusal that the page shows is no complaint.
        if not re.search(r"responded with a status of 4\d\d", text):
            self.complaints.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:")):
            self.complaints.append(f"asked {url}")

    def at(self, path: str) -> str:
        """The whole address of a page."""
        return f"{self.origin}{path}"

    def go(self, path: str) -> Page:
        """The page, opened."""
        self.page.goto(self.at(path))
        return self.page

    def plug_in(self) -> None:
        """A security key that says yes."""
        self.key = self.context.new_cdp_session(self.page)
        self.key.send("WebAuthn.enable")
        self.key.send("WebAuthn.addVirtualAuthenticator", {"options": _KEY})

    def enrol(self, invitation: str) -> None:
        """Come in by this invitation with a passkey, and keep the recovery codes."""
        self.page.goto(invitation)
        self.page.fill("#label", "llave")
        self.page.click("#passkey-enrol")
        self.page.wait_for_selector(".codes")
        self.codes = self.page.locator(".codes li").all_inner_texts()

    def accessible(self) -> None:
        """Nothing that axe knows of WCAG 2.2 A and AA, and of good practice, is wrong with the page as it stands."""
        found = Axe().run(self.page, options=_AXE)
        told = [
            f"{each['id']} ({each['impact']}): {each['help']}\n"
            + "\n".join(f"    {node['html']}" for node in each["nodes"])
            for each in found.response["violations"]
        ]
        assert not told, f"{self.page.url}\n" + "\n".join(told)

    def fits(self) -> None:
        """Nothing has to be scrolled sideways."""
        width = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1], f"{self.page.url} is {width[0]} wide in {width[1]}"


_AXE: Final[dict[str, Any]] = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


class Site:
    """An association of these members, its hub and nodes running, and one browser."""

    def __init__(
        self,
        folder: Path,
        members: Sequence[str],
        networks: Mapping[str, Sequence[str]] | None = None,
        own: Mapping[str, Mapping[str, str]] = NOTHING,
        **given: str,
    ) -> None:
        """Nothing runs yet; `given` goes to every node's environment, and to some nodes what is their `own`."""
        self.house = House(folder, members, networks)
        self._ports = {member: free_port() for member in members}
        self._given, self._own = given, own
        self._people: list[Visitor] = []
        self._playwright: Playwright | None = None
        self.browser: Browser | None = None

    def __enter__(self) -> Self:
        self.house.__enter__()
        try:
            self.house.hub()
            for member in self._ports:
                self.start(member)
            self.house.daemons.ready()
            self._playwright = sync_playwright().start()
            self.browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.house.__exit__(kind, error, trace)

    def leave(self) -> list[Visitor]:
        """Everybody closes their browser; who they were."""
        gone, self._people = self._people, []
        for each in gone:
            each.context.close()
        return gone

    def part(self) -> None:
        """The same; no browser refused anything, failed at anything or asked anything of a foreign address."""
        told = [(each.login, each.complaints) for each in self.leave()]
        assert not [each for each in told if each[1]], told

    def close(self) -> None:
        """Afterwards no browser runs."""
        self.leave()
        if self.browser is not None:
            self.browser.close()
        if self._playwright is not None:
            self._playwright.stop()
        self.browser = self._playwright = None

    def start(self, member: str) -> None:
        """The member's node runs, with its pages."""
        listen = f"127.0.0.1:{self._ports[member]}"
        place = {"VALIJA_NODE_WEB_LISTEN": listen, "VALIJA_NODE_WEB_PUBLIC_ORIGIN": self.origin(member)}
        self.house.daemons.node(self.house.association, member, **{**self._given, **place, **self._own.get(member, {})})

    def origin(self, member: str) -> str:
        """Where the pages of a member's node are."""
        return f"http://localhost:{self._ports[member]}"

    # -- people ----------------------------------------------------------------------------------------
    def invitation(
        self, member: str, login: str, name: str, role: str = "prosecutor", desks: Sequence[str] = ("central",)
    ) -> str:
        """The address of an invitation for somebody new."""
        answer = self.house.api(member).post(
            "people", {"login": login, "name": name, "role": role, "desks": list(desks)}
        )
        assert answer.status == 201, answer
        return str(answer.body["invitation"])

    def stranger(
        self, member: str, login: str = "", *, language: str = "es", size: tuple[int, int] = WIDE, theme: str = "light"
    ) -> Visitor:
        """A browser before the door of a member's pages."""
        assert self.browser is not None
        context = self.browser.new_context(
            locale=_LOCALES[language],
            timezone_id="America/Bogota",
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        visitor = Visitor(member, login, self.origin(member), context, context.new_page())
        visitor.watch()
        self._people.append(visitor)
        return visitor

    def person(
        self,
        member: str,
        login: str,
        name: str,
        role: str = "prosecutor",
        desks: Sequence[str] = ("central",),
        **look: Any,
    ) -> Visitor:
        """Somebody new, logged in with a passkey."""
        visitor = self.stranger(member, login, **look)
        visitor.plug_in()
        visitor.enrol(self.invitation(member, login, name, role, desks))
        return visitor


# -- what people do --------------------------------------------------------------------------------------
def write(who: Visitor, to: Sequence[str], subject: str, body: str, **fields: str) -> None:
    """Fill in a fresh message; `fields` by the names of the form."""
    who.go("/compose")
    fill(who, to, subject=subject, body=body, **fields)


def fill(who: Visitor, to: Sequence[str] = (), **fields: str) -> None:
    """Fill in the form that stands open."""
    page = who.page
    page.wait_for_selector("#compose")
    for each in to:
        page.check(f'input[name="to"][value="{each}"]')
    for name, value in fields.items():
        target = page.locator(f"#{name}")
        if target.evaluate("element => element.tagName") == "SELECT":
            target.select_option(value)
        else:
            target.fill(value)


def send(who: Visitor) -> None:
    """Sign and send, and do not take it back."""
    who.page.click("#compose .buttons button:not(.secondary):not(.quiet)")
    who.page.wait_for_selector("form[action$='/undo']")
    # The page of the ten seconds leads on by itself.
    who.page.wait_for_url(re.compile(r"/sent"))


def open_line(who: Visitor, subject: str, folder: str = "/inbox") -> Page:
    """The message of this subject, opened from its folder once it is there by itself."""
    page = who.page
    if not page.url.startswith(who.at(folder)):
        who.go(folder)
    link = page.locator("#lines .line a", has_text=subject).first
    expect(link).to_be_visible(timeout=PATIENCE_MS)
    link.click()
    page.wait_for_selector("#message article h2")
    return page
