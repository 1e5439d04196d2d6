"""Checkpoints of a log, and who vouches for them (c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature).

    <origin> newline <size> newline <base64 root> newline

The log itself and its witnesses sign alike: ML-DSA-44 over a `cosigned_message` that names signer,
time, origin, size and root.  The log adds a plain Ed25519 note signature for stock witnesses; stock
Ed25519 witnesses are verified too.  No extension line is written or read: nobody audits them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from protocol.codec import Value, binary, fields, uint
from protocol.errors import MalformedError, SignatureError, UsageError, VerificationError
from protocol.merkle import HASH_BYTES
from protocol.signing import ED25519_SIGNATURE_BYTES, SEED_BYTES, ed25519_public, new_seed
from protocol.trust.notes import KeyType, Note, NoteSignature, VerifierKey, decode_base64, encode_base64, key_name

MLDSA44_SIGNATURE_BYTES: Final = 2420
TIMESTAMP_BYTES: Final = 8
_COUNT_BITS: Final = 63
_CHECKPOINT: Final = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/=]+)\n")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's `origin`, its `size` in leaves (below 2**63) and its 32-byte `root`; else `MalformedError`."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what no checkpoint can say."""
        key_name(self.origin)
        uint(self.size, _COUNT_BITS)
        binary(self.root, HASH_BYTES)

    def body(self) -> str:
        """The note text, its final newline included."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """The checkpoint that a note text states; `MalformedError` for anything else, extension lines included."""
        match = _CHECKPOINT.fullmatch(body)
        if match is None:
            raise MalformedError("checkpoint")
        origin, size, root = match.groups()
        return cls(origin, int(size), decode_base64(root))


@dataclass(frozen=True, slots=True)
class Cosignature:
    """When (`timestamp`, Unix seconds below 2**63) somebody vouched, and the 2,420-byte ML-DSA-44 signature."""

    timestamp: int
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse wrong sizes with `MalformedError`."""
        uint(self.timestamp, _COUNT_BITS)
        binary(self.signature, MLDSA44_SIGNATURE_BYTES)

    @classmethod
    def parse(cls, value: Value) -> Cosignature:
        """The cosignature that [timestamp, signature] holds; else `MalformedError`."""
        timestamp, signature = fields(value, 2)
        return cls(uint(timestamp), binary(signature))

    def value(self) -> tuple[int, bytes]:
        """What `parse` reads, ready to encode."""
        return (self.timestamp, self.signature)


