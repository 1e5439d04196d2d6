"""What a sender signs: header, manifest, link (SPEC sections 8.2 to 8.4), and the bodies that they stand for.

    body ← header ← Merkle root ← manifest ← link ← batch signature

A message and everything about it hangs on one signature, and each of these structures keeps the bytes
it came as, because the next one holds their digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from msgspec import Struct

from protocol.batch import SALT_BYTES, leaf, leaves
from protocol.bodies import require_ascending
from protocol.codec import (
    VERSION,
    Value,
    array,
    binary,
    bounded,
    decode,
    encode,
    fields,
    one_of,
    optional,
    positive,
    uint,
    versioned,
)
from protocol.errors import MalformedError, VersionError
from protocol.limits import (
    MAX_ATTACHMENTS,
    MAX_AUDIENCE,
    MAX_BODIES,
    MAX_CIPHERTEXT_BYTES,
    MAX_CONTENT_BYTES,
    MAX_LINK_BYTES,
    MAX_SIGNED_PART_BYTES,
    MAX_STATEMENT_BYTES,
    MAX_VIEW_NEGATIVES,
    MAX_VIEWS,
)
from protocol.merkle import root
from protocol.names import (
    MESSAGE_ID_BYTES,
    AssociationId,
    Digest,
    Incarnation,
    MessageId,
    Party,
    StatementId,
    read_digest,
    read_name,
)
from protocol.signing import HashLabel, digest
from protocol.trust.checkpoint import Cosignature

SUITE: Final = 1
FILE_KEY_BYTES: Final = 32
# An array of five, version 0, a byte string of 16: what every header begins with, since its encoding is the only one.
_HEADER_START: Final = b"\x95\x00\xc4\x10"
# One without files, of our time: a time of 32 bits that needs them, a digest, an empty array.  There is a header for
# every message, and nearly all of them are this; each is read and written in place, every other by the codec.
_PLAIN_HEADER: Final = re.compile(_HEADER_START + rb"(.{16})\xce((?!\x00\x00).{4})\xc4\x20(.{32})\x90", re.DOTALL)
_PLAIN_TIMES: Final = range(1 << 16, 1 << 32)


class Kind(IntEnum):
    """What the bodies of a manifest are."""

    MESSAGE = 1
    RECEIPT = 2
    VOID = 3
    NOTICE = 4
    EMPTY = 5


# -- header --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message: SHA-256 of its ciphertext and of its plaintext, and the plaintext's size in bytes."""

    cipher_digest: Digest
    plain_digest: Digest
    plain_size: int

    @classmethod
    def parse(cls, value: Value) -> Attachment:
        """The attachment that [cipher digest, plain digest, plain size] holds; else `MalformedError`."""
        cipher_digest, plain_digest, plain_size = fields(value, 3)
        return cls(Digest(read_digest(cipher_digest)), Digest(read_digest(plain_digest)), uint(plain_size, 63))

    def value(self) -> tuple[bytes, bytes, int]:
        """What `parse` reads, ready to encode."""
        return (self.cipher_digest, self.plain_digest, self.plain_size)


class Header(Struct, frozen=True, gc=False):
    """What is signed of one message; made by `build` or `from_bytes`.  `created_at` is Unix seconds."""

    # Like `Body` no dataclass: there is one for every message, and this is made in a tenth of the time.
    message_id: MessageId
    created_at: int
    content_digest: Digest
    attachments: tuple[Attachment, ...]
    raw: bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> Header:
        """The header in `raw`; raises what `codec.decode` does, `VersionError` and `MalformedError`."""
        if (plain := _PLAIN_HEADER.fullmatch(raw)) is not None:
            name, at, digest_of_content = plain.groups()
            return cls(MessageId(name), int.from_bytes(at, "big"), Digest(digest_of_content), (), raw)
        message_id, created_at, content, files = versioned(decode(raw, MAX_SIGNED_PART_BYTES), 4)
        attachments = tuple(Attachment.parse(each) for each in array(files, MAX_ATTACHMENTS))
        return cls(read_message_id(message_id), uint(created_at, 63), Digest(read_digest(content)), attachments, raw)

    @classmethod
    def build(
        cls, message_id: MessageId, created_at: int, content_digest: bytes, attachments: Sequence[Attachment] = ()
    ) -> Header:
        """The header of these fields; raises `MalformedError` and `LimitError` as `from_bytes` does."""
        if not attachments and created_at in _PLAIN_TIMES:
            name, named = read_message_id(message_id), read_digest(content_digest)
            at = created_at.to_bytes(4, "big")
            raw = b"".join((_HEADER_START, name, b"\xce", at, b"\xc4\x20", named, b"\x90"))
            return cls(name, created_at, Digest(named), (), raw)
        given = (read_message_id(message_id), uint(created_at, 63), Digest(read_digest(content_digest)))
        files = array([each.value() for each in attachments], MAX_ATTACHMENTS)
        return cls(*given, tuple(attachments), encode([VERSION, *given, files]))


