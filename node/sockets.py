"""The Unix socket of a home, at both ends, however long the path of the home is.

The kernel takes at most 107 bytes as the address of a socket.  A longer one is reached through the open folder.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import NotRunningError, StoreError

_MAX_ADDRESS_BYTES: Final = 107
_BACKLOG: Final = 128


@contextmanager
def _address(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def unix_socket(path: Path) -> socket.socket:
    """A socket that listens at `path`, for its owner alone; whoever calls holds the lock of the home.

    What an earlier daemon left there is replaced.  Raises `StoreError`.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.unlink(missing_ok=True)
        # The mode of an unbound socket is that of the name it will get: it is never open to others, not for a moment.
        os.fchmod(listening.fileno(), 0o600)
        with _address(path) as address:
            listening.bind(address)
        path.chmod(0o600)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise StoreError(f"{path}: {error.strerror}") from error
    return listening


def connected(path: Path, seconds: float) -> socket.socket:
    """A connection to the daemon at `path`; `NotRunningError` if none answers there."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    line.settimeout(seconds)
    try:
        with _address(path) as address:
            line.connect(address)
    except OSError:
        line.close()
        raise NotRunningError(str(path.parent)) from None
    return line
