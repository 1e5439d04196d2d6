"""What proves an exchange later: batch signatures, manifests with their salts, attestations of the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from node.model import Record
from node.store import Transaction
from protocol.batch import BatchSignature, LeafProof
from protocol.codec import Value, array, binary, decode, encode, fields
from protocol.errors import DamagedError
from protocol.limits import MAX_BODIES, MAX_CIPHERTEXT_BYTES, MAX_FRAME_BYTES
from protocol.messages.envelope import Attestation, AttestationData
from protocol.messages.message import Body, Manifest, message_id_of
from protocol.names import MessageId

_read_manifest: Final = lru_cache(maxsize=256)(Manifest.from_bytes)
"""What many messages share is read once for those of them that are shown together."""


def intact(content: bytes, digest: bytes) -> bytes:
    """The same content, if it has this SHA-256; else `DamagedError`.

    SQLCipher hands out the last page of a long value as zeros where its authentication fails, without an error: so
    whoever reads a content asks here.
    """
    if hashlib.sha256(content).digest() != digest:
        raise DamagedError
    return content


# -- batch signatures --------------------------------------------------------------------------------
def keep_batch(tx: Transaction, batch: BatchSignature) -> int:
    """The row id of this batch signature, stored once however often it is met."""
    raw = encode(batch.value())
    digest = hashlib.sha256(raw).digest()
    # Nearly all are new: a question first would cost each of them one statement more.
    fresh = tx.all(
        "INSERT INTO batch (digest, raw) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING RETURNING id", (digest, raw)
    )
    return int((fresh or tx.all("SELECT id FROM batch WHERE digest = ?", (digest,)))[0][0])


def batch(tx: Transaction, row_id: int) -> BatchSignature:
    """The batch signature with this row id."""
    row = tx.one("SELECT raw FROM batch WHERE id = ?", (row_id,)) or ()
    return BatchSignature.parse(decode(row[0], MAX_FRAME_BYTES))


def proof_bytes(proof: LeafProof) -> bytes:
    """The proof as it is stored; `read_proof` gives it back."""
    return encode(proof.value())


def read_proof(data: bytes) -> LeafProof:
    """The proof that `proof_bytes` wrote."""
    return LeafProof.parse(decode(data, MAX_FRAME_BYTES))


# -- manifests ---------------------------------------------------------------------------------------
class Parts(Record, frozen=True, gc=False):
    """A body without its content: salt, signed part and file keys."""

    salt: bytes
    signed_part: bytes
    file_keys: tuple[bytes, ...]


def keep_manifest(tx: Transaction, manifest: Manifest, bodies: Sequence[Body]) -> int:
    """The row id of this manifest, stored once with the salts and signed parts of its bodies."""
    parts: list[Value] = [(body.salt, body.signed_part, body.file_keys) for body in bodies]
    digest = manifest.digest
    fresh = tx.all(
        "INSERT INTO manifest (digest, kind, expires_at, raw, bodies) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (digest) DO NOTHING RETURNING id",
        (digest, int(manifest.kind), manifest.expires_at, manifest.raw, encode(parts)),
    )
    return int((fresh or tx.all("SELECT id FROM manifest WHERE digest = ?", (digest,)))[0][0])


def manifest(tx: Transaction, row_id: int) -> Manifest:
    """The manifest with this row id."""
    row = tx.one("SELECT raw FROM manifest WHERE id = ?", (row_id,)) or ()
    return _read_manifest(row[0])


def manifest_and_parts(tx: Transaction, row_id: int) -> tuple[Manifest, tuple[Parts, ...]]:
    """The manifest with this row id, and its bodies' parts in order."""
    row = tx.one("SELECT raw, bodies FROM manifest WHERE id = ?", (row_id,)) or ()
    return _read_manifest(row[0]), _read_parts(row[1])


@lru_cache(maxsize=64)
def _read_parts(data: bytes) -> tuple[Parts, ...]:
    return tuple(_parts(each) for each in array(decode(data, MAX_CIPHERTEXT_BYTES), MAX_BODIES))


def message_ids(tx: Transaction, row_id: int) -> list[MessageId]:
    """The ids of the messages in a manifest of ours of that kind, in order of their places."""
    row = tx.one("SELECT bodies FROM manifest WHERE id = ?", (row_id,)) or ()
    # What this node wrote itself, and which nothing is judged by.
    return [message_id_of(signed_part) for _salt, signed_part, _keys in msgspec.msgpack.decode(row[0])]


def _parts(value: Value) -> Parts:
    salt, signed_part, keys = fields(value, 3)
    return Parts(binary(salt), binary(signed_part), tuple(binary(key) for key in array(keys, MAX_BODIES)))


# -- attestations ------------------------------------------------------------------------------------
def keep_attestation(tx: Transaction, attestation: Attestation, data: AttestationData, link: int | None) -> int:
    """The row id of this attestation; `link` is the row id of our link that it concerns, None for a peer's."""
    return tx.add(
        "INSERT INTO attestation (link, envelope_id, event, result, at, data, proof, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            link,
            data.envelope_id,
            int(data.event),
            data.result,
            data.at,
            attestation.data,
            proof_bytes(attestation.proof),
            keep_batch(tx, attestation.batch),
        ),
    )


def attestation(tx: Transaction, row_id: int) -> Attestation:
    """The attestation with this row id."""
    row = tx.one("SELECT data, proof, batch FROM attestation WHERE id = ?", (row_id,)) or ()
    return Attestation(row[0], read_proof(row[1]), batch(tx, row[2]))
