"""SPEC 9.6: what a recipient checks, in its order."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from tests.spec_reader.envelope import (
    ACCEPTANCE,
    Attestation,
    Core,
    Slot,
    check_ciphertext,
    read_attestation,
    read_core,
    read_slot,
)
from tests.spec_reader.facts import HUB, NODE, Negative
from tests.spec_reader.hpke import Private
from tests.spec_reader.merkle import root
from tests.spec_reader.message import Link, Manifest, View, bodies_root, link_leaf
from tests.spec_reader.notes import Checkpoint, check_cosignature
from tests.spec_reader.payload import Payload, Wrapped, open_ciphertext, read_payload, read_wrapped, unwrap
from tests.spec_reader.refusal import Refused, refuse, require
from tests.spec_reader.shape import Party
from tests.spec_reader.state import State
from tests.spec_reader.statements import read_statement


class Delivery(NamedTuple):
    core: bytes
    ciphertext: bytes
    slot: bytes
    attestation: bytes


class Recipient(NamedTuple):
    me: Party
    prekey: Private | None
    state: State


class Received(NamedTuple):
    payload: Payload
    link: Link
    view: View
    accepted_at: int


def receive(delivery: Delivery, recipient: Recipient) -> Received:
    core, slot = read_core(delivery.core), read_slot(delivery.slot)
    attestation = read_attestation(delivery.attestation)
    check_ciphertext(core, delivery.ciphertext)
    require(core.sender[0] == recipient.me[0], "wrong_association")
    _check_attestation(attestation, core, slot, recipient.state)
    require(attestation.claim.envelope_id == core.id(), "unverifiable", "another envelope")
    require(slot.recipient == recipient.me, "wrong_recipient")
    plain = unwrap(core, slot, recipient.prekey)
    padded = open_ciphertext(plain, delivery.ciphertext)
    wrapped, payload = read_wrapped(plain), read_payload(padded)
    view = _check_view(payload.manifest, recipient)
    accepted_at = _first_acceptance(attestation, payload, core, slot, recipient.state)
    _check_signature(wrapped, payload, core, slot, recipient.state, accepted_at)
    _check_link(wrapped.link, payload.manifest, recipient)
    _check_bodies(payload)
    _check_audience(payload.manifest, view, recipient)
    return Received(payload, wrapped.link, view, accepted_at)


def _check_attestation(attestation: Attestation, core: Core, slot: Slot, state: State) -> None:
    """Step 2, but for the envelope id."""
    claim = attestation.claim
    key = state.holder(claim.certificate, claim.at, HUB, "")
    attestation.check(key, core.sender[0])
    named = (claim.event, claim.recipient, claim.link_leaf)
    require(named == (ACCEPTANCE, slot.recipient, slot.link_leaf), "unverifiable", "not of this slot")


def _check_view(manifest: Manifest, recipient: Recipient) -> View:
    """Step 6, of the own association."""
    view = next(view for view in manifest.views if view.association == recipient.me[0])
    require(any(_log_signed(view, recipient.state)), "bad_signature", "the log did not sign the view")
    require(view.size <= len(recipient.state.leaves), "view_ahead")
    require(root(recipient.state.leaves[: view.size]) == view.root, "forked_view")
    for negative in view.negatives:
        require(isinstance(read_statement(negative).body, Negative), "malformed", "no negative")
    return view


def _log_signed(view: View, state: State) -> Iterator[bool]:
    """By the log key of each charter of the chain."""
    for governed in state.charters:
        log = governed.charter.hub.log
        try:
            check_cosignature(log, Checkpoint(log.name, view.size, view.root), view.timestamp, view.signature)
        except Refused:
            yield False
        else:
            yield True


def _first_acceptance(delivered: Attestation, payload: Payload, core: Core, slot: Slot, state: State) -> int:
    earlier = [other for other in payload.acceptances if other.claim.link_leaf == slot.link_leaf]
    for other in earlier:
        _check_attestation(other, core, slot, state)
    return min(attestation.claim.at for attestation in [delivered, *earlier])


def _check_signature(wrapped: Wrapped, payload: Payload, core: Core, slot: Slot, state: State, at: int) -> None:
    """Step 7."""
    leaf = link_leaf(wrapped.proof.salt, wrapped.link.encoded)
    require(leaf == slot.link_leaf, "bad_proof", "not the slot's link leaf")
    wrapped.proof.check(leaf, payload.batch)
    sender = payload.manifest.sender
    key = state.holder(payload.manifest.certificate, at, NODE, sender[1])
    require(sender == core.sender, "unverifiable", "two senders")
    payload.batch.check(key, "valija/0 links", sender[0])


def _check_link(link: Link, manifest: Manifest, recipient: Recipient) -> None:
    """Step 8."""
    named = (link.manifest, link.kind, link.bodies, link.recipient)
    expected = (manifest.digest(), manifest.kind, manifest.bodies, recipient.me)
    require(named == expected, "unverifiable", "the link is of something else")
    registered = [opened for opened, _ in recipient.state.incarnations.get((NODE, manifest.sender[1]), [])]
    require(link.incarnation in registered, "unverifiable", "incarnation")


def _check_bodies(payload: Payload) -> None:
    """Step 9."""
    top = bodies_root([(body.salt, body.part) for body in payload.bodies])
    require(top == payload.manifest.root, "bad_proof", "root of the bodies")
    for body in payload.bodies:
        if body.header is not None:
            digest = hashlib.sha256(body.content).digest()
            require(digest == body.header.content_digest, "bad_proof", "another content")
            require(body.author == payload.manifest.sender[1], "unverifiable", "another author")


def _check_audience(manifest: Manifest, view: View, recipient: Recipient) -> None:
    """Step 10."""
    require(recipient.me in manifest.audience, "audience_mismatch", "this member is not meant")
    if manifest.network is None:
        return
    roster = recipient.state.roster(manifest.network, view.size)
    if roster is None:
        refuse("audience_mismatch", "no such network")
    others = [member for member in roster.members if member != manifest.sender]
    require(others == manifest.audience, "audience_mismatch", "not the roster")
