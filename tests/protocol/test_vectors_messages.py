"""The vectors of batches, contents, messages, envelopes, receipts and opening say what the code does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from protocol.batch import BatchSignature, LeafProof, check_leaf, leaf
from protocol.codec import Value, decode, encode
from protocol.errors import OpenError, ValijaError
from protocol.messages.content import from_json
from protocol.messages.envelope import Attestation, AttestationData, Core, Envelope, Slot, check_ciphertext_size
from protocol.messages.message import Body, Header, Link, Manifest, body_root
from protocol.messages.receipts import read_notice, read_receipt, read_void
from protocol.names import AssociationId, Party
from protocol.opening import receive
from protocol.sealing import Prekey
from protocol.signing import HashLabel, Label, PublicKey
from protocol.trust.registry import Registry
from tests.protocol.vectors_messages import DETERMINISTIC, RANDOMIZED
from tests.protocol.vectors_opening import expected
from tests.protocol.vectors_primitives import FOLDER, load, render
from tests.protocol.vectors_primitives import from_json as value_of

Case = dict[str, Any]


def refused(case: Case, check: Callable[[], object]) -> None:
    with pytest.raises(ValijaError) as caught:
        check()
    assert caught.value.code == case["error"]


def cases(name: str, part: str) -> Any:
    return pytest.mark.parametrize("case", load(name)[part], ids=lambda case: case.get("name", case.get("kind")))


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_vectors_come_out_the_same(name: str) -> None:
    assert render(DETERMINISTIC[name]()) == (FOLDER / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DETERMINISTIC | RANDOMIZED)
def test_every_file_describes_itself_and_every_fault_names_one_error(name: str) -> None:
    vectors = load(name)
    assert vectors["description"]
    assert vectors["valid"]
    assert all(case["error"] for case in vectors["invalid"])
    names = [case["name"] for case in vectors["invalid"]]
    assert len(set(names)) == len(names)


# -- batch -------------------------------------------------------------------------------------------
def unhex(data: str) -> bytes:
    return bytes.fromhex(data)


def value(encoded: str) -> Value:
    return decode(unhex(encoded), 1 << 20)


def check_batch(case: Case) -> None:
    if case["kind"] == "batch signature":
        BatchSignature.parse(value(case["encoded"]))
    elif case["kind"] == "leaf proof":
        LeafProof.parse(value(case["encoded"]))
    elif case["kind"] == "signature":
        key = PublicKey.parse([unhex(part) for part in load("batch")["key"]])
        batch = BatchSignature.parse(value(case["batch"]))
        batch.verify(key, Label(case["label"]), unhex(case["association"]))
    else:
        proof = LeafProof.parse(value(case["proof"]))
        stands_for = leaf(HashLabel(case["label"]), proof.salt, unhex(case["data"]))
        assert "error" in case or stands_for == unhex(case["leaf"])
        check_leaf(stands_for, proof, BatchSignature.parse(value(case["batch"])))


@cases("batch", "valid")
def test_batches_verify(case: Case) -> None:
    check_batch(case)


@cases("batch", "invalid")
def test_wrong_batches_are_refused(case: Case) -> None:
    refused(case, lambda: check_batch(case))


# -- content -----------------------------------------------------------------------------------------
def document(case: Case) -> bytes:
    return b" " * int(case.get("spaces", 0)) + unhex(case["document"])


@cases("content", "valid")
def test_contents_are_read(case: Case) -> None:
    assert from_json(document(case)).body.text


@cases("content", "invalid")
def test_wrong_contents_are_refused(case: Case) -> None:
    refused(case, lambda: from_json(document(case)))


# -- structures --------------------------------------------------------------------------------------
def read_attestation(raw: bytes) -> Attestation:
    attestation = Attestation.parse(decode(raw, 8192))
    vectors = load("envelope")
    data = AttestationData.from_bytes(attestation.data)
    salted = leaf(HashLabel.ACCEPTANCE_LEAF, attestation.proof.salt, data.raw)
    check_leaf(salted, attestation.proof, attestation.batch)
    key = PublicKey.parse([unhex(part) for part in vectors["hub_key"]])
    attestation.batch.verify(key, Label.ACCEPTANCES, unhex(vectors["association"]))
    return attestation


READERS: dict[str, Callable[[bytes], Any]] = {
    "header": Header.from_bytes,
    "manifest": Manifest.from_bytes,
    "link": Link.from_bytes,
    "core": Core.from_bytes,
    "slot": Slot.from_bytes,
    "attestation data": AttestationData.from_bytes,
    "attestation": read_attestation,
    "receipt": read_receipt,
    "void": read_void,
    "notice": read_notice,
}


def whole(case: Case) -> Envelope:
    return Envelope.from_bytes(unhex(case["core"]), bytes(8_192), [unhex(slot) for slot in case["slots"]])


def check_valid(case: Case) -> None:
    if case["kind"] == "ciphertext":
        return check_ciphertext_size(case["size"])
    if case["kind"] == "envelope":
        assert len(whole(case).slots) == len(case["slots"])
        return None
    if case["kind"] == "bodies":
        bodies = [Body(unhex(salt), unhex(part)) for salt, part in case["bodies"]]
        assert body_root(bodies).hex() == case["root"]
        return None
    read = READERS[case["kind"]](unhex(case["encoded"]))
    if "value" in case:
        assert encode(value_of(case["value"])).hex() == case["encoded"]
    for name, found in [("id", "id"), ("digest", "digest"), ("data", "data")]:
        assert name not in case or getattr(read, found).hex() == case[name]
    if "leaf" in case:
        assert read.leaf(unhex(case["salt"])).hex() == case["leaf"]
    if case["kind"] in {"receipt", "void", "notice"}:
        assert read.encode().hex() == case["encoded"]
    return None


@cases("message", "valid")
def test_messages_are_read(case: Case) -> None:
    check_valid(case)


@cases("envelope", "valid")
def test_envelopes_are_read(case: Case) -> None:
    check_valid(case)


@cases("receipts", "valid")
def test_receipts_are_read(case: Case) -> None:
    check_valid(case)


def check_refused(case: Case) -> None:
    if case["kind"] == "ciphertext":
        refused(case, lambda: check_ciphertext_size(case["size"]))
    elif case["kind"] == "envelope":
        refused(case, lambda: whole(case))
    else:
        refused(case, lambda: READERS[case["kind"]](unhex(case["encoded"])))


@cases("message", "invalid")
def test_wrong_messages_are_refused(case: Case) -> None:
    check_refused(case)


@cases("envelope", "invalid")
def test_wrong_envelopes_are_refused(case: Case) -> None:
    check_refused(case)


@cases("receipts", "invalid")
def test_wrong_receipts_are_refused(case: Case) -> None:
    check_refused(case)


# -- opening -----------------------------------------------------------------------------------------
@cache
def registry_of(leaves: int | None) -> Registry:
    rows = load("opening")["registry"][:leaves]
    registry = Registry(AssociationId(unhex(load("opening")["me"][0])))
    for entry, signed in rows:
        assert registry.append(unhex(entry), unhex(signed)).applied
    return registry


def opened(case: Case) -> Any:
    vectors = load("opening")
    case = {"me": vectors["me"], "prekey": vectors["prekey"], "leaves": None} | vectors["valid"][0] | case
    association, member = case["me"]

    def find(_hash: bytes) -> Prekey:
        if case["prekey"] is None:
            raise OpenError
        return Prekey(unhex(case["prekey"]))

    return receive(
        unhex(case["core"]),
        unhex(case["ciphertext"]),
        unhex(case["slot"]),
        Attestation.parse(value(case["attestation"])),
        registry_of(case["leaves"]),
        Party(AssociationId(unhex(association)), member),
        find,
    )


@cases("opening", "valid")
def test_envelopes_open(case: Case) -> None:
    assert expected(opened(case)) == case["expected"]


@cases("opening", "invalid")
def test_wrong_envelopes_do_not_open(case: Case) -> None:
    refused(case, lambda: opened(case))
