"""The registry's log over HTTP: the newest checkpoint, and the leaves that the mirror lacks (SPEC section 15).

Nothing here is believed: `node.mirror` verifies the whole before it takes in any of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.hubline import HubLine
from node.mirror import Leaves
from protocol.errors import LimitError, MalformedError
from protocol.limits import MAX_ENTRY_BYTES, MAX_NOTE_BYTES, MAX_STATEMENT_BYTES, MIB
from protocol.trust.checkpoint import Checkpoint
from protocol.trust.notes import Note
from protocol.trust.registry import Entry

TILE_WIDTH: Final = 256
MAX_NEW_LEAVES: Final = 262_144
MAX_NEW_BYTES: Final = 128 * MIB
"""So many bytes of statements are held before any of them is verified."""

AT_ONCE: Final = 8
_LENGTH_BYTES: Final = 2
_MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (_LENGTH_BYTES + MAX_ENTRY_BYTES)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A signed note as the hub gave it, the size that it states, and the leaves from the size held up to that."""

    note: bytes = field(repr=False)
    size: int
    leaves: Leaves = field(repr=False)


async def fetch(line: HubLine, held: int) -> Fetched:
    """The newest checkpoint and the leaves from index `held` on.

    Raises `TransportError`, `MalformedError` for what is no log, `LimitError` for more than anybody would log.
    """
    note = await line.get("/log/checkpoint", MAX_NOTE_BYTES)
    size = Checkpoint.parse(Note.parse(note).text).size
    if size - held > MAX_NEW_LEAVES:
        raise LimitError(f"{size - held} new leaves at once")
    entries = await _entries(line, held, size)
    statements = await _each(line, [f"/log/statement/{Entry.parse(entry).hash.hex()}" for entry in entries])
    return Fetched(note, size, Leaves(entries, statements))


async def _entries(line: HubLine, held: int, size: int) -> list[bytes]:
    if size <= held:
        return []
    entries: list[bytes] = []
    for tile in range(held // TILE_WIDTH, -(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - tile * TILE_WIDTH)
        bundle = list(read_bundle(await line.get(bundle_path(tile, width), _MAX_BUNDLE_BYTES)))
        if len(bundle) < width:
            raise MalformedError(f"{len(bundle)} entries in a bundle of {width}")
        entries += bundle[:width]
    # A full bundle may begin before what is missing.
    return entries[held % TILE_WIDTH :]


async def _each(line: HubLine, paths: Sequence[str]) -> list[bytes]:
    found: list[bytes] = []
    for start in range(0, len(paths), AT_ONCE):
        try:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(line.get(path, MAX_STATEMENT_BYTES)) for path in paths[start : start + AT_ONCE]
                ]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        found += [task.result() for task in asked]
        if sum(map(len, found)) > MAX_NEW_BYTES:
            raise LimitError(f"new leaves of over {MAX_NEW_BYTES} bytes at once")
    return found


def bundle_path(tile: int, width: int) -> str:
    """Where the entry bundle of this tile is, of which `width` entries are wanted (c2sp.org/tlog-tiles)."""
    digits = f"{tile:d}"
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"/log/tile/entries/{number}" + ("" if width == TILE_WIDTH else f".p/{width}")


def read_bundle(data: bytes) -> Iterator[bytes]:
    """The entries in a bundle; `MalformedError` if it ends in the middle of one."""
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data):
            raise MalformedError("entry bundle")
        yield data[start:end]
        at = end
