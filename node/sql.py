"""A transaction over one SQLite connection, as both stores use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlcipher3 import dbapi2

from node.store import Column, Row, Transaction
from protocol.errors import ConflictError, StoreError, ValijaError

T = TypeVar("T")

# Without an adapter of its own every `bytes` is asked for a protocol that it does not have, which costs more than a
# small statement; `bytes` of `bytes` is the same object.
dbapi2.register_adapter(bytes, bytes)


@contextmanager
def store_errors() -> Iterator[None]:
    """What SQLite says, in our words: a broken unique key is `ConflictError`, all else `StoreError`."""
    try:
        yield
    except dbapi2.Error as error:
        raise _translated(error) from error


def _translated(error: dbapi2.Error) -> ValijaError:
    return ConflictError(str(error)) if isinstance(error, dbapi2.IntegrityError) else StoreError(str(error))


class SqlTransaction:
    """See `node.store.Transaction`; the connection commits when told, never by itself."""

    __slots__ = ("_connection", "_cursor", "memo")

    def __init__(self, connection: Any) -> None:
        """Speak through this connection, which must be in autocommit mode (`isolation_level=None`)."""
        self._connection = connection
        # One for all: a statement that was not read to its end is reset by the next, the COMMIT at the latest.
        self._cursor = connection.cursor()
        self.memo: dict[str, Any] = {}

    def run(self, sql: str, parameters: Sequence[Column] = ()) -> int:
        """See `Transaction.run`."""
        if sql.startswith("ROLLBACK"):
            self.memo.clear()
        return int(self._execute(sql, parameters).rowcount)

    def add(self, sql: str, parameters: Sequence[Column] = ()) -> int:
        """See `Transaction.add`."""
        return int(self._execute(sql, parameters).lastrowid)

    def many(self, sql: str, rows: Iterable[Sequence[Column]]) -> None:
        """See `Transaction.many`."""
        with store_errors():
            self._connection.executemany(sql, rows)

    def one(self, sql: str, parameters: Sequence[Column] = ()) -> Row | None:
        """See `Transaction.one`."""
        try:
            row: Row | None = self._cursor.execute(sql, parameters).fetchone()
        except dbapi2.Error as error:
            raise _translated(error) from error
        return row

    def all(self, sql: str, parameters: Sequence[Column] = ()) -> list[Row]:
        """See `Transaction.all`."""
        try:
            rows: list[Row] = self._cursor.execute(sql, parameters).fetchall()
        except dbapi2.Error as error:
            raise _translated(error) from error
        return rows

    def _execute(self, sql: str, parameters: Sequence[Column]) -> Any:
        # Without `store_errors`, whose machinery costs as much as a small statement.
        try:
            return self._cursor.execute(sql, parameters)
        except dbapi2.Error as error:
            raise _translated(error) from error


def guarded(tx: Transaction, job: Callable[[Transaction], T]) -> T:
    """What `job` gives; where it raises, its writes are undone and those of the transaction around it stay."""
    tx.run("SAVEPOINT job")
    try:
        answer = job(tx)
    except BaseException:
        tx.run("ROLLBACK TO job")
        tx.run("RELEASE job")
        raise
    tx.run("RELEASE job")
    return answer
