"""Messages: folders, one message with its thread, and what a desk answers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web

from node import handover, problems
from node.api_requests import AcknowledgeRequest, message_id_of
from node.api_views import View, show_message_id
from node.desks import Colleague
from node.event_views import Place
from node.people.acts import Act
from node.people.register import Visitor
from node.people.roles import Power
from node.search import Box, Hit
from node.store import Transaction
from node.tables import drafts, finding, reading
from node.tables.finding import FOREVER, Sent
from node.web import folders
from node.web.folders import Folder, Line, Listed, Look
from node.web.parts import PARTS, Parts
from node.web.render import page
from node.web.requests import form_of, go, require
from protocol.errors import PeerError, UnknownMessageError, UsageError
from protocol.messages.content import Author
from protocol.names import MessageId

T = TypeVar("T")

AGAIN_SECONDS: Final = 3_600
"""Opening a message again is recorded again after so long: pages that refresh themselves open nothing anew."""
_MAX_ROW_DIGITS: Final = 18
DECISIONS: Final = ("accepted", "declined", "needs-information")


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    one = "/messages/{sender}/{id}"
    return [
        web.get("/", start),
        web.get(f"/{{folder:{'|'.join(Folder)}}}", folder),
        web.get("/search", search),
        web.get(one, message),
        web.post(f"{one}/flag", flag),
        web.post(f"{one}/new", make_new),
        web.post(f"{one}/answer", answer),
        web.post(f"{one}/withdraw", withdraw),
    ]


# -- who looks -------------------------------------------------------------------------------------------
def parts_of(request: web.Request) -> Parts:
    """The node behind the pages."""
    return request.config_dict[PARTS]


def colleague(visitor: Visitor) -> Colleague:
    """The visitor as the node's rules know them: their desks, and what is signed of who they are."""
    person = visitor.person
    return Colleague(
        person.desks, Author(name=person.name, role=person.role.value, login_method=visitor.session.method)
    )


def look_of(request: web.Request) -> Look:
    """What the visitor may see; `ForbiddenError` for somebody who may read nothing."""
    visitor, parts = require(request), parts_of(request)
    visitor.require(Power.READ)
    seen = parts.service.walls.sees(colleague(visitor)) or ()
    return Look(visitor.person.id, visitor.person.desks, seen, parts.member, int(parts.now()))


async def read(request: web.Request, job: Callable[[Transaction], T]) -> T:
    """What `job` gives on a view of the archive."""
    return await parts_of(request).service.read(job)


# -- lists -----------------------------------------------------------------------------------------------
async def start(request: web.Request) -> web.Response:
    """On to where the visitor's work is."""
    visitor = require(request)
    if visitor.may(Power.READ):
        return go("/inbox")
    return go("/people" if visitor.may(Power.ADMINISTER) else "/account")


async def folder(request: web.Request) -> web.Response:
    """One folder, newest first."""
    look, chosen = look_of(request), Folder(request.match_info["folder"])
    before = _row(request.query.get("before", ""))
    shown = await read(request, lambda tx: (folders.listed(tx, chosen, look, before), _standing(tx, look)))
    return _mail(request, *shown, folder=chosen)


async def search(request: web.Request) -> web.Response:
    """What holds the words asked for, in everything that the visitor may read."""
    look, words = look_of(request), request.query.get("q", "").strip()
    if not words:
        return go("/inbox")
    shown = await read(request, lambda tx: (folders.found(tx, look, words, _place(request)), _standing(tx, look)))
    await parts_of(request).register.record(require(request), Act.SEARCHED, "")
    return _mail(request, *shown, words_sought=words, first=_place(request))


def _standing(tx: Transaction, look: Look) -> dict[str, object]:
    """How much is new or did not go, and behind which event whatever comes is news to the page."""
    return {
        "new": reading.unopened(tx, look.person, look.seen),
        "failed": drafts.failed(tx, look.person),
        "news_after": Place(finding.last_event(tx)),
    }


def _mail(
    request: web.Request, listed: Listed, standing: dict[str, object], status: int = 200, **shown: object
) -> web.Response:
    values = {"folder": None, "open": None, "words_sought": "", "first": 0, "listed": listed}
    return page(request, "mail.html", values | standing | shown, status)


def _place(request: web.Request) -> int:
    """From which of the messages found the list begins."""
    place = _row(request.query.get("from", ""))
    return 0 if place == FOREVER else place


def _row(written: str) -> int:
    is_row = written.isascii() and written.isdigit() and len(written) <= _MAX_ROW_DIGITS
    return int(written) if is_row else FOREVER


# -- one message -----------------------------------------------------------------------------------------
def named(request: web.Request) -> tuple[MessageId, str]:
    """The message and the sender that the address names."""
    try:
        return message_id_of(request.match_info["id"]), request.match_info["sender"]
    except (UsageError, PeerError):
        raise UnknownMessageError from None


async def message(request: web.Request) -> web.Response:
    """A message, with its thread beside it; opening it is recorded."""
    return await _message(request)


