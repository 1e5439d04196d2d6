"""Server-sent events (WHATWG HTML, section 9.2) out of the bytes of a stream, each of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from valija_client.errors import AnswerError

MAX_EVENT_BYTES: Final = 1024 * 1024


class Told(NamedTuple):
    """One event: the last id that the stream gave, its name, and its data, empty where it tells the id alone."""

    id: str
    name: str
    data: bytes


class EventReader:
    """Takes bytes as they come, gives events as they are whole; `AnswerError` for one of over a mebibyte."""

    def __init__(self) -> None:
        """Nothing was read."""
        self._rest = b""
        self._id = ""
        self._begin()

    def _begin(self) -> None:
        self._name, self._data, self._size, self._has_id = "", list[bytes](), 0, False

    def take(self, chunk: bytes) -> Iterator[Told]:
        """The events that are whole with these bytes."""
        # A node ends its lines by a line feed, with or without a carriage return.
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line.removesuffix(b"\r"))
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise AnswerError(f"an event of over {MAX_EVENT_BYTES} bytes")

    def _line(self, line: bytes) -> Iterator[Told]:
        self._size += len(line)
        if self._size > MAX_EVENT_BYTES:
            raise AnswerError(f"an event of over {MAX_EVENT_BYTES} bytes")
        if line:
            self._field(line)
            return
        if self._data or self._has_id:
            yield Told(self._id, self._name or "message", b"\n".join(self._data))
        self._begin()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id, self._has_id = value.decode("utf-8", "replace"), True
