"""Which prekeys the hub lets slots use, by the calendars that members published (SPEC section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.store import Transaction
from protocol.bodies import Role
from protocol.errors import ClockSkewError, PrekeyExpiredError, PrekeyUnknownError, StandingError, WrongSenderError
from protocol.limits import CLOCK_REFUSE_SECONDS, EPOCH_GRACE_SECONDS, EPOCH_SECONDS
from protocol.messages.envelope import Slot
from protocol.names import Party, StatementId
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, check_successor
from protocol.trust.registry import Registry


@dataclass(frozen=True, slots=True)
class Known:
    """What counts of one calendar here: the certificate that it stands under, and the hash of each epoch's key."""

    certificate: StatementId
    hashes: Mapping[int, bytes]


class PrekeyBook:
    """The calendars in the store, read once each; `forget` what may have been undone."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Nothing read yet."""
        self._known: dict[str, Known | None] = {}

    def forget(self) -> None:
        """Read everything again."""
        self._known.clear()

    def of(self, member: str, tx: Transaction, registry: Registry, now: int) -> Mapping[int, bytes]:
        """The hash of each epoch's key that may be used for this member at `now` (Unix seconds).

        None of a calendar whose certificate is out of standing: whoever holds that key may hold the prekeys too.
        """
        known = self._calendar(member, tx)
        if known is None:
            return {}
        try:
            registry.certificate_standing(known.certificate, now)
        except StandingError:
            return {}
        return known.hashes

    def until(self, member: str, tx: Transaction) -> int | None:
        """When (Unix seconds) the last epoch of the member's calendar ends; None without one."""
        known = self._calendar(member, tx)
        return None if known is None or not known.hashes else (max(known.hashes) + 1) * EPOCH_SECONDS

    def _calendar(self, member: str, tx: Transaction) -> Known | None:
        if member not in self._known:
            self._known[member] = _read(tx.calendar(member))
        return self._known[member]

    @staticmethod
    def refusal(slot: Slot, hashes: Mapping[int, bytes], now: int) -> str | None:
        """The error code with which this slot's prekey is refused at `now` (Unix seconds); None if it may be used.

        `hashes` are those `of` the recipient.
        """
        start = slot.epoch * EPOCH_SECONDS
        if start + EPOCH_SECONDS + EPOCH_GRACE_SECONDS < now:
            return PrekeyExpiredError.code
        if start > now + EPOCH_GRACE_SECONDS or hashes.get(slot.epoch) != slot.prekey_hash:
            return PrekeyUnknownError.code
        return None

    def publish(self, raw: bytes, party: Party, tx: Transaction, registry: Registry, now: int) -> None:
        """The signed calendar in `raw` is the member's from now on.

        Raises what reading and verifying it raises, `WrongSenderError` for another member's, `StandingError` for a
        certificate out of standing or another's, `ClockSkewError` for one issued over an hour ahead, and
        `StaleError` or `ConflictError` for one that may not follow the one held.
        """
        signed = SignedCalendar.from_bytes(raw)
        if signed.claimed.party != party:
            raise WrongSenderError
        record = registry.certificate_standing(signed.claimed.certificate, now)
        if (record.role, record.party) != (Role.NODE, party):
            raise StandingError("the certificate is another's")
        calendar = signed.verify(record.key)
        # One from the future would shut out all that follow until its time has come.
        if calendar.issued_at > now + CLOCK_REFUSE_SECONDS:
            raise ClockSkewError("calendar")
        self._check_held(calendar, tx, registry)
        tx.put_calendar(party.member, raw)
        self._known.pop(party.member, None)

    def _check_held(self, calendar: PrekeyCalendar, tx: Transaction, registry: Registry) -> None:
        raw = tx.calendar(calendar.member)
        if raw is None:
            return
        held = SignedCalendar.from_bytes(raw).claimed
        opening = registry.last_opening(Role.NODE, calendar.member)
        same_incarnation = opening is None or opening.opened_at <= held.issued_at
        check_successor(held, calendar, same_incarnation=same_incarnation)


def _read(raw: bytes | None) -> Known | None:
    if raw is None:
        return None
    calendar = SignedCalendar.from_bytes(raw).claimed
    hashes = {epoch: calendar.hash(epoch) for epoch, _public in calendar.epochs}
    return Known(calendar.certificate, {epoch: each for epoch, each in hashes.items() if each is not None})
