"""The archive on disk: SQLCipher, write-ahead log, one writer thread that commits in groups, one thread that reads.

    jobs -> queue -> BEGIN, each job under a savepoint of its own, COMMIT with fsync -> futures

A group forms by itself: it is what arrived while the last one was written.  When the disk fails nothing more is
accepted (`StoreError`), because a store that lost one write may hold anything after it; the owner is told through
`on_failure` and ends the process.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlcipher3 import dbapi2

from keys.files import PRIVATE, sync
from keys.migrating import Connection, Migrated, Schema, bring_up_to_date, taken
from keys.wal import check_log
from node.checkpointing import Checkpoints
from node.schema import steps
from node.sql import SqlTransaction, guarded, store_errors
from node.store import Transaction
from protocol.errors import DamagedError, StoreError

T = TypeVar("T")

KEY_BYTES: Final = 32
MAX_GROUP: Final = 256
PAGE_BYTES: Final = 4_096
"""What a commit touches is enciphered by whole pages: a lone message costs a tenth less than with pages of 8 KiB.

Another size needs an empty step in `node.schema`.
"""

EARLIER_PAGE_BYTES: Final[tuple[int, ...]] = (8_192,)
"""The sizes that archives of earlier versions may have."""

CACHE_KIB: Final = 32 * 1024
WRITER_CACHE_KIB: Final = 128 * 1024
"""Ids are random, so that each message touches a page somewhere in each index: of a million messages these have some
7,500 pages each, and one that has to be read again is deciphered again.  Taken as the archive grows.
"""
SNAPSHOT_PAGES: Final = 256


@dataclass(frozen=True, slots=True)
class _Task:
    job: Callable[[Transaction], Any]
    future: Future[Any] = field(default_factory=Future)


class Archive:
    """See `node.store.Store`; the file is unreadable without the 32-byte key, its log and journal too."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        on_failure: Callable[[StoreError], None] = lambda _error: None,
        on_migrated: Callable[[Migrated], None] = lambda _done: None,
    ) -> None:
        """Open or make the archive at `path`, brought to the newest schema.

        Raises `StoreError` for a wrong key (which cannot be told from a damaged file) or a disk that fails,
        `DamagedError` for a log from which commits would be missing,
        `NewerHomeError` for an archive that a newer program wrote.  `on_failure` is called once, on the writer's
        thread; `on_migrated` is told what was done to an older archive.
        """
        if len(key) != KEY_BYTES:
            raise StoreError("the archive's key has another size")
        self._path, self._key, self._on_failure = path, key, on_failure
        self._failed: StoreError | None = None
        self._closed = False
        with store_errors():
            if migrated := bring_up_to_date(path, schema(key)):
                on_migrated(migrated)
        connection = _connect(path, key, WRITER_CACHE_KIB)
        self._reader = _connect(path, key)
        self._reader.execute("PRAGMA query_only = ON")
        self._reader_lock = threading.Lock()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._transaction = SqlTransaction(connection)
        self._checkpoints = Checkpoints(lambda: _connect(path, key), self._checkpoint_failed)
        self._thread = threading.Thread(target=self._write, args=(connection,), name="archive", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Transaction], T]) -> Future[T]:
        """See `Store.submit`."""
        task = _Task(job)
        # Under the gate no task can slip in behind the end of the queue and wait there for ever.
        with self._gate:
            if self._failed is not None or self._closed:
                task.future.set_exception(self._failed or StoreError("the store is closed"))
            else:
                self._tasks.put(task)
        return task.future

    def run(self, job: Callable[[Transaction], T]) -> T:
        """See `Store.run`."""
        return self.submit(job).result()

    def read(self, job: Callable[[Transaction], T]) -> T:
        """See `Store.read`; writes raise `StoreError`."""
        with self._reader_lock:
            if self._closed:
                raise StoreError("the store is closed")
            tx = SqlTransaction(self._reader)
            tx.run("BEGIN")
            try:
                return job(tx)
            finally:
                tx.run("ROLLBACK")

    def close(self) -> None:
        """See `Store.close`."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        self._thread.join()
        self._checkpoints.close()
        with self._reader_lock:
            self._reader.close()

    # -- the writer's thread -------------------------------------------------------------------------
    def _write(self, connection: Any) -> None:
        open_end = True
        while open_end:
            group, open_end = self._next_group()
            if self._failed is None and group:
                self._commit(self._transaction, group)
                self._checkpoint(connection)
            elif group:
                _refuse(group, self._failed or StoreError())
        connection.close()

    def _checkpoint(self, connection: Any) -> None:
        try:
            self._checkpoints.committed(connection)
        except StoreError as error:
            self._checkpoint_failed(error)

    def _checkpoint_failed(self, error: StoreError) -> None:
        if self._failed is None:
            self._failed = error
            self._on_failure(error)

    def _next_group(self) -> tuple[list[_Task], bool]:
        group: list[_Task] = []
        task = self._tasks.get()
        while task is not None:
            if task.future.set_running_or_notify_cancel():
                group.append(task)
            if len(group) >= MAX_GROUP:
                return group, True
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, tx: Transaction, group: list[_Task]) -> None:
        answers: list[Callable[[], None]] = []
        try:
            tx.run("BEGIN IMMEDIATE")
            answers.extend(_attempt(tx, task) for task in group)
            tx.run("COMMIT")
        except StoreError as error:
            self._failed = error
            _refuse(group, error)
            self._on_failure(error)
            return
        for answer in answers:
            answer()


def _attempt(tx: Transaction, task: _Task) -> Callable[[], None]:
    # The future is told after the commit: until then nothing that the job did is true.
    try:
        answer = guarded(tx, task.job)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a job raises belongs to whoever waits for it
        failure = error
        return lambda: task.future.set_exception(failure)
    return lambda: task.future.set_result(answer)


def _refuse(group: list[_Task], error: StoreError) -> None:
    for task in group:
        task.future.set_exception(error)


# -- the file ------------------------------------------------------------------------------------------
def schema(key: bytes) -> Schema:
    """How the archive that opens with the 32-byte `key` is brought up to date."""

    def copy(connection: Connection, target: Path) -> None:
        connection.execute("ATTACH ? AS copy KEY ?", (str(target), _literal(key)))
        connection.execute(f"PRAGMA copy.cipher_page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA copy.synchronous = OFF")
        connection.execute("SELECT sqlcipher_export('copy')").fetchall()
        connection.execute("DETACH copy")

    return Schema(steps, lambda path: _connect(path, key), copy)


def check_there(path: Path) -> None:
    """Return if there is an archive at `path`; `DamagedError` where SQLite would make an empty one in its place."""
    if not path.exists() or path.stat().st_size == 0:
        raise DamagedError(f"{path} is not there, or empty")


@contextmanager
def opened(path: Path, key: bytes) -> Iterator[Any]:
    """The archive at `path`, of whatever version, for as long as the block lasts; `StoreError`, `DamagedError`."""
    check_there(path)
    # Of a node that was killed, this connection may be the one that reads the log.
    check_log(path)
    with store_errors(), closing(_connect(path, key)) as connection:
        yield connection


def snapshot(path: Path, key: bytes, target: Path) -> int:
    """Afterwards the new file `target`, of mode 0600, is durably the archive as it is now; the version of its tables.

    It is encrypted under the same key.  Whoever writes meanwhile does not wait.  Raises `StoreError`.
    """
    with opened(path, key) as source:
        # Its own transaction keeps this one moment in view: else every commit would make the copy begin anew.
        source.execute("BEGIN")
        version = taken(source, steps)[1]
        page_bytes = int(source.execute("PRAGMA page_size").fetchone()[0])
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
        with closing(_keyed(target, key, page_bytes)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(copy, pages=SNAPSHOT_PAGES)
        source.execute("ROLLBACK")
    sync(target)
    return version


def _connect(path: Path, key: bytes, cache_kib: int = CACHE_KIB) -> Any:
    with store_errors():
        for page_bytes in (PAGE_BYTES, *EARLIER_PAGE_BYTES):
            try:
                return _connect_as(path, key, page_bytes, cache_kib)
            except dbapi2.DatabaseError as error:
                # A page of another size looks like one under another key.
                if "not a database" not in str(error):
                    raise
                failure = error
        raise failure


def _connect_as(path: Path, key: bytes, page_bytes: int, cache_kib: int) -> Any:
    connection = _keyed(path, key, page_bytes)
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "temp_store = MEMORY",
            f"cache_size = -{cache_kib}",
            "wal_autocheckpoint = 0",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except dbapi2.Error:
        connection.close()
        raise
    return connection


def _keyed(path: Path, key: bytes, page_bytes: int) -> Any:
    connection = dbapi2.connect(str(path), isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute(f'PRAGMA key = "{_literal(key)}"')
    connection.execute(f"PRAGMA cipher_page_size = {page_bytes}")
    return connection


def _literal(key: bytes) -> str:
    return f"x'{key.hex()}'"
