"""What a node takes and answers, as types.  Fields that a later node adds are passed over."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")


# -- what a message says ---------------------------------------------------------------------------------
class Text(Struct, frozen=True):
    """The text of a message; `format` is `plain` or `commonmark`."""

    format: str
    text: str


class Origin(Struct, frozen=True):
    """The member and the desk that wrote."""

    member: str
    desk: str


class Author(Struct, frozen=True):
    """Who wrote, as the sender's node claims."""

    name: str
    role: str = ""
    login_method: str = ""


class Handling(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What readers may do with it: `TLP:AMBER`, Europol's `H1` …, and how source and information are graded."""

    tlp: str | None = None
    europol: tuple[str, ...] = ()
    source: str | None = None
    information: int | None = None


class Formality(Struct, frozen=True, omit_defaults=True):
    """`operational` or `formal`, and where the official copy is."""

    kind: str = "operational"
    official_reference: str | None = None


class Transition(Struct, frozen=True):
    """The state into which a message brings the matter of its thread, such as `in-execution`."""

    matter: str


class Content(Struct, frozen=True, kw_only=True):
    """A message as its author wrote it; times are of RFC 3339 in UTC."""

    type: str
    subject: str
    body: Text
    to: tuple[str, ...]
    origin: Origin = msgspec.field(name="from")
    author: Author
    urgency: str
    thread: str | None = None
    in_reply_to: str | None = None
    case_reference: str | None = None
    due_at: str | None = None
    handling: Handling | None = None
    formality: Formality | None = None
    transition: Transition | None = None
    language: str | None = None
    use_limits: str | None = None


class Draft(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to send: `to` holds members, desks (`co-fgn/central`) and networks (`#rfai`).

    `idempotency_key` names it for ever: the same key again is the same message.  Use the number of your own record,
    and nothing goes twice even if your system dies between asking and noting the answer; one is drawn if you name none.
    """

    to: tuple[str, ...]
    subject: str = ""
    body: str | Text = ""
    type: str = "message"
    urgency: str = "routine"
    desk: str | None = None
    author: Author | None = None
    thread: str | None = None
    in_reply_to: str | None = None
    forward_of: str | None = None
    case_reference: str | None = None
    due_at: str | None = None
    handling: Handling | None = None
    formality: Formality | None = None
    transition: Transition | None = None
    language: str | None = None
    use_limits: str | None = None
    expires_at: str | None = None
    idempotency_key: str | None = None


# -- who there is ----------------------------------------------------------------------------------------
class Reader(Struct, frozen=True):
    """A member who can read a message: its name, titles by language, and country."""

    member: str
    titles: dict[str, str]
    country: str


class Member(Reader, frozen=True):
    """A member of the association."""

    in_standing: bool
    is_this_node: bool


class Network(Struct, frozen=True):
    """A network with its members."""

    network: str
    titles: dict[str, str]
    version: int
    members: list[Reader]


class Token(Struct, frozen=True):
    """A token of a desk by its handle, what it is good for and until when."""

    handle: str
    label: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class Desk(Struct, frozen=True):
    """A desk and its tokens."""

    name: str
    created_at: str
    tokens: list[Token]


class HubLine(Struct, frozen=True):
    """How the node's line to its hub is (`connecting`, `connected`, `waiting`, `stopped`), and since when."""

    phase: str
    since: str


class Status(Struct, frozen=True):
    """Whose node this is, its version, whether its session with the hub is `open` or `closed`, and the token's desk."""

    member: str
    version: str
    session: str
    hub: HubLine
    desk: str | None = None


# -- messages --------------------------------------------------------------------------------------------
class Accepted(Struct, frozen=True):
    """A message that is safe at the node; `fresh` is false where it was handed in before under its key.

    `readers` is everybody who will be able to read it; a batch leaves it empty.  `warnings` says what to look at twice,
    though the message goes: `due_in_the_past`.
    """

    id: str
    fresh: bool
    readers: list[Reader] = []
    warnings: list[str] = []


class Acknowledged(Struct, frozen=True):
    """What a desk said of a message, told to the sender by a signed receipt."""

    id: str
    action: str


class Recipient(Struct, frozen=True):
    """To whom a message goes."""

    member: str


class Receipt(Struct, frozen=True):
    """What a receipt says, when, and under which certificate it was signed."""

    event: str
    at: str
    signed_by: str
    certificate: str
    link: list[int]


class Proof(Struct, frozen=True):
    """What proves who signed a receipt, in base64."""

    body: str
    salt: str
    manifest: str
    link: str
    leaf_proof: str
    batch: str
    place: int


class ReceiptProved(Receipt, frozen=True):
    """The newest receipt of one recipient with everything that proves it."""

    message: str
    recipient: str
    state: str
    proof: Proof


class Answer(Struct, frozen=True):
    """What a desk of a recipient said of a message."""

    at: str
    member: str
    desk: str | None = None
    action: str | None = None
    note: str = ""
    by: dict[str, Any] | None = None


class Delivery(Struct, frozen=True):
    """Where a message stands with one recipient (None while it is not sealed).

    `state` is queued, sealed, relayed, delivered, acknowledged, held, late, refused, expired or withdrawn; `receipt` and
    `answers` are there where one message is shown in full.
    """

    recipient: Recipient | None
    state: str
    reason: str | None
    closing: str | None
    receipt: Receipt | None = None
    answers: list[Answer] = []


class Received(Struct, frozen=True, kw_only=True, tag_field="direction", tag="received"):
    """A received message; from `desks` on there where one is shown in full."""

    id: str
    cursor: str
    sender: Reader
    received_at: str
    mark: str | None
    content: Content
    damaged: bool = False
    desks: list[str] = []
    network: str | None = None
    readers: list[Reader] = []
    expires_at: str | None = None


class Sent(Struct, frozen=True, kw_only=True, tag_field="direction", tag="sent"):
    """A sent message, and where it stands with each recipient; `readers` where one is shown in full."""

    id: str
    cursor: str
    desk: str
    accepted_at: str
    expires_at: str
    deliveries: list[Delivery]
    content: Content
    readers: list[Reader] = []


class Page(Struct, Generic[T], frozen=True):
    """A page of a list: `next` continues behind its last item, `more` says that there may be something."""

    items: list[T]
    next: str | None
    more: bool


class Found(Struct, frozen=True):
    """What a search found; so many messages are not in the index yet."""

    items: list[Received | Sent]
    behind: int


# -- events ----------------------------------------------------------------------------------------------
class News(Struct, frozen=True):
    """A new message in brief."""

    id: str
    cursor: str
    sender: Reader
    received_at: str
    type: str
    subject: str
    urgency: str
    thread: str | None
    case_reference: str | None
    due_at: str | None


class Changed(Struct, frozen=True):
    """Where a message of this desk stands now."""

    id: str
    deliveries: list[Delivery]


class MessageEvent(Struct, frozen=True):
    """A message arrived.  `id` is the cursor behind it, as of every event."""

    id: str
    data: News


class DeliveryEvent(Struct, frozen=True):
    """A delivery of a message of ours changed."""

    id: str
    data: Changed


class HandoverEvent(Struct, frozen=True):
    """A desk of ours said something of a received message."""

    id: str
    data: Acknowledged


class OtherEvent(Struct, frozen=True):
    """Something that this version of the client does not know; `data` is its JSON."""

    id: str
    type: str
    data: bytes


Event = MessageEvent | DeliveryEvent | HandoverEvent | OtherEvent


# -- webhooks --------------------------------------------------------------------------------------------
class Webhook(Struct, frozen=True):
    """Where the desk wants to be told what happens, and where it stands among the events."""

    name: str
    desk: str
    url: str
    created_at: str
    cursor: str
    failing_since: str | None
    disabled_at: str | None
    disabled_why: str | None


class FreshWebhook(Webhook, frozen=True):
    """A webhook with its secret, which is shown this once."""

    secret: str

    def __repr__(self) -> str:
        """The name and the address; never the secret."""
        return f"FreshWebhook({self.name}, {self.url})"


class Notice(Struct, frozen=True):
    """One event for one webhook, and what became of its last attempt; it is tried again at `next_at`."""

    number: int
    cursor: str
    event: str
    type: str
    thread: str
    created_at: str
    attempts: int
    tried_at: str | None
    next_at: str | None
    status: int | None
    outcome: str | None
