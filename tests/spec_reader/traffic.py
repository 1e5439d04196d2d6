"""SPEC 11.2: windows, answers and turns between Welcome and Close."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.spec_reader import frames
from tests.spec_reader.digests import envelope_id
from tests.spec_reader.frames import Frame
from tests.spec_reader.refusal import require
from tests.spec_reader.wire import Wire

Window = tuple[int, int]
REQUESTS = 256
_ANSWERS = {frames.RECALLED: frames.RECALL, frames.PUBLISHED: frames.PUBLISH, frames.CALENDARS: frames.LOOKUP}


@dataclass
class Traffic:
    """Fields of frames have been read: their form is known to hold."""

    submit_window: Window = (0, 0)
    under_way: dict[bytes, Window] = field(default_factory=dict)  # number of slots, bytes
    deliver_window: Window | None = None
    acknowledged: int = 0
    delivered: dict[int, int] = field(default_factory=dict)  # position: bytes
    requests: dict[int, Frame] = field(default_factory=dict)

    def welcome(self, fields: list[Any]) -> None:
        self.submit_window = (fields[2], fields[3])

    def pass_on(self, frame: Frame) -> None:
        handlers: dict[int, Callable[[list[Any]], None]] = {
            frames.SUBMIT: self._submit,
            frames.RESULTS: self._results,
            frames.ACKNOWLEDGE: self._acknowledge,
            frames.DELIVER: self._deliver,
        }
        if frame.type in handlers:
            handlers[frame.type](frame.fields)
        elif frame.type in _ANSWERS:
            self._answer(frame)
        elif frame.type in _ANSWERS.values():
            self._request(frame)

    def _submit(self, fields: list[Any]) -> None:
        for core, ciphertext, slots in fields[0]:
            envelope = envelope_id(core)
            require(envelope not in self.under_way, "replayed", "under way")
            self.under_way[envelope] = len(slots), len(core) + len(ciphertext) + sum(map(len, slots))
        _check_window(self.submit_window, [size for _, size in self.under_way.values()])

    def _results(self, fields: list[Any]) -> None:
        for envelope, refused, attestations in fields[1]:
            require(envelope in self.under_way, "replayed", "a result for no envelope")
            slots, _ = self.under_way.pop(envelope)
            require(refused is not None or len(attestations) == slots, "malformed", "one attestation for each slot")

    def _acknowledge(self, fields: list[Any]) -> None:
        position, *window = fields
        if self.deliver_window is not None:
            highest = max(self.delivered, default=self.acknowledged)
            require(self.acknowledged <= position <= highest, "replayed", "acknowledgement")
        self.acknowledged = position
        self.delivered = {at: size for at, size in self.delivered.items() if at > position}
        envelopes, size = self.deliver_window or (0, 0)
        self.deliver_window = max(envelopes, window[0]), max(size, window[1])

    def _deliver(self, fields: list[Any]) -> None:
        window = self.deliver_window
        require(window is not None, "replayed", "before the first acknowledgement")
        for position, core, ciphertext, slot, _ in fields[1]:
            require(position > max(self.delivered, default=self.acknowledged), "replayed", "position")
            self.delivered[position] = len(core or b"") + len(ciphertext) + len(slot or b"")
        _check_window(window or (0, 0), list(self.delivered.values()))

    def _request(self, frame: Frame) -> None:
        number = frame.fields[0]
        assert isinstance(number, int)
        require(number not in self.requests, "replayed", "request")
        require(len(self.requests) < REQUESTS, "limit_exceeded", "requests")
        self.requests[number] = frame

    def _answer(self, frame: Frame) -> None:
        number = frame.fields[0]
        asked = self.requests.pop(number, None) if isinstance(number, int) else None
        require(asked is not None and asked.type == _ANSWERS[frame.type], "replayed", "an answer to no request")
        if asked is not None and frame.type == frames.CALENDARS:
            require(_members(frame.fields[1]) == asked.fields[1], "malformed", "members")


def _members(calendars: Wire) -> list[Any]:
    return [item[0] for item in calendars if isinstance(item, list)] if isinstance(calendars, list) else []


def _check_window(window: Window, sizes: list[int]) -> None:
    require(len(sizes) <= window[0], "limit_exceeded", "window")
    require(len(sizes) == 1 or sum(sizes) <= window[1], "limit_exceeded", "bytes of the window")
