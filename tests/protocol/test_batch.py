"""Signed batches of salted leaves: what verifies, what is refused, and that nothing is verified twice."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.batch import BatchSignature, LeafProof, Verified, check_leaf, leaf, sign_batch
from protocol.codec import decode, encode
from protocol.errors import LimitError, MalformedError, ProofError, SignatureError, UsageError
from protocol.signing import HashLabel, Label, PrivateKey, Signature, fresh_salts

KEY = PrivateKey(bytes(32), bytes([1]) * 32)
ASSOCIATION = bytes([2]) * 32
LEAF = HashLabel.LINK_LEAF
NO_SIGNATURE = Signature(bytes(64), bytes(3309))


def signed(datas: Any, salts: Any = None) -> Any:
    salts = salts or [bytes([index % 256]) * 32 for index in range(len(datas))]
    return sign_batch(KEY, Label.LINKS, LEAF, ASSOCIATION, datas, salts)


def test_a_leaf_is_the_digest_of_label_salt_and_data() -> None:
    expected = hashlib.sha256(b"\x00" + bytes([18]) + b"valija/0 link leaf" + bytes(32) + b"data").digest()
    assert leaf(LEAF, bytes(32), b"data") == expected


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_every_leaf_of_a_batch_proves_itself_and_nothing_else(datas: Any) -> None:
    batch, proofs = signed(datas)
    batch.verify(KEY.public, Label.LINKS, ASSOCIATION)
    for data, proof in zip(datas, proofs, strict=True):
        check_leaf(leaf(LEAF, proof.salt, data), proof, batch)
        with pytest.raises(ProofError):
            check_leaf(leaf(LEAF, proof.salt, data + b"!"), proof, batch)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_batches_and_proofs_come_back_from_the_wire(datas: Any) -> None:
    batch, proofs = signed(datas)
    assert BatchSignature.parse(decode(encode(batch.value()), 8192)) == batch
    for proof in proofs:
        assert LeafProof.parse(decode(encode(proof.value()), 8192)) == proof


def test_the_largest_batch_has_paths_of_twelve() -> None:
    batch, proofs = signed([b""] * 4096)
    assert {len(proof.path) for proof in proofs} == {12}
    check_leaf(leaf(LEAF, proofs[4095].salt, b""), proofs[4095], batch)


@pytest.mark.parametrize(
    "change",
    [
        {"root": bytes(32)},
        {"count": 3},
        {"signature": NO_SIGNATURE},
    ],
)
def test_a_changed_batch_signature_does_not_verify(change: Any) -> None:
    batch, _proofs = signed([b"a", b"b"])
    with pytest.raises(SignatureError):
        replace(batch, **change).verify(KEY.public, Label.LINKS, ASSOCIATION)


def test_a_batch_signature_holds_for_its_key_label_and_association_alone() -> None:
    batch, _proofs = signed([b"a"])
    verified = Verified()
    batch.verify(KEY.public, Label.LINKS, ASSOCIATION, verified)
    for key, label, association in [
        (PrivateKey.generate().public, Label.LINKS, ASSOCIATION),
        (KEY.public, Label.ACCEPTANCES, ASSOCIATION),
        (KEY.public, Label.LINKS, bytes(32)),
    ]:
        with pytest.raises(SignatureError):
            batch.verify(key, label, association, verified)


@pytest.mark.parametrize("count", [0, 4097])
def test_a_batch_has_one_to_4096_leaves(count: Any) -> None:
    with pytest.raises(UsageError):
        signed([b""] * count, [bytes(32)] * count)
    with pytest.raises(MalformedError):
        BatchSignature(bytes(32), count, NO_SIGNATURE)


def test_every_leaf_needs_its_own_salt() -> None:
    with pytest.raises(UsageError):
        signed([b"a", b"b"], [bytes(32)])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([bytes(31), 1, bytes(64), bytes(3309)], MalformedError),
        ([bytes(32), 0, bytes(64), bytes(3309)], MalformedError),
        ([bytes(32), 1, bytes(63), bytes(3309)], MalformedError),
        ([bytes(32), 1, bytes(64), bytes(3308)], MalformedError),
        ([bytes(32), 1, bytes(64)], MalformedError),
        (None, MalformedError),
    ],
)
def test_what_is_no_batch_signature_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        BatchSignature.parse(value)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([bytes(31), 0, []], MalformedError),
        ([bytes(32), 4096, []], MalformedError),
        ([bytes(32), 0, [bytes(31)]], MalformedError),
        ([bytes(32), 0, [bytes(32)] * 13], LimitError),
        ([bytes(32), 0], MalformedError),
        ([bytes(32), 0, None], MalformedError),
    ],
)
def test_what_is_no_leaf_proof_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        LeafProof.parse(value)
    assert type(caught.value) is error


def test_a_proof_built_by_hand_is_bounded_too() -> None:
    with pytest.raises(MalformedError):
        LeafProof(bytes(32), 0, (bytes(32),) * 13)


def test_a_check_that_passed_is_not_run_again_until_it_is_forgotten() -> None:
    ran: list[str] = []
    verified = Verified(limit=2)
    for subject in ["a", "a", "b", "a", "c", "b", "a"]:
        verified.once(subject, partial(ran.append, subject))
    assert ran == ["a", "b", "c", "a"]


def test_a_check_that_failed_is_run_again() -> None:
    batch, _proofs = signed([b"a"])
    verified = Verified()
    forged = replace(batch, signature=NO_SIGNATURE)
    batch.verify(KEY.public, Label.LINKS, ASSOCIATION, verified)
    for _each in range(2):
        with pytest.raises(SignatureError):
            forged.verify(KEY.public, Label.LINKS, ASSOCIATION, verified)


def test_salts_are_fresh_and_of_thirty_two_bytes() -> None:
    salts = fresh_salts(20)
    assert {len(salt) for salt in salts} == {32}
    assert len(set(salts)) == 20
    assert fresh_salts(0) == []
