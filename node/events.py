"""What changes, as it changes: each event is read and rendered once, and handed to every stream that may see it.

Nothing is read while nobody listens.  The newest events are kept in memory; a stream that is further behind, because
it was taken up again or its reader is slow, reads on from the archive until it has caught up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from node.desks import Caller, desks_of
from node.event_views import LAST_PART, Manifests, Place, Rendered, render
from node.store import Transaction
from node.tables import finding, state
from node.tables.state import Event
from protocol.errors import StoreError
from protocol.trust.registry import Registry

T = TypeVar("T")

KEPT: Final = 4_096
ROWS_A_READ: Final = 256
READS_A_PAGE: Final = 16


class Read(Protocol):
    """Runs a job on a view of the archive, beside the loop."""

    def __call__(self, job: Callable[[Transaction], T], /) -> Awaitable[T]:
        """What the job gives."""
        ...


class News(NamedTuple):
    """What one look found behind row `after`: up to row `upto`, rendered; `more` if there is more, `is_lost` if it failed."""

    after: int
    upto: int
    told: list[Rendered]
    more: bool = False
    is_lost: bool = False


class Batch(list[Rendered]):
    """Events that streams at one place are told together; what one of them is written, others like it are too."""

    def __init__(self, events: Iterable[Rendered], default_desk: str) -> None:
        """In order; what is for no desk by name is the default desk's."""
        super().__init__(events)
        self._default_desk = default_desk
        self._lines: dict[tuple[str, ...] | None, bytes] = {}

    def lines(self, caller: Caller) -> bytes:
        """What is written to the stream of this caller."""
        own = desks_of(caller)
        if own not in self._lines:
            self._lines[own] = b"".join([each.data for each in self if each.is_for(caller, self._default_desk)])
        return self._lines[own]


class _Waiting(NamedTuple):
    """A stream that has seen everything up to `at`, and is told of the next events that its caller may see."""

    at: Place
    caller: Caller
    told: asyncio.Future[Batch]


