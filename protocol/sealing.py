"""Sealing and opening of envelopes (SPEC sections 4.3, 9.2, 9.3): the only room that handles message plaintext keys.

A content is encrypted once under a fresh key; each recipient's slot wraps that key to its prekey of the
day, together with its link and the link's place in the signed batch.  Opening says what was inside and
proves nothing of it: `protocol.opening` does.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from msgspec import Struct

from protocol.batch import SALT_BYTES, BatchSignature, LeafProof
from protocol.codec import array, binary, decode, encode, fields
from protocol.errors import MalformedError, OpenError, UsageError
from protocol.limits import MAX_AUDIENCE, MAX_BATCH_PATH, MAX_BODIES, MAX_CIPHERTEXT_BYTES, MAX_LINK_BYTES
from protocol.merkle import HASH_BYTES
from protocol.messages.content import Content, from_json
from protocol.messages.envelope import Attestation, Blob, Core, Envelope, Slot, Submission
from protocol.messages.message import Body, Header, Kind, Link, Manifest
from protocol.messages.receipts import Notice, Receipt, Void, read_notice, read_receipt, read_void
from protocol.names import Digest, EnvelopeId, Party
from protocol.padding import pad, unpad
from protocol.trust.prekeys import PREKEY_PUBLIC_BYTES, prekey_hash

CONTEXT: Final = b"valija/0 content"
CONTENT_KEY_BYTES: Final = 32
WRAP_LABEL: Final = "valija/0 wrap"
PREKEY_SECRET_BYTES: Final = 96
MLKEM768_SEED_BYTES: Final = 64
MLKEM768_PUBLIC_BYTES: Final = 1184

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)

Part: TypeAlias = Header | Receipt | Void | Notice


# -- prekeys -------------------------------------------------------------------------------------------
class Prekey:
    """The private half of a prekey, ready to open; keep it while its day lasts, because loading costs as much as opening."""

    __slots__ = ("_private", "public")

    def __init__(self, secret: bytes) -> None:
        """The prekey of these 96 bytes: ML-KEM-768 seed (64) and X25519 key (32); `UsageError` for another size."""
        if len(secret) != PREKEY_SECRET_BYTES:
            raise UsageError("prekey secret size")
        mlkem = MLKEM768PrivateKey.from_seed_bytes(secret[:MLKEM768_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(secret[MLKEM768_SEED_BYTES:])
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public: Final = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def unwrap(self, wrap: bytes, info: bytes) -> bytes:
        """What was wrapped to this prekey under the same `info`; `OpenError` for anything else."""
        try:
            return _SUITE.decrypt(wrap, self._private, info)
        except (InvalidTag, ValueError):
            raise OpenError from None

    def __repr__(self) -> str:
        """The public half's first bytes; never the secret."""
        return f"Prekey({self.public[:8].hex()}…)"


def generate_prekey() -> tuple[bytes, bytes]:
    """A fresh prekey: the 96 secret bytes that `Prekey` takes, and the public key of 1,216 bytes for a calendar."""
    secret = secrets.token_bytes(PREKEY_SECRET_BYTES)
    return secret, Prekey(secret).public


@lru_cache(maxsize=1024)
def _public_key(public: bytes) -> MLKEM768X25519PublicKey:
    binary(public, PREKEY_PUBLIC_BYTES)
    mlkem = MLKEM768PublicKey.from_public_bytes(public[:MLKEM768_PUBLIC_BYTES])
    return MLKEM768X25519PublicKey(mlkem, X25519PublicKey.from_public_bytes(public[MLKEM768_PUBLIC_BYTES:]))


