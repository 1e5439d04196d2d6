"""What a ground does when it ends; the rest of it is what the tests of faults stand on."""

from __future__ import annotations

from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.soak import UnsoundError


def test_disks_hear_that_a_run_was_not_sound(tmp_path: Path) -> None:
    told: list[object] = []
    ground = Ground(tmp_path, ["ar-mpf"])
    ground._stack.push(lambda kind, _error, _trace: told.append(kind))  # as a disk's own end
    ground.__exit__(UnsoundError, UnsoundError(), None)
    assert told == [UnsoundError]
