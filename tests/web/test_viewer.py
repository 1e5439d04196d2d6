"""The description of the API in a real browser: it is drawn whole, and asks nobody else for anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.web.site import Site

pytestmark = pytest.mark.full

AR = "ar-mpf"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("v"), [AR]) as made:
        yield made


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    assert site.browser is not None
    context = site.browser.new_context(viewport={"width": 1_400, "height": 1_000})
    yield context.new_page()
    context.close()


def test_the_description_is_drawn_without_a_word_to_anybody_else(site: Site, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    base = site.house.daemons.apis[AR]
    page.goto(f"{base}/api/v1/docs")
    page.get_by_role("heading", name="Accept one message, or with NDJSON many").wait_for()
    page.get_by_role("heading", name="The webhooks of the desk").wait_for()
    # The menu works: a group opens, and what is chosen is shown.
    menu = page.get_by_role("menuitem")
    menu.filter(has_text="events").first.click()
    menu.filter(has_text="Events behind Last-Event-ID").first.click()
    page.wait_for_url("**/docs#**events")
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {base.removeprefix("http://")}
    assert said == []
