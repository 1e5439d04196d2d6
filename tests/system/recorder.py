"""A small TCP proxy that keeps every byte both ways, and shows WebSocket frames of clients without their mask."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 1 << 16
_UPGRADE: Final = b"upgrade: websocket"
_HEAD_END: Final = b"\r\n\r\n"
_HOST: Final = "127.0.0.1"


@dataclass
class Recorded:
    """One connection: what the client said, and what the hub did."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)

    def bytes_seen(self) -> list[bytes]:
        """Everything as it was on the wire, and what the client's masked frames hold."""
        return [bytes(self.asked), bytes(self.answered), unmasked(bytes(self.asked))]


class Recorder:
    """Listens on a free port of loopback and passes everything on to the hub at `port`."""

    def __init__(self, port: int) -> None:
        """Listening, nothing recorded."""
        self._hub = (_HOST, port)
        self._listener = socket.create_server((_HOST, 0))
        self.url = f"http://{_HOST}:{self._listener.getsockname()[1]}"
        self.connections: list[Recorded] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            _end(each)
        for thread in self._threads:
            thread.join(5)

    def bytes_seen(self) -> bytes:
        """Everything of all connections, one after the other."""
        return b"\x00".join(part for each in list(self.connections) for part in each.bytes_seen())

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return  # closed
            try:
                hub = socket.create_connection(self._hub)
            except OSError:
                client.close()  # the hub is down: so is the line
                continue
            recorded = Recorded()
            self.connections.append(recorded)
            self._sockets += [client, hub]
            for source, sink, kept in ((client, hub, recorded.asked), (hub, client, recorded.answered)):
                thread = threading.Thread(target=_pump, args=(source, sink, kept), daemon=True)
                self._threads.append(thread)
                thread.start()


def _pump(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):  # one end may be killed; the other learns it below
        while data := source.recv(_CHUNK):
            kept += data
            sink.sendall(data)
    _end(source)
    _end(sink)


def _end(each: socket.socket) -> None:
    with suppress(OSError):  # it may be over already
        each.shutdown(socket.SHUT_RDWR)
    each.close()


# -- WebSocket (RFC 6455, section 5.2) -------------------------------------------------------------------
def unmasked(asked: bytes) -> bytes:
    """The payloads of a client's frames behind its upgrade request; empty if it asked for none."""
    upgrade = asked.lower().find(_UPGRADE)
    if upgrade < 0:
        return b""
    at, found = asked.index(_HEAD_END, upgrade) + len(_HEAD_END), []
    while at + 2 <= len(asked):
        size, at = asked[at + 1] & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(asked[at : at + width], "big"), at + width
        mask, at = asked[at : at + 4], at + 4
        payload, at = asked[at : at + size], at + size
        found.append(_xor(payload, mask))
    return b"".join(found)


def _xor(payload: bytes, mask: bytes) -> bytes:
    if not payload or len(mask) < 4:
        return b""
    whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(payload), "big")
