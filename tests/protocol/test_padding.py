"""Sizes: the smallest that holds, nothing else accepted, little told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LimitError, MalformedError, NonCanonicalError, ValijaError
from protocol.limits import MAX_CIPHERTEXT_BYTES, MIN_CIPHERTEXT_BYTES
from protocol.padding import (
    LENGTH_BYTES,
    ciphertext_size,
    envelope_ciphertext_size,
    pad,
    padme,
    plaintext_capacity,
    unpad,
)
from tests.protocol.vectors_primitives import load

SIZES = [MIN_CIPHERTEXT_BYTES << step for step in range(8)]
LARGEST = plaintext_capacity(MAX_CIPHERTEXT_BYTES) - LENGTH_BYTES
borders = st.sampled_from([plaintext_capacity(size) - LENGTH_BYTES + off for size in SIZES for off in (-1, 0, 1)])
lengths = (borders | st.integers(0, 60_000)).filter(lambda length: length <= LARGEST)


@given(lengths)
def test_padding_is_undone_and_fills_the_smallest_size(length: int) -> None:
    body = b"\xff" * length
    plaintext = pad(body)
    assert unpad(plaintext) == body
    sealed = ciphertext_size(len(plaintext))
    assert sealed in SIZES
    assert sealed == SIZES[0] or plaintext_capacity(sealed // 2) < LENGTH_BYTES + length


def test_the_largest_body_and_one_more() -> None:
    assert len(unpad(pad(bytes(LARGEST)))) == LARGEST
    with pytest.raises(LimitError):
        pad(bytes(LARGEST + 1))
    with pytest.raises(LimitError):
        envelope_ciphertext_size(LARGEST + LENGTH_BYTES + 1)


@given(lengths, st.data())
def test_anything_after_the_body_but_zeros_is_refused(length: int, data: st.DataObject) -> None:
    plaintext = bytearray(pad(bytes(length)))
    tail = len(plaintext) - LENGTH_BYTES - length
    if tail == 0:
        return
    plaintext[-data.draw(st.integers(1, tail))] = data.draw(st.integers(1, 255))
    with pytest.raises(MalformedError) as caught:
        unpad(bytes(plaintext))
    assert type(caught.value) is MalformedError


@given(lengths, st.integers(-3, 3).filter(bool))
def test_another_size_is_refused(length: int, change: int) -> None:
    plaintext = pad(b"\xff" * length)
    other = plaintext + bytes(change) if change > 0 else plaintext[:change]
    with pytest.raises(MalformedError) as caught:
        unpad(other)
    assert type(caught.value) is NonCanonicalError or len(other) < LENGTH_BYTES + length


@pytest.mark.parametrize("case", load("padding")["valid"], ids=lambda case: case["kind"])
def test_valid_vectors(case: dict[str, Any]) -> None:
    if case["kind"] == "padme":
        assert [padme(size) for size, _ in case["sizes"]] == [padded for _, padded in case["sizes"]]
        return
    plaintext = bytes.fromhex(case["plaintext"]) + bytes(case["zeros"])
    assert pad(bytes.fromhex(case["body"])) == plaintext
    assert unpad(plaintext) == bytes.fromhex(case["body"])
    assert ciphertext_size(len(plaintext)) == case["ciphertext_bytes"]


@pytest.mark.parametrize("case", load("padding")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ValijaError) as caught:
        unpad(bytes.fromhex(case["plaintext"]) + bytes(case["zeros"]))
    assert caught.value.code == case["error"]


@given(st.integers(0, 2**45))
def test_padme_grows_little_and_settles(size: int) -> None:
    padded = padme(size)
    assert size <= padded <= max(size, size * 1.12)
    assert padme(padded) == padded


@given(st.integers(2, 2**45))
def test_padme_is_the_published_formula(size: int) -> None:
    exponent = math.floor(math.log2(size))
    low_bits = exponent - (math.floor(math.log2(exponent)) + 1) if exponent else 0
    mask = (1 << low_bits) - 1
    assert padme(size) == (size + mask) & ~mask


def test_padme_leaves_few_sizes() -> None:
    assert len({padme(size) for size in range(100_000)}) < 400
