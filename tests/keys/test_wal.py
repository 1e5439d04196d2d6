"""A write-ahead log is judged as SQLite reads it: what a power cut tears is nothing, what else is missing is damage."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys import wal
from keys.wal import Broken, broken, check_log
from protocol.errors import DamagedError, StoreError

COMMITS = 12
HEADER = 32
PAGE = 4096
FRAME = 24 + PAGE


@dataclass
class Left:
    """What a process leaves behind that was killed after so many commits: database, log and index."""

    database: Path

    @property
    def log(self) -> Path:
        return self.database.with_name("a.db-wal")

    @property
    def index(self) -> Path:
        return self.database.with_name("a.db-shm")

    @property
    def frames(self) -> int:
        return (self.log.stat().st_size - HEADER) // FRAME

    def flip(self, offset: int, bit: int = 0) -> None:
        held = bytearray(self.log.read_bytes())
        held[offset] ^= 1 << bit
        self.log.write_bytes(held)

    def replace(self, offset: int, value: bytes) -> None:
        held = bytearray(self.log.read_bytes())
        held[offset : offset + len(value)] = value
        self.log.write_bytes(held)

    def start(self, frame: int) -> int:
        """The offset of this frame, from 1; from the end if it is below 0."""
        return HEADER + (frame - 1 if frame > 0 else self.frames + frame) * FRAME

    def read(self) -> int:
        """How many commits SQLite reads."""
        with closing(sqlite3.connect(self.database)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                return 0
            return int(connection.execute("SELECT count(*) FROM letter").fetchone()[0])


def leave(folder: Path, target: Path, commits: int = COMMITS, *, restart: bool = False) -> Left:
    """A log with one commit for the table and these; `restart`: begun anew over an older generation of as many."""
    folder.mkdir()
    target.mkdir()
    with closing(sqlite3.connect(folder / "a.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE letter (text TEXT)")
        if restart:
            for _ in range(commits):
                connection.execute("INSERT INTO letter VALUES (?)", ("x" * 5_000,))
            connection.execute("PRAGMA wal_checkpoint(RESTART)")
            connection.execute("DELETE FROM letter")
        for _ in range(commits // 2 if restart else commits):
            connection.execute("INSERT INTO letter VALUES (?)", ("y" * 100,))
        for name in ("a.db", "a.db-wal", "a.db-shm"):
            shutil.copyfile(folder / name, target / name)
    return Left(target / "a.db")


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return leave(tmp_path / "old", tmp_path / "left")


@pytest.fixture(params=["with its index", "without"])
def either(left: Left, request: pytest.FixtureRequest) -> Left:
    if request.param == "without":
        left.index.unlink()
    return left


def test_a_log_that_is_whole(either: Left) -> None:
    before = either.log.read_bytes()
    check_log(either.database)
    assert either.log.read_bytes() == before
    assert either.read() == COMMITS


def test_no_log_at_all(left: Left) -> None:
    left.log.unlink()
    check_log(left.database)
    left.log.write_bytes(b"")
    check_log(left.database)
    left.log.write_bytes(bytes(HEADER - 1))
    check_log(left.database)


@pytest.mark.parametrize("frame", [1, 2, COMMITS // 2, -2])
@pytest.mark.parametrize("offset", [0, 4, 15, 16, 24, FRAME - 1])
def test_a_bit_before_the_last_commit_is_damage(either: Left, frame: int, offset: int) -> None:
    # The bit may be that of a mark, so that one is counted too many or too few.
    either.flip(either.start(frame) + offset, 5)
    found = broken(either.database)
    assert found is not None
    assert found.frame == (either.start(frame) - HEADER) // FRAME + 1
    assert 1 <= found.commits <= COMMITS + 2
    with pytest.raises(DamagedError, match=f"a.db-wal: {found.commits} commits or more cannot be read"):
        check_log(either.database)
    assert either.read() < COMMITS - 1, "SQLite says nothing"


def test_a_bit_of_the_header_is_damage(either: Left) -> None:
    held = either.log.read_bytes()
    for bit in range(HEADER * 8):
        either.flip(bit // 8, bit % 8)
        found = broken(either.database)
        assert found is not None
        assert (found.frame, found.commits) == (0, COMMITS + 1)
        either.log.write_bytes(held)


def test_a_bit_of_the_last_commit_is_damage_as_long_as_the_index_knows_of_it(left: Left) -> None:
    left.flip(left.start(-1) + 700)
    assert broken(left.database) == Broken(left.frames, left.log.read_bytes()[16:24], 1)


def test_a_mark_that_went_is_damage_too(left: Left) -> None:
    left.replace(left.start(-1) + 4, bytes(4))
    found = broken(left.database)
    assert found is not None
    assert found.commits == 1


# Page number, size, both salts, both checksums, both words of a pair in the first page, in the middle, at the end.
BITS = (0, 3, 4, 7, 8, 15, 16, 20, 23, 24, 28, 31, 700, 704, FRAME - 8, FRAME - 1)


@pytest.mark.parametrize("offset", BITS)
def test_one_bit_of_the_last_commit_is_damage_although_nobody_knows_of_it(left: Left, offset: int) -> None:
    left.index.unlink()
    held = left.log.read_bytes()
    for bit in range(8):
        left.flip(left.start(-1) + offset, bit)
        found = broken(left.database)
        assert found is not None, bit
        assert (found.frame, found.commits) == (left.frames, 1)
        left.log.write_bytes(held)


def test_what_differs_by_more_than_one_bit_is_torn(left: Left) -> None:
    left.index.unlink()
    held, dice, start = left.log.read_bytes(), random.Random(9), left.start(-1)
    for size in (1, 2, 8, 64, 512, 2_048) * 20:
        at = dice.randrange(FRAME - size)
        before = held[start + at : start + at + size]
        for torn in (bytes(size), dice.randbytes(size), held[start + at - FRAME :][:size]):
            if (int.from_bytes(before) ^ int.from_bytes(torn)).bit_count() != 1:
                left.replace(start + at, torn)
                assert broken(left.database) is None, (size, at)
                left.log.write_bytes(held)


def test_without_an_index_that_knows_of_it_the_last_commit_is_taken_as_torn(left: Left) -> None:
    left.flip(left.start(-1) + 700)
    left.flip(left.start(-1) + 701)
    index = left.index.read_bytes()
    for torn in (b"", index[:90], index[:50] + b"\xff" + index[51:], bytes(136), b"\xff" * 136):
        left.index.write_bytes(torn)
        assert broken(left.database) is None
    # An index of another generation of the log.
    salted = bytearray(index[:40])
    salted[32] ^= 1
    whole = bytes(salted) + struct.pack("=2I", *wal._sum(wal._NATIVE, bytes(salted), (0, 0)))
    left.index.write_bytes(whole * 2 + index[96:])
    assert broken(left.database) is None
    assert left.read() == COMMITS - 1


def test_what_stands_behind_the_last_commit_is_nothing(either: Left) -> None:
    dice = random.Random(3)
    held = either.log.read_bytes()
    frame = held[-FRAME:]
    for torn in (dice.randbytes(9_000), bytes(9_000), frame, frame[:40], frame[:4_000], frame[:-1] + b"\x00"):
        either.log.write_bytes(held + torn)
        assert broken(either.database) is None
    assert either.read() == COMMITS


@pytest.mark.parametrize("cut", [1, 24, FRAME - 1, FRAME])
def test_a_commit_that_was_never_said_to_be_there_may_be_cut(left: Left, cut: int) -> None:
    left.index.unlink()
    held = left.log.read_bytes()
    left.log.write_bytes(held[:-cut])
    assert broken(left.database) is None
    assert left.read() == COMMITS - 1


def test_a_commit_that_was_said_to_be_there_may_not_be_cut(left: Left) -> None:
    left.log.write_bytes(left.log.read_bytes()[:-FRAME])
    assert broken(left.database) == Broken(left.frames + 1, left.log.read_bytes()[16:24], 1)


@pytest.mark.parametrize("has_index", [True, False])
def test_what_is_left_of_an_older_generation_may_be_anything(tmp_path: Path, *, has_index: bool) -> None:
    left = leave(tmp_path / "old", tmp_path / "left", restart=True)
    if not has_index:
        left.index.unlink()
    salts = left.log.read_bytes()[16:24]
    marks = [left.log.read_bytes()[left.start(each) + 8 :][:8] == salts for each in range(1, left.frames + 1)]
    older = marks.index(False) + 1
    assert older < left.frames, "there is an older generation behind"
    assert broken(left.database) is None
    for frame in range(older, left.frames + 1):
        left.flip(left.start(frame) + 100)
    left.replace(left.start(older), random.Random(5).randbytes(FRAME))
    assert broken(left.database) is None
    assert left.read() == COMMITS // 2


@pytest.mark.parametrize("held", [bytes(HEADER), b"\xff" * HEADER, bytes(HEADER + 2 * FRAME), b"\xff" * (HEADER + 40)])
def test_a_log_in_which_nothing_was_ever_committed(left: Left, held: bytes) -> None:
    left.log.write_bytes(held)
    assert broken(left.database) is None


def test_a_page_of_no_number_ends_the_log(left: Left) -> None:
    left.index.unlink()
    left.replace(left.start(-1), bytes(4))
    left.flip(left.start(-1) + 700)
    assert broken(left.database) is None


def test_a_log_of_the_other_order_of_bytes(left: Left) -> None:
    """As a machine of the other kind wrote it, checksums and all."""
    held, other = bytearray(left.log.read_bytes()), ">" if wal._NATIVE == "<" else "<"
    held[3] ^= 1
    checksum = wal._sum(other, bytes(held[:24]), (0, 0))
    struct.pack_into(">2I", held, 24, *checksum)
    for at in range(HEADER, len(held), FRAME):
        checksum = wal._sum(other, bytes(held[at : at + 8]), checksum)
        checksum = wal._sum(other, bytes(held[at + 24 : at + FRAME]), checksum)
        struct.pack_into(">2I", held, at + 16, *checksum)
    left.log.write_bytes(held)
    assert broken(left.database) is None
    left.flip(left.start(2) + 100)
    assert broken(left.database) is not None


def test_what_is_just_being_written_is_looked_at_twice(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Broken(7, b"", 3), Broken(9, b"", 2)]
    monkeypatch.setattr(wal, "_look", lambda _database: found.pop(0))
    assert broken(left.database) is None
    found[:] = [Broken(7, b"", 3), Broken(7, b"", 4)]
    assert broken(left.database) == Broken(7, b"", 3)


def test_a_log_that_cannot_be_read(left: Left) -> None:
    left.log.unlink()
    left.log.mkdir()
    with pytest.raises(StoreError):
        check_log(left.database)
