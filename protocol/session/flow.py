"""What is under way in one open session, counted alike at both ends (SPEC section 11.2).

Each end runs every frame, sent or received, through a book of the same rules, in the order in which it sees them.
The two orders differ, and no honest frame is refused for it: whoever takes room books that before the peer can, and
whoever gives it back does too.  So the giver's book holds at most what the taker's does; the giver refuses nothing
that the taker's book allowed, and the taker finds everything that the giver answers.

    submit      an envelope id is under way from Submit to its Results; all of them stay within Welcome's window
    deliver     positions only ascend; items beyond the last acknowledged stay within the widest window declared
    request     a number is taken from its Recall, Publish or Lookup to its one answer

Only ids, numbers and sizes are kept, never a message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.errors import LimitError, MalformedError, ReplayError
from protocol.limits import MAX_REQUESTS
from protocol.names import EnvelopeId
from protocol.session.frames import (
    Acknowledge,
    Calendars,
    Deliver,
    Frame,
    Lookup,
    Publish,
    Published,
    Recall,
    Recalled,
    Results,
    Submit,
    Welcome,
)
from protocol.session.items import DeliverItem, ResultItem, SubmitItem, Window

_CLOSED: Final = Window(0, 0)
_ANSWERS: Final[dict[type[Frame], type[Frame]]] = {Recall: Recalled, Publish: Published, Lookup: Calendars}


class _UnderWay(NamedTuple):
    slots: int
    size: int


class Flow:
    """The book of one session.  A frame that is refused changes nothing."""

    __slots__ = (
        "_cursor",
        "_delivered",
        "_delivered_bytes",
        "_delivery_window",
        "_last_position",
        "_requests",
        "_submit_window",
        "_submitted",
        "_submitted_bytes",
    )

    def __init__(self) -> None:
        """Nothing under way, both windows closed."""
        self._submit_window = self._delivery_window = _CLOSED
        self._submitted: dict[EnvelopeId, _UnderWay] = {}
        self._submitted_bytes = 0
        self._cursor: int | None = None
        self._last_position = 0
        self._delivered: deque[tuple[int, int]] = deque()
        self._delivered_bytes = 0
        self._requests: dict[int, tuple[type[Frame], tuple[str, ...]]] = {}

    def book(self, frame: Frame) -> None:
        """Count `frame` in; raises `ReplayError` for what is out of turn, `LimitError` for what passes a window.

        `MalformedError` is for an answer of another shape than its question.
        """
        match frame:
            case Submit():
                self._submit(frame)
            case Results():
                self._results(frame)
            case Deliver():
                self._deliver(frame)
            case Acknowledge():
                self._acknowledge(frame)
            case Recall() | Publish() | Lookup():
                self._ask(frame)
            case Recalled() | Published() | Calendars():
                self._answer(frame)
            case Welcome():
                self._submit_window = frame.window

    # -- submitting ----------------------------------------------------------------------------------
    @property
    def submit_room(self) -> Window:
        """What the node may still submit."""
        return _room(self._submit_window, len(self._submitted), self._submitted_bytes)

    def submittable(self, items: Sequence[SubmitItem]) -> int:
        """How many of `items`, from the first on, the window admits."""
        sizes = [item.size for item in items]
        return _admitted(self._submit_window, len(self._submitted), self._submitted_bytes, sizes)

    def _submit(self, frame: Submit) -> None:
        fresh = {item.id: _UnderWay(len(item.slots), item.size) for item in frame.items}
        if len(fresh) != len(frame.items) or not fresh.keys().isdisjoint(self._submitted):
            raise ReplayError("an envelope that is under way")
        size = self._submitted_bytes + sum(each.size for each in fresh.values())
        if not self._submit_window.admits(len(self._submitted) + len(fresh), size):
            raise LimitError("submit window")
        self._submitted |= fresh
        self._submitted_bytes = size

    def _results(self, frame: Results) -> None:
        ids = {item.envelope_id for item in frame.items}
        if len(ids) != len(frame.items) or not ids <= self._submitted.keys():
            raise ReplayError("a result for no envelope that is under way")
        if any(not self._answers_all(item) for item in frame.items):
            raise MalformedError("another number of attestations than slots")
        self._submitted_bytes -= sum(self._submitted.pop(each).size for each in ids)

    def _answers_all(self, item: ResultItem) -> bool:
        return item.code is not None or len(item.attestations) == self._submitted[item.envelope_id].slots

    # -- delivering ----------------------------------------------------------------------------------
    @property
    def delivery_room(self) -> Window:
        """What the hub may still deliver; nothing before the first Acknowledge."""
        return _room(self._delivery_window, len(self._delivered), self._delivered_bytes)

    def deliverable(self, items: Sequence[DeliverItem]) -> int:
        """How many of `items`, from the first on, the window admits."""
        sizes = [item.size for item in items]
        return _admitted(self._delivery_window, len(self._delivered), self._delivered_bytes, sizes)

    def _deliver(self, frame: Deliver) -> None:
        last = self._last_position
        for item in frame.items:
            if item.position <= last:
                raise ReplayError(f"position {item.position} after {last}")
            last = item.position
        size = self._delivered_bytes + sum(item.size for item in frame.items)
        if not self._delivery_window.admits(len(self._delivered) + len(frame.items), size):
            raise LimitError("delivery window")
        self._delivered.extend((item.position, item.size) for item in frame.items)
        self._delivered_bytes, self._last_position = size, last

    def _acknowledge(self, frame: Acknowledge) -> None:
        if self._cursor is None:
            self._last_position = frame.position
        elif not self._cursor <= frame.position <= self._last_position:
            raise ReplayError(f"acknowledged {frame.position}, between {self._cursor} and {self._last_position}")
        self._cursor = frame.position
        self._delivery_window = self._delivery_window.wider(frame.window)
        while self._delivered and self._delivered[0][0] <= frame.position:
            self._delivered_bytes -= self._delivered.popleft()[1]

    # -- requests ------------------------------------------------------------------------------------
    def _ask(self, frame: Recall | Publish | Lookup) -> None:
        if frame.request in self._requests:
            raise ReplayError(f"request {frame.request} is under way")
        if len(self._requests) >= MAX_REQUESTS:
            raise LimitError(f"{MAX_REQUESTS} requests under way")
        members = frame.members if isinstance(frame, Lookup) else ()
        self._requests[frame.request] = (_ANSWERS[type(frame)], members)

    def _answer(self, frame: Recalled | Published | Calendars) -> None:
        kind, members = self._requests.get(frame.request, (None, ()))
        if kind is not type(frame):
            raise ReplayError(f"an answer to no request {frame.request}")
        if isinstance(frame, Calendars) and tuple(member for member, _ in frame.calendars) != members:
            raise MalformedError("calendars of other members than asked for")
        del self._requests[frame.request]


def _room(window: Window, count: int, size: int) -> Window:
    return Window(max(0, window.envelopes - count), max(0, window.max_bytes - size))


def _admitted(window: Window, count: int, size: int, sizes: Sequence[int]) -> int:
    for number, each in enumerate(sizes):
        size += each
        if not window.admits(count + number + 1, size):
            return number
    return len(sizes)
