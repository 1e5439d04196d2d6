"""What the node's promises stand on: commits that wait for the disk, and copies that are synced before they count."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from node import archive
from node.archive import Archive
from node.store import Transaction
from tests.node.test_store_contract import adding

KEY = b"k" * 32
FULL = 2


def test_each_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with closing(Archive(tmp_path / "archive.db", KEY)) as store:
        asked = [store.run(partial(_asked, name)) for name in ("synchronous", "journal_mode")]
    assert asked == [str(FULL), "wal"]


def _asked(pragma: str, tx: Transaction) -> str:
    row = tx.one(f"PRAGMA {pragma}")
    assert row is not None
    return str(row[0])


def test_a_snapshot_is_synced_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: dict[Path, int] = {}
    fsync = os.fsync

    def recorded(handle: int) -> None:
        synced[Path(f"/proc/self/fd/{handle}").readlink()] = os.fstat(handle).st_size
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    target = tmp_path / "copy.db"
    with closing(Archive(tmp_path / "archive.db", KEY)) as store:
        store.run(adding("a"))
        archive.snapshot(tmp_path / "archive.db", KEY, target)
    assert synced[target] == target.stat().st_size > 0
