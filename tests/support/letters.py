"""Envelopes made by hand: each part can be replaced before the next one is built on it, so that exactly one is wrong.

letter(world)                                      a message from ar-mpf to co-fgn, as it should be
letter(world, link=lambda link: other_link)        the same with another link, signed and sealed like the right one
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from protocol.batch import LeafProof, sign_batch
from protocol.codec import encode
from protocol.messages.content import Author, BodyFormat, Content, MessageType, Origin, Text, Urgency, to_json
from protocol.messages.envelope import Attestation, AttestationData, Core, Event, Slot, Submission, attest
from protocol.messages.message import Body, Header, Kind, Link, Manifest, View
from protocol.names import Digest, Party, message_id
from protocol.opening import Received, receive
from protocol.padding import pad
from protocol.sealing import Prekey, encrypt
from protocol.signing import HashLabel, Label, PrivateKey
from protocol.trust.checkpoint import LogPrivateKey
from protocol.trust.prekeys import epoch_at, prekey_hash
from protocol.trust.registry import Registry
from tests.support.world import DAY, ORIGIN, World, seed

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
SENDER, RECIPIENT, DESK = "ar-mpf", "co-fgn", "antidrogas"


def content(text: str, member: str = SENDER, **fields: Any) -> Content:
    """A free message with this text."""
    given: dict[str, Any] = {
        "schema": "valija/content/0",
        "type": MessageType.MESSAGE,
        "subject": "Consulta",
        "body": Text(format=BodyFormat.PLAIN, text=text),
        "to": ("co-fgn@aiamp",),
        "origin": Origin(member=member, desk=DESK),
        "author": Author(name="Ana Gómez", role="fiscal", login_method="token"),
        "urgency": Urgency.ROUTINE,
    }
    return Content(**given | fields)


def message(world: World, text: str, member: str = SENDER, document: bytes | None = None) -> Body:
    """A message body with this text; its idempotency key is the text's digest."""
    data = to_json(content(text, member)) if document is None else document
    key = hashlib.sha256(text.encode()).hexdigest()
    number = message_id(world.association, member, DESK, key)
    return Body(seed("body", key), Header.build(number, world.now, hashlib.sha256(data).digest()).raw, data)


def log_key(world: World) -> LogPrivateKey:
    """The hub's log key, as `protocol.trust.checkpoint` wants it."""
    return LogPrivateKey(ORIGIN, world.log_seed, world.log_ed25519_seed)


def view(world: World, registry: Registry | None = None, negatives: Sequence[bytes] = ()) -> View:
    """The registry as `registry` (the world's by default) shows it, signed by the log."""
    seen = world.registry if registry is None else registry
    signed = log_key(world).sign(seen.size, seen.root, world.now)
    return View(world.association, seen.size, Digest(signed.checkpoint.root), signed.cosignature, tuple(negatives))


def prekey(world: World, member: str, epoch: int | None = None) -> Prekey:
    """The member's prekey of that day, of today by default."""
    day = epoch_at(world.now) if epoch is None else epoch
    return Prekey(b"".join(seed(world.name, "prekey", member, str(day), str(part)) for part in range(3)))


def hybrid_key(public: bytes) -> MLKEM768X25519PublicKey:
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:1184]), X25519PublicKey.from_public_bytes(public[1184:])
    )


@dataclass(frozen=True)
class Letter:
    """What a hub delivers, and what its reader needs besides."""

    core: bytes
    ciphertext: bytes
    slot: bytes
    attestation: Attestation
    prekey: Prekey
    link: Link
    proof: LeafProof
    manifest: Manifest
    me: Party

    def received(self, registry: Registry, **changes: Any) -> Received:
        """What `protocol.opening.receive` says of it."""
        it = replace(self, **changes)
        return receive(it.core, it.ciphertext, it.slot, it.attestation, registry, it.me, lambda _hash: it.prekey)


def letter(
    world: World,
    texts: Sequence[str] = ("Se solicita el legajo.",),
    sender: str = SENDER,
    recipient: str = RECIPIENT,
    kind: Kind = Kind.MESSAGE,
    audience: Sequence[str] = (RECIPIENT,),
    network: str | None = None,
    key: PrivateKey | None = None,
    hub_key: PrivateKey | None = None,
    event: Event = Event.ACCEPTED,
    result: str = "accepted",
    **changed: Callable[[Any], Any],
) -> Letter:
    """One letter, each named part of it passed through the function of that name in `changed`."""

    def part(name: str, value: Any) -> Any:
        return changed.pop(name, lambda same: same)(value)

    now, association = world.now, world.association
    author, me = world.party(sender), world.party(recipient)
    bodies = part("bodies", [message(world, text, sender) for text in texts])
    parties = [world.party(name) for name in audience]
    views = part("views", [view(world)])
    manifest = Manifest.build(
        kind, author, world.certificates[sender], parties, network, views, now + 90 * DAY, part("signed_bodies", bodies)
    )
    manifest = part("manifest", manifest)
    link = part("link", Link.build(manifest, me, world.incarnations[sender], 1))
    salts = [seed("salt", name) for name in ("other", "ours", "another")]
    batch, proofs = sign_batch(
        key or world.key(sender), Label.LINKS, HashLabel.LINK_LEAF, association, [b"1", link.raw, b"2"], salts
    )
    batch, proof = part("batch", batch), part("proof", proofs[1])
    values = [batch.value(), manifest.raw, [body.value() for body in bodies], []]
    padded = part("padded", pad(part("payload", encode(part("values", values)))))
    content_key = seed("content key", link.raw.hex())
    ciphertext = encrypt(content_key, b"valija/0 content", padded)
    core = Core.build(author, Submission(world.incarnations[sender], 7), now + 14 * DAY, ciphertext)
    core = part("core", core)

    mine = prekey(world, recipient)
    epoch = epoch_at(now)
    prekey_digest = part("prekey_hash", prekey_hash(association, recipient, epoch, mine.public))
    link_leaf = part("link_leaf", link.leaf(proof.salt))
    wrapped = part("wrapped", wrapped_plaintext(content_key, link.raw, proof))
    info = ["valija/0 wrap", association, core.id, author.value(), me.value(), epoch, prekey_digest, link_leaf]
    wrap = SUITE.encrypt(wrapped, hybrid_key(mine.public), encode(part("info", info)))
    slot = part("slot", Slot.build(me, epoch, prekey_digest, link_leaf, wrap))

    data = AttestationData.build(event, world.hub_certificate, core.id, slot, result, now)
    data = part("attestation_data", data)
    (attestation,) = attest(hub_key or world.hub_key, association, [data], [seed("attestation")])
    attestation = part("attestation", attestation)
    assert not changed, f"no such part: {changed}"
    return Letter(core.raw, ciphertext, slot.raw, attestation, mine, link, proof, manifest, me)


def wrapped_plaintext(content_key: bytes, link: bytes, proof: LeafProof) -> bytes:
    """The 707 bytes of SPEC 9.3."""
    path = b"".join(proof.path)
    numbers = proof.index.to_bytes(2, "big") + bytes([len(proof.path)])
    padding = bytes(254 - len(link)), bytes(384 - len(path))
    return content_key + proof.salt + len(link).to_bytes(2, "big") + link + padding[0] + numbers + path + padding[1]
