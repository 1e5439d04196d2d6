"""SPEC 4.4 and RFC 6962 section 2.1: trees, proofs, and leaves with a label and a salt."""

import hashlib
from collections.abc import Sequence

from tests.spec_reader.digests import prefixed
from tests.spec_reader.refusal import require

EMPTY = hashlib.sha256(b"").digest()


def plain_leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def salted_leaf(label: str, salt: bytes, data: bytes) -> bytes:
    return plain_leaf(prefixed(label) + salt + data)


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:half]), root(leaves[half:]))


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> None:
    require(0 <= index < size, "bad_proof", "index")
    require(_climb(leaf, index, size, list(path)) == expected, "bad_proof", "another root")


def _climb(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root of the tree of this size; path is from the leaf upwards and is used up."""
    require(all(len(step) == 32 for step in path), "bad_proof", "a hash of another size")
    if size == 1:
        require(not path, "bad_proof", "path too long")
        return leaf
    require(path, "bad_proof", "path too short")
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return node(_climb(leaf, index, half, path[:-1]), path[-1])
    return node(path[-1], _climb(leaf, index - half, size - half, path[:-1]))


def check_consistency(old: tuple[int, bytes], new: tuple[int, bytes], proof: Sequence[bytes]) -> None:
    (old_size, old_root), (new_size, new_root) = old, new
    require(0 <= old_size <= new_size, "bad_proof", "sizes")
    if old_size in {0, new_size}:
        require(not proof, "bad_proof", "a proof where none is needed")
        require(old_size != 0 or old_root == EMPTY, "bad_proof", "a root of nothing")
        require(old_size != new_size or old_root == new_root, "bad_proof", "another root")
        return
    require(_two_roots(old_size, new_size, list(proof), old_root) == (old_root, new_root), "bad_proof", "another root")


def _two_roots(old_size: int, size: int, proof: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """Roots of the old tree and of the tree of this size; `known` while the old tree may be a whole left subtree."""
    if old_size == size:
        if known is not None:
            require(not proof, "bad_proof", "proof too long")
            return known, known
        require(len(proof) == 1, "bad_proof", "length of the proof")
        return proof[0], proof[0]
    require(proof, "bad_proof", "proof too short")
    half = 1 << (size - 1).bit_length() - 1
    if old_size <= half:
        old, new = _two_roots(old_size, half, proof[:-1], known)
        return old, node(new, proof[-1])
    old, new = _two_roots(old_size - half, size - half, proof[:-1], None)
    return node(proof[-1], old), node(proof[-1], new)
