"""Every page under axe, at four times its size, in each language, light and dark, wide and on a telephone.

What they look like is kept in `build/pages`, for people to look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import ClassVar, Final

import pytest
from playwright.sync_api import expect

from tests.web.site import NARROW, WIDE, Site, Visitor, fill, open_line, send, write

AR, CO = "ar-mpf", "co-fgn"
LANGUAGES: Final = ("es", "pt-BR", "pt-PT", "en")
THEMES: Final = ("light", "dark")
WIDTHS: Final = {"wide": WIDE, "narrow": NARROW}
# 1,280 pixels at four times their size, as WCAG 1.4.10 has it.
ZOOMED: Final = (320, 256)
OPPOSITES: Final = {("light", "wide"), ("dark", "narrow")}
MOST_SEEN: Final = {"inbox", "message", "compose"}
SHOTS: Final = Path(__file__).parents[2] / "build" / "pages"
# Long, too: nothing breaks where the author left no space.
HOSTILE: Final = "<img src=x onerror=alert(1)>\u202e[31m{{7*7}}" + "W" * 200

pytestmark = pytest.mark.full


@dataclass
class Town:
    """People at two members, with mail between them, and the addresses worth a look."""

    fresh: ClassVar = count()

    site: Site
    ana: Visitor
    luis: Visitor
    root: Visitor
    outside: Visitor
    invitation: str
    hook: str
    mail: dict[str, str]

    def everything(self) -> Iterator[tuple[Visitor, str, str]]:
        """Who opens which page, by name and address."""
        yield from ((self.ana, name, path) for name, path in self.mail.items())
        yield self.root, "people", "/people"
        yield self.root, "person", "/people/ana.perez"
        yield self.root, "journal", "/journal"
        yield self.root, "node", "/node"
        yield self.root, "webhooks", "/webhooks"
        yield self.root, "webhook", f"/webhooks/{self.hook}"
        yield self.outside, "login", "/login"
        yield self.outside, "invitation", self.invitation

    def answers(self) -> Iterator[Visitor]:
        """Who stands before a page that answers a form, and is on no address."""
        page = self.ana.go("/login?again=1&next=%2Faccount")
        page.click("#passkey-login")
        page.wait_for_url("**/account")
        page.click("form[action='/account/codes'] button")
        page.wait_for_selector(".codes")
        yield self.ana
        page = self.root.go("/people")
        page.fill("#login", f"otra{next(self.fresh)}")
        page.fill("#name", "Otra")
        page.click("form[action='/people'] button")
        page.wait_for_selector("#address")
        yield self.root
        write(self.ana, [CO], "Falta algo", "Sin referencia.", type="mla-request")
        self.ana.page.click("#compose .buttons button:not(.secondary):not(.quiet)")
        self.ana.page.wait_for_selector("#compose .problem")
        yield self.ana
        write(self.luis, [AR], "A punto de salir", "Todavía no.")
        self.luis.page.click("#compose .buttons button:not(.secondary):not(.quiet)")
        self.luis.page.wait_for_selector("#left")
        yield self.luis
        self.luis.page.click("form[action$='/undo'] button")
        self.luis.page.wait_for_selector("#compose")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    own = {CO: {"VALIJA_NODE_WEB_UNDO_SECONDS": "15"}}
    networks = {"rfai": [AR, CO]}
    with Site(tmp_path_factory.mktemp("web"), [AR, CO], networks, own, VALIJA_NODE_WEB_UNDO_SECONDS="1") as site:
        ana, luis = site.person(AR, "ana.perez", "Ana Pérez"), site.person(CO, "luis.gomez", "Luis Gómez")
        root = site.person(AR, "root.sys", "Administración", "administrator", [])
        invitation = site.invitation(AR, "nueva.gente", "Nueva Gente").removeprefix(site.origin(AR))
        write(
            ana, [CO], "Cuentas en Bogotá", "Se solicitan **los extractos**.", type="mla-request", urgency="urgent",
            case_reference="4512/2026", due="2031-12-01T12:00", tlp="TLP:AMBER", format="commonmark",
        )  # fmt: skip
        send(ana)
        open_line(luis, "Cuentas en Bogotá")
        luis.page.locator("#message a[href^='/compose?reply']").first.click()
        fill(luis, subject=HOSTILE, body=HOSTILE, type="message")
        send(luis)
        expect(ana.go("/inbox").locator("#lines .line")).to_have_count(1)
        ana.page.locator("#lines .line a").click()
        ana.page.wait_for_selector("#message article h2")
        read = ana.page.url.removeprefix(ana.origin)
        open_line(ana, "Cuentas en Bogotá", "/sent")
        sent = ana.page.url.removeprefix(ana.origin)
        receipt = ana.page.locator("#message .deliveries a.tag").first.get_attribute("href")
        ana.go("/compose")
        ana.page.wait_for_selector("#compose")
        draft = ana.page.url.removeprefix(ana.origin)
        mail = {"inbox": "/inbox", "message": read, "sent": sent, "receipt": str(receipt), "compose": draft,
                "drafts": "/drafts", "held": "/held", "flagged": "/flagged", "waiting": "/waiting", "search": "/search?q=extractos",
                "nothing found": "/search?q=nada", "members": "/members", "member": "/members/co-fgn",
                "account": "/account", "password": "/account/password", "no such page": "/nowhere"}  # fmt: skip
        operator = site.house.api(AR)
        hook = str(operator.post("webhooks", {"url": "https://hooks.example/cases/valija"}).body["name"])
        operator.post(f"webhooks/{hook}/test")
        outside = site.stranger(AR)
        yield Town(site, ana, luis, root, outside, invitation, hook, mail)
        site.part()


def dressed(who: Visitor, theme: str, size: tuple[int, int]) -> None:
    who.page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    who.page.set_viewport_size({"width": size[0], "height": size[1]})


def speaks(who: Visitor, language: str) -> None:
    """The language is chosen at the foot of a page."""
    who.page.select_option("#language", language)
    who.page.click("form[action='/language'] button")
    who.page.wait_for_selector(f"html[lang={language}]")


@pytest.mark.parametrize(("theme", "width"), [("light", "wide"), ("dark", "narrow")])
def test_axe_finds_nothing_on_any_page(town: Town, theme: str, width: str) -> None:
    for who, _name, path in town.everything():
        dressed(who, theme, WIDTHS[width])
        who.go(path)
        who.accessible()
        who.fits()
    dressed(town.luis, theme, WIDTHS[width])
    for who in town.answers():
        dressed(who, theme, WIDTHS[width])
        who.accessible()
        who.fits()


def test_nothing_is_cut_off_at_four_times_the_size(town: Town) -> None:
    for who, _name, path in town.everything():
        dressed(who, "light", ZOOMED)
        who.go(path)
        who.fits()
    dressed(town.luis, "light", ZOOMED)
    for who in town.answers():
        dressed(who, "light", ZOOMED)
        who.fits()


@pytest.mark.parametrize("path", ["/members", "/account"])
def test_tables_stand_whole_on_a_telephone(town: Town, path: str) -> None:
    dressed(town.ana, "light", NARROW)
    page = town.ana.go(path)
    wide = page.locator(".scroll").evaluate_all("all => all.map(each => [each.scrollWidth, each.clientWidth])")
    assert wide
    # What stands beyond the edge, a button to remove a passkey, nobody looks for.
    assert not [each for each in wide if each[0] > each[1]], wide


@pytest.mark.parametrize("width", [320, 360])
def test_what_explains_a_mark_fits_and_is_put_away(town: Town, width: int) -> None:
    dressed(town.ana, "light", (width, 740))
    page = town.ana.go(town.mail["sent"])
    tip = page.locator("#message .tip").first
    page.locator("#message .with-tip .tag").first.focus()
    expect(tip).to_be_visible()
    town.ana.fits()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.locator("#message .with-tip .tag").first.hover()
    expect(tip).to_be_visible()


def test_what_a_stranger_wrote_is_text_everywhere(town: Town) -> None:
    dressed(town.ana, "light", WIDE)
    for name in ("inbox", "message"):
        page = town.ana.go(town.mail[name])
        assert page.locator("img[src='x']").count() == 0
        assert "{{7*7}}" in page.content()
        assert not {"\x1b", "\u202e"} & set(page.content())
        expect(page.locator("#lines")).to_contain_text("\\u{202e}[31m")


def test_every_language_theme_and_width(town: Town) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        for who in (town.ana, town.root, town.outside):
            dressed(who, "light", WIDE)
            who.go("/account" if who is not town.outside else "/login")
            speaks(who, language)
        for theme, width in product(THEMES, WIDTHS):
            for who, name, path in town.everything():
                if name in MOST_SEEN or (language == "es" and (theme, width) in OPPOSITES):
                    dressed(who, theme, WIDTHS[width])
                    who.go(path)
                    assert who.page.locator("html").get_attribute("lang") == language
                    who.page.screenshot(path=SHOTS / f"{name}-{language}-{theme}-{width}.png", full_page=True)