class Feed:
    """The events of a running node: `look` runs on the store's thread, everything else on the loop's."""

    def __init__(
        self,
        read: Read,
        registry: Callable[[], Registry],
        now: Callable[[], float],
        log: FilteringBoundLogger,
        wake: Callable[[], None],
        default_desk: str,
    ) -> None:
        """Nobody listens yet; `wake` asks for a round although nothing happens, and so for a look.

        What is for no desk by name is the default desk's.
        """
        self._default_desk = default_desk
        self._log = log
        # Streams of an older generation end: something could not be told to them, and they can ask for it again.
        self._generation = 0
        self._read, self._registry, self._now, self._wake = read, registry, now, wake
        self._manifests = Manifests()
        self._kept: deque[Rendered] = deque(maxlen=KEPT)
        self._behind_row = self._upto_row = 0
        self._followers = 0
        self._is_closed = False
        self._batches: dict[Place, Batch] = {}
        self._waiting: list[_Waiting] = []
        self.watchers: list[Callable[[], None]] = []

    # -- a round ---------------------------------------------------------------------------------------
    def look(self, tx: Transaction) -> News | None:
        """What happened since the last look, read where every page that was written is still at hand; None if nothing."""
        if not self._followers:
            return None
        after = self._upto_row
        try:
            rows, told = self._rendered(tx, after)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours in telling must not end the receiving
            self._log.error("events_failed", kind=type(error).__name__)
            return News(after, after, [], is_lost=True)
        return News(after, rows[-1].id, told, more=len(rows) == ROWS_A_READ) if rows else None

    def tell(self, news: News | None) -> None:
        """What a look found is durable now; the watchers, who read for themselves, are told that a round is over."""
        for watcher in self.watchers:
            watcher()
        # Who began to follow meanwhile began elsewhere, and has asked for a look of its own.
        if news is None or news.after != self._upto_row:
            return
        self._generation += news.is_lost
        self._keep(news.told)
        self._upto_row = news.upto
        self._pulse(news.told)

    async def close(self) -> None:
        """Afterwards every stream has ended."""
        self._is_closed = True
        self._pulse([])

    # -- streams ---------------------------------------------------------------------------------------
    async def now(self) -> Place:
        """Where a stream begins that shall show what happens from now on."""
        return Place(await self._read(finding.last_event))

    async def follow(self, after: Place, caller: Caller) -> AsyncGenerator[Batch, None]:
        """Everything behind `after` that this caller may see, in order and as it comes, among what others see.

        Ends when the feed is closed.
        """
        newest = (await self.now()).row
        if not self._followers:
            self._kept.clear()
            self._batches.clear()
            self._behind_row = self._upto_row = newest
        self._followers += 1
        at, generation = after, self._generation
        self._wake()
        try:
            while not self._is_closed and self._generation == generation:
                at, batch = await self._next(at, caller)
                if batch.lines(caller):
                    yield batch
        finally:
            self._followers -= 1

    async def page(
        self, after: Place, limit: int, sees: Callable[[Rendered], bool]
    ) -> tuple[list[Rendered], Place, bool]:
        """At most `limit` events behind `after` that are seen, where the next page begins, and whether there may be more.

        A page may be empty and have more behind it: so much of the archive is read for one, and no more.
        """
        found: list[Rendered] = []
        for _read in range(READS_A_PAGE):
            after_row = after.row if after.part == LAST_PART else after.row - 1
            rows, told = await self._read(lambda tx, row=after_row: self._rendered(tx, row))  # type: ignore[misc]
            found += [each for each in told if each.place > after and sees(each)]
            if len(found) > limit:
                return found[:limit], found[limit - 1].place, True
            after = max(after, Place(rows[-1].id)) if rows else after
            if len(rows) < ROWS_A_READ:
                return found, after, False
        return found, after, True

    async def _next(self, at: Place, caller: Caller) -> tuple[Place, Batch]:
        if at < Place(self._behind_row):
            return await self._from_archive(at)
        # Streams that have caught up stand at one place, and are told the same.
        batch = self._batches.get(at)
        if batch is None:
            found = [*takewhile(lambda each: each.place > at, reversed(self._kept))]
            batch = self._batches[at] = Batch(reversed(found), self._default_desk)
        if not batch:
            waiting = _Waiting(at, caller, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            batch = await waiting.told
        return (batch[-1].place if batch else at), batch

    async def _from_archive(self, at: Place) -> tuple[Place, Batch]:
        # The rest of a row of which a part was seen comes again, and is left out below.
        after_row, behind_row = at.row if at.part == LAST_PART else at.row - 1, self._behind_row
        rows, found = await self._read(lambda tx: self._rendered(tx, after_row))
        if not rows:
            # Up to where memory began when it was read, and not to where it begins now: much may have come meanwhile.
            return Place(behind_row), Batch([], self._default_desk)
        return Place(rows[-1].id), Batch((each for each in found if each.place > at), self._default_desk)

    def _rendered(self, tx: Transaction, after_row: int) -> tuple[list[Event], list[Rendered]]:
        rows = state.events(tx, after_row, ROWS_A_READ)
        return rows, render(tx, self._registry(), rows, int(self._now()), self._manifests)

    # -- what was told ---------------------------------------------------------------------------------
    def _keep(self, told: list[Rendered]) -> None:
        for each in told:
            if len(self._kept) == KEPT:
                self._behind_row = self._kept[0].place.row
            self._kept.append(each)

    def _pulse(self, told: Sequence[Rendered]) -> None:
        """Wake who may see something of this, and everybody if it is nothing: then something else has changed."""
        self._batches.clear()
        batch, nothing = Batch(told, self._default_desk), Batch([], self._default_desk)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if each.told.done():  # whoever waited went away
                continue
            if not batch or each.at >= batch[0].place:
                each.told.set_result(nothing)
            elif batch.lines(each.caller):
                each.told.set_result(batch)
            else:
                # Of hundreds of streams most are another desk's: waking them all would cost more than telling the few.
                self._waiting.append(each)
