"""One daemon at a time on a home: a lock that the kernel drops with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.errors import HomeLockedError, StoreError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path` meanwhile; `HomeLockedError` if another process does.

    The file stays: removing it would let two processes lock two files of one name.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeLockedError(str(path.parent)) from None
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock at `path` now; changes nothing."""
    if not path.exists():
        return False
    try:
        with locked(path):
            return False
    except HomeLockedError:
        return True
