"""What a simulation replaces of the cryptography, so that thousands of seeds take minutes: never a rule, only its cost.

    signatures     `PrivateKey.sign` and `PublicKey.verify` become one keyed digest, of the right size
    log            `CosignerPrivateKey.sign`, `Cosigner.verify` and the log's Ed25519 line likewise
    HPKE           `Prekey` and `sealing._wrap`: a mask and a tag that follow from the public key and `info`
    statements     what is read once is read: `SignedStatement.from_bytes` remembers
    randomness     `secrets.token_bytes` and `os.urandom` give the seed's own stream

The doubles keep what the rules depend on: a signature holds for exactly its label, association, message and key; a
wrap opens with exactly its prekey and `info`.  They keep nothing secret.  Content encryption, session keys, frames,
Merkle trees and every byte of the formats are the real ones.  `real()` doubles the randomness alone.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

from nacl.bindings import crypto_core_ed25519_is_valid_point

from protocol import sealing, signing
from protocol.errors import MalformedError, OpenError, SignatureError
from protocol.sealing import Prekey
from protocol.signing import Label, PrivateKey, PublicKey, Signature
from protocol.trust import checkpoint
from protocol.trust.checkpoint import Checkpoint, Cosignature, Cosigner, CosignerPrivateKey, cosigned_message
from protocol.trust.prekeys import PREKEY_PUBLIC_BYTES
from protocol.trust.statements import SignedStatement
from tests.support import world

_MLDSA65 = b"\x65" * signing.MLDSA65_SIGNATURE_BYTES
_MLDSA44 = b"\x44" * (checkpoint.MLDSA44_SIGNATURE_BYTES - 64)
_ENCAPSULATED, _TAG = 1_120, 16


# -- signatures ----------------------------------------------------------------------------------------
def _mark(key: bytes, *parts: bytes) -> bytes:
    digest = hashlib.blake2b(key=key)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _sign(self: PrivateKey, label: Label, association: bytes, message: bytes) -> Signature:
    return Signature(_mark(self.public.ed25519, label.encode(), association, message), _MLDSA65)


def _verify(self: PublicKey, label: Label, association: bytes, message: bytes, signature: Signature) -> None:
    expected = _mark(self.ed25519, label.encode(), association, message)
    if signature.ed25519 != expected or signature.mldsa65 != _MLDSA65:
        raise SignatureError(label.value)


def _cosign(self: CosignerPrivateKey, seen: Checkpoint, timestamp: int) -> Cosignature:
    message = cosigned_message(self.public.name, timestamp, seen)
    return Cosignature(timestamp, _mark(self.public.mldsa44[:64], message) + _MLDSA44)


def _verify_cosignature(self: Cosigner, seen: Checkpoint, cosignature: Cosignature) -> None:
    message = cosigned_message(self.name, cosignature.timestamp, seen)
    if cosignature.signature != _mark(self.mldsa44[:64], message) + _MLDSA44:
        raise SignatureError(f"cosignature of {self.name}")


def _log_line(message: bytes, _secret: bytes) -> bytes:
    return _mark(b"log line", message)


def _verify_log_line(_public: bytes, message: bytes, signature: bytes, name: str) -> None:
    if signature != _mark(b"log line", message):
        raise SignatureError(f"signature of {name}")


_is_valid_point = lru_cache(crypto_core_ed25519_is_valid_point)


_statement = lru_cache(maxsize=4_096)(SignedStatement.from_bytes)


# -- HPKE ----------------------------------------------------------------------------------------------
@lru_cache(maxsize=4_096)
def _public_of(secret: bytes) -> bytes:
    return hashlib.shake_128(b"prekey" + secret).digest(PREKEY_PUBLIC_BYTES)


def _begin(self: Prekey, secret: bytes) -> None:
    self._private = secret  # type: ignore[assignment]
    self.public = _public_of(secret)  # type: ignore[misc]


def _masked(data: bytes, key: bytes) -> bytes:
    mask = hashlib.shake_128(key).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")


def _wrap(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    if len(public) != PREKEY_PUBLIC_BYTES:
        raise MalformedError("a prekey that nothing can be sealed to")
    nonce = secrets.token_bytes(32)
    key = hashlib.blake2b(public + nonce + info).digest()
    body = _masked(plaintext, key)
    return nonce + bytes(_ENCAPSULATED - 32) + body + hashlib.blake2b(body, key=key, digest_size=_TAG).digest()


def _unwrap(self: Prekey, wrap: bytes, info: bytes) -> bytes:
    nonce, body, tag = wrap[:32], wrap[_ENCAPSULATED:-_TAG], wrap[-_TAG:]
    key = hashlib.blake2b(self.public + nonce + info).digest()
    if hashlib.blake2b(body, key=key, digest_size=_TAG).digest() != tag:
        raise OpenError
    return _masked(body, key)


# -- putting them in place -----------------------------------------------------------------------------
@contextmanager
def drawn_from(chance: random.Random) -> Iterator[None]:
    """What is random is drawn from `chance` meanwhile."""
    with ExitStack() as stack:
        for module, name in ((secrets, "token_bytes"), (os, "urandom")):
            stack.enter_context(mock.patch.object(module, name, chance.randbytes))
        yield


@contextmanager
def cheap() -> Iterator[None]:
    """The doubles stand in place of signatures and HPKE meanwhile."""
    doubles: list[tuple[Any, str, Any]] = [
        (PrivateKey, "sign", _sign),
        (PublicKey, "verify", _verify),
        (CosignerPrivateKey, "sign", _cosign),
        (Cosigner, "verify", _verify_cosignature),
        (checkpoint, "crypto_sign", _log_line),
        (checkpoint, "_verify_ed25519", _verify_log_line),
        (signing, "crypto_core_ed25519_is_valid_point", _is_valid_point),
        (SignedStatement, "from_bytes", _statement),
        (Prekey, "__init__", _begin),
        (Prekey, "unwrap", _unwrap),
        (sealing, "_wrap", _wrap),
        # What was truly signed before is none of theirs.
        (world, "signed_once", world.signed_once.__wrapped__),
    ]
    with ExitStack() as stack:
        for owner, name, double in doubles:
            stack.enter_context(mock.patch.object(owner, name, double))
        yield
