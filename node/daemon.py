"""A running node: the parts put together, one life from lock to drain.

    lock -> config -> keys -> archive -> rules -> rounds -> API on the socket -> line to the hub ... SIGTERM -> drain

Each part is opened after what it needs and closed before it; whatever breaks for good (the disk, a fault of ours) ends
the process with its code, because a restart reads everything back from the archive.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvloop
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from keys import sites
from keys.home import TlsFiles, is_loopback, resolve
from keys.lock import locked
from keys.logs import configure
from keys.migrating import Migrated
from keys.notify import keep_alive, notify
from node import api, api_backup, api_docs, api_messages, api_metrics, api_node, api_nudges, api_people, api_webhooks
from node import config as settings
from node.api_requests import Writer
from node.archive import Archive, check_there
from node.config import Home, NodeConfig
from node.context import Context
from node.desks import Desks
from node.engine import Engine, Going
from node.events import Feed, News
from node.founding import Custody, open_custody, read_anchor
from node.hubline import HubLine, choose_proxy
from node.indexing import Indexer
from node.limiting import Buckets, Pace
from node.nudging.settings import calls_anybody
from node.reading import Reading
from node.rounds import Rounds, Turn
from node.service import Service
from node.sockets import unix_socket
from node.store import Transaction
from node.tls import client_context
from node.uplink import Uplink
from node.webhooks.book import Book
from node.webhooks.guard import Guard
from node.webhooks.postman import Postman
from protocol.errors import ConfigError, StoreError, ValijaError
from protocol.names import Party

if TYPE_CHECKING:
    from node.nudging.nudger import Nudger
    from node.web.parts import Parts

DRAIN_SECONDS: Final = 10
SWITCH_SECONDS: Final = 0.001
GARBAGE_THRESHOLD: Final = 20_000
_KEEPALIVE_SECONDS: Final = 75


class Daemon:
    """One running node; made by `running`."""

    def __init__(self, service: Service, log: FilteringBoundLogger, now: Callable[[], float]) -> None:
        """Nothing is served yet."""
        self.service = service
        self.log = log
        self.failure: Exception | None = None
        self.stopping = asyncio.Event()
        self.address: tuple[str, int] | None = None
        self.web_address: tuple[str, int] | None = None
        self.pages: Parts | None = None
        self.nudger: Nudger | None = None
        self.now = now
        self.tls_end = 0
        """When the first TLS certificate that is shown ends (Unix seconds); 0: none is."""
        self._shown: list[tuple[TlsFiles, ssl.SSLContext]] = []

    def stop(self) -> None:
        """Begin to drain; the second time changes nothing."""
        if not self.stopping.is_set():
            self.log.info("draining")
            self.stopping.set()

    def show(self, files: TlsFiles | None) -> ssl.SSLContext | None:
        """TLS 1.3 with this certificate, which `reload` renews; None for none.  `ConfigError` if the files do not serve."""
        if files is None:
            return None
        context = files.context()
        self._shown.append((files, context))
        self._tell_tls_end()
        return context

    def reload(self) -> None:
        """Show renewed TLS certificates to connections made from now on; a bad one changes nothing."""
        if not self._shown:
            return
        try:
            for files, context in self._shown:
                files.load_into(context)
            self._tell_tls_end()
            self.log.info("certificate_reloaded")
        except ConfigError as error:
            self.log.error("certificate_not_reloaded", code=error.code, reason=error.detail)  # noqa: TRY400

    def _tell_tls_end(self) -> None:
        self.tls_end = min(files.ends_at() for files, _context in self._shown)

    def fail(self, error: Exception) -> None:
        """End because of `error`."""
        if self.failure is None:
            self.failure = error
            self.log.critical("failed", code=getattr(error, "code", ValijaError.code), kind=type(error).__name__)
        self.stopping.set()


@dataclass(frozen=True, slots=True)
class _Rules:
    """The engine's rules; what a round brought is looked at before it ends, so that it is told as soon as it is durable."""

    engine: Engine
    feed: Feed

    def context(self, tx: Transaction) -> Context:
        """See `node.rounds.Rules`."""
        return self.engine.context(tx)

    def turn(self, ctx: Context) -> Turn:
        """See `node.rounds.Rules`."""
        turn, news = self.engine.turn(ctx), self.feed.look(ctx.tx)
        more = turn.more or (news is not None and news.more)
        return Turn((turn.outcome, news), turn.wake_at, more)


# -- one life ------------------------------------------------------------------------------------------
def serve(home: Home, environment: Mapping[str, str]) -> None:
    """Run the node of this home until SIGTERM or SIGINT.

    Raises `HomeMissingError`, `ConfigError`, `HomeLockedError`, `KeyAccessError` and its kinds, `StoreError`.
    """
    config = settings.load(home, environment)
    log = configure(config.log.level.value)
    custody = open_custody(home, config, environment)
    # The loop is woken by the store's thread: with the usual 5 ms it would wait that long for its turn.
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    # A batch makes thousands of values that refer to nothing: looking for cycles among them finds none, and costs a tenth.
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
    with locked(home.lock), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(home, config, custody, environment, log))


