"""Nudges: when somebody is called, what a call says and what it never says, over real mail and real HTTP."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from keys.levels import Level
from node import config, vital_signs
from node.cli import main
from node.config import Home
from node.daemon import Daemon
from node.desks import AtDesk, Colleague
from node.i18n import LANGUAGES, speech
from node.languages import Language
from node.model import DAY
from node.nudging import mail, plan, words
from node.nudging.mail import NotToldError, Post, compose
from node.nudging.settings import Mail, Rule, is_address, rule
from node.nudging.words import Call
from node.people.roles import Role
from node.tables import state
from node.tables import urgent as table
from node.tables.urgent import Nudging, Step, Waiting
from node.webhooks import signing
from protocol.errors import ConfigError, MalformedError
from protocol.messages.content import Author
from tests.support.association import Association, found
from tests.support.hub_home import running as hub
from tests.support.mail_sink import MailSink, mail_sink
from tests.support.node_home import case_system, connected, eventually, node, operator

AR, BR = "ar-mpf", "br-mpf"
MINUTE = 60
SUBJECT, BODY, CASE = "Operativo Reservadísimo", "El testigo protegido declara el martes", "Causa 4127/2026"
RULE = Rule("mailto:turno@example.org", "mailto:jefa@example.org", "es", 30 * MINUTE, 5 * MINUTE, 30 * MINUTE,
            60 * MINUTE)  # fmt: skip
CALL = Call("central", "br-mpf@aiamp", Step.DUTY, RULE, 2, 1, 1_800_000_000, 1, "https://valija.example.org/inbox")
NOTHING = Waiting("central", 1, 0, 0, None, None, None, None, None)


# -- when ----------------------------------------------------------------------------------------------
def due(waiting: Waiting, now: int, step: Step = Step.DUTY, **told: Any) -> int | None:
    known = {"sent_at": None, "count": 0, "attempts": 0, "next_at": None, "failing_since": None, "outcome": None} | told
    return plan.due_at(waiting, RULE, {step: Nudging("central", step, **known)} if told else {}, step, now)


def test_an_emergency_is_called_sooner_than_what_is_urgent() -> None:
    assert due(replace(NOTHING, untold_urgent=1_000), 1_000) == 1_000 + 30 * MINUTE
    assert due(replace(NOTHING, untold_urgent=1_000, untold_emergency=1_200), 1_200) == 1_200 + 5 * MINUTE


def test_duty_is_called_again_after_the_pause_and_ever_more_rarely() -> None:
    waiting = replace(NOTHING, told_at=1_800, unescalated_at=1_800)
    assert due(waiting, 1_800, sent_at=1_800) == 1_800 + 30 * MINUTE
    assert due(waiting, 2 * DAY, sent_at=2 * DAY) == 2 * DAY + DAY // 4
    assert due(waiting, 90 * DAY, sent_at=90 * DAY) == 91 * DAY


def test_what_comes_while_others_wait_goes_with_the_next_call_or_after_a_gap() -> None:
    waiting = replace(NOTHING, told_at=600, untold_emergency=310)
    assert due(waiting, 605, sent_at=600) == 600 + plan.GAP_SECONDS
    assert due(replace(waiting, untold_emergency=700), 705, sent_at=600) == 700 + RULE.emergency_seconds
    assert due(replace(waiting, untold_emergency=None, untold_urgent=1_000), 1_000, sent_at=600) == 600 + 30 * MINUTE


def test_after_those_told_of_were_opened_the_next_has_its_own_minutes() -> None:
    waiting = replace(NOTHING, since=9_000, untold_urgent=9_000)
    assert due(waiting, 9_001, sent_at=600) == 9_000 + 30 * MINUTE
    assert due(waiting, 9_001, Step.ESCALATION, sent_at=600) is None


def test_escalation_follows_the_first_attempt_even_one_that_failed() -> None:
    waiting = replace(NOTHING, told_at=600, unescalated_at=600)
    assert due(waiting, 600, Step.ESCALATION) == 600 + 60 * MINUTE
    assert due(replace(NOTHING, untold_urgent=0), 90 * MINUTE, Step.ESCALATION) is None
    assert plan.due_at(waiting, replace(RULE, escalation=""), {}, Step.ESCALATION, DAY) is None


def test_what_fails_is_tried_again_sooner_than_the_next_would_go() -> None:
    waiting = replace(NOTHING, told_at=600, unescalated_at=600)
    assert due(waiting, 700, next_at=630, attempts=1) == 630
    # Who was killed between the call and its record calls once more.
    assert due(waiting, 700, sent_at=None, attempts=0) == 700
    pauses = [plan.retry_after(RULE, attempts) for attempts in range(80)]
    assert pauses[:3] == [30, 60, 120]
    assert max(pauses) == RULE.repeat_seconds


@given(st.lists(st.tuples(st.integers(0, 2 * DAY), st.booleans()), min_size=1, max_size=6), st.booleans())
def test_however_they_come_each_is_told_of_in_time_and_nobody_is_flooded(
    arrivals: list[tuple[int, bool]],
    works: bool,
) -> None:
    """Duty's calls over three days, at every moment that counts, against what any reader of the rules expects."""
    told: dict[int, int] = {}
    known: Nudging | None = None
    calls: list[int] = []
    now = 0
    while now < 3 * DAY:
        here = [(index, at, how) for index, (at, how) in enumerate(arrivals) if at <= now]
        soon = [at for at, _how in arrivals if at > now]
        untold = [(at, how) for index, at, how in here if index not in told]
        since, first = min((at for _, at, _ in here), default=now), min(told.values(), default=None)
        plain, pressing = (min((at for at, how in untold if how is wanted), default=None) for wanted in (False, True))
        waiting = Waiting("central", len(here), 0, since, plain, pressing, first, None, None)
        at = plan.due_at(waiting, RULE, {Step.DUTY: known} if known else {}, Step.DUTY, now) if here else None
        if at is None or at > now:
            now = min([3 * DAY, *soon, *([at] if at else [])])
            continue
        calls.append(now)
        told |= {index: now for index, _at, _how in here if index not in told}
        attempts = known.attempts if known else 0
        retry_at = now + plan.retry_after(RULE, attempts)
        known = (
            Nudging("central", Step.DUTY, now, 1, 0, None, None, None)
            if works
            else Nudging("central", Step.DUTY, None, 0, attempts + 1, retry_at, now, "x")
        )
    slack = max(RULE.repeat_seconds, plan.GAP_SECONDS) + 2 * MINUTE
    for index, (at, how) in enumerate(arrivals):
        assert told[index] <= at + (RULE.emergency_seconds if how else RULE.urgent_seconds) + slack
    assert all(later - earlier >= (plan.GAP_SECONDS if works else plan.RETRY_SECONDS)
               for earlier, later in pairwise(calls))  # fmt: skip


