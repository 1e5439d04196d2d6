"""What a caller sees: desks are walls, and whatever stands behind one is unknown, as if it were not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node import faults
from node.api_requests import Writer
from node.desks import AtDesk, Caller, Desks, desks_of
from node.store import Transaction
from node.tables import finding
from node.tables.finding import Arrival, Sent
from protocol.errors import DamagedError, UnknownDeskError, UnknownMessageError
from protocol.names import MessageId

_CANDIDATES: Final = 64


@dataclass(frozen=True, slots=True)
class Walls:
    """The walls between the `desks` of one node; `writer` is its member, whose own desk gets what names none."""

    desks: Desks
    writer: Writer

    def sees(self, caller: Caller) -> tuple[str, ...] | None:
        """The desks whose mail the caller sees, the empty name for the member's own; None for all."""
        own = desks_of(caller)
        return (*own, "") if own is not None and self.writer.desk in own else own

    def identify(self, tx: Transaction, low: bytes, high: bytes, caller: Caller) -> MessageId:
        """The id of the one message that the caller sees with an id in this range.

        Raises `UnknownMessageError`, and `UsageError` if there are several.
        """
        candidates = finding.ids_between(tx, low, high, _CANDIDATES)
        seen = [each for each in candidates if self._may_see(tx, each, caller)]
        if not seen:
            raise UnknownMessageError
        if len(seen) > 1:
            raise faults.parameter("id", "several messages begin so; write more of the id")
        return seen[0]

    def _may_see(self, tx: Transaction, message_id: MessageId, caller: Caller) -> bool:
        try:
            self.seen(tx, message_id, caller)
        except UnknownMessageError:
            return False
        return True

    def find(self, tx: Transaction, message_id: MessageId, caller: Caller, sender: str | None) -> Sent | Arrival:
        """The one message of this id, of this sender if one is named.

        A sender chooses the ids of its messages, another's among them: where several have one, none is guessed.
        """
        found = self.seen(tx, message_id, caller)
        named = [each for each in found if sender is None or self._sender(each) == sender.partition("@")[0]]
        if not named:
            raise UnknownMessageError
        if len(named) > 1:
            senders = " or ".join(self._sender(each) for each in named)
            raise faults.parameter("from", f"several messages have this id; say from whom (from): {senders}")
        return named[0]

    def find_intact(self, tx: Transaction, message_id: MessageId, caller: Caller, sender: str | None) -> Sent | Arrival:
        """The same; `DamagedError` where the disk damaged it, which in a round would end the node."""
        found = self.find(tx, message_id, caller, sender)
        if isinstance(found, Arrival) and not found.is_intact:
            raise DamagedError
        return found

    def _sender(self, found: Sent | Arrival) -> str:
        return self.writer.member if isinstance(found, Sent) else found.sender

    def seen(self, tx: Transaction, message_id: MessageId, caller: Caller) -> list[Sent | Arrival]:
        """Every message of this id that the caller sees; `UnknownMessageError` if there is none."""
        desks_seen, own = self.sees(caller), finding.sent_of(tx, message_id)
        is_own = own is not None and own.desk in (desks_of(caller) or (own.desk,))
        found: list[Sent | Arrival] = [own] if own is not None and is_own else []
        found += [
            each
            for each in finding.arrivals_of(tx, message_id)
            if desks_seen is None or finding.arrivals(tx, each.id - 1, each.id + 1, 1, desks_seen)
        ]
        if not found:
            raise UnknownMessageError
        return found

    def chosen(self, caller: Caller, desk: str | None) -> tuple[str, ...] | None:
        """The desks whose mail is asked for, of those that the caller sees; None for all.  Raises as `one`."""
        return self.sees(caller if desk is None else AtDesk(*self.one(caller, desk)))

    def one(self, caller: Caller, desk: str) -> tuple[str]:
        """The desk asked for, if the caller speaks for it; a token, which speaks for one, is given that."""
        if isinstance(caller, AtDesk):
            return (caller.desk,)
        own = desks_of(caller)
        if own is not None and desk not in own:
            raise UnknownDeskError(desk)
        return (self.desks.require(desk),)