async def _serve(
    home: Home, config: NodeConfig, custody: Custody, environment: Mapping[str, str], log: FilteringBoundLogger
) -> None:
    async with running(home, config, custody, environment, log) as daemon:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload)
        log.info("serving", member=config.member.name, pid=os.getpid(), api=config.api.listen or None)
        notify("READY=1")
        beating = asyncio.create_task(keep_alive(lambda: daemon.service.write(lambda _tx: None)), name="watchdog")
        await daemon.stopping.wait()
        notify("STOPPING=1")
        await _cancelled(beating)
    if daemon.failure is not None:
        raise daemon.failure
    log.info("stopped")


@asynccontextmanager
async def running(
    home: Home,
    config: NodeConfig,
    custody: Custody,
    environment: Mapping[str, str],
    log: FilteringBoundLogger,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Daemon]:
    """A node that serves meanwhile, and is drained afterwards.  Raises what opening its parts does."""
    loop = asyncio.get_running_loop()
    daemon: Daemon | None = None
    failed_early: list[Exception] = []

    def failed(error: Exception) -> None:
        if daemon is None:
            failed_early.append(error)
        else:
            daemon.fail(error)

    # A home has one from its first hour on: without it everything that was sent and received would be gone in silence.
    check_there(home.archive)
    async with AsyncExitStack() as parts:
        store = Archive(
            home.archive,
            custody.archive_key,
            lambda error: _tell(loop, failed, error),
            lambda done: _tell_migrated(log, done),
        )
        parts.push_async_callback(asyncio.to_thread, store.close)
        service, rounds, line = await _assemble(home, config, custody, environment, log, now, store, failed, parts)
        daemon = Daemon(service, log, now)
        if failed_early:
            raise failed_early[0]
        parts.push_async_callback(rounds.close)
        uplink = asyncio.create_task(_keep_line(service.uplink, line, daemon), name="uplink")
        parts.push_async_callback(_end_line, service.uplink, uplink)
        # Last opened, first closed: what callers asked is answered before anything else ends.
        await _open_doors(home, config, custody, daemon, parts)
        parts.push_async_callback(service.feed.close)
        yield daemon


def _tell(loop: asyncio.AbstractEventLoop, failed: Callable[[Exception], None], error: StoreError) -> None:
    loop.call_soon_threadsafe(failed, error)


def _tell_migrated(log: FilteringBoundLogger, done: Migrated) -> None:
    log.info("migrated", before=done.before, after=done.after, backup=str(done.backup))


async def _assemble(
    home: Home,
    config: NodeConfig,
    custody: Custody,
    environment: Mapping[str, str],
    log: FilteringBoundLogger,
    now: Callable[[], float],
    store: Archive,
    failed: Callable[[Exception], None],
    parts: AsyncExitStack,
) -> tuple[Service, Rounds, HubLine]:
    anchor = read_anchor(home.charter)
    party = Party(anchor.association, config.member.name)
    prekeys = custody.prekeys(home, party)
    for name in prekeys.set_aside:
        log.warning("prekey_damaged", path=name)
    engine = Engine(party, custody.signer.key, anchor, prekeys, now)
    await asyncio.wrap_future(store.submit(engine.load))
    read = Reading(store)
    parts.callback(read.close)
    url = config.hub.url or anchor.charter.hub.url
    line = hub_line(home, config, url, environment)

    def wake() -> None:
        rounds.wake()

    feed = Feed(read, lambda: engine.mirror.registry, now, log, wake, config.member.desk)
    indexer = Indexer(store)
    parts.push_async_callback(indexer.close)

    def gone(done: tuple[Going, News | None]) -> None:
        uplink.go(done[0])
        feed.tell(done[1])
        indexer.notify()

    rounds = Rounds(store, _Rules(engine, feed), now, gone, failed)
    uplink = Uplink(line, engine, rounds, store, custody.signer.key, now, log)
    desks = await read(Desks)
    writer = Writer(config.member.name, anchor.charter.name, config.member.desk)
    begun = int(now())
    service = Service(store, engine, rounds, uplink, feed, desks, writer, url, begun, now, read, config.nudges)
    return service, rounds, line


def hub_line(home: Home, config: NodeConfig, url: str, environment: Mapping[str, str]) -> HubLine:
    """The line to the hub at `url` as these settings want it, not open yet; `ConfigError`."""
    address = settings.hub_url(url)
    ca_file = resolve(home, config.hub.ca_file) if config.hub.ca_file else None
    context: ssl.SSLContext | None = client_context(ca_file) if address.startswith("https:") else None
    return HubLine(address, choose_proxy(config.hub.proxy, address, environment), context)


