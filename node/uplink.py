"""The node's side of the line: mirror the log, open the incarnation, speak, and begin again for ever.

    fetch the log -> a certificate of ours? -> a new incarnation? post it and fetch again -> session -> (it ends) -> wait

Waits grow from one second to sixty, each with full jitter, so that a hub that comes back is not met by everybody at
once; a session that carried something, or lasted for a minute, makes the next wait short again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from structlog.typing import FilteringBoundLogger

from node import offering, withdrawal
from node.engine import Engine, Going
from node.exchange import Exchange
from node.fetching import fetch
from node.hubline import HubLine
from node.problems import error_of, of_hub
from node.rounds import Rounds
from node.store import Store, Transaction
from node.tables import state
from node.withdrawal import Recalling
from protocol.errors import (
    ClockSkewError,
    DrainingError,
    FencedError,
    HubGoneError,
    PeerError,
    StaleError,
    StoreError,
    TransportError,
    UsageError,
    ValijaError,
)
from protocol.limits import CLOCK_REFUSE_SECONDS
from protocol.names import Incarnation
from protocol.session.machine import Closed, NodeIdentity, Source
from protocol.signing import PrivateKey

T = TypeVar("T")

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 60.0
LASTING_SECONDS: Final = 60.0
"""A session that lasted for so long was none that the hub closes as soon as it is open."""

_MAX_DOUBLINGS: Final = 6
_AFTER_FENCED: Final = 5
_POSTS: Final = 4
_BEHIND_SECONDS: Final = 5


class Phase(StrEnum):
    """Where the line stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class LineState:
    """What is told of the line: since when (Unix seconds) it is so, and what went wrong last, if it did."""

    phase: Phase = Phase.CONNECTING
    since: int = 0
    failures: int = 0
    error: ValijaError | None = None


