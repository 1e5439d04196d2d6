"""What commands say to the running daemon: the same HTTP API, over the Unix socket of the home."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from node import problems
from node.sockets import connected
from protocol.errors import NotRunningError

SECONDS: Final = 60
_REFUSED: Final = 400


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at `path`; nothing takes longer than so many seconds."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("node", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        """Afterwards the daemon listens; `NotRunningError` if there is none."""
        self.sock = connected(self._path, self._seconds)


class NodeClient:
    """Asks the daemon behind one socket; each call is a connection of its own."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        """Nothing is asked yet."""
        self._path, self._seconds = path, seconds

    def get(self, path: str, **query: str | int | None) -> Any:
        """The answer to GET `/api/v1/<path>`; raises the error that the daemon names, `NotRunningError`."""
        return self._ask("GET", path + _query(query), None, {})

    def post(self, path: str, body: Any = None, key: str | None = None, **query: str | int | None) -> Any:
        """The answer to POST with `body` as JSON, and `key` as its idempotency key; raises as `get`."""
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers: dict[str, str | bytes] = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key.encode()
        return self._ask("POST", path + _query(query), data, headers)

    def delete(self, path: str) -> Any:
        """The answer to DELETE; raises as `get`."""
        return self._ask("DELETE", path, None, {})

    def _ask(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str | bytes]) -> Any:
        connection = UnixConnection(self._path, self._seconds)
        try:
            connection.request(method, f"/api/v1/{path}", data, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotRunningError(f"{self._path.parent}: {type(error).__name__}") from None
        finally:
            connection.close()
        if response.status >= _REFUSED:
            raise problems.read(body, response.status)
        return json.loads(body)


def _query(query: Mapping[str, str | int | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def segment(text: str) -> str:
    """`text` as one segment of a path, whatever it holds."""
    return quote(text, safe="")
