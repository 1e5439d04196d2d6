"""Cores, slots, envelopes, and what the hub attests of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.batch import Verified
from protocol.codec import decode, encode
from protocol.errors import (
    LimitError,
    MalformedError,
    ProofError,
    SignatureError,
    StandingError,
    UsageError,
    VerificationError,
    VersionError,
)
from protocol.messages.envelope import (
    Attestation,
    AttestationData,
    Blob,
    Core,
    Envelope,
    Event,
    Slot,
    Submission,
    attest,
)
from protocol.names import Incarnation, Party
from protocol.signing import fresh_salts
from tests.support.letters import letter
from tests.support.mangling import check_reader, flip
from tests.support.world import DAY, World, private_key

A: Any = bytes([1]) * 32
DIGEST: Any = bytes([7]) * 32
LAST = 2**63 - 1
ME, YOU = Party(A, "ar-mpf"), Party(A, "co-fgn")
CIPHERTEXT = bytes(8192)
SLOT = Slot.build(YOU, 20_000, DIGEST, DIGEST, bytes(1843))
CORE = Core.build(ME, Submission(Incarnation(1, 5), 7), 99, CIPHERTEXT)

numbers = st.integers(0, LAST)
digests = st.binary(min_size=32, max_size=32)
incarnations = st.builds(Incarnation, st.integers(1, LAST), numbers)


# -- core ----------------------------------------------------------------------------------------------
@given(st.builds(Submission, incarnations, st.integers(1, LAST)), numbers, st.binary(max_size=50))
def test_cores_come_back(submission: Any, expires_at: Any, ciphertext: Any) -> None:
    blobs = (Blob(DIGEST, expires_at),)
    core = Core.build(ME, submission, expires_at, ciphertext, blobs)
    assert Core.from_bytes(core.raw) == core
    assert (core.association, core.sender, core.submission, core.expires_at) == (A, ME, submission, expires_at)
    assert (core.ciphertext_digest, core.blobs) == (hashlib.sha256(ciphertext).digest(), blobs)


def test_submissions_are_ordered_by_incarnation_then_counter() -> None:
    assert Submission(Incarnation(1, 9), 2) < Submission(Incarnation(1, 9), 3) < Submission(Incarnation(2, 1), 1)


def test_the_envelope_id_is_the_labelled_digest_of_the_core() -> None:
    assert CORE.id == hashlib.sha256(bytes([17]) + b"valija/0 envelope" + CORE.raw).digest()


def test_a_core_knows_its_ciphertext() -> None:
    CORE.check_ciphertext(CIPHERTEXT)
    with pytest.raises(MalformedError):
        CORE.check_ciphertext(flip(CIPHERTEXT, 9))


def test_a_damaged_core_is_refused_or_another() -> None:
    raw = Core.build(ME, Submission(Incarnation(1, 5), 7), 99, CIPHERTEXT, [Blob(DIGEST, 5)]).raw
    check_reader(Core.from_bytes, lambda core: core.raw, raw)


FIELDS: Any = [0, A, ME.value(), [[1, 5], 7], 99, DIGEST, []]


def changed(place: Any, item: Any) -> Any:
    return [*FIELDS[:place], item, *FIELDS[place + 1 :]]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (changed(0, 1), VersionError),
        (changed(1, bytes(32)), MalformedError),
        (changed(1, bytes(31)), MalformedError),
        (changed(2, [A, "Ar"]), MalformedError),
        (changed(3, [[1, 5], 0]), MalformedError),
        (changed(3, [[1, 5], 2**63]), MalformedError),
        (changed(3, [[1, 5]]), MalformedError),
        (changed(4, 2**63), MalformedError),
        (changed(5, bytes(33)), MalformedError),
        (changed(6, [[DIGEST]]), MalformedError),
        (changed(6, [[DIGEST, 2**63]]), MalformedError),
        (changed(6, [[DIGEST, 1]] * 65), LimitError),
        (FIELDS[:-1], MalformedError),
        (changed(6, bytes(8192)), LimitError),
    ],
)
def test_what_is_no_core_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        Core.from_bytes(encode(value))
    assert type(caught.value) is error


# -- slot and envelope ---------------------------------------------------------------------------------
@given(numbers, digests, digests)
def test_slots_come_back_within_their_limit(epoch: Any, prekey_hash: Any, link_leaf: Any) -> None:
    slot = Slot.build(Party(A, "a" * 32), epoch, prekey_hash, link_leaf, bytes(1843))
    assert Slot.from_bytes(slot.raw) == slot
    assert (slot.epoch, slot.prekey_hash, slot.link_leaf) == (epoch, prekey_hash, link_leaf)
    assert len(slot.raw) <= 2304


def test_a_damaged_slot_is_refused_or_another() -> None:
    check_reader(Slot.from_bytes, lambda slot: slot.raw, SLOT.raw, step=11)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([YOU.value(), 2**63, DIGEST, DIGEST, bytes(1843)], MalformedError),
        ([YOU.value(), 1, DIGEST, DIGEST, bytes(1842)], MalformedError),
        ([YOU.value(), 1, DIGEST, bytes(31), bytes(1843)], MalformedError),
        ([YOU.value(), 1, bytes(31), DIGEST, bytes(1843)], MalformedError),
        ([YOU.value(), 1, DIGEST, bytes(1843)], MalformedError),
        ([YOU.value(), 1, DIGEST, DIGEST, bytes(2304)], LimitError),
    ],
)
def test_what_is_no_slot_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        Slot.from_bytes(encode(value))
    assert type(caught.value) is error


def test_an_envelope_is_read_from_what_was_submitted() -> None:
    envelope = Envelope.from_bytes(CORE.raw, CIPHERTEXT, [SLOT.raw])
    assert envelope == Envelope(CORE, CIPHERTEXT, (SLOT,))


def slots(count: Any) -> Any:
    return [Slot.build(Party(A, f"m{number:03}"), 1, DIGEST, DIGEST, bytes(1843)) for number in range(count)]


def test_an_envelope_has_up_to_128_slots() -> None:
    assert len(Envelope(CORE, CIPHERTEXT, tuple(slots(128))).slots) == 128
    with pytest.raises(LimitError):
        Envelope(CORE, CIPHERTEXT, tuple(slots(129)))


@pytest.mark.parametrize(
    ("ciphertext", "error"),
    [
        (bytes(4096), MalformedError),
        (bytes(8193), MalformedError),
        (bytes(24576), MalformedError),
        (bytes(2**21), LimitError),
        (b"", MalformedError),
    ],
)
def test_ciphertexts_are_powers_of_two(ciphertext: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        Envelope.from_bytes(CORE.raw, ciphertext, [SLOT.raw])
    assert type(caught.value) is error


def test_an_envelope_is_for_somebody_and_for_nobody_twice() -> None:
    for wrong in [(), (SLOT, SLOT)]:
        with pytest.raises(MalformedError):
            Envelope(CORE, CIPHERTEXT, wrong)


# -- attestations --------------------------------------------------------------------------------------
@given(
    st.sampled_from(
        [
            (Event.ACCEPTED, "accepted"),
            (Event.REJECTED, "mailbox_full"),
            (Event.FAILED, "expired"),
            (Event.FAILED, "recalled"),
        ]
    ),
    digests,
    numbers,
)
def test_attestation_data_come_back(told: Any, envelope_id: Any, at: Any) -> None:
    event, result = told
    data = AttestationData.build(event, DIGEST, envelope_id, SLOT, result, at)
    assert AttestationData.from_bytes(data.raw) == data
    assert (data.event, data.result, data.at, data.recipient, data.link_leaf) == (event, result, at, YOU, DIGEST)


DATA: Any = [0, 1, DIGEST, DIGEST, YOU.value(), DIGEST, "accepted", 5]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([1, *DATA[1:]], VersionError),
        ([0, 4, *DATA[2:]], MalformedError),
        ([0, 0, *DATA[2:]], MalformedError),
        ([0, 1, *DATA[2:6], "expired", 5], MalformedError),
        ([0, 3, *DATA[2:6], "accepted", 5], MalformedError),
        ([0, 2, *DATA[2:6], "Mailbox full", 5], MalformedError),
        ([0, 2, *DATA[2:6], "a" * 65, 5], LimitError),
        ([*DATA[:7], 2**63], MalformedError),
        (DATA[:7], MalformedError),
        ([*DATA[:7], bytes(512)], LimitError),
    ],
)
def test_what_is_no_attestation_data_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        AttestationData.from_bytes(encode(value))
    assert type(caught.value) is error


def test_damaged_attestation_data_are_refused_or_others() -> None:
    check_reader(AttestationData.from_bytes, lambda data: data.raw, encode(DATA))


@pytest.fixture(scope="module")
def world() -> Any:
    return World()


@pytest.fixture(scope="module")
def acceptances(world: Any) -> Any:
    sent = [AttestationData.from_bytes(letter(world, [text]).attestation.data) for text in ("a", "b", "c")]
    return attest(world.hub_key, world.association, sent, fresh_salts(3))


def test_attestations_share_one_signature_and_each_proves_itself(world: Any, acceptances: Any) -> None:
    assert len({id(each.batch) for each in acceptances}) == 1
    verified = Verified()
    for attestation in acceptances:
        again = Attestation.parse(decode(encode(attestation.value()), 8192))
        assert again == attestation
        assert again.verify(world.registry, verified).raw == attestation.data


def test_an_attestation_for_another_leaf_is_refused(world: Any, acceptances: Any) -> None:
    first, second, _third = acceptances
    with pytest.raises(ProofError):
        replace(first, proof=second.proof).verify(world.registry)
    with pytest.raises(ProofError):
        replace(first, data=second.data).verify(world.registry)


def test_an_attestation_by_another_key_is_refused(world: Any, acceptances: Any) -> None:
    data = AttestationData.from_bytes(acceptances[0].data)
    (forged,) = attest(private_key("thief"), world.association, [data], fresh_salts(1))
    with pytest.raises(SignatureError):
        forged.verify(world.registry)


def test_a_node_attests_nothing(world: Any, acceptances: Any) -> None:
    told: Any = decode(acceptances[0].data, 512)
    data = AttestationData.from_bytes(encode([*told[:2], world.certificates["ar-mpf"], *told[3:]]))
    (forged,) = attest(world.key("ar-mpf"), world.association, [data], fresh_salts(1))
    with pytest.raises(VerificationError) as caught:
        forged.verify(world.registry)
    assert type(caught.value) is VerificationError


def test_a_hub_attests_only_while_its_certificate_stands(world: Any, acceptances: Any) -> None:
    told: Any = decode(acceptances[0].data, 512)
    for certificate, at in [(DIGEST, world.now), (world.hub_certificate, world.now + 400 * DAY)]:
        data = AttestationData.from_bytes(encode([*told[:2], certificate, *told[3:7], at]))
        (late,) = attest(world.hub_key, world.association, [data], fresh_salts(1))
        with pytest.raises(StandingError):
            late.verify(world.registry)


def test_nothing_is_attested_of_nothing(world: Any) -> None:
    with pytest.raises(UsageError):
        attest(world.hub_key, world.association, [], [])