async def _message(request: web.Request, note: str = "", error: UsageError | None = None) -> web.Response:
    """The page of a message; with the note that was typed, and why the desk's answer was not signed."""
    look, problem = look_of(request), problems.problem(error) if error else None
    message_id, sender = named(request)
    view, line = await opened(request, message_id, sender)
    sought = request.query.get("q", "").strip()
    chosen = None if sought else _beside(request.query.get("in", ""), line)

    def job(tx: Transaction) -> tuple[Listed, dict[str, object], list[Line]]:
        listed = folders.listed(tx, chosen, look) if chosen else folders.found(tx, look, sought, _place(request))
        return listed, _standing(tx, look), folders.thread(tx, look, line)

    listed, standing, thread = await read(request, job)
    shown = _shown(view, line, thread) | {"note": note, "problem": problem}
    status = problem.status if problem else 200
    return _mail(
        request, listed, standing, status, folder=chosen, words_sought=sought, first=_place(request), open=shown
    )


async def opened(request: web.Request, message_id: MessageId, sender: str) -> tuple[View, Line]:
    """The message in full, and its line: the visitor has now opened it, whichever page shows its text.

    It is new to them no more, its desk is called about it no more, and the journal tells of it.
    """
    parts, visitor, look = parts_of(request), require(request), look_of(request)
    view = await parts.service.message(message_id, colleague(visitor), sender)
    hit = await read(request, lambda tx: hit_of(tx, look, message_id, sender))
    mark = reading.open_message if hit.box is Box.INBOX else reading.open_sent

    def job(tx: Transaction) -> Line:
        before = mark(tx, hit.row, look.person, look.now)
        if before is None or before + AGAIN_SECONDS <= look.now:
            parts.register.note(tx, visitor.person.login, Act.OPENED, show_message_id(message_id), sender)
        return folders.of_hits(tx, look, [hit])[0]

    return view, await parts.service.write(job)


def hit_of(tx: Transaction, look: Look, message_id: MessageId, sender: str) -> Hit:
    """Where the message of this id and sender is, if the reader sees it; else `UnknownMessageError`."""
    own = finding.sent_of(tx, message_id)
    if sender == look.member and own is not None and own.desk in look.own:
        return Hit(Box.OUTBOX, own.id)
    for each in finding.arrivals_of(tx, message_id):
        if each.sender == sender and finding.arrivals(tx, each.id - 1, each.id + 1, 1, look.seen):
            return Hit(Box.INBOX, each.id)
    raise UnknownMessageError


def _beside(asked: str, line: Line) -> Folder:
    if asked in set(Folder):
        return Folder(asked)
    return Folder.INBOX if line.hit.box is Box.INBOX else Folder.SENT


def _shown(view: View, line: Line, thread: list[Line]) -> dict[str, object]:
    return {"view": view, "line": line, "thread": thread, "content": line.content, "final": handover.FINAL}


# -- acts ------------------------------------------------------------------------------------------------
async def flag(request: web.Request) -> web.Response:
    """Put the visitor's flag on a message, or take it off."""
    look, form = look_of(request), await form_of(request)
    message_id, sender = named(request)
    on = form.text("on") == "1"

    def job(tx: Transaction) -> None:
        reading.flag(tx, look.person, hit_of(tx, look, message_id, sender).item, on=on)

    await parts_of(request).service.write(job)
    return go(_own_address(request))


async def make_new(request: web.Request) -> web.Response:
    """Let a message be new again, for the visitor alone."""
    look = look_of(request)
    message_id, sender = named(request)

    def job(tx: Transaction) -> None:
        hit = hit_of(tx, look, message_id, sender)
        if hit.box is Box.INBOX:
            reading.close_message(tx, hit.row, look.person)

    await parts_of(request).service.write(job)
    return go("/inbox")


async def answer(request: web.Request) -> web.Response:
    """Tell the sender by a signed receipt what the desk does with its message."""
    visitor, form, parts = require(request), await form_of(request), parts_of(request)
    message_id, sender = named(request)
    desk, action = form.text("desk"), form.text("action")
    visitor.require(Power.DECIDE if action in DECISIONS else Power.ACKNOWLEDGE, desk)
    asked = AcknowledgeRequest(action=action, note=form.text("note"), desk=desk)
    otherwise = form.text("otherwise") == "1"
    try:
        await parts.service.acknowledge(message_id, asked, colleague(visitor), sender, otherwise=otherwise)
    except UsageError as error:
        return await _message(request, asked.note, error)
    await parts.register.record(visitor, Act.ANSWERED, request.match_info["id"], action)
    return go(_own_address(request))


async def withdraw(request: web.Request) -> web.Response:
    """Take a message back wherever it is not delivered yet."""
    visitor, parts, look = require(request), parts_of(request), look_of(request)
    message_id, sender = named(request)
    desk = await read(request, lambda tx: _desk_of(tx, look, message_id, sender))
    visitor.require(Power.WRITE, desk)
    await parts.service.withdraw(message_id, colleague(visitor))
    await parts.register.record(visitor, Act.WITHDREW, request.match_info["id"])
    return go(_own_address(request))


def _desk_of(tx: Transaction, look: Look, message_id: MessageId, sender: str) -> str:
    # Of a message behind a wall nobody learns that it is there.
    own: Sent | None = finding.sent_of(tx, message_id)
    if own is None or hit_of(tx, look, message_id, sender).box is not Box.OUTBOX:
        raise UnknownMessageError
    return own.desk


def _own_address(request: web.Request) -> str:
    sender, shown = request.match_info["sender"], request.match_info["id"]
    if not sender.replace("-", "").isalnum():
        raise UsageError("no member has this name")
    return f"/messages/{sender}/{shown}"
