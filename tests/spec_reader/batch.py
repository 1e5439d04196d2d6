"""SPEC 4.4: batch signatures and leaf proofs."""

from typing import NamedTuple

from tests.spec_reader.merkle import check_inclusion
from tests.spec_reader.shape import array, digest, many, uint
from tests.spec_reader.signing import Key, Signature, signature, verify
from tests.spec_reader.wire import Wire, decode

LEAVES, PATH = 4_096, 12


class Batch(NamedTuple):
    root: bytes
    leaves: int
    signature: Signature

    def check(self, key: Key, label: str, association: bytes) -> None:
        verify(key, label, association, self.root + self.leaves.to_bytes(4, "big"), self.signature)


class Proof(NamedTuple):
    salt: bytes
    place: int
    path: list[bytes]

    def check(self, leaf: bytes, batch: Batch) -> None:
        check_inclusion(leaf, self.place, batch.leaves, self.path, batch.root)


def batch_of(value: Wire) -> Batch:
    root, count, ed25519, mldsa65 = array(value, 4)
    return Batch(digest(root), uint(count, 1, LEAVES), signature(ed25519, mldsa65))


def proof_of(salt: Wire, index: Wire, path: Wire) -> Proof:
    return Proof(digest(salt), uint(index, 0, LEAVES - 1), many(path, digest, most=PATH))


def read_batch(encoded: bytes) -> Batch:
    return batch_of(decode(encoded))


def read_proof(encoded: bytes) -> Proof:
    return proof_of(*array(decode(encoded), 3))