def cosigned_message(name: str, timestamp: int, checkpoint: Checkpoint) -> bytes:
    """The bytes that ML-DSA-44 signs when `name` vouches for `checkpoint` (tlog-cosignature, `cosigned_message`)."""
    return b"".join((
        b"subtree/v1\n\x00",
        _opaque(name),
        _u64(timestamp),
        _opaque(checkpoint.origin),
        _u64(0),
        _u64(checkpoint.size),
        checkpoint.root,
    ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness, or a log as its own first witness: its `name` and ML-DSA-44 key of 1,312 bytes."""

    name: str
    mldsa44: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a name or key that cannot be one, with `MalformedError`."""
        VerifierKey(self.name, KeyType.MLDSA44_COSIGNATURE, self.mldsa44)

    @property
    def vkey(self) -> VerifierKey:
        """The key as signature lines and stock tools know it."""
        return VerifierKey(self.name, KeyType.MLDSA44_COSIGNATURE, self.mldsa44)

    def verify(self, checkpoint: Checkpoint, cosignature: Cosignature) -> None:
        """Return if this cosigner vouched for exactly this checkpoint at that time; else `SignatureError`."""
        message = cosigned_message(self.name, cosignature.timestamp, checkpoint)
        try:
            _mldsa44(self.mldsa44).verify(cosignature.signature, message)
        except InvalidSignature:
            raise SignatureError(f"cosignature of {self.name}") from None

    def find(self, note: Note, checkpoint: Checkpoint) -> Cosignature | None:
        """This cosigner's cosignature of the `checkpoint` that `note` carries, verified; None if there is none.

        Raises `SignatureError` or `MalformedError` if there is one that does not hold.
        """
        blob = note.find(self.vkey)
        if blob is None:
            return None
        cosignature = Cosignature(_timestamp(blob), blob[TIMESTAMP_BYTES:])
        self.verify(checkpoint, cosignature)
        return cosignature

    def line(self, cosignature: Cosignature) -> NoteSignature:
        """The signature line for a note."""
        return NoteSignature(self.name, self.vkey.key_id, _u64(cosignature.timestamp) + cosignature.signature)


@dataclass(frozen=True, slots=True)
class Ed25519Cosigner:
    """A stock witness that cosigns with Ed25519 (signature type 0x04); verified, never produced."""

    name: str
    ed25519: bytes

    def __post_init__(self) -> None:
        """Refuse a name or key that cannot be one, with `MalformedError`."""
        key_name(self.name)
        ed25519_public(self.ed25519)

    @property
    def vkey(self) -> VerifierKey:
        """The key as signature lines and stock tools know it."""
        return VerifierKey(self.name, KeyType.ED25519_COSIGNATURE, self.ed25519)

    def find(self, note: Note) -> int | None:
        """The time, in Unix seconds, at which this witness vouched for `note`'s text; None if it did not.

        Raises `SignatureError` or `MalformedError` if there is a cosignature that does not hold.
        """
        blob = note.find(self.vkey)
        if blob is None:
            return None
        timestamp = _timestamp(blob)
        signed = f"cosignature/v1\ntime {timestamp}\n{note.text}".encode()
        _verify_ed25519(self.ed25519, signed, blob[TIMESTAMP_BYTES:], self.name)
        return timestamp


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the log's own cosignature of it, verified: what gossip passes on."""

    checkpoint: Checkpoint
    cosignature: Cosignature


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log as its charter names it: `origin`, ML-DSA-44 key (1,312 bytes) and Ed25519 key (32)."""

    origin: str
    mldsa44: bytes = field(repr=False)
    ed25519: bytes

    def __post_init__(self) -> None:
        """Refuse a name or key that cannot be one, with `MalformedError`."""
        Cosigner(self.origin, self.mldsa44)
        ed25519_public(self.ed25519)

    @property
    def cosigner(self) -> Cosigner:
        """The log in its role as cosigner, under its origin's name."""
        return Cosigner(self.origin, self.mldsa44)

    @property
    def ed25519_vkey(self) -> VerifierKey:
        """The Ed25519 key as stock witnesses know it."""
        return VerifierKey(self.origin, KeyType.ED25519, self.ed25519)

    def verify(self, size: int, root: bytes, cosignature: Cosignature) -> SignedCheckpoint:
        """The checkpoint of this log with that size and root, if the log signed it; else `SignatureError`."""
        checkpoint = Checkpoint(self.origin, size, root)
        self.cosigner.verify(checkpoint, cosignature)
        return SignedCheckpoint(checkpoint, cosignature)

    def open(self, note: Note) -> SignedCheckpoint:
        """The checkpoint in `note`, if it is this log's and the log signed it with ML-DSA-44.

        An Ed25519 line of the log may be absent, but not wrong.  Raises `MalformedError`,
        `VerificationError` for another log's, `SignatureError`.
        """
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.origin:
            raise VerificationError("another log's checkpoint")
        cosignature = self.cosigner.find(note, checkpoint)
        if cosignature is None:
            raise SignatureError("no signature of the log")
        plain = note.find(self.ed25519_vkey)
        if plain is not None:
            _verify_ed25519(self.ed25519, note.text.encode(), plain, self.origin)
        return SignedCheckpoint(checkpoint, cosignature)


class CosignerPrivateKey:
    """Vouches for checkpoints under a name; its repr shows the name alone."""

    __slots__ = ("_key", "_seed", "public")

    def __init__(self, name: str, seed: bytes) -> None:
        """The ML-DSA-44 key of a 32-byte random seed (`UsageError` for another size), as `name`."""
        if len(seed) != SEED_BYTES:
            raise UsageError("seed size")
        self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        self._seed = seed
        self.public: Final = Cosigner(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> CosignerPrivateKey:
        """A fresh key for `name`."""
        return cls(name, new_seed())

    def seed(self) -> bytes:
        """The seed: the secret itself, for the key file."""
        return self._seed

    def sign(self, checkpoint: Checkpoint, timestamp: int) -> Cosignature:
        """The statement that at `timestamp` (Unix seconds) this is the largest consistent tree seen of its log."""
        return Cosignature(timestamp, self._key.sign(cosigned_message(self.public.name, timestamp, checkpoint)))

    def __repr__(self) -> str:
        """The name; never the seed."""
        return f"CosignerPrivateKey({self.public.name!r})"


class LogPrivateKey:
    """Signs a log's checkpoints with ML-DSA-44 and Ed25519; its repr shows the origin alone."""

    __slots__ = ("_cosigner", "_ed25519", "_ed25519_seed", "public")

    def __init__(self, origin: str, mldsa44_seed: bytes, ed25519_seed: bytes) -> None:
        """The log `origin` with the keys of two 32-byte random seeds (`UsageError` for another size)."""
        if len(ed25519_seed) != SEED_BYTES:
            raise UsageError("seed size")
        self._cosigner = CosignerPrivateKey(origin, mldsa44_seed)
        self._ed25519_seed = ed25519_seed
        ed25519, self._ed25519 = crypto_sign_seed_keypair(ed25519_seed)
        self.public: Final = LogKey(origin, self._cosigner.public.mldsa44, ed25519)

    @classmethod
    def generate(cls, origin: str) -> LogPrivateKey:
        """Fresh keys for the log `origin`."""
        return cls(origin, new_seed(), new_seed())

    def seeds(self) -> tuple[bytes, bytes]:
        """The ML-DSA-44 seed and the Ed25519 seed: the secret itself, for the key file."""
        return (self._cosigner.seed(), self._ed25519_seed)

    def sign(self, size: int, root: bytes, timestamp: int) -> SignedCheckpoint:
        """The signed checkpoint of this size and root; the caller never signs two that disagree."""
        checkpoint = Checkpoint(self.public.origin, size, root)
        return SignedCheckpoint(checkpoint, self._cosigner.sign(checkpoint, timestamp))

    def note(self, signed: SignedCheckpoint) -> Note:
        """The note that carries `signed`, with a line by each of the two keys."""
        text = signed.checkpoint.body()
        plain = crypto_sign(text.encode(), self._ed25519)[:ED25519_SIGNATURE_BYTES]
        ed25519_line = NoteSignature(self.public.origin, self.public.ed25519_vkey.key_id, plain)
        return Note(text, (self.public.cosigner.line(signed.cosignature), ed25519_line))

    def __repr__(self) -> str:
        """The origin; never a seed."""
        return f"LogPrivateKey({self.public.origin!r})"


@lru_cache(maxsize=256)
def _mldsa44(public: bytes) -> MLDSA44PublicKey:
    return MLDSA44PublicKey.from_public_bytes(public)


def _verify_ed25519(public: bytes, message: bytes, signature: bytes, name: str) -> None:
    if len(signature) != ED25519_SIGNATURE_BYTES:
        raise MalformedError("Ed25519 signature size")
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        raise SignatureError(f"signature of {name}") from None


def _timestamp(blob: bytes) -> int:
    return uint(int.from_bytes(blob[:TIMESTAMP_BYTES], "big"), _COUNT_BITS)


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _opaque(name: str) -> bytes:
    encoded = name.encode()
    return bytes([len(encoded)]) + encoded
