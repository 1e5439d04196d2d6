"""Signed batches of salted leaves (SPEC section 4.4): one hybrid signature under up to 4,096 statements.

    leaf = SHA-256(0x00 || u8(len(label)) || label || salt || data)        signed = root || u32(count)

Showing one leaf with its salt and path says nothing of its neighbours.  A reader meets the same batch
signature many times, once for each leaf; `Verified` lets it pay for the check once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.codec import Value, array, binary, fields, uint
from protocol.errors import MalformedError, UsageError
from protocol.limits import MAX_BATCH_LEAVES, MAX_BATCH_PATH
from protocol.merkle import HASH_BYTES, LEAF_START, all_paths, verify_inclusion
from protocol.signing import HashLabel, Label, PrivateKey, PublicKey, Signature, label_prefix

SALT_BYTES: Final = 32
_COUNT_BYTES: Final = 4
_LEAF_STARTS: Final = {label: LEAF_START + label_prefix(label) for label in HashLabel}


class Verified:
    """The latest checks that passed; a check that failed is never remembered.

    One for each process that reads is enough: what is remembered names key, label, association,
    message and signature, so it holds whoever asks.
    """

    __slots__ = ("_limit", "_passed")

    def __init__(self, limit: int = 1024) -> None:
        """Remember nothing yet, and at most `limit` checks ever."""
        self._limit = limit
        self._passed: dict[Hashable, None] = {}

    def once(self, subject: Hashable, check: Callable[[], object]) -> None:
        """Return at once if a check of an equal `subject` passed lately; else run `check` and raise what it raises."""
        if subject in self._passed:
            return
        check()
        if len(self._passed) >= self._limit:
            del self._passed[next(iter(self._passed))]
        self._passed[subject] = None


@dataclass(frozen=True, slots=True)
class BatchSignature:
    """The 32-byte `root` over 1 to 4,096 leaves, their `count`, and the signature of both; else `MalformedError`."""

    root: bytes
    count: int
    signature: Signature = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a root or count that no batch has."""
        binary(self.root, HASH_BYTES)
        if not 1 <= self.count <= MAX_BATCH_LEAVES:
            raise MalformedError(f"a batch of {self.count}")

    @classmethod
    def parse(cls, value: Value) -> BatchSignature:
        """The signature that [root, count, ed25519, ml-dsa-65] holds; else `MalformedError`."""
        root, count, ed25519, mldsa65 = fields(value, 4)
        return cls(binary(root), uint(count), Signature.parse([ed25519, mldsa65]))

    def value(self) -> tuple[bytes, int, bytes, bytes]:
        """What `parse` reads, ready to encode."""
        return (self.root, self.count, *self.signature.value())

    def verify(self, key: PublicKey, label: Label, association: bytes, verified: Verified | None = None) -> None:
        """Return if `key` signed this root and count as a `label` of the association; else `SignatureError`.

        With `verified` a signature that passed before is not computed again.
        """
        message = _signed(self.root, self.count)
        memory = verified or Verified()
        memory.once((self, key, label, association), lambda: key.verify(label, association, message, self.signature))


@dataclass(frozen=True, slots=True)
class LeafProof:
    """Where a leaf stands: its 32-byte `salt`, its `index`, and the path of at most 12 hashes; else `MalformedError`."""

    salt: bytes = field(repr=False)
    index: int
    path: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what no proof in a batch has."""
        binary(self.salt, SALT_BYTES)
        if not 0 <= self.index < MAX_BATCH_LEAVES or len(self.path) > MAX_BATCH_PATH:
            raise MalformedError("leaf proof")
        # Once for every slot that passes a hub: two questions of the whole path, not one of each hash.
        if not (set(map(type, self.path)) <= {bytes} and set(map(len, self.path)) <= {HASH_BYTES}):
            raise MalformedError("leaf proof")

    @classmethod
    def parse(cls, value: Value) -> LeafProof:
        """The proof that [salt, index, path] holds; else `MalformedError`, or `LimitError` for a longer path."""
        salt, index, path = fields(value, 3)
        return cls(binary(salt), uint(index), tuple(binary(each) for each in array(path, MAX_BATCH_PATH)))

    def value(self) -> tuple[bytes, int, tuple[bytes, ...]]:
        """What `parse` reads, ready to encode."""
        return (self.salt, self.index, self.path)


def leaf(label: HashLabel, salt: bytes, data: bytes) -> bytes:
    """The 32-byte leaf that stands for `data` under this 32-byte `salt`."""
    return hashlib.sha256(_LEAF_STARTS[label] + salt + data).digest()


def leaves(label: HashLabel, salted: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """The leaf of each (salt, data), in order."""
    start, sha256 = _LEAF_STARTS[label], hashlib.sha256
    return [sha256(start + salt + data).digest() for salt, data in salted]


def check_leaf(leaf: bytes, proof: LeafProof, batch: BatchSignature) -> None:
    """Return if `leaf` stands in the tree that `batch` signs, where `proof` says; else `ProofError`."""
    verify_inclusion(leaf, proof.index, batch.count, proof.path, batch.root)


def sign_batch(
    key: PrivateKey,
    label: Label,
    leaf_label: HashLabel,
    association: bytes,
    datas: Sequence[bytes],
    salts: Sequence[bytes],
) -> tuple[BatchSignature, list[LeafProof]]:
    """One signature under all `datas`, each salted with its own of `salts`, and each one's proof, in order.

    `salts` are fresh (`signing.fresh_salts`).  Raises `UsageError` for none, over 4,096, or another number of salts.
    """
    if not 1 <= len(datas) <= MAX_BATCH_LEAVES or len(salts) != len(datas):
        raise UsageError(f"a batch of {len(datas)} with {len(salts)} salts")
    root, paths = all_paths(leaves(leaf_label, zip(salts, datas, strict=True)))
    signature = key.sign(label, association, _signed(root, len(datas)))
    proofs = [LeafProof(salt, index, tuple(path)) for index, (salt, path) in enumerate(zip(salts, paths, strict=True))]
    return BatchSignature(root, len(datas), signature), proofs


def _signed(root: bytes, count: int) -> bytes:
    return root + count.to_bytes(_COUNT_BYTES, "big")