def message_id_of(header: bytes) -> MessageId:
    """The message id in the bytes of a header that was read or built before; `MalformedError` if it cannot be one."""
    if not header.startswith(_HEADER_START):
        raise MalformedError("header")
    return MessageId(header[len(_HEADER_START) : len(_HEADER_START) + MESSAGE_ID_BYTES])


def read_message_id(value: Value) -> MessageId:
    """The 16 bytes of a message id; else `MalformedError`."""
    return MessageId(binary(value, MESSAGE_ID_BYTES))


# -- bodies --------------------------------------------------------------------------------------------
class Body(Struct, frozen=True, gc=False):
    """One unit of a manifest: its salt (32 bytes), signed part, content (empty but for a message) and file keys."""

    salt: bytes
    signed_part: bytes
    content: bytes = b""
    file_keys: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        """How much it is; never what is in it."""
        return f"Body({len(self.content)} bytes)"

    @classmethod
    def parse(cls, value: Value) -> Body:
        """The body that [salt, signed part, content, file keys] holds; else `MalformedError` or `LimitError`."""
        salt, signed_part, content, keys = fields(value, 4)
        file_keys = tuple([binary(each, FILE_KEY_BYTES) for each in array(keys, MAX_ATTACHMENTS)]) if keys != [] else ()
        part = bounded(signed_part, MAX_SIGNED_PART_BYTES)
        return cls(binary(salt, SALT_BYTES), part, bounded(content, MAX_CONTENT_BYTES), file_keys)

    def value(self) -> tuple[Value, ...]:
        """What `parse` reads, ready to encode."""
        return (self.salt, self.signed_part, self.content, self.file_keys)

    @property
    def size(self) -> int:
        """The bytes that it takes in an envelope, at most; a manifest's bodies together keep to `MAX_BODIES_BYTES`."""
        parts = len(self.salt) + len(self.signed_part) + len(self.content)
        return parts + (FILE_KEY_BYTES + 2) * len(self.file_keys) + 24

    @property
    def leaf(self) -> bytes:
        """The 32-byte leaf that stands for it in its manifest."""
        return leaf(HashLabel.BODY_LEAF, self.salt, self.signed_part)


def body_root(bodies: Sequence[Body]) -> Digest:
    """The root of the tree of these bodies' leaves, 32 bytes; SHA-256 of nothing if there are none."""
    return Digest(root(leaves(HashLabel.BODY_LEAF, [(each.salt, each.signed_part) for each in bodies])))


# -- manifest ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class View:
    """An association's registry as the sender sees it: gossip that no hub can keep from its readers.

    `cosignature` is the log's own, of `size` and `root`; `negatives` are signed statements that apply
    at the sender though that log does not hold them, in bytes and not verified.
    """

    association: AssociationId
    size: int
    root: Digest
    cosignature: Cosignature
    negatives: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, value: Value) -> View:
        """The view that [association id, size, root, timestamp, log signature, negatives] holds.

        Raises `MalformedError`, or `LimitError` for more than 16 negatives, or one over 256 KiB.
        """
        association, size, log_root, timestamp, signature, negatives = fields(value, 6)
        statements = array(negatives, MAX_VIEW_NEGATIVES)
        return cls(
            AssociationId(read_digest(association)),
            positive(size, 63),
            Digest(read_digest(log_root)),
            Cosignature.parse([timestamp, signature]),
            tuple(_negative(each) for each in statements),
        )

    def value(self) -> tuple[Value, ...]:
        """What `parse` reads, ready to encode."""
        return (self.association, self.size, self.root, *self.cosignature.value(), self.negatives)


def _negative(value: Value) -> bytes:
    if not (statement := bounded(value, MAX_STATEMENT_BYTES)):
        raise MalformedError("an empty statement")
    return statement


