"""Writing: drafts that keep themselves, who will be able to read it, and ten seconds to think again."""

from __future__ import annotations

import re
import secrets
from typing import Any

from aiohttp import web
from msgspec import structs

from node import problems, status
from node.api_requests import is_overdue, message_id_of
from node.api_views import View, show_message_id
from node.people.register import Visitor
from node.people.roles import Power
from node.problems import Problem
from node.reach import addressed_bytes, resolve
from node.search import Box, thread_of
from node.store import Transaction
from node.tables import drafts, evidence, finding, inbox
from node.tables.drafts import Draft
from node.web import folders, writing
from node.web.folders import Folder, Line
from node.web.outgoing import failure_of
from node.web.pages_mail import hit_of, look_of, opened, parts_of, read
from node.web.render import page, speech_of
from node.web.requests import form_of, go, require
from node.web.writing import LABELS, NEEDED, MissingError, Source, Typed, faulty, read_typed, request_of, typed_of
from protocol.errors import TooLateError, UnknownMessageError, UnknownNetworkError, UsageError, ValijaError
from protocol.messages.content import MessageType
from protocol.names import Party, message_id, parse_address

_KEY_BYTES = 16
_KEY = re.compile(rf"web-[0-9a-f]{{{2 * _KEY_BYTES}}}")


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


def _key(request: web.Request) -> str:
    """The idempotency key by which the address names a draft; `UnknownMessageError` for what is none of ours."""
    key = request.match_info["draft"]
    if not _KEY.fullmatch(key):
        raise UnknownMessageError
    return key


async def _found(request: web.Request) -> Draft | None:
    """The draft that the address names, None if nothing is kept of it; `UnknownMessageError` for another's."""
    visitor, key = _writer(request), _key(request)
    found = await read(request, lambda tx: drafts.find(tx, key))
    if found is not None and found.person != visitor.person.id:
        raise UnknownMessageError
    return found


def _sent_as(tx: Transaction, request: web.Request) -> str | None:
    """The page of the message as which the draft of this address went; None if it did not."""
    registry, member = parts_of(request).service.registry, parts_of(request).member
    for desk in require(request).person.desks:
        found = finding.sent_of(tx, message_id(registry.association, member, desk, _key(request)))
        if found is not None:
            return f"/messages/{member}/{show_message_id(found.message_id)}"
    return None


# -- beginning -------------------------------------------------------------------------------------------
async def compose(request: web.Request) -> web.Response:
    """Begin a message: empty, an answer, or one passed on; nothing is kept before something is typed."""
    _writer(request)
    query = request.rel_url.raw_query_string
    return go(f"/drafts/web-{secrets.token_hex(_KEY_BYTES)}{'?' if query else ''}{query}")


async def _beginning(request: web.Request, visitor: Visitor) -> Typed:
    look, member = look_of(request), parts_of(request).member
    named = request.query.get("reply") or request.query.get("forward")
    if not named:
        first = visitor.person.desks[0] if len(visitor.person.desks) == 1 else ""
        to = [each["member"] for each in await _members(request) if each["member"] == request.query.get("to")]
        return Typed({"desk": first, "type": MessageType.MESSAGE.value}, {"to": to})
    sender, _, shown = named.partition("/")
    named_id = message_id_of(shown)
    await opened(request, named_id, sender)

    def job(tx: Transaction) -> Typed:
        hit = hit_of(tx, look, named_id, sender)
        line = folders.of_hits(tx, look, [hit])[0]
        if line.content is None:
            raise UsageError("this message was written with a newer program")
        if hit.box is Box.INBOX:
            readers = evidence.manifest(tx, finding.manifest_of(tx, hit.row)).audience
            desks = tuple(each for each in inbox.desks_of(tx, hit.row) if each in look.own)
        else:
            readers, desks = status.readers(tx, named_id), (line.content.origin.desk,)
        source = Source(line, line.content, readers, desks or look.own[:1])
        if "forward" in request.query:
            return writing.forward(source, speech_of(request))
        root = show_message_id(thread_of(line.content, named_id))
        return writing.reply(source, member, root, to_all=request.query.get("all") == "1")

    return await read(request, job)


