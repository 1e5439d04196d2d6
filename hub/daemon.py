"""The life of a hub process: open, listen, serve until SIGTERM, drain, close; or end at once when the disk fails.

lock ─► keys ─► store and log ─► sockets ─► READY ─► … ─► SIGTERM ─► door shut ─► last commit ─► farewell ─► exit 0
                                                      └─► commit failed, or a part of the hub did ─► exit 1
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from hub.board.app import application, assemble
from hub.board.settings import address, origin
from hub.chores import Chores
from hub.config import Home, HubConfig, console_tls, load, tls_context, tls_files
from hub.core import NOT_INSTALLED, Core, load_log
from hub.hall import Hall
from hub.identity import HubKeys
from hub.life import is_put_back
from hub.refill import Refill
from hub.refill_web import run as run_refill
from hub.rounds import Round
from hub.sites import Site, listener_at, serving, unix_listener
from hub.sqlite_store import SqliteStore
from hub.steering import Steering
from hub.store import Store
from hub.web import admin_app, operator_app, public_app
from keys.home import is_loopback
from keys.lock import locked
from keys.logs import configure
from keys.migrating import Migrated
from keys.notify import keep_alive, notify
from protocol.errors import ConfigError, StoreError, ValijaError

_PRIVATE_MASK: Final = 0o077
_SWITCH_SECONDS: Final = 0.001
_FAILED: Final = 1
_log: Final = structlog.get_logger("hub")


def serve(home: Home, environment: Mapping[str, str]) -> None:
    """Run the hub of this home until SIGTERM or SIGINT, then return.

    Raises what keeps it from starting: `HomeMissingError`, `ConfigError`, `HomeLockedError`, `KeyAccessError`,
    `StandingError`, `WrongHubError`, `StoreError`.
    """
    config = load(home, environment)
    configure(config.log.level.value)
    os.umask(_PRIVATE_MASK)
    # The loop is woken by the writing thread: with the usual 5 ms it would wait that long for its turn.
    sys.setswitchinterval(_SWITCH_SECONDS)
    keys = HubKeys.load(home, config, environment)
    with _store(home) as store, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if _refilled(runner, home, config, store, keys):
            core = Core(config, store, keys, fatal=fail_stop)
            runner.run(Daemon(home, config, core, tls_context(home, config)).run())


@contextmanager
def _store(home: Home) -> Iterator[Store]:
    if not home.database.exists():
        raise ConfigError(NOT_INSTALLED)
    with locked(home.lock), _naming(home.database), closing(SqliteStore(home.database, _tell_migrated)) as store:
        yield store


@contextmanager
def _naming(database: Path) -> Iterator[None]:
    """A store that cannot be read, and ends the hub meanwhile, is named, and what to do."""
    try:
        yield
    except StoreError as error:
        path = "" if str(database) in error.detail else f"{database}: "
        remedy = f"`valija-hub doctor --home {database.parent}` tells what is damaged and what to do"
        raise type(error)(f"{path}{error.detail}; {remedy}") from error


def _refilled(runner: asyncio.Runner, home: Home, config: HubConfig, store: Store, keys: HubKeys) -> bool:
    """Whether the hub may go on: one that was put back from a backup has taken in what its members' nodes hold."""
    log = load_log(store, keys)
    if log is None or not is_put_back(store, log):
        return True
    refill = Refill(store, keys, log, config.restore.quiet_seconds)
    if not runner.run(run_refill(home, config, refill)):
        return False
    incarnation = refill.finish()
    _log.warning("restored", registry_size=log.registry.size, incarnation=incarnation and incarnation.value())
    return True


def _tell_migrated(done: Migrated) -> None:
    _log.info("migrated", before=done.before, after=done.after, backup=str(done.backup))


def fail_stop(error: BaseException) -> None:
    """End the process at once: a commit failed, and nobody knows what is durable.  Nothing is answered any more."""
    code = error.code if isinstance(error, ValijaError) else "internal"
    _log.critical("fail_stop", code=code, error=type(error).__name__, reason=str(error))
    sys.stderr.flush()
    # Not sys.exit: this is the writing thread, and no other part of the process may say one more word.
    os._exit(_FAILED)