@dataclass(frozen=True, slots=True)
class Manifest:
    """Up to 256 bodies of one `kind` for one `audience`; made by `build` or `from_bytes`.

    `certificate` is the statement id of the sender's; `expires_at` (Unix seconds) is the author's.
    """

    kind: Kind
    sender: Party
    certificate: StatementId
    audience: tuple[Party, ...]
    network: str | None
    views: tuple[View, ...]
    expires_at: int
    count: int
    root: Digest
    raw: bytes = field(repr=False)

    @property
    def association(self) -> AssociationId:
        """The association under which it is signed: the sender's."""
        return self.sender.association

    @property
    def digest(self) -> Digest:
        """The manifest digest, which links name."""
        return Digest(digest(HashLabel.MANIFEST, self.raw))

    @property
    def view(self) -> View:
        """The view of the sender's own association."""
        return next(each for each in self.views if each.association == self.association)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """The manifest in `raw`.

        Raises what `codec.decode` does, `VersionError` for another version or suite, `LimitError` for
        too many members, views or negatives, and `MalformedError` for everything else that is
        no manifest: an audience that is not sorted, holds the sender, or does not fit the kind, a view
        missing or too many, a count that does not fit the kind.
        """
        suite, kind, association, sender, certificate, audience, network, views, expires_at, count, body_root = (
            versioned(decode(raw, MAX_CIPHERTEXT_BYTES), 11)
        )
        if (number := uint(suite, 63)) != SUITE:
            raise VersionError(f"suite {number}")
        parsed = cls(
            one_of(Kind, kind),
            Party.parse(sender),
            StatementId(read_digest(certificate)),
            tuple(Party.parse(each) for each in array(audience, MAX_AUDIENCE)),
            optional(network, read_name),
            tuple(View.parse(each) for each in array(views, MAX_VIEWS)),
            uint(expires_at, 63),
            _count(one_of(Kind, kind), count),
            Digest(read_digest(body_root)),
            raw,
        )
        if parsed.association != read_digest(association):
            raise MalformedError("the sender is of another association")
        _check_audience(parsed)
        return parsed

    @classmethod
    def build(
        cls,
        kind: Kind,
        sender: Party,
        certificate: StatementId,
        audience: Sequence[Party],
        network: str | None,
        views: Sequence[View],
        expires_at: int,
        bodies: Sequence[Body],
    ) -> Manifest:
        """The manifest of these bodies, for an audience in any order; raises what `from_bytes` does."""
        start: list[Value] = [VERSION, SUITE, int(kind), sender.association, sender.value(), certificate]
        parties = [each.value() for each in sorted(audience)]
        sight = [each.value() for each in sorted(views, key=lambda view: view.association)]
        return cls.from_bytes(encode([*start, parties, network, sight, expires_at, len(bodies), body_root(bodies)]))


def _count(kind: Kind, value: Value) -> int:
    # In a manifest and in its links alike.
    count = uint(value)
    if count > MAX_BODIES or (count == 0) is not (kind is Kind.EMPTY):
        raise MalformedError(f"{count} bodies of this kind")
    return count


def _check_audience(manifest: Manifest) -> None:
    audience = manifest.audience
    require_ascending(audience, "audience")
    if not audience or manifest.sender in audience:
        raise MalformedError("an audience of nobody, or with the sender")
    if manifest.kind is not Kind.MESSAGE and (len(audience) > 1 or manifest.network is not None):
        raise MalformedError("an audience of more than one for this kind")
    concerned = {party.association for party in (manifest.sender, *audience)}
    if [view.association for view in manifest.views] != sorted(concerned):
        raise MalformedError("not one view for each association concerned")


# -- link ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Ack:
    """All links of this `incarnation` of the reader's are archived up to number `last`, without gap."""

    incarnation: Incarnation
    last: int

    @classmethod
    def parse(cls, value: Value) -> Ack:
        """The acknowledgement that [incarnation, last] holds; else `MalformedError`."""
        incarnation, last = fields(value, 2)
        return cls(Incarnation.parse(incarnation), uint(last, 63))

    def value(self) -> tuple[tuple[int, int], int]:
        """What `parse` reads, ready to encode."""
        return (self.incarnation.value(), self.last)


@dataclass(frozen=True, slots=True)
class Link:
    """The place of a manifest in the numbered series to one recipient; made by `build` or `from_bytes`.

    Body i has number `first_seq` + i; an empty link has `count` 0 and the next unused number.
    """

    kind: Kind
    manifest_digest: Digest
    recipient: Party
    incarnation: Incarnation
    first_seq: int
    count: int
    ack: Ack | None
    raw: bytes = field(repr=False)

    @property
    def numbers(self) -> range:
        """The numbers that it takes, or for voids closes."""
        return range(self.first_seq, self.first_seq + self.count)

    def leaf(self, salt: bytes) -> Digest:
        """The link leaf under this 32-byte salt."""
        return Digest(leaf(HashLabel.LINK_LEAF, salt, self.raw))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Link:
        """The link in `raw`; raises what `codec.decode` does, `VersionError`, `LimitError` and `MalformedError`."""
        kind_value, manifest_digest, recipient, incarnation, first_seq, count, ack = versioned(
            decode(raw, MAX_LINK_BYTES), 7
        )
        kind = one_of(Kind, kind_value)
        link = cls(
            kind,
            Digest(read_digest(manifest_digest)),
            Party.parse(recipient),
            Incarnation.parse(incarnation),
            positive(first_seq, 63),
            _count(kind, count),
            optional(ack, Ack.parse),
            raw,
        )
        if link.count and link.numbers[-1] >= 1 << 63:
            raise MalformedError("numbers of 2**63 and more")
        return link

    @classmethod
    def build(
        cls, manifest: Manifest, recipient: Party, incarnation: Incarnation, first_seq: int, ack: Ack | None = None
    ) -> Link:
        """The link of `manifest` to `recipient` from number `first_seq`; raises what `from_bytes` does."""
        place = (recipient.value(), incarnation.value(), first_seq, manifest.count)
        start = (VERSION, int(manifest.kind), manifest.digest)
        return cls.from_bytes(encode((*start, *place, None if ack is None else ack.value())))
