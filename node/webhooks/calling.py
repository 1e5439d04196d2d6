"""One call to an address that somebody else named: no redirect, no proxy, no cookie, and little is read of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aiohttp

from keys.program import program_version
from node.webhooks.guard import ForbiddenAddressError, Guard
from protocol.errors import UsageError

AT_ONCE: Final = 8
ANSWER_BYTES: Final = 16 * 1024
_REDIRECTS: Final = range(300, 400)


def session(guard: Guard, seconds: float) -> aiohttp.ClientSession:
    """Connections to where `guard` lets through; an endpoint has `seconds` for its answer."""
    connector = aiohttp.TCPConnector(resolver=guard, use_dns_cache=False, limit=64, limit_per_host=AT_ONCE)
    agent = {"User-Agent": f"valija-node/{program_version()}", "Content-Type": "application/json"}
    # No proxy of the environment, no cookies, no redirects: whoever is told is who was named.
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=seconds),
        headers=agent,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


async def post(
    client: aiohttp.ClientSession, guard: Guard, url: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int | None, str]:
    """The status of the answer, if there was one, and the outcome in a word that holds nothing of the address."""
    try:
        guard.check(url)
    except UsageError:
        # The operator took it off the list since it was made.
        return None, "address not allowed"
    try:
        async with client.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            # So much is read that the connection can be used again, and no more.
            await answer.content.read(ANSWER_BYTES)
            return answer.status, "redirect not followed" if answer.status in _REDIRECTS else "answered"
    except aiohttp.ClientConnectorError as error:
        forbidden = isinstance(error.os_error, ForbiddenAddressError)
        return None, "address not allowed" if forbidden else type(error).__name__
    except TimeoutError:
        return None, "no answer in time"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The kind alone: its words may hold the address, and with it a secret.
        return None, type(error).__name__