# -- the page --------------------------------------------------------------------------------------------
async def listed(request: web.Request) -> web.Response:
    """What the visitor is writing."""
    visitor = _writer(request)
    found = await read(request, lambda tx: drafts.of_person(tx, visitor.person.id))
    return page(request, "drafts.html", {"drafts": [(each, read_typed(each.form)) for each in found]})


async def edit(request: web.Request) -> web.Response:
    """The form of a draft, or of one that nobody has typed into yet."""
    draft, visitor = await _found(request), _writer(request)
    if draft is None:
        went = await read(request, lambda tx: _sent_as(tx, request))
        return go(went) if went else await _form(request, await _beginning(request, visitor), None)
    if draft.send_at is not None:
        return go(f"/drafts/{draft.key}/sending")
    return await _form(request, read_typed(draft.form), failure_of(draft))


async def _form(request: web.Request, typed: Typed, problem: ValijaError | None) -> web.Response:
    service = parts_of(request).service
    told = _told(problem) if problem else None
    readers, unreachable = await _readers(request, typed)
    members, networks, desks = await _members(request), await service.networks(), await _desks(request, typed)
    offered = {*(each["member"] for each in members), *(each["network"] for each in networks), *desks}
    values: dict[str, Any] = {
        "address": f"/drafts/{_key(request)}",
        "here": request.path_qs if request.method == "GET" else f"/drafts/{_key(request)}",
        "typed": writing.ticked(typed, offered),
        "problem": told,
        "members": sorted(members, key=lambda each: speech_of(request).country(each["country"])),
        "networks": networks,
        "desks": desks,
        "to_desks": [each for each in typed.to if "/" in each],
        "readers": readers,
        "unreachable": unreachable,
        "missing": problem.names if isinstance(problem, MissingError) else (),
        "faulty": faulty(problem),
        "labels": LABELS,
        "types": list(MessageType),
        "needed": NEEDED,
        "needed_now": {each.value: names for each, names in NEEDED.items()}.get(typed["type"], ()),
    }
    return page(request, "compose.html", values, told.status if told else 200)


async def _members(request: web.Request) -> list[View]:
    """Every other member that can be written to."""
    members = await parts_of(request).service.members()
    return [each for each in members if each["in_standing"] and not each["is_this_node"]]


async def _desks(request: web.Request, typed: Typed) -> list[str]:
    """Desks of others that the visitor's newest messages name, and those chosen before: nobody publishes theirs."""
    parts, look = parts_of(request), look_of(request)

    def job(tx: Transaction) -> list[Line]:
        return [line for each in (Folder.INBOX, Folder.SENT) for line in folders.listed(tx, each, look).lines]

    lines = await read(request, job)
    contents = [line.content for line in lines if line.content is not None]
    seen = writing.desks_named(contents, parts.member, parts.association)
    return sorted({*seen, *(each for each in typed.lists.get("to", []) if "/" in each)})


def _told(error: ValijaError) -> Problem:
    """The refusal, in the words of the form."""
    told = problems.problem(error)
    return structs.replace(told, title=writing.REFUSALS.get(error.code, told.title))


async def _readers(request: web.Request, typed: Typed) -> tuple[list[Party], tuple[str, Problem] | None]:
    """Everybody who will be able to read what goes to these addresses, besides the sender; else the address that is none, and why."""
    service, now = parts_of(request).service, int(parts_of(request).now())
    members: list[str] = []
    networks: list[str] = []
    for each in typed.to:
        try:
            address = parse_address(each, service.writer.association)
            if address.member is not None:
                service.registry.member_standing(address.member, now)
                members.append(address.member)
            elif address.network is not None:
                if service.registry.roster(address.network) is None:
                    raise UnknownNetworkError(address.network)
                networks.append(address.network)
        except ValijaError as error:
            return [], (each, _of_address(error))
    if not members and not networks:
        return [], None
    named = addressed_bytes(tuple(members), tuple(networks))
    try:
        return list((await service.rounds.ask(lambda ctx: resolve(ctx, named))).parties), None
    except ValijaError as error:
        return [], (", ".join(typed.to), _told(error))


