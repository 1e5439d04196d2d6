"""The log of the archive is kept short beside the writer, and what is left to it is moved between two commits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlcipher3 import dbapi2

from node import checkpointing
from node.archive import Archive, opened
from node.checkpointing import Checkpoints
from node.store import Transaction
from protocol.errors import StoreError

KEY = b"k" * 32
PATIENCE_SECONDS = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr(checkpointing, "CHECKPOINT_PAGES", 64)
    made = Archive(path, KEY)
    yield made
    made.close()


def writing(text: bytes) -> Callable[[Transaction], object]:
    return lambda tx: tx.run("INSERT OR REPLACE INTO state VALUES ('note', ?)", (text,))


def frames(path: Path) -> tuple[int, int]:
    with opened(path, KEY) as connection:
        return checkpointing._frames(connection, "NOOP")


def write_until(store: Archive, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the log was never moved"
        store.run(writing(os.urandom(100_000)))  # what is the same again would write nothing


def test_what_the_log_holds_is_moved_and_the_log_begins_anew(store: Archive, path: Path) -> None:
    write_until(store, lambda: frames(path)[1] > 0)
    # Without a checkpoint a log only grows.
    longest = frames(path)[0]
    write_until(store, lambda: frames(path)[0] < longest)


def test_a_rest_is_moved_by_the_writer_between_two_commits(store: Archive, path: Path) -> None:
    store.run(writing(b"first"))
    held, moved = frames(path)
    assert moved < held
    store._checkpoints._has_rest = True
    store.run(writing(b"second"))
    store.run(writing(b"third"))  # its commit finds the log moved, and begins it anew
    assert frames(path)[0] < held + 2


def test_a_disk_that_fails_at_a_checkpoint_fails_the_store() -> None:
    told: list[StoreError] = []

    class Broken:
        def execute(self, _sql: str) -> Any:
            raise dbapi2.OperationalError("disk I/O error")

        def close(self) -> None:
            """Nothing is open."""

    checkpoints = Checkpoints(Broken, told.append)
    checkpoints.close()
    assert [error.detail for error in told] == ["disk I/O error"]
    checkpoints._has_rest = True
    with pytest.raises(StoreError):
        checkpoints.committed(Broken())


def test_a_store_whose_checkpoint_failed_takes_nothing_more(path: Path) -> None:
    told: list[StoreError] = []
    store = Archive(path, KEY, told.append)
    store._checkpoint_failed(StoreError("disk I/O error"))
    with pytest.raises(StoreError):
        store.run(writing(b"late"))
    assert len(told) == 1
    store.close()
