"""What the client does with a node that refuses, breaks off or babbles: a stand-in answers what each test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.support.association import free_port
from valija_client import (
    AnswerError,
    Client,
    Draft,
    MessageEvent,
    Patience,
    Problem,
    UnreachableError,
    ValijaClientError,
)
from valija_client.stream import MAX_EVENT_BYTES, EventReader, Told

TOKEN = "vlj_only_for_tests"
QUICK = Patience(tries=3, first_seconds=0.01, longest_seconds=2)
DRAFT = Draft(to=("co-fgn",), subject="Prueba")
ACCEPTED = {"id": "msg_" + "a" * 26, "fresh": True, "readers": []}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refused(status: int, code: str = "", **headers: str) -> web.Response:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"code": code, "title": "No.", "status": status, "errors": [{"detail": "bad", "pointer": "/to/0"}]}
    return web.json_response(body, status=status, headers=shown, content_type="application/problem+json")


class Standin:
    """Answers one after the other what it was given, and keeps what it was asked."""

    def __init__(self, *answers: web.Response | Handler) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str, dict[str, str], bytes]]()
        self.times: list[float] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        self.times.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0)
        return answer if isinstance(answer, web.Response) else await answer(request)


@asynccontextmanager
async def speaking_to(standin: Standin, patience: Patience = QUICK) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", standin.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with Client(f"http://127.0.0.1:{port}", TOKEN, patience=patience) as client:
            yield client
    finally:
        await runner.cleanup()


async def cut(request: web.Request) -> web.StreamResponse:
    """The line breaks before anything is answered."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def keys(standin: Standin) -> set[str]:
    return {headers["Idempotency-Key"] for _method, _path, headers, _body in standin.asked}


# -- tried again -----------------------------------------------------------------------------------------
async def test_a_message_is_handed_in_under_one_key_until_it_is_accepted() -> None:
    standin = Standin(cut, refused(503, "store"), web.json_response(ACCEPTED, status=202))
    async with speaking_to(standin) as client:
        assert (await client.send(DRAFT)).id == ACCEPTED["id"]
    assert len(standin.asked) == 3
    assert len(keys(standin)) == 1
    assert standin.asked[0][2]["Authorization"] == f"Bearer {TOKEN}"


async def test_two_messages_have_two_keys_and_a_given_one_is_kept() -> None:
    standin = Standin(*(web.json_response(ACCEPTED, status=202) for _ in range(3)))
    async with speaking_to(standin) as client:
        await client.send(DRAFT)
        await client.send(DRAFT)
        await client.send(Draft(to=("co-fgn",), idempotency_key="registro-ñ-1"))
    assert len(keys(standin)) == 3
    assert "registro-ñ-1" in keys(standin)
    assert all(b"idempotency_key" not in body for *_rest, body in standin.asked)


@pytest.mark.parametrize("key", ["causa-1\nX-Other: yes", "causa-1\r", "causa\x00", "causa-1\udc80"])
async def test_a_key_that_no_header_holds_is_said_to_be_wrong_and_nothing_is_sent(key: str) -> None:
    standin = Standin()
    async with speaking_to(standin) as client:
        with pytest.raises(ValijaClientError, match="Idempotency-Key"):
            await client.send(Draft(to=("co-fgn",), idempotency_key=key))
        with pytest.raises(ValijaClientError, match="Last-Event-ID"):
            await anext(client.events(key))
    with pytest.raises(ValueError, match="Authorization") as caught:
        Client("http://127.0.0.1:1", f"vlj_{key}")
    assert "causa" not in str(caught.value)
    assert standin.asked == []


async def test_a_node_that_wants_to_be_left_alone_is() -> None:
    standin = Standin(refused(429, "too_many_requests", Retry_After="1"), web.json_response(ACCEPTED, status=202))
    async with speaking_to(standin) as client:
        await client.send(DRAFT)
    assert standin.times[1] - standin.times[0] >= 1


async def test_a_wait_longer_than_its_patience_is_told_at_once() -> None:
    standin = Standin(refused(429, "too_many_requests", Retry_After="3600"))
    async with speaking_to(standin) as client:
        with pytest.raises(Problem) as caught:
            await client.send(DRAFT)
    assert (caught.value.code, caught.value.retry_after_seconds) == ("too_many_requests", 3600)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
async def test_no_other_refusal_is_tried_again(status: int) -> None:
    standin = Standin(refused(status, "unknown_recipient"))
    async with speaking_to(standin) as client:
        with pytest.raises(Problem) as caught:
            await client.send(DRAFT)
    assert len(standin.asked) == 1
    problem = caught.value
    assert (problem.code, problem.status, problem.pointer) == ("unknown_recipient", status, "/to/0")


async def test_it_ends_after_so_many_tries() -> None:
    standin = Standin(cut, cut, cut)
    async with speaking_to(standin) as client:
        with pytest.raises(UnreachableError):
            await client.send(DRAFT)
    assert len(standin.asked) == 3


async def test_nobody_there_is_unreachable() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", TOKEN, patience=QUICK) as client:
        with pytest.raises(UnreachableError):
            await client.send(DRAFT)


async def test_what_would_be_done_twice_is_not_tried_again() -> None:
    standin = Standin(cut)
    async with speaking_to(standin) as client:
        with pytest.raises(UnreachableError):
            await client.webhooks.add("https://example.test/hook")
    assert len(standin.asked) == 1


