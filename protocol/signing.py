"""Hybrid signatures, Ed25519 and ML-DSA-65, and labelled digests (SPEC section 4).

A signature holds only if both halves do.  Every signed string names what it is (a label of a closed
list) and the association that it belongs to:

    Ed25519     signs  u8(len(label)) || label || association || message
    ML-DSA-65   signs  association || message, with ctx = label

Sources: RFC 8032, FIPS 204.  Ed25519 is verified by libsodium because it refuses small-order keys and
non-canonical scalars; a key is checked to be a point of the prime-order subgroup when it is parsed.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

from protocol.codec import Value, binary, fields
from protocol.errors import MalformedError, SignatureError, UsageError

SEED_BYTES: Final = 32
ED25519_PUBLIC_BYTES: Final = 32
ED25519_SIGNATURE_BYTES: Final = 64
MLDSA65_PUBLIC_BYTES: Final = 1952
MLDSA65_SIGNATURE_BYTES: Final = 3309
DIGEST_BYTES: Final = 32


class Label(StrEnum):
    """What a signed string is; nothing else is ever signed with these keys."""

    STATEMENT = "valija/0 statement"
    LINKS = "valija/0 links"
    ACCEPTANCES = "valija/0 acceptances"
    CALENDAR = "valija/0 calendar"
    SESSION = "valija/0 session"


class HashLabel(StrEnum):
    """What a digest is taken of; no two kinds of thing share a digest."""

    KEY = "valija/0 key"
    MESSAGE_ID = "valija/0 message id"
    BODY_LEAF = "valija/0 body leaf"
    LINK_LEAF = "valija/0 link leaf"
    ACCEPTANCE_LEAF = "valija/0 acceptance leaf"
    STATEMENT_ID = "valija/0 statement id"
    STATEMENT = "valija/0 statement"
    MANIFEST = "valija/0 manifest"
    PREKEY = "valija/0 prekey"
    ENVELOPE = "valija/0 envelope"
    SESSION = "valija/0 session"


def digest(label: HashLabel, *parts: bytes) -> bytes:
    """SHA-256(u8(len(label)) || label || parts), 32 bytes.  Only the last part may be of variable size."""
    return hashlib.sha256(b"".join((label_prefix(label), *parts))).digest()


def label_prefix(label: Label | HashLabel) -> bytes:
    """u8(len(label)) || label: what every digest, and every string under Ed25519, begins with."""
    return _PREFIXES[label]


_PREFIXES: Final[dict[str, bytes]] = {
    label: bytes([len(label)]) + label.encode("ascii") for label in (*Label, *HashLabel)
}


def new_seed() -> bytes:
    """Thirty-two bytes from the system's random source, fit to be any key's seed."""
    return secrets.token_bytes(SEED_BYTES)


def fresh_salts(count: int) -> list[bytes]:
    """That many independent salts of 32 random bytes, one for each leaf of a batch (SPEC 4.4)."""
    drawn = secrets.token_bytes(DIGEST_BYTES * count)
    return [drawn[at : at + DIGEST_BYTES] for at in range(0, len(drawn), DIGEST_BYTES)]


def ed25519_public(data: bytes) -> bytes:
    """The same 32 bytes, a canonical point of the prime-order subgroup; else `MalformedError`."""
    if len(data) != ED25519_PUBLIC_BYTES or not crypto_core_ed25519_is_valid_point(data):
        raise MalformedError("not an Ed25519 public key")
    return data


@dataclass(frozen=True, slots=True)
class Signature:
    """Both halves: `ed25519` of 64 bytes, `mldsa65` of 3,309."""

    ed25519: bytes
    mldsa65: bytes

    @classmethod
    def parse(cls, value: Value) -> Signature:
        """The signature that [bin 64, bin 3309] holds; else `MalformedError`."""
        ed25519, mldsa65 = fields(value, 2)
        return cls(binary(ed25519, ED25519_SIGNATURE_BYTES), binary(mldsa65, MLDSA65_SIGNATURE_BYTES))

    def value(self) -> tuple[bytes, bytes]:
        """What `parse` reads, ready to encode."""
        return (self.ed25519, self.mldsa65)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who signs: a valid Ed25519 point of 32 bytes and an ML-DSA-65 key of 1,952, else `MalformedError`."""

    ed25519: bytes
    mldsa65: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse wrong sizes, and points off the curve, of small order or not canonical."""
        ed25519_public(self.ed25519)
        if len(self.mldsa65) != MLDSA65_PUBLIC_BYTES:
            raise MalformedError("public key size")

    @classmethod
    def parse(cls, value: Value) -> PublicKey:
        """The key that [bin 32, bin 1952] holds; else `MalformedError`."""
        ed25519, mldsa65 = fields(value, 2)
        return cls(binary(ed25519), binary(mldsa65))

    def value(self) -> tuple[bytes, bytes]:
        """What `parse` reads, ready to encode."""
        return (self.ed25519, self.mldsa65)

    @property
    def fingerprint(self) -> bytes:
        """The 32-byte digest that names this key to people and statements."""
        return digest(HashLabel.KEY, self.ed25519, self.mldsa65)

    def verify(self, label: Label, association: bytes, message: bytes, signature: Signature) -> None:
        """Return if both halves of `signature` hold for `message`; else `SignatureError`.

        `association` is the 32-byte association id (`UsageError` for another size).
        """
        body = _association(association) + message
        try:
            crypto_sign_open(signature.ed25519 + label_prefix(label) + body, self.ed25519)
            _mldsa65(self.mldsa65).verify(signature.mldsa65, body, label.encode("ascii"))
        except (BadSignatureError, InvalidSignature):
            raise SignatureError(label.value) from None


# A key that is ready to verify takes 9 KiB, and a fourteenth of the time of one verification to be made.
@lru_cache(maxsize=128)
def _mldsa65(public: bytes) -> MLDSA65PublicKey:
    return MLDSA65PublicKey.from_public_bytes(public)


def _association(association: bytes) -> bytes:
    if len(association) != DIGEST_BYTES:
        raise UsageError("association id size")
    return association


class PrivateKey:
    """Signs with both algorithms; its repr shows the fingerprint alone."""

    __slots__ = ("_ed25519", "_mldsa65", "_seeds", "public")

    def __init__(self, ed25519_seed: bytes, mldsa65_seed: bytes) -> None:
        """The key of these two independent 32-byte random seeds (`UsageError` for another size)."""
        if len(ed25519_seed) != SEED_BYTES or len(mldsa65_seed) != SEED_BYTES:
            raise UsageError("seed size")
        ed25519_public, self._ed25519 = crypto_sign_seed_keypair(ed25519_seed)
        self._mldsa65 = MLDSA65PrivateKey.from_seed_bytes(mldsa65_seed)
        self._seeds = (ed25519_seed, mldsa65_seed)
        self.public: Final = PublicKey(ed25519_public, self._mldsa65.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        """A fresh key from the system's random source."""
        return cls(new_seed(), new_seed())

    def seeds(self) -> tuple[bytes, bytes]:
        """The Ed25519 seed and the ML-DSA-65 seed: the secret itself, for the key file."""
        return self._seeds

    def sign(self, label: Label, association: bytes, message: bytes) -> Signature:
        """Both signatures of `message` as a `label` of the association with this 32-byte id."""
        body = _association(association) + message
        ed25519 = crypto_sign(label_prefix(label) + body, self._ed25519)[:ED25519_SIGNATURE_BYTES]
        return Signature(ed25519, self._mldsa65.sign(body, label.encode("ascii")))

    def __repr__(self) -> str:
        """The fingerprint's first bytes; never a seed."""
        return f"PrivateKey({self.public.fingerprint[:8].hex()}…)"
