"""Sizes that say little: envelopes in powers of two, files by PADMÉ (SPEC section 6).

    envelope plaintext = u32 length, big-endian || body || zeros

so long that the *ciphertext* is the smallest power of two from 8 KiB to 1 MiB that holds it.
PADMÉ is from "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (PETS 2019).
"""

from __future__ import annotations

from typing import Final

from protocol.errors import LimitError, MalformedError, NonCanonicalError, UsageError
from protocol.limits import MAX_CIPHERTEXT_BYTES, MIN_CIPHERTEXT_BYTES

LENGTH_BYTES: Final = 4
# Cobblestone-256: salt and commitment, then chunks of 16 KiB with their tags, the last one shorter than the others.
HEADER_BYTES: Final = 56
CHUNK_BYTES: Final = 16_384
TAG_BYTES: Final = 16


def ciphertext_size(plaintext_size: int) -> int:
    """Bytes of the ciphertext of `plaintext_size` bytes."""
    return HEADER_BYTES + plaintext_size + TAG_BYTES * (plaintext_size // CHUNK_BYTES + 1)


def plaintext_capacity(size: int) -> int:
    """Bytes of the largest plaintext whose ciphertext is at most `size` bytes; `UsageError` if there is none."""
    whole, rest = divmod(size - HEADER_BYTES, CHUNK_BYTES + TAG_BYTES)
    capacity = whole * CHUNK_BYTES + max(rest - TAG_BYTES, -1)
    if capacity < 0:
        raise UsageError(f"no ciphertext has {size} bytes")
    return capacity


def envelope_ciphertext_size(needed_plaintext: int) -> int:
    """The ciphertext size, in bytes, of an envelope whose plaintext needs `needed_plaintext`, its length field included.

    Raises `LimitError` if 1 MiB of ciphertext does not hold it.
    """
    size = max(MIN_CIPHERTEXT_BYTES, 1 << (ciphertext_size(needed_plaintext) - 1).bit_length())
    if size > MAX_CIPHERTEXT_BYTES:
        raise LimitError(
            f"{needed_plaintext} bytes in one envelope, at most {plaintext_capacity(MAX_CIPHERTEXT_BYTES)}"
        )
    return size


def pad(body: bytes) -> bytes:
    """The envelope plaintext that holds `body`; `LimitError` if none is large enough."""
    needed = LENGTH_BYTES + len(body)
    capacity = plaintext_capacity(envelope_ciphertext_size(needed))
    return b"".join((len(body).to_bytes(LENGTH_BYTES, "big"), body, bytes(capacity - needed)))


def unpad(plaintext: bytes) -> bytes:
    """The body that `pad` put into `plaintext`.

    Raises `MalformedError` if the length passes the end or the padding is not all zeros, and
    `NonCanonicalError` if `pad` would have chosen another size.
    """
    end = LENGTH_BYTES + int.from_bytes(plaintext[:LENGTH_BYTES], "big")
    # The count of zeros is never the negative number that a length past the end would ask for.
    if plaintext.count(0, end) != len(plaintext) - end:
        raise MalformedError("padding")
    if len(plaintext) != plaintext_capacity(envelope_ciphertext_size(end)):
        raise NonCanonicalError("padded size")
    return plaintext[LENGTH_BYTES:end]


def padme(size: int) -> int:
    """The size, in bytes, to which PADMÉ pads a file of `size`: at most 12 % more, and few distinct sizes."""
    if size < 2:  # the logarithm of the exponent needs an exponent
        return size
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask
