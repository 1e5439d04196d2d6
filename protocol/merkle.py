"""Merkle trees of RFC 6962 section 2.1, with the verification algorithms of RFC 9162 section 2.1.

    leaf  = SHA-256(0x00 || data)        node = SHA-256(0x01 || left || right)        empty = SHA-256("")

A tree is built level by level: neighbours are hashed in pairs, and a last one without a neighbour
rises as it is, which gives the same tree as the recursive definition.  All functions take leaf
*hashes* of 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from protocol.errors import ProofError, UsageError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
LEAF_START: Final = b"\x00"
NODE_START: Final = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf's bytes."""
    return hashlib.sha256(LEAF_START + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(NODE_START + left + right).digest()


# -- building ----------------------------------------------------------------------------------------


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes; SHA-256 of nothing if there are none."""
    return _levels(leaf_hashes)[-1][0] if leaf_hashes else EMPTY_ROOT


def path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion path of leaf `index`, from its sibling up; `UsageError` if there is no such leaf."""
    if not 0 <= index < len(leaf_hashes):
        raise UsageError(f"leaf {index} of {len(leaf_hashes)}")
    return _path(_levels(leaf_hashes), index)


def all_paths(leaf_hashes: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """The root and every leaf's inclusion path, at the cost of hashing the tree once."""
    if not leaf_hashes:
        return EMPTY_ROOT, []
    levels = _levels(leaf_hashes)
    paths: list[list[bytes]] = [[]]
    for level in reversed(levels[:-1]):
        width = len(level)
        paths = [[level[at ^ 1], *paths[at >> 1]] if at ^ 1 < width else paths[at >> 1] for at in range(width)]
    return levels[-1][0], paths


def consistency(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the tree of the first `old_size` leaves begins this one.

    It is empty when `old_size` is 0 or the whole size; `UsageError` if it is larger.
    """
    if not 0 <= old_size <= len(leaf_hashes):
        raise UsageError(f"a tree of {old_size} in one of {len(leaf_hashes)}")
    if old_size in {0, len(leaf_hashes)}:
        return []
    return [root(leaf_hashes[start:end]) for start, end in _consistency_ranges(old_size, len(leaf_hashes))]


def _levels(leaf_hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
    levels, sha256 = [leaf_hashes], hashlib.sha256
    while (width := len(levels[-1])) > 1:
        below = levels[-1]
        level = [sha256(NODE_START + below[at] + below[at + 1]).digest() for at in range(0, width - 1, 2)]
        levels.append([*level, below[-1]] if width % 2 else level)
    return levels


def _path(levels: list[Sequence[bytes]], index: int) -> list[bytes]:
    siblings = ((level, (index >> height) ^ 1) for height, level in enumerate(levels[:-1]))
    return [level[sibling] for level, sibling in siblings if sibling < len(level)]


def _consistency_ranges(old_size: int, size: int) -> Iterator[tuple[int, int]]:
    # RFC 6962's SUBPROOF walks from the root to the old tree's right edge; the proof lists the
    # subtrees that it leaves aside from the edge up, headed by the edge's own unless the verifier has it.
    start, end = 0, size
    aside = []
    while old_size != end:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if old_size <= middle:
            aside.append((middle, end))
            end = middle
        else:
            aside.append((start, middle))
            start = middle
    if start > 0:
        yield (start, end)
    yield from reversed(aside)


# -- verifying ---------------------------------------------------------------------------------------


def inclusion_root(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root to which `proof` leads from the leaf hash `leaf` at `index` of `size` (RFC 9162 2.1.3.2).

    Raises `ProofError` if no proof of this shape exists at that place.
    """
    _require_hashes(leaf, *proof)
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} of {size}")
    place, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("inclusion proof too long")
        if place % 2 or place == last:
            current = node_hash(sibling, current)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("inclusion proof too short")
    return current


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Return if `proof` shows the leaf hash `leaf` at `index` of the tree of `size` with this root; else `ProofError`."""
    if inclusion_root(leaf, index, size, proof) != expected_root:
        raise ProofError("inclusion")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if `proof` shows that the old tree begins the new one (RFC 9162 2.1.4.2); else `ProofError`.

    From size 0, and between equal sizes, the proof is empty.
    """
    _require_hashes(old_root, new_root, *proof)
    if not 0 <= old_size <= new_size:
        raise ProofError(f"a tree of {old_size} in one of {new_size}")
    if old_size in {0, new_size}:
        _verify_trivial(old_size, old_root, new_size, new_root, proof)
    elif consistency_roots(old_size, new_size, old_root, proof) != (old_root, new_root):
        raise ProofError("consistency")


def consistency_roots(old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root to which `proof` leads, for 0 < `old_size` < `new_size`; else `ProofError`.

    `old_root` stands in for the first hash where the proof leaves it out, because the old tree is a
    whole subtree: then the old root returned is the one given.
    """
    place, last = old_size - 1, new_size - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    hashes = [old_root, *proof] if place == 0 else list(proof)
    if not hashes:
        raise ProofError("consistency proof too short")
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError("consistency proof too long")
        if place % 2 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("consistency proof too short")
    return old, new


def _verify_trivial(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError("consistency proof too long")
    if (old_size == 0 and old_root != EMPTY_ROOT) or (old_size == new_size and old_root != new_root):
        raise ProofError("consistency")


def _require_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofError("hash size")


# -- growing -----------------------------------------------------------------------------------------


class Frontier:
    """A tree that only grows, kept as the roots of its whole subtrees, largest first: at most 64 hashes."""

    __slots__ = ("_peaks", "_size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Take up a tree again at `size` leaves with its `peaks`; `UsageError` if they cannot belong together."""
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in peaks):
            raise UsageError("frontier")
        self._size = size
        self._peaks = list(peaks)

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the whole subtrees, to store and take up again."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the end."""
        carry = leaf
        for _each in range((self._size ^ (self._size + 1)).bit_length() - 1):
            carry = node_hash(self._peaks.pop(), carry)
        self._peaks.append(carry)
        self._size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self._peaks:
            return EMPTY_ROOT
        current = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            current = node_hash(peak, current)
        return current
