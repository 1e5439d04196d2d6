"""What runs on the store's thread: courier, reception, mirror and prekeys put together for one running node.

It knows no loop and no socket.  `turn` is what every round ends with; the other entries are works of a round, or, while
this node has no certificate yet, jobs of the store.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from keys.prekeys import PrekeyStore, Runway
from node import reception, recovery
from node.calendars import Calendars
from node.context import Context, Identity
from node.courier import Courier, Prepared
from node.fetching import Fetched
from node.founding import Anchor
from node.mirror import Extension, Mirror
from node.rounds import Turn
from node.store import Transaction
from node.tables import inbox, state
from protocol.batch import Verified
from protocol.errors import (
    ClockSkewError,
    ConflictError,
    LogError,
    MalformedError,
    PeerError,
    ProofError,
    StaleError,
    StandingError,
    VerificationError,
    ViewAheadError,
    WrongHubError,
)
from protocol.limits import CLOCK_REFUSE_SECONDS, CLOCK_TELL_SECONDS
from protocol.messages.envelope import Attestation, AttestationData
from protocol.names import Incarnation, Party, StatementId
from protocol.session.frames import Welcome
from protocol.session.handshake import ServerHello
from protocol.session.items import DeliverItem, ResultItem, SubmitItem
from protocol.signing import PrivateKey
from protocol.trust.standing import CertificateRecord
from protocol.trust.statements import Cause, Role, SignedStatement

UPKEEP_SECONDS: Final = 3_600.0
TICK_SECONDS: Final = 0.25
CLOCK_STEP_SECONDS: Final = 1.0
CLOCK_SAME_SECONDS: Final = 2
"""Clocks that are read to the second, one after the other, differ by so much although they are the same."""
CLOCK_SET: Final = "this machine's clock was set"
_NONCE_BYTES: Final = 16
_DRAINED, _CERTIFICATE = "drained", "certificate"


@dataclass(frozen=True, slots=True)
class Going:
    """What leaves after a round: envelopes and questions of this `session`, a calendar to publish, and what is needed.

    `pending` says why a new incarnation is to be opened; `refresh` that the newest checkpoint should be fetched; `blocked`
    is the code for which nothing is sent.
    """

    session: int
    items: tuple[SubmitItem, ...] = field(default=(), repr=False)
    wanted: frozenset[str] = frozenset()
    calendar: bytes | None = field(default=None, repr=False)
    pending: Cause | None = None
    refresh: bool = False
    blocked: str | None = None


class Engine:
    """One running node's rules and what they share."""

    def __init__(
        self,
        me: Party,
        key: PrivateKey,
        anchor: Anchor,
        prekeys: PrekeyStore,
        now: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is loaded yet; `load` is the first thing to run.

        `now` is the clock of this machine, which people may set, `steady` one that nobody can.
        """
        self.me = me
        self._key, self._anchor, self._prekeys, self._now, self._steady = key, anchor, prekeys, now, steady
        self._courier, self._calendars, self._verified = Courier(), Calendars(), Verified()
        self.mirror = Mirror(anchor.association)
        self.certificate: CertificateRecord | None = None
        self._session = 0
        self._hub_ahead: int | None = None
        self._compared_at: float | None = None
        self._is_adrift = False
        self._upkeep_at = 0.0
        self._wants_calendar = self._wants_view = False
        self._is_calendar_refused = self._goes_by_later_clock = False
        self._tick_at = self._wake_at = self._seen_at = 0.0
        # As of the last commit, and as this round would have it.
        self._drained_at = self._drains_to = 0

    # -- who we are ------------------------------------------------------------------------------------
    def load(self, tx: Transaction) -> None:
        """Afterwards the mirror and the calendars are those of the archive.  Raises what a damaged archive gives."""
        recovery.started(tx)
        self._load(tx)

    def _load(self, tx: Transaction) -> None:
        self._is_adrift = False
        self.mirror = Mirror.load(tx, self._anchor.association)
        known = state.get(tx, _CERTIFICATE)
        if known is not None:
            # It may have run out: what it signed is still ours to show.
            self.certificate = self.mirror.registry.certificate(StatementId(known))
        self._choose_certificate(tx)
        self._drained_at = self._drains_to = int(state.get(tx, _DRAINED) or 0)
        if self.certificate is not None:
            self._calendars.load(self.context(tx))

    def context(self, tx: Transaction) -> Context:
        """What the rules work with; `StandingError` while the registry holds no certificate of this node's key."""
        self._come_back(tx)
        if self.certificate is None:
            raise StandingError("this node's key is not certified yet")
        identity = Identity(self.me, self.certificate.id, self._key)
        return Context(tx, self._now(), identity, self.mirror, self._verified)

    def _choose_certificate(self, tx: Transaction) -> None:
        registry, now = self.mirror.registry, int(self._now())
        mine = [each for each in registry.node_certificates(self.me.member, now) if each.key == self._key.public]
        best = max(mine, key=lambda each: each.not_after, default=self.certificate)
        if best is not None and best != self.certificate:
            state.put(tx, _CERTIFICATE, best.id)
        self.certificate = best

    # -- the registry ----------------------------------------------------------------------------------
    def extend(self, tx: Transaction, fetched: Fetched) -> Extension:
        """Take in what was fetched, and what follows from it for held items and for a pending incarnation.

        Raises `WrongHubError` for a log that the charter's hub did not sign, `ProofError` and `LogError` for leaves
        that are none of that log's.
        """
        self._come_back(tx)
        try:
            extension = self.mirror.extend(tx, int(self._now()), fetched.note, fetched.leaves, self._anchor.charter)
        except (ProofError, LogError) as error:
            if not self.mirror.registry.size:
                raise WrongHubError("its log is not that of the association of our charter") from error
            raise
        except VerificationError as error:
            raise WrongHubError(f"its log does not verify: {error.code}") from error
        try:
            self._follow(tx, extension)
        except BaseException:
            # What was stored is undone with this job; what is in memory would be ahead of the archive for ever.
            self._is_adrift = True
            raise
        return extension

    def _follow(self, tx: Transaction, extension: Extension) -> None:
        self._choose_certificate(tx)
        if extension.added and self.certificate is not None:
            ctx = self.context(tx)
            # In a new life the hub takes other keys for the same days.
            self._wants_calendar = self._courier.incarnation_begun(ctx) is not None or self._wants_calendar
            reception.retry_held(ctx, self._prekeys.prekey)

    def _come_back(self, tx: Transaction) -> None:
        if self._is_adrift:
            self._load(tx)

    def check_hub(self) -> None:
        """Return if the log holds the charter that was given by hand; else `WrongHubError`."""
        if self.mirror.registry.index_of(self._anchor.signed.id) is None:
            raise WrongHubError("its log does not hold the charter that this node was given")

    def opening(self, ctx: Context) -> SignedStatement | None:
        """The incarnation statement to post before anything is signed; None if none is needed."""
        recovery.first(ctx)
        return recovery.statement(ctx, os.urandom(_NONCE_BYTES))

    # -- a session -------------------------------------------------------------------------------------
    def session_opened(self, ctx: Context, hello: ServerHello, welcome: Welcome, session: int) -> int:
        """The position to acknowledge first; from here on rounds prepare for this `session`."""
        if self._hub_ahead is None:
            # Prekeys die by two clocks, and only now there are two: a node that restarts often must come to it too.
            self._upkeep_at = 0.0
        ahead = hello.clock - ctx.second
        if abs(ahead) > CLOCK_REFUSE_SECONDS:
            raise ClockSkewError(CLOCK_SET)  # after the hellos, which compared it
        self._hub_ahead, self._compared_at = ahead, ctx.now - self._steady()
        seconds = abs(ahead)
        if ahead > CLOCK_TELL_SECONDS:
            state.alarm(ctx.tx, ctx.second, ClockSkewError.code, f"the hub's clock is ahead by {seconds} s")
        elif seconds > CLOCK_TELL_SECONDS:
            state.alarm(ctx.tx, ctx.second, ClockSkewError.code, f"the hub's clock is behind by {seconds} s")
        start = self._courier.session_opened(ctx, welcome, hello.incarnation)
        self._session = session
        self._wants_calendar = True
        self._goes_by_later_clock = False
        return start.position

    def session_closed(self, _ctx: Context) -> None:
        """Afterwards nothing is prepared until the next session."""
        self._courier.session_closed()

    def deliver(self, ctx: Context, items: Sequence[DeliverItem]) -> int:
        """Take in what the hub delivered; gives the position to acknowledge."""
        position = reception.receive(ctx, items, self._prekeys.prekey)
        held = inbox.held_codes(ctx.tx)
        # A peer that saw more of the log is no reason to wait until the hub says that it has grown.
        self._wants_view = self._wants_view or ViewAheadError.code in held
        self._see_answers(ctx)
        # What is held is still sealed, and needs its key when its time comes.
        if not held:
            self._drain(ctx, items)
        return position

    def _drain(self, ctx: Context, items: Sequence[DeliverItem]) -> None:
        if self._hub_ahead is None:
            return
        newest = max(_accepted_at(item.attestation) for item in items)
        drained = min(newest, int(self._unset(ctx)) + self._hub_ahead)
        if drained > self._drains_to:
            state.put(ctx.tx, _DRAINED, drained)
            self._drains_to = drained

    def answered(self, ctx: Context, results: Sequence[ResultItem]) -> None:
        """Take in the hub's answers to envelopes."""
        self._courier.answered(ctx, results)
        self._see_answers(ctx)

    def recalled(self, ctx: Context, attestation: Attestation | None) -> None:
        """Take in the hub's answer to a recall."""
        self._courier.recalled(ctx, attestation)
        self._see_answers(ctx)

    def _see_answers(self, ctx: Context) -> None:
        # They name a certificate of the hub that stands in leaves which the mirror lacks.
        self._wants_view = self._wants_view or inbox.held_answers(ctx.tx) > 0

    def published(self, ctx: Context, code: str | None) -> None:
        """Take in the hub's answer to our calendar: one that was refused, for this reason, goes again within the hour.

        Other keys under the same days of this incarnation were lost with a memory of ours: it has to be a new one.
        """
        self._is_calendar_refused = code is not None
        if code == StaleError.code and not self._goes_by_later_clock:
            # One of both clocks is behind that by which the last one was issued: by the other, this one may be the newer.
            self._goes_by_later_clock = self._wants_calendar = True
        if code == ConflictError.code:
            recovery.request_by_hub(ctx)

    def calendars(self, ctx: Context, answers: Sequence[tuple[str, bytes | None]]) -> None:
        """Take in calendars that were looked up; what waited for one is tried again."""
        for member, raw in answers:
            before = self._calendars.held.get(member)
            if self._calendars.take(ctx, member, raw):
                self._courier.calendar_shown(ctx, member, is_new=self._calendars.held[member] is not before)

    # -- every round -----------------------------------------------------------------------------------
    def turn(self, ctx: Context) -> Turn:
        """What is ready to go, and when to come again."""
        if ctx.now < self._seen_at - CLOCK_STEP_SECONDS:
            # The clock was put back: whatever was planned by it lies too far ahead.
            self._tick_at = self._upkeep_at = 0.0
        self._seen_at = ctx.now
        calendar, refresh = self._keep_up(ctx)
        self._drained_at = self._drains_to
        prepared = self._prepare(ctx)
        going = Going(
            self._session,
            prepared.items,
            prepared.wanted,
            calendar,
            recovery.due(ctx),
            refresh,
            prepared.reason,
        )
        return Turn(going, min(self._tick(ctx), self._upkeep_at), prepared.more)

    def _prepare(self, ctx: Context) -> Prepared:
        if abs(ctx.now - self._unset(ctx)) > CLOCK_TELL_SECONDS:
            # What would be sealed now has a wrong expiry: the session ends, and another compares the clocks anew.
            return Prepared((), reason=ClockSkewError.code)
        return self._courier.prepare(ctx, self._calendars.held)

    def _tick(self, ctx: Context) -> float:
        # Under load a round comes every few milliseconds, and what time alone brings is not asked for in each.
        if ctx.now >= self._tick_at:
            self._tick_at, self._wake_at = ctx.now + TICK_SECONDS, self._courier.tick(ctx, self._earlier(ctx))
        else:
            self._wake_at = min(self._wake_at, self._tick_at)
        return self._wake_at

    def _keep_up(self, ctx: Context) -> tuple[bytes | None, bool]:
        """A calendar to publish where there is news, and whether the log should be asked for; old keys are destroyed."""
        hourly = ctx.now >= self._upkeep_at
        calendar = None
        if hourly or self._wants_calendar:
            made = self._prekeys.ensure(ctx.second, incarnation=self._later_life(ctx))
            if made or self._wants_calendar or self._is_calendar_refused:
                issued_at = self._issued_at(ctx)
                calendar = self._prekeys.calendar(self._key, ctx.identity.certificate, ctx.second, issued_at).raw
            self._wants_calendar = False
        if hourly:
            self._upkeep_at = ctx.now + UPKEEP_SECONDS
            self._destroy(ctx)
        refresh, self._wants_view = hourly or self._wants_view, False
        return calendar, refresh

    def _issued_at(self, ctx: Context) -> int:
        by_hub = int(self._unset(ctx)) + (self._hub_ahead or 0)
        if abs(by_hub - ctx.second) <= CLOCK_SAME_SECONDS:
            return ctx.second
        # One from the future would shut out what this node publishes once its clock is right, or its backup put back.
        return max(ctx.second, by_hub) if self._goes_by_later_clock else min(ctx.second, by_hub)

    def _later_life(self, ctx: Context) -> Incarnation | None:
        current, lives = state.incarnation(ctx.tx), ctx.registry.incarnations(Role.NODE, self.me.member)
        return None if lives[:1] == [current] else current

    def _destroy(self, ctx: Context) -> None:
        if self._hub_ahead is None:
            return  # the local clock alone may destroy nothing
        try:
            # What this round archives is not durable yet, and a key that is gone opens nothing a second time.
            registry_time = int(self._unset(ctx)) + self._hub_ahead
            self._prekeys.destroy(ctx.second, registry_time, self._drained_at)
        except ClockSkewError as error:
            state.alarm(ctx.tx, ctx.second, error.code, "no prekey is destroyed while the clocks differ")

    def _unset(self, ctx: Context) -> float:
        """The time by this machine's clock as it ran when a session compared it with the hub's, however it was set since."""
        return ctx.now if self._compared_at is None else self._compared_at + self._steady()

    def _earlier(self, ctx: Context) -> int:
        # What has expired is told to people and to peers, and never comes back: nobody knows before clocks are compared.
        return 0 if self._compared_at is None else int(min(ctx.now, self._unset(ctx)))

    # -- told ------------------------------------------------------------------------------------------
    @property
    def hub_ahead_seconds(self) -> int | None:
        """How far the hub's clock was ahead of ours when the last session opened; None before the first."""
        return self._hub_ahead

    def runway(self) -> Runway:
        """How things stand with the prekeys."""
        return self._prekeys.runway(int(self._now()))


def _accepted_at(attestation: Attestation) -> int:
    try:
        return AttestationData.from_bytes(attestation.data).at
    except (PeerError, MalformedError):
        return 0
