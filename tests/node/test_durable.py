"""What the node's promises stand on: commits that wait for the disk, and copies that are synced before they count."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from node import archive
from node.archive import Archive
from node.store import Transaction
from protocol.errors import DamagedError
from tests.faults.disks import flip
from tests.node.durability_child import KEY
from tests.node.test_store_contract import adding, names

FULL = 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


def test_each_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with closing(Archive(tmp_path / "archive.db", KEY)) as store:
        asked = [store.run(partial(_asked, name)) for name in ("synchronous", "journal_mode")]
    assert asked == [str(FULL), "wal"]


def _asked(pragma: str, tx: Transaction) -> str:
    row = tx.one(f"PRAGMA {pragma}")
    assert row is not None
    return str(row[0])


def killed(path: Path) -> int:
    """An archive whose process was killed after so many commits that it said to be done."""
    command = [sys.executable, "-m", "tests.node.durability_child", str(path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(30)]
        process.kill()
        said += process.stdout.readlines()
    return int(said[-1])


def test_what_kill_9_left_is_all_that_was_said_to_be_done(path: Path) -> None:
    said = killed(path)
    with closing(Archive(path, KEY)) as store:
        assert len(store.read(names)) in (said, said + 1)


@pytest.mark.parametrize("offset", [20, 40, 56, 20_000])
def test_a_bit_that_turned_round_in_what_kill_9_left_opens_nothing(path: Path, offset: int) -> None:
    killed(path)
    flip(path.with_name("archive.db-wal"), offset)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(DamagedError, match="commits or more cannot be read"):
        Archive(path, KEY)
    with pytest.raises(DamagedError):
        archive.snapshot(path, KEY, path.with_name("copy.db"))
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


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
