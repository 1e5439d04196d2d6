"""Whether a write-ahead log can be read to its end, found out before SQLite opens it: SQLite itself says nothing.

Each commit is appended to the log as frames, each with the checksum of all that stands before it, and the last frame of a
commit bears a mark.  After an unclean stop SQLite reads up to the first frame that does not add up, and takes the rest
for what a power cut tore.  So one bit that turned round would undo every later commit without a word.

    header, 32 bytes   magic, version, page size, sequence, two salts, checksum of these
    frame, 24 + page   page number, size of the database (0: no commit ends here), the header's salts, checksum; the page

What tells a torn commit from a damaged one: every commit is synced before it is acknowledged, and the next one is written
after that.  A power cut therefore tears the last commit only, which nobody was told of.

    two commits or more bear the log's salts and cannot be read   damage
    the index beside it (-shm) knows of frames that cannot        damage: it is brought up to date after the sync
    one commit, and one bit of it would make it whole             damage: a power cut leaves sectors of another content
    one commit, and no index that knows of it                     taken as torn, although it may be damaged

The last line is what remains open: after a power cut, when the index was not written either, more than one bit of the
very last commit.  That all its frame headers are there proves nothing: a frame is several sectors.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeAlias

from protocol.errors import DamagedError, StoreError

_HEADER: Final = struct.Struct(">4I8s2I")
_FRAME: Final = struct.Struct(">2I8s2I")
# Of the index: whether it is made, how many frames are committed, the log's salts, its own checksum.
_INDEX: Final = struct.Struct("=12xB3xI12x8s2I")
_NATIVE: Final = "<" if sys.byteorder == "little" else ">"
_MAGIC: Final = 0x377F0682
_PAGES_BYTES: Final = tuple([512 << power for power in range(8)])
_SUMMED_BYTES: Final = 8
_SALTS_BYTES: Final = 8
_MASK: Final = 0xFFFFFFFF
_TORN_COMMITS: Final = 1


@dataclass(frozen=True, slots=True)
class Broken:
    """Frame `frame` (from 1, 0 for the header) of a log is not what was written, nor then are `commits` from there on."""

    frame: int
    salts: bytes
    # A process that writes meanwhile adds to them.
    commits: int = field(compare=False)


class _Promise(NamedTuple):
    """What the index says: so many frames of the log with these salts are committed."""

    salts: bytes
    frames: int


_Checksum: TypeAlias = tuple[int, int]


class _Header(NamedTuple):
    order: str
    page_bytes: int
    salts: bytes
    checksum: _Checksum


class _Frame(NamedTuple):
    page: int
    size: int
    salts: bytes
    checksum: _Checksum
    raw: bytes


def check_log(database: Path) -> None:
    """Raise `DamagedError` if the log of this database held commits that were acknowledged and cannot be read.

    Nothing is changed, and whoever writes meanwhile is not disturbed.  Call it before the first connection: that one
    makes the index anew, and its closing may remove the log.  Raises `StoreError` where the disk fails.
    """
    found = broken(database)
    if found is not None:
        raise DamagedError(
            f"{_side(database, '-wal')}: {found.commits} commits or more cannot be read, from frame {found.frame} on; "
            "nothing was changed"
        )


def broken(database: Path) -> Broken | None:
    """Where the log of this database is damaged; None if it is whole, torn at its end, or not there.  `StoreError`."""
    try:
        found = _look(database)
        # What another process is just writing looks broken for that moment.
        return found if found is not None and found == _look(database) else None
    except OSError as error:
        raise StoreError(f"{database}: {error.strerror}") from error


def _look(database: Path) -> Broken | None:
    # The index first: what it promises stands in the log by then.
    promise = _promise(_side(database, "-shm"))
    try:
        with _side(database, "-wal").open("rb") as log:
            return _broken(log, promise)
    except FileNotFoundError:
        return None


def _side(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _broken(log: BinaryIO, promise: _Promise | None) -> Broken | None:
    header = _header(log.read(_HEADER.size))
    if header is not None:
        salts, (whole, committed, checksum) = header.salts, _readable(log, header)
        first, lost = whole + 1, _commits(log, header.page_bytes, whole + 1, salts)
        is_turned = _is_turned(log, header, first, checksum)
    else:
        # SQLite takes such a log for empty.  It was synced before any frame was written, and it is never torn: one sector.
        salts, first, committed = log.read(_FRAME.size)[_SUMMED_BYTES:][:_SALTS_BYTES], 0, 0
        lost = max(_commits(log, page_bytes, 1, salts) for page_bytes in _PAGES_BYTES)
        is_turned = False
    is_promised = promise is not None and promise.salts == salts and promise.frames > committed
    return Broken(first, salts, max(lost, 1)) if is_promised or is_turned or lost > _TORN_COMMITS else None


def _readable(log: BinaryIO, header: _Header) -> tuple[int, int, _Checksum]:
    """How many frames SQLite finds whole, up to which of them it reads (the end of a commit), and their checksum."""
    whole, committed, checksum = 0, 0, header.checksum
    for frame in _frames(log, header.page_bytes, 1):
        summed = _sum_frame(header, frame, checksum)
        if frame.salts != header.salts or frame.page == 0 or frame.checksum != summed:
            break
        whole, checksum = whole + 1, summed
        if frame.size:
            committed = whole
    return whole, committed, checksum


def _sum_frame(header: _Header, frame: _Frame, before: _Checksum) -> _Checksum:
    head = _sum(header.order, frame.raw[:_SUMMED_BYTES], before)
    return _sum(header.order, frame.raw[_FRAME.size :], head)


# -- one bit -------------------------------------------------------------------------------------------
def _is_turned(log: BinaryIO, header: _Header, first: int, checksum: _Checksum) -> bool:
    """Whether frame `first` is what was written but for one bit; `checksum` is that of all before it."""
    frame = next(_frames(log, header.page_bytes, first), None)
    if frame is None:
        return False
    summed = _sum_frame(header, frame, checksum)
    if _differing_bits(header.salts, frame.salts) + _differing_bits(_bytes(summed), _bytes(frame.checksum)) == 1:
        return True
    summed_bytes = frame.raw[:_SUMMED_BYTES] + frame.raw[_FRAME.size :]
    return frame.salts == header.salts and _is_of_one_bit(header.order, summed_bytes, summed, frame.checksum)


def _bytes(checksum: _Checksum) -> bytes:
    return struct.pack(">2I", *checksum)


def _differing_bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def _is_of_one_bit(order: str, data: bytes, summed: _Checksum, wanted: _Checksum) -> bool:
    """Whether `data`, which is `summed`, would be as `wanted` with one bit turned round.

    What the first word of a pair lacks is lacking in both sums, what the second lacks in one; each pair behind carries
    both on as `_sum` does, which is undone here step by step.  By chance it looks so once in 2**45 times, or less.
    """
    first, second = wanted[0] - summed[0] & _MASK, wanted[1] - summed[1] & _MASK
    for pair in reversed([*struct.iter_unpack(f"{order}2I", data)]):
        if first in {0, second}:
            word = pair[1] if first == 0 else pair[0]
            if (word + second & _MASK ^ word).bit_count() == 1:
                return True
        first, second = 2 * first - second & _MASK, second - first & _MASK
    return False


def _commits(log: BinaryIO, page_bytes: int, first: int, salts: bytes) -> int:
    """How many commits of the log's present generation end from this frame on, by the marks of frames alone."""
    return sum(frame.size != 0 and _bears(frame, salts) for frame in _frames(log, page_bytes, first))


