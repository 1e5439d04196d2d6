"""A hub that was put back from a backup: before it signs anything, it takes in what its members' mirrors hold (SPEC 6.3).

    no incarnation, though the log tells of one ─► listen, no session ─► offers, each proven ─► quiet ─► next incarnation

That there is none in the store is the mark, and the next one takes its place in the commit that opens it: so a crash
at any moment begins anew with what was taken in, and the mark is used once.  Nobody's word is believed: what is taken
in was signed by this log before its disk died.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from hub.identity import HubKeys
from hub.life import open_life
from hub.log import Log
from hub.store import Store, transaction
from protocol.errors import WrongAssociationError
from protocol.names import Incarnation
from protocol.trust.offer import Offer

_log: Final = structlog.get_logger("hub")


class Refill:
    """One log that grows by offers alone, until nobody offered anything for `wait_seconds` since the first who asked."""

    def __init__(
        self, store: Store, keys: HubKeys, log: Log, wait_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing was offered yet; `log` is that of `store`."""
        self.log = log
        self._store, self._keys, self._wait, self._clock = store, keys, wait_seconds, clock
        self.largest = log.registry.size
        """The size of the largest tree that this log is known to have signed."""

        # Without a wait nobody is waited for, not even the first.
        self._quiet_since = None if wait_seconds else time.monotonic()
        self._changed = asyncio.Event()

    def asked(self) -> None:
        """Somebody can reach this hub: it goes on at the earliest when all others had as much time as they may need."""
        if self._quiet_since is None:
            self._quiet_since = time.monotonic()
            self._changed.set()

    @property
    def was_asked(self) -> bool:
        """Whether a node reached it, or nobody is waited for."""
        return self._quiet_since is not None

    @property
    def checkpoint(self) -> bytes:
        """The newest checkpoint that is kept: of before the backup, or of a tree that was shown to be this log's."""
        with transaction(self._store) as tx:
            return tx.checkpoint() or b""

    def statement(self, statement_hash: bytes) -> bytes | None:
        """The logged statement with this hash."""
        with transaction(self._store) as tx:
            return tx.statement(statement_hash)

    def offered(self, raw: bytes) -> int:
        """How large the log is with the leaves of this offer, which are durable; see `Offer.check` for what is refused."""
        offer = Offer.parse(raw)
        registry = self.log.registry
        if offer.association != registry.association:
            raise WrongAssociationError
        if offer.size > registry.size and offer.first == registry.size:
            with transaction(self._store) as tx:
                self.log.take(tx, offer, int(self._clock()))
            self.log.apply_offer(offer)
            self.largest = max(self.largest, offer.size)
            self._quiet_since = time.monotonic()
            self._changed.set()
            _log.info("refilled", size=registry.size, of=self.largest)
        return registry.size

    @property
    def is_whole(self) -> bool:
        """Whether the log holds the largest tree that it is known to have signed."""
        return self.log.registry.size >= self.largest

    async def quiet(self) -> None:
        """Return once somebody asked, the log is whole, and nobody offered anything for a while."""
        while True:
            self._changed.clear()
            left = None
            if self._quiet_since is not None and self.is_whole:
                left = self._quiet_since + self._wait - time.monotonic()
                if left <= 0:
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    def finish(self) -> Incarnation | None:
        """The next incarnation, begun durably; None without a certificate in standing."""
        return open_life(self._store, self._keys, self.log, int(self._clock()))
