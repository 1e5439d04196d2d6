"""The way to the hub: HTTP and WebSocket, directly or through a proxy, and what its failures mean.

Nothing is judged here but the line itself: what comes over it is verified by whoever asked for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from node import problems, tls
from node.config import NO_PROXY
from protocol.errors import (
    ConfigError,
    HubGoneError,
    LimitError,
    ProxyError,
    TransportError,
    ValijaError,
    WrongHubError,
)
from protocol.limits import MAX_FRAME_BYTES, MIB

T = TypeVar("T")

CONNECT_SECONDS: Final = 15
REQUEST_SECONDS: Final = 60
HEARTBEAT_SECONDS: Final = 20
_MAX_ANSWER_BYTES: Final = 1 * MIB
_OK: Final = 200
_NOT_FOUND: Final = 404


def choose_proxy(configured: str, url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy to go through: the configured one, else that of the environment for this address; None for none.

    `ConfigError` for one of the environment that cannot be.
    """
    if configured == NO_PROXY:
        return None
    if configured:
        return configured
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None
    named = {key.lower(): value for key, value in sorted(environment.items()) if value}
    chosen = named.get("https_proxy")
    if chosen is None or _is_exempt(parts.hostname or "", named.get("no_proxy", "")):
        return None
    proxy = chosen if "://" in chosen else f"http://{chosen}"
    if not _is_proxy(proxy):
        # The value may hold a password, so it is not repeated.
        raise ConfigError(
            f"HTTPS_PROXY is no address such as http://proxy.example.org:3128; [hub] proxy = {NO_PROXY!r} does without it"
        )
    return proxy


def _is_proxy(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        _port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_exempt(host: str, no_proxy: str) -> bool:
    names = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
    return any(name and (name in {"*", host} or host.endswith(f".{name}")) for name in names)


class HubLine:
    """Asks one hub; open it with `async with`.  Every method raises `TransportError`, or `WrongHubError` by TLS."""

    def __init__(self, url: str, proxy: str | None, context: ssl.SSLContext | None) -> None:
        """The hub at `url`, without a slash at its end; `context` is None for plain http.

        `clock` will be the time (Unix seconds) that the hub stated with its last answer: a hint, proven by nothing.
        """
        self.url = url
        self._proxy = proxy
        self._context = context
        self._client: aiohttp.ClientSession | None = None
        self.clock: int | None = None

    async def __aenter__(self) -> Self:
        """Ready to ask."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
        # The environment was read once, by `choose_proxy`.
        self._client = aiohttp.ClientSession(timeout=timeout, trust_env=False, middlewares=(self._only_here,))
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Nothing is open any more."""
        if self._client is not None:
            await self._client.close()

    async def _only_here(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # A WebSocket follows redirects whatever we say: into this machine, or into the network around it.
        if request.url.origin() == type(request.url)(self.url).origin():
            return await handler(request)
        raise HubGoneError(f"{_place(self.url)} points elsewhere")

    async def get(self, path: str, max_bytes: int = _MAX_ANSWER_BYTES) -> bytes:
        """The body of the answer to GET, at most `max_bytes`; `LimitError` over that."""
        async with self._asked("GET", path, None) as response:
            if response.status != _OK:
                raise HubGoneError(f"{urlsplit(self.url).netloc} answers {response.status} to {path}")
            self.clock = _date(response)
            return await _body(response, max_bytes)

    async def post_statement(self, raw: bytes) -> int:
        """Give the hub a signed statement for its log; gives its leaf.  Raises the error that the hub names."""
        async with self._asked("POST", "/log/statements", raw) as response:
            body = await _body(response, _MAX_ANSWER_BYTES)
            if response.status != _OK:
                raise _refusal(response.status, body)
        return _told(body, _Logged).index

    async def post_offer(self, raw: bytes) -> int:
        """Offer a hub leaves that it lacks; gives the size of its log afterwards.  Raises the error that it names."""
        async with self._asked("POST", "/log/offers", raw) as response:
            body = await _body(response, _MAX_ANSWER_BYTES)
            if response.status != _OK:
                raise _refusal(response.status, body)
        return _told(body, _Size).size

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The WebSocket of a session, open meanwhile."""
        timeout = aiohttp.ClientWSTimeout(ws_close=5)
        async with (
            self._line(),
            self._open().ws_connect(
                f"{self.url}/session",
                proxy=self._proxy,
                ssl=self._context or True,
                max_msg_size=MAX_FRAME_BYTES + 1,
                heartbeat=HEARTBEAT_SECONDS,
                compress=0,
                timeout=timeout,
            ) as socket,
        ):
            yield socket

    @asynccontextmanager
    async def _asked(self, method: str, path: str, data: bytes | None) -> AsyncIterator[aiohttp.ClientResponse]:
        async with (
            self._line(),
            self._open().request(
                method,
                self.url + path,
                data=data,
                proxy=self._proxy,
                ssl=self._context or True,
                allow_redirects=False,
            ) as response,
        ):
            yield response

    def _open(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise TransportError("the line is not open")
        return self._client

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[None]:
        """What goes wrong with the line meanwhile is raised as one of our errors."""
        try:
            yield
        except aiohttp.ClientConnectorCertificateError as error:
            raise await self._untrusted(error) from None
        except aiohttp.ClientProxyConnectionError as error:
            raise ProxyError(f"{_place(self._proxy)} cannot be reached: {_reason(error)}") from None
        except aiohttp.ClientHttpProxyError as error:
            raise ProxyError(f"{_place(self._proxy)} answers {error.status}") from None
        except aiohttp.WSServerHandshakeError as error:
            raise HubGoneError(f"{_place(self.url)} answers {error.status} to /session") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HubGoneError(f"{_place(self.url)}: {_reason(error)}") from None

    async def _untrusted(self, error: aiohttp.ClientConnectorCertificateError) -> ValijaError:
        cause = error.certificate_error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return await asyncio.to_thread(tls.refused, cause, self.url, self._proxy)
        return WrongHubError(f"the TLS certificate of {_place(self.url)} does not verify")


class _Logged(msgspec.Struct):
    index: int


class _Size(msgspec.Struct):
    size: int


def _told(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HubGoneError("an answer that is none") from None


def _date(response: aiohttp.ClientResponse) -> int | None:
    try:
        return int(parsedate_to_datetime(response.headers.get("Date", "")).timestamp())
    except (ValueError, OverflowError):
        return None


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        data += chunk
        if len(data) > max_bytes:
            raise LimitError(f"an answer of over {max_bytes} bytes")
    return bytes(data)


def _refusal(status: int, body: bytes) -> ValijaError:
    error = problems.of_hub(problems.read(body, status))
    if type(error) is ValijaError:
        return HubGoneError(f"status {status}")
    return error


def _place(url: str | None) -> str:
    # Never the whole address: it may hold a password.
    parts = urlsplit(url or "")
    return parts.netloc.rpartition("@")[2]


def _reason(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    strerror = getattr(cause, "strerror", None)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(strerror or type(cause).__name__)
