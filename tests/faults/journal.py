"""What case systems write down for themselves, outside our code: what a node said yes to, and what it handed over.

A line is on disk before it counts.  One file for each side of each member:

    sender       what it will ask for, in this order; what was acknowledged, with the id; what it took back
    recipient    what the event stream told; what the inbox handed over, in the order of its cursor, with its mark

An *age* is the life of one archive: when a home is restored from a backup, or begun anew, a new age begins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """The author will ask under this idempotency key until it is answered; `to` is every member who shall read it."""

    key: str
    to: tuple[str, ...]
    age: int = 0


class Acked(msgspec.Struct, frozen=True, tag="acked"):
    """The node acknowledged that key with this message id; of everything that is acknowledged, nothing may be lost."""

    key: str
    id: str
    age: int = 0


class TakenBack(msgspec.Struct, frozen=True, tag="taken_back"):
    """The node promised to take this message back wherever it is not delivered."""

    id: str


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The event stream told of a message."""

    id: str
    event: str
    age: int = 0


class Handed(msgspec.Struct, frozen=True, tag="handed"):
    """The inbox handed a message over, after everything handed over before."""

    id: str
    sender: str
    mark: str | None
    age: int = 0


Line: TypeAlias = Asked | Acked | TakenBack | Told | Handed
L = TypeVar("L", bound=Line)

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Line)


class Journal:
    """One file of lines, each durable when `add` returns."""

    def __init__(self, path: Path) -> None:
        """Begin, or go on behind what is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self.path = path

    def add(self, *lines: Line) -> None:
        """Write these down."""
        if not lines:
            return
        data = b"".join(_ENCODER.encode(line) + b"\n" for line in lines)
        with self._lock:
            while data:
                data = data[os.write(self._file, data) :]
            os.fdatasync(self._file)

    def close(self) -> None:
        """Nothing more is written; the second time changes nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1


def read(path: Path) -> list[Line]:
    """The lines of a journal, in order."""
    return [_DECODER.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def only(lines: Sequence[Line], kind: type[L]) -> list[L]:
    """Those of one kind."""
    return [line for line in lines if isinstance(line, kind)]
