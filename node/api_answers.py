"""What the API answers, as types: the description of the API is made from them, and every answer of a test held to it.

The answers themselves are put together as plain values (`api_views`, `event_views`), because thousands of them are.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from node.problems import Problem
from node.scopes import Scope
from node.status import State
from node.uplink import Phase
from protocol.messages.content import Content

T = TypeVar("T")
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="A time of RFC 3339 in UTC.")]
Cursor = Annotated[str, Meta(description="Opaque; give it back as `after` or `before`.")]
MessageIdShown = Annotated[str, Meta(pattern="^msg_[a-z2-7]{26}$")]


class Reader(Struct, frozen=True, forbid_unknown_fields=True):
    """A member who can read a message: its name, titles by language, and country."""

    member: str
    titles: dict[str, str]
    country: str


class Member(Reader, frozen=True, forbid_unknown_fields=True):
    """A member of the association."""

    in_standing: bool
    is_this_node: bool


class Members(Struct, frozen=True, forbid_unknown_fields=True):
    """Every member of the association."""

    members: list[Member]


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """A network with its members."""

    network: str
    titles: dict[str, str]
    version: int
    members: list[Reader]


class Networks(Struct, frozen=True, forbid_unknown_fields=True):
    """Every network."""

    networks: list[Network]


# -- handing in ----------------------------------------------------------------------------------------
class Accepted(Struct, frozen=True, forbid_unknown_fields=True):
    """A message that is safe; `fresh` is false where the same was handed in before under its key.

    `warnings` says what to look at twice, though the message goes: `due_in_the_past`.
    """

    id: MessageIdShown
    fresh: bool
    readers: list[Reader]
    warnings: list[str]


class Checked(Struct, frozen=True, forbid_unknown_fields=True):
    """A message that would be accepted; the fields are those of one that was."""

    fresh: bool
    readers: list[Reader]
    warnings: list[str]


class BatchLine(Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one line of a batch: `id`, `fresh` and `warnings` if any, or the `line` (from 1) and the `error`."""

    id: MessageIdShown | msgspec.UnsetType = msgspec.UNSET
    fresh: bool | msgspec.UnsetType = msgspec.UNSET
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    line: int | msgspec.UnsetType = msgspec.UNSET
    error: Problem | msgspec.UnsetType = msgspec.UNSET


class Acknowledged(Struct, frozen=True, forbid_unknown_fields=True):
    """A desk's act, told to the sender by a signed receipt."""

    id: MessageIdShown
    action: str


# -- messages ------------------------------------------------------------------------------------------
class Recipient(Struct, frozen=True, forbid_unknown_fields=True):
    """To whom a message goes."""

    member: str


class Receipt(Struct, frozen=True, forbid_unknown_fields=True):
    """What a receipt says and who signed it."""

    event: Literal["ContentConsignment", "ContentConsignmentFailure", "ConsignmentRejection", "ContentHandover"]
    at: Time
    signed_by: str
    certificate: str
    link: list[int]


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """What proves who signed a receipt (SPEC 5 and 6), in base64: `batch` and `leaf_proof` as the wire has them."""

    body: str
    salt: str
    manifest: str
    link: str
    leaf_proof: str
    batch: str
    place: int


class ReceiptProved(Receipt, frozen=True, forbid_unknown_fields=True):
    """The newest receipt of one recipient with everything that proves it."""

    message: MessageIdShown
    recipient: str
    state: State
    proof: Proof


class Receipts(Struct, frozen=True, forbid_unknown_fields=True):
    """The receipts of one message."""

    items: list[ReceiptProved]


