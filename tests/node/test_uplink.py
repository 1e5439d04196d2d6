"""The line to the hub: what its failures are called, what way it takes, how it comes back."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hub.line import Line
from node import exchange, hubline, uplink
from node.config import Home
from node.context import Context
from node.daemon import Daemon
from node.engine import Engine, Going
from node.exchange import Exchange
from node.fetching import MAX_NEW_LEAVES, bundle_path, fetch, read_bundle
from node.hubline import HubLine, choose_proxy
from node.lookups import FIRST_SECONDS, LONGEST_SECONDS, Lookups
from node.tables import state
from node.tls import client_context
from node.uplink import LONGEST_WAIT_SECONDS, Phase, Uplink, _explained, longest_wait
from protocol.codec import encode
from protocol.errors import (
    ConfigError,
    HubGoneError,
    LimitError,
    MalformedError,
    ProxyError,
    SignatureError,
    StaleError,
    StandingError,
    TlsInspectedError,
    ValijaError,
    WrongHubError,
)
from protocol.names import EnvelopeId
from protocol.session.frames import Published, Recalled, Results
from protocol.session.items import ResultItem
from protocol.session.machine import Closed, Source
from tests.support.association import Association, found
from tests.support.hub_home import running as hub
from tests.support.node_home import connected, eventually, node, operator, stuck
from tests.support.proxies import proxy, web
from tests.support.world import DAY

AR, BR = "ar-mpf", "br-mpf"


@pytest.fixture
def association(tmp_path: Path) -> Association:
    return found(tmp_path / "x", [AR], tls=False)


async def failure(line: HubLine, path: str = "/log/checkpoint") -> ValijaError:
    async with line:
        with pytest.raises(ValijaError) as caught:
            await line.get(path)
        with pytest.raises(ValijaError) as of_session:
            async with line.session():
                raise AssertionError("no session")
    assert of_session.value.code == caught.value.code
    return caught.value


# -- the line, its failures ------------------------------------------------------------------------------
async def test_a_hub_that_is_gone(unused_tcp_port: int) -> None:
    error = await failure(HubLine(f"http://127.0.0.1:{unused_tcp_port}", None, None))
    assert isinstance(error, HubGoneError)
    assert str(unused_tcp_port) in error.detail


async def test_somebody_else_answers_there() -> None:
    async with web(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as port:
        error = await failure(HubLine(f"http://127.0.0.1:{port}", None, None))
    assert isinstance(error, HubGoneError)
    assert "404" in error.detail


async def test_an_answer_is_read_up_to_its_cap() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
    async with web(answer) as port, HubLine(f"http://127.0.0.1:{port}", None, None) as line:
        assert await line.get("/x", 11) == b"hello world"
        with pytest.raises(LimitError):
            await line.get("/x", 10)


@pytest.mark.parametrize("status", [b"200 OK", b"502 Bad Gateway"])
async def test_an_answer_to_a_post_that_is_none(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}"
    async with web(answer) as port, HubLine(f"http://127.0.0.1:{port}", None, None) as line:
        with pytest.raises(HubGoneError):
            await line.post_statement(b"x")


async def test_a_proxy_that_is_gone_or_refuses(unused_tcp_port: int) -> None:
    context = client_context(None)
    error = await failure(HubLine("https://hub.example.org", f"http://127.0.0.1:{unused_tcp_port}", context))
    assert isinstance(error, ProxyError)
    async with proxy(403) as refusing:
        secret = refusing.url.replace("http://", "http://ana:secreto@")
        error = await failure(HubLine("https://hub.example.org", secret, context))
    assert isinstance(error, ProxyError)
    assert "403" in error.detail
    assert "secreto" not in error.detail
    assert b"Proxy-Authorization: Basic" in refusing.asked[0]


# -- TLS -----------------------------------------------------------------------------------------------
def serving(issued: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, ssl.SSLContext]:
    made = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(made.cert_pem.bytes())
    return made, client_context(tmp_path / "ca.pem")


@pytest.mark.parametrize("through_proxy", [False, True])
async def test_an_inspector_is_recognized_and_named(authority: tuple, through_proxy: bool) -> None:
    inspector = trustme.CA(organization_name="Inspección S.A.")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with web(answer, serving(inspector.issue_cert("127.0.0.1"))) as port, proxy() as by:
        error = await failure(HubLine(f"https://127.0.0.1:{port}", by.url if through_proxy else None, authority[1]))
    assert isinstance(error, TlsInspectedError)
    assert "Inspección S.A." in error.detail


async def test_a_known_authority_is_trusted(authority: tuple) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with web(answer, serving(authority[0].issue_cert("127.0.0.1"))) as port, proxy() as by:
        for way in (None, by.url):
            async with HubLine(f"https://127.0.0.1:{port}", way, authority[1]) as line:
                assert await line.get("/x") == b"ok"
    assert by.asked[0].startswith(b"CONNECT 127.0.0.1:")


async def test_a_certificate_of_another_name_or_time(authority: tuple) -> None:
    other = serving(authority[0].issue_cert("other.example.org"))
    async with web(b"", other) as port:
        error = await failure(HubLine(f"https://127.0.0.1:{port}", None, authority[1]))
    assert isinstance(error, WrongHubError)
    past = datetime.now(UTC) - timedelta(days=1)
    async with web(b"", serving(authority[0].issue_cert("127.0.0.1", not_after=past))) as port:
        error = await failure(HubLine(f"https://127.0.0.1:{port}", None, authority[1]))
    assert isinstance(error, HubGoneError)
    assert "expired" in error.detail
    assert "clock" in error.detail


async def test_older_tls_is_not_spoken(authority: tuple) -> None:
    old = serving(authority[0].issue_cert("127.0.0.1"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with web(b"", old) as port:
        assert isinstance(await failure(HubLine(f"https://127.0.0.1:{port}", None, authority[1])), HubGoneError)


def test_an_authority_file_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        client_context(tmp_path / "none.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigError):
        client_context(tmp_path / "empty.pem")


# -- proxies of the environment ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("configured", "url", "environment", "chosen"),
    [
        ("", "https://hub", {}, None),
        ("", "https://hub", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("", "https://hub", {"https_proxy": "p:1"}, "http://p:1"),
        ("http://q:2", "https://hub", {"HTTPS_PROXY": "http://p:1"}, "http://q:2"),
        ("none", "https://hub", {"HTTPS_PROXY": "http://p:1"}, None),
        ("", "http://127.0.0.1:1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("", "https://hub.example.org", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x, .example.org"}, None),
        ("", "https://hub.example.org", {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ("", "https://hub.example.org", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "ample.org,"}, "http://p:1"),
        ("", "https://hub", {"HTTPS_PROXY": ""}, None),
    ],
)
def test_which_proxy_is_taken(configured: str, url: str, environment: dict, chosen: str | None) -> None:
    assert choose_proxy(configured, url, environment) == chosen


@pytest.mark.parametrize(
    "named",
    [
        "socks5h://127.0.0.1:1080",
        "http://[bad",
        ":::",
        "http://:80",
        "u:s3cret@p:nope",
        "ftp://a:b@p",
    ],
)
def test_a_proxy_of_the_environment_that_cannot_be_is_named_and_not_repeated(named: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY is no address") as refused:
        choose_proxy("", "https://hub", {"HTTPS_PROXY": named})
    assert named not in str(refused.value)
    assert choose_proxy("none", "https://hub", {"HTTPS_PROXY": named}) is None


# -- the log -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("tile", "width", "path"), [(0, 256, "000"), (7, 3, "007.p/3"), (999, 256, "999"),
                                                     (1000, 256, "x001/000"), (1234067, 1, "x001/x234/067.p/1")])  # fmt: skip
def test_bundles_are_named_as_tiles_are(tile: int, width: int, path: str) -> None:
    assert bundle_path(tile, width) == f"/log/tile/entries/{path}"


@given(st.lists(st.binary(max_size=60)))
def test_a_bundle_gives_its_entries(entries: list[bytes]) -> None:
    data = b"".join(len(each).to_bytes(2, "big") + each for each in entries)
    assert list(read_bundle(data)) == entries
    for cut in range(1, 3):
        if entries and len(data) > cut and entries[-1][-1:]:
            with pytest.raises(MalformedError):
                list(read_bundle(data[:-cut]) if len(entries[-1]) >= cut else read_bundle(b"\x00\x09x"))


class Shelf:
    """A hub's log as plain answers."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def get(self, path: str, _max_bytes: int = 0) -> bytes:
        if path == "/log/checkpoint":
            root = "A" * 43 + "="
            return f"x\n{self.size}\n{root}\n\n— x {'A' * 8}\n".encode()
        return b""


