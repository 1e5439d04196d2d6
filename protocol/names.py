"""Names, addresses and identifiers (SPEC section 5).

A name is what people type; inside signed bytes a member is always a `Party`, which carries the
association's id, so that nothing signed for one association speaks in another.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType

from protocol.codec import Value, binary, encode, fields, positive, text, uint
from protocol.errors import MalformedError, UsageError
from protocol.signing import DIGEST_BYTES, HashLabel, digest

AssociationId = NewType("AssociationId", bytes)
MessageId = NewType("MessageId", bytes)
EnvelopeId = NewType("EnvelopeId", bytes)
StatementId = NewType("StatementId", bytes)
Digest = NewType("Digest", bytes)

MIN_NAME_BYTES: Final = 2
MAX_NAME_BYTES: Final = 32
MAX_KEY_BYTES: Final = 255
MESSAGE_ID_BYTES: Final = 16
ID_BYTES: Final = {"msg": MESSAGE_ID_BYTES, "env": DIGEST_BYTES, "stm": DIGEST_BYTES}

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ADDRESS: Final = re.compile(
    r"(?:#(?P<network>[^#@/]*)|(?P<member>[^#@/]*)(?:/(?P<desk>[^#@/]*))?)(?:@(?P<home>[^#@/]*))?"
)


# -- names -------------------------------------------------------------------------------------------
def check_name(name: str) -> str:
    """The same name: lower-case letters and digits in groups joined by single hyphens, 2 to 32 bytes.

    Raises `MalformedError` otherwise.
    """
    if not MIN_NAME_BYTES <= len(name) <= MAX_NAME_BYTES or not _NAME.fullmatch(name):
        raise MalformedError("name")
    return name


def read_name(value: Value) -> str:
    """The name that a wire text holds; else `MalformedError`."""
    return check_name(text(value))


def read_digest(value: Value) -> bytes:
    """The 32 bytes of a digest or identifier; else `MalformedError`."""
    return binary(value, DIGEST_BYTES)


@dataclass(frozen=True, slots=True, order=True)
class Party:
    """A member as signed bytes name it: the 32-byte association id and the member's name."""

    association: AssociationId
    member: str

    @classmethod
    def parse(cls, value: Value) -> Party:
        """The party that [association id, member] holds; else `MalformedError`."""
        association, member = fields(value, 2)
        return _party(read_digest(association), text(member))

    def value(self) -> tuple[bytes, str]:
        """What `parse` reads, ready to encode."""
        return (self.association, self.member)


# The same few dozen members are named over and over.
@lru_cache(maxsize=4096)
def _party(association: bytes, member: str) -> Party:
    return Party(AssociationId(association), check_name(member))


@dataclass(frozen=True, slots=True, order=True)
class Incarnation:
    """One uninterrupted life of a node or hub: the charter in force, from 1, and the leaf that opened it (SPEC 5.4)."""

    charter_version: int
    leaf_index: int

    @classmethod
    def parse(cls, value: Value) -> Incarnation:
        """The incarnation that [charter version, leaf index] holds; else `MalformedError`."""
        charter_version, leaf_index = fields(value, 2)
        return cls(positive(charter_version, 63), uint(leaf_index, 63))

    def value(self) -> tuple[int, int]:
        """What `parse` reads, ready to encode."""
        return (self.charter_version, self.leaf_index)


# -- addresses ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Address:
    """Where people write to: a member, a desk of it, or a network; `association` is the association's name."""

    member: str | None
    desk: str | None
    network: str | None
    association: str

    def __str__(self) -> str:
        """`member@association`, `member/desk@association` or `#network@association`."""
        if self.network is not None:
            return f"#{self.network}@{self.association}"
        return f"{self.member}{f'/{self.desk}' if self.desk is not None else ''}@{self.association}"


def parse_address(address: str, association_name: str) -> Address:
    """The address that a person typed; without `@association` it is in the association of this name.

    Raises `UsageError` for another form, and for another association: version 0 reaches none.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError("an address is a member, a desk of one as in co-fgn/central, or a network as in #rfai")
    parts = {key: name for key, name in match.groupdict().items() if name is not None}
    for part in parts.values():
        _check_typed(part)
    if parts.setdefault("home", association_name) != association_name:
        raise UsageError("an address in another association")
    return Address(parts.get("member"), parts.get("desk"), parts.get("network"), association_name)


def _check_typed(name: str) -> str:
    try:
        return check_name(name)
    except MalformedError:
        raise UsageError("a name has 2 to 32 lower-case letters, digits and single hyphens") from None


# -- identifiers -------------------------------------------------------------------------------------
def message_id(association: AssociationId, member: str, desk: str, key: str) -> MessageId:
    """The 16-byte id of the message that this desk submitted under this idempotency key (SPEC 5.3).

    `key` is 1 to 255 bytes of text.  Raises `UsageError` for another size or a name that is none.
    """
    try:
        if not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
            raise UsageError("idempotency key of 1 to 255 bytes")
    except UnicodeEncodeError:
        raise UsageError("idempotency key is not text") from None
    return MessageId(digest(HashLabel.MESSAGE_ID, _id_start(association, member, desk), encode(key))[:MESSAGE_ID_BYTES])


# An array's encoding is its header and the encodings of its items, one after the other; a desk writes many messages.
@lru_cache(maxsize=1024)
def _id_start(association: AssociationId, member: str, desk: str) -> bytes:
    header = encode([None] * 4)[:1]
    return header + encode([association, _check_typed(member), _check_typed(desk)])[1:]


def show_id(prefix: str, raw: bytes) -> str:
    """The identifier as people see it: `msg_`, `env_` or `stm_` and lower-case base32 without padding."""
    _check_prefix(prefix, raw)
    return f"{prefix}_{base64.b32encode(raw).decode('ascii').rstrip('=').lower()}"


def read_id(prefix: str, shown: str) -> bytes:
    """The bytes that `show_id` showed; `UsageError` for any other text."""
    start, _, encoded = shown.partition("_")
    try:
        raw = base64.b32decode(encoded.upper() + "=" * (-len(encoded) % 8))
    except (binascii.Error, ValueError):
        raise UsageError(f"not an identifier {prefix}_…") from None
    # Comparing with the shown form refuses capitals, stray bits and a wrong prefix in one stroke.
    if start != prefix or len(raw) != ID_BYTES[prefix] or show_id(prefix, raw) != shown:
        raise UsageError(f"not an identifier {prefix}_…")
    return raw


def _check_prefix(prefix: str, raw: bytes) -> None:
    if len(raw) != ID_BYTES[prefix]:
        raise UsageError(f"identifier size for {prefix}_")
