"""The wire's alphabet: one value, one encoding; everything else refused with its own error."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import decode, encode
from protocol.errors import LimitError, MalformedError, NonCanonicalError, UsageError, ValijaError, VersionError
from protocol.limits import MAX_ARRAY_ITEMS, MAX_DEPTH
from tests.protocol.vectors_primitives import from_json, load, nested

CAP = 65_536
scalars = (
    st.none()
    | st.booleans()
    | st.integers(0, 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5), max_leaves=25)
REFUSALS = (MalformedError, NonCanonicalError, LimitError)


@given(values)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    assert decode(encode(value), CAP) == value


@given(values)
def test_tuples_encode_as_lists(value: Any) -> None:
    def frozen(item: Any) -> Any:
        return tuple(map(frozen, item)) if isinstance(item, list) else item

    assert encode(frozen(value)) == encode(value)


@given(values, st.data())
def test_every_truncation_is_refused(value: Any, data: st.DataObject) -> None:
    encoded = encode(value)
    with pytest.raises(MalformedError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))], CAP)


@given(values, st.data())
def test_a_flipped_bit_is_refused_or_another_canonical_value(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    at = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[at // 8] ^= 1 << at % 8
    try:
        other = decode(bytes(encoded), CAP)
    except REFUSALS:
        return
    assert encode(other) == encoded


@given(st.binary(max_size=64))
def test_noise_is_refused_or_canonical(noise: bytes) -> None:
    try:
        value = decode(noise, CAP)
    except REFUSALS:
        return
    assert encode(value) == noise


@pytest.mark.parametrize("case", load("codec")["valid"], ids=lambda case: case["encoded"][:24])
def test_valid_vectors(case: dict[str, Any]) -> None:
    value = from_json(case["value"])
    assert encode(value).hex() == case["encoded"]
    decoded = decode(bytes.fromhex(case["encoded"]), CAP)
    assert decoded == value
    assert type(decoded) is type(value)  # True is not 1


@pytest.mark.parametrize("case", load("codec")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ValijaError) as caught:
        decode(bytes.fromhex(case["encoded"]), case.get("max_bytes", CAP))
    assert caught.value.code == case["error"]


def test_the_cap_itself_is_allowed() -> None:
    encoded = encode(b"x" * 100)
    assert decode(encoded, len(encoded)) == b"x" * 100
    with pytest.raises(LimitError):
        decode(encoded, len(encoded) - 1)


def test_depth_and_items_up_to_their_limits() -> None:
    assert decode(encode(nested(MAX_DEPTH)), CAP) == nested(MAX_DEPTH)
    assert decode(encode([None] * MAX_ARRAY_ITEMS), CAP) == [None] * MAX_ARRAY_ITEMS


def test_a_bomb_of_nested_headers_is_refused_before_it_is_built() -> None:
    header = b"\xdd" + (MAX_ARRAY_ITEMS).to_bytes(4, "big")
    for depth in (500, 5_000):
        with pytest.raises((LimitError, MalformedError)):
            decode(header * depth, CAP)
    with pytest.raises(LimitError):
        decode(b"\xdd\xff\xff\xff\xff" * 10, CAP)


class Whole(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        -1,
        2**64,
        [2**64],
        [1, -1],
        1.5,
        math.nan,
        {},
        {"a": 1},
        {1, 2},
        bytearray(b"x"),
        memoryview(b"x"),
        Whole(3),
        msgpack.ExtType(1, b""),
        msgpack.Timestamp(1),
        "\ud800",
        [[object()]],
        nested(MAX_DEPTH + 1),
        [None] * (MAX_ARRAY_ITEMS + 1),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_what_has_no_encoding_is_our_own_fault(value: Any) -> None:
    with pytest.raises(UsageError):
        encode(value)


class Colour(IntEnum):
    RED = 1
    BLUE = 2


def test_readers_give_what_they_read() -> None:
    assert codec.fields([1, b""], 2) == [1, b""]
    assert codec.array([1, 2], 2) == [1, 2]
    assert codec.uint(255, 8) == 255
    assert codec.uint(2**64 - 1) == 2**64 - 1
    assert codec.positive(1) == 1
    assert codec.versioned([0, 7, b""], 2) == [7, b""]
    assert codec.one_of(Colour, 2) is Colour.BLUE
    assert codec.flag(value=False) is False
    assert codec.binary(b"abc") == codec.binary(b"abc", 3) == codec.bounded(b"abc", 3) == b"abc"
    assert codec.text("ñ", 2) == "ñ"
    assert codec.optional(None, codec.uint) is None
    assert codec.optional(3, codec.uint) == 3


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda: codec.fields([1], 2), MalformedError),
        (lambda: codec.fields((1, 2), 2), MalformedError),
        (lambda: codec.fields(b"ab", 2), MalformedError),
        (lambda: codec.array(None, 2), MalformedError),
        (lambda: codec.array([1, 2, 3], 2), LimitError),
        (lambda: codec.uint(256, 8), MalformedError),
        (lambda: codec.uint(-1), MalformedError),
        (lambda: codec.uint(True), MalformedError),
        (lambda: codec.uint(b"\x01"), MalformedError),
        (lambda: codec.positive(0), MalformedError),
        (lambda: codec.positive(256, 8), MalformedError),
        (lambda: codec.versioned([], 0), MalformedError),
        (lambda: codec.versioned(0, 0), MalformedError),
        (lambda: codec.versioned([b""], 0), MalformedError),
        (lambda: codec.versioned([1], 0), VersionError),
        (lambda: codec.versioned([2**63 - 1], 0), VersionError),
        (lambda: codec.versioned([2**63], 0), MalformedError),
        (lambda: codec.versioned([0, 7], 2), MalformedError),
        (lambda: codec.versioned([0, 7], 0), MalformedError),
        (lambda: codec.one_of(Colour, 3), MalformedError),
        (lambda: codec.one_of(Colour, b""), MalformedError),
        (lambda: codec.flag(1), MalformedError),
        (lambda: codec.flag(None), MalformedError),
        (lambda: codec.binary("abc"), MalformedError),
        (lambda: codec.binary(b"abc", 2), MalformedError),
        (lambda: codec.bounded("abc", 9), MalformedError),
        (lambda: codec.bounded(b"abc", 2), LimitError),
        (lambda: codec.text(b"abc"), MalformedError),
        (lambda: codec.text(b"abc", 9), MalformedError),
        (lambda: codec.text("ñ", 1), LimitError),
        (lambda: codec.optional(b"", codec.uint), MalformedError),
    ],
)
def test_readers_refuse_everything_else(read: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(ValijaError) as caught:
        read()
    assert type(caught.value) is error
