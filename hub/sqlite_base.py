"""What every part of the SQLite transaction stands on: a connection, plain execution, savepoints, errors translated."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from hub.schema import POSITION_BITS
from protocol.errors import ConflictError, StoreError

P = ParamSpec("P")
T = TypeVar("T")

LAST_POSITION: Final = (1 << POSITION_BITS) - 1
_TAKEN: Final = frozenset((sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY))


def translated(operation: Callable[P, T]) -> Callable[P, T]:
    """The operation, raising `ConflictError` for what is taken and `StoreError` for all else that SQLite raises."""

    @wraps(operation)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return operation(*args, **kwargs)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in _TAKEN:
                raise ConflictError(operation.__name__) from error
            raise StoreError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    return guarded


class SqliteBase:
    """One transaction on one connection; see `hub.store.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, member_ids: dict[str, int]) -> None:
        """Work on a connection on which BEGIN was just said; `member_ids` is what the store knows of them."""
        self._connection = connection
        self._member_ids = member_ids
        self._contents: dict[int, tuple[bytes, bytes]] = {}

    def _execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _one(self, sql: str, *values: object) -> Any:
        return self._connection.execute(sql, values).fetchone()

    def _blob(self, sql: str, *values: object) -> bytes | None:
        row: tuple[bytes] | None = self._one(sql, *values)
        return None if row is None else row[0]

    def _number(self, sql: str, *values: object) -> int | None:
        row: tuple[int | None] | None = self._one(sql, *values)
        return None if row is None else row[0]

    def _many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.executemany(sql, rows)

    @translated
    def rows(self, sql: str, *values: object) -> Iterator[Any]:
        """The rows of one more question, for whoever looks from outside; they are fetched as they are taken."""
        return iter(self._connection.execute(sql, values))

    @property
    def alive(self) -> bool:
        """Whether SQLite still holds the transaction; a full disk makes it undo all."""
        return self._connection.in_transaction

    @translated
    def commit(self) -> None:
        """See `Transaction.commit`."""
        self._execute("COMMIT")

    @translated
    def rollback(self) -> None:
        """See `Transaction.rollback`."""
        self._member_ids.clear()
        self._connection.rollback()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction.savepoint`."""
        self._begin_savepoint()
        try:
            yield
        except BaseException:
            self._undo_savepoint()
            raise
        self._end_savepoint()

    @translated
    def _begin_savepoint(self) -> None:
        self._execute("SAVEPOINT job")

    @translated
    def _end_savepoint(self) -> None:
        self._execute("RELEASE job")

    @translated
    def _undo_savepoint(self) -> None:
        self._member_ids.clear()
        self._contents.clear()
        if self.alive:
            self._execute("ROLLBACK TO job")
            self._execute("RELEASE job")

    def _member_id(self, member: str) -> int:
        known = self._member_ids.get(member)
        if known is not None:
            return known
        row = self._one("SELECT id FROM member WHERE name = ?", member)
        if row is None:
            sql = "INSERT INTO member VALUES (NULL, ?, 0, 0, 0, 0, 0, x'', x'') RETURNING id"
            row = self._one(sql, member)
        number: int = row[0]
        self._member_ids[member] = number
        return number

    def _place(self, member: str, position: int) -> int:
        return self._member_id(member) << POSITION_BITS | min(position, LAST_POSITION)