def _bears(frame: _Frame, salts: bytes) -> bool:
    # The bit that turned round may be one of the salts'; those of another generation are others altogether.
    return _differing_bits(frame.salts, salts) <= 1


def _frames(log: BinaryIO, page_bytes: int, first: int) -> Iterator[_Frame]:
    """The frames from the one of this number on, as far as they stand there in full."""
    frame_bytes = _FRAME.size + page_bytes
    log.seek(_HEADER.size + (first - 1) * frame_bytes)
    while len(raw := log.read(frame_bytes)) == frame_bytes:
        page, size, salts, *checksum = _FRAME.unpack_from(raw)
        yield _Frame(page, size, salts, (checksum[0], checksum[1]), raw)


def _header(raw: bytes) -> _Header | None:
    """The header of a log; None if it is not what SQLite wrote."""
    if len(raw) < _HEADER.size:
        return None
    magic, _version, page_bytes, _sequence, salts, *checksum = _HEADER.unpack(raw)
    # The last bit of the magic says in which order the words were summed.
    order = ">" if magic & 1 else "<"
    summed = _sum(order, raw[:-_SUMMED_BYTES], (0, 0))
    if magic & ~1 != _MAGIC or page_bytes not in _PAGES_BYTES or summed != tuple(checksum):
        return None
    return _Header(order, page_bytes, salts, summed)


def _promise(index: Path) -> _Promise | None:
    """What the index says, if whoever wrote it finished."""
    try:
        with index.open("rb") as file:
            raw, again = file.read(_INDEX.size), file.read(_INDEX.size)
    except FileNotFoundError:
        return None
    if raw != again or len(raw) < _INDEX.size:
        return None
    is_made, frames, salts, *checksum = _INDEX.unpack(raw)
    if not is_made or _sum(_NATIVE, raw[:-_SUMMED_BYTES], (0, 0)) != tuple(checksum):
        return None
    return _Promise(salts, frames)


def _sum(order: str, data: bytes, start: _Checksum) -> _Checksum:
    """SQLite's checksum of these bytes, behind what was summed before."""
    first, second = start
    for one, two in struct.iter_unpack(f"{order}2I", data):
        first = first + one + second & _MASK
        second = second + two + first & _MASK
    return first, second
