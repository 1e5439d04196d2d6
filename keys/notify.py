"""The service manager is told how a daemon fares (sd_notify(3)); nobody is told when there is none."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from protocol.errors import ValijaError

_MICROSECONDS: Final = 1_000_000
_BEATS: Final = 3
"""So many signs of life within the time after which the service manager gives a daemon up."""


def notify(state: str) -> None:
    """Send `state`, for example `READY=1`, to the socket that the service manager named."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # A leading @ stands for the zero byte of an abstract socket.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel, suppress(OSError):
        # A service manager that reads nothing must not stop us: what it has no room for is not said.
        channel.sendto(state.encode(), socket.MSG_DONTWAIT, address)


def watchdog_seconds() -> float | None:
    """The longest silence that the service manager bears (sd_watchdog_enabled(3)); None if it watches nothing here."""
    told, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    is_ours = process in {"", str(os.getpid())}
    return int(told) / _MICROSECONDS if is_ours and told.isdecimal() and int(told) else None


async def keep_alive(prove: Callable[[], Awaitable[object]]) -> None:
    """Until cancelled: a sign of life each time `prove` has come back from whatever must not hang.

    It comes from the event loop, so a loop that hangs is noticed too.  Returns at once where nobody watches.
    """
    seconds = watchdog_seconds()
    if seconds is None:
        return
    while True:
        # A refusal is an answer: what refuses does not hang, and starting anew would not make room on a full disk.
        with suppress(ValijaError):
            await prove()
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds / _BEATS)
