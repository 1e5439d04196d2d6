"""One request and its answer over HTTP, tried again where that is safe.

Tried again are a node that is not reached, 429 and 503; no other refusal is.  A request that is not the same when it is
done twice is repeated only where it cannot have been carried out.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from valija_client.errors import AnswerError, Problem, Refusal, RequestError, UnreachableError
from valija_client.patience import Patience

ROOT: Final = "/api/v1"
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_REFUSAL_BYTES: Final = 64 * 1024
CONNECT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 120
# A stream says something every 15 seconds; one that is silent for so long is dead.
SILENT_SECONDS: Final = 60
CALL: Final = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
STREAM: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
# What the line gives that is down, or breaks off within an answer.
CUT: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
_REDIRECTED, _REFUSED = 300, 400
_AGAIN: Final = frozenset({429, 503})
_UNDONE: Final = 429
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `path` lies below the root of the API; `is_repeatable` if doing it twice is as good as once."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    is_repeatable: bool = True


class Wire:
    """The way to one node for the length of a block; the token goes to this node and nowhere else."""

    def __init__(self, base_url: str, token: str, patience: Patience, context: ssl.SSLContext | None) -> None:
        """Nothing is asked yet; `ValueError` for an address over which a token must not go, and for what is no token."""
        self._root = _checked(base_url) + ROOT
        self._headers = _writable({"Authorization": f"Bearer {token}"})
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self.patience = patience

    async def start(self) -> None:
        """Afterwards it may be asked, by the loop that runs."""
        connector = aiohttp.TCPConnector(ssl=self._context or True)
        self._session = aiohttp.ClientSession(headers=self._headers, connector=connector)

    async def close(self) -> None:
        """Afterwards nothing is open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, asked: Asked) -> bytes:
        """The body of a good answer; raises `Problem`, `UnreachableError` or `AnswerError`."""
        waits = self.patience.waits()
        for left in reversed(range(self.patience.tries)):
            try:
                async with self.open(asked, CALL) as response:
                    return await _bounded(response, MAX_ANSWER_BYTES)
            except (Problem, *CUT) as error:
                wait = self.wait(error, waits) if left and _is_safe(asked, error) else None
                if wait is None:
                    raise told_of(error) from error
            await asyncio.sleep(wait)
        raise UnreachableError("not a single try is allowed")

    def wait(self, error: Exception, waits: Iterator[float]) -> float | None:
        """Seconds after which the same may go well; None if it will not, or not soon enough to be waited for."""
        if isinstance(error, aiohttp.ClientSSLError):
            return None
        if not isinstance(error, Problem):
            return next(waits)
        longest, wanted = self.patience.longest_seconds, error.retry_after_seconds or 0
        return wanted + next(waits) if error.status in _AGAIN and wanted <= longest else None

    @asynccontextmanager
    async def open(self, asked: Asked, timeout: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """One try: the good answer, its body still to come; raises `Problem`, `AnswerError`, `RequestError` and any of `CUT`."""
        if self._session is None:
            raise RuntimeError("a client is used within `async with`")
        try:
            async with self._session.request(
                asked.method,
                f"{self._root}/{asked.path}",
                params=asked.query,
                headers=_writable(asked.headers),
                data=asked.body,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                if response.status >= _REFUSED:
                    raise await _problem(response)
                if response.status >= _REDIRECTED:
                    raise AnswerError(f"status {response.status}: a node does not redirect")
                yield response
        except aiohttp.ClientResponseError as error:
            raise AnswerError(f"no HTTP: {type(error).__name__}") from error


def _is_safe(asked: Asked, error: Exception) -> bool:
    """Whether asking again does nothing twice: it may be repeated, or was not carried out."""
    if isinstance(error, Problem):
        return asked.is_repeatable or error.status == _UNDONE
    return asked.is_repeatable or isinstance(error, aiohttp.ClientConnectorError)


def told_of(error: Exception) -> Exception:
    """What callers are told of what ended a call."""
    return error if isinstance(error, Problem) else UnreachableError(type(error).__name__)


def _checked(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("the address of a node is https://host:port")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("a token goes over https, or to this machine alone")
    return base_url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _writable(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The same; `RequestError` where one holds what no header can: a line break, another control character, half a character."""
    for name, value in headers.items():
        if _UNWRITABLE.search(value):
            raise RequestError(f"{name} holds a line break or another character that no header can")
    return headers


async def _bounded(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > max_bytes:
            raise AnswerError(f"an answer of over {max_bytes} bytes")
    return bytes(data)


async def _problem(response: aiohttp.ClientResponse) -> Problem:
    body = await _bounded(response, MAX_REFUSAL_BYTES)
    try:
        told = msgspec.json.decode(body, type=Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Whoever stands before the node refuses in words of its own.
        told = Refusal(f"http_{response.status}", response.status, response.reason or "")
    shown = response.headers.get("Retry-After", "")
    return Problem(told, float(shown) if shown.isascii() and shown.isdigit() else None)
