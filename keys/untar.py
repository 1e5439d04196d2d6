"""The tar archive inside a backup, read as it is decrypted: plain files alone, in the order of the manifest.

header -> manifest -> (header -> content -> padding) for each file listed -> nothing but zeros
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from keys.manifest import MAX_BYTES, NAME, Listed, Manifest
from protocol.errors import BackupError

BLOCK_BYTES: Final = 512

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done."""


class Target(Protocol):
    """Where the content of one file goes."""

    def write(self, data: bytes, /) -> object:
        """Take in all of `data`."""

    def close(self) -> None:
        """That was all."""


Sink = Callable[[Listed], Target]
"""Where a file of a backup goes."""


@dataclass(slots=True)
class Untar:
    """Takes in a tar archive piece by piece: each file goes where `sink` says; `on_manifest` may refuse before that.

    Raises `BackupError` for what is not exactly what its manifest says.
    """

    on_manifest: Callable[[Manifest], None]
    sink: Sink
    progress: Progress
    manifest: Manifest | None = None
    _state: Callable[[], bool] = field(init=False)
    _buffer: bytearray = field(default_factory=bytearray)
    _waiting: list[Listed] = field(default_factory=list)
    _left: int = 0
    _total: int = 0
    _done: int = 0

    def __post_init__(self) -> None:
        self._state = self._read_header

    def write(self, data: bytes, /) -> int:
        """Take in the next piece."""
        self._buffer += data
        while self._state():
            pass
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def finish(self) -> Manifest:
        """The manifest, if everything that it lists was there; else `BackupError`."""
        if self.manifest is None or self._waiting or self._state != self._read_header:
            raise BackupError("the backup is cut off")
        return self.manifest

    def _take(self, count: int) -> bytes | None:
        if len(self._buffer) < count:
            return None
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    # -- each state says whether there may be more to do
    def _read_header(self) -> bool:
        block = self._take(BLOCK_BYTES)
        if block is None:
            return False
        if self.manifest is not None and not self._waiting:
            if any(block):
                raise BackupError("more files than the manifest lists")
            return True
        name, size = _read_entry(block)
        if self.manifest is None:
            if name != NAME or size > MAX_BYTES:
                raise BackupError("no backup of Valija: it does not begin with a manifest")
            self._left, self._state = size, self._read_manifest
            return True
        listed = self._waiting.pop(0)
        if (name, size) != (listed.name, listed.size):
            raise BackupError(f"the manifest lists {listed.name}, and another file follows")
        self._left = size
        self._state = partial(self._read_content, listed, self.sink(listed), hashlib.sha256())
        return True

    def _read_manifest(self) -> bool:
        data = self._take(self._left + (-self._left % BLOCK_BYTES))
        if data is None:
            return False
        self.manifest = Manifest.parse(data[: self._left])
        self.on_manifest(self.manifest)
        self._waiting, self._total = list(self.manifest.files), self.manifest.total_bytes
        self._state = self._read_header
        return True

    def _read_content(self, listed: Listed, file: Target, digest: Any) -> bool:
        piece = self._take(min(self._left, len(self._buffer))) or b""
        self._left -= len(piece)
        digest.update(piece)
        file.write(piece)
        self._done += len(piece)
        self.progress(self._done, self._total)
        if self._left:
            return False
        file.close()
        if digest.hexdigest() != listed.sha256:
            raise BackupError(f"{listed.name} is not what the manifest says")
        self._state = partial(self._read_padding, -listed.size % BLOCK_BYTES)
        return True

    def _read_padding(self, count: int) -> bool:
        if self._take(count) is None:
            return False
        self._state = self._read_header
        return True


def _read_entry(block: bytes) -> tuple[str, int]:
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError):
        raise BackupError("no backup of Valija: this is no tar archive") from None
    if entry.type != tarfile.REGTYPE:
        raise BackupError("a backup holds plain files alone")
    return entry.name, entry.size
