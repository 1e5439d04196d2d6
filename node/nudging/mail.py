"""A mail leaves: over TLS, in a thread of its own, within a time that no server can stretch.

Nothing that a server says comes out of here but the number of its answer: its words may hold an address.
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from node.i18n import Speech
from node.nudging import words
from node.nudging.settings import MAILTO, Mail
from node.nudging.words import Call

STEP_SECONDS: Final = 15.0
WHOLE_SECONDS: Final = 60.0
_AT_ONCE: Final = 4
_POLICY: Final = policy.SMTP.clone(max_line_length=400)


class NotToldError(Exception):
    """A call did not go through; its text is the outcome in a word."""


def compose(call: Call, speech: Speech, sender: str, now: int) -> EmailMessage:
    """The mail of a call; `ValueError` for what would break out of a header."""
    made = EmailMessage(policy=_POLICY)
    made["From"] = sender
    made["To"] = call.address.removeprefix(MAILTO)
    made["Subject"] = words.subject(call, speech)
    made["Date"] = format_datetime(speech.local(now))
    # The same for the same call, so that one that was sent twice is shown once.
    made["Message-ID"] = f"<{call.id}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(words.text(call, speech, now) + "\n", cte="quoted-printable")
    made["Content-Language"] = speech.language
    return made


class Post:
    """The way to the mail server; used on the loop's thread."""

    def __init__(self, mail: Mail, password_file: Path | None, ca_file: Path | None) -> None:
        """Nothing is opened yet.  The password is read anew for each mail, so that it may be changed."""
        self._mail, self._password_file, self._ca_file = mail, password_file, ca_file
        self._threads = ThreadPoolExecutor(_AT_ONCE, "mail")
        self._lines: set[_Line] = set()

    def close(self) -> None:
        """Afterwards no mail is begun, and none is under way."""
        for line in self._lines:
            line.cut()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, message: EmailMessage) -> None:
        """Return once the server has taken the mail; else `NotToldError`."""
        line = _Line()
        self._lines.add(line)
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                await asyncio.get_running_loop().run_in_executor(self._threads, self._send, line, message)
        except TimeoutError:
            line.cut()
            raise NotToldError("no answer in time") from None
        finally:
            self._lines.discard(line)

    def _send(self, line: _Line, message: EmailMessage) -> None:
        try:
            with self._opened(line) as server:
                self._secure(server)
                self._log_in(server)
                server.sendmail(self._mail.sender, [str(message["To"])], message.as_bytes())
        except smtplib.SMTPResponseException as error:
            raise NotToldError(f"mail server answered {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _words in error.recipients.values()]
            raise NotToldError(f"mail server refused the address, {codes[0] if codes else ''}") from None
        except TimeoutError:
            raise NotToldError("no answer in time") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotToldError(type(error).__name__) from None
        finally:
            line.close()

    def _opened(self, line: _Line) -> smtplib.SMTP:
        mail, named = self._mail, self._mail.sender.rpartition("@")[2]
        if mail.security == "tls":
            return _Secured(line, mail, named, self._context())
        return _Held(line, mail, named)

    def _secure(self, server: smtplib.SMTP) -> None:
        if self._mail.security == "starttls":
            # Refused where the server does not offer it: nothing falls back to plain text.
            server.starttls(context=self._context())

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _log_in(self, server: smtplib.SMTP) -> None:
        if self._password_file is not None:
            server.login(self._mail.user, read_password(self._password_file))


def read_password(path: Path) -> str:
    """What stands in this file; `NotToldError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise NotToldError("mail.password_file cannot be read") from None


class _Line:
    """The connection of one mail, so that it can be ended from outside its thread, whatever is under way on it."""

    def __init__(self) -> None:
        self._handle: socket.socket | None = None
        self._is_cut = False

    def hold(self, link: socket.socket) -> None:
        # A handle of its own: TLS takes the one of the connection away.
        self._handle = link.dup()
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        self._is_cut = True
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()


class _Held(smtplib.SMTP):
    """Hands its connection to a line before a byte is read from it."""

    def __init__(self, line: _Line, mail: Mail, named: str) -> None:
        self._line = line
        super().__init__(mail.host, mail.port, named, timeout=STEP_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        link: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._line.hold(link)
        return link


class _Secured(smtplib.SMTP_SSL, _Held):
    """The same within TLS from the first byte; in this order, so that the line is held before the handshake."""

    def __init__(self, line: _Line, mail: Mail, named: str, context: ssl.SSLContext) -> None:
        self._line = line
        smtplib.SMTP_SSL.__init__(self, mail.host, mail.port, named, timeout=STEP_SECONDS, context=context)