# -- what it says ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_says_where_how_many_since_when_and_where_to_open_them(language: Language) -> None:
    call = replace(CALL, rule=replace(RULE, language=language))
    spoken = speech(language, "America/Sao_Paulo")
    made = compose(call, spoken, "valija@example.org", 1_800_003_600)
    told = made.get_content()
    for part in ("central", "br-mpf@aiamp", "2", spoken.moment(1_800_000_000), "https://valija.example.org/inbox"):
        assert part in told
    assert (made["To"], made["From"], made["Content-Language"]) == ("turno@example.org", "valija@example.org", language)
    english = speech("en", "UTC")
    if language != "en":
        assert str(made["Subject"]) != words.subject(call, english)
        assert told != words.text(call, english, 1_800_003_600)


def test_one_says_that_others_were_called_before() -> None:
    spoken = speech("en")
    first, second = (words.text(replace(CALL, step=step), spoken, 1_800_000_100) for step in Step)
    assert first != second
    assert "duty address was called before" in second
    assert "marked as" not in words.text(replace(CALL, emergencies=0), spoken, 1_800_000_100)
    assert "case system" in words.text(replace(CALL, open_at=""), spoken, 1_800_000_100)


@pytest.mark.parametrize("name", ["x\r\nBcc: otro@example.org", "x\nSubject: y", "a b", "<b>", "", "é" * 3, "x" * 33])
@pytest.mark.attack("header injection")
def test_no_name_breaks_out_of_a_header(name: str) -> None:
    with pytest.raises(MalformedError):
        replace(CALL, desk=name)
    with pytest.raises(MalformedError):
        replace(CALL, member=f"{name}@aiamp")


