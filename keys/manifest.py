"""What stands first in a backup and says what the rest is."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from protocol.errors import BackupError

FORMAT: Final = "valija-backup"
VERSION: Final = 1
NAME: Final = "manifest.json"
MAX_BYTES: Final = 64 * 1024
MAX_FILES: Final = 128
MAX_TOTAL_BYTES: Final = 1 << 44
_NAME: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def can_be_listed(name: str) -> bool:
    """Whether a file of this name below the home can stand in a backup."""
    return _NAME.fullmatch(name) is not None


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup: its name below the home, its size in bytes and its SHA-256 in hexadecimal digits."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup is of: `kind` is `node` or `hub`, `name` the member or association, `schema` the version of its data."""

    format: str
    version: int
    kind: str
    name: str
    created_at: str
    program: str
    schema: int
    files: tuple[Listed, ...]

    @property
    def total_bytes(self) -> int:
        """The size of all files together."""
        return sum(each.size for each in self.files)

    def encode(self) -> bytes:
        """As it stands in a backup, and beside nothing else."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read what `encode` wrote.

        Raises `BackupError` for what is no manifest, `BackupError` for that of a newer program.
        """
        try:
            told = msgspec.json.decode(data)
            if isinstance(told, dict) and told.get("format") == FORMAT and told.get("version") != VERSION:
                raise BackupError(f"a backup of version {told.get('version')!r}; use the program that made it")
            manifest = msgspec.convert(told, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BackupError(f"no manifest of a backup: {error}") from None
        manifest.check()
        return manifest

    def check(self) -> None:
        """Return if names and sizes are those of a backup; else `BackupError`."""
        names = [each.name for each in self.files]
        sizes = [each.size for each in self.files]
        if self.format != FORMAT or not 0 < len(names) <= MAX_FILES or len(set(names)) < len(names):
            raise BackupError("no manifest of a backup")
        if min(sizes) < 0 or sum(sizes) > MAX_TOTAL_BYTES:
            raise BackupError("a backup of no possible size")
        if not all(map(can_be_listed, names)):
            raise BackupError("a backup of a file that no home has")
