"""SPEC 4.2: hybrid public keys and signatures."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from nacl.bindings import crypto_core_ed25519_is_valid_point

from tests.spec_reader.digests import labelled, prefixed
from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.shape import array, binary
from tests.spec_reader.wire import Wire

Key = tuple[bytes, bytes]
Signature = tuple[bytes, bytes]


def public_key(value: Wire) -> Key:
    ed25519, mldsa65 = array(value, 2)
    return ed25519_key(ed25519), mldsa65_key(mldsa65)


def ed25519_key(value: Wire) -> bytes:
    key = binary(value, 32)
    require(crypto_core_ed25519_is_valid_point(key), "malformed", "no point of the prime-order subgroup")
    return key


def mldsa65_key(value: Wire) -> bytes:
    return binary(value, 1952)


def signature(ed25519: Wire, mldsa65: Wire) -> Signature:
    return binary(ed25519, 64), binary(mldsa65, 3309)


def fingerprint(key: Key) -> bytes:
    return labelled("valija/0 key", key[0] + key[1])


def verify(key: Key, label: str, association: bytes, message: bytes, signed: Signature) -> None:
    """Both halves must verify; there is no telling which did not."""
    try:
        Ed25519PublicKey.from_public_bytes(key[0]).verify(signed[0], prefixed(label) + association + message)
        MLDSA65PublicKey.from_public_bytes(key[1]).verify(signed[1], association + message, label.encode())
    except (InvalidSignature, ValueError):
        refuse("bad_signature", label)
