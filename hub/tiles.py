"""The log as stock tools read it: tiles of hashes and bundles of entries (c2sp.org/tlog-tiles, SPEC section 15).

A tile of level L holds up to 256 hashes, each over 256 ** L leaves; only a full tile has a hash in the level above.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.errors import UsageError
from protocol.merkle import leaf_hash, root

TILE_WIDTH: Final = 256
MAX_LEVEL: Final = 63
_PATH: Final = re.compile(r"(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_MAX_PATH: Final = 64


@dataclass(frozen=True, slots=True)
class TilePath:
    """Which tile is asked for: its `level` (None: the entries themselves), `index` and `width` of 1 to 256."""

    level: int | None
    index: int
    width: int

    @classmethod
    def parse(cls, path: str) -> TilePath:
        """What stands after `tile/` in the path; `UsageError` for anything but the one spelling of a tile."""
        match = _PATH.fullmatch(path) if len(path) <= _MAX_PATH else None
        if match is None:
            raise UsageError("tile path")
        level, number, partial = match.groups()
        digits = number.replace("/", "").replace("x", "")
        width = int(partial or TILE_WIDTH)
        has_zeros = len(digits) > len("000") and digits.startswith("000")
        if has_zeros or (partial and width >= TILE_WIDTH) or (level != "entries" and int(level) > MAX_LEVEL):
            raise UsageError("tile path")
        return cls(None if level == "entries" else int(level), int(digits), width)


class Tiles:
    """Everything that tiles and bundles of one log are made of, growing leaf by leaf."""

    __slots__ = ("_entries", "_levels")

    def __init__(self) -> None:
        """An empty log."""
        self._entries: list[bytes] = []
        self._levels: list[list[bytes]] = [[]]

    def append(self, entry: bytes) -> None:
        """Add the next entry."""
        self._entries.append(entry)
        carried, level = leaf_hash(entry), 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            hashes = self._levels[level]
            hashes.append(carried)
            if len(hashes) % TILE_WIDTH:
                return
            carried, level = root(hashes[-TILE_WIDTH:]), level + 1

    def read(self, path: TilePath) -> bytes | None:
        """The bytes of a tile or bundle of exactly that width; None if the log does not reach so far."""
        start, end = path.index * TILE_WIDTH, path.index * TILE_WIDTH + path.width
        if path.level is None:
            entries = self._entries[start:end]
            return _whole([len(entry).to_bytes(2, "big") + entry for entry in entries], path.width)
        hashes = self._levels[path.level] if path.level < len(self._levels) else []
        return _whole(hashes[start:end], path.width)


def _whole(parts: list[bytes], width: int) -> bytes | None:
    return b"".join(parts) if len(parts) == width else None
