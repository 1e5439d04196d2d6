"""Disks that are full, that fail, and that were torn by a crash, under the hub and under nodes, while messages go.

Whoever cannot write ends with a reason and answers nobody; started again, it goes on.  What was acknowledged stays.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.faults.disks import KIB, MIB, failing, tear
from tests.faults.ground import Ground, last_code
from tests.faults.trapped import Prelude
from tests.system.house import eventually

pytestmark = pytest.mark.full
AR, BR = "ar-mpf", "br-mpf"
DISK_BYTES: Final = 48 * MIB
END_SECONDS: Final = 30.0


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(
        tmp_path, [AR, BR], rate=40, forked=True, tls=False, prelude=Prelude(quick=True), disk_bytes=DISK_BYTES
    ) as ground:
        ground.start()
        ground.traffic.start()
        yield ground


def settle(ground: Ground) -> None:
    verdict = ground.settle(90, least=80)
    assert verdict.is_sound, str(verdict)
    assert verdict.deliveries > 50


@contextmanager
def full(ground: Ground, name: str) -> Iterator[None]:
    disk = ground.disks[name]
    disk.fill()
    try:
        yield
    finally:
        disk.empty()


def ends_for_its_store(ground: Ground, name: str) -> None:
    """The process ends by itself, and says that it was the store."""
    daemon = ground.daemon(name)
    eventually(f"{name} ends", lambda: not daemon.is_running(), END_SECONDS)
    assert daemon.process is not None
    assert (daemon.process.poll(), last_code(daemon.log)) == (1, "store"), daemon.last_words()


def back(ground: Ground, name: str) -> None:
    ground.daemon(name).start()
    assert ground.recovers(END_SECONDS)
    assert not ground.deaths


def test_a_full_disk_ends_who_cannot_write_and_room_brings_it_back(ground: Ground) -> None:
    for name in ground.names:
        with full(ground, name):
            ends_for_its_store(ground, name)
            # Its service manager starts it again; it ends again, or waits for room, and takes nothing that it cannot keep.
            ground.daemon(name).start()
            ground.traffic.wait(0.5)
            ground.daemon(name).kill()
        back(ground, name)
    settle(ground)


FAILURES: Final = (
    ("hub", "fsync,fdatasync", "EIO"),
    (AR, "fsync,fdatasync", "EIO"),
    (BR, "pwrite64", "EIO"),
    ("hub", "pwrite64", "ENOSPC"),
    (AR, "pwrite64", "ENOSPC"),
    (BR, "pread64", "EIO"),
)


def test_a_disk_that_fails_ends_who_stands_on_it(ground: Ground) -> None:
    for nth, (name, calls, error) in enumerate(FAILURES, 1):
        with failing(ground.daemon(name).pid, calls, f"error={error}:when={nth}+"):
            ends_for_its_store(ground, name)
        back(ground, name)
    settle(ground)


def test_what_a_crash_tore_behind_the_last_commit_is_nothing(ground: Ground) -> None:
    dice = random.Random(7)
    torn = set()
    for _round in range(3):
        for name in ground.names:
            ground.traffic.wait(0.2)
            ground.daemon(name).kill()
            torn.add(tear(ground.database(name), dice))
            ground.daemon(name).start()
        assert ground.recovers(END_SECONDS)
    assert len(torn) > 3
    settle(ground)


def test_a_disk_of_its_own_is_as_small_as_it_is_told(tmp_path: Path) -> None:
    from tests.faults.disks import SmallDisk

    with SmallDisk(tmp_path / "d", MIB) as disk:
        disk.fill(64 * KIB)
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "more").write_bytes(bytes(MIB))
        disk.empty()
        (disk.folder / "less").write_bytes(bytes(100 * KIB))
    assert not list((tmp_path / "d").iterdir())
