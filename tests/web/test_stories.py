"""What focal points do in a day, in a real browser between real nodes: each story from its first click to its last."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.mail_sink import MailSink, mail_sink
from tests.system.house import eventually
from tests.web.site import Site, Visitor, fill, open_line, send, write

AR, CO, BR, UY = "ar-mpf", "co-fgn", "br-mpf", "uy-fgn"
CASE = "4512/2026"

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def mails() -> Iterator[MailSink]:
    """A mail server beside the browser, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()
    sink = asyncio.run_coroutine_threadsafe(stack.enter_async_context(mail_sink()), loop).result()
    yield sink
    asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, mails: MailSink) -> Iterator[Site]:
    given = {
        "WEB_UNDO_SECONDS": "1",
        "MAIL_HOST": "127.0.0.1",
        "MAIL_PORT": str(mails.port),
        "MAIL_SECURITY": "none",
        "MAIL_SENDER": "valija@example.org",
        "NUDGES_DUTY": "mailto:turno@example.org",
        "NUDGES_EMERGENCY_MINUTES": "0",
    }
    named = {f"VALIJA_NODE_{name}": value for name, value in given.items()}
    members, unhurried = [AR, CO, BR, UY], {UY: {"VALIJA_NODE_WEB_UNDO_SECONDS": "10"}}
    with Site(tmp_path_factory.mktemp("web"), members, {"rfai": [AR, CO, BR]}, unhurried, **named) as made:
        yield made


def answered(who: Visitor, action: str) -> None:
    who.page.click(f"#message button[value={action}]")
    who.page.wait_for_load_state()


def shows_mark(who: Visitor, state: str) -> None:
    expect(who.page.locator(f"#message .deliveries .state-{state}").first).to_be_visible()


# -- a request from Argentina to Colombia, answered, extended, executed ----------------------------------
def test_a_request_is_answered_extended_and_executed(site: Site) -> None:
    ana = site.person(AR, "ana.perez", "Ana Pérez")
    luis = site.person(CO, "luis.gomez", "Luis Gómez")
    luis.go("/inbox")

    write(ana, [CO], "Cuentas en Bogotá", "Se solicitan los extractos.", type="mla-request", urgency="urgent")
    expect(ana.page.locator("#readers")).to_contain_text("Fiscalía co-fgn")
    ana.page.click("#compose .buttons button:not(.secondary):not(.quiet)")
    # What the act needs is asked for, and nothing typed is lost.
    expect(ana.page.get_by_role("alert")).to_contain_text("Referencia")
    expect(ana.page.locator("#subject")).to_have_value("Cuentas en Bogotá")
    fill(ana, case_reference=CASE, due="2031-12-01T12:00")
    send(ana)

    # It comes by itself: nothing was pressed here.
    expect(luis.page).to_have_title(re.compile(r"^\(\d+\) Bandeja de entrada · Valija$"))
    page = open_line(luis, "Cuentas en Bogotá")
    expect(page.locator("#message .facts")).to_contain_text(CASE)
    expect(page.locator("#message .marks .alarm")).to_contain_text("Urgente")
    answered(luis, "accepted")
    open_line(ana, "Cuentas en Bogotá", "/sent")
    shows_mark(ana, "acknowledged")

    open_line(luis, "Cuentas en Bogotá")
    luis.page.locator("#message a[href^='/compose?reply']").first.click()
    fill(luis, body="Se adelanta la respuesta.", type="mla-response", matter="partly-executed", case_reference=CASE)
    send(luis)
    open_line(ana, "Re: Cuentas en Bogotá", "/inbox")
    expect(ana.page.locator("#message .facts")).to_contain_text("ejecutado en parte")

    ana.page.locator("#message a[href^='/compose?reply']").first.click()
    fill(ana, body="Se amplía a la cuenta de ahorros.", type="mla-request", case_reference=CASE, due="2031-12-09T12:00")
    send(ana)
    open_line(luis, "Re: Cuentas en Bogotá")
    luis.page.locator("#message a[href^='/compose?reply']").first.click()
    fill(luis, body="Ejecutado en su totalidad.", type="mla-response", matter="executed", case_reference=CASE)
    send(luis)

    ana.go("/inbox")
    expect(ana.page.locator("#lines .line")).to_have_count(2)
    open_line(ana, "Re: Cuentas en Bogotá")
    expect(ana.page.locator("#message .facts")).to_contain_text("ejecutado")
    # The whole of it stands in one thread: request, answer, extension, execution.
    expect(ana.page.locator("#message section .list .line")).to_have_count(4)

    open_line(ana, "Cuentas en Bogotá", "/sent")
    ana.go("/search?q=extractos")
    ana.page.locator("#lines .line a").first.click()
    ana.page.locator("#message .deliveries a.tag").first.click()
    expect(ana.page.locator("dl.facts")).to_contain_text("Fiscalía co-fgn")
    with ana.page.expect_download() as download:
        ana.page.click("a[download]")
    assert Path(download.value.path()).stat().st_size > 3_309


