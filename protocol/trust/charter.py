"""The constitution of an association: who governs it, its hub, its witnesses, its limits (SPEC 6.2, type 1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from nacl.bindings import crypto_core_ed25519_is_valid_point

from protocol.bodies import Body, StatementType, require_ascending
from protocol.codec import Value, array, binary, fields, optional, text, uint
from protocol.errors import MalformedError
from protocol.limits import ENVELOPE_LIFETIME_SECONDS
from protocol.names import AssociationId, StatementId, read_digest, read_name
from protocol.signing import DIGEST_BYTES, ED25519_PUBLIC_BYTES, PublicKey
from protocol.trust.notes import key_name

NO_ASSOCIATION: Final = AssociationId(bytes(DIGEST_BYTES))
MAX_STEWARDS: Final = 32
MIN_WITNESSES: Final = 3
MAX_WITNESSES: Final = 32
MLDSA44_PUBLIC_BYTES: Final = 1312
MAX_ORIGIN_BYTES: Final = 128
MAX_URL_BYTES: Final = 255
MIN_LIFETIME_SECONDS: Final = 3_600

_URL: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Steward:
    """An officer and the key that officer signs with."""

    name: str
    key: PublicKey

    @classmethod
    def parse(cls, value: Value) -> Steward:
        """The steward that [name, ed25519, ml-dsa-65] holds; else `MalformedError`."""
        name, ed25519, mldsa65 = fields(value, 3)
        return cls(read_name(name), PublicKey(binary(ed25519), binary(mldsa65)))

    def value(self) -> Value:
        """What `parse` reads, ready to encode."""
        return (self.name, *self.key.value())


@dataclass(frozen=True, slots=True)
class CharterHub:
    """The hub: its root key, its log's name and keys (ML-DSA-44 of 1,312 bytes, Ed25519 of 32), where it is found."""

    root: PublicKey
    origin: str
    log_key: bytes = field(repr=False)
    log_ed25519: bytes
    url: str

    @classmethod
    def parse(cls, value: Value) -> CharterHub:
        """The hub that these five fields tell; else `MalformedError` or `LimitError`."""
        root, origin, log_key, log_ed25519, url = fields(value, 5)
        parsed = cls(
            PublicKey.parse(root),
            key_name(text(origin, MAX_ORIGIN_BYTES)),
            binary(log_key, MLDSA44_PUBLIC_BYTES),
            binary(log_ed25519, ED25519_PUBLIC_BYTES),
            hub_url(url),
        )
        if not crypto_core_ed25519_is_valid_point(parsed.log_ed25519):
            raise MalformedError("not an Ed25519 public key")
        return parsed

    def value(self) -> Value:
        """What `parse` reads, ready to encode."""
        return (self.root.value(), self.origin, self.log_key, self.log_ed25519, self.url)


def hub_url(value: Value) -> str:
    """The address of a hub that a wire text holds; else `MalformedError` or `LimitError`."""
    url = text(value, MAX_URL_BYTES)
    if not _URL.fullmatch(url):
        raise MalformedError("hub url")
    return url


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who cosigns the log: `quorum` of them make a view, `faulty` of them may lie; all empty if unwitnessed."""

    quorum: int = 0
    faulty: int = 0
    keys: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def parse(cls, value: Value) -> Witnesses:
        """The witnesses that [q, f, [[name, key]…]] holds; `MalformedError` if a quorum could not hold."""
        quorum, faulty, keys = fields(value, 3)
        parsed = cls(uint(quorum, 63), uint(faulty, 63), tuple(_witness(each) for each in array(keys, MAX_WITNESSES)))
        require_ascending([name for name, _key in parsed.keys], "witnesses")
        if len({key for _name, key in parsed.keys}) != len(parsed.keys):
            raise MalformedError("two witnesses with one key")
        if parsed != Witnesses() and not parsed.is_sound():
            raise MalformedError("witness quorum")
        return parsed

    def is_sound(self) -> bool:
        """Tell whether two quorums meet in an honest witness, and one forms without the faulty and one absent."""
        count = len(self.keys)
        meets = 2 * self.quorum - count > self.faulty
        return count >= MIN_WITNESSES and meets and count - self.quorum >= max(self.faulty, 1)

    def value(self) -> Value:
        """What `parse` reads, ready to encode."""
        return (self.quorum, self.faulty, self.keys)


def _witness(value: Value) -> tuple[str, bytes]:
    name, key = fields(value, 2)
    return (read_name(name), binary(key, MLDSA44_PUBLIC_BYTES))


@dataclass(frozen=True, slots=True)
class Limits:
    """What the hub grants each member and how old a view may be; lifetime from 1 hour to 14 days."""

    envelope_lifetime_seconds: int
    mailbox_bytes: int
    mailbox_messages: int
    freshness_alarm_seconds: int
    freshness_stop_seconds: int

    @classmethod
    def parse(cls, value: Value) -> Limits:
        """The limits that these five numbers tell; else `MalformedError`."""
        lifetime, mailbox_bytes, messages, alarm, stop = (uint(each, 63) for each in fields(value, 5))
        if not MIN_LIFETIME_SECONDS <= lifetime <= ENVELOPE_LIFETIME_SECONDS:
            raise MalformedError("envelope lifetime")
        if alarm > stop:
            raise MalformedError("freshness")
        return cls(lifetime, mailbox_bytes, messages, alarm, stop)

    def value(self) -> Value:
        """What `parse` reads, ready to encode."""
        return (
            self.envelope_lifetime_seconds,
            self.mailbox_bytes,
            self.mailbox_messages,
            self.freshness_alarm_seconds,
            self.freshness_stop_seconds,
        )


@dataclass(frozen=True, slots=True)
class Continues:
    """The log that a replaced hub's log continues, at least this far."""

    size: int
    root: bytes

    @classmethod
    def parse(cls, value: Value) -> Continues:
        """What [size, root] holds; else `MalformedError`."""
        size, root = fields(value, 2)
        return cls(uint(size, 63), read_digest(root))

    def value(self) -> Value:
        """What `parse` reads, ready to encode."""
        return (self.size, self.root)