async def test_what_was_refused_unread_is_tried_again_even_so() -> None:
    made = {"name": "whk_1", "desk": "central", "url": "https://example.test/hook", "created_at": "", "cursor": "",
            "failing_since": None, "disabled_at": None, "disabled_why": None, "secret": "whsec_geheim"}  # fmt: skip
    standin = Standin(refused(429, "too_many_requests"), web.json_response(made, status=201))
    async with speaking_to(standin) as client:
        fresh = await client.webhooks.add("https://example.test/hook")
    assert fresh.secret == "whsec_geheim"
    assert "geheim" not in repr(fresh)


# -- what is no node's answer ----------------------------------------------------------------------------
async def test_a_redirect_gets_no_token() -> None:
    standin = Standin(web.Response(status=307, headers={"Location": "/elsewhere"}))
    async with speaking_to(standin) as client:
        with pytest.raises(AnswerError):
            await client.status()
    assert len(standin.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[1]", b'{"member":1,"version":""}', b"\xff"])
async def test_what_is_no_answer_is_said_so(body: bytes) -> None:
    async with speaking_to(Standin(web.Response(body=body))) as client:
        with pytest.raises(AnswerError):
            await client.status()


async def test_a_proxy_refuses_in_words_of_its_own() -> None:
    async with speaking_to(Standin(web.Response(status=502, text="<h1>Bad gateway</h1>"))) as client:
        with pytest.raises(Problem) as caught:
            await client.status()
    assert (caught.value.code, caught.value.status, caught.value.pointer) == ("http_502", 502, None)


async def test_an_endless_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valija_client.wire.MAX_ANSWER_BYTES", 1_000)
    async with speaking_to(Standin(web.Response(body=b" " * 100_000))) as client:
        with pytest.raises(AnswerError):
            await client.status()


async def test_a_batch_with_other_lines_than_it_had_is_no_answer() -> None:
    async with speaking_to(Standin(web.Response(body=b'{"id":"msg_a","fresh":true}\n'))) as client:
        with pytest.raises(AnswerError):
            await client.send_many([DRAFT, DRAFT])


@pytest.mark.parametrize(
    "address", ["http://node.example", "ftp://127.0.0.1", "127.0.0.1:8450", "https://", "https://a@b"]
)
def test_a_token_goes_over_tls_or_nowhere_far(address: str) -> None:
    with pytest.raises(ValueError, match=r"node|token"):
        Client(address, TOKEN)


# -- events ----------------------------------------------------------------------------------------------
NEWS = (
    '{"id":"%s","cursor":"","sender":{"member":"a","titles":{},"country":""},"received_at":"","type":"","subject":"",'
    '"urgency":"","thread":null,"case_reference":null,"due_at":null}'
)


def streaming(*parts: str) -> Handler:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part.encode())
        return response

    return stream


def event(place: str) -> str:
    return f"id: {place}\nevent: message\ndata: {NEWS % place}\n\n"


async def test_a_stream_that_ends_is_taken_up_where_it_ended() -> None:
    first, second = streaming("id: 5-9\n\n"), streaming(event("6-0"), ": ping\n\n", event("7-0")[:30])
    standin = Standin(first, refused(503, "draining"), second, cut, streaming(event("7-0")))
    seen = []
    async with speaking_to(standin) as client:
        async for told in client.events():
            assert isinstance(told, MessageEvent)
            seen.append(told.id)
            if told.id == "7-0":
                break
    assert seen == ["6-0", "7-0"]
    last = [headers.get("Last-Event-ID") for _method, _path, headers, _body in standin.asked]
    assert last == [None, "5-9", "5-9", "6-0", "6-0"]


async def test_a_refused_stream_ends_with_the_reason() -> None:
    async with speaking_to(Standin(refused(401, "unauthorized"))) as client:
        with pytest.raises(Problem):
            await anext(client.events())


async def test_an_endless_event_is_not_read() -> None:
    async with speaking_to(Standin(streaming("data: " + "x" * (MAX_EVENT_BYTES + 9)))) as client:
        with pytest.raises(AnswerError):
            await anext(client.events())


async def test_an_event_that_this_client_does_not_know_is_handed_on() -> None:
    async with speaking_to(Standin(streaming("id: 1-0\nevent: weather\ndata: {}\n\n"))) as client:
        told = await anext(client.events())
    assert (told.id, told.data) == ("1-0", b"{}")


@given(st.lists(st.tuples(st.sampled_from(["message", "delivery"]), st.text("abc", max_size=5)), max_size=5), st.data())
def test_events_are_the_same_however_the_bytes_come(told: list[tuple[str, str]], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    whole = "".join(
        f"id: {n}{end}event: {name}{end}data: {text}{end}{end}: ping{end}{end}" for n, (name, text) in enumerate(told)
    )
    rest, reader, found = whole.encode(), EventReader(), list[Told]()
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += reader.take(rest[:size])
        rest = rest[size:]
    assert found == [Told(str(n), name, text.encode()) for n, (name, text) in enumerate(told)]


def test_aiohttp_names_what_a_broken_line_is() -> None:
    """The client tries again what aiohttp calls a connection's failure; a wrong certificate is not one of these."""
    assert issubclass(aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionError)
    assert issubclass(aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)