# -- an urgent alert to a network at night, with its nudge ------------------------------------------------
def test_who_is_on_duty_at_night_is_called_and_learns_nothing_from_the_call(site: Site, mails: MailSink) -> None:
    ana, luis = site.person(AR, "ana.alert", "Ana Alert"), site.person(CO, "luis.night", "Luis Noche")
    luis.go("/inbox").click("form[action='/logout'] button")
    write(ana, ["#rfai"], "Testigo en peligro", "Protección inmediata.", type="protection", urgency="emergency",
          due="2031-12-01T12:00")  # fmt: skip
    expect(ana.page.locator("#readers")).to_contain_text("Fiscalía co-fgn")
    expect(ana.page.locator("#readers")).to_contain_text("Fiscalía br-mpf")
    send(ana)

    def of_colombia() -> list[EmailMessage]:
        return [each for each in mails.mails if "co-fgn" in each.as_string()]

    (mail,) = eventually("the nudge", of_colombia, 120)
    told = mail.get_content()
    assert mail["To"] == "turno@example.org"
    assert not [each for each in ("Testigo", "peligro", "Protección", AR, "Ana") if each in mail.as_string()]
    link = re.search(r"http://localhost:\d+/\S*", told)
    assert link, told
    luis.page.goto(link[0])
    luis.page.click("#passkey-login")
    luis.page.wait_for_selector("#lines")
    open_line(luis, "Testigo en peligro")
    answered(luis, "acknowledged")
    open_line(ana, "Testigo en peligro", "/sent")
    shows_mark(ana, "acknowledged")


# -- undone and taken back -------------------------------------------------------------------------------
def test_sending_is_undone_and_a_draft_survives_the_change_of_language(site: Site) -> None:
    ana = site.person(UY, "ana.undo", "Ana Undo", language="en")
    ana.go("/inbox")
    expect(ana.page.locator("#lines .empty")).to_contain_text("Nothing has come yet.")
    write(ana, [CO], "Perhaps", "Not yet.")
    expect(ana.page.locator("#kept")).to_have_text("Kept as a draft.")
    ana.page.select_option("#language", "pt-BR")
    ana.page.click("form[action='/language'] button")
    ana.page.wait_for_selector("html[lang=pt-BR] #compose")
    expect(ana.page.locator("#subject")).to_have_value("Perhaps")
    expect(ana.page.locator(f'input[name="to"][value="{CO}"]')).to_be_checked()
    ana.page.click("#compose .buttons button:not(.secondary):not(.quiet)")
    ana.page.click("form[action$='/undo'] button")
    ana.page.wait_for_selector("#compose")
    expect(ana.page.locator("#body")).to_have_value("Not yet.")
    ana.go("/sent")
    expect(ana.page.locator("#lines .line", has_text="Perhaps")).to_have_count(0)


# -- held, and why ---------------------------------------------------------------------------------------
def test_a_held_message_says_why_and_goes_once_it_can(site: Site) -> None:
    ana = site.person(AR, "ana.held", "Ana Held")
    hub = site.house.daemons.hubs[str(site.house.association.hub_home.folder)]
    hub.stop()
    write(ana, [BR], "Sin línea", "Espera a que vuelva el relevo.")
    send(ana)
    page = open_line(ana, "Sin línea", "/sent")
    mark = page.locator("#message .deliveries .tag").first
    expect(mark).to_contain_text("en cola")
    mark.focus()
    tip = page.locator("#message .tip").first
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("en cuanto")
    hub.start()
    expect(page.locator("#message .deliveries .state-delivered")).to_be_visible(timeout=60_000)


