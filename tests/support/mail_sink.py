"""A mail server on loopback that keeps what it is sent: real sockets, STARTTLS or TLS from the first byte, a login."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Final

HOST: Final = "127.0.0.1"


@dataclass
class MailSink:
    """What came: sender, recipients, whether under TLS, who logged in, and each mail as it stood on the wire."""

    context: ssl.SSLContext | None = None
    is_secure_at_once: bool = False
    refusal: str = ""
    is_slow: bool = False
    port: int = 0
    envelopes: list[tuple[str, list[str], bool, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    seen: bytearray = field(default_factory=bytearray)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def mails(self) -> list[EmailMessage]:
        """Every mail, read."""
        return [message_from_bytes(each, _class=EmailMessage, policy=policy.default) for each in self.raw]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await _Talk(self, reader, writer).run()
        self.gone.set()
        writer.close()


@dataclass
class _Talk:
    sink: MailSink
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    user: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)

    @property
    def is_secure(self) -> bool:
        return self.writer.get_extra_info("ssl_object") is not None

    async def run(self) -> None:
        if self.sink.is_slow:
            # Never a whole line: what waits for one waits until it gives up.
            await self.reader.read()
            return
        self.say("220 sink")
        while line := await self.reader.readline():
            if not self.is_secure:
                self.sink.seen += line
            if not await self.obey(line.decode().strip()):
                return

    def say(self, text: str) -> None:
        self.writer.write(text.encode() + b"\r\n")

    async def obey(self, line: str) -> bool:
        verb = line.split(" ")[0].upper()
        match verb:
            case "EHLO":
                offers = ["sink", *(["STARTTLS"] if self.sink.context and not self.is_secure else ["AUTH PLAIN"])]
                self.say("\r\n".join(f"250{'-' if each != offers[-1] else ' '}{each}" for each in offers))
            case "STARTTLS":
                assert self.sink.context
                self.say("220 go")
                await self.writer.drain()
                await self.writer.start_tls(self.sink.context)
            case "AUTH":
                self.user = base64.b64decode(line.split(" ")[2]).decode()
                self.say("235 welcome")
            case "MAIL":
                self.sender, self.recipients = line, []
                self.say("250 ok")
            case "RCPT":
                self.recipients.append(line)
                self.say(self.sink.refusal or "250 ok")
            case "DATA":
                await self.data()
            case "QUIT":
                self.say("221 bye")
            case _:
                self.say("250 ok")
        return verb != "QUIT"

    async def data(self) -> None:
        self.say("354 go on")
        body = await self.reader.readuntil(b"\r\n.\r\n")
        if not self.is_secure:
            self.sink.seen += body
        self.sink.envelopes.append((self.sender, self.recipients, self.is_secure, self.user))
        self.sink.raw.append(body.removesuffix(b".\r\n"))
        self.say("250 taken")


@asynccontextmanager
async def mail_sink(context: ssl.SSLContext | None = None, *, at_once: bool = False) -> AsyncIterator[MailSink]:
    """A server that listens meanwhile; with `context` it offers STARTTLS, or speaks TLS `at_once`."""
    made = MailSink(context, at_once)
    server = await asyncio.start_server(made.serve, HOST, 0, ssl=context if at_once else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
