"""What happens at a running node, heard over its Unix socket without an end, and over its restarts."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from node import problems
from node.client import UnixConnection
from protocol.errors import LimitError, NotRunningError

# The node says something every 15 seconds.
SILENT_SECONDS: Final = 60
MAX_LINE_BYTES: Final = 1024 * 1024
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 5.0
_GOOD: Final = 200
_LATER: Final = 503


class Heard(NamedTuple):
    """One event: its cursor, its type, and its data as JSON; without data it says where the stream begins."""

    cursor: str
    kind: str
    data: bytes


def listen(path: Path, after: str | None, sleep: Callable[[float], None] = time.sleep) -> Iterator[Heard]:
    """Everything behind the cursor `after`, or from now on; taken up again where it broke, for as long as it takes.

    Raises `NotRunningError` if nothing listens at the beginning, and whatever else the node refuses.
    """
    pause, is_known = _FIRST_SECONDS, False
    while True:
        try:
            for heard in _stream(path, after):
                pause, is_known, after = _FIRST_SECONDS, True, heard.cursor or after
                yield heard
        except NotRunningError:
            if not is_known:
                raise
        sleep(pause)
        pause = min(2 * pause, _LONGEST_SECONDS)


def _stream(path: Path, after: str | None) -> Iterator[Heard]:
    connection = UnixConnection(path, SILENT_SECONDS)
    try:
        connection.request("GET", "/api/v1/events", headers={"Last-Event-ID": after} if after else {})
        response = connection.getresponse()
        if response.status != _GOOD:
            error = problems.read(response.read(MAX_LINE_BYTES), response.status)
            raise NotRunningError(error.detail) if response.status == _LATER else error
        if after:
            # Told at once that it is listened to, although nothing may happen for long.
            yield Heard(after, "", b"")
        yield from _events(response)
    except (OSError, http.client.HTTPException) as error:
        raise NotRunningError(f"{path.parent}: {type(error).__name__}") from None
    finally:
        connection.close()


def _events(response: http.client.HTTPResponse) -> Iterator[Heard]:
    cursor, kind, data = "", "", b""
    while line := response.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise LimitError(f"an event of over {MAX_LINE_BYTES} bytes")
        name, _, value = line.rstrip(b"\r\n").partition(b": ")
        if name == b"id":
            cursor = value.decode("ascii")
        elif name == b"event":
            kind = value.decode("ascii")
        elif name == b"data":
            data = value
        elif not name and cursor:
            yield Heard(cursor, kind, data)
            cursor, kind, data = "", "", b""