# -- a lost passkey --------------------------------------------------------------------------------------
def test_a_lost_passkey_is_replaced_with_a_recovery_code(site: Site) -> None:
    rosa = site.person(BR, "rosa.lima", "Rosa Lima", language="pt-BR")
    codes, address = rosa.codes, rosa.at("/")
    assert len(codes) >= 8
    lost = site.stranger(BR, "rosa.lima", language="pt-BR")
    lost.plug_in()
    lost.page.goto(address)
    lost.page.click("summary")
    lost.page.fill("#recovery-login", "rosa.lima")
    lost.page.fill("#recovery-code", codes[0])
    lost.page.click("form[action='/login/recovery'] button")
    lost.page.wait_for_url("**/account")
    expect(lost.page.get_by_role("alert").first).to_contain_text("código de recuperação")
    lost.page.fill("#label", "chave nova")
    lost.page.click("#passkey-add")
    expect(lost.page.locator("th", has_text="chave nova")).to_be_visible()
    lost.page.click("form[action='/logout'] button")
    lost.page.click("#passkey-login")
    lost.page.wait_for_selector("#lines")
    # The code is spent.
    again = site.stranger(BR, "rosa.lima", language="pt-BR")
    again.page.goto(address)
    again.page.click("summary")
    again.page.fill("#recovery-login", "rosa.lima")
    again.page.fill("#recovery-code", codes[0])
    again.page.click("form[action='/login/recovery'] button")
    expect(again.page.get_by_role("alert").first).to_be_visible()


# -- a clerk who may not read another desk ---------------------------------------------------------------
def test_a_clerk_sees_no_other_desk(site: Site) -> None:
    site.house.api(CO).post("desks", {"name": "extradiciones"})
    clerk = site.person(CO, "caro.diaz", "Caro Díaz", "clerk", ["extradiciones"])
    prosecutor = site.person(CO, "pablo.ruiz", "Pablo Ruiz")
    ana = site.person(AR, "ana.desk", "Ana Desk")
    write(ana, [CO], "Para la central", "Sólo para la oficina central.")
    send(ana)
    write(ana, [], "Para extradiciones", "Para otra oficina.", others=f"{CO}/extradiciones")
    send(ana)
    page = open_line(prosecutor, "Para la central")
    secret = page.url
    open_line(clerk, "Para extradiciones")
    expect(clerk.page.locator("#message button[value=acknowledged]")).to_be_visible()
    expect(clerk.page.locator("#message button[value=accepted]")).to_have_count(0)
    clerk.go("/inbox")
    expect(clerk.page.locator("#lines .line")).to_have_count(1)
    clerk.go("/search?q=oficina")
    expect(clerk.page.locator("#lines .line")).to_have_count(1)
    clerk.page.goto(secret)
    expect(clerk.page.get_by_role("alert")).to_be_visible()
    expect(clerk.page.locator("body")).not_to_contain_text("Sólo para la oficina central")


# -- by keyboard alone -----------------------------------------------------------------------------------
def test_a_message_is_written_and_sent_by_keyboard_alone(site: Site) -> None:
    ana = site.person(AR, "ana.keys", "Ana Keys", language="en")
    page = ana.go("/inbox")
    focus_on(ana, "a[href='/compose']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#compose")
    focus_on(ana, f'input[name="to"][value="{CO}"]')
    page.keyboard.press("Space")
    focus_on(ana, "#subject")
    page.keyboard.type("By hand")
    focus_on(ana, "#body")
    page.keyboard.type("No mouse was harmed.")
    focus_on(ana, "#compose .buttons button:not(.secondary):not(.quiet)")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sent")
    expect(page.locator("#lines .line", has_text="By hand")).to_have_count(1)


def focus_on(who: Visitor, selector: str) -> None:
    """Press Tab until it has the focus, which must be seen."""
    for _press in range(120):
        who.page.keyboard.press("Tab")
        if who.page.locator(selector).first.evaluate("element => element === document.activeElement"):
            style = who.page.evaluate(
                "(() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.boxShadow]; })()"
            )
            assert style != ["none", "none"], f"{selector} has the focus and does not show it"
            return
    raise AssertionError(f"{selector} is not reached by Tab")
