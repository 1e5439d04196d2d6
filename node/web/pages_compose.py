"""Writing: drafts that keep themselves, who will be able to read it, and ten seconds to think again."""

from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web

from node import problems, status
from node.api_requests import message_id_of
from node.api_views import show_message_id
from node.people.register import Visitor
from node.people.roles import Power
from node.reach import addressed_bytes, resolve
from node.search import Box, thread_of
from node.store import Transaction
from node.tables import drafts, evidence, finding, inbox, reading
from node.tables.drafts import Draft
from node.web import folders, writing
from node.web.outgoing import failure_of
from node.web.pages_mail import hit_of, look_of, parts_of, read
from node.web.render import page, speech_of
from node.web.requests import form_of, go, require
from node.web.writing import NEEDED, Source, Typed, read_typed, typed_of
from protocol.errors import UnknownMessageError, UsageError, ValijaError
from protocol.messages.content import MessageType
from protocol.names import Party, parse_address

_KEY_BYTES = 16
_MAX_DIGITS = 18


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    one = "/drafts/{draft}"
    return [
        web.get("/compose", compose),
        web.get("/drafts", listed),
        web.get(one, edit),
        web.post(one, keep),
        web.post(f"{one}/send", send),
        web.post(f"{one}/undo", undo),
        web.post(f"{one}/drop", drop),
        web.get(f"{one}/sending", sending),
    ]


def _writer(request: web.Request) -> Visitor:
    visitor = require(request)
    visitor.require(Power.WRITE)
    return visitor


def _named(request: web.Request) -> int:
    written = request.match_info["draft"]
    if not (written.isascii() and written.isdigit() and len(written) <= _MAX_DIGITS):
        raise UnknownMessageError
    return int(written)


async def _draft(request: web.Request) -> Draft:
    """The visitor's draft that the address names; `UnknownMessageError` for another's, or one that went."""
    visitor, number = _writer(request), _named(request)
    found = await read(request, lambda tx: drafts.find(tx, number, visitor.person.id))
    if found is None:
        raise UnknownMessageError
    return found


# -- beginning -------------------------------------------------------------------------------------------
async def compose(request: web.Request) -> web.Response:
    """Begin a draft: empty, an answer, or a message passed on; then go on to its page."""
    visitor, parts = _writer(request), parts_of(request)
    typed = await _beginning(request, visitor)
    key = f"web-{secrets.token_hex(_KEY_BYTES)}"
    at = int(parts.now())
    number = await parts.service.write(lambda tx: drafts.add(tx, visitor.person.id, key, typed.encode(), at))
    return go(f"/drafts/{number}")


async def _beginning(request: web.Request, visitor: Visitor) -> Typed:
    look, member = look_of(request), parts_of(request).member
    named = request.query.get("reply") or request.query.get("forward")
    if not named:
        first = visitor.person.desks[0] if len(visitor.person.desks) == 1 else ""
        return Typed({"desk": first, "type": MessageType.MESSAGE.value})
    sender, _, shown = named.partition("/")
    message_id = message_id_of(shown)

    def job(tx: Transaction) -> Typed:
        hit = hit_of(tx, look, message_id, sender)
        line = folders.of_hits(tx, look, [hit])[0]
        if line.content is None:
            raise UsageError("this message was written with a newer program")
        if hit.box is Box.INBOX:
            readers = evidence.manifest(tx, finding.manifest_of(tx, hit.row)).audience
            desks = tuple(each for each in inbox.desks_of(tx, hit.row) if each in look.own)
        else:
            readers, desks = status.readers(tx, message_id), (line.content.origin.desk,)
        source = Source(line, line.content, readers, desks or look.own[:1])
        if "forward" in request.query:
            return writing.forward(source)
        root = show_message_id(thread_of(line.content, message_id))
        return writing.reply(source, member, root, to_all=request.query.get("all") == "1")

    return await read(request, job)


# -- the page --------------------------------------------------------------------------------------------
async def listed(request: web.Request) -> web.Response:
    """What the visitor is writing."""
    visitor, look = _writer(request), look_of(request)
    found = await read(request, lambda tx: drafts.of_person(tx, visitor.person.id))
    new = await read(request, lambda tx: reading.unopened(tx, look.person, look.seen))
    return page(request, "drafts.html", {"drafts": [(each, read_typed(each.form)) for each in found], "new": new})


