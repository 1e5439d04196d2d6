"""TLS on a stream: everything arrives whole, little stays in memory, and both ends of a connection's life are bounded."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from keys.tls_line import TlsLine, TlsLines

PATIENCE_SECONDS = 20.0
PIECE_BYTES = 4 * 1024
LARGE = bytes(range(256)) * 16 * 1024


class Echo(asyncio.Protocol):
    """Says again what it hears, and notes what becomes of its connection."""

    def __init__(self) -> None:
        self.heard = 0
        self.line: TlsLine | None = None
        self.told: list[str] = []
        self.resumed, self.lost = asyncio.Event(), asyncio.Event()
        self.lost_by: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsLine)
        self.line = transport

    def data_received(self, data: bytes) -> None:
        self.heard += len(data)
        if self.line is not None:
            self.line.writelines([data[:1], data[1:]])

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")
        self.resumed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_by = exc
        self.lost.set()


class Server:
    """Echoes over TLS; `echoes` are the protocols whose handshake was done, `lines` all connections."""

    def __init__(self, **options: float) -> None:
        authority = trustme.CA()
        self.context, self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        authority.issue_cert("127.0.0.1").configure_cert(self.context)
        authority.configure_trust(self.trust)
        self.echoes: list[Echo] = []
        self.lines: list[TlsLine] = []
        self.made = asyncio.Event()
        self.address = ("", 0)
        self._lines = TlsLines(self.context, self._above, **options)

    def _above(self) -> Echo:
        self.echoes.append(Echo())
        self.made.set()
        return self.echoes[-1]

    def __call__(self) -> TlsLine:
        self.lines.append(self._lines())
        return self.lines[-1]

    async def connect(self, trust: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address, ssl=trust or self.trust)

    async def echo(self) -> Echo:
        await self.made.wait()
        return self.echoes[-1]


@asynccontextmanager
async def serving(**options: float) -> AsyncIterator[Server]:
    server = Server(**options)
    async with asyncio.timeout(PATIENCE_SECONDS):
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        server.address = listening.sockets[0].getsockname()
        try:
            yield server
        finally:
            listening.close()
            for line in server.lines:
                line.abort()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("size", [1, 4 * 1024, 4 * 1024 + 1, 64 * 1024 + 1, len(LARGE)])
async def test_what_is_written_arrives_whole_at_both_ends(size: int) -> None:
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(LARGE[:size])
        assert await reader.readexactly(size) == LARGE[:size]
        await close(writer)
        await (await server.echo()).lost.wait()


async def test_connections_that_take_turns_do_not_mix() -> None:
    async with serving() as server:
        ends = [await server.connect() for _each in range(3)]
        for number, (_reader, writer) in enumerate(ends):
            writer.write(bytes([number]) * 20_000)
        for number, (reader, _writer) in enumerate(ends):
            assert await reader.readexactly(20_000) == bytes([number]) * 20_000
        for _reader, writer in ends:
            await close(writer)


class Watched:
    """A memory buffer of OpenSSL's, and the most that ever stood in it."""

    def __init__(self, real: ssl.MemoryBIO) -> None:
        self.real, self.most = real, 0

    def write(self, data: Any) -> int:
        self.most = max(self.most, self.real.pending + len(data))
        return self.real.write(data)

    def read(self) -> bytes:
        self.most = max(self.most, self.real.pending)
        return self.real.read()


async def test_no_connection_keeps_more_than_pieces_of_what_passes() -> None:
    async with serving() as server:
        reader, writer = await server.connect()
        line = server.lines[0]
        incoming, outgoing = Watched(line._incoming), Watched(line._outgoing)
        line._incoming, line._outgoing = incoming, outgoing  # type: ignore[assignment]
        writer.write(LARGE)
        await reader.readexactly(len(LARGE))
        over_bytes = 64
        assert 0 < incoming.most <= PIECE_BYTES
        assert 0 < outgoing.most <= PIECE_BYTES + over_bytes
        _reader, other = await server.connect()
        assert server.lines[0].get_buffer(-1) is server.lines[1].get_buffer(-1)
        await close(writer)
        await close(other)


async def test_nobody_is_above_before_the_handshake_is_done() -> None:
    async with serving() as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await server.connect(ssl.create_default_context())
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        await close(writer)
        assert not server.echoes
        with pytest.raises(RuntimeError):
            server.lines[-1].get_protocol()