@dataclass(frozen=True, slots=True)
class Charter(Body):
    """One version of the constitution; version 1 carries `NO_ASSOCIATION`, because its digest is the id."""

    type: ClassVar = StatementType.CHARTER
    association: AssociationId
    name: str
    version: int
    previous: StatementId | None
    threshold: int
    stewards: tuple[Steward, ...]
    hub: CharterHub
    witnesses: Witnesses
    continues: Continues | None
    limits: Limits
    created_at: int
    expires_at: int

    def further(self) -> Sequence[Value]:
        """The eleven fields of SPEC 6.2, in order."""
        return (
            self.name,
            self.version,
            self.previous,
            self.threshold,
            [steward.value() for steward in self.stewards],
            self.hub.value(),
            self.witnesses.value(),
            self.continues.value() if self.continues else None,
            self.limits.value(),
            self.created_at,
            self.expires_at,
        )

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Charter:
        """The charter that these fields tell; else `MalformedError` or `LimitError`."""
        name, version, previous, k, stewards, hub, witnesses, continues, limits, created_at, expires_at = fields(
            further, 11
        )
        parsed = cls(
            association,
            read_name(name),
            uint(version, 63),
            optional(previous, _statement_id),
            uint(k, 63),
            tuple(Steward.parse(each) for each in array(stewards, MAX_STEWARDS)),
            CharterHub.parse(hub),
            Witnesses.parse(witnesses),
            optional(continues, Continues.parse),
            Limits.parse(limits),
            uint(created_at, 63),
            uint(expires_at, 63),
        )
        _check_stewards(parsed)
        _check_place(parsed)
        return parsed

    def steward_keys(self) -> dict[bytes, PublicKey]:
        """The stewards' keys by fingerprint: the only signatures that count under this charter."""
        return {steward.key.fingerprint: steward.key for steward in self.stewards}


def association_id(body: bytes) -> AssociationId:
    """The id of the association that this body of a charter 1 founds (SPEC 5.2)."""
    return AssociationId(hashlib.sha256(body).digest())


def _statement_id(value: Value) -> StatementId:
    return StatementId(read_digest(value))


def _check_stewards(charter: Charter) -> None:
    require_ascending([steward.name for steward in charter.stewards], "stewards")
    # Either half alone would already let one person stand as two.
    halves = [half for steward in charter.stewards for half in steward.key.value()]
    if len(set(halves)) != len(halves):
        raise MalformedError("two stewards with one key")
    if not 1 <= charter.threshold <= len(charter.stewards):
        raise MalformedError("threshold")


def _check_place(charter: Charter) -> None:
    first = charter.version == 1
    if charter.version == 0 or first != (charter.previous is None) or first != (charter.association == NO_ASSOCIATION):
        raise MalformedError("charter version")
    if first and charter.continues is not None:
        raise MalformedError("a first charter continues nothing")
    if charter.created_at >= charter.expires_at:
        raise MalformedError("charter lifetime")
