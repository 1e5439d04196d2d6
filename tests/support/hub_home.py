"""A hub for tests: a home that holds the keys of a `World`'s hub, and a hub that runs on it inside this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub import founding
from hub.config import Home, Tls, load, tls_context
from hub.core import Core
from hub.daemon import Daemon
from hub.identity import HubKeys
from hub.sqlite_store import SqliteStore
from hub.store import Store
from keys import vault as vaults
from keys.armour import Mark, armour
from keys.files import private_folder, write_new
from keys.home import Level
from keys.kinds import Kind, OpenKey
from keys.lock import locked
from keys.locks import Box
from keys.logs import configure
from keys.vault import Secret, Vault
from protocol.codec import encode
from protocol.trust.statements import Opening, Role
from tests.support.world import LIMITS, World


def young_world(**changes: Any) -> World:
    """An association founded a minute ago, for hubs that look at the real clock."""
    given: dict[str, Any] = {"limits": LIMITS, "start": int(time.time()) - 60}
    return World(**given | changes)


def put_key(vault: Vault, key: OpenKey, unlock: Secret) -> None:
    """The file of a key whose seeds are known; a vault draws its own."""
    box = Box.seal(vaults._header(key.public, 1), encode(list(key.seeds)), unlock)
    private_folder(vault.folder)
    write_new(vault.path(key.public.kind, key.public.name), armour(Mark.KEY, box.encode(), "for tests"))


def make_home(folder: Path, world: World, *, tls: Tls | None = None, extra: str = "", install: bool = True) -> Home:
    """The home of this world's hub, on a free port of loopback, its log as the world's, but with its own incarnation."""
    home = Home(folder)
    private_folder(folder)
    unlock = Secret.create(home.secret)
    vault = Vault(home.keys)
    put_key(vault, OpenKey.of(Kind.HUB, world.name, world.hub_key.seeds()), unlock)
    put_key(vault, OpenKey.of(Kind.LOG, world.name, (world.log_seed, world.log_ed25519_seed)), unlock)
    written = tls or Tls()
    home.config.write_text(
        f'[association]\nname = "{world.name}"\n[listen]\nport = 0\n'
        f'[tls]\ncertificate = "{written.certificate}"\nkey = "{written.key}"\n{extra}'
    )
    if install:
        founding.install(home, statements(world), {}, world.now)
    return home


def statements(world: World) -> list[Any]:
    """What the world logged, but for the hub's own opening."""
    return [each for each in world.statements if not _is_hubs(each.statement)]


def _is_hubs(statement: object) -> bool:
    return isinstance(statement, Opening) and statement.role is Role.HUB


@dataclass
class Running:
    """A hub inside this process."""

    home: Home
    core: Core
    daemon: Daemon
    task: asyncio.Task[None]
    failures: list[BaseException] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        host, port = self.daemon.address or ("", 0)
        return f"{self.scheme}://{host}:{port}"

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.daemon.stop()
        await self.task


@asynccontextmanager
async def running(
    home: Home,
    *,
    clock: Callable[[], float] = time.time,
    store: Callable[[Path], Store] = SqliteStore,
) -> AsyncIterator[Running]:
    """The hub of this home, letting sessions in; stopped afterwards if it still runs."""
    configure(Level.ERROR.value)
    config = load(home, {})
    failures: list[BaseException] = []
    with locked(home.lock):
        opened = store(home.database)
        core = Core(config, opened, HubKeys.load(home, config, {}), fatal=failures.append, clock=clock)
        ready = asyncio.Event()
        daemon = Daemon(home, config, core, tls_context(home, config))
        task = asyncio.create_task(daemon.run(lambda _daemon: ready.set()))
        try:
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                await task
            yield Running(home, core, daemon, task, failures, "https" if config.tls.certificate else "http")
        finally:
            daemon.stop()
            await asyncio.wait({task})
            opened.close()
    await task