async def test_a_log_that_is_too_long_or_too_short_is_none() -> None:
    with pytest.raises(LimitError):
        await fetch(Shelf(MAX_NEW_LEAVES + 1), 0)  # type: ignore[arg-type]
    with pytest.raises(MalformedError):
        await fetch(Shelf(3), 0)  # type: ignore[arg-type]
    assert (await fetch(Shelf(3), 3)).leaves.entries == []  # type: ignore[arg-type]


# -- waiting -------------------------------------------------------------------------------------------
def test_waits_grow_to_a_minute_and_no_further() -> None:
    waits = [longest_wait(failures) for failures in range(1, 100)]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_SECONDS


NEVER = float("inf")


def next_at(lookups: Lookups) -> float:
    return NEVER if lookups.next_at is None else lookups.next_at


def test_the_absent_are_asked_for_ever_more_rarely() -> None:
    lookups, now, pauses = Lookups(), 1000.0, []
    for _round in range(8):
        assert lookups.want(frozenset({"co-fgn"}), now) == ["co-fgn"]
        assert lookups.want(frozenset({"co-fgn"}), now) == []
        assert next_at(lookups) == NEVER
        lookups.answered(["co-fgn"], now)
        assert lookups.want(frozenset({"co-fgn"}), now) == []
        pauses.append(next_at(lookups) - now)
        now = next_at(lookups)
    assert pauses[0] == FIRST_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_SECONDS
    assert lookups.want(frozenset({"br-mpf", "co-fgn"}), now) == ["br-mpf", "co-fgn"]
    lookups.answered(["co-fgn"], now)
    assert lookups.want(frozenset(), now) == []
    assert next_at(lookups) == NEVER
    assert lookups.want(frozenset({"co-fgn"}), now) == ["co-fgn"]