async def test_whom_the_handshake_refuses_is_told_why() -> None:
    async with serving() as server:
        server.context.minimum_version = ssl.TLSVersion.TLSv1_3
        server.trust.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="alert protocol version"):
            await server.connect()
        assert not server.echoes


async def test_a_handshake_that_does_not_come_is_not_waited_for() -> None:
    async with serving(handshake_seconds=0.05) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        assert await reader.read() == b""
        await close(writer)
        # One that came in time has all the time that it wants.
        _reader, kept = await server.connect()
        assert (await server.echo()).line is not None
        await asyncio.sleep(0.1)
        assert not server.echoes[-1].lost.is_set()
        await close(kept)


async def test_a_line_takes_its_leave_and_drops_what_is_written_later() -> None:
    async with serving() as server:
        reader, writer = await server.connect()
        line = (await server.echo()).line
        assert line is not None
        assert not line.is_closing()
        line.write(b"last words")
        line.close()
        line.close()
        line.write(b"too late")
        assert line.is_closing()
        assert await reader.read() == b"last words"
        await server.echoes[0].lost.wait()
        assert line.get_write_buffer_size() == 0
        line.write(b"nobody")
        line.close()
        line.pause_reading()
        line.resume_reading()
        line.abort()
        line.pause_writing()
        line.resume_writing()
        assert line.get_extra_info("peername") is None
        await close(writer)


@pytest.mark.parametrize("is_meant", [True, False])
async def test_an_end_that_was_meant_is_told_from_a_line_that_was_cut(is_meant: bool) -> None:
    async with serving() as server:

        def last_read() -> bytes | None:
            with (
                socket.create_connection(server.address) as bare,
                server.trust.wrap_socket(bare, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as end,
            ):
                try:
                    return end.recv(1)
                except OSError:
                    return None

        reading = asyncio.create_task(asyncio.to_thread(last_read))
        line = (await server.echo()).line
        assert line is not None
        if is_meant:
            line.close()
        else:
            line.abort()
        assert await reading == (b"" if is_meant else None)


async def test_who_takes_nothing_is_waited_for_so_long_only() -> None:
    async with serving(farewell_seconds=0.2) as server:
        _reader, writer = await server.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        echo = await server.echo()
        assert echo.line is not None
        echo.line.write(LARGE * 4)
        assert echo.line.get_write_buffer_size() > 0
        assert echo.told == ["pause"]
        echo.line.close()
        assert not echo.lost.is_set()
        await echo.lost.wait()
        writer.transport.abort()


async def test_the_end_of_the_other_side_ends_the_line_however_it_comes() -> None:
    async with serving() as server:
        _reader, writer = await server.connect()
        await close(writer)
        await (await server.echo()).lost.wait()
        reader, writer = await server.connect()
        writer.write(b"x")
        await reader.readexactly(1)
        writer.transport.abort()
        await server.echoes[1].lost.wait()


@pytest.mark.parametrize("before", [b"", b"x"])
async def test_what_breaks_tls_ends_the_line_and_nobody_above_fails(before: bytes) -> None:
    async with serving() as server:
        _reader, writer = await server.connect()
        echo = await server.echo()
        writer.write(before)
        with socket.socket(fileno=socket.dup(writer.get_extra_info("socket").fileno())) as bare:
            bare.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await echo.lost.wait()
        assert echo.heard == len(before)
        assert echo.lost_by is None
        writer.transport.abort()


async def test_the_protocol_above_decides_when_it_hears_and_who_it_is() -> None:
    async with serving() as server:
        reader, writer = await server.connect()
        first = await server.echo()
        assert first.line is not None
        assert first.line.get_protocol() is first
        second = Echo()
        second.line = first.line
        first.line.set_protocol(second)
        first.line.pause_reading()
        writer.write(b"x" * 100)
        await asyncio.sleep(0.05)
        assert second.heard == 0
        first.line.resume_reading()
        assert await reader.readexactly(100) == b"x" * 100
        assert (first.heard, second.heard) == (0, 100)
        assert first.line.get_extra_info("sslcontext") is server.context
        assert first.line.get_extra_info("sockname") == server.address
        await close(writer)
        await second.lost.wait()


async def test_a_reader_that_catches_up_is_told_of() -> None:
    async with serving() as server:
        reader, writer = await server.connect()
        echo = await server.echo()
        assert echo.line is not None
        echo.line.write(LARGE * 4)
        await reader.readexactly(len(LARGE) * 4)
        await echo.resumed.wait()
        assert echo.told == ["pause", "resume"]
        await close(writer)