# -- the line ------------------------------------------------------------------------------------------
async def _keep_line(uplink: Uplink, line: HubLine, daemon: Daemon) -> None:
    try:
        async with line:
            await uplink.run()
    except Exception as error:  # noqa: BLE001 - whatever ends the line for good ends the process
        daemon.fail(error)


async def _end_line(uplink: Uplink, task: asyncio.Task[None]) -> None:
    uplink.stop()
    done, _pending = await asyncio.wait([task], timeout=DRAIN_SECONDS)
    if not done:
        task.cancel()
        await asyncio.wait([task])


# -- the doors -----------------------------------------------------------------------------------------
def _routes() -> list[web.RouteDef]:
    described = api_docs.routes([*api_messages.TABLE, *api_node.TABLE, *api_webhooks.TABLE])
    return [*api_messages.routes(), *api_node.routes(), *api_webhooks.routes(), *described]


async def _open_webhooks(config: NodeConfig, daemon: Daemon, parts: AsyncExitStack) -> Book:
    service = daemon.service
    postman = Postman(service, Guard(config.webhooks.allow), daemon.log, daemon.fail)
    await postman.start()
    parts.push_async_callback(postman.close)
    service.feed.watchers.append(postman.notify)
    return Book(service, postman)


async def _open_doors(home: Home, config: NodeConfig, custody: Custody, daemon: Daemon, parts: AsyncExitStack) -> None:
    service, log = daemon.service, daemon.log
    figures = api_metrics.routes(home, lambda: daemon.tls_end)
    rooms = (
        api_backup.routes(home, custody.archive_key),
        api_people.routes(lambda: daemon.pages),
        api_nudges.routes(lambda: daemon.nudger),
        api_node.health(),
    )
    own = [*figures, *(route for room in rooms for route in room)]
    buckets = Buckets(Pace(config.api.request_burst, config.api.requests_per_second), time.monotonic)
    book = await _open_webhooks(config, daemon, parts)
    app = api.application(service, api.by_socket, log, [*_routes(), *own], buckets)
    app[api_webhooks.BOOK] = book
    await _answer(app, unix_socket(home.socket), parts)
    parts.callback(home.socket.unlink, missing_ok=True)
    await _open_pages(home, config, daemon, parts, book)
    await _begin_nudging(home, config, daemon, parts)
    address = settings.listen_address(config.api.listen)
    if address is None:
        return
    door, routes = api.by_token(service), _routes()
    if is_loopback(address[0]):
        door, routes = api_metrics.beside(door), [*routes, *figures]
    app = api.application(service, door, log, routes, buckets)
    app[api_webhooks.BOOK] = book
    context = daemon.show(settings.tls_files(home, config.api))
    listening = _listen(address)
    await _answer(app, listening, parts, context)
    daemon.address = listening.getsockname()[:2]
    log.info("api_listening", host=daemon.address[0], port=daemon.address[1], tls=context is not None)


async def _open_pages(home: Home, config: NodeConfig, daemon: Daemon, parts: AsyncExitStack, book: Book) -> None:
    address = settings.listen_address(config.web.listen, "web.listen")
    if address is None:
        return
    # A node without pages for people need not hold what makes them in memory.
    from node.web import serving  # noqa: PLC0415

    listening = _listen(address, "web.listen")
    daemon.web_address = listening.getsockname()[:2]
    context = daemon.show(settings.tls_files(home, config.web, "web"))
    port = daemon.web_address[1]
    pages = await serving.assemble(home, daemon.service, book, config.web, port, daemon.now, daemon.log)
    await _answer(serving.application(pages), listening, parts, context)
    for name, work in (("outgoing", pages.outgoing.run()), ("journal heads", serving.telling(pages))):
        parts.push_async_callback(_cancelled, asyncio.create_task(_lasting(work, daemon), name=name))
    daemon.pages = pages
    daemon.log.info("web_listening", host=daemon.web_address[0], port=daemon.web_address[1], tls=context is not None)


async def _begin_nudging(home: Home, config: NodeConfig, daemon: Daemon, parts: AsyncExitStack) -> None:
    if not calls_anybody(config.nudges):
        return
    # As for the pages: a node that calls nobody need not hold what words it.
    from node.nudging import serving  # noqa: PLC0415

    daemon.nudger = await serving.begin(home, config, daemon.service, daemon.log, daemon.fail, parts)


async def _lasting(work: Coroutine[Any, Any, None], daemon: Daemon) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever ends such work for good ends the process
        daemon.fail(error)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _listen(address: tuple[str, int], setting: str = "api.listen") -> socket.socket:
    host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{setting} {host}:{port}: {getattr(error, 'strerror', None) or 'no such address'}") from None


async def _answer(
    app: web.Application, listening: socket.socket, parts: AsyncExitStack, tls: ssl.SSLContext | None = None
) -> None:
    seconds = {"keepalive_seconds": _KEEPALIVE_SECONDS, "shutdown_seconds": DRAIN_SECONDS}
    await parts.enter_async_context(sites.serving(app, listening, tls, **seconds, handler_cancellation=True))