def test_when_the_log_grew_the_absent_are_asked_for_soon() -> None:
    lookups, now, absent = Lookups(), 1000.0, frozenset({"br-mpf", "co-fgn"})
    for _round in range(8):
        lookups.answered(lookups.want(absent, now), now)
        now = next_at(lookups)
    lookups.answered(lookups.want(absent, now), now)
    assert next_at(lookups) == now + LONGEST_SECONDS
    lookups.hurry(now)
    assert lookups.want(absent, now) == []
    assert next_at(lookups) == now + FIRST_SECONDS
    lookups.answered(lookups.want(absent, now + FIRST_SECONDS), now + FIRST_SECONDS)
    assert next_at(lookups) == now + 2 * FIRST_SECONDS, "and then ever more rarely again"
    lookups.hurry(now + 2 * FIRST_SECONDS - 0.5)
    assert next_at(lookups) == now + 2 * FIRST_SECONDS, "never later than it would have been"


def test_a_refused_clock_is_told_with_its_offset() -> None:
    closed = Closed("clock_skew", "1800000000", Source.HINT)
    assert _explained(closed, 1_800_007_200.5) == "hub time 1800000000, the node is 7200 s ahead"
    assert _explained(closed, 1_799_996_400) == "hub time 1800000000, the node is 3600 s behind"
    for detail in ("soon", "1" * 40, "", "²", "١٢"):
        assert _explained(Closed("clock_skew", detail, Source.HERE), 0) == detail
    assert _explained(Closed("fenced", "1800000000", Source.PEER), 0) == "1800000000"


