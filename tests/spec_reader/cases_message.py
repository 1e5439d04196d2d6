"""How the vectors of messages and envelopes are read."""

import hashlib
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.spec_reader import envelope as envelopes
from tests.spec_reader.bodies import check_notice, check_receipt, check_void
from tests.spec_reader.cases_base import Case, key, unhex, value_of
from tests.spec_reader.content import read_content
from tests.spec_reader.hpke import Private
from tests.spec_reader.message import bodies_root, link_leaf, read_header, read_link, read_manifest
from tests.spec_reader.opening import Delivery, Received, Recipient, receive
from tests.spec_reader.registry import replay
from tests.spec_reader.state import State
from tests.spec_reader.wire import decode, encode


def content(_: Case, case: Case) -> None:
    read_content(b" " * case.get("spaces", 0) + unhex(case["document"]))


def _check_value(case: Case) -> None:
    raw = unhex(case["encoded"])
    assert decode(raw) == value_of(case["value"])
    assert encode(value_of(case["value"])) == raw


def message(_: Case, case: Case) -> None:
    if case["kind"] == "bodies":
        assert bodies_root([(unhex(salt), unhex(part)) for salt, part in case["bodies"]]).hex() == case["root"]
        return
    raw = unhex(case["encoded"])
    if case["kind"] == "header":
        read_header(raw)
    elif case["kind"] == "manifest":
        manifest = read_manifest(raw)
        assert manifest.digest().hex() == case["digest"]
    else:
        read_link(raw)
        assert link_leaf(unhex(case["salt"]), raw).hex() == case["leaf"]
    _check_value(case)


def receipts(_: Case, case: Case) -> None:
    check = {"receipt": check_receipt, "void": check_void, "notice": check_notice}[case["kind"]]
    check(unhex(case["encoded"]))
    _check_value(case)


def envelope(file: Case, case: Case) -> None:
    kind = case["kind"]
    if kind == "ciphertext":
        envelopes.check_size(case["size"])
        return
    if kind == "envelope":
        slots = [envelopes.read_slot(slot) for slot in unhex(case["slots"])]
        envelopes.check_envelope(envelopes.read_core(unhex(case["core"])), bytes(8_192), slots)
        return
    raw = unhex(case["encoded"])
    if kind == "attestation":
        attestation = envelopes.read_attestation(raw)
        attestation.check(key(file["hub_key"]), unhex(file["association"]))
        assert attestation.data.hex() == case["data"]
        return
    if kind == "core":
        core = envelopes.read_core(raw)
        assert core.id().hex() == case["id"]
        envelopes.check_ciphertext(core, bytes(8_192))
    elif kind == "slot":
        envelopes.read_slot(raw)
    else:
        envelopes.read_claim(raw)
    _check_value(case)


@cache
def _state(association: str, leaves: tuple[tuple[str, str], ...]) -> State:
    state, outcomes = replay(bytes.fromhex(association), [(unhex(entry), unhex(signed)) for entry, signed in leaves])
    assert not any(outcomes), outcomes
    return state


def opening(file: Case, case: Case) -> None:
    whole = {**file["valid"][0], **file, **case}
    leaves = tuple((entry, signed) for entry, signed in file["registry"])[: case.get("leaves")]
    delivery = Delivery(*(unhex(whole[part]) for part in ("core", "ciphertext", "slot", "attestation")))
    me = unhex(whole["me"][0]), whole["me"][1]
    received = receive(delivery, Recipient(me, _prekey(whole["prekey"]), _state(file["me"][0], leaves)))
    assert _shown(received) == case["expected"]


def _prekey(secret: str | None) -> Private | None:
    if secret is None:
        return None
    raw = bytes.fromhex(secret)
    return Private(MLKEM768PrivateKey.from_seed_bytes(raw[:64]), X25519PrivateKey.from_private_bytes(raw[64:]))


def _shown(received: Received) -> dict[str, Any]:
    manifest = received.payload.manifest
    for body in received.payload.bodies:
        assert body.header is None or hashlib.sha256(body.content).digest() == body.header.content_digest
    return {
        "sender": manifest.sender[1],
        "certificate": manifest.certificate.hex(),
        "kind": manifest.kind,
        "audience": [member for _, member in manifest.audience],
        "network": manifest.network,
        "manifest_digest": manifest.digest().hex(),
        "link": received.link.encoded.hex(),
        "first_seq": received.link.first_seq,
        "accepted_at": received.accepted_at,
        "negatives": [negative.hex() for negative in received.view.negatives],
        "bodies": [
            {
                "signed_part": body.part.hex(),
                "content": body.content.decode(),
                "file_keys": [file_key.hex() for file_key in body.file_keys],
            }
            for body in received.payload.bodies
        ],
    }
