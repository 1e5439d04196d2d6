"""Bytes as the world damages them, and what a reader may say to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocol.errors import PeerError


def flip(data: bytes, bit: int) -> bytes:
    """`data` with this bit changed, counted from the first byte's lowest, modulo its size."""
    at, shift = divmod(bit % (8 * len(data)), 8)
    return data[:at] + bytes([data[at] ^ (1 << shift)]) + data[at + 1 :]


def mangled(data: bytes, step: int = 1) -> Iterator[bytes]:
    """Every truncation and every single bit flip of `data`, one too many bytes; each `step`-th of them."""
    for size in range(0, len(data), step):
        yield data[:size]
    for bit in range(0, 8 * len(data), step):
        yield flip(data, bit)
    yield data + b"\0"


def check_reader(read: Callable[[bytes], Any], write: Callable[[Any], bytes], data: bytes, step: int = 1) -> None:
    """`read` gives `data` back through `write`; of mangled data it makes another value of those bytes, or a `PeerError`."""
    assert write(read(data)) == data
    for damaged in mangled(data, step):
        try:
            value = read(damaged)
        except PeerError:
            continue
        assert write(value) == damaged
        assert damaged != data