# -- a whole node ----------------------------------------------------------------------------------------
async def test_a_node_that_comes_for_the_first_time_is_written_to_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = found(tmp_path / "y", [AR, BR], tls=False)
    answered: list[str] = []

    def never_again(lookups: Lookups, members: Iterable[str], now: float) -> None:
        for member in members:
            answered.append(member)
            lookups._asked.discard(member)
            lookups._pauses[member] = (now + DAY, DAY)

    monkeypatch.setattr(Lookups, "answered", never_again)
    async with hub(made.hub_home), node(made.homes[AR]) as sender, operator(made.homes[AR]) as client:
        await connected(sender)
        message = {"to": [BR], "body": "Primera"}
        async with client.post("/api/v1/messages", json=message, headers={"Idempotency-Key": "first"}) as answer:
            assert answer.status == 202
        await eventually("the hub's answer that nobody was there", lambda: BR in answered)
        async with node(made.homes[BR]), operator(made.homes[BR]) as there:

            async def arrived() -> bool:
                async with there.get("/api/v1/messages") as answer:
                    return bool((await answer.json())["items"])

            await eventually("the first message", arrived)


async def test_the_hub_goes_and_comes_back(association: Association) -> None:
    async with node(association.homes[AR]) as daemon:
        assert str(association.port) in await stuck(daemon, "hub_gone")
        async with hub(association.hub_home):
            await connected(daemon)
            assert daemon.service.uplink.state.failures == 0
        await eventually("the session's end", lambda: daemon.service.uplink.state.phase is not Phase.CONNECTED)
        async with hub(association.hub_home):
            await connected(daemon)


@pytest.mark.parametrize("hours", [2, -2, 24 * 366])
async def test_a_wrong_clock_is_told(association: Association, hours: int) -> None:
    async with (
        hub(association.hub_home),
        node(association.homes[AR], now=lambda: time.time() + hours * 3600) as daemon,
    ):
        detail = await stuck(daemon, "clock_skew")
    assert "ahead" in detail if hours > 0 else "behind" in detail
    seconds = int(detail.split(" the node is ")[1].split()[0])
    assert abs(seconds - abs(hours) * 3600) < 120


async def test_a_clock_that_is_set_while_a_session_lasts_ends_it_and_is_told(association: Association) -> None:
    ahead = [0.0]
    async with (
        hub(association.hub_home),
        node(association.homes[AR], now=lambda: time.time() + ahead[0]) as daemon,
    ):
        await connected(daemon)
        ahead[0] = 2 * 3_600
        daemon.service.rounds.wake()
        line = daemon.service.uplink
        await eventually("the offset", lambda: line.state.error is not None and " s ahead" in line.state.error.detail)
        ahead[0] = 0.0
        await connected(daemon)


async def test_a_hub_of_another_association_is_none(association: Association, tmp_path: Path) -> None:
    other = found(tmp_path / "y", [AR], tls=False)
    home: Home = association.homes[AR]
    text = home.config.read_text().replace(association.url, other.url)
    home.config.write_text(text)
    async with hub(other.hub_home), node(home) as daemon:
        await stuck(daemon, "wrong_hub")
        assert daemon.service.registry.size == 0


async def test_a_node_without_a_certificate_says_so_and_goes_on_when_it_has_one(tmp_path: Path) -> None:
    association = found(tmp_path / "z", [], tls=False)
    papers = association.admit(AR)
    async with hub(association.hub_home) as running, node(association.homes[AR]) as daemon:
        assert "not certified" in await stuck(daemon, "not_in_standing")
        with pytest.raises(StandingError):
            await daemon.service.rounds.ask(lambda ctx: None)
        async with HubLine(running.url, None, None) as line:
            with pytest.raises((SignatureError, StandingError)):
                await line.post_statement(papers[1].raw)
            indexes = [await line.post_statement(paper.raw) for paper in papers]
            assert indexes == [await line.post_statement(paper.raw) for paper in papers]
        await connected(daemon)


async def test_a_second_node_of_the_member_throws_the_first_out(association: Association, tmp_path: Path) -> None:
    home = association.homes[AR]
    async with hub(association.hub_home), node(home) as first:
        await connected(first)
        copy = Home(tmp_path / "copy")
        copy.folder.mkdir()
        for path in home.folder.rglob("*"):
            target = copy.folder / path.relative_to(home.folder)
            if path.is_dir():
                target.mkdir(mode=0o700, exist_ok=True)
            elif path.is_file():
                target.write_bytes(path.read_bytes())
                target.chmod(path.stat().st_mode)
        async with node(copy) as second:
            await connected(second)
            await stuck(first, "fenced")
            assert first.service.uplink.state.failures >= 5


