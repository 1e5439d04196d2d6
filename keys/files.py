"""Small files that must be whole or absent: key files, prekeys, and what stewards pass on.

A new file is written beside its place, synced, and only then given its name; so a crash leaves either
nothing or everything, and a leftover whose name ends in `.part`, which nobody reads.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from protocol.errors import ExistsError, KeyAccessError, LimitError, StoreError, UsageError
from protocol.limits import MIB

MAX_FILE_BYTES: Final = 1 * MIB
PART: Final = ".part"
PRIVATE: Final = 0o600
PUBLIC: Final = 0o644

NO_LINKS: Final = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))


def write_new(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Afterwards `path` holds exactly `data`, durably; nothing is ever overwritten.

    Raises `ExistsError` if the name is taken, `StoreError` if the disk refuses.
    """
    with writing_new(path, mode) as file:
        file.write(data)


def require_room(path: Path) -> None:
    """Return if a new file can be made at `path`; `ExistsError` if the name is taken, `UsageError` if there is no place.

    Called before anything else is done or said to be done.
    """
    try:
        if path.exists():
            raise ExistsError(str(path))
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise UsageError(f"{path.parent} is no folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UsageError(f"nothing can be written in {path.parent}")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


@contextmanager
def writing_new(path: Path, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """What the block writes stands at `path`, whole and durably, once it ends without raising; else nothing does.

    Raises `ExistsError` if the name is taken, `StoreError` if the disk refuses, and what the block does.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        try:
            with _synced(part, mode) as file:
                yield file
            _name(part, path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError:
        raise ExistsError(str(path)) from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


@contextmanager
def _synced(path: Path, mode: int) -> Iterator[BinaryIO]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(handle)


def _name(part: Path, path: Path) -> None:
    # A hard link refuses a name that is taken, in one step; a rename would replace it.
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Memory sticks know no links.  What stands there is still not replaced, short of a race with oneself.
        if path.exists():
            raise FileExistsError from None
        part.rename(path)


def sync(path: Path) -> None:
    """Afterwards what was written into the file at `path`, by whomever, is durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Afterwards the names in `folder` are durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private_folder(folder: Path) -> None:
    """Afterwards `folder` exists; what of the path was missing is closed to others.  Raises `StoreError`."""
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700)
            sync_folder(each.parent)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from error


def read_private(path: Path) -> bytes:
    """The bytes of a file that only its owner may read; `KeyAccessError`, with the remedy, for any other."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise KeyAccessError(f"others on this machine may read {path}; run: chmod 600 {path}")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyAccessError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise KeyAccessError(f"{path} is too large to be a key")
    return data


def read_public(path: Path) -> bytes:
    """The bytes of a file that somebody passed on; `UsageError` if it can't be read, `LimitError` over 1 MiB."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError:
        # It holds a zero character.
        raise UsageError(f"{path}: no file has such a name") from None
    if len(data) > MAX_FILE_BYTES:
        raise LimitError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return data


def destroy(path: Path) -> None:
    """Afterwards the name is gone, durably.  Nothing is claimed about the medium beneath.  Raises `StoreError`."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def sweep(folder: Path) -> None:
    """Afterwards no leftover of an interrupted `write_new` remains in `folder`, which nobody else writes."""
    for part in folder.glob(f".*{PART}"):
        destroy(part)


def replace(path: Path, data: bytes, mode: int = PUBLIC, like: Path | None = None) -> None:
    """Afterwards `path` holds exactly `data`, durably, in place of what it held; never half of it.

    Where root writes it, it belongs to whoever `like` belongs to.  Raises `StoreError` if the disk refuses.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        try:
            with _synced(part, mode) as file:
                if like is not None and os.geteuid() == 0:
                    # Of the open file: its name stands in a folder in which another user may put a link in its place.
                    owner = like.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.write(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
