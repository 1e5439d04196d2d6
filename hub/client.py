"""How the commands speak to a running hub: over the admin socket of its home, or over its public address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from hub.config import Home
from protocol import errors
from protocol.errors import ConfigError, HubGoneError, NotRunningError, UsageError, ValijaError

_SECONDS: Final = 10.0
_SCHEMES: Final = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class _NotHereError(NotRunningError):
    """No hub answers for this home; start it with `valija-hub serve`."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a hub answers: `base` is its URL, `socket` the admin socket that stands in for the network."""

    base: str
    socket: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def at_home(cls, home: Home) -> Hub:
        """The hub that runs on this home."""
        home.require()
        return cls("http://hub", home.socket)

    @classmethod
    def at_url(cls, url: str, ca_file: Path | None = None) -> Hub:
        """The hub at this address, as a charter gives it; `UsageError` for another kind of URL."""
        scheme, found, rest = url.partition("://")
        if not found or scheme not in _SCHEMES or not rest.strip("/"):
            raise UsageError("the address of a hub begins with https:// or wss://")
        return cls(f"{_SCHEMES[scheme]}://{rest.rstrip('/').removesuffix('/session')}", None, ca_file)

    def get(self, path: str) -> dict[str, Any]:
        """The JSON that the hub answers; `NotRunningError` or `HubGoneError` if it does not, else what it refuses with."""
        return asyncio.run(self._ask("GET", path, None))

    def publish(self, raw: bytes) -> tuple[int, int]:
        """The index of this signed statement in the log, and the log's size; raises what the hub refuses it with."""
        answer = asyncio.run(self._ask("POST", "/log/statements", raw))
        return int(answer["index"]), int(answer["size"])

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Have the hub do this; raises as `get` does."""
        asyncio.run(self._ask("POST", path, msgspec.json.encode(body)))

    async def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=self._connector(), timeout=timeout) as client,
                client.request(method, f"{self.base}{path}", data=body) as response,
            ):
                return _answer(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if self.socket is not None:
                raise _NotHereError(str(self.socket.parent)) from None
            raise HubGoneError(f"{self.base}: {type(error).__name__}") from None

    def _connector(self) -> aiohttp.BaseConnector:
        if self.socket is not None:
            return aiohttp.UnixConnector(str(self.socket))
        return aiohttp.TCPConnector(ssl=_context(self.ca_file))


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError):
        raise ConfigError(f"{ca_file} holds no certificates in PEM form") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _answer(status: int, body: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HubGoneError(f"an answer that is no hub's, status {status}") from None
    if status < 400:
        return told
    raise _refusal(told)


def _refusal(problem: Mapping[str, Any]) -> ValijaError:
    code = str(problem.get("code"))
    found = _BY_CODE.get(code)
    if found is None:
        return UsageError(f"the hub answers {code[:64]}")
    # The hub's sentence is its class's sentence and a detail in brackets: that alone is new here.
    sentence = str(found())
    detail = str(problem.get("title", "")).removeprefix(sentence).strip()
    return found(detail.removeprefix("(").removesuffix(")"))


def _classes(base: type[ValijaError]) -> list[type[ValijaError]]:
    return [base, *(found for each in base.__subclasses__() for found in _classes(each))]


_BY_CODE: Final = {each.code: each for each in reversed(_classes(errors.ValijaError)) if each is not _NotHereError}
