"""One process at a time writes to a home."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from hub.config import Home
from protocol.errors import HomeLockedError, StoreError


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the home for the length of the block; `HomeLockedError` while another process does.

    The lock dies with the process, however that ends; the file stays.
    """
    try:
        handle = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{home.lock}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeLockedError(str(home.folder)) from None
        yield
    finally:
        os.close(handle)


def is_locked(home: Home) -> bool:
    """Whether a process holds the home now."""
    if not home.lock.exists():
        return False
    try:
        with locked(home):
            return False
    except HomeLockedError:
        return True
