"""Checkpoints beside the writer: what the write-ahead log holds moves into the archive while nobody waits for it.

    some commits -> enough in the log? -> a passive checkpoint on a connection of its own -> all moved: the log begins anew
                                                                                         -> a rest, written meanwhile: the
                                                                                            writer's, between two commits

The log begins anew only at a commit that finds all of it moved, which under steady load never comes by itself; what is
left to the writer then is the little that was written during the checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from sqlcipher3 import dbapi2

from protocol.errors import StoreError

CHECKPOINT_PAGES: Final = 2_000
COMMITS_A_LOOK: Final = 8


class Checkpoints:
    """A thread that keeps the log short, and what it leaves to the writer."""

    def __init__(self, connect: Callable[[], Any], on_failure: Callable[[StoreError], None]) -> None:
        """Nothing is moved yet; `on_failure` is called at most once, on this thread."""
        self._connect, self._on_failure = connect, on_failure
        self._due = threading.Event()
        self._closed = self._has_rest = False
        self._commits = 0
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Afterwards the thread has ended."""
        self._closed = True
        self._due.set()
        self._thread.join()

    # -- the writer's thread -------------------------------------------------------------------------
    def committed(self, connection: Any) -> None:
        """After each commit, on its connection.  Raises `StoreError` where the disk fails."""
        self._commits += 1
        if self._has_rest:
            self._has_rest = False
            try:
                _move(connection)
            except dbapi2.Error as error:
                raise StoreError(str(error)) from error
        elif self._commits >= COMMITS_A_LOOK:
            self._commits = 0
            self._due.set()

    # -- this thread ---------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            connection = self._connect()
            try:
                self._follow(connection)
            finally:
                connection.close()
        except (dbapi2.Error, StoreError) as error:
            self._on_failure(error if isinstance(error, StoreError) else StoreError(str(error)))

    def _follow(self, connection: Any) -> None:
        while not self._closed:
            held, moved = _frames(connection, "NOOP")
            if held - moved >= CHECKPOINT_PAGES:
                held, moved = _move(connection)
                self._has_rest = held > moved
            self._due.wait()
            self._due.clear()


def _move(connection: Any) -> tuple[int, int]:
    return _frames(connection, "PASSIVE")


def _frames(connection: Any, how: str) -> tuple[int, int]:
    """How many pages the log holds, and how many of them are in the archive now."""
    _busy, held, moved = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
    return held, moved
