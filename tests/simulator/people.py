"""Authors and case systems: they hand messages in until they are told that they are safe, and again after a restore."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from node.acceptance import Accepted, Request
from protocol.errors import ConflictError, StoreError, TooLateError, UnknownMessageError, UsageError, ValijaError
from protocol.messages.content import Urgency, to_json
from protocol.names import MessageId, message_id
from tests.support.letters import content

if TYPE_CHECKING:
    from tests.simulator.town import Town

DESK = "antidrogas"
AGAIN_SECONDS = 7.0


@dataclass(eq=False)
class Asked:
    """One message as its author knows it; `is_safe` once the node said so.

    `asks_again`: after a restore it is handed in again.  Half of the authors forget what they took back.
    """

    sender: str
    key: str
    request: Request
    recipients: tuple[str, ...]
    message: MessageId
    is_safe: bool = False
    is_withdrawn: bool = False
    asks_again: bool = True
    refused: str = ""
    lives: set[int] = field(default_factory=set)


class People:
    """Everybody who uses a node."""

    def __init__(self, town: Town) -> None:
        """Nobody wrote anything."""
        self.town = town
        self.asked: dict[tuple[str, str], Asked] = {}
        self.by_message: dict[tuple[str, bytes], Asked] = {}
        self._taken_back = 0

    def write(self, sender: str, key: str, *members: str, expires_at: int | None = None, **how: Any) -> Asked:
        """An author hands a message in; to the network, where no member is named."""
        to = tuple(f"{member}@aiamp" for member in members) or ("#rfai@aiamp",)
        urgency = how.get("urgency", Urgency.ROUTINE)
        text = key + " " + "x" * int(how.get("size", 0))
        document = to_json(content(text, sender, to=to, urgency=urgency))
        request = Request(DESK, key, document, members, () if members else ("rfai",), expires_at)
        recipients = members or tuple(each for each in self.town.nodes if each != sender)
        number = message_id(self.town.papers.world.association, sender, DESK, key)
        asked = Asked(sender, key, request, recipients, number)
        self.asked[sender, key] = asked
        self.by_message[sender, number] = asked
        self.town.trace.say(sender, f"author hands in {self.name(asked)} for {', '.join(recipients)}")
        self._ask(asked)
        return asked

    def name(self, asked: Asked) -> str:
        """What the trace calls it."""
        return self.town.trace.name("M", asked.message)

    def started(self, sender: str) -> None:
        """A process of this member's node runs: what it was not told to be safe is handed in again."""
        for asked in self.asked.values():
            if asked.sender == sender and not asked.is_safe and not asked.refused:
                self._ask(asked)

    def restored(self, sender: str) -> None:
        """The archive is an older one: everything shall be handed in again, and what was taken back is so once more."""
        for asked in self.asked.values():
            if asked.sender == sender and asked.asks_again and not asked.refused:
                asked.is_safe = False

    def withdraw(self, asked: Asked) -> None:
        """Its author takes it back, for what that is worth; it counts once the node was asked."""
        if self.town.nodes[asked.sender].running is not None and asked.is_safe and not asked.is_withdrawn:
            asked.is_withdrawn = True
            self._taken_back += 1
            asked.asks_again = bool(self._taken_back % 2)
            self._take_back(asked)

    def _take_back(self, asked: Asked) -> None:
        node = self.town.nodes[asked.sender].running
        if node is not None:
            self.town.trace.say(asked.sender, f"author withdraws {self.name(asked)}")
            node.withdraw(asked.message, lambda answer: self._withdrawn(asked, answer))

    def _withdrawn(self, asked: Asked, answer: Any) -> None:
        self.town.trace.say(asked.sender, f"withdrawal of {self.name(asked)}: {_code(answer)}")
        if isinstance(answer, Exception) and not isinstance(answer, TooLateError | UnknownMessageError | StoreError):
            raise answer

    # -- asking ----------------------------------------------------------------------------------------
    def _ask(self, asked: Asked) -> None:
        node = self.town.nodes[asked.sender].running
        if node is not None:
            node.send(asked.request, lambda answer: self._told(asked, answer))

    def _told(self, asked: Asked, answer: Accepted | Exception) -> None:
        self.town.trace.say(asked.sender, f"{self.name(asked)}: {_code(answer)}")
        if isinstance(answer, Accepted):
            if answer.message_id != asked.message:
                raise AssertionError("another message id than its key gives")
            asked.is_safe = True
            if asked.is_withdrawn:
                self._take_back(asked)
        elif isinstance(answer, ConflictError) or not isinstance(answer, ValijaError):
            raise answer
        elif isinstance(answer, UsageError):
            asked.refused = answer.code
        else:
            self.town.loop.plan(AGAIN_SECONDS, self._ask_again, asked)

    def _ask_again(self, asked: Asked) -> None:
        if not asked.is_safe:
            self._ask(asked)


def _code(answer: Any) -> str:
    if isinstance(answer, Accepted):
        return "safe" if answer.fresh else "safe already"
    return answer.code if isinstance(answer, ValijaError) else "done" if isinstance(answer, list) else repr(answer)