class Uplink:
    """One node's line to its hub, for as long as the daemon runs."""

    def __init__(
        self,
        line: HubLine,
        engine: Engine,
        rounds: Rounds,
        store: Store,
        key: PrivateKey,
        now: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        """Nothing is tried yet; `line` is open."""
        self._line, self._engine, self._rounds, self._store = line, engine, rounds, store
        self._key, self._now, self._log = key, now, log
        self._exchange: Exchange | None = None
        self._sessions = 0
        self._failures = 0
        self._is_stopping = asyncio.Event()
        self._stale = asyncio.Event()
        self.state = LineState(since=int(now()))

    # -- for ever --------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Keep the line up until `stop`."""
        while not self._is_stopping.is_set():
            self._tell(Phase.CONNECTING, self.state.error)
            try:
                await self._attempt()
            except StoreError:
                raise
            except ValijaError as error:
                await self._failed(error)
        self._tell(Phase.STOPPED, None)

    def stop(self) -> None:
        """Afterwards no session is opened any more, and one that is open says goodbye."""
        self._is_stopping.set()
        if self._exchange is not None:
            self._exchange.close(DrainingError("the node stops"))

    async def _failed(self, error: ValijaError) -> None:
        self._failures += 1
        if isinstance(error, FencedError):
            # Two nodes of one member would throw each other out for ever.
            self._failures = max(self._failures, _AFTER_FENCED)
        self.state = replace(self.state, failures=self._failures)
        self._tell(Phase.WAITING, error)
        wait = random.uniform(0, longest_wait(self._failures))  # noqa: S311 - spreads load, hides nothing
        try:
            await asyncio.wait_for(self._is_stopping.wait(), wait)
        except TimeoutError:
            return

    def _tell(self, phase: Phase, error: ValijaError | None) -> None:
        before, self.state = self.state, replace(self.state, phase=phase, since=int(self._now()), error=error)
        if phase is Phase.WAITING and error is not None:
            known = before.error is not None and (before.error.code, before.error.detail) == (error.code, error.detail)
            (self._log.debug if known else self._log.warning)("hub_line", code=error.code, detail=error.detail)
        elif phase is Phase.CONNECTED:
            self._log.info("hub_connected")

    # -- one attempt -----------------------------------------------------------------------------------
    async def _attempt(self) -> None:
        await self.sync()
        self._check_clock()
        self._engine.check_hub()
        await self._open_incarnation()
        await self._speak()

    def _check_clock(self) -> None:
        # A wrong clock makes certificates look expired or not valid yet: this reason explains the rest.
        if self._line.clock is not None and abs(ahead := int(self._now()) - self._line.clock) > CLOCK_REFUSE_SECONDS:
            raise ClockSkewError(_offset(self._line.clock, ahead))

    async def sync(self) -> None:
        """Afterwards the mirror holds what the hub shows.  Raises what fetching and verifying do."""
        fetched = await fetch(self._line, self._engine.mirror.registry.size)
        extension = await self._stored(lambda tx: self._engine.extend(tx, fetched))
        if extension.forked:
            self._log.error("forked_view", size=fetched.size)
        if extension.added:
            self._log.info("registry_grew", size=fetched.size)
            self._rounds.wake()
        if not extension.forked:
            await self._offer(fetched.size)

    async def _offer(self, size: int) -> None:
        """Give a hub whose log is shorter than our mirror what it lacks: it was put back from a backup."""
        mirror = self._engine.mirror
        while size < mirror.registry.size:
            offered = await self._stored(partial(offering.offer, mirror=mirror, first=size))
            try:
                grown = await self._line.post_offer(offered.encode())
            except (PeerError, UsageError) as error:
                # What it takes in is its own affair; this node goes on with what the hub shows.
                self._log.warning("offer_refused", code=error.code, detail=error.detail)
                return
            self._log.info("registry_offered", first=size, size=grown)
            if grown <= size:
                return
            size = grown

    async def _open_incarnation(self) -> None:
        """Afterwards this node is in an incarnation that its own mirror holds; `StandingError` without a certificate."""
        for _post in range(_POSTS):
            signed = await self._rounds.ask(self._engine.opening)
            if signed is None:
                return
            index = await self._line.post_statement(signed.raw)
            self._log.info("incarnation_posted", leaf=index)
            await self.sync()
        raise StaleError("the hub took the incarnation statement and does not show it")

    async def _speak(self) -> None:
        incarnation = await self._stored(state.incarnation)
        self._sessions += 1
        exchange = Exchange(
            self._sessions, self._engine, self._rounds, self._identity(incarnation), self._now, self._log
        )
        exchange.registry_grew = lambda _size: self._stale.set()
        async with self._line.session() as socket:
            self._exchange = exchange
            try:
                async with asyncio.TaskGroup() as group:
                    beside = [group.create_task(self._announce(exchange)), group.create_task(self._follow())]
                    closed = await exchange.run(socket)
                    for task in beside:
                        task.cancel()
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
            finally:
                self._exchange = None
        self._closed(closed)

    def _identity(self, incarnation: Incarnation | None) -> NodeIdentity:
        certificate = self._engine.certificate
        if certificate is None:
            raise HubGoneError("not certified")
        return NodeIdentity(self._engine.me, certificate.id, incarnation, self._key.sign)

    def _closed(self, closed: Closed) -> None:
        if self._is_stopping.is_set():
            return
        # Our own store's failure ends this process; nobody else's word for it does.
        error = of_hub(error_of(closed.code, _explained(closed, self._now())))
        if closed.source is Source.HINT and not isinstance(error, TransportError | ClockSkewError):
            self._log.warning("close_hint", code=closed.code)
        raise error

    async def _announce(self, exchange: Exchange) -> None:
        await exchange.opened.wait()
        self.state = replace(self.state, failures=0)
        self._tell(Phase.CONNECTED, None)
        exchange.recall(await self._rounds.ask(withdrawal.unfinished))
        with suppress(TimeoutError):
            async with asyncio.timeout(LASTING_SECONDS):
                await exchange.carried.wait()
        self._failures = 0

    async def _follow(self) -> None:
        """While the session lasts: fetch the log when it grew, and open the incarnation that a round asked for."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self.sync()
                await self._open_incarnation()
            except StoreError:
                raise
            except ValijaError as error:
                self._log.warning("registry_behind", code=error.code, detail=error.detail)
                await asyncio.sleep(random.uniform(1, _BEHIND_SECONDS))  # noqa: S311 - spreads load, hides nothing
                # Nobody says a second time that the log has grown.
                self._stale.set()

    # -- what the rest of the daemon wants ---------------------------------------------------------------
    def go(self, going: Going) -> None:
        """Send what a round left to be sent."""
        if self._exchange is not None:
            self._exchange.go(going)
        if going.pending is not None or going.refresh:
            self._stale.set()

    def recall(self, recalling: list[Recalling]) -> None:
        """Ask the hub to drop what is not delivered yet; without a session the next one begins with it."""
        if self._exchange is not None:
            self._exchange.recall(recalling)

    async def _stored(self, job: Callable[[Transaction], T]) -> T:
        return await asyncio.wrap_future(self._store.submit(job))


def longest_wait(failures: int) -> float:
    """The longest wait in seconds after so many failures in a row, of which a random part is waited."""
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * (1 << min(failures - 1, _MAX_DOUBLINGS)))


def _explained(closed: Closed, now: float) -> str:
    """The detail for people; a hub that refuses our clock gives its own time, and nothing else."""
    told = closed.detail
    # A hint is anybody's word: `²` is a digit too, and no number.
    is_time = told.isascii() and told.isdigit() and len(told) <= len("9999999999")
    if closed.code != ClockSkewError.code or not is_time:
        return told
    return _offset(int(told), int(now) - int(told))


def _offset(hub: int, ahead: int) -> str:
    return f"hub time {hub}, the node is {abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}"
