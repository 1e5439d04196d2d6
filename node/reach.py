"""Whom a message can be sealed to just now, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from node.context import Context
from node.tables import peers
from node.tables.peers import Peer
from protocol.codec import decode, encode, fields
from protocol.errors import (
    NoPrekeyError,
    RecipientSuspendedError,
    StandingError,
    UnknownMemberError,
    UnknownRecipientError,
)
from protocol.limits import MAX_CIPHERTEXT_BYTES
from protocol.names import Party
from protocol.sealing import Recipient
from protocol.trust.prekeys import PrekeyCalendar, epoch_at


@dataclass(frozen=True, slots=True)
class Target:
    """A peer with the prekey to seal to it today."""

    peer: Peer
    recipient: Recipient


class Reach:
    """The answer for every party, asked once in a run; `wanted` collects whose calendars are missing or used up."""

    __slots__ = ("_answers", "_calendars", "_ctx", "wanted")

    def __init__(self, ctx: Context, calendars: Mapping[str, PrekeyCalendar]) -> None:
        """Judge by the registry and these verified calendars, by member."""
        self._ctx, self._calendars = ctx, calendars
        self._answers: dict[Party, Target | str] = {}
        self.wanted: set[str] = set()

    def target(self, party: Party) -> Target | str:
        """Where to seal to, or the code of the reason why not."""
        answer = self._answers.get(party)
        if answer is None:
            answer = self._answers[party] = self._judge(party)
        return answer

    def _judge(self, party: Party) -> Target | str:
        try:
            self._ctx.registry.member_standing(party.member, self._ctx.second)
        except UnknownMemberError:
            return UnknownRecipientError.code
        except RecipientSuspendedError as error:
            return error.code
        epoch = epoch_at(self._ctx.second)
        calendar = self._trusted(party.member)
        public, name = (calendar.public(epoch), calendar.hash(epoch)) if calendar else (None, None)
        if public is None or name is None:
            self.wanted.add(party.member)
            return NoPrekeyError.code
        return Target(peers.meet(self._ctx.tx, party), Recipient(party, epoch, name, public))

    def _trusted(self, member: str) -> PrekeyCalendar | None:
        # Whoever stole a node holds its prekeys too: a revocation ends them with the certificate that vouches for them.
        calendar = self._calendars.get(member)
        if calendar is None:
            return None
        try:
            self._ctx.registry.certificate_standing(calendar.certificate, self._ctx.second)
        except StandingError:
            return None
        return calendar


# -- audiences ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Audience:
    """Everybody who can read a message but its sender; `network` if it is exactly that network's roster."""

    parties: tuple[Party, ...]
    network: str | None

    def encode(self) -> bytes:
        """The bytes under which it is stored; `read_audience` gives it back."""
        return encode((self.network, [party.value() for party in self.parties]))


_NOBODY: Final = Audience((), None)


def read_audience(data: bytes) -> Audience:
    """The audience that `Audience.encode` wrote."""
    network, parties = fields(decode(data, MAX_CIPHERTEXT_BYTES), 2)
    members = tuple(Party.parse(each) for each in parties if parties) if isinstance(parties, list) else ()
    return Audience(members, network if isinstance(network, str) else None)


@lru_cache(maxsize=1024)
def addressed_bytes(members: tuple[str, ...], networks: tuple[str, ...]) -> bytes:
    """The bytes that name these members and networks, whatever their order."""
    return encode((sorted(set(members)), sorted(set(networks))))


def resolve(ctx: Context, addressed: bytes) -> Audience:
    """Who that is at the registry's present size; nobody, if a network is dissolved or only the sender is left."""
    listed = decode(addressed, MAX_CIPHERTEXT_BYTES)
    members, networks = (
        ([str(name) for name in each or ()] for each in listed) if isinstance(listed, list) else ((), ())
    )
    me = ctx.identity.me
    parties = {Party(me.association, name) for name in members}
    for network in networks:
        roster = ctx.registry.roster(network)
        if roster is None:
            return _NOBODY
        parties |= set(roster)
    alone = networks[0] if len(networks) == 1 and not members else None
    return Audience(tuple(sorted(parties - {me})), alone)


def still(ctx: Context, audience: Audience) -> Audience:
    """The same people; the network is named only while they are its roster."""
    if audience.network is None:
        return audience
    roster = ctx.registry.roster(audience.network) or ()
    if tuple(sorted(set(roster) - {ctx.identity.me})) == audience.parties:
        return audience
    return Audience(audience.parties, None)