def _of_address(error: ValijaError) -> Problem:
    told = _told(error)
    if not isinstance(error, UsageError) or isinstance(error, UnknownNetworkError):
        return structs.replace(told, detail="")
    return structs.replace(told, title="")


async def keep(request: web.Request) -> web.Response:
    """Keep what was typed; the answer is the page, or for the page's own keeping the list of readers in it."""
    visitor = _writer(request)
    typed = typed_of(await form_of(request), visitor.session.method)
    draft = await _kept(request, typed)
    if draft is None:
        return go(f"/drafts/{_key(request)}/sending")
    return await _form(request, typed, None)


async def _kept(request: web.Request, typed: Typed, send_at: int | None = None) -> Draft | None:
    """The draft, which now says this and goes at `send_at`; None if it is about to go or went, or is another's."""
    visitor, key, at = _writer(request), _key(request), int(parts_of(request).now())

    def job(tx: Transaction) -> Draft | None:
        # The page keeps by itself: what comes late must not begin again what has gone.
        if _sent_as(tx, request) or not drafts.keep(tx, key, visitor.person.id, typed.encode(), at):
            return None
        if send_at is not None:
            drafts.send(tx, key, visitor.person.id, send_at)
        return drafts.find(tx, key)

    return await parts_of(request).service.write(job)


async def send(request: web.Request) -> web.Response:
    """Keep what was typed and send it in ten seconds; or say what is in the way, as far as it can be known now."""
    visitor, parts = _writer(request), parts_of(request)
    typed = typed_of(await form_of(request), visitor.session.method)
    problem: ValijaError | None = None
    try:
        await parts.outgoing.check(visitor.person, typed, _key(request))
    except ValijaError as error:
        problem = error
    draft = await _kept(request, typed, None if problem else int(parts.now()) + parts.outgoing.undo_seconds)
    if draft is not None and problem is not None:
        return await _form(request, typed, problem)
    parts.outgoing.notify()
    return go(f"/drafts/{_key(request)}/sending")


async def sending(request: web.Request) -> web.Response:
    """The page on which sending can still be undone; on to what was sent, once it has gone."""
    draft = await _found(request)
    if draft is None:
        return go("/sent")
    address = f"/drafts/{draft.key}"
    if draft.send_at is None:
        return go(address)
    now, typed = int(parts_of(request).now()), read_typed(draft.form)
    is_late = is_overdue(request_of(typed, speech_of(request).zone).due_at, now)
    left = max(0, draft.send_at - now)
    return page(request, "sending.html", {"address": address, "typed": typed, "left": left, "is_late": is_late})


async def undo(request: web.Request) -> web.Response:
    """Go on writing what was about to be sent; or learn that it is too late."""
    visitor, key, now = _writer(request), _key(request), int(parts_of(request).now())
    await parts_of(request).service.write(lambda tx: drafts.undo(tx, key, visitor.person.id, now))
    draft = await _found(request)
    if draft is not None and draft.send_at is None:
        return go(f"/drafts/{key}")
    went = await read(request, lambda tx: _sent_as(tx, request))
    if draft is None and went is None:
        raise UnknownMessageError
    return page(request, "late.html", {"address": went}, problems.STATUSES[TooLateError.code])


async def drop(request: web.Request) -> web.Response:
    """Throw a draft away."""
    visitor, key = _writer(request), _key(request)
    await parts_of(request).service.write(lambda tx: drafts.drop(tx, key, visitor.person.id))
    return go("/drafts")
