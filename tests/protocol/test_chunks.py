"""Chunked encryption: the library against our vectors, every way to cut or change it, and the sizes that we compute."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import OpenError, UsageError, ValijaError
from protocol.padding import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES, ciphertext_size, plaintext_capacity
from protocol.sealing import decrypt, encrypt
from tests.protocol.vectors_primitives import load, seed

KEY, CONTEXT = seed("k"), b"context"
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 77]
sizes = st.sampled_from(EDGES) | st.integers(0, 50_000)


def text(size: int) -> bytes:
    return seed("text", size)


@given(sizes, st.binary(max_size=40))
def test_what_is_encrypted_is_decrypted_and_of_the_size_expected(size: int, context: bytes) -> None:
    sealed = encrypt(KEY, context, text(size))
    assert decrypt(KEY, context, sealed) == text(size)
    assert len(sealed) == ciphertext_size(size)


def test_the_same_text_never_gives_the_same_ciphertext() -> None:
    assert encrypt(KEY, CONTEXT, b"twice") != encrypt(KEY, CONTEXT, b"twice")


@given(st.sampled_from([0, 5, CHUNK_BYTES, CHUNK_BYTES + 5]), st.data())
def test_every_flipped_bit_is_refused(size: int, data: st.DataObject) -> None:
    sealed = bytearray(encrypt(KEY, CONTEXT, text(size)))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(OpenError):
        decrypt(KEY, CONTEXT, bytes(sealed))


@given(st.sampled_from([0, 5, CHUNK_BYTES, 2 * CHUNK_BYTES + 5]), st.data())
def test_every_cut_is_refused(size: int, data: st.DataObject) -> None:
    sealed = encrypt(KEY, CONTEXT, text(size))
    ends = (0, HEADER_BYTES, HEADER_BYTES + SEALED_CHUNK_BYTES, len(sealed) - TAG_BYTES)
    borders = [at for at in ends if at < len(sealed)]
    with pytest.raises(OpenError):
        decrypt(KEY, CONTEXT, sealed[: data.draw(st.sampled_from(borders) | st.integers(0, len(sealed) - 1))])


@pytest.mark.parametrize("case", load("chunks")["valid"], ids=lambda case: f"{len(case['plaintext']) // 2} bytes")
def test_valid_vectors(case: dict[str, Any]) -> None:
    key, context, sealed = (bytes.fromhex(case[name]) for name in ("key", "context", "ciphertext"))
    assert decrypt(key, context, sealed) == bytes.fromhex(case["plaintext"])


@pytest.mark.parametrize("case", load("chunks")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    key, context, sealed = (bytes.fromhex(case[name]) for name in ("key", "context", "ciphertext"))
    with pytest.raises(ValijaError) as caught:
        decrypt(key, context, sealed)
    assert caught.value.code == case["error"]


@given(st.integers(HEADER_BYTES + TAG_BYTES, 2**40))
def test_capacity_is_the_largest_plaintext_that_fits(size: int) -> None:
    capacity = plaintext_capacity(size)
    assert ciphertext_size(capacity) <= size < ciphertext_size(capacity + 1)


@pytest.mark.parametrize("size", [-1, 0, HEADER_BYTES, HEADER_BYTES + TAG_BYTES - 1])
def test_too_small_for_any_ciphertext(size: int) -> None:
    with pytest.raises(UsageError):
        plaintext_capacity(size)
