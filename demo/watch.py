"""Eyes on every node: its own event stream, read over its Unix socket, with the time at which each event was seen."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READ_SECONDS = 30.0
AGAIN_SECONDS = 0.1


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket in a node's home."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=READ_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(home: Path, path: str, send: dict[str, Any] | None = None, key: str = "") -> Any:
    """What the node of this home answers to a GET, or to a POST of `send` under an idempotency key; None if it does not."""
    connection = UnixConnection(home / "api.sock")
    try:
        if send is None:
            connection.request("GET", path)
        else:
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            connection.request("POST", path, json.dumps(send), headers)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status < http.HTTPStatus.BAD_REQUEST else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


@dataclass(frozen=True)
class Seen:
    """One event of one node."""

    at: float
    member: str
    kind: str
    data: dict[str, Any]


@dataclass
class Watcher(threading.Thread):
    """Follows the events of one node through all its restarts."""

    member: str
    home: Path
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._last_id = ""
        self._stopped = threading.Event()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Read until stopped; a broken stream goes on where it broke."""
        while not self._stopped.is_set():
            try:
                self._follow()
            except (OSError, http.client.HTTPException):
                self._stopped.wait(AGAIN_SECONDS)

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()

    def _follow(self) -> None:
        connection = UnixConnection(self.home / "api.sock")
        try:
            connection.request(
                "GET", "/api/v1/events", headers={"Last-Event-ID": self._last_id} if self._last_id else {}
            )
            stream, event = connection.getresponse(), {"event": "", "data": ""}
            while not self._stopped.is_set():
                line = _line(stream)
                if not line:
                    self._take(event)
                    event = {"event": "", "data": ""}
                name, _, value = line.partition(": ")
                event[name] = value
        finally:
            connection.close()

    def _take(self, event: dict[str, str]) -> None:
        self._last_id = event.get("id", self._last_id)
        if event["data"]:
            self.seen.append(Seen(time.monotonic(), self.member, event["event"], json.loads(event["data"])))


def _line(stream: http.client.HTTPResponse) -> str:
    """The next line without its end; `ConnectionError` at the end of the stream."""
    line = stream.readline()
    if not line:
        raise ConnectionError
    return line.decode().rstrip("\r\n")
