"""The prekey calendars of other members, verified; what the hub hands out is checked against what was held before."""

from __future__ import annotations

from collections.abc import Mapping

from node.context import Context
from node.tables import calendars as table
from node.tables import state
from protocol.errors import ConflictError, PeerError, StandingError, VerificationError
from protocol.sealing import check_prekey
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, check_successor
from protocol.trust.statements import Role


class Calendars:
    """Used on the store's thread alone."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """None held."""
        self._held: dict[str, PrekeyCalendar] = {}

    @property
    def held(self) -> Mapping[str, PrekeyCalendar]:
        """The calendars by member."""
        return self._held

    def load(self, ctx: Context) -> None:
        """Afterwards those of the archive are held; what does not verify any more is asked for anew."""
        for member, raw in table.stored(ctx.tx):
            try:
                self._held[member] = _verified(ctx, member, raw)
            except (PeerError, StandingError):
                table.forget(ctx.tx, member)

    def take(self, ctx: Context, member: str, raw: bytes | None) -> bool:
        """Whether the member can be sealed to by the calendar that the hub shows; one that does not prove itself alarms."""
        if raw is None:
            return False
        try:
            calendar = _verified(ctx, member, raw)
            held = self._held.get(member)
            if held is not None:
                if held.raw == calendar.raw:
                    return True
                check_successor(held, calendar, same_incarnation=_is_same_life(ctx, held))
        except (PeerError, StandingError, ConflictError) as error:
            state.alarm(ctx.tx, ctx.second, error.code, f"the calendar that the hub shows for {member} is not used")
            return False
        self._held[member] = calendar
        table.keep(ctx.tx, member, raw)
        return True


def _verified(ctx: Context, member: str, raw: bytes) -> PrekeyCalendar:
    signed = SignedCalendar.from_bytes(raw)
    certificate = ctx.registry.certificate_standing(signed.claimed.certificate, ctx.second)
    party = signed.claimed.party
    if certificate.role is not Role.NODE or certificate.party != party or party.member != member:
        raise VerificationError("the certificate is not one of this member's node")
    if party.association != ctx.registry.association:
        raise VerificationError("another association's calendar")
    calendar = signed.verify(certificate.key)
    # One bad key would spoil every envelope that has its owner among the readers.
    for _epoch, public in calendar.epochs:
        check_prekey(public)
    return calendar


def _is_same_life(ctx: Context, held: PrekeyCalendar) -> bool:
    # A restored node lost the halves that its older calendar promised.
    opening = ctx.registry.last_opening(Role.NODE, held.member)
    return opening is None or opening.opened_at <= held.issued_at
