"""Backups of a home: one file in the age format around a tar archive, whose first entry says what the others are.

    age( tar( manifest.json, then each file that it lists, in its order ) )

A backup is written whole or not at all, and read to its end and found whole before anything is done with it.  Only
plain files under short names are taken from it, none that the manifest does not list, each of the size and digest that
it says.  `age --decrypt -i IDENTITY FILE | tar --extract` gives the same files to whoever has no Valija.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys import age
from keys.age import Identity, Recipient
from keys.files import PART, PRIVATE, sync, sync_folder, writing_new
from keys.manifest import FORMAT, NAME, VERSION, Listed, Manifest, can_be_listed
from keys.times import read_time, show_time
from keys.untar import BLOCK_BYTES, Progress, Target, Untar
from protocol.errors import BackupError, ExistsError, StoreError, UsageError
from protocol.limits import MIB

_CHUNK: Final = 1 * MIB


def silent(_done: int, _total: int) -> None:
    """Show no progress."""


# -- making ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Source:
    """A file to be kept: its name below the home, and where it is read; nobody writes it meanwhile."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Subject:
    """Of what a backup is made, and when (Unix seconds)."""

    kind: str
    name: str
    schema: int
    program: str
    at: int


def write(
    out: Path, subject: Subject, sources: Sequence[Source], recipients: Sequence[Recipient], progress: Progress = silent
) -> Manifest:
    """Afterwards `out`, of mode 0600, is a backup of these files that any of the recipients can open.

    Raises `ExistsError` if there is something already, `StoreError`, `UsageError` without recipients.
    """
    if not recipients:
        raise UsageError("a backup needs somebody who can open it: --recipient or --passphrase-file")
    if out.exists():
        raise ExistsError(str(out))
    for each in sources:
        if not can_be_listed(each.name):
            raise UsageError(
                f"{each.path}: of a home a backup keeps files in it and in its folders, under names of ASCII letters, "
                "digits, dot, hyphen and _; move this one, and name its new place in the settings"
            )
    total = 2 * sum(_size(each.path) for each in sources)
    count = _Count(progress, total)
    files = tuple(_listed(each, count) for each in sources)
    manifest = Manifest(
        FORMAT, VERSION, subject.kind, subject.name, show_time(subject.at), subject.program, subject.schema, files
    )
    manifest.check()
    tar = _Tar(manifest, {each.name: each.path for each in sources}, subject.at, count)
    with writing_new(out) as file:
        age.encrypt(tar, file, recipients)
    return manifest


@dataclass(slots=True)
class _Count:
    progress: Progress
    total: int
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        self.progress(self.done, self.total)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _listed(source: Source, count: _Count) -> Listed:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(source.path):
        digest.update(chunk)
        size += len(chunk)
        count.add(len(chunk))
    return Listed(source.name, size, digest.hexdigest())


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


class _Tar:
    """The tar archive, read as it is made."""

    def __init__(self, manifest: Manifest, paths: dict[str, Path], at: int, count: _Count) -> None:
        self._pieces = _pieces(manifest, paths, at, count)
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        # An empty piece must not pass for the end.
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        wanted = len(self._left) if size < 0 else size
        given, self._left = self._left[:wanted], self._left[wanted:]
        return given


def _pieces(manifest: Manifest, paths: dict[str, Path], at: int, count: _Count) -> Iterator[bytes]:
    data = manifest.encode()
    yield _header(NAME, len(data), at) + data + _padding(len(data))
    for each in manifest.files:
        yield _header(each.name, each.size, at)
        digest, left = hashlib.sha256(), each.size
        for chunk in _chunks(paths[each.name]):
            digest.update(chunk)
            left -= len(chunk)
            count.add(len(chunk))
            yield chunk
        if left or digest.hexdigest() != each.sha256:
            raise StoreError(f"{paths[each.name]} changed while it was read; try again")
        yield _padding(each.size)
    yield bytes(2 * BLOCK_BYTES)


def _header(name: str, size: int, at: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, PRIVATE, at
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK_BYTES)


# -- putting back ----------------------------------------------------------------------------------------
class _Nowhere:
    """What is only checked goes here."""

    def write(self, data: bytes, /) -> int:
        return len(data)

    def close(self) -> None:
        return


def verify(
    source: Path, identities: Sequence[Identity], check: Callable[[Manifest], None], progress: Progress = silent
) -> Manifest:
    """The manifest of a backup that was read to its end and is whole; `check` may refuse it, and nothing is written.

    Raises what `check` does, `UsageError` for a file that can't be read, `KeyAccessError` if no identity opens it,
    `BackupError`.
    """
    return _read(source, identities, Untar(check, lambda _listed: _Nowhere(), progress))


def _read(source: Path, identities: Sequence[Identity], untar: Untar) -> Manifest:
    try:
        file = source.open("rb")
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from None
    with file:
        age.decrypt(file, untar, identities)
    return untar.finish()


def restore(
    source: Path,
    home: Path,
    identities: Sequence[Identity],
    check: Callable[[Manifest], None],
    finish: Callable[[Path, Manifest], None],
    progress: Progress = silent,
) -> Manifest:
    """Afterwards `home` is a new folder of mode 0700 with the files of the backup, durably; or nothing was done.

    `check` may refuse the manifest; `finish` is given the folder, under another name, once all of it was verified, and
    may change it or refuse.  Raises what they do, what `verify` does, `ExistsError` if `home` exists, `StoreError`.
    """
    if home.exists():
        raise ExistsError(f"{home}; a backup is put back into a new folder")
    for left in home.parent.glob(f".{home.name}.*{PART}"):
        shutil.rmtree(left)
    part = home.with_name(f".{home.name}.{secrets.token_hex(8)}{PART}")

    def room(manifest: Manifest) -> None:
        check(manifest)
        if manifest.total_bytes > shutil.disk_usage(part).free:
            raise StoreError(f"{manifest.total_bytes} bytes do not fit on the disk of {home}")

    def sink(listed: Listed) -> Target:
        path = part / listed.name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE), "wb")

    try:
        part.mkdir(mode=0o700)
        try:
            manifest = _read(source, identities, Untar(room, sink, progress))
            finish(part, manifest)
            _sync_all(part)
            part.rename(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        sync_folder(home.parent)
    except OSError as error:
        raise StoreError(f"{home}: {error.strerror}") from error
    return manifest


def made_at(manifest: Manifest) -> int:
    """When the backup was made, in Unix seconds; `BackupError` if it does not say."""
    try:
        return read_time(manifest.created_at, 0)
    except UsageError:
        raise BackupError("a backup of no time") from None


def _sync_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            sync(path)
    sync_folder(folder)
