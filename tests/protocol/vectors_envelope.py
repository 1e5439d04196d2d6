"""The vectors of batches, cores, slots and attestations (SPEC 4.4, 9.1 to 9.5), and what all vectors of messages share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocol.batch import leaf, sign_batch
from protocol.codec import Value, decode, encode
from protocol.messages.envelope import Attestation, AttestationData, Blob, Core, Event, Slot, Submission, attest
from protocol.names import AssociationId, Digest, EnvelopeId, Incarnation, MessageId, Party
from protocol.signing import HashLabel, Label
from tests.protocol.vectors_primitives import Vectors, flip, seed
from tests.protocol.vectors_primitives import to_json as value_json
from tests.protocol.vectors_registry import Path, put
from tests.support.world import START, World, private_key

HOME, FOREIGN = AssociationId(seed("association")), AssociationId(seed("foreign association"))
ME, YOU, THIRD = Party(HOME, "ar-mpf"), Party(HOME, "co-fgn"), Party(HOME, "br-mpf")
FIRST, SECOND = Incarnation(1, 4), Incarnation(2, 90)
MESSAGE = MessageId(seed("message", 16))
TOO_LARGE = 2**63


def digest(name: str) -> Digest:
    return Digest(seed(name))


def told(raw: bytes, **more: Any) -> Vectors:
    """A valid structure: its bytes and the value that they encode."""
    return {"encoded": raw.hex(), "value": value_json(decode(raw, 1 << 20)), **more}


Fault = tuple[str, Path, Value, str]


def faults(kind: str, raw: bytes, *cases: Fault) -> Iterable[Vectors]:
    """Copies of a valid structure with one element replaced, and the faults that every structure can have."""
    value = decode(raw, 1 << 20)
    shortest = value[0] if isinstance(value, list) else None
    for name, path, new, error in cases:
        yield {"kind": kind, "name": f"{kind}: {name}", "encoded": encode(put(value, path, new)).hex(), "error": error}
    yield {"kind": kind, "name": f"{kind}: a byte more", "encoded": raw.hex() + "00", "error": "malformed"}
    yield {"kind": kind, "name": f"{kind}: a byte less", "encoded": raw[:-1].hex(), "error": "malformed"}
    if shortest == 0:
        longer = raw[:1] + b"\xcc\x00" + raw[2:]
        yield {"kind": kind, "name": f"{kind}: another encoding", "encoded": longer.hex(), "error": "non_canonical"}
        later = encode(put(value, (0,), 1)).hex()
        yield {"kind": kind, "name": f"{kind}: another version", "encoded": later, "error": "unsupported_version"}


# -- batch -------------------------------------------------------------------------------------------
def batch() -> Vectors:
    key = private_key("vector batch")
    datas = [b"", b"one", b"two", b"three", b"four"]
    salts = [seed(f"salt {number}") for number in range(5)]

    def signed(count: int) -> tuple[Any, Any]:
        return sign_batch(key, Label.LINKS, HashLabel.LINK_LEAF, HOME, datas[:count], salts[:count])

    def signature(raw: bytes, **more: str) -> Vectors:
        case = {"kind": "signature", "label": "valija/0 links", "association": HOME.hex(), "batch": raw.hex()}
        return case | more

    def proved(count: int, index: int, **more: str) -> Vectors:
        batch, proofs = signed(count)
        leaf_hex = leaf(HashLabel.LINK_LEAF, salts[index], datas[index]).hex()
        proof = encode(proofs[index].value()).hex()
        case = {"kind": "leaf", "label": "valija/0 link leaf", "data": datas[index].hex(), "leaf": leaf_hex}
        return case | {"proof": proof, "batch": encode(batch.value()).hex()} | more

    def bad_proof(name: str, path: Path, new: Value) -> Vectors:
        value = decode(encode(signed(5)[1][2].value()), 8192)
        return proved(5, 2, name=name, proof=encode(put(value, path, new)).hex(), error="bad_proof")

    whole = encode(signed(5)[0].value())
    value = decode(whole, 8192)
    acceptances = {"label": "valija/0 acceptances"}
    refused = {"error": "bad_signature"}
    return {
        "description": "SPEC 4.4. signature: an encoded batch signature that verifies under `key` with label and association. "
        "leaf: the leaf of label, salt (in the proof) and data, and an encoded leaf proof that leads to the batch's root. "
        "form: an encoded batch signature or leaf proof that is not well-formed.",
        "key": [part.hex() for part in key.public.value()],
        "valid": [
            *(signature(encode(signed(count)[0].value())) for count in (1, 5)),
            *(proved(count, index) for count, index in ((1, 0), (2, 1), (5, 0), (5, 2), (5, 4))),
        ],
        "invalid": [
            signature(encode(put(value, (0,), bytes(32))), name="another root", **refused),
            signature(encode(put(value, (1,), 4)), name="another count", **refused),
            signature(flip(whole, 40), name="changed Ed25519 half", **refused),
            signature(flip(whole, -1), name="changed ML-DSA half", **refused),
            signature(whole, name="another label", **acceptances, **refused),
            signature(whole, name="another association", association=FOREIGN.hex(), **refused),
            proved(5, 2, name="another leaf label", label="valija/0 acceptance leaf", error="bad_proof"),
            proved(5, 2, name="other data", data=b"other".hex(), error="bad_proof"),
            bad_proof("another salt", (0,), bytes(32)),
            bad_proof("another index", (1,), 3),
            bad_proof("index is the count", (1,), 5),
            bad_proof("another path", (2, 0), bytes(32)),
            bad_proof("path too short", (2,), []),
            bad_proof("path too long", (2,), [bytes(32)] * 4),
            *faults(
                "batch signature",
                whole,
                ("no leaves", (1,), 0, "malformed"),
                ("4,097 leaves", (1,), 4097, "malformed"),
                ("short root", (0,), bytes(31), "malformed"),
                ("short Ed25519 half", (2,), bytes(63), "malformed"),
                ("short ML-DSA half", (3,), bytes(3308), "malformed"),
            ),
            *faults(
                "leaf proof",
                encode(signed(5)[1][2].value()),
                ("short salt", (0,), bytes(31), "malformed"),
                ("index 4,096", (1,), 4096, "malformed"),
                ("a hash of 31 bytes", (2, 0), bytes(31), "malformed"),
                ("13 hashes", (2,), [bytes(32)] * 13, "limit_exceeded"),
            ),
        ],
    }


# -- envelope ----------------------------------------------------------------------------------------
def envelope() -> Vectors:
    world = World(members=["ar-mpf"])
    ciphertext = bytes(8192)
    core = Core.build(ME, Submission(FIRST, 7), START, ciphertext, [Blob(digest("blob"), 10)])
    slot = Slot.build(YOU, 20_000, digest("prekey"), digest("link leaf"), seed("wrap", 1843))
    again = Slot.build(YOU, 20_001, digest("another prekey"), digest("link leaf"), seed("another wrap", 1843))
    other = Slot.build(THIRD, 20_000, digest("prekey"), digest("link leaf"), seed("wrap", 1843))
    results = [(Event.ACCEPTED, "accepted"), (Event.REJECTED, "mailbox_full"), (Event.FAILED, "expired")]
    datas = [
        AttestationData.build(event, world.hub_certificate, EnvelopeId(core.id), slot, result, START)
        for event, result in [*results, (Event.FAILED, "recalled")]
    ]
    attestations = attest(world.hub_key, world.association, datas, [seed(f"attestation {at}") for at in range(4)])
    foreign = Core.build(Party(FOREIGN, "xx"), Submission(FIRST, 7), START, ciphertext)

    def whole(*slots: Slot, **more: str) -> Vectors:
        return {"kind": "envelope", "core": core.raw.hex(), "slots": [each.raw.hex() for each in slots], **more}

    def attested(it: Attestation, **more: str) -> Vectors:
        return {"kind": "attestation", "encoded": encode(it.value()).hex(), **more}

    first = decode(encode(attestations[0].value()), 8192)
    return {
        "description": "SPEC 9.1, 9.3, 9.5. core (with the envelope id, and the digest of 8,192 zero bytes), slot, attestation data: encoded, "
        "and their value as in message.json. attestation: encoded, its data the case's; it verifies under `hub_key` for `association`. "
        "ciphertext: a size in bytes. envelope: a core and its slots, with a ciphertext of 8,192 zero bytes.",
        "association": world.association.hex(),
        "hub_key": [part.hex() for part in world.hub_key.public.value()],
        "valid": [
            *({"kind": "core", **told(each.raw, id=each.id.hex())} for each in (core, foreign)),
            {"kind": "slot", **told(slot.raw)},
            *({"kind": "attestation data", **told(each.raw)} for each in datas),
            *(attested(it, data=it.data.hex()) for it in attestations),
            *({"kind": "ciphertext", "size": 1 << bits} for bits in range(13, 21)),
            whole(slot),
            whole(slot, other),
        ],
        "invalid": [
            *faults(
                "core",
                core.raw,
                ("another association than the sender's", (1,), FOREIGN, "malformed"),
                ("sender in capitals", (2, 1), "AR", "malformed"),
                ("sender of 33 letters", (2, 1), "a" * 33, "malformed"),
                ("incarnation under charter 0", (3, 0, 0), 0, "malformed"),
                ("counter 0", (3, 1), 0, "malformed"),
                ("counter 2^63", (3, 1), TOO_LARGE, "malformed"),
                ("expiry of 2^63", (4,), TOO_LARGE, "malformed"),
                ("short ciphertext digest", (5,), bytes(31), "malformed"),
                ("a blob without size", (6, 0), [bytes(32)], "malformed"),
                ("65 blobs", (6,), [[bytes(32), 1]] * 65, "limit_exceeded"),
                ("over 8 KiB", (6,), bytes(8192), "limit_exceeded"),
            ),
            *faults(
                "slot",
                slot.raw,
                ("recipient without association", (0,), "co-fgn", "malformed"),
                ("epoch 2^63", (1,), TOO_LARGE, "malformed"),
                ("short prekey hash", (2,), bytes(31), "malformed"),
                ("short link leaf", (3,), bytes(31), "malformed"),
                ("short wrap", (4,), bytes(1842), "malformed"),
                ("over 2,304 bytes", (4,), bytes(2304), "limit_exceeded"),
            ),
            *faults(
                "attestation data",
                datas[0].raw,
                ("event 0", (1,), 0, "malformed"),
                ("event 4", (1,), 4, "malformed"),
                ("short certificate", (2,), bytes(31), "malformed"),
                ("accepted, but expired", (6,), "expired", "malformed"),
                ("failed, but accepted", (1,), 3, "malformed"),
                ("result of 65 bytes", (6,), "a" * 65, "limit_exceeded"),
                ("time of 2^63", (7,), TOO_LARGE, "malformed"),
            ),
            {
                "kind": "attestation data",
                "name": "attestation data: result in words",
                "encoded": encode(put(decode(datas[1].raw, 512), (6,), "Mailbox full")).hex(),
                "error": "malformed",
            },
            *(
                {"kind": "attestation", "name": name, "encoded": encode(put(first, path, new)).hex(), "error": error}
                for name, path, new, error in [
                    ("attestation: other data", (0,), attestations[1].data, "bad_proof"),
                    ("attestation: another salt", (1,), bytes(32), "bad_proof"),
                    ("attestation: another index", (2,), 1, "bad_proof"),
                    ("attestation: another root", (4, 0), bytes(32), "bad_proof"),
                    ("attestation: another signature", (4, 2), bytes(64), "bad_signature"),
                    ("attestation: no path", (3,), None, "malformed"),
                ]
            ),
            {"kind": "ciphertext", "name": "4,096 bytes", "size": 4096, "error": "malformed"},
            {"kind": "ciphertext", "name": "no power of two", "size": 12_288, "error": "malformed"},
            {"kind": "ciphertext", "name": "2 MiB", "size": 1 << 21, "error": "limit_exceeded"},
            whole(name="envelope: no slot", error="malformed"),
            whole(slot, again, name="envelope: two slots for one recipient", error="malformed"),
            whole(slot, other, slot, name="envelope: a slot twice", error="malformed"),
        ],
    }
