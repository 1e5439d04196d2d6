"""One daemon at a time on a home, and none once its process is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keys.lock import is_locked, locked
from protocol.errors import HomeLockedError, StoreError

HOLD = "import sys, pathlib, keys.lock as k\nwith k.locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"


def test_a_home_is_held_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        with pytest.raises(HomeLockedError), locked(path):
            pass
    assert not is_locked(path)
    with locked(path):
        assert path.exists()


def test_a_process_that_dies_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(HomeLockedError), locked(path):
            pass
        process.kill()
    assert not is_locked(path)


def test_a_place_where_nothing_can_be_held_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError), locked(tmp_path / "none" / "lock"):
        pass
