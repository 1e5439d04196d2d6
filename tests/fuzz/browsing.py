"""The target of the pages for people: the real application over a real archive in memory, somebody logged in or nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

from aiohttp import web

from keys import passwords
from keys.journal import Entry
from node.api_views import show_message_id
from node.config import Home
from node.people.roles import Role
from node.service import Service
from node.store import Transaction
from node.tables import people
from node.tables.people import Session
from node.web import serving
from node.web.settings import Web
from node.webhooks.book import Book
from protocol.codec import encode
from tests.fuzz.asking import AR, BR, DESK, LEFT, WORKS_KEPT, NodeScene, Postman
from tests.fuzz.target import MAX_GROWTH_BYTES, Target
from tests.fuzz.wire import WORDS, Faults, Server, check_answer, request_of

T = TypeVar("T")

ORIGIN: Final = "http://127.0.0.1"
FORM: Final = [("Content-Type", "application/x-www-form-urlencoded")]
JSON: Final = [("Content-Type", "application/json")]
MULTIPART: Final = [("Content-Type", "multipart/form-data; boundary=b")]
DRAFT: Final = "web-" + "5" * 32
ROLES: Final = (None, *Role)
FOREIGN: Final = 8
"""In the first byte: the request does not say that a page of this site asks."""


class AtOnce(Service):
    """A service whose writes wait for no other thread."""

    __slots__ = ()

    async def write(self, job: Callable[[Transaction], T]) -> T:
        """As `Service.write`."""
        scene = cast("NodeScene", self.rounds)
        scene.works += 1
        return self.store.run(job)


class Visited(NodeScene):
    """A node with a person of each role, each logged in, and a draft."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies = {role: f"{role.value:x>43}" for role in Role}
        store = self.node.store
        for role in Role:
            store.run(partial(self._enter, role=role))
        self.invitation = "i" * 43
        store.run(self._invite)

    def _enter(self, tx: Transaction, role: Role) -> None:
        at = self.lab.second
        person = people.add(tx, role.value, role.value.title(), role, (DESK,), at)
        session = Session(passwords.secret_hash(self.cookies[role]), person, "passkey", at, at, "127.0.0.1", "")
        people.open_session(tx, session)
        people.record(tx, Entry(at, role.value, "logged-in", "", ""))

    def _invite(self, tx: Transaction) -> None:
        person = people.add(tx, "nueva", "Nueva", Role.CLERK, (DESK,), self.lab.second)
        people.invite(tx, person, passwords.secret_hash(self.invitation), self.lab.second + 3_600)


@cache
def _visited() -> tuple[Visited, Server]:
    it = Visited()

    async def pages(faults: Faults) -> web.Application:
        service, log = it.service(faults, AtOnce), cast("Any", faults)
        book = Book(service, cast("Any", Postman()))
        settings = Web(public_origin=ORIGIN)
        return serving.application(
            await serving.assemble(Home(Path("/nonexistent")), service, book, settings, 80, service.now, log)
        )

    return it, Server(pages, **LEFT)


def node_pages(data: bytes) -> None:
    """First byte: who is logged in, and whether a page of this site asks."""
    if not data:
        return
    it, server = _visited()
    request = request_of(data[1:])
    role = ROLES[data[0] & 7] if data[0] & 7 < len(ROLES) else None
    said = b"" if data[0] & FOREIGN else b"Origin: " + ORIGIN.encode() + b"\r\n"
    if role is not None:
        said += b"Cookie: valija=" + it.cookies[role].encode() + b"\r\n"
    start, end, rest = request.partition(b"\r\n")
    check_answer(server, start + end + said + rest)
    if it.works > WORKS_KEPT:
        server.end()
        _visited.cache_clear()


# -- seeds -----------------------------------------------------------------------------------------------
TYPED: Final = {
    "desk": DESK, "to": BR, "others": "#rfai, br-mpf/mesa", "type": "mla-request", "subject": "Consulta",
    "body": "Se solicita información.", "format": "plain", "urgency": "urgent", "due": "2026-12-01T10:00",
    "tlp": "TLP:AMBER", "europol": "H1", "case_reference": "FCB 1/2026", "kind": "formal", "official_reference": "x",
    "use_limits": "x", "matter": "sent", "in_reply_to": "", "thread": "", "forward_of": "",
}  # fmt: skip
KEY: Final = {
    "id": "AAAA",
    "rawId": "AAAA",
    "type": "public-key",
    "response": {"clientDataJSON": "e30", "signature": ""},
}
ANSWER: Final = {"label": "x", "answer": KEY}


