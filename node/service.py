"""What a running node does for its callers; the HTTP handlers decode, call and encode.

A desk is a wall: whatever a caller may not see is unknown to it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from node import acceptance, api_views, desks, handover, search, withdrawal
from node import status as delivery_status
from node.acceptance import Accepted, Request
from node.api_requests import AcknowledgeRequest, Asked, Writer, action_of, desk_of, id_range
from node.api_views import View
from node.context import Context
from node.desks import AtDesk, Caller, Colleague, Desks, FreshToken, Operator, desks_of
from node.engine import Engine
from node.event_views import Place
from node.events import Feed
from node.handling import check_forward
from node.nudging.settings import Nudges
from node.nudging.vitals import nudge_vitals
from node.paging import Page, gather
from node.reach import resolve
from node.reading import Reading
from node.rounds import Rounds
from node.scopes import ALL_SCOPES, Scope
from node.search import Box, Hit
from node.store import Store, Transaction
from node.tables import evidence, finding, urgent
from node.tables.desks import Token
from node.tables.finding import Arrival, Sent
from node.uplink import Uplink
from node.vitals import brief, vitals
from node.walls import Walls
from node.webhooks.vitals import webhook_vitals
from node.withdrawal import Recalling
from protocol.errors import (
    ForbiddenError,
    HandlingError,
    UnknownMessageError,
    ValijaError,
)
from protocol.messages.content import Content, from_json
from protocol.messages.receipts import Actor
from protocol.names import MessageId, Party
from protocol.trust.registry import Registry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handed:
    """A message that was accepted, or would be, and everybody who will be able to read it."""

    message_id: MessageId
    fresh: bool
    readers: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running node that answer callers; used on the loop's thread."""

    store: Store
    engine: Engine
    rounds: Rounds
    uplink: Uplink
    feed: Feed
    desks: Desks
    writer: Writer
    url: str
    started_at: int
    now: Callable[[], float]
    reader: Reading = field(repr=False)
    nudges: Nudges = field(default_factory=Nudges)
    streams: Counter[str] = field(default_factory=Counter)
    """How many streams of events are open, by the handle of the token that opened them."""

    @property
    def walls(self) -> Walls:
        """What each caller sees."""
        return Walls(self.desks, self.writer)

    @property
    def registry(self) -> Registry:
        """The registry as this node holds it."""
        return self.engine.mirror.registry

    async def read(self, job: Callable[[Transaction], T]) -> T:
        """What `job` gives on a view of what is durable, beside the loop."""
        return await self.reader(job)

    async def write(self, job: Callable[[Transaction], T]) -> T:
        """What `job` gives, once its writes are durable; it needs nothing of the rules."""
        return await asyncio.wrap_future(self.store.submit(job))

    # -- sending ---------------------------------------------------------------------------------------
    async def send(self, asked: Asked, caller: Caller) -> Handed:
        """Accept a message; raises what `acceptance.accept` and `check_forward` do, `UnknownDeskError`."""
        self.desks.require(asked.request.desk)
        return await self.rounds.ask(partial(self._accept, asked, caller))

    async def check(self, asked: Asked, caller: Caller) -> Handed:
        """What `send` would answer now; raises what it would, and stores nothing."""
        self.desks.require(asked.request.desk)
        return await self.rounds.ask(partial(self._accept, asked, caller, accept=acceptance.check))

    async def send_all(self, batch: Sequence[Asked | ValijaError], caller: Caller) -> list[Accepted | ValijaError]:
        """Accept each message of a batch, or say why not; all in one transaction."""
        return await self.rounds.ask(partial(self._accept_all, batch, caller))

    def _accept(
        self,
        asked: Asked,
        caller: Caller,
        ctx: Context,
        *,
        accept: Callable[[Context, Request], Accepted] = acceptance.accept,
    ) -> Handed:
        request = asked.request
        audience = resolve(ctx, request.addressed).parties
        self._check_forward(ctx, asked, caller, audience)
        accepted = accept(ctx, request)
        return Handed(accepted.message_id, accepted.fresh, audience)

    def _accept_all(
        self, batch: Sequence[Asked | ValijaError], caller: Caller, ctx: Context
    ) -> list[Accepted | ValijaError]:
        judged = [self._judge(asked, caller, ctx) for asked in batch]
        accepted = iter(acceptance.accept_all(ctx, [each.request for each in judged if isinstance(each, Asked)]))
        return [next(accepted) if isinstance(each, Asked) else each for each in judged]

    def _judge(self, asked: Asked | ValijaError, caller: Caller, ctx: Context) -> Asked | ValijaError:
        """The same, if it may go as far as this node's desks and a forwarded message's handling code say."""
        if isinstance(asked, ValijaError):
            return asked
        try:
            self.desks.require(asked.request.desk)
            if asked.forwarded is not None:
                self._check_forward(ctx, asked, caller, resolve(ctx, asked.request.addressed).parties)
        except ValijaError as error:
            return error
        return asked

    def _check_forward(self, ctx: Context, asked: Asked, caller: Caller, wanted: Sequence[Party]) -> None:
        if asked.forwarded is None:
            return
        # Whoever's message of this id is meant, the code of each holds.
        for found in self.walls.seen(ctx.tx, asked.forwarded.message_id, caller):
            if isinstance(found, Arrival) and not found.is_intact:
                raise HandlingError("the disk damaged it, and its code with it")
            original, readers = self._original(ctx, found)
            check_forward(original.handling, asked.forwarded.handling, readers, wanted)

    @staticmethod
    def _original(ctx: Context, found: Sent | Arrival) -> tuple[Content, list[Party]]:
        if isinstance(found, Sent):
            return from_json(found.content), [ctx.identity.me, *delivery_status.readers(ctx.tx, found.message_id)]
        manifest = evidence.manifest(ctx.tx, finding.manifest_of(ctx.tx, found.id))
        return from_json(found.content), [manifest.sender, *manifest.audience]

    # -- finding ---------------------------------------------------------------------------------------
    async def identify(self, shown: str, caller: Caller) -> MessageId:
        """The id of the one message that the caller sees and that begins as `shown`; a whole id is given back unlooked at.

        Raises `UnknownMessageError`, and `UsageError` if there are several.
        """
        low, high = id_range(shown)
        if low == high:
            return MessageId(low)
        return await self.read(lambda tx: self.walls.identify(tx, low, high, caller))

    async def message(self, message_id: MessageId, caller: Caller, sender: str | None = None) -> View:
        """The message in full; `UnknownMessageError` if the caller does not see one of this id, of this sender.

        Raises `UsageError` where several senders used the id and none of them is named.
        """

        def job(tx: Transaction) -> tuple[View, int | None]:
            found = self.walls.find_intact(tx, message_id, caller, sender)
            if isinstance(found, Sent):
                return api_views.sent_in_full(tx, self.registry, found, int(self.now())), None
            waits = desks.is_on_duty(caller) and urgent.waits(tx, found.id)
            return api_views.arrival_in_full(tx, self.registry, found), found.id if waits else None

        view, waiting = await self.read(job)
        if waiting is not None:
            await self.write(lambda tx: urgent.opened(tx, waiting, self.walls.sees(caller)))
        return view

    async def receipts(self, message_id: MessageId, caller: Caller) -> list[View]:
        """The newest signed receipt of each recipient, with its proof; `UnknownMessageError` for what is not its desk's own."""
        shown = api_views.show_message_id(message_id)

        def job(tx: Transaction) -> list[View]:
            self.walls.find(tx, message_id, caller, self.writer.member)
            told = delivery_status.deliveries(tx, message_id, int(self.now()))
            return [
                api_views.receipt_in_full(shown, each, delivery_status.signed_receipt(tx, each.receipt))
                for each in told
                if each.receipt
            ]

        return await self.read(job)

    async def events(self, after: Place, limit: int, caller: Caller) -> View:
        """A page of the events behind `after` that the caller sees."""
        found, reached, more = await self.feed.page(after, limit, lambda each: each.is_for(caller, self.writer.desk))
        return {"items": [each.view() for each in found], "next": str(reached), "more": more}

    async def inbox(self, page: Page, caller: Caller, desk: str | None) -> View:
        """A page of what was received, in archive order, or the newest first if `before` is asked."""
        chosen = self.walls.chosen(caller, desk)

        def job(tx: Transaction) -> View:
            def read(low: int, high: int, count: int, down: bool) -> list[Arrival]:  # noqa: FBT001 - see gather
                return finding.arrivals(tx, low, high, count, chosen, newest_first=down)

            found, more = gather(page, read)
            return api_views.page([api_views.arrival(self.registry, each) for each in found], more=more)

        return await self.read(job)

    async def outbox(self, page: Page, caller: Caller, desk: str | None) -> View:
        """A page of what was sent, oldest first, or the newest first if `before` is asked."""
        chosen = desks_of(caller) if desk is None else self.walls.one(caller, desk)
        now = int(self.now())

        def job(tx: Transaction) -> View:
            def read(low: int, high: int, count: int, down: bool) -> list[Sent]:  # noqa: FBT001 - see gather
                return finding.sent(tx, low, high, count, chosen, newest_first=down)

            found, more = gather(page, read)
            return api_views.page(api_views.all_sent(tx, found, now), more=more)

        return await self.read(job)

    # -- searching -------------------------------------------------------------------------------------
    async def search(self, words: str, limit: int, caller: Caller) -> View:
        """The newest messages that hold all of these words, or whose case reference holds them as they stand."""
        desks_seen = self.walls.sees(caller)

        def job(tx: Transaction) -> View:
            hits = search.find(tx, words, desks_seen, limit)
            if len(words.strip()) >= search.MIN_FRAGMENT_CHARS:
                hits = [*search.find_case(tx, words, desks_seen, limit), *hits]
            unique = list(dict.fromkeys(hits))[:limit]
            return {"items": self._shown(tx, unique), "behind": search.behind(tx)}

        return await self.read(job)

    async def thread(self, message_id: MessageId, caller: Caller, sender: str | None = None) -> View:
        """Every message of the thread in which this one stands, oldest first; raises as `message`."""
        desks_seen = self.walls.sees(caller)

        def job(tx: Transaction) -> View:
            content = from_json(self.walls.find_intact(tx, message_id, caller, sender).content)
            hits = search.thread(tx, search.thread_of(content, message_id), desks_seen)
            return {"items": sorted(self._shown(tx, hits), key=_by_time)}

        return await self.read(job)

    def _shown(self, tx: Transaction, hits: Sequence[Hit]) -> list[View]:
        items: list[View] = []
        for hit in hits:
            if hit.box is Box.OUTBOX:
                items += api_views.all_sent(tx, finding.sent_by_row(tx, [hit.row]), int(self.now()))
            else:
                found = finding.arrivals(tx, hit.row - 1, hit.row + 1, 1, None)
                items += [api_views.arrival(self.registry, each) for each in found]
        return items

    # -- acts on messages ------------------------------------------------------------------------------
    async def withdraw(self, message_id: MessageId, caller: Caller) -> None:
        """Take a message back where it is not delivered; raises what `withdrawal.withdraw` does."""

        def work(ctx: Context) -> list[Recalling]:
            self.walls.find(ctx.tx, message_id, caller, self.writer.member)
            return withdrawal.withdraw(ctx, message_id)

        self.uplink.recall(await self.rounds.ask(work))

    async def acknowledge(
        self,
        message_id: MessageId,
        asked: AcknowledgeRequest,
        caller: Caller,
        sender: str | None = None,
        *,
        otherwise: bool = True,
    ) -> str:
        """Tell the sender, by a signed receipt, what a desk does with its message; gives the action's name.

        Raises as `message` and as `handover.hand_over`, which explains `otherwise`.
        """
        action = action_of(asked)
        desk = self.desks.require(desk_of(caller, asked.desk, self.writer.desk))
        author = caller.author if isinstance(caller, Colleague) else asked.author
        actor = Actor(author.name, author.role, author.login_method) if author else None

        found = await self.read(lambda tx: self.walls.find_intact(tx, message_id, caller, sender))
        if isinstance(found, Sent):
            raise UnknownMessageError

        def work(ctx: Context) -> None:
            handover.hand_over(ctx, found.id, desk, actor, action, asked.note, otherwise=otherwise)
            urgent.opened(ctx.tx, found.id, self.walls.sees(AtDesk(desk)))

        await self.rounds.ask(work)
        return api_views.action_name(action)

    # -- the association -------------------------------------------------------------------------------
    async def members(self) -> list[View]:
        """Every member."""
        return await self.write(lambda _tx: api_views.members(self.registry, self.writer.member, int(self.now())))

    async def networks(self) -> list[View]:
        """Every network."""
        return await self.write(lambda _tx: api_views.networks(self.registry))

    async def readers(self, handed: Handed) -> list[View]:
        """Everybody who will be able to read this message, with their titles."""
        return api_views.readers(self.registry, handed.readers)

    async def status(self, caller: Caller) -> View:
        """How this node is; a desk learns little of it."""
        if not isinstance(caller, Operator):
            own = desks_of(caller) or ()
            return brief(self.engine, self.uplink) | {"desk": own[0] if len(own) == 1 else None}
        now = int(self.now())

        def job(tx: Transaction) -> View:
            nudged = nudge_vitals(tx, self.nudges, self.desks.names, self.writer.desk)
            told = vitals(self.engine, self.uplink, self.url, self.started_at, tx, now)
            return told | {"nudges": nudged, "webhooks": webhook_vitals(tx)}

        return await self.write(job)

    # -- desks -----------------------------------------------------------------------------------------
    async def listed_desks(self) -> list[tuple[str, int, list[Token]]]:
        """Every desk with the time of its making and its tokens."""
        return await self.read(desks.listed)

    async def add_desk(self, name: str) -> None:
        """Make a desk; raises what `desks.add` does."""
        await self._change(lambda tx: desks.add(tx, name, int(self.now())))

    async def add_token(
        self, desk: str, label: str, scopes: Iterable[Scope] = ALL_SCOPES, expires_at: int | None = None
    ) -> FreshToken:
        """Make a token, shown this once; `UnknownDeskError`, `UsageError` for a long label."""
        fresh = desks.draw_token(desk, label, int(self.now()), scopes, expires_at)
        await self._change(lambda tx: desks.add_token(tx, fresh))
        return fresh

    async def revoke_token(self, handle: str) -> Token:
        """End the one token whose handle begins so; `UsageError` if there is none, or several."""
        return await self._change(lambda tx: desks.revoke(tx, handle, int(self.now())))

    async def _change(self, job: Callable[[Transaction], T]) -> T:
        answer = await self.write(job)
        # Only what is durable counts at the door.
        await self.read(self.desks.refresh)
        return answer

    def require_operator(self, caller: Caller) -> None:
        """Return if the caller is the operator; else `ForbiddenError`: the token may be good, and shows no operator."""
        if not isinstance(caller, Operator):
            raise ForbiddenError("this is the operator's, over the Unix socket")


def _by_time(item: View) -> tuple[str, bool]:
    # Within one second an answer stands behind what it may answer.
    at = item.get("accepted_at") or item["received_at"]
    return str(at), b'"in_reply_to"' in bytes(item["content"])
