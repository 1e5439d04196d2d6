"""Taking a message from its author: once it is stored, only a signed answer or its own expiry ends it.

The message id follows from desk and idempotency key, so a caller that asks again, even after this node was restored
from a backup, names the same message (SPEC 5.3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from node import faults
from node.context import Context
from node.model import DAY, Record
from node.reach import addressed_bytes, resolve
from node.tables import outbox
from node.tables.outbox import Written
from protocol.errors import (
    ConflictError,
    PeerError,
    UnknownMemberError,
    UnknownNetworkError,
    UnknownRecipientError,
    UsageError,
    ValijaError,
)
from protocol.limits import MAX_AUDIENCE
from protocol.messages.content import Origin, from_json
from protocol.messages.message import Header
from protocol.names import MessageId, Party, message_id

DEFAULT_LIFE_SECONDS: Final = 90 * DAY
MAX_LIFE_SECONDS: Final = 366 * DAY
_HOUR: Final = 3_600


class Request(Record, frozen=True, gc=False):
    """What an author hands in: the desk and its idempotency key, the document, members and networks by name.

    `expires_at` is Unix seconds; None means 90 days, to the full hour, so that messages of one hour share manifests.
    `origin` is whom the document names, where it was written from a checked `Content` just now; else it is read.
    """

    desk: str
    key: str
    content: bytes
    members: Sequence[str] = ()
    networks: Sequence[str] = ()
    expires_at: int | None = None
    origin: Origin | None = None
    content_digest: bytes = b""

    def __post_init__(self) -> None:
        """Digest the content once, for everything that asks."""
        msgspec.structs.force_setattr(self, "content_digest", hashlib.sha256(self.content).digest())

    @property
    def addressed(self) -> bytes:
        """The bytes that name the members and networks."""
        return addressed_bytes(tuple(self.members), tuple(self.networks))

    @property
    def digest(self) -> bytes:
        """What two requests under one key must share to be the same, 32 bytes."""
        return hashlib.sha256(self.content_digest + _digest(self.addressed) + repr(self.expires_at).encode()).digest()


# Many messages go to the same few.
@lru_cache(maxsize=1_024)
def _digest(addressed: bytes) -> bytes:
    return hashlib.sha256(addressed).digest()


class Accepted(Record, frozen=True, gc=False):
    """The message's id; `fresh` unless the same request was accepted before."""

    message_id: MessageId
    fresh: bool


def accept(ctx: Context, request: Request) -> Accepted:
    """Afterwards the message is stored, and the author may be answered once the transaction is durable.

    Raises `ConflictError` for another request under the same key, `UnknownRecipientError`, `RecipientSuspendedError`,
    `UnknownNetworkError`, and `UsageError` for a document, audience or expiry that no recipient would take.
    """
    (answer,) = accept_all(ctx, [request])
    if isinstance(answer, ValijaError):
        raise answer
    return answer


def check(ctx: Context, request: Request) -> Accepted:
    """What `accept` would answer to this request now; raises what it would, and stores nothing."""
    identifier = _message_id(ctx.identity.me, request)
    if isinstance(identifier, ValijaError):
        raise identifier
    written = _admit(ctx, identifier, request, outbox.requests(ctx.tx, [identifier]), {})
    return Accepted(identifier, fresh=written is not None)


def accept_all(ctx: Context, requests: Sequence[Request]) -> list[Accepted | ValijaError]:
    """The answer to each request, as `accept` gives or raises it; one that is refused harms no other."""
    me = ctx.identity.me
    ids = [_message_id(me, request) for request in requests]
    known = outbox.requests(ctx.tx, [each for each in ids if isinstance(each, bytes)])
    audiences: dict[bytes, ValijaError | None] = {}
    answers: list[Accepted | ValijaError] = []
    fresh: list[tuple[Written, bytes]] = []
    for identifier, request in zip(ids, requests, strict=True):
        if isinstance(identifier, ValijaError):
            answers.append(identifier)
            continue
        try:
            written = _admit(ctx, identifier, request, known, audiences)
        except ValijaError as error:
            answers.append(error)
            continue
        answers.append(Accepted(identifier, fresh=written is not None))
        if written is not None:
            known[identifier] = request.digest
            fresh.append((written, known[identifier]))
    outbox.add(ctx.tx, fresh)
    return answers


def _message_id(me: Party, request: Request) -> MessageId | ValijaError:
    try:
        return message_id(me.association, me.member, request.desk, request.key)
    except UsageError as error:
        return error


def _admit(
    ctx: Context,
    identifier: MessageId,
    request: Request,
    known: dict[MessageId, bytes],
    audiences: dict[bytes, ValijaError | None],
) -> Written | None:
    """The message to store, None if it is stored already; raises why it cannot be."""
    before = known.get(identifier)
    if before is not None:
        if before != request.digest:
            raise ConflictError("idempotency key")
        return None
    _check_content(ctx, request)
    addressed = request.addressed
    if addressed not in audiences:
        audiences[addressed] = _refusal(ctx, request)
    refusal = audiences[addressed]
    if refusal is not None:
        raise refusal
    return _written(ctx, identifier, request, addressed)


def _refusal(ctx: Context, request: Request) -> ValijaError | None:
    try:
        _check_audience(ctx, request)
    except ValijaError as error:
        return error
    return None


def _written(ctx: Context, identifier: MessageId, request: Request, addressed: bytes) -> Written:
    now, expires_at = ctx.second, request.expires_at
    if expires_at is None:
        expires_at = -(-(now + DEFAULT_LIFE_SECONDS) // _HOUR) * _HOUR
    elif not now < expires_at <= now + MAX_LIFE_SECONDS:
        raise faults.field("expires_at", "expires_at lies in the past, or more than a year ahead")
    header = Header.build(identifier, now, request.content_digest)
    return Written(0, identifier, request.desk, now, expires_at, addressed, header.raw, request.content)


def _check_content(ctx: Context, request: Request) -> None:
    try:
        origin = request.origin or from_json(request.content).origin
    except PeerError as error:
        raise UsageError(error.detail or error.code) from error
    if (origin.member, origin.desk) != (ctx.identity.me.member, request.desk):
        raise UsageError("the content names another member or desk as its origin")


def _check_audience(ctx: Context, request: Request) -> None:
    for member in request.members:
        try:
            ctx.registry.member_standing(member, ctx.second)
        except UnknownMemberError:
            raise UnknownRecipientError(member) from None
    for network in request.networks:
        if ctx.registry.roster(network) is None:
            raise UnknownNetworkError(network)
    audience = resolve(ctx, request.addressed).parties
    if not 1 <= len(audience) <= MAX_AUDIENCE:
        raise faults.field("to", f"an audience of {len(audience)} besides the sender, 1 to {MAX_AUDIENCE} are possible")
