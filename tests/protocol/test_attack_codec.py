"""Bytes that promise arrays in arrays: what a few of them cost before they are refused."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.errors import LimitError, MalformedError, PeerError
from protocol.limits import MAX_ARRAY_ITEMS, MAX_DEPTH, MAX_FRAME_BYTES, MAX_HELLO_BYTES, MIB

MOST = b"\xdc" + MAX_ARRAY_ITEMS.to_bytes(2, "big")
BOMBS = {
    "first item": MOST * 2_700,
    "second item": (MOST + b"\x00") * 2_000,
    "after text": (MOST + b"\xa1x\xc4\x01x\xcd\x01\x00") * 700,
    "long form": b"\xdd\x00\x00\x40\x00" * 1_600,
    "few items": b"\xdc\x00\x40" * 2_700,
    "short form": b"\x9f" * 8_000,
    "wide outside": b"\xdc\x00\xff" + b"\x00" * 200 + MOST * 2_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_hello_of_promises_reserves_little(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((LimitError, MalformedError)):
            decode(bomb, MAX_HELLO_BYTES)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def nested(depth: int, *beside: object) -> object:
    value: object = 7
    for _level in range(depth):
        value = [*beside, value]
    return value


FILLING = (b"x" * 300, "y" * 40, "z" * 300, b"b" * 70_000, "t" * 70_000, 1, 200, 300, 70_000, 1 << 40, None, True, "é")


@pytest.mark.parametrize("width", [1, 15, 64, 65, 300, MAX_ARRAY_ITEMS])
def test_depth_is_the_same_whatever_stands_beside(width: int) -> None:
    deepest = [nested(MAX_DEPTH - 1, *FILLING), *range(width - 1)]
    data = encode(deepest)
    assert decode(data, MAX_FRAME_BYTES * 16) == deepest
    # The same, in one array more: nothing encodes it but this.
    start = b"\xdc" + (100).to_bytes(2, "big") if width < 100 else b"\x91"
    with pytest.raises(LimitError):
        decode(start + b"\x00" * (99 if width < 100 else 0) + data, MAX_FRAME_BYTES * 16)


@given(st.binary(max_size=64), st.integers(65, 70_000))
def test_whatever_follows_a_wide_header_ends_in_an_error_of_ours(rest: bytes, width: int) -> None:
    for header in (b"\xdc" + min(width, 0xFFFF).to_bytes(2, "big"), b"\xdd" + width.to_bytes(4, "big")):
        with pytest.raises(PeerError):
            decode(header + rest, MAX_FRAME_BYTES)


@pytest.mark.parametrize("odd", [b"\x81\x00\x00", b"\xd4\x00\x00", b"\xca\x00\x00\x00\x00", b"\xff", b"\xc1"])
def test_what_does_not_travel_is_malformed_in_a_wide_array_too(odd: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(b"\xdc\x00\x64" + b"\x00" * 99 + odd, MAX_FRAME_BYTES)
