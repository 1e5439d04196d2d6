"""Requests that never become one: whatever is asked so, the HTTP library refuses before an application hears of it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

SECRET = "vlj_0123456789ab_secret"
_HOST = b"Host: localhost\r\n"
REQUESTS = {
    "a long request line": b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\n" + _HOST + b"Cookie: " + b"a" * 9_000 + b"\r\n\r\n",
    "a header that is none": b"GET / HTTP/1.1\r\n" + _HOST + b"Authorization Bearer " + SECRET.encode() + b"\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "an expectation": b"GET / HTTP/1.1\r\n" + _HOST + b"Expect: " + SECRET.encode() + b"\r\nConnection: close\r\n\r\n",
}
STATUSES = dict.fromkeys(REQUESTS, 400) | {"a long request line": 414, "a long header": 431, "an expectation": 417}
TOO_LONG = frozenset({"a long request line", "a long header"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says: the headers by their names in small letters."""

    status: int
    headers: dict[str, str]
    body: str


async def ask(where: tuple[str, int] | str, request: bytes) -> Answer:
    """What is answered at this address, or at this Unix socket, until the server hangs up."""
    if isinstance(where, str):
        reader, writer = await asyncio.open_unix_connection(where)
    else:
        reader, writer = await asyncio.open_connection(*where, family=socket.AF_INET)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            said = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = said.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, body)