def _wrap(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    try:
        return _SUITE.encrypt(plaintext, _public_key(public), info)
    except ValueError:
        raise MalformedError("a prekey that nothing can be sealed to") from None


def check_prekey(public: bytes) -> None:
    """Return if something can be sealed to this public key of 1,216 bytes; else `MalformedError`."""
    _wrap(public, b"", b"")


def _info(core: Core, envelope_id: EnvelopeId, recipient: Party, epoch: int, prekey: bytes, link_leaf: bytes) -> bytes:
    start = (WRAP_LABEL, core.association, envelope_id, core.sender.value())
    return encode((*start, recipient.value(), epoch, prekey, link_leaf))


# -- content -------------------------------------------------------------------------------------------
def encrypt(key: bytes, context: bytes, plaintext: bytes) -> bytes:
    """The Cobblestone-256 ciphertext of `plaintext` under a 32-byte uniformly random `key`, bound to `context`."""
    cipher = Cobblestone256Encryptor(key, context)
    return cipher.update(plaintext) + cipher.finalize()


def decrypt(key: bytes, context: bytes, ciphertext: bytes) -> bytes:
    """The plaintext; `OpenError` if key, context or any byte or length of the ciphertext is not the right one."""
    cipher = Cobblestone256Decryptor(key, context)
    try:
        return cipher.update(ciphertext) + cipher.finalize()
    except InvalidTag:
        raise OpenError from None


# -- sealing -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PreparedLink:
    """A link that is signed and stored, and so may leave: with its place in the batch that signs it."""

    link: Link
    proof: LeafProof
    batch: BatchSignature


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom to seal to: the party and the prekey of the day from its calendar (`public` of 1,216 bytes)."""

    party: Party
    epoch: int
    prekey_hash: Digest
    public: bytes = field(repr=False)


def seal(
    sender: Party,
    submission: Submission,
    expires_at: int,
    manifest: Manifest,
    bodies: Sequence[Body],
    links: Sequence[tuple[PreparedLink, Recipient]],
    first_acceptances: Sequence[Attestation] = (),
    blobs: Sequence[Blob] = (),
) -> Envelope:
    """One envelope from `sender` with `bodies` for everybody in `links`, expiring at `expires_at` (Unix seconds).

    All links are of `manifest` and stand in one batch, else `UsageError`.  `first_acceptances` are given
    when a link goes again: the earliest one held for each.  Raises `LimitError` if it all does not fit 1 MiB, and
    `MalformedError` for a prekey to which nothing can be sealed.
    """
    batch = _common_batch(manifest, links)
    values = [
        batch.value(),
        manifest.raw,
        [body.value() for body in bodies],
        [each.value() for each in first_acceptances],
    ]
    content_key = secrets.token_bytes(CONTENT_KEY_BYTES)
    ciphertext = encrypt(content_key, CONTEXT, pad(encode(values)))
    core = Core.build(sender, submission, expires_at, ciphertext, blobs)
    envelope_id = core.id
    slots = tuple(_slot(core, envelope_id, content_key, prepared, recipient) for prepared, recipient in links)
    return Envelope(core, ciphertext, slots)


def _common_batch(manifest: Manifest, links: Sequence[tuple[PreparedLink, Recipient]]) -> BatchSignature:
    batches = {prepared.batch for prepared, _recipient in links}
    if len(batches) != 1:
        raise UsageError("links of one envelope stand in one batch")
    manifest_digest = manifest.digest
    for prepared, recipient in links:
        if prepared.link.manifest_digest != manifest_digest or prepared.link.recipient != recipient.party:
            raise UsageError("a link of another manifest or recipient")
    return batches.pop()


def _slot(
    core: Core, envelope_id: EnvelopeId, content_key: bytes, prepared: PreparedLink, recipient: Recipient
) -> Slot:
    link_leaf = prepared.link.leaf(prepared.proof.salt)
    info = _info(core, envelope_id, recipient.party, recipient.epoch, recipient.prekey_hash, link_leaf)
    wrap = _wrap(recipient.public, _wrapped(content_key, prepared.link, prepared.proof), info)
    return Slot.build(recipient.party, recipient.epoch, recipient.prekey_hash, link_leaf, wrap)


def _wrapped(content_key: bytes, link: Link, proof: LeafProof) -> bytes:
    return b"".join((
        content_key,
        proof.salt,
        len(link.raw).to_bytes(2, "big"),
        link.raw.ljust(MAX_LINK_BYTES, b"\0"),
        proof.index.to_bytes(2, "big"),
        bytes([len(proof.path)]),
        b"".join(proof.path).ljust(MAX_BATCH_PATH * HASH_BYTES, b"\0"),
    ))  # fmt: skip


# -- opening -------------------------------------------------------------------------------------------
class OpenedBody(Struct, frozen=True, gc=False):
    """One body as it was read: what its signed part says, and for a message its content too."""

    body: Body
    part: Part
    content: Content | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What an envelope held, all of it in good form and none of it proven."""

    core: Core
    slot: Slot
    batch: BatchSignature
    manifest: Manifest
    link: Link
    proof: LeafProof
    bodies: tuple[OpenedBody, ...]
    first_acceptances: tuple[Attestation, ...]


def open_envelope(core: Core, ciphertext: bytes, slot: Slot, prekey: Prekey, me: Party) -> Opened:
    """What is inside, read by `me` with the prekey of the slot (SPEC 9.6, steps 4 and 5).

    Raises `OpenError` if slot or ciphertext does not open, which a slot for somebody else never does;
    then `MalformedError` or `LimitError` (or `VersionError`) if what it held is not in form.
    """
    if prekey_hash(me.association, me.member, slot.epoch, prekey.public) != slot.prekey_hash:
        raise OpenError
    info = _info(core, core.id, me, slot.epoch, slot.prekey_hash, slot.link_leaf)
    wrapped = prekey.unwrap(slot.wrap, info)
    plaintext = decrypt(wrapped[:CONTENT_KEY_BYTES], CONTEXT, ciphertext)
    link, proof = _read_wrapped(wrapped)
    batch, manifest, bodies, acceptances = fields(decode(unpad(plaintext), MAX_CIPHERTEXT_BYTES), 4)
    read_manifest = Manifest.from_bytes(binary(manifest))
    body_list = array(bodies, MAX_BODIES)
    if len(body_list) != read_manifest.count:
        raise MalformedError("another number of bodies than the manifest says")
    return Opened(
        core,
        slot,
        BatchSignature.parse(batch),
        read_manifest,
        link,
        proof,
        tuple([_read_body(read_manifest.kind, Body.parse(each)) for each in body_list]),
        tuple(Attestation.parse(each) for each in array(acceptances, MAX_AUDIENCE)),
    )


def _read_wrapped(wrapped: bytes) -> tuple[Link, LeafProof]:
    # A slot's wrap has one size (`envelope.WRAP_BYTES`), so these are 707 bytes.
    start = CONTENT_KEY_BYTES
    salt, rest = wrapped[start : start + SALT_BYTES], wrapped[start + SALT_BYTES :]
    link = _unpadded(rest[2 : 2 + MAX_LINK_BYTES], int.from_bytes(rest[:2], "big"))
    rest = rest[2 + MAX_LINK_BYTES :]
    path = _unpadded(rest[3:], HASH_BYTES * rest[2])
    hashes = tuple(path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES))
    return Link.from_bytes(link), LeafProof(salt, int.from_bytes(rest[:2], "big"), hashes)


def _unpadded(padded: bytes, size: int) -> bytes:
    if size > len(padded) or any(padded[size:]):
        raise MalformedError("padding in a wrap")
    return padded[:size]


def _read_body(kind: Kind, body: Body) -> OpenedBody:
    if kind is Kind.MESSAGE:
        header = Header.from_bytes(body.signed_part)
        if len(body.file_keys) != len(header.attachments):
            raise MalformedError("file keys for other attachments")
        return OpenedBody(body, header, from_json(body.content))
    if body.content or body.file_keys:
        raise MalformedError("a content where none belongs")
    return OpenedBody(body, _READERS[kind](body.signed_part), None)


_READERS: Final = {Kind.RECEIPT: read_receipt, Kind.VOID: read_void, Kind.NOTICE: read_notice}
