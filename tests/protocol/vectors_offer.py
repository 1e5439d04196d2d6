"""Writes the vectors of offers: `python -m tests.protocol.vectors_offer`.

They hold ML-DSA signatures, which are randomized: written once, and only verified afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from protocol.codec import Value, decode, encode
from protocol.limits import MAX_OFFER_BYTES, MAX_OFFER_LEAVES, MAX_STATEMENT_BYTES
from protocol.merkle import consistency, leaf_hash, root
from protocol.names import AssociationId
from protocol.trust.checkpoint import LogPrivateKey
from protocol.trust.offer import Offer
from protocol.trust.registry import Entry, entry_bytes
from tests.protocol.vectors_primitives import FOLDER, Vectors, flip, render, seed
from tests.protocol.vectors_registry import put
from tests.support.world import World

HELD = 4
WORLD = World(n_stewards=1, k=1, members=("ar-mpf",))
KEY = LogPrivateKey(WORLD.registry.charter.hub.origin, WORLD.log_seed, WORLD.log_ed25519_seed)
SIZE = len(WORLD.entries)


def made(first: int = HELD, end: int = SIZE, size: int = SIZE) -> Offer:
    """What a mirror offers from `first` to `end`, proven by the checkpoint of the first `size` leaves."""
    leaves = [leaf_hash(each) for each in WORLD.entries[:size]]
    top = root(leaves)
    signed = KEY.sign(size, top, WORLD.now)
    offered = list(zip(WORLD.entries[first:end], (each.raw for each in WORLD.statements[first:end]), strict=True))
    proof = consistency(leaves, end)
    return Offer(WORLD.association, size, top, signed.cosignature, first, offered, proof)


def changed(offer: Offer, *edits: tuple[tuple[int, ...], Value]) -> bytes:
    """The offer with these elements replaced, whatever comes of it."""
    value = decode(offer.encode(), MAX_OFFER_BYTES)
    for path, new in edits:
        value = put(value, path, new)
    return encode(value)


def with_entry(offer: Offer, entry: bytes) -> bytes:
    return replace(offer, leaves=[(entry, offer.leaves[0][1]), *offer.leaves[1:]]).encode()


def at_another_time(offer: Offer, later: int) -> bytes:
    entry = Entry.parse(offer.leaves[0][0])
    return with_entry(offer, entry_bytes(entry.type, entry.logged_at + later, entry.hash))


def answered() -> Iterable[tuple[str, bytes, int]]:
    """(name, offer, size of the hub's log afterwards)"""
    whole, stranger = made(), LogPrivateKey.generate(KEY.public.origin)
    unsigned = stranger.sign(SIZE, whole.root, WORLD.now).cosignature
    yield "all that is lacking", whole.encode(), SIZE
    yield "a part of it", made(end=HELD + 1).encode(), HELD + 1
    yield "proven by an older checkpoint", made(end=SIZE - 1, size=SIZE - 1).encode(), SIZE - 1
    yield "of what is held already", made(HELD - 1).encode(), HELD
    yield "beyond what is held", made(HELD + 1).encode(), HELD
    yield "a checkpoint of the size that is held", made(HELD - 1, HELD, HELD).encode(), HELD
    yield "of what is held, not signed by the log", replace(made(HELD - 1), cosignature=unsigned).encode(), HELD


def refused() -> Iterable[tuple[str, bytes, str]]:
    """(name, offer, code): wrong in one way."""
    whole, part = made(), made(end=HELD + 1)
    stranger = LogPrivateKey.generate(KEY.public.origin)
    unsigned = stranger.sign(SIZE, part.root, WORLD.now).cosignature
    statement = part.leaves[0][1]
    yield "another version", changed(part, ((0,), 1)), "unsupported_version"
    yield "nothing but a version", encode([0]), "malformed"
    yield "a field too many", encode([*decode(part.encode(), MAX_OFFER_BYTES), 0]), "malformed"  # type: ignore[misc]
    yield "association of 31 bytes", changed(part, ((1,), bytes(31))), "malformed"
    yield "size that ends before the leaves", changed(part, ((2,), HELD)), "malformed"
    yield "size of 2^63", changed(part, ((2,), 1 << 63)), "malformed"
    yield "short root", changed(part, ((3,), bytes(31))), "malformed"
    yield "no signature", changed(part, ((4,), [1])), "malformed"
    yield "time of 2^63", changed(part, ((4, 0), 1 << 63)), "malformed"
    yield "short signature", changed(part, ((4, 1), bytes(2_419))), "malformed"
    yield "first of 2^63", changed(part, ((5,), 1 << 63)), "malformed"
    yield "no leaf", changed(part, ((6,), [])), "malformed"
    yield "leaf without a statement", changed(part, ((6, 0), [part.leaves[0][0]])), "malformed"
    yield "8,193 leaves", changed(part, ((6,), [None] * (MAX_OFFER_LEAVES + 1))), "limit_exceeded"
    yield "entry of 65 bytes", changed(part, ((6, 0, 0), bytes(65))), "limit_exceeded"
    yield "long statement", changed(part, ((6, 0, 1), bytes(MAX_STATEMENT_BYTES + 1))), "limit_exceeded"
    yield "hash of 31 bytes in the proof", changed(part, ((7, 0), bytes(31))), "malformed"
    yield "proof of 129 hashes", changed(part, ((7,), [bytes(32)] * 129)), "limit_exceeded"
    yield "trailing byte", part.encode() + b"\0", "malformed"
    yield (
        "another association",
        replace(part, association=AssociationId(seed("foreign"))).encode(),
        "wrong_association",
    )
    yield "signed by another log", replace(part, cosignature=unsigned).encode(), "bad_signature"
    yield "another size than was signed", replace(part, size=SIZE + 1).encode(), "bad_signature"
    yield "another root than was signed", replace(part, root=flip(part.root, 0)).encode(), "bad_signature"
    yield "another time than was signed", changed(part, ((4, 0), WORLD.now + 1)), "bad_signature"
    yield "an entry that is none", with_entry(part, b"nothing"), "bad_log"
    yield "an entry before the one held", at_another_time(part, -(1 << 20)), "bad_log"
    yield "an entry later than the signed one", at_another_time(part, 1), "bad_proof"
    yield "another statement", changed(part, ((6, 0, 1), flip(statement, -1))), "bad_proof"
    yield "a leaf less than was signed", replace(whole, leaves=whole.leaves[:-1]).encode(), "bad_proof"
    yield "the leaf after it in its place", replace(part, leaves=made(HELD + 1, HELD + 2).leaves).encode(), "bad_proof"
    yield "a proof where none is needed", replace(whole, proof=[bytes(32)]).encode(), "bad_proof"
    yield "a proof that lacks a hash", replace(part, proof=part.proof[:-1]).encode(), "bad_proof"


def offers() -> Vectors:
    """The file."""
    public = KEY.public
    return {
        "description": "SPEC 6.3, a hub put back from a backup: offers made to a hub whose log has these leaves. "
        "valid: the size of its log afterwards, which is that of before where it takes in nothing. "
        "invalid: the code with which it refuses.",
        "association": WORLD.association.hex(),
        "log": {"origin": public.origin, "mldsa44": public.mldsa44.hex()},
        "held": [each.hex() for each in WORLD.entries[:HELD]],
        "valid": [{"name": name, "offer": raw.hex(), "size": size} for name, raw, size in answered()],
        "invalid": [{"name": name, "offer": raw.hex(), "error": code} for name, raw, code in refused()],
    }


def main() -> None:
    """Write the file."""
    (FOLDER / "offer.json").write_text(render(offers()), encoding="utf-8")


if __name__ == "__main__":
    main()
