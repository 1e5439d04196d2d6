"""SPEC 4.3, RFC 9180 base mode: KEM 0x647a (MLKEM768-X25519), HKDF-SHA256, ChaCha20Poly1305; single shot."""

import hashlib
import hmac
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.spec_reader.refusal import refuse, require

ENC = 1120
_MLKEM_CIPHERTEXT = 1088
_LABEL = bytes.fromhex("5c2e2f2f5e5c")
_SUITE = b"HPKE" + bytes.fromhex("647a00010003")


class Private(NamedTuple):
    """The key pair of a 32-byte seed."""

    mlkem: MLKEM768PrivateKey
    x25519: X25519PrivateKey

    @classmethod
    def of_seed(cls, seed: bytes) -> "Private":
        expanded = hashlib.shake_256(seed).digest(96)
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
        )

    def public(self) -> bytes:
        return self.mlkem.public_key().public_bytes_raw() + self.x25519.public_key().public_bytes_raw()


def decapsulate(private: Private, enc: bytes) -> bytes:
    """The combination of both secrets, as in X-Wing: SHA3-256 of both, the X25519 share and key, and a label."""
    share = enc[_MLKEM_CIPHERTEXT:]
    try:
        post_quantum = private.mlkem.decapsulate(enc[:_MLKEM_CIPHERTEXT])
        traditional = private.x25519.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        refuse("cannot_open", "enc")
    own = private.x25519.public_key().public_bytes_raw()
    return hashlib.sha3_256(post_quantum + traditional + share + own + _LABEL).digest()


def schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce."""
    context = b"\x00" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    secret = _extract(shared, b"secret", b"")
    return _expand(secret, b"key", context, 32), _expand(secret, b"base_nonce", context, 12)


def unwrap(private: Private, info: bytes, wrapped: bytes, aad: bytes = b"") -> bytes:
    require(len(wrapped) >= ENC + 16, "cannot_open", "cut")
    key, nonce = schedule(decapsulate(private, wrapped[:ENC]), info)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, wrapped[ENC:], aad)
    except InvalidTag:
        refuse("cannot_open", "the wrap does not open")


def _extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + _SUITE + label + ikm, "sha256")


def _expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    info = size.to_bytes(2, "big") + b"HPKE-v1" + _SUITE + label + context
    return HKDFExpand(SHA256(), size, info).derive(secret)
