"""A node as the hub sees it: the real session machine over a real WebSocket, with envelopes that nobody can open."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from protocol.messages.envelope import Core, Slot, Submission
from protocol.names import Incarnation
from protocol.session.channel import Ephemeral
from protocol.session.frames import Acknowledge, Deliver, Frame, Publish, Published, Results, Submit, Welcome
from protocol.session.items import DeliverItem, ResultItem, SubmitItem, Window, fitting
from protocol.session.machine import Answer, Closed, Event, FrameReceived, NodeIdentity, NodeSession, Opened
from protocol.trust.checkpoint import LogKey
from protocol.trust.notes import Note
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, epoch_at, sign_calendar
from protocol.trust.registry import Entry, Registry
from protocol.trust.statements import Role
from tests.hub.house import noise
from tests.support.world import DAY, World

F = TypeVar("F", bound=Frame)
WIDE = Window(1_000, 64 << 20)
PATIENCE = 20.0
QUICK = aiohttp.ClientWSTimeout(ws_close=0.5)


async def mirror(url: str, world: World, tls: ssl.SSLContext | None = None) -> Registry:
    """The registry that the hub's log gives, replayed from what it serves; the checkpoint must agree."""
    key = LogKey(*_log_parts(world))
    registry = Registry(world.association)
    async with aiohttp.ClientSession(base_url=url, connector=aiohttp.TCPConnector(ssl=tls or True)) as client:
        checkpoint = key.open(Note.parse(await _get(client, "/log/checkpoint"))).checkpoint
        bundle = await _get(client, f"/log/tile/entries/000.p/{checkpoint.size}")
        while bundle:
            size = int.from_bytes(bundle[:2], "big")
            entry, bundle = bundle[2 : 2 + size], bundle[2 + size :]
            statement = await _get(client, f"/log/statement/{Entry.parse(entry).hash.hex()}")
            assert registry.append(entry, statement).applied
    assert (registry.size, registry.root) == (checkpoint.size, checkpoint.root)
    return registry


def _log_parts(world: World) -> tuple[str, bytes, bytes]:
    hub = world.registry.charter.hub
    return hub.origin, hub.log_key, hub.log_ed25519


async def _get(client: aiohttp.ClientSession, path: str) -> bytes:
    async with client.get(path) as response:
        assert response.status == 200, (path, response.status, await response.text())
        return await response.read()


class Ended(Exception):  # noqa: N818 - it is what happened, not always an error
    """The session is over: `closed` as the machine says, None if the line just ended."""

    def __init__(self, closed: Closed | None) -> None:
        self.closed = closed
        super().__init__(closed)

    @property
    def code(self) -> str | None:
        return None if self.closed is None else self.closed.code


