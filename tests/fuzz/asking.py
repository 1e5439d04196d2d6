"""The targets of the node's API, behind which stands the real service over a real archive in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, Final, cast

from aiohttp import web

from node import api, api_messages, api_node, api_requests, api_webhooks, desks, paging
from node.api_requests import Writer
from node.api_views import show_message_id
from node.desks import Desks
from node.event_views import Place
from node.events import Feed
from node.paging import Page
from node.service import Service
from node.uplink import Phase
from node.webhooks.book import Book
from node.webhooks.guard import Guard
from protocol.codec import encode
from protocol.errors import LimitError, UsageError, ValijaError
from protocol.names import parse_address
from tests.fuzz.mutate import Shape
from tests.fuzz.target import Target, refused_or, require
from tests.fuzz.wire import WORDS, Faults, Server, check_answer, request_of
from tests.node.lab import Lab

AR, BR, DESK = "ar-mpf", "br-mpf", "antidrogas"
WORKS_KEPT: Final = 400
# As a node's daemon has it: what a caller who left had asked is stopped.
LEFT: Final = {"handler_cancellation": True}
Fields = list[tuple[str, str]]


class NodeScene:
    """A node of a laboratory that exchanged a message each way, and its service."""

    def __init__(self) -> None:
        self.lab = Lab(AR, BR)
        self.node = self.lab[AR]
        self.ids = [self.node.write("k1", "Se solicita el legajo.", BR), self.lab[BR].write("k2", "Respuesta.", AR)]
        self.lab.settle(10)
        store = self.node.store
        store.run(lambda tx: desks.add(tx, DESK, self.lab.second))
        store.run(lambda tx: desks.add(tx, "mesa", self.lab.second))
        fresh = desks.draw_token(DESK, "fuzz", self.lab.second)
        store.run(lambda tx: desks.add_token(tx, fresh))
        self.token, self.kept, self.works = fresh.text, store.snapshot(), 0

    async def ask(self, work: Callable[[Any], Any]) -> Any:
        """As `Rounds.ask`, at once."""
        self.works += 1
        return self.node.run(work)

    async def read(self, job: Callable[[Any], Any]) -> Any:
        """As `Reading`, at once."""
        return self.node.store.read(job)

    def service(self, faults: Faults, kind: type[Service] = Service) -> Service:
        engine = SimpleNamespace(mirror=self.node.mirror, me=self.node.identity.me)
        uplink = SimpleNamespace(
            recall=lambda _what: None, state=SimpleNamespace(phase=Phase.CONNECTED, error=None, since=0)
        )
        made: dict[str, Any] = {"engine": engine, "rounds": self, "uplink": uplink, "reader": self.read}
        service = kind(
            store=self.node.store,
            desks=self.node.store.run(Desks),
            writer=Writer(AR, "aiamp", DESK),
            feed=cast("Feed", None),
            url="http://127.0.0.1:1",
            started_at=0,
            now=lambda: self.lab.now,
            **made,
        )
        feed = Feed(
            service.read, lambda: service.registry, service.now, cast("Any", faults), lambda: None, service.writer.desk
        )
        object.__setattr__(service, "feed", feed)
        return service


def _routes() -> list[web.RouteDef]:
    listed = [*api_messages.routes(), *api_node.routes(), *api_webhooks.routes()]
    return [each for each in listed if not each.path.endswith("/status")]


class Postman:
    """Delivers nothing; which addresses are allowed is judged as ever."""

    def __init__(self) -> None:
        self.guard = Guard(())

    async def refresh(self) -> None:
        """Nothing waits to be told."""


def _application(service: Service, door: api.Door, faults: Faults) -> web.Application:
    app = api.application(service, door, cast("Any", faults), _routes())
    app[api_webhooks.BOOK] = Book(service, cast("Any", Postman()))
    return app


@cache
def _nodes() -> tuple[NodeScene, tuple[Server, Server]]:
    it = NodeScene()

    def by_socket(faults: Faults) -> web.Application:
        return _application(it.service(faults), api.by_socket, faults)

    def by_token(faults: Faults) -> web.Application:
        service = it.service(faults)
        return _application(service, api.by_token(service), faults)

    return it, (Server(by_socket, **LEFT), Server(by_token, **LEFT))


def node_api(data: bytes) -> None:
    """First byte: by the socket or by token; with one bit more the desk's token is shown."""
    if not data:
        return
    it, servers = _nodes()
    request = request_of(data[1:])
    if data[0] & 1 and data[0] & 2:
        start, end, rest = request.partition(b"\r\n")
        request = start + end + b"Authorization: Bearer " + it.token.encode() + b"\r\n" + rest
    check_answer(servers[data[0] & 1], request)
    if it.works > WORKS_KEPT:
        _nodes.cache_clear()


