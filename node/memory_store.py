"""A store in memory, for simulation: the same SQL, snapshots to go back to, and crashes at will."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

from sqlcipher3 import dbapi2
from sqlite_utils import Database

from node.schema import steps
from node.sql import SqlTransaction, store_errors
from node.store import Transaction
from protocol.errors import StoreError

T = TypeVar("T")


class MemoryStore:
    """See `node.store.Store`; every job is its own transaction, run at once by the caller."""

    __slots__ = ("_connection",)

    def __init__(self) -> None:
        """Hold a new, empty archive."""
        self._connection: Any = _copy(_empty())

    def submit(self, job: Callable[[Transaction], T]) -> Future[T]:
        """See `Store.submit`."""
        future: Future[T] = Future()
        try:
            future.set_result(self.run(job))
        except Exception as error:  # noqa: BLE001 - whatever a job raises belongs to whoever waits for it
            future.set_exception(error)
        return future

    def run(self, job: Callable[[Transaction], T]) -> T:
        """See `Store.run`."""
        if self._connection is None:
            raise StoreError("the store is closed")
        tx = SqlTransaction(self._connection)
        tx.run("BEGIN")
        try:
            answer = job(tx)
        except BaseException:
            tx.run("ROLLBACK")
            raise
        tx.run("COMMIT")
        return answer

    def read(self, job: Callable[[Transaction], T]) -> T:
        """See `Store.read`."""
        return self.run(job)

    def snapshot(self) -> MemoryStore:
        """A copy of what is committed, as a backup would hold it."""
        copy = object.__new__(MemoryStore)
        copy._connection = _copy(self._connection)
        return copy

    def close(self) -> None:
        """See `Store.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@cache
def _empty() -> Any:
    """An archive without anything in it: to take all steps anew costs as much as many a simulated exchange."""
    connection = _connect()
    with store_errors():
        steps.apply(Database(connection))
    return connection


def _copy(connection: Any) -> Any:
    copy = _connect()
    with store_errors():
        connection.backup(copy)
    return copy


def _connect() -> Any:
    with store_errors():
        connection = dbapi2.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = OFF")
        return connection