class HubClient:
    """One session of a member's node, opened by `connected`."""

    def __init__(
        self, world: World, member: str, socket: aiohttp.ClientWebSocketResponse, machine: NodeSession
    ) -> None:
        self.world, self.member, self.socket, self.machine = world, member, socket, machine
        self.welcome: Welcome | None = None
        self.hello: Any = None
        self.events: deque[Event] = deque()
        self.others: deque[Frame] = deque()
        self.incarnation = Incarnation(1, 1)
        self.counter = 0

    @property
    def transport(self) -> Any:
        """What is below the WebSocket: to stop reading, or to break the line."""
        connection = self.socket._response.connection
        assert connection is not None
        return connection.transport

    # -- frames
    async def open(self, now: int) -> None:
        await self.socket.send_bytes(self.machine.start(now))
        event = await self.event()
        assert isinstance(event, Opened)
        self.hello, self.welcome = event.hello, event.welcome
        highest = event.welcome.highest
        self.counter = highest.counter if highest else 0

    async def event(self) -> Event:
        """The next event that is not an answer; answers are sent.  Raises `Ended`."""
        async with asyncio.timeout(PATIENCE):
            while not self.events:
                message = await self.socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise Ended(None)
                self.events += self.machine.receive(message.data, int(time.time()))
                await self._answer()
        event = self.events.popleft()
        if isinstance(event, Closed):
            raise Ended(event)
        return event

    async def _answer(self) -> None:
        for event in [each for each in self.events if isinstance(each, Answer)]:
            self.events.remove(event)
            await self.socket.send_bytes(event.data)

    async def send(self, frame: Frame) -> None:
        await self.socket.send_bytes(self.machine.send(frame))

    async def expect(self, kind: type[F]) -> F:
        """The next frame of this kind; others wait in `others`."""
        for waiting in self.others:
            if isinstance(waiting, kind):
                self.others.remove(waiting)
                return waiting
        while True:
            event = await self.event()
            assert isinstance(event, FrameReceived)
            if isinstance(event.frame, kind):
                return event.frame
            self.others.append(event.frame)

    async def ended(self) -> Ended:
        """How the session ends."""
        try:
            while True:
                await self.event()
        except Ended as end:
            return end

    # -- what nodes do
    async def publish(self, now: int | None = None) -> None:
        signed = calendar(self.world, self.member, int(time.time()) if now is None else now)
        await self.send(Publish(1, signed.raw))
        assert await self.expect(Published) == Published(1, None)

    async def acknowledge(self, position: int, window: Window = WIDE) -> None:
        await self.send(Acknowledge(position, window))

    async def submit(self, *items: SubmitItem) -> list[ResultItem]:
        """The hub's answers, in the order of the items."""
        sent = list(items)
        while sent:
            await self.send(Submit(tuple(sent[: fitting(sent)])))
            sent = sent[fitting(sent) :]
        return await self.results(*items)

    async def results(self, *items: SubmitItem) -> list[ResultItem]:
        found: dict[bytes, ResultItem] = {}
        while len(found) < len(items):
            found |= {each.envelope_id: each for each in (await self.expect(Results)).items}
        return [found[item.id] for item in items]

    async def deliveries(self, count: int) -> list[DeliverItem]:
        """So many items, none acknowledged."""
        found: list[DeliverItem] = []
        while len(found) < count:
            found += (await self.expect(Deliver)).items
        return found

    def envelope(self, recipients: Sequence[str], *, size: int = 8_192, lifetime: int = DAY, **at: int) -> SubmitItem:
        """An envelope with the next submission, its slots for today's prekeys."""
        self.counter += 1
        now = at.get("now", int(time.time()))
        ciphertext = noise(size, self.member, self.counter, now)
        submission = Submission(self.incarnation, self.counter)
        core = Core.build(self.world.party(self.member), submission, now + lifetime, ciphertext)
        slots = [slot(self.world, each, (self.counter, self.member), now) for each in recipients]
        return SubmitItem(core.raw, ciphertext, tuple(each.raw for each in slots))


def calendar(world: World, member: str, now: int) -> SignedCalendar:
    """A calendar from today on, of keys that nobody holds the secret of."""
    first = epoch_at(now)
    epochs = [(first + day, noise(1_216, member, first + day)) for day in range(15)]
    built = PrekeyCalendar.build(world.association, member, world.certificates[member], now, epochs)
    return sign_calendar(world.key(member), built)


def slot(world: World, recipient: str, tag: object, now: int) -> Slot:
    """A slot for today by the calendar above."""
    prekey = calendar(world, recipient, now).claimed.hash(epoch_at(now)) or b""
    leaf, wrap = noise(32, "leaf", recipient, tag), noise(1_843, "wrap", recipient, tag)
    return Slot.build(world.party(recipient), epoch_at(now), prekey, leaf, wrap)


@asynccontextmanager
async def line(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to the hub's sessions, nothing said."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls or True)) as client,
        client.ws_connect(f"{url}/session", max_msg_size=5 << 20, compress=0, timeout=QUICK) as socket,
    ):
        yield socket


@asynccontextmanager
async def connected(
    url: str,
    world: World,
    member: str,
    *,
    registry: Registry | None = None,
    tls: ssl.SSLContext | None = None,
    now: int | None = None,
) -> AsyncIterator[HubClient]:
    """An open session of this member; its clock is `now` at the hello."""
    known = await mirror(url, world, tls) if registry is None else registry
    async with line(url, tls) as socket:
        client = HubClient(world, member, socket, machine(world, member, known))
        client.incarnation = (known.incarnations(Role.NODE, member) or [client.incarnation])[-1]
        await client.open(int(time.time()) if now is None else now)
        yield client


def machine(world: World, member: str, registry: Registry) -> NodeSession:
    """The machine of this member's node."""
    certificate = world.certificates.get(member, world.hub_certificate)
    incarnations = registry.incarnations(Role.NODE, member)
    newest = incarnations[-1] if incarnations else None
    identity = NodeIdentity(world.party(member), certificate, newest, world.key(member).sign)
    return NodeSession(identity, Ephemeral(os.urandom(32), os.urandom(32)), registry)
