"""The server's end of TLS on one connection, where many connections stand idle most of their time.

    transport below ──ciphertext──► TlsLine ──plaintext──► protocol above
    transport below ◄──ciphertext── TlsLine ◄──plaintext── protocol above

The event loop's own keeps a read buffer of 256 KiB for each connection, and OpenSSL's two memory buffers stay as large
as what once stood in them: three times the largest message for as long as the connection lasts.  Here all connections of
a server read into one buffer, and only small pieces pass through OpenSSL's.  What is written waits in the transport below.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, cast

_READ_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 4 * 1024
_RECORD_BYTES: Final = 16 * 1024
# As the event loop's own.
HANDSHAKE_SECONDS: Final = 60.0
FAREWELL_SECONDS: Final = 30.0


class TlsLines:
    """What `loop.create_server` takes, without `ssl`, in place of `above`: it makes the lines of one server."""

    def __init__(
        self,
        context: ssl.SSLContext,
        above: Callable[[], asyncio.Protocol],
        *,
        handshake_seconds: float = HANDSHAKE_SECONDS,
        farewell_seconds: float = FAREWELL_SECONDS,
    ) -> None:
        """A connection is cut off that takes longer over its handshake, or over what it was sent before `close`."""
        self.context, self.above = context, above
        self.handshake_seconds, self.farewell_seconds = handshake_seconds, farewell_seconds
        self.buffer = memoryview(bytearray(_READ_BYTES))

    def __call__(self) -> TlsLine:
        """The line of a new connection."""
        return TlsLine(self)


class TlsLine(asyncio.Transport, asyncio.BufferedProtocol):
    """A protocol to the transport below it, and the transport of the protocol above it, which a handshake brings.

    That the other end will say no more ends the connection, whether it took its leave or not.
    """

    __slots__ = ("_above", "_below", "_incoming", "_is_closing", "_is_ended", "_limit", "_lines", "_outgoing", "_tls")

    def __init__(self, lines: TlsLines) -> None:
        """Not connected."""
        super().__init__()
        self._lines = lines
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = lines.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._below: asyncio.Transport | None = None
        self._above: asyncio.Protocol | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._is_closing = self._is_ended = False

    # -- what the transport below tells its protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake."""
        self._below = cast("asyncio.Transport", transport)
        self._cut_after(self._lines.handshake_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._cut_after(None)
        self._is_closing = True
        above, self._above, self._below = self._above, None, None
        if above is not None:
            above.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The one buffer of all connections: nothing stays there once it is decrypted."""
        del sizehint
        return self._lines.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt what was read, and pass it on."""
        read, plain = self._lines.buffer[:nbytes], list[bytes]()
        try:
            for start in range(0, nbytes, _PIECE_BYTES):
                self._incoming.write(read[start : start + _PIECE_BYTES])
                self._decrypt(plain)
        except ssl.SSLError:
            # What OpenSSL has to say of it, an alert, is on its way.
            self._is_ended = True
        if plain and self._above is not None:
            self._above.data_received(b"".join(plain))
        if self._is_ended:
            self.close()

    def _decrypt(self, plain: list[bytes]) -> None:
        try:
            if self._above is None:
                self._tls.do_handshake()
                self._open()
            while piece := self._tls.read(_RECORD_BYTES):
                plain.append(piece)
            self._is_ended = True
        except ssl.SSLWantReadError:
            # It goes on with the next piece.
            pass
        finally:
            self._flush()

    def _open(self) -> None:
        self._cut_after(None)
        self._above = self._lines.above()
        self._above.connection_made(self)

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._above is not None:
            self._above.resume_writing()

    # -- what the protocol above asks of its transport
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send it; dropped once the line is closing."""
        if self._below is None or self._is_closing:
            return
        whole, sealed = memoryview(data), list[bytes]()
        try:
            for start in range(0, len(whole), _PIECE_BYTES):
                self._tls.write(whole[start : start + _PIECE_BYTES])
                sealed.append(self._outgoing.read())
        except ssl.SSLError:
            # What came broke the session, and the protocol above answers what came before that.
            self._is_ended = True
            return
        self._below.writelines(sealed)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt and send all of them."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Send what was written, and take leave without waiting for the other end's."""
        if self._below is None or self._is_closing:
            return
        self._is_closing = True
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        self._cut_after(self._lines.farewell_seconds)
        self._below.close()

    def abort(self) -> None:
        """Break the connection at once."""
        if self._below is not None:
            self._below.abort()

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._is_closing or self._below is None or self._below.is_closing()

    def pause_reading(self) -> None:
        """Pass on no more until `resume_reading`."""
        if self._below is not None:
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._below is not None:
            self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        """How many encrypted bytes the other end has still to take."""
        return 0 if self._below is None else self._below.get_write_buffer_size()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on this is the protocol above."""
        self._above = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol above; `RuntimeError` while there is none."""
        if self._above is None:
            raise RuntimeError("not connected")
        return self._above

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of TLS, or of the transport below."""
        if name == "sslcontext":
            return self._lines.context
        return default if self._below is None else self._below.get_extra_info(name, default)

    # -- both
    def _flush(self) -> None:
        if self._below is not None and (sealed := self._outgoing.read()):
            self._below.write(sealed)

    def _cut_after(self, seconds: float | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.abort)
