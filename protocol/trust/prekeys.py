"""Calendars of short-lived public encryption keys, one a UTC day, signed by the node (SPEC section 7).

The private half dies soon after its day, and with it what was sealed to it: a calendar tells senders
which key covers their now.  Nothing here can open anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from protocol.codec import VERSION, Value, array, binary, decode, encode, fields, uint, versioned
from protocol.errors import (
    ConflictError,
    MalformedError,
    PeerError,
    StaleError,
    UsageError,
)
from protocol.limits import CALENDAR_EPOCHS, EPOCH_SECONDS, MAX_CALENDAR_BYTES
from protocol.names import AssociationId, Digest, Party, StatementId, read_digest, read_name
from protocol.signing import HashLabel, Label, PrivateKey, PublicKey, Signature, digest

PREKEY_PUBLIC_BYTES: Final = 1216


def epoch_at(at: int) -> int:
    """The epoch, a UTC day counted from 1970-01-01, that covers this Unix second."""
    return at // EPOCH_SECONDS


def prekey_hash(association: bytes, member: str, epoch: int, public: bytes) -> Digest:
    """The 32-byte name of one prekey, bound to its member and day."""
    return Digest(digest(HashLabel.PREKEY, encode([association, member, epoch, public])))


@dataclass(frozen=True, slots=True)
class PrekeyCalendar:
    """A member's public prekeys of consecutive epochs; `raw` are the bytes that are signed."""

    association: AssociationId
    member: str
    certificate: StatementId
    issued_at: int
    epochs: tuple[tuple[int, bytes], ...] = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def build(
        cls,
        association: bytes,
        member: str,
        certificate: bytes,
        issued_at: int,
        epochs: Sequence[tuple[int, bytes]],
    ) -> PrekeyCalendar:
        """The calendar of these (epoch, public key of 1,216 bytes) pairs; `UsageError` if no reader would take it."""
        raw = encode([VERSION, association, member, certificate, issued_at, tuple(epochs)])
        try:
            return cls.from_bytes(raw)
        except PeerError as error:
            raise UsageError(error.detail or error.code) from error

    @classmethod
    def from_bytes(cls, raw: bytes) -> PrekeyCalendar:
        """The calendar in `raw`.

        Raises `VersionError`, `LimitError` over 15 epochs or 32 KiB, and `MalformedError` for everything else that is
        none: 1 to 15 consecutive epochs, the first at the earliest the day before `issued_at`.
        """
        association, member, certificate, issued_at, listed = versioned(decode(raw, MAX_CALENDAR_BYTES), 5)
        calendar = cls(
            AssociationId(read_digest(association)),
            read_name(member),
            StatementId(read_digest(certificate)),
            uint(issued_at, 63),
            tuple(_prekey(each) for each in array(listed, CALENDAR_EPOCHS)),
            raw,
        )
        calendar._check_epochs()
        return calendar

    def _check_epochs(self) -> None:
        days = [epoch for epoch, _public in self.epochs]
        if not days or any(after != before + 1 for before, after in pairwise(days)):
            raise MalformedError("epochs are not consecutive")
        if days[0] < epoch_at(self.issued_at) - 1:
            raise MalformedError("more than one past epoch")

    @property
    def party(self) -> Party:
        """Whose prekeys these are."""
        return Party(self.association, self.member)

    def public(self, epoch: int) -> bytes | None:
        """The public key of this epoch, 1,216 bytes; None if the calendar does not cover it."""
        return next((public for day, public in self.epochs if day == epoch), None)

    def hash(self, epoch: int) -> Digest | None:
        """The prekey hash of this epoch; None if the calendar does not cover it."""
        public = self.public(epoch)
        return None if public is None else prekey_hash(self.association, self.member, epoch, public)


@dataclass(frozen=True, slots=True)
class SignedCalendar:
    """A calendar with a signature that nobody verified yet; `claimed` only says which key to ask."""

    claimed: PrekeyCalendar
    signature: Signature = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> SignedCalendar:
        """The signed calendar in `raw`, at most 32 KiB; raises what `PrekeyCalendar.from_bytes` raises."""
        calendar, ed25519, mldsa65 = fields(decode(raw, MAX_CALENDAR_BYTES), 3)
        return cls(PrekeyCalendar.from_bytes(binary(calendar)), Signature.parse([ed25519, mldsa65]), raw)

    def verify(self, key: PublicKey) -> PrekeyCalendar:
        """The calendar, once `key` proved to have signed it for the association that it names; else `SignatureError`.

        The caller compares `party` with the member it asked about, and takes `key` from the registry: that of
        the calendar's certificate, in standing and this party's.
        """
        key.verify(Label.CALENDAR, self.claimed.association, self.claimed.raw, self.signature)
        return self.claimed


def sign_calendar(key: PrivateKey, calendar: PrekeyCalendar) -> SignedCalendar:
    """The calendar, signed by the key of its certificate."""
    signature = key.sign(Label.CALENDAR, calendar.association, calendar.raw)
    return SignedCalendar(calendar, signature, encode([calendar.raw, *signature.value()]))


def check_successor(held: PrekeyCalendar, new: PrekeyCalendar, *, same_incarnation: bool) -> None:
    """Return if `new` may take the place of `held`, of the same member.

    Raises `StaleError` for an older one, and `ConflictError` for another of the same time or one that gives
    an epoch another key within one incarnation: the old half could still be in use.
    """
    if new.issued_at < held.issued_at:
        raise StaleError("calendar")
    if new.issued_at == held.issued_at and new.raw != held.raw:
        raise ConflictError("two calendars of one time")
    if same_incarnation and any(new.public(epoch) not in {None, public} for epoch, public in held.epochs):
        raise ConflictError("another prekey for the same day")


def _prekey(value: Value) -> tuple[int, bytes]:
    epoch, public = fields(value, 2)
    return (uint(epoch, 63), binary(public, PREKEY_PUBLIC_BYTES))
