"""What pages tell while they stand open: that news came, that the session ended, that nothing is kept any more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.web.site import Site, Visitor, send, write

AR, CO = "ar-mpf", "co-fgn"

DESKTOP: Final = """
window.notified = [];
window.Notification = class {
  static permission = "granted";
  constructor(title, options) { window.notified.push([title, options]); }
};
document.hasFocus = () => false;
"""
"""A desktop whose user looks elsewhere, and allowed notifications."""

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    own = {CO: {"VALIJA_NODE_WEB_UNDO_SECONDS": "6"}}
    with Site(tmp_path_factory.mktemp("s"), [AR, CO], None, own, VALIJA_NODE_WEB_UNDO_SECONDS="1") as made:
        yield made


def beside(who: Visitor, path: str) -> Page:
    """Another tab of the same browser."""
    page = who.context.new_page()
    page.goto(who.at(path))
    return page


def log_out(who: Visitor) -> None:
    tab = beside(who, "/account")
    tab.click("form[action='/logout'] button")
    tab.close()


def test_what_cannot_be_kept_is_not_said_to_be_and_is_not_lost(site: Site) -> None:
    ana = site.person(AR, "ana.kept", "Ana Kept", language="en")
    write(ana, [CO], "Long work", "First words.")
    page = ana.page
    expect(page.locator("#kept")).to_have_text("Kept as a draft.")
    log_out(ana)
    page.fill("#body", "First words, and many more.")
    expect(page.locator("#kept")).to_contain_text("Not kept; what you wrote still stands here.")
    expect(page.locator("#readers")).not_to_contain_text("null")
    expect(page.locator("#ended")).to_be_visible()
    expect(page.locator("#ended a[href='/login']")).to_be_visible()
    # Sending would only put the answer in the place of the text.
    page.click("#compose .buttons button:not(.secondary):not(.quiet)")
    expect(page.locator("#body")).to_have_value("First words, and many more.")
    tab = beside(ana, "/login")
    ana.key = ana.context.new_cdp_session(tab)
    tab.click("summary")
    tab.fill("#recovery-login", "ana.kept")
    tab.fill("#recovery-code", ana.codes[0])
    tab.click("form[action='/login/recovery'] button")
    tab.wait_for_url("**/account")
    tab.close()
    page.fill("#body", "First words, and many more. And the last.")
    expect(page.locator("#kept")).to_have_text("Kept as a draft.")
    expect(page.locator("#ended")).to_be_hidden()
    # Nor is what is typed just before leaving.
    where = page.url
    page.fill("#body", "First words, and many more. And the very last.")
    page.click("a[href='/inbox']")
    page.goto(where)
    expect(page.locator("#body")).to_have_value("First words, and many more. And the very last.")


def test_what_is_too_long_is_said_not_to_be_kept(site: Site) -> None:
    ana = site.person(AR, "ana.long", "Ana Long", language="en")
    write(ana, [CO], "Too long", "")
    ana.page.fill("#body", "x" * 1_100_000)
    expect(ana.page.locator("#kept")).to_contain_text(re.compile("Not kept; .*limit"))


def test_news_reaches_whoever_writes_and_an_ended_session_is_told(site: Site) -> None:
    ana = site.person(AR, "ana.news", "Ana News", language="en")
    luis = site.person(CO, "luis.news", "Luis News", language="en")
    luis.context.add_init_script(DESKTOP)
    luis.go("/compose")
    list_tab = beside(luis, "/inbox")
    write(ana, [CO], "While you write", "Now.", urgency="urgent", due="2031-12-01T12:00")
    send(ana)
    for page in (luis.page, list_tab):
        expect(page).to_have_title(re.compile(r"^\(1\) "))
        expect(page.locator("#news")).to_have_text("An urgent message has come. New messages: 1")
        # One sign on the desktop for all tabs, and nothing of the message on it.
        assert page.evaluate("notified") == [["Valija", {"body": "An urgent message has come.", "tag": "valija"}]]
    expect(list_tab.locator("#lines .line", has_text="While you write")).to_be_visible()
    list_tab.close()
    # A page opened later knows the number, too.
    luis.go("/members")
    expect(luis.page).to_have_title(re.compile(r"^\(1\) "))
    log_out(luis)
    write(ana, [CO], "Too late", "Now.")
    send(ana)
    expect(luis.page.locator("#ended")).to_be_visible()


def test_a_lost_connection_is_told_until_it_is_there_again(site: Site) -> None:
    ana = site.person(AR, "ana.lost", "Ana Lost", language="en")
    ana.page.clock.install()
    ana.page.route("**/live*", lambda route: route.abort())
    with ana.page.expect_event("console", lambda said: "ERR_FAILED" in said.text):
        lost = ana.go("/inbox").locator("#lost")
    # Nobody is alarmed by a line that is there again at once.
    ana.page.clock.fast_forward(9_000)
    expect(lost).to_be_hidden()
    ana.page.clock.fast_forward(10_000)
    expect(lost).to_be_visible()
    expect(lost).to_contain_text("The connection to your node is lost")
    ana.page.unroute("**/live*")
    expect(lost).to_be_hidden()
    assert not [each for each in ana.complaints if "ERR_FAILED" not in each]
    ana.complaints.clear()


def test_the_seconds_before_sending_count(site: Site) -> None:
    luis = site.person(CO, "luis.count", "Luis Count", language="en")
    write(luis, [AR], "Counted", "Down.")
    luis.page.click("#compose .buttons button:not(.secondary):not(.quiet)")
    seen = luis.page.locator("#left")
    first = int(seen.inner_text())
    expect(seen).to_have_text(str(first - 2))
    luis.page.wait_for_url(re.compile(r"/sent"))
