"""Whether the journal is whole, and its newest head for the daemon's log.

Whoever can write the archive can also write a whole new journal: that shows against a head that was told before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from keys.journal import START, chain
from node.store import Transaction
from node.tables import people as table

T = TypeVar("T")

TELL_SECONDS: Final = 10
"""The head is told so often at most: a log of every message opened would tell who reads when."""
_SLICE: Final = 1_000


class Check:
    """Reads the journal through: `count` entries follow from those before them, the last with hash `head`.

    `broken` is the number of the first that does not, or is missing; None if there is none so far.
    """

    def __init__(self) -> None:
        """Nothing is read yet."""
        self.count, self.head = 0, START
        self.broken: int | None = None

    def step(self, tx: Transaction) -> bool:
        """Read a slice; whether there is more."""
        rows = table.journal(tx, self.count, _SLICE)
        for number, entry, hashed in rows:
            if number != self.count + 1 or chain(self.head, entry) != hashed:
                self.broken = self.count + 1
                return False
            self.count, self.head = number, hashed
        if len(rows) == _SLICE:
            return True
        if table.journal_length(tx) > self.count:
            self.broken = self.count + 1
        return False


class _Reader(Protocol):
    async def read(self, job: Callable[[Transaction], T], /) -> T:
        """What the job, which writes nothing, gives."""
        ...


async def checked(reader: _Reader) -> Check:
    """The journal read through, a slice at a time: nobody waits for the whole."""
    check = Check()
    while await reader.read(check.step):
        pass
    return check


async def keep_telling(reader: _Reader, log: FilteringBoundLogger) -> None:
    """Tell the newest head in the log: now, and whenever there is another; until cancelled, and then once more."""
    told: tuple[int, bytes] | None = None

    async def tell() -> None:
        nonlocal told
        head = await reader.read(table.journal_head)
        if head != told:
            log.info("journal_head", count=head[0], head=head[1].hex())
            told = head

    try:
        while True:
            await tell()
            await asyncio.sleep(TELL_SECONDS)
    finally:
        await tell()