def node_parsers(data: bytes) -> None:
    """What the handlers parse, without HTTP around it: first byte chooses."""
    if not data:
        return
    rest, text = data[1:], data[1:].decode("utf-8", "replace")
    writer, caller = Writer(AR, "aiamp", DESK), desks.AtDesk(DESK)
    match data[0] % 8:
        case 0:
            asked = refused_or(lambda: api_requests.read_message(rest), USAGE)
            if asked is not None:
                refused_or(lambda: api_requests.message_of(asked, "key", caller, writer), USAGE)
                refused_or(
                    lambda: api_requests.message_of(asked, asked.idempotency_key, desks.Operator(), writer), USAGE
                )
        case 1:
            judged = refused_or(lambda: _batch(rest), USAGE) or []
            [
                api_messages._line(place, each, judged, range(len(judged)), 0)
                for place, each in enumerate(judged)
                if isinstance(each, ValijaError)
            ]
        case 2:
            told = refused_or(lambda: api_requests.read_acknowledge(rest), USAGE)
            if told is not None:
                refused_or(lambda: api_requests.action_of(told), USAGE)
        case 3:
            row = refused_or(lambda: paging.read_cursor(text), USAGE)
            require(row is None or paging.show_cursor(row) == text, "a cursor shown in two ways")
        case 4:
            low, _, high = text.partition("&")
            page = refused_or(lambda: paging.page_of({"after": low, "limit": high}), USAGE)
            require(page is None or isinstance(page, Page), "no page")
        case 5:
            found = refused_or(lambda: api_requests.id_range(text), USAGE)
            require(found is None or found[0] <= found[1], "a range that runs backwards")
        case 6:
            address = refused_or(lambda: parse_address(text, "aiamp"), USAGE)
            require(address is None or parse_address(str(address), "aiamp") == address, "an address written otherwise")
        case _:
            place = refused_or(lambda: Place.read(text), USAGE)
            require(place is None or Place.read(str(place)) == place, "an event's id written otherwise")
            refused_or(lambda: _nodes()[0].node.store.run(Desks).caller(text, 0.0), USAGE)


def _batch(data: bytes) -> list[Any]:
    return [*api_messages._parse_batch(data, desks.AtDesk(DESK), Writer(AR, "aiamp", DESK))]


USAGE: Final = (UsageError, LimitError)


# -- seeds -----------------------------------------------------------------------------------------------
MESSAGE: Final = {"to": [BR], "subject": "Consulta", "body": "Se solicita información."}
FULL: Final = MESSAGE | {
    "to": ["br-mpf/mesa@aiamp", AR, "#rfai"],
    "body": {"format": "commonmark", "text": "# Hola"},
    "type": "mla-request",
    "desk": DESK,
    "author": {"name": "Ana", "role": "fiscal", "login_method": "token"},
    "urgency": "urgent",
    "thread": "msg_" + "a" * 26,
    "in_reply_to": "msg_" + "a" * 26,
    "forward_of": "msg_" + "a" * 26,
    "case_reference": "FCB 1/2026",
    "due_at": "2026-12-01T00:00:00Z",
    "handling": {"tlp": "TLP:AMBER", "europol": ["H1"], "source": "A", "information": 1},
    "formality": {"kind": "formal", "official_reference": "x"},
    "transition": {"matter": "sent"},
    "language": "es",
    "use_limits": "x",
    "expires_at": "2027-01-01T00:00:00+00:00",
    "idempotency_key": "k",
}