def page_seeds() -> Iterator[bytes]:
    it, _server = _visited()
    shown = [show_message_id(each) for each in it.ids]
    own, came = f"/messages/{AR}/{shown[0]}", f"/messages/{BR}/{shown[1]}"
    looked = [
        *(
            "/",
            "/inbox",
            "/inbox?before=AAAAAAAAAAA",
            "/sent?from=AAAAAAAAAAA",
            "/search?q=legajo&desk=antidrogas",
            "/live",
        ),
        *(
            "/flagged",
            "/waiting",
            "/held",
            own,
            f"{came}?q=legajo",
            f"{came}?in=inbox",
            f"{own}/receipt/{BR}",
            f"{own}/receipt/{BR}/export",
            "/compose",
            f"/compose?reply={shown[1]}&all=1",
        ),
        *("/drafts", f"/drafts/{DRAFT}", f"/drafts/{DRAFT}/sending", "/members", f"/members/{BR}", "/account"),
        *("/people", "/people/clerk", "/journal?before=9", "/webhooks", "/login?next=%2Fpeople", "/account/password"),
        *(f"/invitation/{it.invitation}", "/static/x.css"),
    ]
    for who in (1, 3, 4):
        yield from (bytes([who]) + encode(["GET", path, [], b""]) for path in looked)
    posted: list[tuple[int, str, dict[str, Any]]] = [
        (1, f"/drafts/{DRAFT}", TYPED),
        (1, f"/drafts/{DRAFT}/send", TYPED),
        (1, f"/drafts/{DRAFT}/send", TYPED | {"others": "", "kind": "", "official_reference": ""}),
        (1, f"/drafts/{DRAFT}/undo", {}),
        (1, f"/drafts/{DRAFT}/drop", {}),
        (1, f"{came}/flag", {"on": "1"}),
        (1, f"{came}/new", {"desk": DESK}),
        (1, f"{came}/answer", {"action": "accepted", "note": "x", "desk": DESK}),
        (1, f"{own}/withdraw", {"here": "1"}),
        (2, "/account/look", {"language": "es", "theme": "dark"}),
        (2, "/account/passkey/remove", {"id": "AAAA"}),
        (2, "/account/codes", {}),
        (2, "/account/sessions/close", {"session": "00"}),
        (4, "/people", {"login": "ana", "name": "Ana", "role": "clerk", "desks": DESK}),
        (4, "/people/clerk", {"name": "Ana", "role": "auditor", "desks": DESK}),
        (4, "/people/clerk/invite", {}),
        (4, "/people/clerk/disable", {}),
        (4, "/people/clerk/enable", {}),
        (4, "/webhooks/whk_1/test", {}),
        (4, "/webhooks/whk_1/notices/1/redeliver", {}),
        (0, "/login/recovery", {"login": "clerk", "code": "aaaa-bbbb", "next": "/"}),
        (0, "/language", {"language": "pt-BR", "next": "//x"}),
        (2, "/logout", {}),
    ]
    for who, path, fields in posted:
        yield bytes([who]) + encode(["POST", path, FORM, urlencode(fields).encode()])
    part = b'--b\r\nContent-Disposition: form-data; name="body"\r\n\r\nx\r\n--b--\r\n'
    yield b"\x01" + encode(["POST", f"/drafts/{DRAFT}", MULTIPART, part])
    for who, path in (0, "/login/passkey"), (0, f"/invitation/{it.invitation}/passkey"), (2, "/account/passkey"):
        yield bytes([who]) + encode(["POST", f"{path}/ask", JSON, b""])
        yield bytes([who]) + encode(["POST", path, JSON, json.dumps(ANSWER).encode()])
    yield bytes([FOREIGN | 1]) + encode(["POST", f"/drafts/{DRAFT}", FORM, urlencode(TYPED).encode()])


# Hashing a password takes 64 MiB, at any moment after the input that asked for it, and once at a time.
HASH_BYTES: Final = 64 << 20

TARGETS: Final = (
    Target("node_pages", node_pages, page_seeds, head=1, words=WORDS, growth_bytes=MAX_GROWTH_BYTES + HASH_BYTES),
)
