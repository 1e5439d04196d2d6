"""SPEC 4.5: padding of what is sealed, and PADMÉ sizes of files."""

from tests.spec_reader.chunks import sealed_size
from tests.spec_reader.refusal import require

LEAST, MOST = 8_192, 1_048_576


def bucket(body: int) -> int:
    """Size of the ciphertext that carries a body of so many bytes."""
    size = LEAST
    while plaintext_size(size) < 4 + body:
        size *= 2
        require(size <= MOST, "limit_exceeded", "larger than any envelope")
    return size


def plaintext_size(ciphertext: int) -> int:
    """The plaintext whose chunked ciphertext has exactly this size: none of the buckets falls between two sizes."""
    whole, rest = divmod(ciphertext - 56, 16_384 + 16)
    size = whole * 16_384 + rest - 16
    require(sealed_size(size) == ciphertext)
    return size


def pad(body: bytes) -> bytes:
    return (len(body).to_bytes(4, "big") + body).ljust(plaintext_size(bucket(len(body))), b"\x00")


def unpad(padded: bytes) -> bytes:
    require(len(padded) >= 4, "malformed", "no length")
    require(len(padded) <= plaintext_size(MOST), "limit_exceeded", "larger than any envelope")
    size = int.from_bytes(padded[:4], "big")
    require(size <= len(padded) - 4, "malformed", "length past the end")
    require(len(padded) == plaintext_size(bucket(size)), "non_canonical", "not the smallest size")
    require(not any(padded[4 + size :]), "malformed", "padding is not zero")
    return padded[4 : 4 + size]


def padme(size: int) -> int:
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    low = exponent - exponent.bit_length()
    mask = (1 << max(low, 0)) - 1
    return (size + mask) & ~mask
