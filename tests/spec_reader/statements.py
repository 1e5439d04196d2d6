"""SPEC 6.1: signed statements; what they say is read by `facts`."""

import hashlib
from typing import NamedTuple

from tests.spec_reader.charter import Charter
from tests.spec_reader.digests import labelled
from tests.spec_reader.facts import Body, read_body
from tests.spec_reader.shape import array, ascending, binary, digest, many
from tests.spec_reader.signing import Key, Signature, fingerprint, signature, verify
from tests.spec_reader.wire import Wire, decode

LABEL = "valija/0 statement"
BYTES = 262_144


class Statement(NamedTuple):
    """A statement as it was signed."""

    raw: bytes
    encoded: bytes
    body: Body
    signatures: dict[bytes, Signature]

    def id(self) -> bytes:
        return statement_id(self.encoded)

    def hash(self) -> bytes:
        return labelled("valija/0 statement", self.raw)

    def association(self) -> bytes:
        """That under which it is signed: a charter 1 defines its own."""
        if isinstance(self.body, Charter) and self.body.version == 1:
            return association_of(self.encoded)
        return self.body.association

    def signers(self, allowed: list[Key]) -> set[bytes]:
        """Fingerprints of those keys that signed; all of their signatures must verify."""
        signed = {fingerprint(key): key for key in allowed if fingerprint(key) in self.signatures}
        for who, key in signed.items():
            verify(key, LABEL, self.association(), self.encoded, self.signatures[who])
        return set(signed)


def statement_id(body: bytes) -> bytes:
    return labelled("valija/0 statement id", body)


def association_of(charter: bytes) -> bytes:
    return hashlib.sha256(charter).digest()


def read_statement(raw: bytes) -> Statement:
    body, signatures = array(decode(raw, BYTES), 2)
    encoded = binary(body)
    signed = many(signatures, _signature, most=64)
    ascending([who for who, _ in signed])
    return Statement(raw, encoded, read_body(encoded), dict(signed))


def _signature(value: Wire) -> tuple[bytes, Signature]:
    who, ed25519, mldsa65 = array(value, 3)
    return digest(who), signature(ed25519, mldsa65)