async def edit(request: web.Request) -> web.Response:
    """The form of a draft."""
    draft = await _draft(request)
    if draft.send_at is not None:
        return go(f"/drafts/{draft.id}/sending")
    return await _form(request, draft, read_typed(draft.form), failure_of(draft))


async def _form(request: web.Request, draft: Draft, typed: Typed, problem: ValijaError | None) -> web.Response:
    service = parts_of(request).service
    told = problems.problem(problem) if problem else None
    readers, reach = await _readers(request, typed)
    members = [each for each in await service.members() if each["in_standing"] and not each["is_this_node"]]
    values: dict[str, Any] = {
        "draft": draft,
        "typed": typed,
        "problem": told,
        "members": sorted(members, key=lambda each: speech_of(request).country(each["country"])),
        "networks": await service.networks(),
        "readers": readers,
        "unreachable": reach,
        "types": list(MessageType),
        "needed": NEEDED,
        "needed_now": {each.value: names for each, names in NEEDED.items()}.get(typed["type"], ()),
    }
    return page(request, "compose.html", values, told.status if told else 200)


async def _readers(request: web.Request, typed: Typed) -> tuple[list[Party], str]:
    """Everybody who will be able to read what goes to these addresses, besides the sender; why not, if somebody cannot."""
    service = parts_of(request).service
    try:
        addresses = tuple(parse_address(each, service.writer.association) for each in typed.to)
        members = [each.member for each in addresses if each.member is not None]
        networks = [each.network for each in addresses if each.network is not None]
        if not addresses:
            return [], ""
        for name in members:
            service.registry.member(name)
        named = addressed_bytes(tuple(members), tuple(networks))
        found = await service.rounds.ask(lambda ctx: resolve(ctx, named))
    except ValijaError as error:
        return [], f"{error.code}: {error.detail}" if error.detail else error.code
    return list(found.parties), ""


async def keep(request: web.Request) -> web.Response:
    """Keep what was typed; the answer is the page, or for the page's own keeping the list of readers in it."""
    draft, visitor = await _draft(request), _writer(request)
    typed = typed_of(await form_of(request), visitor.session.method)
    at = int(parts_of(request).now())
    number, who = draft.id, visitor.person.id
    kept = await parts_of(request).service.write(lambda tx: drafts.keep(tx, number, who, typed.encode(), at))
    if not kept:
        return go(f"/drafts/{number}/sending")
    return await _form(request, draft, typed, None)


async def send(request: web.Request) -> web.Response:
    """Keep what was typed and send it in ten seconds; or say what is missing."""
    draft, visitor, parts = await _draft(request), _writer(request), parts_of(request)
    typed = typed_of(await form_of(request), visitor.session.method)
    number, who, at = draft.id, visitor.person.id, int(parts.now())
    await parts.service.write(lambda tx: drafts.keep(tx, number, who, typed.encode(), at))
    try:
        parts.outgoing.judge(visitor.person, typed, draft.key)
    except ValijaError as error:
        return await _form(request, draft, typed, error)
    await parts.service.write(lambda tx: drafts.send(tx, number, who, at + parts.outgoing.undo_seconds))
    parts.outgoing.notify()
    return go(f"/drafts/{number}/sending")


async def sending(request: web.Request) -> web.Response:
    """The page on which sending can still be undone; on to what was sent, once it has gone."""
    visitor, number = _writer(request), _named(request)
    draft = await read(request, lambda tx: drafts.find(tx, number, visitor.person.id))
    if draft is None:
        return go("/sent")
    if draft.send_at is None:
        return go(f"/drafts/{number}")
    left = max(0, draft.send_at - int(parts_of(request).now()))
    return page(request, "sending.html", {"draft": draft, "typed": read_typed(draft.form), "left": left})


async def undo(request: web.Request) -> web.Response:
    """Go on writing what was about to be sent."""
    visitor, number = _writer(request), _named(request)
    kept = await parts_of(request).service.write(lambda tx: drafts.send(tx, number, visitor.person.id, None))
    return go(f"/drafts/{number}" if kept else "/sent")


async def drop(request: web.Request) -> web.Response:
    """Throw a draft away."""
    visitor, number = _writer(request), _named(request)
    await parts_of(request).service.write(lambda tx: drafts.drop(tx, number, visitor.person.id))
    return go("/drafts")
