"""Merkle trees against the recursive definition of RFC 6962, and proofs corrupted in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import merkle
from protocol.errors import ProofError, UsageError, ValijaError
from tests.protocol.vectors_primitives import load

LEAVES = [merkle.leaf_hash(bytes([at])) for at in range(70)]
WRONG = b"\x5a" * 32
SMALL = [(size, index) for size in (1, 2, 3, 5, 7, 8, 13, 16) for index in range(size)]


def split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, MTH, over leaf hashes."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    middle = split(len(leaves))
    return merkle.node_hash(mth(leaves[:middle]), mth(leaves[middle:]))


def audit_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, PATH."""
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if index < middle:
        return [*audit_path(index, leaves[:middle]), mth(leaves[middle:])]
    return [*audit_path(index - middle, leaves[middle:]), mth(leaves[:middle])]


def subproof(old: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    """RFC 6962 section 2.1.2, SUBPROOF."""
    if old == len(leaves):
        return [] if known else [mth(leaves)]
    middle = split(len(leaves))
    if old <= middle:
        return [*subproof(old, leaves[:middle], known=known), mth(leaves[middle:])]
    return [*subproof(old - middle, leaves[middle:], known=False), mth(leaves[:middle])]


def corruptions(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Every proof that differs from `proof` in one place."""
    honest = list(proof)
    for at in range(len(honest)):
        yield [*honest[:at], *honest[at + 1 :]]
        yield [*honest[:at], WRONG, *honest[at + 1 :]]
        yield [*honest[:at], honest[at][:-1], *honest[at + 1 :]]
        yield [*honest[:at], honest[at], *honest[at:]]
    yield [*honest, WRONG]
    yield [WRONG, *honest]
    yield [*honest, b""]


def test_published_hashes() -> None:
    # The empty tree and the empty leaf of RFC 6962 implementations everywhere.
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@pytest.mark.parametrize("size", range(70))
def test_trees_and_proofs_are_those_of_the_definition(size: int) -> None:
    leaves = LEAVES[:size]
    root, paths = merkle.all_paths(leaves)
    assert root == merkle.root(leaves) == mth(leaves)
    assert paths == [audit_path(index, leaves) for index in range(size)]
    assert paths == [merkle.path(leaves, index) for index in range(size)]
    for old in range(1, size):
        assert merkle.consistency(leaves, old) == subproof(old, leaves, known=True)
    assert merkle.consistency(leaves, 0) == merkle.consistency(leaves, size) == []


@pytest.mark.parametrize("size", range(70))
def test_honest_proofs_verify(size: int) -> None:
    leaves = LEAVES[:size]
    root, paths = merkle.all_paths(leaves)
    for index, path in enumerate(paths):
        merkle.verify_inclusion(leaves[index], index, size, path, root)
        assert merkle.inclusion_root(leaves[index], index, size, path) == root
    for old in range(size + 1):
        merkle.verify_consistency(old, mth(leaves[:old]), size, root, merkle.consistency(leaves, old))


@pytest.mark.parametrize(("size", "index"), SMALL)
def test_no_corrupted_inclusion_proof_verifies(size: int, index: int) -> None:
    leaves = LEAVES[:size]
    root, path = mth(leaves), merkle.path(leaves, index)
    cases: list[tuple[bytes, int, int, list[bytes], bytes]] = [
        (WRONG, index, size, path, root),
        (leaves[index], index, size, path, WRONG),
        (leaves[index][1:], index, size, path, root),
        (leaves[index], -1, size, path, root),
        (leaves[index], size, size, path, root),
        *((leaves[index], other, size, path, root) for other in range(size) if other != index),
        *((leaves[index], index, size, proof, root) for proof in corruptions(path)),
    ]
    for case in cases:
        with pytest.raises(ProofError):
            merkle.verify_inclusion(*case)


@pytest.mark.parametrize(("new", "old"), SMALL)
def test_no_corrupted_consistency_proof_verifies(new: int, old: int) -> None:
    leaves = LEAVES[:new]
    old_root, new_root, proof = mth(leaves[:old]), mth(leaves), merkle.consistency(leaves, old)
    cases: list[tuple[int, bytes, int, bytes, list[bytes]]] = [
        (old, WRONG, new, new_root, proof),
        (old, old_root[1:], new, new_root, proof),
        (new + 1, old_root, new, new_root, proof),
        (-1, old_root, new, new_root, proof),
        *((old, old_root, new, new_root, corrupt) for corrupt in corruptions(proof)),
    ]
    if old:
        cases.append((old, old_root, new, WRONG, proof))
    for case in cases:
        with pytest.raises(ProofError):
            merkle.verify_consistency(*case)


def test_hashes_of_other_sizes_cannot_share_a_node() -> None:
    # The same 64 bytes, cut elsewhere: the node's hash would be the same.
    left, right = LEAVES[0], LEAVES[1]
    root = merkle.node_hash(left, right)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(left + right[:1], 0, 2, [right[1:]], root)
    with pytest.raises(ProofError):
        merkle.verify_consistency(3, b"short", 3, b"short", [])


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 4), (4, 7), (8, 9)])
def test_a_proof_of_nothing_does_not_make_two_sizes_one_tree(old: int, new: int) -> None:
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, WRONG, new, WRONG, [])


def test_a_fork_shows_the_root_that_its_larger_tree_has_at_the_smaller_size() -> None:
    forked = [*LEAVES[:5], WRONG, *LEAVES[6:11]]
    proof = merkle.consistency(forked, 7)
    assert merkle.consistency_roots(7, 11, mth(LEAVES[:7]), proof) == (mth(forked[:7]), mth(forked))
    assert mth(forked[:7]) != mth(LEAVES[:7])


@given(st.integers(0, 300))
def test_a_frontier_has_the_root_of_the_tree_so_far_and_can_be_taken_up_again(size: int) -> None:
    frontier = merkle.Frontier()
    leaves = [merkle.leaf_hash(at.to_bytes(2, "big")) for at in range(size)]
    for leaf in leaves:
        frontier = merkle.Frontier(frontier.size, frontier.peaks)
        frontier.append(leaf)
    assert (frontier.size, frontier.root()) == (size, mth(leaves))
    assert len(frontier.peaks) == size.bit_count()


@pytest.mark.parametrize(("size", "peaks"), [(-1, ()), (1, ()), (2, (WRONG, WRONG)), (1, (b"short",)), (0, (WRONG,))])
def test_a_frontier_refuses_peaks_of_another_size(size: int, peaks: tuple[bytes, ...]) -> None:
    with pytest.raises(UsageError):
        merkle.Frontier(size, peaks)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: merkle.path(LEAVES, 70),
        lambda: merkle.path(LEAVES, -1),
        lambda: merkle.path([], 0),
        lambda: merkle.consistency(LEAVES, 71),
        lambda: merkle.consistency(LEAVES, -1),
    ],
)
def test_no_proof_of_what_is_not_there(ask: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        ask()


def _verify(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(each) for each in case.get("path", case.get("proof", []))]
    if case["kind"] == "inclusion":
        leaf, root = bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root"])
        merkle.verify_inclusion(leaf, case["index"], case["size"], proof, root)
    else:
        old_root, new_root = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
        merkle.verify_consistency(case["old_size"], old_root, case["new_size"], new_root, proof)


@pytest.mark.parametrize("case", load("merkle")["valid"], ids=lambda case: case["kind"])
def test_valid_vectors(case: dict[str, Any]) -> None:
    if case["kind"] == "tree":
        leaves = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in case["leaves"]]
        assert merkle.root(leaves).hex() == case["root"]
    else:
        _verify(case)


@pytest.mark.parametrize("case", load("merkle")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ValijaError) as caught:
        _verify(case)
    assert caught.value.code == case["error"]
