"""A case system's way to its node: hand in, read, follow what happens.

async with Client("http://127.0.0.1:8450", token) as node:
    await node.send(Draft(to=("co-fgn",), subject="…", body="…", idempotency_key="record-4127"))
    async for event in node.events(after=cursor):
        ...
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Final, Generic, Self, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from valija_client.calls import JSON, Calls, Decoder, read
from valija_client.errors import AnswerError, Problem, Refusal
from valija_client.patience import Patience
from valija_client.stream import EventReader, Told
from valija_client.types import (
    Accepted,
    Acknowledged,
    Changed,
    DeliveryEvent,
    Desk,
    Draft,
    Event,
    Found,
    HandoverEvent,
    Member,
    MessageEvent,
    Network,
    News,
    OtherEvent,
    Page,
    ReceiptProved,
    Received,
    Sent,
    Status,
)
from valija_client.webhooks import Webhooks
from valija_client.wire import CUT, STREAM, Asked, Wire, told_of

T = TypeVar("T")

BATCH_LINES: Final = 1_024
BATCH_BYTES: Final = 4 * 1024 * 1024
_KEY_BYTES: Final = 16
_NDJSON: Final = {"Content-Type": "application/x-ndjson"}


class Client:
    """Speaks for the desk of one token while the block lasts; many tasks of one loop may use it at once."""

    def __init__(
        self, base_url: str, token: str, *, patience: Patience | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        """Nothing is asked yet; `context` knows the authority of the node's certificate, if your system does not.

        Raises `ValueError` for an address over which a token must not go: http beyond this machine.
        """
        self._calls = Calls(Wire(base_url, token, patience or Patience(), context))
        self.webhooks = Webhooks(self._calls)

    async def __aenter__(self) -> Self:
        """Opened."""
        await self._calls.wire.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closed."""
        await self._calls.wire.close()

    # -- sending ---------------------------------------------------------------------------------------
    async def send(self, draft: Draft) -> Accepted:
        """The message as the node accepted it: safe, whatever happens to the line; `Problem` if it is refused.

        Every try has the same idempotency key, so that it goes once.
        """
        key = draft.idempotency_key or _new_key()
        body = msgspec.json.encode(replace(draft, idempotency_key=None))
        headers = JSON | {"Idempotency-Key": key}
        return await self._calls.read(Asked("POST", "messages", {}, headers, body), _ACCEPTED)

    async def send_many(self, drafts: Iterable[Draft]) -> list[Accepted | Problem]:
        """What became of each, in order: accepted, or refused by itself; handed in by a thousand at a time."""
        found: list[Accepted | Problem] = []
        for lines in _batches(drafts):
            told = await self._calls.wire.ask(Asked("POST", "messages:batch", {}, _NDJSON, b"\n".join(lines)))
            answers = _read_lines(told)
            if len(answers) != len(lines):
                raise AnswerError(f"{len(answers)} answers for {len(lines)} messages")
            found += [each.outcome() for each in answers]
        return found

    async def withdraw(self, message_id: str) -> Sent:
        """The message as it stands, being taken back wherever it is not delivered."""
        return await self._calls.post(f"messages/{_segment(message_id)}/withdraw", _SENT)

    async def acknowledge(
        self, message_id: str, action: str = "acknowledged", note: str = "", *, sender: str | None = None
    ) -> Acknowledged:
        """Told to the sender by a signed receipt: acknowledged, accepted, declined, needs-information or refused.

        `sender` is needed where several members used one message id.
        """
        path, body = f"messages/{_segment(message_id)}/acknowledge", {"action": action, "note": note}
        return await self._calls.post(path, _SAID, body, _given(sender))

    # -- reading ---------------------------------------------------------------------------------------
    def messages(self, after: str | None = None) -> AsyncGenerator[Received]:
        """What was received, oldest first, behind this cursor; each item has its own in `cursor`."""
        return self._calls.pages("messages", _INBOX, after)

    def outbox(self, after: str | None = None) -> AsyncGenerator[Sent]:
        """What was sent and where it stands, oldest first, behind this cursor."""
        return self._calls.pages("outbox", _OUTBOX, after)

    async def message(self, message_id: str, *, sender: str | None = None) -> Received | Sent:
        """One message in full."""
        return await self._calls.get(f"messages/{_segment(message_id)}", _EITHER, _given(sender))

    async def thread(self, message_id: str, *, sender: str | None = None) -> list[Received | Sent]:
        """The thread in which the message stands, oldest first."""
        return (await self._calls.get(f"threads/{_segment(message_id)}", _THREAD, _given(sender))).items

    async def receipts(self, message_id: str) -> list[ReceiptProved]:
        """The newest signed receipt of each recipient of a message of ours, with what proves it."""
        return (await self._calls.get(f"messages/{_segment(message_id)}/receipts", _RECEIPTS)).items

    async def search(self, words: str, limit: int = 50) -> Found:
        """The newest messages that hold these words, or this part of a case reference."""
        return await self._calls.get("search", _FOUND, {"q": words, "limit": str(limit)})

    # -- who there is ----------------------------------------------------------------------------------
    async def members(self) -> list[Member]:
        """Every member of the association."""
        return (await self._calls.get("members", _MEMBERS)).members

    async def networks(self) -> list[Network]:
        """Every network with its members."""
        return (await self._calls.get("networks", _NETWORKS)).networks

    async def desks(self) -> list[Desk]:
        """The desk of the token."""
        return (await self._calls.get("desks", _DESKS)).desks

    async def status(self) -> Status:
        """Whose node this is."""
        return await self._calls.get("status", _STATUS)

    # -- following -------------------------------------------------------------------------------------
    async def events(self, after: str | None = None) -> AsyncGenerator[Event]:
        """What happens, without an end: everything behind this cursor, or from now on.

        A stream that breaks is taken up again behind the last event, for as long as it takes; only a refusal other than
        429 and 503 ends it, as `Problem`.  Note the `id` of each event once it is dealt with: it is the cursor.
        """
        wire = self._calls.wire
        waits = wire.patience.waits()
        while True:
            try:
                async for told in _heard(wire, after):
                    after, waits = told.id or after, wire.patience.waits()
                    if told.data:
                        yield _event(told)
                wait = next(waits)
            except (Problem, *CUT) as error:
                pause = wire.wait(error, waits)
                if pause is None:
                    raise told_of(error) from error
                wait = pause
            await asyncio.sleep(wait)


