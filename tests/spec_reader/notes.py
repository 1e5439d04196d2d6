"""SPEC 6.3: C2SP signed notes, checkpoints, ML-DSA-44 cosignatures and inclusion proofs."""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from tests.spec_reader.merkle import check_inclusion
from tests.spec_reader.refusal import refuse, require

ED25519, MLDSA44 = 0x01, 0x06
NOTE_BYTES, SIGNATURES = 163_840, 32
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_NAME = re.compile(r"[^\s+]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Key(NamedTuple):
    name: str
    kind: int
    raw: bytes

    def identity(self) -> tuple[str, bytes]:
        return self.name, hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]


class Note(NamedTuple):
    text: str
    signatures: dict[tuple[str, bytes], bytes]

    def by(self, key: Key) -> bytes | None:
        return self.signatures.get(key.identity())


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def verifier_key(text: str) -> Key:
    name, _, raw = text.split("+", 2)
    decoded = base64_of(raw)
    key = Key(name, decoded[0], decoded[1:])
    require(text.split("+")[1] == key.identity()[1].hex(), "malformed", "key id")
    return key


def read_note(raw: bytes) -> Note:
    require(len(raw) <= NOTE_BYTES, "limit_exceeded", "note")
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        refuse("malformed", "not UTF-8")
    require(not _CONTROL.search(note), "malformed", "control character")
    text, blank, signatures = note.rpartition("\n\n")
    require(blank and signatures.endswith("\n"), "malformed", "no signatures")
    lines = signatures[:-1].split("\n")
    require(len(lines) <= SIGNATURES, "limit_exceeded", "signatures")
    read = [_signature_line(line) for line in lines]
    require(len({who for who, _ in read}) == len(read), "malformed", "two signatures by one key")
    return Note(text + "\n", dict(read))


def _signature_line(line: str) -> tuple[tuple[str, bytes], bytes]:
    dash, _, rest = line.partition(" ")
    name, space, encoded = rest.partition(" ")
    require(dash == "\u2014" and space and _KEY_NAME.fullmatch(name), "malformed", "signature line")
    raw = base64_of(encoded)
    require(len(raw) > 4, "malformed", "no key id or no signature")
    return (name, raw[:4]), raw[4:]


def base64_of(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        refuse("malformed", "base64")
    require(base64.b64encode(raw).decode() == text, "non_canonical", "base64")
    return raw


def read_checkpoint(text: str) -> Checkpoint:
    lines = text.split("\n")
    require(len(lines) == 4 and not lines[3], "malformed", "three lines")
    require(_KEY_NAME.fullmatch(lines[0]), "malformed", "origin")
    root = base64_of(lines[2])
    require(len(root) == 32, "malformed", "root")
    return Checkpoint(lines[0], decimal(lines[1]), root)


def decimal(text: str) -> int:
    require(_DECIMAL.fullmatch(text) and int(text) < 1 << 63, "malformed", "number")
    return int(text)


def check_text(note: Note, key: Key) -> None:
    """A plain Ed25519 signature of the text, if there is one."""
    signature = note.by(key)
    if signature is None:
        return
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, note.text.encode())
    except (InvalidSignature, ValueError):
        refuse("bad_signature", key.name)


def cosigned_at(note: Note, key: Key, checkpoint: Checkpoint) -> int | None:
    """The time of an ML-DSA-44 cosignature, which then verifies; or nil."""
    signature = note.by(key)
    if signature is None:
        return None
    require(len(signature) == 8 + 2420, "malformed", "cosignature")
    timestamp = int.from_bytes(signature[:8], "big")
    check_cosignature(key, checkpoint, timestamp, signature[8:])
    return timestamp


def check_cosignature(key: Key, checkpoint: Checkpoint, timestamp: int, signature: bytes) -> None:
    require(timestamp < 1 << 63, "malformed", "time")
    message = b"subtree/v1\n\x00" + _short(key.name) + timestamp.to_bytes(8, "big") + _short(checkpoint.origin)
    message += (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big") + checkpoint.root
    try:
        MLDSA44PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        refuse("bad_signature", key.name)


def _short(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def open_checkpoint(raw: bytes, log: Key, plain: Key) -> tuple[Note, Checkpoint, int]:
    """A checkpoint that the log signed, and when: the ML-DSA-44 signature must be there, the Ed25519 one may."""
    note = read_note(raw)
    checkpoint = read_checkpoint(note.text)
    require(checkpoint.origin == log.name, "unverifiable", "another log")
    timestamp = cosigned_at(note, log, checkpoint)
    check_text(note, plain)
    if timestamp is None:
        refuse("bad_signature", "not signed by the log")
    return note, checkpoint, timestamp


def check_proof(raw: bytes, leaf: bytes, log: Key, plain: Key) -> int:
    """The index of a leaf that a C2SP tlog-proof proves."""
    head, _, note = raw.partition(b"\n\n")
    lines = head.decode().split("\n")
    require(lines.pop(0) == "c2sp.org/tlog-proof@v1", "malformed", "version")
    if lines and lines[0].startswith("extra "):
        base64_of(lines.pop(0)[6:])
    require(lines and lines[0].startswith("index "), "malformed", "index")
    index = decimal(lines[0][6:])
    _, checkpoint, _ = open_checkpoint(note, log, plain)
    check_inclusion(leaf, index, checkpoint.size, [base64_of(line) for line in lines[1:]], checkpoint.root)
    return index
