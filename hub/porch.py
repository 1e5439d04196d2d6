"""What a stranger may send before it has proved who it is: as much as two hellos need, and no byte more is kept.

The limit of a frame holds for members.  A stranger who could announce as large a message would have the hub hold it,
at every place at the door.  So a connection is counted between the transport and its protocol until its member is
known; then the protocol stands at the transport again, and nothing counts any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from protocol.limits import KIB, MAX_HELLO_BYTES

# ClientHello and Finish, and what WebSocket adds to them and to a few pings.
STRANGER_BYTES: Final = 2 * MAX_HELLO_BYTES + 4 * KIB


class Porch(asyncio.Protocol):
    """Stands before `inner` at the transport until `leave`; calls `on_flood` once when a stranger sends too much."""

    def __init__(self, transport: asyncio.Transport, on_flood: Callable[[], None]) -> None:
        """Count from now on what comes over `transport`."""
        self._transport = transport
        self._inner = cast("asyncio.Protocol", transport.get_protocol())
        self._left = STRANGER_BYTES
        self._on_flood = on_flood
        transport.set_protocol(self)

    @property
    def is_flooded(self) -> bool:
        """Whether more came than a stranger may send."""
        return self._left < 0

    def leave(self) -> None:
        """The member is known, or it is over: count no more."""
        if not self.is_flooded:
            self._transport.set_protocol(self._inner)

    # -- what a transport tells its protocol
    def data_received(self, data: bytes) -> None:
        """Pass on what is within the limit; nothing of what passes it."""
        before = self._left
        self._left = before - len(data)
        if self._left >= 0:
            self._inner.data_received(data)
        elif before >= 0:
            self._on_flood()

    def eof_received(self) -> bool | None:
        """The other end says no more."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The other end is slow."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._inner.resume_writing()
