"""What a recipient checks before a message exists for it (SPEC section 9.6, in that order).

    core and ciphertext · attestation · recipient · open · form · view · link · bodies · audience

Only a `Received` that comes out of here is ever shown, stored or answered as a message.  A `HeldError` says
that nothing is wrong with the envelope and that it waits: for the mirror, or for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.batch import BatchSignature, LeafProof, Verified, check_leaf
from protocol.errors import (
    AudienceError,
    ForkedViewError,
    MalformedError,
    ProofError,
    SignatureError,
    VerificationError,
    ViewAheadError,
    WrongAssociationError,
    WrongRecipientError,
)
from protocol.messages.envelope import Attestation, AttestationData, Core, Event, Slot, check_ciphertext_size
from protocol.messages.message import Header, Link, Manifest, View, body_root
from protocol.names import Digest, Party
from protocol.sealing import Opened, OpenedBody, Prekey, open_envelope
from protocol.signing import Label
from protocol.trust.checkpoint import Checkpoint, Cosigner
from protocol.trust.registry import Registry
from protocol.trust.standing import CertificateRecord
from protocol.trust.statements import NEGATIVES, Role, SignedStatement


@dataclass(frozen=True, slots=True)
class Received:
    """What a member of the association provably sent to this one.

    `accepted_at` (Unix seconds) is the link's first acceptance by the hub, at which the sender's
    `certificate` was in standing; `accepted` is what `attestation` says of this envelope.  `negatives` are statements that the sender's log did not hold: the
    caller gives each to `Registry.apply_on_sight`, which verifies it.
    """

    sender: Party
    certificate: CertificateRecord
    manifest: Manifest
    link: Link
    proof: LeafProof
    batch: BatchSignature
    bodies: tuple[OpenedBody, ...]
    accepted_at: int
    attestation: Attestation = field(repr=False)
    accepted: AttestationData
    negatives: tuple[SignedStatement, ...]


def receive(
    core: bytes,
    ciphertext: bytes,
    slot: bytes,
    attestation: Attestation,
    registry: Registry,
    me: Party,
    find_prekey: Callable[[Digest], Prekey],
    verified: Verified | None = None,
) -> Received:
    """What the hub delivered to `me`, after every check of SPEC 9.6.

    `find_prekey` gives the prekey with this prekey hash, or raises `OpenError` if it is not held.
    `verified` remembers signatures between calls.  Raises the error of the first check that fails: a
    `PeerError`, a `StandingError`, `OpenError`, or a `HeldError` for an envelope that waits.
    """
    memory = verified or Verified()
    check_ciphertext_size(len(ciphertext))
    read_core, read_slot = Core.from_bytes(core), Slot.from_bytes(slot)
    read_core.check_ciphertext(ciphertext)
    accepted = _check_delivery(read_core, read_slot, attestation, registry, me, memory)
    opened = open_envelope(read_core, ciphertext, read_slot, find_prekey(read_slot.prekey_hash), me)
    return _check_opened(opened, attestation, accepted, registry, me, memory)


def verify(
    opened: Opened, attestation: Attestation, registry: Registry, me: Party, verified: Verified | None = None
) -> Received:
    """The same for an envelope that was opened before, and held: all checks but those of the ciphertext.

    Arguments and errors as for `receive`.
    """
    memory = verified or Verified()
    accepted = _check_delivery(opened.core, opened.slot, attestation, registry, me, memory)
    return _check_opened(opened, attestation, accepted, registry, me, memory)


# -- before it is opened -------------------------------------------------------------------------------
def _check_delivery(
    core: Core, slot: Slot, attestation: Attestation, registry: Registry, me: Party, verified: Verified
) -> AttestationData:
    if core.association != registry.association:
        raise WrongAssociationError("envelope")
    accepted = _acceptance(attestation, slot, registry, verified)
    if accepted.envelope_id != core.id:
        raise VerificationError("the hub accepted another envelope")
    if slot.recipient != me:
        raise WrongRecipientError(slot.recipient.member)
    return accepted


def _acceptance(attestation: Attestation, slot: Slot, registry: Registry, verified: Verified) -> AttestationData:
    accepted = attestation.verify(registry, verified)
    if (accepted.event, accepted.recipient, accepted.link_leaf) != (Event.ACCEPTED, slot.recipient, slot.link_leaf):
        raise VerificationError("no acceptance of this slot")
    return accepted


# -- once it is open -----------------------------------------------------------------------------------
def _check_opened(
    opened: Opened,
    attestation: Attestation,
    accepted: AttestationData,
    registry: Registry,
    me: Party,
    verified: Verified,
) -> Received:
    manifest = opened.manifest
    negatives = _check_view(manifest.view, registry, verified)
    accepted_at = min([accepted.at, *_earlier(opened, registry, verified)])
    certificate = _check_signature(opened, accepted_at, registry, verified)
    _check_link(opened, registry, me)
    _check_bodies(opened)
    _check_audience(manifest, registry, me)
    return Received(
        opened.core.sender,
        certificate,
        manifest,
        opened.link,
        opened.proof,
        opened.batch,
        opened.bodies,
        accepted_at,
        attestation,
        accepted,
        negatives,
    )


def _check_view(view: View, registry: Registry, verified: Verified) -> tuple[SignedStatement, ...]:
    # Before the sender's signature: its certificate and incarnation may stand in leaves that this mirror
    # has not got yet.  The log's own signature keeps others from holding envelopes up.
    _check_log_signature(view, registry, verified)
    if view.size > registry.size:
        raise ViewAheadError(f"registry size {view.size}, here {registry.size}")
    if registry.root_at(view.size) != view.root:
        raise ForkedViewError(f"registry size {view.size}")
    return tuple(_negative(raw) for raw in view.negatives)


def _check_log_signature(view: View, registry: Registry, verified: Verified) -> None:
    # A view may be older than the charter in force, and signed by the log of a hub that was replaced since.
    logs = dict.fromkeys((charter.hub.origin, charter.hub.log_key) for charter in reversed(registry.charters))
    verified.once((tuple(logs), view.size, view.root, view.cosignature), lambda: _signed_by_one(view, list(logs)))


def _signed_by_one(view: View, logs: list[tuple[str, bytes]]) -> None:
    for origin, log_key in logs:
        try:
            Cosigner(origin, log_key).verify(Checkpoint(origin, view.size, view.root), view.cosignature)
        except SignatureError:
            continue
        return
    raise SignatureError("registry view")


def _negative(raw: bytes) -> SignedStatement:
    signed = SignedStatement.from_bytes(raw)
    if not isinstance(signed.statement, NEGATIVES):
        raise MalformedError("a view with a statement that is not negative")
    return signed


def _earlier(opened: Opened, registry: Registry, verified: Verified) -> list[int]:
    slot = opened.slot
    ours = [
        attestation
        for attestation in opened.first_acceptances
        if AttestationData.from_bytes(attestation.data).link_leaf == slot.link_leaf
    ]
    return [_acceptance(attestation, slot, registry, verified).at for attestation in ours]


def _check_signature(opened: Opened, accepted_at: int, registry: Registry, verified: Verified) -> CertificateRecord:
    if opened.link.leaf(opened.proof.salt) != opened.slot.link_leaf:
        raise ProofError("link leaf")
    check_leaf(opened.slot.link_leaf, opened.proof, opened.batch)
    certificate = registry.certificate_standing(opened.manifest.certificate, accepted_at)
    # A hub's certificate names no member, so it is nobody's here.
    if not certificate.party == opened.manifest.sender == opened.core.sender:
        raise VerificationError("a certificate, manifest or envelope of another sender")
    opened.batch.verify(certificate.key, Label.LINKS, registry.association, verified)
    return certificate


def _check_link(opened: Opened, registry: Registry, me: Party) -> None:
    link, manifest = opened.link, opened.manifest
    if (link.manifest_digest, link.kind, link.count) != (manifest.digest, manifest.kind, manifest.count):
        raise VerificationError("a link of another manifest")
    if link.recipient != me:
        raise VerificationError("a link to another recipient")
    if not registry.is_incarnation(Role.NODE, manifest.sender.member, link.incarnation):
        raise VerificationError("an incarnation that was never opened")


def _check_bodies(opened: Opened) -> None:
    if body_root([each.body for each in opened.bodies]) != opened.manifest.root:
        raise ProofError("bodies")
    for each in opened.bodies:
        if isinstance(each.part, Header) and hashlib.sha256(each.body.content).digest() != each.part.content_digest:
            raise ProofError("content digest")
        if each.content is not None and each.content.origin.member != opened.manifest.sender.member:
            raise VerificationError("a content in the name of another member")


def _check_audience(manifest: Manifest, registry: Registry, me: Party) -> None:
    if me not in manifest.audience:
        raise AudienceError("this member is not in it")
    if manifest.network is None:
        return
    roster = registry.roster(manifest.network, manifest.view.size) or ()
    if {*roster} - {manifest.sender} != {*manifest.audience}:
        raise AudienceError(f"network {manifest.network}")
