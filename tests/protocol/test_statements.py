"""Statements: one encoding each, refused for the right reason, and signatures that count once or not at all."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.errors import (
    LimitError,
    MalformedError,
    NonCanonicalError,
    PeerError,
    SignatureError,
    UsageError,
    VersionError,
)
from protocol.limits import MAX_STATEMENT_BYTES
from protocol.names import AssociationId
from protocol.signing import Label, PublicKey
from protocol.trust.statements import (
    Charter,
    SignedStatement,
    Witnesses,
    association_id,
    merge,
    read_body,
    sign_statement,
    statement_hash,
    statement_id,
)
from tests.protocol.vectors_primitives import flip, load, seed
from tests.protocol.vectors_registry import ERRORS, sample_bodies
from tests.support.world import World, private_key

VECTORS = load("statements")
BODIES = sample_bodies()
WORLD = World(members=())
STEWARDS = {key.public.fingerprint: key.public for key in WORLD.stewards}
LIFT = WORLD.lift(WORLD.hub_certificate)


# -- bodies ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", BODIES)
def test_a_body_reads_back(name: str) -> None:
    assert read_body(BODIES[name]).body() == BODIES[name]


@pytest.mark.parametrize("case", [case for case in VECTORS["valid"] if case["kind"] == "body"], ids=lambda c: c["name"])
def test_valid_bodies(case: dict[str, Any]) -> None:
    body = bytes.fromhex(case["body"])
    assert read_body(body).body() == body
    assert BODIES[case["name"]] == body
    label = b"valija/0 statement id"
    assert hashlib.sha256(bytes([len(label)]) + label + body).hexdigest() == case["id"] == statement_id(body).hex()


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["invalid"] if case["kind"] == "body"], ids=lambda case: case["name"]
)
def test_invalid_bodies(case: dict[str, Any]) -> None:
    with pytest.raises(ERRORS[case["error"]]) as caught:
        read_body(bytes.fromhex(case["body"]))
    assert caught.value.code == case["error"]


@given(st.sampled_from(sorted(BODIES)), st.data())
def test_a_truncated_body_is_malformed(name: str, data: st.DataObject) -> None:
    body = BODIES[name]
    with pytest.raises(MalformedError):
        read_body(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.sampled_from(sorted(BODIES)), st.data())
def test_a_changed_body_is_another_statement_or_none(name: str, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(BODIES[name]) - 1))
    changed = flip(BODIES[name], bit // 8, bit % 8)
    try:
        assert read_body(changed).body() == changed
    except PeerError:
        return
    assert statement_id(changed) != statement_id(BODIES[name])


@given(st.integers(0, 6), st.integers(0, 4), st.integers(0, 9))
def test_witnesses_are_sound_exactly_if_quorums_meet_and_can_form(quorum: int, faulty: int, count: int) -> None:
    keys = tuple((f"w-{number}", seed(str(number), 1312)) for number in range(count))
    value = decode(encode(Witnesses(quorum, faulty, keys).value()), 1 << 16)
    sound = count >= 3 and 2 * quorum - count > faulty and count - quorum >= max(faulty, 1)
    if sound or (quorum, faulty, count) == (0, 0, 0):
        assert Witnesses.parse(value) == Witnesses(quorum, faulty, keys)
    else:
        with pytest.raises(MalformedError):
            Witnesses.parse(value)


def test_an_association_is_the_digest_of_its_first_charter() -> None:
    body = WORLD.statements[0].body
    assert association_id(body) == hashlib.sha256(body).digest() == WORLD.statements[0].association
    charter = read_body(body)
    assert isinstance(charter, Charter)
    assert set(charter.steward_keys()) == set(STEWARDS)


# -- signed statements -------------------------------------------------------------------------------
def test_a_signed_statement_vector_verifies() -> None:
    (case,) = [case for case in VECTORS["valid"] if case["kind"] == "signed"]
    signed = SignedStatement.from_bytes(bytes.fromhex(case["signed"]))
    keys = [PublicKey(bytes.fromhex(ed25519), bytes.fromhex(mldsa65)) for ed25519, mldsa65 in case["keys"]]
    association = AssociationId(bytes.fromhex(case["association"]))
    by_fingerprint = {key.fingerprint: key for key in keys}
    assert signed.signers(by_fingerprint, association) == set(by_fingerprint)
    assert (signed.id.hex(), signed.hash.hex()) == (case["id"], case["hash"])


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["invalid"] if case["kind"] == "signed"], ids=lambda case: case["name"]
)
def test_invalid_signed_statements(case: dict[str, Any]) -> None:
    with pytest.raises(ERRORS[case["error"]]) as caught:
        SignedStatement.from_bytes(bytes.fromhex(case["signed"]))
    assert caught.value.code == case["error"]


def test_a_signed_statement_reads_back() -> None:
    assert SignedStatement.from_bytes(LIFT.raw) == LIFT
    assert LIFT.id == statement_id(LIFT.body)
    assert LIFT.hash == statement_hash(LIFT.raw) != statement_hash(LIFT.body)
    assert LIFT.association == WORLD.association


def test_only_keys_that_may_sign_count() -> None:
    assert len(LIFT.signers(STEWARDS, WORLD.association)) == 2
    first = dict(list(STEWARDS.items())[:1])
    assert LIFT.signers(first, WORLD.association) == set(first)
    outsider = private_key("outsider").public
    assert LIFT.signers({outsider.fingerprint: outsider}, WORLD.association) == frozenset()


def test_a_changed_signature_by_a_key_that_may_sign_is_refused_again_and_again() -> None:
    changed = SignedStatement.from_bytes(flip(LIFT.raw, -1))
    last = changed.signatures[-1][0]
    for _each in range(2):
        with pytest.raises(SignatureError):
            changed.signers(STEWARDS, WORLD.association)
    others = {fingerprint: key for fingerprint, key in STEWARDS.items() if fingerprint != last}
    assert len(changed.signers(others, WORLD.association)) == 1


def test_a_signature_holds_for_one_association_even_once_verified() -> None:
    assert LIFT.signers(STEWARDS, WORLD.association)
    with pytest.raises(SignatureError):
        LIFT.signers(STEWARDS, AssociationId(seed("elsewhere")))


def test_a_signature_under_another_label_does_not_count() -> None:
    key = WORLD.stewards[0]
    signature = key.sign(Label.SESSION, WORLD.association, LIFT.body)
    raw = encode([LIFT.body, [(key.public.fingerprint, *signature.value())]])
    with pytest.raises(SignatureError):
        SignedStatement.from_bytes(raw).signers(STEWARDS, WORLD.association)


def test_an_oversized_statement_is_not_even_decoded() -> None:
    with pytest.raises(LimitError):
        SignedStatement.from_bytes(bytes(MAX_STATEMENT_BYTES + 1))


def test_more_than_64_signatures_are_refused() -> None:
    with pytest.raises(LimitError):
        SignedStatement.from_bytes(encode([LIFT.body, [None] * 65]))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=1, max_size=3))
def test_merging_gives_the_signatures_of_both(left: list[int], right: list[int]) -> None:
    one, other = (
        sign_statement(LIFT.body, WORLD.association, [WORLD.stewards[number] for number in numbers])
        for numbers in (left, right)
    )
    merged = merge(one, other)
    assert merged.id == one.id
    assert dict(merged.signatures) == {**dict(other.signatures), **dict(one.signatures)}
    assert len(merged.signers(STEWARDS, WORLD.association)) == len({*left, *right})


def test_two_statements_do_not_merge() -> None:
    with pytest.raises(UsageError):
        merge(LIFT, WORLD.statements[0])


def test_nobody_signs_what_is_no_statement_of_the_association() -> None:
    with pytest.raises(UsageError):
        sign_statement(LIFT.body[:-1], WORLD.association, WORLD.stewards)
    with pytest.raises(UsageError):
        sign_statement(LIFT.body, AssociationId(seed("elsewhere")), WORLD.stewards)


def test_another_version_a_peering_and_a_longer_form_are_told_apart() -> None:
    for body, error in (
        (b"\x93\x01\x07\xc4\x20" + bytes(32), VersionError),
        (b"\x93\x00\x0a\xc4\x20" + bytes(32), VersionError),
        (b"\x93\x00\xcc\x07\xc4\x20" + bytes(32), NonCanonicalError),
    ):
        with pytest.raises(error):
            read_body(body)
