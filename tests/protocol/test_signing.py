"""Hybrid signatures: both halves, one label, one association; keys refused on sight; secrets unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from protocol import signing
from protocol.codec import decode, encode
from protocol.errors import MalformedError, SignatureError, UsageError, ValijaError
from protocol.signing import HashLabel, Label, PrivateKey, PublicKey, Signature, digest
from tests.protocol.vectors_primitives import ASSOCIATION, flip, load, seed

KEY = PrivateKey(seed("ed25519"), seed("mldsa65"))
OTHER = PrivateKey(seed("other ed25519"), seed("other mldsa65"))
MESSAGE = b"the message"
SIGNED = KEY.sign(Label.LINKS, ASSOCIATION, MESSAGE)


@settings(max_examples=20)
@given(st.sampled_from(Label), st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_what_is_signed_verifies(label: Label, association: bytes, message: bytes) -> None:
    KEY.public.verify(label, association, message, KEY.sign(label, association, message))


def test_each_half_signs_the_string_of_the_specification() -> None:
    prefix = bytes([len(Label.LINKS.value)]) + Label.LINKS.value.encode()
    VerifyKey(KEY.public.ed25519).verify(prefix + ASSOCIATION + MESSAGE, SIGNED.ed25519)
    mldsa65 = MLDSA65PublicKey.from_public_bytes(KEY.public.mldsa65)
    mldsa65.verify(SIGNED.mldsa65, ASSOCIATION + MESSAGE, Label.LINKS.value.encode())


@given(st.integers(0, 64 * 8 - 1))
def test_a_changed_ed25519_half_is_refused(bit: int) -> None:
    with pytest.raises(SignatureError):
        KEY.public.verify(
            Label.LINKS, ASSOCIATION, MESSAGE, Signature(flip(SIGNED.ed25519, bit // 8, bit % 8), SIGNED.mldsa65)
        )


@given(st.integers(0, 3309 * 8 - 1))
def test_a_changed_mldsa65_half_is_refused(bit: int) -> None:
    with pytest.raises(SignatureError):
        KEY.public.verify(
            Label.LINKS, ASSOCIATION, MESSAGE, Signature(SIGNED.ed25519, flip(SIGNED.mldsa65, bit // 8, bit % 8))
        )


@pytest.mark.parametrize("label", [label for label in Label if label is not Label.LINKS])
def test_a_signature_holds_for_its_own_label_only(label: Label) -> None:
    with pytest.raises(SignatureError):
        KEY.public.verify(label, ASSOCIATION, MESSAGE, SIGNED)


@pytest.mark.parametrize(
    "check",
    [
        lambda: KEY.public.verify(Label.LINKS, seed("another"), MESSAGE, SIGNED),
        lambda: KEY.public.verify(Label.LINKS, ASSOCIATION, MESSAGE + b"\x00", SIGNED),
        lambda: OTHER.public.verify(Label.LINKS, ASSOCIATION, MESSAGE, SIGNED),
        # Neither half alone is enough: each of these has one half under the right key.
        lambda: PublicKey(KEY.public.ed25519, OTHER.public.mldsa65).verify(Label.LINKS, ASSOCIATION, MESSAGE, SIGNED),
        lambda: PublicKey(OTHER.public.ed25519, KEY.public.mldsa65).verify(Label.LINKS, ASSOCIATION, MESSAGE, SIGNED),
    ],
)
def test_another_association_message_or_key_is_refused(check: Callable[[], None]) -> None:
    with pytest.raises(SignatureError):
        check()


def test_keys_and_signatures_cross_the_wire() -> None:
    assert PublicKey.parse(decode(encode(KEY.public.value()), 4_096)) == KEY.public
    assert Signature.parse(decode(encode(SIGNED.value()), 4_096)) == SIGNED


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [SIGNED.ed25519],
        [SIGNED.ed25519, SIGNED.mldsa65, b""],
        [SIGNED.ed25519[1:], SIGNED.mldsa65],
        [SIGNED.ed25519, SIGNED.mldsa65[1:]],
        [None, SIGNED.mldsa65],
    ],
)
def test_malformed_signatures_are_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        Signature.parse(value)


@pytest.mark.parametrize("value", [None, [], [KEY.public.ed25519, b""], ["x" * 32, KEY.public.mldsa65]])
def test_malformed_keys_are_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        PublicKey.parse(value)


def test_a_key_is_named_by_its_fingerprint() -> None:
    material = b"\x0cvalija/0 key" + KEY.public.ed25519 + KEY.public.mldsa65
    assert KEY.public.fingerprint == hashlib.sha256(material).digest()
    assert KEY.public.fingerprint != OTHER.public.fingerprint


def test_a_key_comes_back_from_its_seeds_and_generated_keys_differ() -> None:
    fresh = PrivateKey.generate()
    again = PrivateKey(*fresh.seeds())
    assert again.public == fresh.public
    again.public.verify(Label.SESSION, ASSOCIATION, b"", fresh.sign(Label.SESSION, ASSOCIATION, b""))
    assert PrivateKey.generate().public != fresh.public


def test_no_seed_shows_itself() -> None:
    shown = f"{KEY!r} {KEY} {[KEY]}"
    assert KEY.public.fingerprint[:8].hex() in shown
    for secret in KEY.seeds():
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize("sizes", [(31, 32), (32, 33), (0, 0)])
def test_seeds_of_another_size_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        PrivateKey(bytes(sizes[0]), bytes(sizes[1]))


@pytest.mark.parametrize("association", [b"", bytes(31), bytes(33)])
def test_an_association_id_of_another_size_is_refused(association: bytes) -> None:
    with pytest.raises(UsageError):
        KEY.sign(Label.LINKS, association, MESSAGE)
    with pytest.raises(UsageError):
        KEY.public.verify(Label.LINKS, association, MESSAGE, SIGNED)


def test_salts_are_drawn_apart() -> None:
    salts = signing.fresh_salts(50)
    assert [len(salt) for salt in salts] == [32] * 50
    assert len({*salts, *signing.fresh_salts(50)}) == 100
    assert signing.fresh_salts(0) == []


def test_labels_are_distinct_and_short_enough_for_their_length_byte() -> None:
    for labels in (list(Label), list(HashLabel)):
        assert len({label.value for label in labels}) == len(labels)
        assert all(len(label.value.encode("ascii")) < 256 for label in labels)
    assert len({digest(label, b"x") for label in HashLabel}) == len(HashLabel)


@pytest.mark.parametrize("case", load("signing")["valid"], ids=lambda case: f"{case['kind']} {case.get('label', '')}")
def test_valid_vectors(case: dict[str, Any]) -> None:
    if case["kind"] == "digest":
        assert digest(HashLabel(case["label"]), bytes.fromhex(case["data"])).hex() == case["digest"]
    elif case["kind"] == "key":
        public = PrivateKey(*map(bytes.fromhex, case["seeds"])).public
        assert [part.hex() for part in public.value()] == case["public"]
        assert public.fingerprint.hex() == case["fingerprint"]
    else:
        _verify(case)


@pytest.mark.parametrize("case", load("signing")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ValijaError) as caught:
        _verify(case)
    assert caught.value.code == case["error"]


def _verify(case: dict[str, Any]) -> None:
    public = PublicKey.parse([bytes.fromhex(part) for part in case["public"]])
    if case["kind"] == "signature":
        signature = Signature.parse([bytes.fromhex(part) for part in case["signature"]])
        association, message = bytes.fromhex(case["association"]), bytes.fromhex(case["message"])
        public.verify(Label(case["label"]), association, message, signature)


def test_every_label_has_a_vector() -> None:
    valid = load("signing")["valid"]
    assert {case["label"] for case in valid if case["kind"] == "signature"} == {label.value for label in Label}
    assert {case["label"] for case in valid if case["kind"] == "digest"} == {label.value for label in HashLabel}