def _written(*asked: tuple[str, str, Fields, Any]) -> Iterator[bytes]:
    for method, path, headers, body in asked:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        yield encode([method, path, [*headers], data])


def node_seeds() -> Iterator[bytes]:
    it, _servers = _nodes()
    shown = [show_message_id(each) for each in it.ids]
    key = [("Idempotency-Key", "k9")]
    ndjson = [("Content-Type", "application/x-ndjson")]
    line = json.dumps(FULL | {"to": [BR]}).encode()
    asked: list[tuple[str, str, Fields, Any]] = [
        ("POST", "/api/v1/messages", key, MESSAGE),
        ("POST", "/api/v1/messages", key, {name: value for name, value in FULL.items() if name != "idempotency_key"}),
        ("POST", "/api/v1/messages", ndjson, line + b"\n" + line),
        ("POST", "/api/v1/messages:batch", [], line + b"\n\n{}\n" + line),
        ("POST", f"/api/v1/messages/{shown[0]}/withdraw", [], b""),
        ("POST", f"/api/v1/messages/{shown[1]}/acknowledge", [], {"action": "accepted", "note": "x", "desk": DESK}),
        ("POST", "/api/v1/desks", [], {"name": "nueva"}),
        ("POST", "/api/v1/tokens", [], {"desk": DESK, "label": "x"}),
        ("DELETE", "/api/v1/tokens/00000000", [], b""),
        ("POST", "/api/v1/webhooks", [], {"url": "https://example.org/hook", "desk": DESK}),
        ("POST", "/api/v1/webhooks", [], {"url": "http://127.0.0.1:9/x"}),
        ("POST", "/api/v1/webhooks/whk_1/test", [], b""),
        ("POST", "/api/v1/webhooks/whk_1/notices/1/redeliver", [], b""),
        ("GET", "/api/v1/webhooks/whk_1/notices?limit=1", [], b""),
        *[
            ("GET", f"/api/v1/{path}", [], b"")
            for path in (
                *("messages", "outbox", "members", "networks", "desks", "search?q=legajo", "search?q=%22a%22*&limit=3"),
                *(f"messages/{shown[0]}", f"messages/{shown[1][:10]}", f"threads/{shown[1]}", "events?after=0-0"),
                *("messages?after=AAAAAAAAAAA&limit=2", "outbox?before=", f"messages?desk={DESK}", "events"),
            )
        ],
        ("GET", "/api/v1/events", [("Last-Event-ID", "1-1")], b""),
    ]
    for each in _written(*asked):
        yield from (b"\x00" + each, b"\x03" + each)
    yield b"\x00" + request_of(next(_written(asked[0])))
    yield b"\x01GET /api/v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer vlj_x\r\n\r\n"
    yield b'\x00POST /api/v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n0\r\n\r\n'


def parser_seeds() -> Iterator[bytes]:
    it, _servers = _nodes()
    for each in (MESSAGE, FULL, FULL | {"to": ["*"]}):
        document = json.dumps(each).encode()
        yield from (b"\x00" + document, b"\x01" + document + b"\n" + document)
    yield b"\x02" + json.dumps({"action": "accepted", "note": "", "desk": None, "author": None}).encode()
    for number, texts in (
        (3, (paging.show_cursor(5), "AAAAAAAAAAA", "=")),
        (4, (f"{paging.show_cursor(5)}&50", "&500", "&0050")),
        (5, ("msg_abcd", "msg_" + "7" * 26, "abcd")),
        (6, ("br-mpf", "br-mpf/mesa@aiamp", "#rfai", "#rfai@iap", "a@b@c")),
        (7, ("0-0", "12-2147483647", f"Bearer {it.token}", "bearer vlj_", "Basic x")),
    ):
        yield from (bytes([number]) + each.encode() for each in texts)


TARGETS: Final = (
    Target("node_api", node_api, node_seeds, head=1, words=WORDS),
    Target("node_parsers", node_parsers, parser_seeds, Shape.JSON, head=1, words=WORDS),
)