async def test_through_tls_and_a_proxy(tmp_path: Path) -> None:
    association = found(tmp_path / "t", [AR], tls=True)
    async with hub(association.hub_home), proxy() as by:
        async with node(association.homes[AR], {"VALIJA_NODE_HUB_PROXY": by.url}) as daemon:
            await connected(daemon)
        async with node(association.homes[AR], {"HTTPS_PROXY": by.url, "VALIJA_NODE_HUB_PROXY": ""}) as daemon:
            await connected(daemon)
    assert all(head.startswith(b"CONNECT ") for head in by.asked)
    assert len(by.asked) >= 4


async def test_stopping_says_goodbye(association: Association) -> None:
    async with hub(association.hub_home) as running:
        async with node(association.homes[AR]) as daemon:
            await connected(daemon)
            daemon.stop()
            daemon.stop()
        assert daemon.service.uplink.state.phase is Phase.STOPPED
        await eventually("no session", lambda: not running.daemon.hall.sessions)
        assert not association.homes[AR].socket.exists()


# -- one session -----------------------------------------------------------------------------------------
class Socket:
    """A WebSocket that says what it was told to say."""

    def __init__(self, *messages: aiohttp.WSMessage | Exception) -> None:
        self.messages = list(messages)
        self.sent: list[bytes] = []

    async def receive(self, _timeout: float | None = None) -> aiohttp.WSMessage:
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)

    async def close(self) -> None:
        self.messages.append(aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None))


def said(kind: aiohttp.WSMsgType, data: object) -> aiohttp.WSMessage:
    return aiohttp.WSMessage(kind, data, None)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (said(aiohttp.WSMsgType.TEXT, "hola"), "malformed"),
        (said(aiohttp.WSMsgType.BINARY, b"garbage"), "malformed"),
        (said(aiohttp.WSMsgType.BINARY, encode([27, "clock_skew", "1800000000"])), "clock_skew"),
    ],
)
async def test_what_is_no_answer_ends_the_session(
    association: Association, message: aiohttp.WSMessage, code: str
) -> None:
    async with hub(association.hub_home), node(association.homes[AR]) as daemon:
        await connected(daemon)
        exchange = another(daemon)
        closed = await exchange.run(Socket(message))  # type: ignore[arg-type]
        assert closed.code == code
        exchange.go(Going(9))
        exchange.close(StandingError())


@pytest.mark.parametrize("message", [TimeoutError(), said(aiohttp.WSMsgType.CLOSED, None)])
async def test_a_line_that_breaks_without_a_word(association: Association, message: object) -> None:
    async with hub(association.hub_home), node(association.homes[AR]) as daemon:
        await connected(daemon)
        with pytest.raises(HubGoneError):
            await another(daemon).run(Socket(message))  # type: ignore[arg-type]


