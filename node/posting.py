"""Sealing: signed links become envelopes with numbers of their own, on their way until the hub answers.

A link is signed once and sealed as often as needed, each time under a new envelope id.  Ciphertexts live in memory
alone: what a crash forgets is sealed again, which costs less than writing every ciphertext to disk twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from node.context import Context
from node.linking import SignedDraft
from node.model import DAY, LinkState
from node.reach import Reach
from node.tables import evidence, links, outbox, peers, state
from node.tables.links import LinkRow
from protocol.errors import DamagedError, ValijaError
from protocol.messages.envelope import Attestation, Envelope, Submission
from protocol.messages.message import Body, Kind, Link, Manifest, message_id_of
from protocol.messages.receipts import VoidReason
from protocol.names import EnvelopeId, Incarnation
from protocol.sealing import PreparedLink, Recipient, seal
from protocol.session.items import SubmitItem, Window

RETRY_SECONDS: Final = 60
CLOCK_MARGIN_SECONDS: Final = 3_600
"""The hub judges an expiry by its own clock, which may be behind ours by this much."""


class Post:
    """Envelopes under way: sealed and unanswered, in order, with what of them was submitted in this session."""

    __slots__ = ("_numbers", "_sent", "_unanswered", "window")

    def __init__(self) -> None:
        """No session, nothing under way."""
        self._unanswered: dict[EnvelopeId, SubmitItem] = {}
        self._numbers: dict[EnvelopeId, Submission] = {}
        self._sent: dict[EnvelopeId, int] = {}
        self.window = Window(0, 0)

    def open(self, window: Window) -> None:
        """A session begins: nothing was submitted in it, so everything unanswered goes again."""
        self._sent.clear()
        self.window = window

    def forget(self) -> None:
        """Afterwards nothing is submitted (again); what was submitted takes room in the window until its answer."""
        self._unanswered.clear()
        self._numbers.clear()

    def add(self, envelope: Envelope) -> None:
        """The envelope waits to be taken."""
        core = envelope.core
        self._unanswered[core.id] = SubmitItem(
            core.raw, envelope.ciphertext, tuple(slot.raw for slot in envelope.slots)
        )
        self._numbers[core.id] = core.submission

    def take(self) -> list[SubmitItem]:
        """What to submit now within the window, oldest first."""
        taken = []
        total = sum(self._sent.values())
        for envelope_id, item in self._unanswered.items():
            if envelope_id in self._sent:
                continue
            if not self.window.admits(len(self._sent) + 1, total + item.size):
                break
            self._sent[envelope_id] = item.size
            total += item.size
            taken.append(item)
        return taken

    def answered(self, envelope_id: EnvelopeId) -> Submission | None:
        """The number of this envelope, if it was submitted in this session and had no answer; it is under way no more."""
        if self._sent.pop(envelope_id, None) is None:
            return None
        self._unanswered.pop(envelope_id, None)
        return self._numbers.pop(envelope_id, None)

    def drop(self, envelope_ids: Iterable[EnvelopeId]) -> None:
        """Afterwards these are not submitted (again)."""
        for envelope_id in envelope_ids:
            if envelope_id not in self._sent:
                self._unanswered.pop(envelope_id, None)
                self._numbers.pop(envelope_id, None)

    @property
    def waiting(self) -> int:
        """How many envelopes are sealed and unanswered."""
        return len(self._unanswered)

    @property
    def waiting_bytes(self) -> int:
        """Their bytes."""
        return sum(item.size for item in self._unanswered.values())


# -- sealing -------------------------------------------------------------------------------------------
def post(ctx: Context, incarnation: Incarnation, drafts: Sequence[SignedDraft]) -> list[Envelope]:
    """An envelope for each draft, its number stored; empty drafts too."""
    return [_post(ctx, incarnation, draft) for draft in drafts]


def _post(ctx: Context, incarnation: Incarnation, draft: SignedDraft) -> Envelope:
    pairs = [(each.prepared, each.recipient) for each in draft.links]
    submission, expires_at = _next_submission(ctx, incarnation), _expiry(ctx, draft.manifest)
    envelope = seal(ctx.identity.me, submission, expires_at, draft.manifest, draft.bodies, pairs)
    _keep(ctx, envelope, [each.row for each in draft.links], draft.manifest.kind)
    return envelope


def _keep(ctx: Context, envelope: Envelope, rows: Sequence[int], kind: Kind) -> None:
    row = links.keep_envelope(ctx.tx, envelope.core, rows, envelope.core.expires_at)
    if kind is Kind.EMPTY:
        for link in links.under_way(ctx.tx, row):
            links.wake(ctx.tx, link.id, None)


def _next_submission(ctx: Context, incarnation: Incarnation) -> Submission:
    counter = state.submissions(ctx.tx) + 1
    state.put(ctx.tx, "counter", counter)
    return Submission(incarnation, counter)


def _expiry(ctx: Context, manifest: Manifest) -> int:
    lifetime = ctx.registry.charter.limits.envelope_lifetime_seconds
    latest = ctx.second + lifetime - min(CLOCK_MARGIN_SECONDS, lifetime // 2)
    return min(latest, manifest.expires_at) if manifest.kind is Kind.MESSAGE else latest


# -- sealing again ---------------------------------------------------------------------------------------
def reseal(
    ctx: Context, incarnation: Incarnation, reach: Reach, limit: int, superseded: list[EnvelopeId]
) -> list[Envelope]:
    """Envelopes for links whose time has come, at most `limit`; what they replace is added to `superseded`."""
    envelopes = []
    for link in links.awake(ctx.tx, ctx.second, limit):
        envelope = _reseal(ctx, incarnation, reach, link)
        if envelope is not None:
            envelopes.append(envelope)
        if link.envelope is not None:
            superseded.append(links.envelope_id(ctx.tx, link.envelope))
    return envelopes


def _reseal(ctx: Context, incarnation: Incarnation, reach: Reach, link: LinkRow) -> Envelope | None:
    manifest, parts = evidence.manifest_and_parts(ctx.tx, link.manifest)
    if _is_over(ctx, link, manifest):
        return None
    target = reach.target(peers.find(ctx.tx, link.peer).party)
    if isinstance(target, str):
        links.wake(ctx.tx, link.id, ctx.second + RETRY_SECONDS, target)
        return None
    try:
        contents = _contents(ctx, manifest.kind, [part.signed_part for part in parts])
    except DamagedError as error:
        state.alarm(ctx.tx, ctx.second, error.code, "a message that was to be sent again")
        links.wake(ctx.tx, link.id, ctx.second + DAY, error.code)
        return None
    bodies = [
        Body(part.salt, part.signed_part, each, part.file_keys) for part, each in zip(parts, contents, strict=True)
    ]
    prepared = PreparedLink(
        Link.from_bytes(link.raw), evidence.read_proof(link.proof), evidence.batch(ctx.tx, link.batch)
    )
    return _seal_again(ctx, incarnation, link, manifest, bodies, (prepared, target.recipient))


def _seal_again(
    ctx: Context,
    incarnation: Incarnation,
    link: LinkRow,
    manifest: Manifest,
    bodies: Sequence[Body],
    pair: tuple[PreparedLink, Recipient],
) -> Envelope:
    first = _first_acceptance(ctx, link)
    submission, expires_at = _next_submission(ctx, incarnation), _expiry(ctx, manifest)
    envelope = seal(ctx.identity.me, submission, expires_at, manifest, bodies, [pair], first)
    _keep(ctx, envelope, [link.id], manifest.kind)
    return envelope


def _first_acceptance(ctx: Context, link: LinkRow) -> list[Attestation]:
    if link.first_attestation is None:
        return []
    first = evidence.attestation(ctx.tx, link.first_attestation)
    try:
        first.verify(ctx.registry, ctx.verified)
    except ValijaError:
        return []  # by a hub's key that is not trusted for that time any more: every recipient would refuse it
    return [first]


def _contents(ctx: Context, kind: Kind, signed_parts: Sequence[bytes]) -> list[bytes]:
    if kind is not Kind.MESSAGE:
        return [b""] * len(signed_parts)
    return outbox.contents(ctx.tx, [message_id_of(each) for each in signed_parts])


def _is_over(ctx: Context, link: LinkRow, manifest: Manifest) -> bool:
    """Whether the link is not to be sealed again just now; if so, what is to become of it is stored."""
    if link.kind is not Kind.MESSAGE:
        return False
    if manifest.expires_at <= ctx.second:
        links.begin_void(ctx.tx, link.id, range(link.count), VoidReason.EXPIRED)
    numbers = links.numbers(ctx.tx, link.id)
    if len(numbers) == link.count:
        links.wake(ctx.tx, link.id, None)
        return True
    if any(number.state is LinkState.VOIDING for number in numbers.values()):
        # The other messages of the link go once the recipient has closed these: else it would hand them over.
        links.wake(ctx.tx, link.id, ctx.second + RETRY_SECONDS)
        return True
    return False
