"""What a mirror offers a hub is proven by the log's own signature, in pieces of any size, and every fault has its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.errors import (
    LimitError,
    LogError,
    MalformedError,
    ProofError,
    SignatureError,
    ValijaError,
    VersionError,
    WrongAssociationError,
)
from protocol.limits import MAX_OFFER_BYTES, MAX_OFFER_LEAVES, MAX_STATEMENT_BYTES
from protocol.merkle import Frontier, consistency, leaf_hash
from protocol.trust.checkpoint import LogKey, LogPrivateKey
from protocol.trust.offer import Offer
from protocol.trust.registry import Entry, entry_bytes
from tests.protocol.vectors_primitives import load
from tests.protocol.vectors_registry import ERRORS
from tests.support.world import World

HELD = 3


@cache
def world() -> World:
    return World()


@cache
def key() -> LogPrivateKey:
    return LogPrivateKey(world().registry.charter.hub.origin, world().log_seed, world().log_ed25519_seed)


def log() -> LogKey:
    return key().public


def made(first: int = HELD, count: int | None = None) -> Offer:
    """What a mirror of the whole world offers from `first` on."""
    entries, statements = world().entries, [each.raw for each in world().statements]
    end = len(entries) if count is None else first + count
    signed = key().sign(len(entries), world().registry.root, world().now)
    leaves = list(zip(entries[first:end], statements[first:end], strict=True))
    proof = consistency([leaf_hash(each) for each in entries], end)
    association = world().association
    return Offer(association, len(entries), world().registry.root, signed.cosignature, first, leaves, proof)


def held(size: int = HELD) -> tuple[Frontier, int]:
    frontier = Frontier()
    for entry in world().entries[:size]:
        frontier.append(leaf_hash(entry))
    return frontier, Entry.parse(world().entries[size - 1]).logged_at


@given(first=st.integers(1, 8), count=st.integers(1, 20))
def test_any_piece_is_proven_by_itself(first: int, count: int) -> None:
    size = len(world().entries)
    offer = made(first, min(count, size - first))
    assert Offer.parse(offer.encode()) == offer
    frontier, logged_at = held(first)
    offer.check(log(), frontier, logged_at)
    assert frontier.size == first, "what is checked is not taken in yet"


def changed(offer: Offer, at: int, value: object) -> bytes:
    fields = decode(offer.encode(), MAX_OFFER_BYTES)
    assert isinstance(fields, list)
    fields[at] = value
    return encode(fields)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda offer: changed(offer, 0, 1), VersionError),
        (lambda _offer: encode([1]), VersionError),
        (lambda _offer: encode([0]), MalformedError),
        (lambda offer: changed(offer, 1, b"short"), MalformedError),
        (lambda offer: changed(offer, 2, HELD), MalformedError),
        (lambda offer: changed(offer, 3, b"short"), MalformedError),
        (lambda offer: changed(offer, 4, [1]), MalformedError),
        (lambda offer: changed(offer, 5, 1 << 63), MalformedError),
        (lambda offer: changed(offer, 5, offer.size), MalformedError),
        (lambda offer: changed(offer, 6, []), MalformedError),
        (lambda offer: changed(offer, 6, [[b"x"]]), MalformedError),
        (lambda offer: changed(offer, 6, [[b"x" * 65, b"y"]]), LimitError),
        (lambda offer: changed(offer, 6, [[b"x", bytes(MAX_STATEMENT_BYTES + 1)]]), LimitError),
        (lambda offer: changed(offer, 6, [[b"", b""]] * (MAX_OFFER_LEAVES + 1)), LimitError),
        (lambda offer: changed(offer, 7, [b"short"]), MalformedError),
        (lambda offer: changed(offer, 7, [b"x" * 32] * 129), LimitError),
        (lambda offer: offer.encode()[:-1], MalformedError),
        (lambda _offer: bytes(MAX_OFFER_BYTES + 1), LimitError),
    ],
)
def test_what_is_no_offer(change: Callable[[Offer], bytes], error: type[ValijaError]) -> None:
    with pytest.raises(error):
        Offer.parse(change(made()))


@cache
def strangers() -> LogPrivateKey:
    return LogPrivateKey.generate(key().public.origin)


def with_leaf(offer: Offer, entry: bytes, statement: bytes) -> Offer:
    return replace(offer, leaves=[(entry, statement), *offer.leaves[1:]])


def another_entry(offer: Offer, logged_at: int) -> Offer:
    entry, statement = offer.leaves[0]
    parsed = Entry.parse(entry)
    return with_leaf(offer, entry_bytes(parsed.type, logged_at, parsed.hash), statement)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda o: replace(o, cosignature=strangers().sign(o.size, o.root, 1).cosignature), SignatureError),
        (lambda o: replace(o, size=o.size + 1), SignatureError),
        (lambda o: replace(o, root=bytes(32)), SignatureError),
        (lambda o: with_leaf(o, b"nothing", o.leaves[0][1]), LogError),
        (lambda o: with_leaf(o, b"\x91" * 20 + b"\x00", o.leaves[0][1]), LogError),
        (lambda o: another_entry(o, 1), LogError),
        (lambda o: another_entry(o, Entry.parse(o.leaves[0][0]).logged_at + 1), LogError),
        (lambda o: with_leaf(o, o.leaves[0][0], b"another statement"), ProofError),
        (lambda o: replace(o, leaves=o.leaves[:-1]), ProofError),
        (lambda o: replace(o, leaves=[*o.leaves[1:], o.leaves[0]]), ProofError),
        (lambda o: replace(o, proof=[bytes(32)]), ProofError),
        (lambda _o: made(HELD - 1), ProofError),
        (lambda _o: made(HELD + 1), ProofError),
    ],
)
def test_what_the_log_did_not_sign(change: Callable[[Offer], Offer], error: type[ValijaError]) -> None:
    with pytest.raises(error):
        change(made()).check(log(), *held())


def test_an_entry_that_comes_later_than_the_signed_one_is_another_tree() -> None:
    offer = made(count=1)
    with pytest.raises(ProofError):
        another_entry(offer, Entry.parse(offer.leaves[0][0]).logged_at + 1).check(log(), *held())


# -- vectors -------------------------------------------------------------------------------------------
FILE = load("offer")


def answered(raw: bytes) -> int:
    """The size of the log of a hub that is offered this: what `hub.core` does, in the same order."""
    frontier = Frontier()
    for entry in FILE["held"]:
        frontier.append(leaf_hash(bytes.fromhex(entry)))
    offer = Offer.parse(raw)
    if offer.association.hex() != FILE["association"]:
        raise WrongAssociationError
    if offer.size <= frontier.size or offer.first != frontier.size:
        return frontier.size
    signer = LogKey(FILE["log"]["origin"], bytes.fromhex(FILE["log"]["mldsa44"]), key().public.ed25519)
    offer.check(signer, frontier, Entry.parse(bytes.fromhex(FILE["held"][-1])).logged_at)
    return offer.first + len(offer.leaves)


@pytest.mark.parametrize("case", FILE["valid"], ids=lambda case: case["name"])
def test_valid_vectors(case: dict[str, Any]) -> None:
    assert answered(bytes.fromhex(case["offer"])) == case["size"]


@pytest.mark.parametrize("case", FILE["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ERRORS[case["error"]]) as caught:
        answered(bytes.fromhex(case["offer"]))
    assert caught.value.code == case["error"]
