"""The port between the node's rules and whatever keeps their rows.

The rules (`courier`, `reception`, `mirror`, `search`) are synchronous functions over a `Transaction`; they say what
to send, and nothing is sent before the transaction is durable.  The SQL stands in `node.tables` alone; the stores
(`archive` on disk, `memory_store` for simulation) run the same SQL and pass the same contract suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeAlias, TypeVar

Column: TypeAlias = "int | float | str | bytes | None"
Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Transaction(Protocol):
    """One transaction under way: its reads see its own writes, and all of it holds afterwards or nothing does.

    Every method raises `StoreError` when the store fails, `ConflictError` where a row would break a unique key.
    In the SQL a limit is `LIMIT +?`: for a bare parameter SQLite plans the statement anew with each value.
    `memo` is for what was read and is read again by the next: it is emptied whenever anything is undone.
    """

    memo: dict[str, Any]

    def run(self, sql: str, parameters: Sequence[Column] = ()) -> int:
        """Run one statement; gives the number of rows that it changed."""
        ...

    def add(self, sql: str, parameters: Sequence[Column] = ()) -> int:
        """Run one INSERT; gives the id of its row."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Column]]) -> None:
        """Run one statement for each of `rows`."""
        ...

    def one(self, sql: str, parameters: Sequence[Column] = ()) -> Row | None:
        """The first row that a query gives, or None."""
        ...

    def all(self, sql: str, parameters: Sequence[Column] = ()) -> list[Row]:
        """All rows that a query gives."""
        ...


def holes(values: Sequence[object]) -> str:
    """As many question marks as there are values, for an IN."""
    return ", ".join("?" * len(values))


class Store(Protocol):
    """Keeps rows; a job is a function of a transaction."""

    def submit(self, job: Callable[[Transaction], T]) -> Future[T]:
        """Run `job` soon, in the order of submission; its future is done once its writes are durable.

        A job that raises changes nothing, and harms none of its neighbours in the same commit.
        """
        ...

    def run(self, job: Callable[[Transaction], T]) -> T:
        """The same, waiting for the answer."""
        ...

    def read(self, job: Callable[[Transaction], T]) -> T:
        """Run `job`, which writes nothing, on a view of what is durable, without waiting behind the writers."""
        ...

    def close(self) -> None:
        """Afterwards every job submitted is done and the store is shut; closing again changes nothing."""
        ...