@pytest.mark.parametrize(("lost", "code"), [(1, "bad_frame"), (99, "hub_gone")])
async def test_what_the_hub_said_last_is_missed_in_the_silence_although_the_line_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int, code: str
) -> None:
    made, send, failed = found(tmp_path / "y", [AR, BR], tls=False), Line.send, Uplink._failed
    dropped: list[Line] = []
    codes: list[str] = []

    def dropping(line: Line, data: bytes) -> None:
        if len(dropped) < lost and line is (dropped or [line])[0]:
            dropped.append(line)
        else:
            send(line, data)

    async def telling(line: Uplink, error: ValijaError) -> None:
        codes.append(error.code)
        await failed(line, error)

    monkeypatch.setattr(hubline, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(exchange, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(Uplink, "_failed", telling)
    async with hub(made.hub_home), node(made.homes[AR]) as daemon, operator(made.homes[AR]) as client:
        await connected(daemon)
        session = daemon.service.uplink._exchange
        assert session is not None
        await eventually("our calendar at the hub", lambda: session._last_request and not session._asked)
        monkeypatch.setattr(Line, "send", dropping)
        # Who is written to has never been here: the last frame is the hub's answer to the question for its calendar.
        message = {"to": [BR], "body": "Urgente"}
        async with client.post("/api/v1/messages", json=message, headers={"Idempotency-Key": "first"}) as answer:
            assert answer.status == 202
        await eventually("the end of the session", lambda: codes)
        await connected(daemon)
    assert codes == [code]


def another(daemon: Daemon) -> Exchange:
    service = daemon.service
    identity = service.uplink._identity(None)
    return Exchange(9, service.engine, service.rounds, identity, time.time, daemon.log)


async def test_a_work_that_fails_ends_the_session_and_the_next_one_goes_on(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub(association.hub_home), node(association.homes[AR]) as daemon:
        await connected(daemon)
        exchange = daemon.service.uplink._exchange
        assert exchange

        def broken(*_given: object) -> None:
            raise KeyError("a fault of ours")

        with monkeypatch.context() as patched:
            patched.setattr(daemon.service.engine, "answered", broken)
            exchange._frame(Results((ResultItem(EnvelopeId(bytes(32)), "conflict", ()),)))
            await eventually("its end", lambda: daemon.service.uplink._exchange is not exchange)
        await connected(daemon)
        assert daemon.failure is None


async def test_what_may_not_be_said_ends_the_session_and_the_next_one_goes_on(association: Association) -> None:
    async with hub(association.hub_home), node(association.homes[AR]) as daemon:
        await connected(daemon)
        exchange = daemon.service.uplink._exchange
        assert exchange
        exchange._archived(1 << 40)
        await eventually("its end", lambda: daemon.service.uplink._exchange is not exchange)
        await connected(daemon)
        assert daemon.failure is None


async def test_a_calendar_that_the_hub_refuses_is_told_and_no_more(association: Association) -> None:
    async with hub(association.hub_home), node(association.homes[AR]) as daemon:
        await connected(daemon)
        exchange = daemon.service.uplink._exchange
        assert exchange
        with capture_logs() as logs:
            exchange._frame(Published(77, "stale"))
        exchange._frame(Recalled(78, None))
        assert [line["code"] for line in logs] in ([], ["stale"])
        assert await daemon.service.rounds.ask(lambda _ctx: 1) == 1
        assert daemon.service.uplink._exchange is exchange


async def test_prekeys_die_by_both_clocks_alone(association: Association) -> None:
    now = [time.time()]
    async with hub(association.hub_home), node(association.homes[AR], now=lambda: now[0]) as daemon:
        await connected(daemon)
        engine = daemon.service.engine
        assert engine.runway().held == 15

        def later(ctx: Context) -> tuple[int, list[str]]:
            engine._upkeep_at = 0.0
            engine.turn(replace(ctx, now=ctx.now + 3 * DAY))
            return engine.runway().held, [alarm.code for alarm in state.alarms(ctx.tx)]

        held, alarms = await daemon.service.rounds.ask(later)
        assert (held, "clock_skew" in alarms) == (18, True)
        engine._steady = lambda: time.monotonic() + 3 * DAY

        def drained(ctx: Context) -> tuple[int, list[str]]:
            engine._drained_at = ctx.second + 3 * DAY
            return later(ctx)

        held, _alarms = await daemon.service.rounds.ask(drained)
        assert held == 16


async def test_a_log_that_grew_is_fetched_again_when_the_first_time_fails(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def failing_once(line: Any, size: int) -> Any:
        asked.append(size)
        if len(asked) == 1:
            raise HubGoneError("no answer in time")
        return await fetch(line, size)

    monkeypatch.setattr(uplink, "_BEHIND_SECONDS", 1)
    async with hub(association.hub_home) as running, node(association.homes[AR]) as daemon:
        await connected(daemon)
        monkeypatch.setattr(uplink, "fetch", failing_once)
        # What the hub says once, however it is taken.
        running.daemon.hall.grown(running.core.log.registry.size)
        await eventually("another look at the log", lambda: len(asked) == 2)


async def test_a_fault_after_the_mirror_grew_loses_no_leaf(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, faults = Engine._follow, [StaleError("once")]

    def failing(engine: Engine, tx: Any, extension: Any) -> None:
        if faults:
            raise faults.pop()
        follow(engine, tx, extension)

    monkeypatch.setattr(Engine, "_follow", failing)
    async with hub(association.hub_home), node(association.homes[AR]) as daemon:
        await connected(daemon)
        assert not faults
        stored = await daemon.service.rounds.ask(lambda ctx: ctx.tx.one("SELECT count(*) FROM registry_leaf"))
        assert stored == (daemon.service.engine.mirror.registry.size,)
