"""Signed notes of C2SP: a text, an empty line, and signature lines (c2sp.org/signed-note).

    — <key name> base64(key id (4) || signature)

A note is only parsed here; what its signatures say is judged where the keys are known
(`protocol.trust.checkpoint`).  Verifier keys ("vkeys") are the textual form of a name and a public key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import LimitError, MalformedError, NonCanonicalError, UsageError
from protocol.limits import MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES

MAX_NAME_BYTES: Final = 255
KEY_ID_BYTES: Final = 4

_DASH: Final = "— "
_CONTROLS: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY: Final = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


class KeyType(IntEnum):
    """The signature types spoken here, by their assigned byte."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    MLDSA44_COSIGNATURE = 0x06


PUBLIC_BYTES: Final = {
    KeyType.ED25519: 32,
    KeyType.ED25519_COSIGNATURE: 32,
    KeyType.MLDSA44_COSIGNATURE: 1312,
}


def key_name(name: str) -> str:
    """The same name, fit for a signature line: 1 to 255 bytes of UTF-8, no space, plus or control character.

    Raises `MalformedError` otherwise.
    """
    if not 1 <= len(name.encode()) <= MAX_NAME_BYTES or "+" in name or any(c.isspace() for c in name):
        raise MalformedError("key name")
    if _CONTROLS.search(name):
        raise MalformedError("key name")
    return name


def decode_base64(encoded: str) -> bytes:
    """The bytes of standard padded base64; `MalformedError`, or `NonCanonicalError` for stray bits at the end."""
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("base64") from None
    if encode_base64(decoded) != encoded:
        raise NonCanonicalError("base64")
    return decoded


def encode_base64(data: bytes) -> str:
    """Standard padded base64."""
    return base64.b64encode(data).decode("ascii")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and signature type; `MalformedError` if name or size is not fit."""

    name: str
    type: KeyType
    public: bytes

    def __post_init__(self) -> None:
        """Refuse a name that no line can hold, and a key of another size than its type's."""
        key_name(self.name)
        if len(self.public) != PUBLIC_BYTES[self.type]:
            raise MalformedError("verifier key size")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || newline || type || public)[:4]: an identifier, no commitment."""
        material = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return hashlib.sha256(material).digest()[:KEY_ID_BYTES]

    def encode(self) -> str:
        """`name+hex(key id)+base64(type || public)`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.type]) + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """The key that `encode` wrote; `MalformedError` for another form, an unknown type or a wrong key id."""
        match = _VKEY.fullmatch(vkey)
        if match is None:
            raise MalformedError("verifier key")
        name, key_id, encoded = match.groups()
        material = decode_base64(encoded)
        if material[0] not in set(KeyType):
            raise MalformedError("verifier key type")
        key = cls(name, KeyType(material[0]), material[1:])
        if key.key_id.hex() != key_id:
            raise MalformedError("verifier key id")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who claims to have signed (`name`, 4-byte `key_id`), and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line as it stands in a note, newline included."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """The signature in one line without its newline; `MalformedError` if it is none."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH):
            raise MalformedError("signature line")
        blob = decode_base64(encoded)
        if len(blob) <= KEY_ID_BYTES:
            raise MalformedError("signature line")
        return cls(key_name(name), blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text (its final newline included) and at least one signature line, none of them verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def find(self, key: VerifierKey) -> bytes | None:
        """The signature that claims to be by `key`, not verified; None if there is none."""
        wanted = (key.name, key.key_id)
        return next((each.signature for each in self.signatures if (each.name, each.key_id) == wanted), None)

    def encode(self) -> bytes:
        """The note as bytes; `UsageError` if `parse` would not give this note back."""
        data = f"{self.text}\n{''.join(each.line() for each in self.signatures)}".encode()
        try:
            parsed = Note.parse(data)
        except (MalformedError, LimitError) as error:
            raise UsageError(error.detail) from None
        if parsed != self:
            raise UsageError("note text")
        return data

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """The note in `data`.

        Raises `LimitError` over 160 KiB or 32 signatures, and `MalformedError` for what is not UTF-8,
        holds control characters, has no text or signature line, or two lines by one key.
        """
        text, lines = _split(_readable(data))
        if len(lines) > MAX_NOTE_SIGNATURES:
            raise LimitError(f"{len(lines)} signatures, at most {MAX_NOTE_SIGNATURES}")
        signatures = tuple(NoteSignature.parse(line) for line in lines)
        if len({(each.name, each.key_id) for each in signatures}) != len(signatures):
            raise MalformedError("two signatures by one key")
        return cls(text, signatures)


def _readable(data: bytes) -> str:
    if len(data) > MAX_NOTE_BYTES:
        raise LimitError(f"a note of {len(data)} bytes, at most {MAX_NOTE_BYTES}")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("not UTF-8") from None
    if _CONTROLS.search(whole):
        raise MalformedError("control character")
    return whole


def _split(whole: str) -> tuple[str, list[str]]:
    text, gap, signed = whole.rpartition("\n\n")
    if not gap or not signed.endswith("\n"):
        raise MalformedError("no signed text")
    return text + "\n", signed[:-1].split("\n")
