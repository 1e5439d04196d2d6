"""SPEC 9.1, 9.3 and 9.5: core, slot and attestation."""

import hashlib
from typing import NamedTuple

from tests.spec_reader.batch import Batch, Proof, batch_of, proof_of
from tests.spec_reader.digests import envelope_id
from tests.spec_reader.merkle import salted_leaf
from tests.spec_reader.padding import LEAST, MOST
from tests.spec_reader.refusal import require
from tests.spec_reader.shape import (
    Incarnation,
    Party,
    array,
    binary,
    code,
    digest,
    incarnation,
    many,
    party,
    structure,
    uint,
)
from tests.spec_reader.signing import Key
from tests.spec_reader.wire import Wire, decode

ACCEPTANCE, REJECTION, FAILURE = 1, 2, 3
WRAP = 1_843


class Core(NamedTuple):
    encoded: bytes
    sender: Party
    ciphertext_digest: bytes

    def id(self) -> bytes:
        return envelope_id(self.encoded)


class Slot(NamedTuple):
    recipient: Party
    epoch: int
    prekey_hash: bytes
    link_leaf: bytes
    wrap: bytes


class Claim(NamedTuple):
    """What an attestation says."""

    event: int
    certificate: bytes
    envelope_id: bytes
    recipient: Party
    link_leaf: bytes
    at: int


class Attestation(NamedTuple):
    data: bytes
    claim: Claim
    proof: Proof
    batch: Batch

    def check_proof(self) -> None:
        self.proof.check(salted_leaf("valija/0 acceptance leaf", self.proof.salt, self.data), self.batch)

    def check(self, key: Key, association: bytes) -> None:
        self.check_proof()
        self.batch.check(key, "valija/0 acceptances", association)


def read_core(encoded: bytes) -> Core:
    association, sender, submitted, expires_at, ciphertext, blobs = structure(encoded, 8_192, 7)
    who = party(sender)
    require(digest(association) == who[0], "malformed", "the sender is of another association")
    submission(submitted)
    uint(expires_at)
    many(blobs, _blob, most=64)
    return Core(encoded, who, digest(ciphertext))


def submission(value: Wire) -> tuple[Incarnation, int]:
    of, counter = array(value, 2)
    return incarnation(of), uint(counter, 1)


def _blob(value: Wire) -> None:
    content, size = array(value, 2)
    digest(content)
    uint(size)


def read_slot(encoded: bytes) -> Slot:
    recipient, epoch, prekey, leaf, wrap = array(decode(encoded, 2_304), 5)
    return Slot(party(recipient), uint(epoch), digest(prekey), digest(leaf), binary(wrap, WRAP))


def read_claim(encoded: bytes) -> Claim:
    event, certificate, envelope, recipient, leaf, result, at = structure(encoded, 512, 8)
    what, how = uint(event, ACCEPTANCE, FAILURE), code(result)
    require(what != ACCEPTANCE or how == "accepted", "malformed", "result")
    require(what != FAILURE or how in {"expired", "recalled"}, "malformed", "result")
    return Claim(what, digest(certificate), digest(envelope), party(recipient), digest(leaf), uint(at))


def attestation_of(value: Wire) -> Attestation:
    data, salt, index, path, batch = array(value, 5)
    raw = binary(data, most=512)
    return Attestation(raw, read_claim(raw), proof_of(salt, index, path), batch_of(batch))


def read_attestation(encoded: bytes) -> Attestation:
    return attestation_of(decode(encoded))


def check_envelope(core: Core, ciphertext: bytes, slots: list[Slot]) -> None:
    check_ciphertext(core, ciphertext)
    require(len(slots) <= 128, "limit_exceeded", "slots")
    require(slots, "malformed", "no slot")
    require(len({slot.recipient for slot in slots}) == len(slots), "malformed", "two slots for one recipient")


def check_size(ciphertext: int) -> None:
    require(ciphertext <= MOST, "limit_exceeded", "ciphertext")
    require(ciphertext >= LEAST and ciphertext & (ciphertext - 1) == 0, "malformed", "size of the ciphertext")


def check_ciphertext(core: Core, ciphertext: bytes) -> None:
    check_size(len(ciphertext))
    require(hashlib.sha256(ciphertext).digest() == core.ciphertext_digest, "malformed", "digest of the ciphertext")