class Actor(Struct, frozen=True, forbid_unknown_fields=True):
    """Who acted."""

    name: str
    role: str


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """What a desk of a recipient said of a message."""

    at: Time
    member: str
    desk: str | msgspec.UnsetType = msgspec.UNSET
    action: str | msgspec.UnsetType = msgspec.UNSET
    note: str | msgspec.UnsetType = msgspec.UNSET
    by: Actor | msgspec.UnsetType | None = msgspec.UNSET


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a message stands with one recipient; null is everybody, of a message that was not sealed yet."""

    recipient: Recipient | None
    state: State
    reason: str | None
    closing: Literal["withdrawn", "expired", "refused"] | None


class DeliveryInFull(Delivery, frozen=True, forbid_unknown_fields=True):
    """The same, with the receipt behind it and what its desks answered."""

    receipt: Receipt | None
    answers: list[Answer]


class Received(Struct, frozen=True, forbid_unknown_fields=True, tag_field="direction", tag="received"):
    """A received message; `damaged` where the disk spoiled it."""

    id: MessageIdShown
    cursor: Cursor
    sender: Reader
    received_at: Time
    mark: Literal["gap_before", "late"] | None
    content: Content
    damaged: bool | msgspec.UnsetType = msgspec.UNSET


class ReceivedInFull(
    Received, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="direction", tag="received"
):
    """The same, with the desks that it is for and everybody who can read it."""

    desks: list[str]
    network: str | None
    readers: list[Reader]
    expires_at: Time


class Sent(Struct, frozen=True, forbid_unknown_fields=True, tag_field="direction", tag="sent"):
    """A sent message, and where it stands with each recipient."""

    id: MessageIdShown
    cursor: Cursor
    desk: str
    accepted_at: Time
    expires_at: Time
    deliveries: list[Delivery]
    content: Content


class SentInFull(Struct, frozen=True, forbid_unknown_fields=True, tag_field="direction", tag="sent"):
    """The same in full."""

    id: MessageIdShown
    cursor: Cursor
    desk: str
    accepted_at: Time
    expires_at: Time
    deliveries: list[DeliveryInFull]
    content: Content
    readers: list[Reader]


class Page(Struct, Generic[T], frozen=True, forbid_unknown_fields=True):
    """A page of a list: `next` continues behind its last item, `more` says that there may be something."""

    items: list[T]
    next: Cursor | None
    more: bool


class Found(Struct, frozen=True, forbid_unknown_fields=True):
    """What a search found; so many messages are not in the index yet."""

    items: list[Received | Sent]
    behind: int


class Thread(Struct, frozen=True, forbid_unknown_fields=True):
    """The messages of a thread, oldest first."""

    items: list[Received | Sent]


# -- events --------------------------------------------------------------------------------------------
class News(Struct, frozen=True, forbid_unknown_fields=True):
    """A new message in brief."""

    id: MessageIdShown
    cursor: Cursor
    sender: Reader
    received_at: Time
    type: str
    subject: str
    urgency: str
    thread: str | None
    case_reference: str | None
    due_at: str | None


class Changed(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a message of the desk stands now."""

    id: MessageIdShown
    deliveries: list[Delivery]


class HandedOver(Struct, frozen=True, forbid_unknown_fields=True):
    """What a desk of this member did with a received message."""

    id: MessageIdShown
    action: str


class MessageEvent(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="message"):
    """A message arrived."""

    id: Cursor
    data: News


class DeliveryEvent(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="delivery"):
    """A delivery changed."""

    id: Cursor
    data: Changed


class HandoverEvent(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="handover"):
    """A desk acted on a message."""

    id: Cursor
    data: HandedOver


Events = Page[MessageEvent | DeliveryEvent | HandoverEvent]


# -- the node ------------------------------------------------------------------------------------------
class HubLine(Struct, frozen=True):
    """How the line to the hub is, and since when."""

    phase: Phase
    since: Time


class Status(Struct, frozen=True):
    """How this node is; `desk` is the token's own.  The operator is told more than a desk."""

    member: str
    version: str
    session: Literal["open", "closed"]
    hub: HubLine
    desk: str | msgspec.UnsetType | None = msgspec.UNSET


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """A token: its visible handle, what it is good for and until when."""

    handle: str
    label: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NamedToken(Token, frozen=True, forbid_unknown_fields=True):
    """A token and the desk for which it speaks."""

    desk: str


class FreshToken(NamedToken, frozen=True, forbid_unknown_fields=True):
    """A token with its text, shown this once."""

    token: str


class Desk(Struct, frozen=True, forbid_unknown_fields=True):
    """A desk and its tokens."""

    name: str
    created_at: Time
    tokens: list[Token]


class Desks(Struct, frozen=True, forbid_unknown_fields=True):
    """The desks that the caller may know of."""

    desks: list[Desk]


class DeskName(Struct, frozen=True, forbid_unknown_fields=True):
    """A desk that was made."""

    name: str


# -- webhooks ------------------------------------------------------------------------------------------
class Webhook(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a desk wants to be told what happens, and where it stands among the events."""

    name: str
    desk: str
    url: str
    created_at: Time
    cursor: Cursor
    failing_since: Time | None
    disabled_at: Time | None
    disabled_why: str | None


class FreshWebhook(Webhook, frozen=True, forbid_unknown_fields=True):
    """A webhook with its secret, shown this once."""

    secret: str


class Webhooks(Struct, frozen=True, forbid_unknown_fields=True):
    """The webhooks that the caller may know of."""

    webhooks: list[Webhook]


class Notice(Struct, frozen=True, forbid_unknown_fields=True):
    """One event for one webhook, and what became of its last attempt; it is tried again at `next_at`."""

    number: int
    cursor: Cursor
    event: str
    type: str
    thread: str
    created_at: Time
    attempts: int
    tried_at: Time | None
    next_at: Time | None
    status: int | None
    outcome: str | None