class Daemon:
    """One running hub."""

    def __init__(self, home: Home, config: HubConfig, core: Core, tls: ssl.SSLContext | None) -> None:
        """Nothing runs yet."""
        self.core = core
        self.hall = Hall(
            config.sessions,
            core.desk,
            core.writer,
            greet=core.greet,
            standing=core.standing,
            reading=core.reading,
            refused=core.refused,
            clock=core.clock,
            last_seen=core.last_seen,
        )
        self.address: tuple[str, int] | None = None
        self.console: str | None = None
        """Under which origin browsers reach the console; None if it is not served."""
        self.steering = Steering(core, self.hall)
        self._home, self._config, self._tls = home, config, tls
        console = console_tls(home, config)
        self._console_tls = None if console is None else console.context()
        self._tell_tls_end()
        self._chores = Chores(core)
        self._stopping = asyncio.Event()
        core.metrics.look_at(home.folder, home.database)
        core.on_committed, core.on_grown = self._committed, self.hall.grown

    def _committed(self, round_: Round) -> None:
        self.hall.committed(round_)
        self._chores.committed(round_)

    def stop(self) -> None:
        """Drain and return from `run`."""
        self._stopping.set()

    async def run(self, ready: Callable[[Daemon], None] | None = None) -> None:
        """Serve until `stop`, or one of the signals; `ready` is told when sessions are let in."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._signals())
            sites = self._sites(stack)
            self.core.writer.start()
            stack.push_async_callback(self.core.writer.stop)
            for site in sites:
                await stack.enter_async_context(serving(site))
            await self._work(ready)
        _log.info("stopped")

    async def _work(self, ready: Callable[[Daemon], None] | None) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(chore) for chore in self._running()]
            self._tell_ready(ready)
            await self._stopping.wait()
            notify("STOPPING=1")
            _log.info("draining", sessions=len(self.hall.sessions))
            await self.hall.drain()
            for task in running:
                task.cancel()

    def _running(self) -> list[Coroutine[Any, Any, None]]:
        beating = keep_alive(lambda: self.core.writer.run(lambda _round: None))
        return [
            self._chores.expire(),
            self._chores.refresh(),
            self._chores.sample(self.hall.sessions),
            self.hall.watch(),
            beating,
        ]

    def _tell_ready(self, ready: Callable[[Daemon], None] | None) -> None:
        host, port = self.address or ("", 0)
        _log.info("serving", host=host, port=port, tls=self._tls is not None, registry_size=self.core.log.registry.size)
        notify("READY=1")
        if ready is not None:
            ready(self)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def reload(self) -> None:
        """Show renewed TLS certificates to connections made from now on; a bad one changes nothing."""
        public, console = tls_files(self._home, self._config), console_tls(self._home, self._config)
        if self._tls is None and self._console_tls is None:
            return
        try:
            if public is not None and self._tls is not None:
                public.load_into(self._tls)
            if console is not None and self._console_tls is not None:
                console.load_into(self._console_tls)
            self._tell_tls_end()
            _log.info("certificate_reloaded")
        except ConfigError as error:
            _log.error("certificate_not_reloaded", code=error.code, reason=error.detail)

    def _tell_tls_end(self) -> None:
        """The figures say what is shown, not what stands in a file that was renewed since."""
        files = (tls_files(self._home, self._config), console_tls(self._home, self._config))
        self.core.metrics.tls_end.set(min((each.ends_at() for each in files if each is not None), default=0))

    # -- sockets
    def _sites(self, stack: AsyncExitStack) -> list[Site]:
        listen, operator = self._config.listen, self._config.operator
        public = stack.enter_context(closing(listener_at(listen.host, listen.port)))
        self.address = public.getsockname()[:2]
        figures = is_loopback(listen.host)
        sites = [
            Site(public_app(self.core, self.hall, figures=figures), public, self._tls),
            Site(
                admin_app(self.core, self.hall, self.steering),
                stack.enter_context(closing(unix_listener(self._home.socket))),
            ),
        ]
        if operator.port:
            private = stack.enter_context(closing(listener_at(operator.host, operator.port)))
            sites.append(Site(operator_app(self.core, self.hall), private))
        if (where := address(self._config.console)) is not None:
            sites.append(self._console(stack.enter_context(closing(listener_at(*where)))))
        return sites

    def _console(self, listener: socket.socket) -> Site:
        host, port = listener.getsockname()[:2]
        settings, tls = self._config.console, self._console_tls
        self.console = origin(settings, port)
        parts = assemble(self._home, self.core, self.hall, self.steering, settings, self.console)
        _log.info("console_listening", host=host, port=port, tls=tls is not None)
        return Site(application(parts), listener, tls)