async def _heard(wire: Wire, after: str | None) -> AsyncIterator[Told]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    reader = EventReader()
    async with wire.open(Asked("GET", "events", {}, headers), STREAM) as response:
        async for chunk in response.content.iter_any():
            for told in reader.take(chunk):
                yield told


_NEWS: Final = msgspec.json.Decoder(News)
_CHANGED: Final = msgspec.json.Decoder(Changed)
_SAID: Final = msgspec.json.Decoder(Acknowledged)


def _event(told: Told) -> Event:
    match told.name:
        case "message":
            return MessageEvent(told.id, read(told.data, _NEWS))
        case "delivery":
            return DeliveryEvent(told.id, read(told.data, _CHANGED))
        case "handover":
            return HandoverEvent(told.id, read(told.data, _SAID))
        case _:
            return OtherEvent(told.id, told.name, told.data)


# -- batches ---------------------------------------------------------------------------------------------
class _Line(msgspec.Struct):
    id: str | None = None
    fresh: bool = False
    warnings: list[str] = []
    error: Refusal | None = None

    def outcome(self) -> Accepted | Problem:
        if self.error is not None:
            return Problem(self.error)
        if self.id is None:
            raise AnswerError("a line that says neither accepted nor refused")
        return Accepted(self.id, self.fresh, warnings=self.warnings)


_LINES: Final = msgspec.json.Decoder(_Line)


def _read_lines(data: bytes) -> list[_Line]:
    try:
        return _LINES.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnswerError("no lines of JSON") from error


def _batches(drafts: Iterable[Draft]) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for draft in drafts:
        line = msgspec.json.encode(replace(draft, idempotency_key=draft.idempotency_key or _new_key()))
        if lines and (len(lines) == BATCH_LINES or size + len(line) > BATCH_BYTES):
            yield lines
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield lines


def _new_key() -> str:
    return secrets.token_hex(_KEY_BYTES)


# -- answers ---------------------------------------------------------------------------------------------
class _Items(msgspec.Struct, Generic[T]):
    items: list[T]


class _Members(msgspec.Struct):
    members: list[Member]


class _Networks(msgspec.Struct):
    networks: list[Network]


class _Desks(msgspec.Struct):
    desks: list[Desk]


_ACCEPTED: Final = msgspec.json.Decoder(Accepted)
_SENT: Final = msgspec.json.Decoder(Sent)
_EITHER: Final[Decoder[Received | Sent]] = msgspec.json.Decoder(Received | Sent)
_INBOX: Final = msgspec.json.Decoder(Page[Received])
_OUTBOX: Final = msgspec.json.Decoder(Page[Sent])
_THREAD: Final = msgspec.json.Decoder(_Items[Received | Sent])
_RECEIPTS: Final = msgspec.json.Decoder(_Items[ReceiptProved])
_FOUND: Final = msgspec.json.Decoder(Found)
_MEMBERS: Final = msgspec.json.Decoder(_Members)
_NETWORKS: Final = msgspec.json.Decoder(_Networks)
_DESKS: Final = msgspec.json.Decoder(_Desks)
_STATUS: Final = msgspec.json.Decoder(Status)


def _given(sender: str | None) -> dict[str, str]:
    return {} if sender is None else {"from": sender}


def _segment(text: str) -> str:
    return quote(text, safe="")