@pytest.mark.parametrize(
    "address",
    ["turno@example.org", "mailto:", "mailto:a", "mailto:a@b@c", "mailto:a@b,c@d", "mailto:a@b?cc=c@d", "mailto:a b@c",
     "mailto:a@b\r\nRCPT TO:<x@y>", "mailto:<a@b>", "mailto:.a@b", "mailto:a@-b", "ftp://x", "https://", "https://x\n",
     "https://[::1", "javascript:x", "https://ejemplo.org/ñ"],
)  # fmt: skip
@pytest.mark.attack("header injection")
def test_no_other_address_is_called(address: str) -> None:
    assert not is_address(address)


# -- settings --------------------------------------------------------------------------------------------
NODE = '[member]\nname = "br-mpf"\n[hub]\nurl = "http://127.0.0.1:1"\n'
MAIL = '[mail]\nhost = "mail.example.org"\nsender = "valija@example.org"\n'


def loaded(folder: Path, text: str) -> config.NodeConfig:
    home = Home(folder)
    home.config.write_text(NODE + text, encoding="utf-8")
    return config.load(home, {})


def test_a_desk_differs_where_it_says_so(tmp_path: Path) -> None:
    text = MAIL + ('[nudges]\nduty = "mailto:a@b.c"\nrepeat_minutes = 7\n[nudges.desks.otra]\nduty = "mailto:d@e.f"\n'
                   'language = "pt-BR"\nemergency_minutes = 0\n')  # fmt: skip
    nudges = loaded(tmp_path, text).nudges
    assert rule(nudges, "central") == Rule("mailto:a@b.c", "", "es", 1_800, 300, 420, 3_600)
    assert rule(nudges, "otra") == Rule("mailto:d@e.f", "", "pt-BR", 1_800, 0, 420, 3_600)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[nudges]\nduty = "secreto"\n', "nudges.duty is neither"),
        ('[nudges]\nduty = "mailto:a@b.c"\n', "mail.host and mail.sender"),
        ('[nudges]\nduty = "https://x.org/secreto"\n', "signing_secret_file"),
        (MAIL + '[nudges]\nescalation = "mailto:a@b.c"\n', "there is none"),
        (MAIL + '[nudges.desks."A B"]\nduty = "mailto:a@b.c"\n', "no name of a desk"),
        (MAIL + '[nudges.desks.otra]\nduty = "secreto"\n', "nudges.desks.otra.duty is neither"),
        (MAIL + '[nudges.desks.otra]\nwhom = "a"\n', "nudges.desks"),
        ('[nudges]\nlanguage = "fr"\n', "nudges.language"),
        ("[nudges]\nrepeat_minutes = 0\n", "nudges.repeat_minutes is from 1"),
        ("[nudges]\nurgent_minutes = -1\n", "nudges.urgent_minutes is from 0"),
        (MAIL + 'security = "none"\n', "starttls or tls alone"),
        (MAIL + 'security = "ssl"\n', "mail.security"),
        (MAIL + 'user = "a"\n', "belong together"),
        (MAIL + "port = 0\n", "mail.port"),
        ('[mail]\nhost = "a b"\n', "mail.host"),
        ('[mail]\nsender = "a@b>\\r\\nRCPT TO:<x@y"\n', "mail.sender"),
    ],
)
def test_each_mistake_is_told_and_no_address_repeated(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert said in caught.value.detail
    assert "secreto" not in caught.value.detail


def test_what_the_operators_are_shown_is_understood(tmp_path: Path) -> None:
    page_ = (Path(__file__).parents[2] / "deploy" / "README.md").read_text(encoding="utf-8")
    nudges = loaded(tmp_path, page_.split("```toml\n")[1].split("```")[0]).nudges
    assert rule(nudges, "central").escalation.startswith("https://")
    assert rule(nudges, "antidrogas").emergency_seconds == 0


# -- mail ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def issuer() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority(issuer: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    path.write_bytes(issuer.cert_pem.bytes())
    return path


def server_context(issuer: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(name).configure_cert(context)
    return context


def settings(sink: MailSink, security: Any = "starttls") -> Mail:
    return Mail(host="127.0.0.1", port=sink.port, security=security, sender="valija@example.org")


@asynccontextmanager
async def post(made: Mail, ca_file: Path | None, password_file: Path | None = None) -> AsyncIterator[Post]:
    way = Post(made, password_file, ca_file)
    try:
        yield way
    finally:
        way.close()


MESSAGE = compose(CALL, speech("es"), "valija@example.org", 1_800_000_000)


@pytest.mark.parametrize("at_once", [False, True])
async def test_mail_goes_under_tls_with_a_login(
    issuer: trustme.CA, authority: Path, tmp_path: Path, *, at_once: bool
) -> None:
    password = tmp_path / "password"
    password.write_text("clave-de-correo\n", encoding="utf-8")
    async with mail_sink(server_context(issuer), at_once=at_once) as sink:
        made = settings(sink, "tls" if at_once else "starttls")
        made = Mail(**{name: getattr(made, name) for name in ("host", "port", "security", "sender")}, user="valija",
                    password_file=str(password))  # fmt: skip
        async with post(made, authority, password) as way:
            await way.send(MESSAGE)
        ((sender, recipients, secure, user),) = sink.envelopes
        assert (secure, user) == (True, "\0valija\0clave-de-correo")
        assert "<valija@example.org>" in sender.lower()
        assert ["turno@example.org" in each for each in recipients] == [True]
        assert b"clave" not in sink.seen
        assert str(sink.mails[0]["Subject"]) == str(MESSAGE["Subject"])


async def test_nothing_leaves_in_the_open(issuer: trustme.CA, authority: Path) -> None:
    async with mail_sink() as sink, post(settings(sink), authority) as way:
        with pytest.raises(NotToldError, match="SMTPNotSupportedError"):
            await way.send(MESSAGE)
        assert sink.envelopes == []
        assert b"MAIL" not in sink.seen
    async with mail_sink(server_context(issuer, "mail.example.org")) as sink, post(settings(sink), authority) as way:
        with pytest.raises(NotToldError, match="SSLCertVerificationError"):
            await way.send(MESSAGE)
    async with mail_sink(server_context(issuer)) as sink, post(settings(sink), None) as way:
        with pytest.raises(NotToldError, match="SSLCertVerificationError"):
            await way.send(MESSAGE)


async def test_a_refusal_is_told_by_its_number(issuer: trustme.CA, authority: Path) -> None:
    async with mail_sink(server_context(issuer)) as sink, post(settings(sink), authority) as way:
        sink.refusal = "550 turno@example.org is a secret"
        with pytest.raises(NotToldError, match=r"^mail server refused the address, 550$"):
            await way.send(MESSAGE)
    async with post(settings(sink), authority) as way:
        with pytest.raises(NotToldError, match=r"^ConnectionRefusedError$"):
            await way.send(MESSAGE)


async def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "WHOLE_SECONDS", 0.2)
    async with mail_sink() as sink:
        sink.is_slow = True
        async with post(settings(sink, "none"), None) as way:
            with pytest.raises(NotToldError, match="no answer in time"):
                await way.send(MESSAGE)
            # Its connection is ended at once, not after its own patience.
            await eventually("the end of the line", sink.gone.is_set, 5.0)


# -- all of it -------------------------------------------------------------------------------------------
@dataclass
class Clock:
    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Receiver:
    """A case system or pager over HTTP."""

    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    port: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.told.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/guardia", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


@dataclass
class House:
    association: Association
    there: Daemon
    sender: aiohttp.ClientSession
    clock: Clock
    sink: MailSink
    pager: Receiver
    secret: str

    @property
    def home(self) -> Home:
        return self.association.homes[BR]

    @asynccontextmanager
    async def here(self) -> AsyncIterator[Daemon]:
        async with node(self.home, now=self.clock) as daemon:
            await connected(daemon)
            yield daemon

    async def write(self, key: str, urgency: str, to: str = BR) -> str:
        body = {"to": [to], "subject": SUBJECT, "body": BODY, "urgency": urgency, "case_reference": CASE}
        async with self.sender.post("/api/v1/messages", json=body, headers={"Idempotency-Key": key}) as answer:
            assert answer.status == 202, await answer.text()
            return str((await answer.json())["id"])


@asynccontextmanager
async def house(folder: Path, issuer: trustme.CA, authority: Path) -> AsyncIterator[House]:
    association = found(folder / "x", [AR, BR], {}, tls=False)
    secret = signing.show_secret(signing.draw_secret())
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(mail_sink(server_context(issuer)))
        pager = await stack.enter_async_context(receiver())
        home = association.homes[BR]
        (home.folder / "call.secret").write_text(secret + "\n", encoding="ascii")
        text = home.config.read_text(encoding="utf-8")
        for name, more in {
            "nudges": f'duty = "mailto:turno@example.org"\nescalation = "http://127.0.0.1:{pager.port}/guardia"\n'
                      'language = "pt-BR"\nurgent_minutes = 4\nemergency_minutes = 1\nrepeat_minutes = 6\n'
                      'escalate_minutes = 10\nsigning_secret_file = "call.secret"\n',
            "mail": f'host = "127.0.0.1"\nport = {sink.port}\nsender = "valija@example.org"\nca_file = "{authority}"\n',
            "webhooks": 'allow = ["127.0.0.1"]\n',
            "web": 'listen = "127.0.0.1:0"\npublic_origin = "https://valija.example.org"\n',
        }.items():  # fmt: skip
            text = text.replace(f"\n[{name}]\n", f"\n[{name}]\n{more}")
        home.config.write_text(text, encoding="utf-8")
        await stack.enter_async_context(hub(association.hub_home))
        there = await stack.enter_async_context(node(association.homes[AR]))
        sender = await stack.enter_async_context(case_system(there, association.tokens[AR]))
        await connected(there)
        yield House(association, there, sender, Clock(), sink, pager, secret)


async def waits(daemon: Daemon, count: int) -> None:
    async def counted() -> bool:
        return sum(each.count for each in await daemon.service.read(lambda tx: table.waiting(tx, "central"))) == count

    await eventually(f"{count} waiting", counted)


async def look(daemon: Daemon) -> None:
    """Return once the node has looked, from beginning to end, at what is due now."""
    nudger = daemon.nudger
    assert nudger
    for _ in range(2):
        before = nudger.looks
        nudger.notify()
        await eventually("a look", lambda before=before: nudger.looks > before)  # type: ignore[misc]


async def after(house_: House, daemon: Daemon, minutes: float) -> None:
    house_.clock.ahead += minutes * MINUTE
    await look(daemon)


def is_silent_about(raw: bytes, message_id: str) -> bool:
    """Whether nothing of a message is in these bytes, encoded as headers and bodies of mail are or not."""
    sink = MailSink(raw=[raw])
    told = raw.decode("latin-1") + str(sink.mails[0]["Subject"]) + str(sink.mails[0].get_content())
    return not any(
        part.lower() in told.lower()
        for part in (SUBJECT, "Reservad", BODY, "testigo", CASE, "4127", message_id, message_id[4:], AR, "Fiscal")
    )


async def test_somebody_is_called_until_it_is_opened(issuer: trustme.CA, authority: Path, tmp_path: Path) -> None:
    async with house(tmp_path, issuer, authority) as place:
        sink, pager = place.sink, place.pager
        async with place.here() as here:
            await place.write("routine", "routine")
            first = await place.write("urgent", "urgent")
            await waits(here, 1)
            await after(place, here, 3)
            assert sink.raw == []
            await after(place, here, 2)
            (raw,) = sink.raw
            assert is_silent_about(raw, first)
            (told,) = sink.mails
            assert str(told["Subject"]) == words.subject(replace(CALL, count=1), speech("pt-BR"))
            assert "https://valija.example.org/inbox" in told.get_content()
            assert sink.envelopes[0][2]
            await look(here)
            assert len(sink.raw) == 1
        # A restart neither forgets nor begins anew.
        async with place.here() as here:
            await look(here)
            assert len(sink.raw) == 1
            # Two more: one call for all of them.
            await place.write("emergency", "emergency")
            await place.write("emergency 2", "emergency", f"{BR}/central")
            await waits(here, 3)
            await after(place, here, 5.5)
            assert len(sink.raw) == 2
            assert str(sink.mails[1]["Subject"]) == words.subject(replace(CALL, count=3), speech("pt-BR"))
            assert pager.told == []
            # Of the first it was told ten minutes ago, of the two others it was not.
            await after(place, here, 5)
            ((headers, body),) = pager.told
            data = json.loads(body)["data"]
            assert (data["step"], data["count"], data["emergencies"]) == ("escalation", 1, 0)
            assert (data["member"], data["desk"]) == ("br-mpf@aiamp", "central")
            assert is_silent_about(b"Subject: x\n\n" + body, first)
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            signed = Webhook(place.secret).sign(headers["webhook-id"], at, body.decode())
            assert signed == headers["webhook-signature"]
            assert {each.code for each in await here.service.read(state.alarms)} >= {"urgent_unopened"}
            row = next(each for each in vital_signs.judge(await status(place)) if each.name == "nudges")
            assert row.level is Level.PROBLEM
            assert "then escalation" in row.found
            figures = await page(place)
            assert figures["valija_node_urgent_unopened"] == 3
            assert figures["valija_node_nudges_sent_total"] == len(sink.raw) + 1
            assert figures["valija_node_nudge_unanswered_seconds"] >= 600
            # Once all are opened nobody is called any more.
            async with case_system(here, place.association.tokens[BR]) as system:
                for key in await ids(system):
                    async with system.get(f"/api/v1/messages/{key}") as answer:
                        assert answer.status == 200
            await waits(here, 0)
            calls = len(sink.raw), len(pager.told)
            await after(place, here, 20)
            assert (len(sink.raw), len(pager.told)) == calls
            assert await here.service.read(table.nudging) == []
            assert (await page(place))["valija_node_nudge_unanswered_seconds"] == 0


async def ids(system: aiohttp.ClientSession) -> list[str]:
    async with system.get("/api/v1/messages") as answer:
        return [each["id"] for each in (await answer.json())["items"]]


async def status(place: House) -> Any:
    async with operator(place.home) as own, own.get("/api/v1/status") as answer:
        return await answer.json()


async def page(place: House) -> dict[str, float]:
    async with operator(place.home) as own, own.get("/metrics") as answer:
        lines = [line.rsplit(" ", 1) for line in (await answer.text()).splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}


async def test_what_fails_is_tried_again_told_to_the_operator_and_escalated(
    issuer: trustme.CA, authority: Path, tmp_path: Path
) -> None:
    async with house(tmp_path, issuer, authority) as place, place.here() as here:
        place.sink.refusal, place.pager.status = "451 not now", 503
        await place.write("one", "emergency")
        await waits(here, 1)
        await after(place, here, 2)
        row = next(each for each in vital_signs.judge(await status(place)) if each.name == "nudges")
        assert row.level is Level.PROBLEM
        assert "refused the address, 451" in row.found
        assert (await page(place))["valija_node_nudges_failing"] == 1
        await after(place, here, 0.1)
        assert (await page(place))["valija_node_nudges_failed_total"] == 1
        for minutes in (1, 2, 4, 4):
            await after(place, here, minutes)
        assert (await page(place))["valija_node_nudges_failed_total"] == 6
        assert {each.code for each in await here.service.read(state.alarms)} >= {"nudge_failed"}
        # Duty could not be called: escalation is, all the same, and again where it fails.
        assert len(place.pager.told) == 1
        assert (await page(place))["valija_node_nudges_failing"] == 2
        place.pager.status = 200
        place.sink.refusal = ""
        await after(place, here, 6)
        assert len(place.pager.told) == 2
        assert place.pager.told[0][0]["webhook-id"] == place.pager.told[1][0]["webhook-id"]
        assert len(place.sink.raw) == 1
        assert (await page(place))["valija_node_nudges_failing"] == 0


async def test_those_on_duty_can_be_called_by_way_of_trial(issuer: trustme.CA, authority: Path, tmp_path: Path) -> None:
    async with house(tmp_path, issuer, authority) as place, place.here() as here:
        place.pager.status = 500
        async with operator(place.home) as own:
            async with own.post("/api/v1/nudges/central/test") as answer:
                told = await answer.json()
            async with own.post("/api/v1/nudges/otra/test") as answer:
                assert (answer.status, (await answer.json())["code"]) == (422, "unknown_desk")
        assert told == {"calls": [{"step": "duty", "failure": None}, {"step": "escalation", "failure": "status 500"}]}
        (mail_,) = place.sink.mails
        asked = ["nudge", "central", "--home", str(place.home.folder), "--language", "en"]
        for status_, count in ((500, 1), (200, 0)):
            place.pager.status = status_
            done = await asyncio.to_thread(CliRunner().invoke, main, asked)
            assert done.exit_code == count, done.output
            assert done.output.count("the call went through") == 2 - count
            assert done.output.count("escalation: the call did not go through: status 500") == count
        assert str(mail_["Subject"]) == words.subject(replace(CALL, count=0), speech("pt-BR"))
        assert "0" not in mail_.get_content()
        async with (
            case_system(here, place.association.tokens[BR]) as system,
            system.post("/api/v1/nudges/central/test") as answer,
        ):
            assert answer.status == 404
        assert await here.service.read(table.nudging) == []


async def test_who_opens_it_for_the_desk_and_who_does_not(issuer: trustme.CA, authority: Path, tmp_path: Path) -> None:
    async with house(tmp_path, issuer, authority) as place, place.here() as here:
        service = here.service
        await service.add_desk("otra")
        first = await place.write("both", "urgent", f"{BR}/otra")
        await waits(here, 1)
        message_id = await service.identify(first, AtDesk("otra"))

        def person(role: Role) -> Colleague:
            return Colleague(("otra",), Author(name="Ana", role=role.value, login_method="passkey"))

        await service.message(message_id, person(Role.AUDITOR))
        async with case_system(here, place.association.tokens[BR]) as system:
            async with system.get(f"/api/v1/messages/{first}") as answer:
                assert answer.status == 404
            await ids(system)
        await waits(here, 1)
        await service.message(message_id, person(Role.CLERK))
        await waits(here, 0)
        # What a case system answers for the desk is opened, too.
        second = await place.write("answered", "emergency")
        await waits(here, 1)
        async with case_system(here, place.association.tokens[BR]) as system:
            path = f"/api/v1/messages/{second}/acknowledge"
            async with system.post(path, json={"action": "acknowledged"}) as answer:
                assert answer.status in {200, 202, 204}, await answer.text()
        await waits(here, 0)
        await after(place, here, 30)
        assert place.sink.raw == []


async def test_addresses_and_files_are_judged_at_the_start(tmp_path: Path) -> None:
    home = found(tmp_path / "x", [AR], {}, tls=False).homes[AR]
    plain = home.config.read_text(encoding="utf-8")
    (home.folder / "short").write_text("whsec_YWJj", encoding="ascii")
    (home.folder / "good").write_text(signing.show_secret(b"x" * 32), encoding="ascii")
    for more, said in (
        ('duty = "https://example.org/x"\nsigning_secret_file = "short"', "32 random bytes"),
        ('duty = "https://example.org/x"\nsigning_secret_file = "gone"', "32 random bytes"),
        ('duty = "https://10.0.0.1/x"\nsigning_secret_file = "good"', "not public"),
        ('duty = "http://example.org/x"\nsigning_secret_file = "good"', "https alone"),
    ):
        home.config.write_text(plain.replace("\n[nudges]\n", f"\n[nudges]\n{more}\n"), encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            async with node(home):
                pass
