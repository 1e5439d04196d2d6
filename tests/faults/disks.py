"""Disks that fail: small ones of their own that fill up, system calls that end in an error, bytes that change.

A small disk is a file system of its own below a folder, made with the rights of root; system calls are made to fail
from outside by `strace`, which attaches to the running process.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

KIB: Final = 1024
MIB: Final = 1024 * KIB
_BALLAST: Final = ".ballast"
_ATTACH_SECONDS: Final = 10.0
_WAL_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_INDEX_BYTES: Final = 48
_IN_PLACE: Final = 0.5
_PIECE_BYTES: Final = 48


@dataclass
class SmallDisk:
    """A file system of so many bytes, mounted at `folder`; on a file of its own (which syncs as disks do) or in memory."""

    folder: Path
    size_bytes: int
    image: Path | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.image is None:
            _run("mount", "-t", "tmpfs", "-o", f"size={self.size_bytes},mode=0700", "tmpfs", self.folder)
            return self
        self.image.parent.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(self.size_bytes)
        _run("mkfs.ext4", "-q", "-m", "0", self.image)
        _run("mount", "-o", "loop", self.image, self.folder)
        shutil.rmtree(self.folder / "lost+found")
        self.folder.chmod(0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # What is to be looked at must outlive the disk.
            shutil.copytree(self.folder, self.folder.with_name(self.folder.name + ".kept"), ignore=_no_special)
        _run("umount", "--lazy", self.folder)
        if self.image is not None:
            self.image.unlink()

    def fill(self, leave_bytes: int = 0) -> None:
        """Afterwards there is no more room than this."""
        free = shutil.disk_usage(self.folder).free
        with (self.folder / _BALLAST).open("ab") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, os.fstat(file.fileno()).st_size + free - leave_bytes))
            except OSError:
                while _write_more(file.fileno()):
                    pass

    def empty(self) -> None:
        """Afterwards there is room again."""
        (self.folder / _BALLAST).unlink(missing_ok=True)


def _write_more(handle: int) -> bool:
    try:
        return os.write(handle, bytes(4 * KIB)) > 0
    except OSError:
        return False


def _no_special(folder: str, names: list[str]) -> list[str]:
    found = [Path(folder) / name for name in names]
    return [path.name for path in found if path.name == _BALLAST or not (path.is_file() or path.is_dir())]


def _run(*words: str | Path) -> None:
    subprocess.run([*map(str, words)], check=True, capture_output=True, timeout=60)


# -- system calls ----------------------------------------------------------------------------------------
@contextmanager
def failing(pid: int, calls: str, what: str) -> Iterator[None]:
    """Meanwhile these system calls of the process (all threads) fail as `what` says, in the words of `strace -e inject`.

    `calls` is such as `fsync,fdatasync`, `what` such as `error=EIO:when=2+`.
    """
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]
    tracer = subprocess.Popen([*words, "-p", str(pid)], stderr=subprocess.PIPE)
    try:
        _attached(tracer, pid)
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.communicate(timeout=_ATTACH_SECONDS)


def _attached(tracer: subprocess.Popen[bytes], pid: int) -> None:
    deadline = time.monotonic() + _ATTACH_SECONDS
    tasks = Path(f"/proc/{pid}/task")
    while time.monotonic() < deadline:
        try:
            told = [(task / "status").read_text() for task in tasks.iterdir()]
        except OSError:
            return  # it ended: whoever waits for it sees that
        if all(f"TracerPid:\t{tracer.pid}" in each for each in told):
            return
        if tracer.poll() is not None:
            message = b"" if tracer.stderr is None else tracer.stderr.read()
            if tasks.exists():
                raise OSError(message.decode(errors="replace"))
            return
        time.sleep(0.01)
    raise OSError(f"strace did not attach to {pid}")


# -- bytes -----------------------------------------------------------------------------------------------
def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Turn one bit of a file round."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def find(path: Path, value: bytes) -> int:
    """An offset in a file at which a part of this value stands, which may be spread over pages."""
    held = path.read_bytes()
    for start in range(len(value) // 3, len(value), _PIECE_BYTES):
        at = held.find(value[start : start + _PIECE_BYTES])
        if at >= 0:
            return at + min(_PIECE_BYTES, len(value) - start) // 2
    raise AssertionError(f"{path.name} does not hold it")


def turn(database: Path, dice: random.Random) -> str:
    """Turn round one bit of what whoever was killed had committed to its write-ahead log; says where, "" without a log."""
    end = committed_bytes(database)
    if end is None:
        return ""
    offset = dice.randrange(_WAL_HEADER_BYTES, end)
    flip(database.with_name(database.name + "-wal"), offset, dice.randrange(8))
    return f"byte {offset} of {end} in its log"


def tear(database: Path, dice: random.Random) -> str:
    """Leave behind the write-ahead log what a power cut leaves behind the last commit; says what was done.

    Frames of an older generation, whole, half, cut off or overwritten in place, bytes of nothing, zeros: none of it was
    ever committed.
    """
    log = database.with_name(database.name + "-wal")
    if not log.exists() or log.stat().st_size < _WAL_HEADER_BYTES:
        return "no log"
    held = log.read_bytes()
    end = committed_bytes(database)
    if end is not None and end < len(held) and dice.random() < _IN_PLACE:
        return _tear_in_place(log, dice, end, len(held))
    frame = held[-4096:]
    how = dice.choice(("garbage", "zeros", "an old frame", "half a frame", "a changed frame"))
    torn = {
        "garbage": dice.randbytes(dice.randint(1, 9_000)),
        "zeros": bytes(dice.randint(1, 9_000)),
        "an old frame": frame,
        "half a frame": frame[: dice.randint(1, len(frame) - 1)],
        "a changed frame": bytes([*frame[:-1], frame[-1] ^ 1]),
    }[how]
    with log.open("ab") as file:
        file.write(torn)
    return how


def _tear_in_place(log: Path, dice: random.Random, end: int, size: int) -> str:
    start = dice.randrange(end, size)
    how = dice.choice(("cut off", "scribbled over"))
    with log.open("r+b") as file:
        if how == "cut off":
            file.truncate(start)
        else:
            file.seek(start)
            file.write(dice.randbytes(dice.randint(1, size - start)))
    return how


def committed_bytes(database: Path) -> int | None:
    """How much of the write-ahead log is committed, as the index of whoever was killed says; None if it does not say."""
    log, index = (database.with_name(database.name + each) for each in ("-wal", "-shm"))
    if not log.exists() or not index.exists() or index.stat().st_size < _INDEX_BYTES:
        return None
    header, held = log.read_bytes()[:_WAL_HEADER_BYTES], index.read_bytes()[:_INDEX_BYTES]
    page_bytes, frames = struct.unpack_from("=HI", held, 14)
    # One that was begun anew, and its log not yet, tells of none.
    if frames == 0 or held[32:40] != header[16:24]:
        return None
    return _WAL_HEADER_BYTES + int(frames) * (_FRAME_HEADER_BYTES + int(page_bytes))
