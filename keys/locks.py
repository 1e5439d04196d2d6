"""A box for secrets on disk: opened by a passphrase that a person knows, or by a secret that a daemon holds.

    encode([0, header, lock, check, nonce (24) || XChaCha20-Poly1305 ciphertext])

`header` is in clear and authenticated together with `lock`, which says how the key is derived:

    $argon2id$v=19$m=<KiB>,t=<passes>,p=1$<salt>     Argon2id of a passphrase (RFC 9106)
    $blake2b$<salt>                                  keyed BLAKE2b of a 32-byte secret (RFC 7693)

Either gives 64 bytes: the key, and `check`, which tells a wrong passphrase from a damaged file and
binds the box to one key.  Format: protocol/decisions/0004-key-files.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import Aead

from keys.files import MAX_FILE_BYTES, read_private, write_new
from protocol.codec import binary, decode, encode, fields, text, uint
from protocol.errors import KeyAccessError, KeyDamagedError, PassphraseError, PeerError, UsageError

SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
MIN_PASSPHRASE_CHARACTERS: Final = 12

_FORMAT: Final = 0
_KEY_BYTES: Final = 32
_MAX_MEMORY_KIB: Final = 1 << 21
_MAX_PASSES: Final = 32
_SALT: Final = r"([A-Za-z0-9+/]{22})"
_ARGON2ID: Final = re.compile(r"\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=1\$" + _SALT)
_BLAKE2B: Final = re.compile(r"\$blake2b\$" + _SALT)
_HEX_SECRET: Final = re.compile(rb"([0-9a-f]{64})\n?")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs: Argon2id passes over so much memory."""

    passes: int
    memory_kib: int


MODERATE: Final = Cost(passes=3, memory_kib=256 * 1024)


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What a person remembers; compared in Unicode's composed form, so that every keyboard types the same."""

    text: str
    kind: ClassVar[str] = "passphrase"

    def lock(self, cost: Cost) -> str:
        """A fresh lock for this passphrase."""
        return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p=1${_salt_text(secrets.token_bytes(SALT_BYTES))}"

    def derive(self, lock: str) -> bytes:
        """64 bytes; `PassphraseError` if this lock asks for a secret file, `KeyDamagedError` if it is no lock."""
        match = _ARGON2ID.fullmatch(lock)
        if match is None:
            raise _wrong_kind(lock, "a secret file")
        memory_kib, passes = int(match[1]), int(match[2])
        if memory_kib > _MAX_MEMORY_KIB or passes > _MAX_PASSES:
            raise KeyDamagedError("it asks for more memory or time than any key file of ours")
        password = unicodedata.normalize("NFC", self.text).encode()
        derived: bytes = argon2id.kdf(2 * _KEY_BYTES, password, _salt(match[3]), passes, memory_kib * 1024)
        return derived

    def __repr__(self) -> str:
        return "Passphrase(…)"


@dataclass(frozen=True, slots=True)
class Secret:
    """32 random bytes that a daemon keeps in a file of its own (`UsageError` for another size)."""

    raw: bytes
    kind: ClassVar[str] = "secret"

    def __post_init__(self) -> None:
        if len(self.raw) != SECRET_BYTES:
            raise UsageError("secret size")

    @classmethod
    def generate(cls) -> Secret:
        """A fresh one from the system's random source."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def create(cls, path: Path) -> Secret:
        """A fresh one, durably in a new file of mode 0600 (`ExistsError`)."""
        secret = cls.generate()
        write_new(path, secret.raw.hex().encode() + b"\n")
        return secret

    @classmethod
    def read(cls, path: Path) -> Secret:
        """The one in this file: 64 hexadecimal digits, mode 0600; else `KeyAccessError`."""
        match = _HEX_SECRET.fullmatch(read_private(path))
        if match is None:
            raise KeyAccessError(f"{path} is no secret file")
        return cls(bytes.fromhex(match[1].decode()))

    def lock(self, _cost: Cost) -> str:
        """A fresh lock for this secret; random secrets need no costly derivation."""
        return f"$blake2b${_salt_text(secrets.token_bytes(SALT_BYTES))}"

    def derive(self, lock: str) -> bytes:
        """64 bytes; `PassphraseError` if this lock asks for a passphrase, `KeyDamagedError` if it is no lock."""
        match = _BLAKE2B.fullmatch(lock)
        if match is None:
            raise _wrong_kind(lock, "a passphrase")
        return hashlib.blake2b(key=self.raw, salt=_salt(match[1]), person=b"valija/0 secret").digest()

    def __repr__(self) -> str:
        return "Secret(…)"


Unlock = Passphrase | Secret


def _wrong_kind(lock: str, other: str) -> KeyAccessError:
    if _ARGON2ID.fullmatch(lock) or _BLAKE2B.fullmatch(lock):
        return PassphraseError(f"this file opens with {other}")
    return KeyDamagedError("no lock")


def _salt_text(salt: bytes) -> str:
    return base64.b64encode(salt).decode("ascii").rstrip("=")


def _salt(written: str) -> bytes:
    return base64.b64decode(written + "==")


@dataclass(frozen=True, slots=True)
class Box:
    """What stands in a key file; `header` is readable by everyone and proven only once the box opened."""

    header: bytes
    lock: str
    check: bytes
    sealed: bytes

    @classmethod
    def seal(cls, header: bytes, secret: bytes, unlock: Unlock, cost: Cost = MODERATE) -> Box:
        """A box that gives `secret` to whoever has `unlock`, bound to `header`."""
        lock = unlock.lock(cost)
        key, check = _split(unlock.derive(lock))
        return cls(header, lock, check, bytes(Aead(key).encrypt(secret, _bound(header, lock))))

    def open(self, unlock: Unlock) -> bytes:
        """The secret; `PassphraseError` if `unlock` is not the right one, `KeyDamagedError` if the box was altered."""
        key, check = _split(unlock.derive(self.lock))
        if not hmac.compare_digest(check, self.check):
            raise PassphraseError
        try:
            opened: bytes = Aead(key).decrypt(self.sealed, _bound(self.header, self.lock))
        except (CryptoError, ValueError):
            raise KeyDamagedError from None
        return opened

    def encode(self) -> bytes:
        """The file's bytes."""
        return encode([_FORMAT, self.header, self.lock, self.check, self.sealed])

    @classmethod
    def decode(cls, data: bytes) -> Box:
        """The box in these bytes, not yet proven; `KeyDamagedError` if there is none."""
        try:
            version, header, lock, check, sealed = fields(decode(data, MAX_FILE_BYTES), 5)
            if uint(version) != _FORMAT:
                raise KeyDamagedError("a newer format; update this program")
            return cls(binary(header), text(lock, 128), binary(check, _KEY_BYTES), binary(sealed))
        except PeerError:
            raise KeyDamagedError("no key file") from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What does not open inside is said to be the file at `path`: `PassphraseError` and `KeyDamagedError` name it."""
    try:
        yield
    except (KeyDamagedError, PassphraseError) as error:
        raise type(error)(f"{path}: {error.detail}" if error.detail else str(path)) from None


def _split(derived: bytes) -> tuple[bytes, bytes]:
    return derived[:_KEY_BYTES], derived[_KEY_BYTES:]


def _bound(header: bytes, lock: str) -> bytes:
    return encode([_FORMAT, header, lock])
