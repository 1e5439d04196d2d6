"""Chunked encryption against the vectors, an independent implementation, and every way to cut or change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from hypothesis import given
from hypothesis import strategies as st

from protocol import chunks
from protocol.chunks import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, Decryptor, Encryptor
from protocol.errors import LimitError, OpenError, UsageError, ValijaError
from tests.protocol.vectors_primitives import load, seed

KEY, SALT, CONTEXT = seed("k"), seed("s", 24), b"context"
EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 77]
sizes = st.sampled_from(EDGES) | st.integers(0, 50_000)


def text(size: int) -> bytes:
    return seed("text", size)


def streamed(stream: Encryptor | Decryptor, data: bytes, step: int) -> bytes:
    out = b"".join(stream.update(data[at : at + step]) for at in range(0, len(data), step))
    return out + stream.finish()


@given(sizes, st.binary(max_size=40))
def test_what_is_encrypted_is_decrypted(size: int, context: bytes) -> None:
    sealed = chunks.encrypt(KEY, SALT, context, text(size))
    assert chunks.decrypt(KEY, context, sealed) == text(size)
    assert len(sealed) == chunks.ciphertext_size(size)
    assert sealed.startswith(SALT)


@given(sizes, st.sampled_from([1_000, CHUNK_BYTES, SEALED_CHUNK_BYTES, 40_000]))
def test_streams_give_the_same_bytes_whatever_the_pieces(size: int, step: int) -> None:
    sealed = chunks.encrypt(KEY, SALT, CONTEXT, text(size))
    assert streamed(Encryptor(KEY, SALT, CONTEXT), text(size), step) == sealed
    assert streamed(Decryptor(KEY, CONTEXT), sealed, step) == text(size)


@pytest.mark.parametrize("size", EDGES)
def test_another_implementation_reads_ours_and_we_read_its(size: int) -> None:
    theirs = Cobblestone256Encryptor(KEY, context=CONTEXT)
    assert chunks.decrypt(KEY, CONTEXT, theirs.update(text(size)) + theirs.finalize()) == text(size)
    reader = Cobblestone256Decryptor(KEY, context=CONTEXT)
    assert reader.update(chunks.encrypt(KEY, SALT, CONTEXT, text(size))) + reader.finalize() == text(size)


def test_a_stream_holds_back_at_most_one_chunk() -> None:
    encryptor, decryptor = Encryptor(KEY, SALT, CONTEXT), Decryptor(KEY, CONTEXT)
    taken = given_out = 0
    for _each in range(20):
        piece = text(5_000)
        taken += len(piece)
        given_out += len(decryptor.update(encryptor.update(piece)))
        assert taken - given_out <= CHUNK_BYTES


def test_a_stream_takes_an_empty_piece_and_one_byte_at_a_time() -> None:
    sealed = chunks.encrypt(KEY, SALT, CONTEXT, b"hello")
    decryptor = Decryptor(KEY, CONTEXT)
    assert decryptor.update(b"") == b""
    assert b"".join(decryptor.update(bytes([byte])) for byte in sealed) + decryptor.finish() == b"hello"


def opened(sealed: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> None:
    """Both readers must refuse alike."""
    readers: list[Callable[[], bytes]] = [
        lambda: chunks.decrypt(key, context, sealed),
        lambda: streamed(Decryptor(key, context), sealed, 9_999),
    ]
    for read in readers:
        with pytest.raises(OpenError):
            read()


@given(st.sampled_from([0, 5, CHUNK_BYTES, CHUNK_BYTES + 5]), st.data())
def test_every_flipped_bit_is_refused(size: int, data: st.DataObject) -> None:
    sealed = bytearray(chunks.encrypt(KEY, SALT, CONTEXT, text(size)))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    opened(bytes(sealed))


@given(st.sampled_from([0, 5, CHUNK_BYTES, 2 * CHUNK_BYTES + 5]), st.data())
def test_every_cut_is_refused(size: int, data: st.DataObject) -> None:
    sealed = chunks.encrypt(KEY, SALT, CONTEXT, text(size))
    borders = [
        at for at in (0, HEADER_BYTES, HEADER_BYTES + SEALED_CHUNK_BYTES, len(sealed) - TAG_BYTES) if at < len(sealed)
    ]
    opened(sealed[: data.draw(st.sampled_from(borders) | st.integers(0, len(sealed) - 1))])


def test_chunks_cannot_change_places_or_be_repeated() -> None:
    sealed = chunks.encrypt(KEY, SALT, CONTEXT, text(2 * CHUNK_BYTES + 5))
    head, first, rest = (
        sealed[:HEADER_BYTES],
        sealed[HEADER_BYTES:][:SEALED_CHUNK_BYTES],
        sealed[HEADER_BYTES + SEALED_CHUNK_BYTES :],
    )
    opened(head + rest[:SEALED_CHUNK_BYTES] + first + rest[SEALED_CHUNK_BYTES:])
    opened(head + first + first + rest)
    opened(head + rest)


@pytest.mark.parametrize("case", load("chunks")["valid"], ids=lambda case: f"{len(case['plaintext']) // 2} bytes")
def test_valid_vectors(case: dict[str, Any]) -> None:
    key, salt, context = (bytes.fromhex(case[name]) for name in ("key", "salt", "context"))
    plaintext, sealed = bytes.fromhex(case["plaintext"]), bytes.fromhex(case["ciphertext"])
    assert chunks.encrypt(key, salt, context, plaintext) == sealed
    assert chunks.decrypt(key, context, sealed) == plaintext


@pytest.mark.parametrize("case", load("chunks")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    key, context, sealed = (bytes.fromhex(case[name]) for name in ("key", "context", "ciphertext"))
    opened(sealed, key, context)
    with pytest.raises(ValijaError) as caught:
        chunks.decrypt(key, context, sealed)
    assert caught.value.code == case["error"]


@given(st.integers(HEADER_BYTES + TAG_BYTES, 2**40))
def test_capacity_is_the_largest_plaintext_that_fits(size: int) -> None:
    capacity = chunks.plaintext_capacity(size)
    assert chunks.ciphertext_size(capacity) <= size < chunks.ciphertext_size(capacity + 1)


@pytest.mark.parametrize("size", [-1, 0, HEADER_BYTES, HEADER_BYTES + TAG_BYTES - 1])
def test_too_small_for_any_ciphertext(size: int) -> None:
    with pytest.raises(UsageError):
        chunks.plaintext_capacity(size)


@pytest.mark.parametrize(("key", "salt"), [(KEY[:-1], SALT), (KEY, SALT + b"x"), (KEY[:16], SALT)])
def test_keys_and_salts_of_another_size(key: bytes, salt: bytes) -> None:
    with pytest.raises(UsageError):
        chunks.encrypt(key, salt, CONTEXT, b"")
    with pytest.raises(UsageError):
        Encryptor(key, salt, CONTEXT)


def test_a_finished_stream_stays_finished() -> None:
    encryptor, decryptor = Encryptor(KEY, SALT, CONTEXT), Decryptor(KEY, CONTEXT)
    decryptor.update(encryptor.finish())
    decryptor.finish()
    late_calls: list[Callable[[], bytes]] = [
        lambda: encryptor.update(b""),
        encryptor.finish,
        lambda: decryptor.update(b""),
        decryptor.finish,
    ]
    for late in late_calls:
        with pytest.raises(UsageError):
            late()


def test_the_chunk_counter_never_passes_its_limit() -> None:
    encryptor = Encryptor(KEY, SALT, CONTEXT)
    encryptor._stream._index = chunks.MAX_CHUNKS - 1
    encryptor.update(bytes(CHUNK_BYTES))
    with pytest.raises(LimitError):
        encryptor.finish()
