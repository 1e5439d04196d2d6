"""Which prekeys the hub lets slots use, by the calendars that members published (SPEC section 7)."""

from __future__ import annotations

from hub.store import Transaction
from protocol.bodies import Role
from protocol.errors import ClockSkewError, PrekeyExpiredError, PrekeyUnknownError, StandingError, WrongSenderError
from protocol.limits import CLOCK_REFUSE_SECONDS, EPOCH_GRACE_SECONDS, EPOCH_SECONDS
from protocol.messages.envelope import Slot
from protocol.names import Party
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, check_successor
from protocol.trust.registry import Registry


class PrekeyBook:
    """The prekey hashes of the calendars in the store, read once each; `forget` what may have been undone."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        """Nothing read yet."""
        self._hashes: dict[str, dict[int, bytes]] = {}

    def forget(self) -> None:
        """Read everything again."""
        self._hashes.clear()

    def refusal(self, slot: Slot, tx: Transaction, now: int) -> str | None:
        """The error code with which this slot's prekey is refused at `now` (Unix seconds); None if it may be used."""
        start = slot.epoch * EPOCH_SECONDS
        if start + EPOCH_SECONDS + EPOCH_GRACE_SECONDS < now:
            return PrekeyExpiredError.code
        known = self._known(slot.recipient.member, tx).get(slot.epoch)
        if start > now + EPOCH_GRACE_SECONDS or known != slot.prekey_hash:
            return PrekeyUnknownError.code
        return None

    def _known(self, member: str, tx: Transaction) -> dict[int, bytes]:
        if member not in self._hashes:
            self._hashes[member] = _hashes(tx.calendar(member))
        return self._hashes[member]

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
        self._hashes.pop(party.member, None)

    def _check_held(self, calendar: PrekeyCalendar, tx: Transaction, registry: Registry) -> None:
        raw = tx.calendar(calendar.member)
        if raw is None:
            return
        held = SignedCalendar.from_bytes(raw).claimed
        opening = registry.last_opening(Role.NODE, calendar.member)
        same_incarnation = opening is None or opening.opened_at <= held.issued_at
        check_successor(held, calendar, same_incarnation=same_incarnation)


def _hashes(raw: bytes | None) -> dict[int, bytes]:
    if raw is None:
        return {}
    calendar = SignedCalendar.from_bytes(raw).claimed
    hashes = {epoch: calendar.hash(epoch) for epoch, _public in calendar.epochs}
    return {epoch: each for epoch, each in hashes.items() if each is not None}
