"""C2SP chunked encryption, instantiated as Cobblestone-256: HKDF-Expand with SHA-512, AES-256-GCM.

    salt (24) || commitment (32) || AES-256-GCM chunks of 16 KiB, the last one shorter

A key, salt and context derive the AES key, a base nonce that each chunk number is XORed into, and a
commitment, so that no ciphertext opens under two keys.  The short last chunk is what marks the end.
Content and files go through here alike.  Source: https://c2sp.org/chunked-encryption.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol.errors import LimitError, OpenError, UsageError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 24
COMMITMENT_BYTES: Final = 32
HEADER_BYTES: Final = SALT_BYTES + COMMITMENT_BYTES
CHUNK_BYTES: Final = 16_384
TAG_BYTES: Final = 16
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_BYTES
MAX_CHUNKS: Final = 1 << 38

_NONCE_BYTES: Final = 12
_INFO: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"


def ciphertext_size(plaintext_size: int) -> int:
    """Bytes of the ciphertext of `plaintext_size` bytes."""
    return HEADER_BYTES + plaintext_size + TAG_BYTES * (plaintext_size // CHUNK_BYTES + 1)


def plaintext_capacity(size: int) -> int:
    """Bytes of the largest plaintext whose ciphertext is at most `size` bytes; `UsageError` if there is none."""
    whole, rest = divmod(size - HEADER_BYTES, SEALED_CHUNK_BYTES)
    capacity = whole * CHUNK_BYTES + max(rest - TAG_BYTES, -1)
    if capacity < 0:
        raise UsageError(f"no ciphertext has {size} bytes")
    return capacity


def encrypt(key: bytes, salt: bytes, context: bytes, plaintext: bytes) -> bytes:
    """The ciphertext of `plaintext` under a 32-byte uniformly random `key`, bound to `context`.

    The 24-byte `salt` must never repeat under one key.  Raises `UsageError` if either has another size.
    """
    stream = _Stream(key, salt, context)
    view = memoryview(plaintext)
    ends = range(0, len(view) + 1, CHUNK_BYTES)
    return b"".join([salt, stream.commitment, *(stream.seal(view[start : start + CHUNK_BYTES]) for start in ends)])


def decrypt(key: bytes, context: bytes, ciphertext: bytes) -> bytes:
    """The plaintext; `OpenError` if key, context or any byte or length of the ciphertext is not the right one."""
    view = memoryview(ciphertext)
    stream = _opened_stream(key, context, ciphertext[:HEADER_BYTES])
    starts = range(HEADER_BYTES, len(view), SEALED_CHUNK_BYTES)
    plain = [stream.open(view[start : start + SEALED_CHUNK_BYTES]) for start in starts]
    _require_end(len(plain[-1]) if plain else CHUNK_BYTES)
    return b"".join(plain)


class Encryptor:
    """Encrypts a plaintext that arrives in pieces of any size; holds at most one chunk of it back."""

    def __init__(self, key: bytes, salt: bytes, context: bytes) -> None:
        """Start a ciphertext; arguments and errors as for `encrypt`."""
        self._stream = _Stream(key, salt, context)
        self._ready = salt + self._stream.commitment
        self._pending = bytearray()
        self._finished = False

    def update(self, data: bytes) -> bytes:
        """The next bytes of ciphertext, maybe none; `UsageError` after `finish`, `LimitError` past 4 PiB."""
        _refuse_after_end(finished=self._finished)
        self._pending += data
        out = [self._ready]
        self._ready = b""
        while len(self._pending) >= CHUNK_BYTES:
            out.append(self._stream.seal(bytes(self._pending[:CHUNK_BYTES])))
            del self._pending[:CHUNK_BYTES]
        return b"".join(out)

    def finish(self) -> bytes:
        """The rest of the ciphertext; `UsageError` if called twice."""
        _refuse_after_end(finished=self._finished)
        self._finished = True
        return self._ready + self._stream.seal(bytes(self._pending))


class Decryptor:
    """Decrypts a ciphertext that arrives in pieces of any size; holds at most one chunk of it back.

    Each byte that it returns is authentic at its place, but only a `finish` that returns says that
    nothing is missing at the end.
    """

    def __init__(self, key: bytes, context: bytes) -> None:
        """Start with the 32-byte `key` and the `context` of `encrypt`."""
        self._key = key
        self._context = context
        self._stream: _Stream | None = None
        self._pending = bytearray()
        self._finished = False

    def update(self, data: bytes) -> bytes:
        """The next bytes of plaintext, maybe none; `OpenError` if they are not authentic, `UsageError` after `finish`."""
        _refuse_after_end(finished=self._finished)
        self._pending += data
        if self._stream is None:
            if len(self._pending) < HEADER_BYTES:
                return b""
            self._stream = _opened_stream(self._key, self._context, bytes(self._pending[:HEADER_BYTES]))
            del self._pending[:HEADER_BYTES]
        out = []
        while len(self._pending) >= SEALED_CHUNK_BYTES:
            out.append(self._stream.open(bytes(self._pending[:SEALED_CHUNK_BYTES])))
            del self._pending[:SEALED_CHUNK_BYTES]
        return b"".join(out)

    def finish(self) -> bytes:
        """The last bytes of plaintext; `OpenError` if the ciphertext was cut, `UsageError` if called twice."""
        _refuse_after_end(finished=self._finished)
        self._finished = True
        if self._stream is None:
            raise OpenError
        return self._stream.open(bytes(self._pending))


class _Stream:
    """The derived key, base nonce and commitment, and the number of the next chunk."""

    __slots__ = ("_aead", "_index", "_nonce", "commitment")

    def __init__(self, key: bytes, salt: bytes, context: bytes) -> None:
        if len(key) != KEY_BYTES or len(salt) != SALT_BYTES:
            raise UsageError("key or salt size")
        size = KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES
        derived = HKDFExpand(SHA512(), size, _INFO + salt + context).derive(key)
        self._aead = AESGCM(derived[:KEY_BYTES])
        self._nonce = int.from_bytes(derived[KEY_BYTES : KEY_BYTES + _NONCE_BYTES], "big")
        self.commitment = derived[KEY_BYTES + _NONCE_BYTES :]
        self._index = 0

    def _next_nonce(self) -> bytes:
        if self._index >= MAX_CHUNKS:
            raise LimitError("4 PiB in one stream")
        nonce = (self._nonce ^ self._index).to_bytes(_NONCE_BYTES, "big")
        self._index += 1
        return nonce

    def seal(self, chunk: bytes | memoryview) -> bytes:
        return self._aead.encrypt(self._next_nonce(), chunk, None)

    def open(self, chunk: bytes | memoryview) -> bytes:
        try:
            return self._aead.decrypt(self._next_nonce(), chunk, None)
        except (InvalidTag, ValueError):
            raise OpenError from None


def _opened_stream(key: bytes, context: bytes, header: bytes) -> _Stream:
    if len(header) != HEADER_BYTES:
        raise OpenError
    stream = _Stream(key, header[:SALT_BYTES], context)
    if not hmac.compare_digest(stream.commitment, header[SALT_BYTES:]):
        raise OpenError
    return stream


def _require_end(last_chunk_bytes: int) -> None:
    if last_chunk_bytes == CHUNK_BYTES:
        raise OpenError


def _refuse_after_end(*, finished: bool) -> None:
    if finished:
        raise UsageError("the stream is finished")
