"""What must survive a crash is synced, and in this order: bytes before the name that shows them, then the name.

A crash cannot be had in a test, but every call that stands between the program and one can: they are recorded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys import files
from keys.files import destroy, private_folder, replace, write_new


class Disk:
    """A recording of what was done to files, in order; what was never synced is what a crash forgets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, str]] = []
        for name in ("fsync", "link", "rename", "replace", "unlink", "mkdir"):
            monkeypatch.setattr(os, name, self._recorded(name, getattr(os, name)))

    def _recorded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(first: Any, *rest: Any, **how: Any) -> Any:
            told = (
                _path(first)
                if isinstance(first, int)
                else Path(rest[0] if name in {"link", "rename", "replace"} else first)
            )
            self.done.append((name, str(told)))
            return call(first, *rest, **how)

        return recorded

    def place(self, name: str, path: Path) -> int:
        """Where in the order this was done to `path`, last."""
        found = [at for at, each in enumerate(self.done) if each == (name, str(path))]
        assert found, f"no {name} of {path.name} in {self.done}"
        return found[-1]


def _path(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    assert stat.S_ISDIR(tmp_path.stat().st_mode)
    return Disk(monkeypatch)


def synced_before(disk: Disk, end: int) -> set[str]:
    return {path for name, path in disk.done[:end] if name == "fsync"}


@pytest.mark.parametrize("write", [write_new, replace])
def test_bytes_are_synced_before_they_have_their_name_and_the_name_after(
    disk: Disk, tmp_path: Path, write: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "a.key"
    write(path, b"secret")
    named = disk.place("link" if write is write_new else "replace", path)
    parts = [each for each in synced_before(disk, named) if each.endswith(files.PART)]
    assert len(parts) == 1
    assert disk.place("fsync", tmp_path) > named


def test_a_name_that_is_gone_stays_gone(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "a.prekey"
    path.write_bytes(b"x")
    destroy(path)
    assert disk.place("fsync", tmp_path) > disk.place("unlink", path)


def test_each_folder_that_is_made_is_named_durably(disk: Disk, tmp_path: Path) -> None:
    private_folder(tmp_path / "one" / "two")
    assert disk.place("fsync", tmp_path) > disk.place("mkdir", tmp_path / "one")
    assert disk.place("fsync", tmp_path / "one") > disk.place("mkdir", tmp_path / "one" / "two")
