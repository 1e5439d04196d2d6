"""The hub's console in a real browser: an operator holds back what waits for a member, and lets it go again.

What it looks like is kept in `build/pages`, for people to look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyotp
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect, sync_playwright

from hub.cli import main
from tests.support.association import free_port
from tests.system.house import House
from tests.web.site import CHROMIUM, PATIENCE_MS, WIDE, Visitor

AR, CO = "ar-mpf", "co-fgn"
PASSWORD: Final = "una frase bastante larga"
# 1,280 pixels at four times their size, as WCAG 1.4.10 has it.
LOOKS: Final = (("light", WIDE), ("dark", (320, 256)))
PAGES: Final = ("/", "/members", f"/members/{CO}", "/refusals", "/sessions", "/journal", "/members/nobody")
SHOTS: Final = Path(__file__).parents[2] / "build" / "pages"

pytestmark = pytest.mark.full


def told(house: House, *words: str) -> dict[str, str]:
    """What a command of the hub's own machine answers."""
    home = str(house.association.hub_home.folder)
    done = CliRunner().invoke(main, [*words, "--home", home, "--json"])
    assert done.exit_code == 0, done.output
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


@contextmanager
def operator(house: House, origin: str, secret: Path) -> Iterator[Visitor]:
    """Somebody made just now, logged in at the console."""
    key = told(house, "operators", "add", "ana", "--password-file", str(secret))["totp"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        visitor = Visitor("hub", "ana", origin, context, context.new_page())
        visitor.watch()
        visitor.go("/login")
        visitor.accessible()
        visitor.page.fill("#login", "ana")
        visitor.page.fill("#password", PASSWORD)
        visitor.page.fill("#code", pyotp.TOTP(key).now())
        visitor.page.get_by_role("button", name="Log in").click()
        expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()
        yield visitor
        browser.close()


def confirmed(page: Page, button: str, word: str) -> None:
    """The form with this button, sent with this word typed into it."""
    form = page.locator("form.act", has=page.get_by_role("button", name=button))
    form.locator('input[name="confirm"]').fill(word)
    form.get_by_role("button", name=button).click()


def test_an_operator_holds_back_and_lets_go(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    place = f"127.0.0.1:{free_port()}"
    with House(tmp_path, [AR, CO]) as house:
        house.hub(VALIJA_HUB_CONSOLE_LISTEN=place)
        for member in (AR, CO):
            house.node(member)
        house.daemons.ready()
        with operator(house, f"http://localhost:{place.rpartition(':')[2]}", secret) as ana:
            page = ana.go(f"/members/{CO}")
            confirmed(page, "Suspend delivery", "co-fg")
            expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
            ana.go(f"/members/{CO}")
            confirmed(page, "Suspend delivery", CO)
            expect(page.get_by_text("suspended: what comes waits")).to_be_visible()
            sent = house.api(AR).send(CO, subject="Causa zzyzx", body="texto zzyzx")
            house.api(AR).reaches(sent, {CO: "relayed"})
            # The page grows young by itself.
            expect(page.get_by_text("1 item, the oldest")).to_be_visible(timeout=PATIENCE_MS)
            assert house.api(CO).inbox() == []
            look(ana)
            ana.go(f"/members/{CO}")
            confirmed(page, "Resume delivery", CO)
            expect(page.get_by_text("as it comes")).to_be_visible()
            assert house.api(CO).received(sent)["content"]["subject"] == "Causa zzyzx"
            ana.go("/journal")
            expect(page.get_by_role("cell", name="delivery-resumed")).to_be_visible()
            assert ana.complaints == []


def look(who: Visitor) -> None:
    """Every page, in each look: accessible, no wider than the window, and kept as a picture."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for theme, (width, height) in LOOKS:
        who.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        who.page.set_viewport_size({"width": width, "height": height})
        for path in PAGES:
            page = who.go(path)
            assert "zzyzx" not in page.content()
            who.accessible()
            who.fits()
            name = path.strip("/").replace("/", "-") or "overview"
            page.screenshot(path=SHOTS / f"console-{name}-{theme}-{width}.png", full_page=True)
    who.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
