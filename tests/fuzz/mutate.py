"""Makes neighbours of an input: bytes havoc, and mutation of the tree that MessagePack or JSON holds.

A reader that insists on canonical bytes refuses nearly everything that differs in a byte.  So most mutations change a
value in the tree, byte strings that are trees themselves included, and encode it canonically again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, Final

import msgpack

NUMBERS: Final = (0, 1, 2, 3, 15, 16, 127, 128, 255, 256, 4095, 4096, 4097, 16_384, 16_385, 65_535, 65_536)
LARGE: Final = ((1 << 31) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
SIZES: Final = (0, 1, 15, 16, 17, 31, 32, 33, 64, 254, 255, 256, 1216, 1843, 1952, 3309)
ODD_TEXT: Final = (
    "",
    "a",
    "-",
    "ar-mpf",
    "x" * 33,
    "ñ",
    "\x00",
    "\u202e",
    "𝒳" * 9,
    "malformed",
    "ar-mpf@aiamp",
    "#rfai",
)
STACKED: Final = 4


class Shape(Enum):
    """How an input is built, behind the bytes of its head."""

    RAW = "raw"
    TREE = "tree"
    JSON = "json"


@dataclass
class Mutator:
    """Neighbours of inputs of one shape; `pool` are whole inputs from which parts are taken."""

    random: Random
    shape: Shape
    head: int = 0
    words: Sequence[bytes] = ()
    pool: Sequence[bytes] = field(default=(), repr=False)

    def mutate(self, data: bytes, max_bytes: int) -> bytes:
        """A neighbour of `data`, of at most `max_bytes`."""
        head, rest = data[: self.head], data[self.head :]
        if head and self.random.random() < 0.05:
            head = self.random.randbytes(len(head))
        for _each in range(self.random.randint(1, STACKED)):
            rest = self._neighbour(rest)
            # Some neighbours are many times as large, and so would theirs be.
            if len(rest) > max_bytes:
                break
        return (head + rest)[:max_bytes]

    def _neighbour(self, data: bytes) -> bytes:
        if self.shape is Shape.RAW or self.random.random() < 0.1:
            return self.havoc(data)
        try:
            return self._again(data)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return self.havoc(data)

    def _again(self, data: bytes) -> bytes:
        if self.shape is Shape.TREE:
            return pack(self._tree(unpack(data)))
        tree = self._tree(json.loads(data))
        return json.dumps(tree, ensure_ascii=self.random.random() < 0.3, default=bytes.hex).encode("utf-8", "replace")

    # -- bytes -----------------------------------------------------------------------------------------
    def havoc(self, data: bytes) -> bytes:
        """A neighbour in bytes alone."""
        start, end = sorted(self.random.randint(0, len(data)) for _end in range(2))
        end = min(end, start + self.random.choice((1, 1, 2, 4, 16, 64, 4096)))
        some = data[start:end]
        choice = self.random.randrange(7)
        if choice == 0 and data:
            start = min(start, len(data) - 1)
            some, end = bytes([data[start] ^ 1 << self.random.randrange(8)]), start + 1
        elif choice == 1:
            some = self.random.randbytes(len(some))
        elif choice == 2:
            some = b""
        elif choice == 3:
            some += some * self.random.choice((1, 2, 8))
        elif choice == 4 and self.words:
            some = self.random.choice(self.words)
        elif choice == 5 and self.words:
            some += self.random.choice(self.words)
        elif choice == 6 and self.pool:
            other = self.random.choice(self.pool)
            at = self.random.randint(0, len(other))
            some = other[at : at + self.random.choice((4, 32, 256))]
        return data[:start] + some + data[end:]

    # -- trees -----------------------------------------------------------------------------------------
    def _tree(self, value: Any) -> Any:
        """The tree with one node changed; inner nodes are seldom the one."""
        if isinstance(value, list) and value and self.random.random() < 0.85:
            at = self.random.randrange(len(value))
            return [*value[:at], self._tree(value[at]), *value[at + 1 :]]
        if isinstance(value, dict) and value and self.random.random() < 0.85:
            name = self.random.choice(list(value))
            return value | {name: self._tree(value[name])}
        if isinstance(value, bytes) and len(value) > 2 and self.random.random() < 0.8:
            inner = _inner(value)
            if inner is not None:
                return pack(self._tree(inner))
            if value.lstrip()[:1] == b"{":
                return b"\n".join(self._document(line) for line in value.split(b"\n"))
        return self._changed(value)

    def _document(self, line: bytes) -> bytes:
        try:
            return json.dumps(self._tree(json.loads(line)), default=bytes.hex).encode("utf-8", "replace")
        except (ValueError, RecursionError):
            return self.havoc(line)

    def _changed(self, value: Any) -> Any:
        if self.random.random() < 0.12:
            return self._other()
        if isinstance(value, bool) or value is None:
            return self.random.choice((None, True, False, 0, b"", "", []))
        if isinstance(value, (int, float)):
            return self._number(int(value))
        if isinstance(value, str):
            return self.random.choice((*ODD_TEXT, value.upper(), value + "x", value[:-1], value[::-1], value * 40))
        if isinstance(value, bytes):
            return self._binary(value)
        return self._listed(list(value)) if isinstance(value, list) else self._named(dict(value))

    def _number(self, value: int) -> int:
        near = value + self.random.choice((-1, 1, 60, -60, 3_600, -3_600, 86_400, -86_400))
        picked = self.random.choice((near, near, value ^ 1, self.random.choice(NUMBERS), self.random.choice(LARGE)))
        return min(max(picked, 0), (1 << 64) - 1)

    def _binary(self, value: bytes) -> bytes:
        picked = self.random.randrange(5)
        if picked == 0:
            return bytes(self.random.choice(SIZES))
        if picked == 1:
            return self.random.randbytes(len(value))
        if picked == 2:
            return value[: self.random.randint(0, len(value))]
        return self.havoc(value)

    def _listed(self, value: list[Any]) -> list[Any]:
        at = self.random.randint(0, len(value))
        picked = self.random.randrange(7)
        if picked == 0:
            return value[:at] + value[at + 1 :]
        if picked == 1:
            return [*value[:at], self._other(), *value[at:]]
        if picked == 2:
            return value[::-1]
        if picked == 3:
            return value[:at] + value[at : at + 1] * self.random.choice((2, 3, 17, 129, 257)) + value[at + 1 :]
        if picked == 4:
            return [value]
        if picked == 5:
            return self.random.sample(value, len(value))
        return sorted(value, key=repr)

    def _named(self, value: dict[str, Any]) -> dict[str, Any]:
        names = list(value)
        picked = self.random.randrange(3)
        if picked == 0 and names:
            value.pop(self.random.choice(names))
        elif picked == 1:
            value[self.random.choice((*names, "x", "$schema", "__proto__"))] = self._other()
        elif names:
            one, other = self.random.choices(names, k=2)
            value[one], value[other] = value[other], value[one]
        return value

    def _other(self) -> Any:
        """A part of another input, or something odd."""
        if self.pool and self.random.random() < 0.6:
            try:
                return self._part(self._read(self.random.choice(self.pool)[self.head :]))
            except (ValueError, TypeError):
                pass
        odd: Sequence[Callable[[], Any]] = (
            lambda: None,
            lambda: self.random.choice(NUMBERS),
            lambda: self.random.choice(LARGE),
            lambda: "x" * self.random.choice(SIZES),
            lambda: self.random.choice(self.words).decode("utf-8", "replace") if self.words else "",
            list,
            lambda: [[]] * self.random.choice((1, 17, 129)),
            lambda: [[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]],
        )
        return self.random.choice(odd)()

    def _read(self, data: bytes) -> Any:
        return unpack(data) if self.shape is Shape.TREE else json.loads(data)

    def _part(self, value: Any) -> Any:
        while self.random.random() < 0.7:
            if isinstance(value, dict) and value:
                value = self.random.choice(list(value.values()))
            elif isinstance(value, list) and value:
                value = self.random.choice(value)
            elif isinstance(value, bytes) and (inner := _inner(value)) is not None:
                value = inner
            else:
                break
        return value


def unpack(data: bytes) -> Any:
    """What a reader of MessagePack makes of it, canonical or not; `ValueError` if nothing."""
    return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")


def blob(value: Any) -> bytes:
    """The same bytes; `TypeError` for anything else, because of a number `bytes` would make as many zeros."""
    if not isinstance(value, bytes):
        raise TypeError(type(value))
    return value


def pack(value: Any) -> bytes:
    """The MessagePack encoding of anything."""
    packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return packed


def _inner(value: bytes) -> list[Any] | None:
    try:
        inner = unpack(value)
    except (ValueError, TypeError):
        return None
    return inner if isinstance(inner, list) else None
