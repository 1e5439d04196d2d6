"""The hub put together: store, log, relay, keys and writer; everything but sockets.

The registry in memory grows on the writing thread, after a commit, and is read on the event loop too.  One lock keeps
a reader from seeing it half grown; the thread holds it for a moment, and only when a statement is logged.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from hub.attesting import Attestor
from hub.config import HubConfig
from hub.identity import CharterSigner, HubKeys
from hub.log import Appended, Log
from hub.metrics import Metrics
from hub.relay import Mailbox, Relay
from hub.rounds import Desk, Round
from hub.store import Queue, Rule, Store, Transaction, transaction
from hub.tiles import TilePath
from hub.totals import Totals
from hub.trend import Trend, encode
from hub.writer import Writer
from protocol.errors import ConfigError, DamagedError, PeerError, ProofError, RolledBackError, WrongAssociationError
from protocol.limits import DAY_SECONDS
from protocol.names import Incarnation, StatementId
from protocol.session.channel import NONCE_BYTES, SHARE_BYTES, Ephemeral
from protocol.session.machine import HubIdentity, HubSession
from protocol.signing import fresh_salts
from protocol.trust.offer import Offer
from protocol.trust.registry import Entry, Registry
from protocol.trust.standing import CertificateRecord
from protocol.trust.statements import SignedStatement

_log: Final = structlog.get_logger("hub")
SETTLED_SECONDS: Final = 3_600
"""After so long every node that is connected has a certificate in its mirror."""

NOT_INSTALLED: Final = (
    "the charter and the hub's certificate are not installed; run valija-hub install, "
    "or valija-hub restore with the newest backup if this hub ever ran"
)


def founding_statement(tx: Transaction) -> SignedStatement | None:
    """What stands at leaf 0 of this store; None while its log is empty."""
    entries = tx.entries(0, 1)
    raw = tx.statement(Entry.parse(entries[0]).hash) if entries else None
    return None if raw is None else SignedStatement.from_bytes(raw)


def load_log(store: Store, keys: HubKeys) -> Log | None:
    """The log in this store, replayed, with what signs it; None while it is empty.  `StoreError` if it is damaged."""
    signer = CharterSigner(keys)
    with transaction(store) as tx:
        try:
            first = founding_statement(tx)
            log = None if first is None else Log.load(tx, first.association, signer)
        except PeerError as error:
            # Nobody sent it: this hub judged it before it wrote it.
            raise DamagedError(f"the log: {error.detail or error.code}") from error
    if log is not None:
        signer.follow(log.registry)
    return log


class Core:
    """A hub that is ready to run: `start` it on an event loop."""

    def __init__(
        self,
        config: HubConfig,
        store: Store,
        keys: HubKeys,
        *,
        fatal: Callable[[BaseException], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Everything is read and checked, nothing runs yet.

        Raises `ConfigError` before `install`, `StandingError` without a certificate in standing, `WrongHubError` if
        the charter names other keys, `StoreError`.
        """
        log = load_log(store, keys)
        if log is None:
            raise ConfigError(NOT_INSTALLED)
        self.config, self.clock, self.log = config, clock, log
        self.metrics, self.totals, self.trend, self.desk = Metrics(), Totals(), Trend(), Desk()
        self.started_at = self.now()
        self.on_committed: Callable[[Round], None] = _nothing
        self.on_grown: Callable[[int], None] = _nothing
        self._store, self._keys = store, keys
        self._lock = threading.Lock()
        keys.log(log.registry.charter)
        self.certificate = keys.certificate(log.registry, self.now())
        self._relay = Relay(Attestor(log.registry.association, keys.hub.key, self.certificate.id, fresh_salts))
        with transaction(store) as tx:
            self.incarnation = _incarnation(tx)
            self._relay.rules = tx.rules()
            self.last_seen = tx.presence()
            self.trend.restore(tx.minutes())
            self.refresh_at = log.refresh(tx, self.now())
            self._checkpoint = tx.checkpoint() or b""
        self._renew_at = 0.0
        self._fatal = fatal
        self.writer = Writer(store, self._round, committed=self._committed, fatal=fatal)
        self.metrics.registry_size.set(log.registry.size)

    def now(self) -> int:
        """The time in Unix seconds."""
        return int(self.clock())

    def close(self) -> None:
        """Let go of the store; the writer has stopped."""
        self._store.close()

    @contextmanager
    def reading(self) -> Iterator[Registry]:
        """The registry, which does not grow for the length of the block; keep it short."""
        with self._lock:
            yield self.log.registry

    # -- commits
    def _round(self, tx: Transaction) -> Round:
        if self.clock() >= self._renew_at:
            self._renew()
        return Round(self._relay, self.log.registry, tx, self.clock(), self.desk)

    def _committed(self, round_: Round, jobs: int) -> None:
        self.metrics.committed(round_.group.tally, jobs)
        self.totals.add(round_.group.tally, jobs)
        self.trend.add(round_.group.tally)
        self.on_committed(round_)

    def refused(self, code: str) -> None:
        """Count a refusal that no round saw."""
        self.metrics.refuse(code)
        self.totals.refusals[code] += 1
        self.trend.refused(code)

    # -- sessions
    def greet(self) -> HubSession:
        """The machine of a new connection."""
        self._renew()
        registry = self.log.registry
        identity = HubIdentity(registry.association, self.certificate.id, self.incarnation, self._keys.hub.sign)
        return HubSession(identity, Ephemeral(os.urandom(NONCE_BYTES), os.urandom(SHARE_BYTES)), registry)

    def standing(self, certificate: StatementId, at: int) -> CertificateRecord:
        """The certificate, in standing at `at`; else `StandingError`."""
        with self.reading() as registry:
            return registry.certificate_standing(certificate, at)

    def _renew(self) -> None:
        # Attestations name the certificate; the one in use must not run out while a newer one stands in the log, and
        # a newer one must have reached the nodes before it is used.
        # With none in standing the old one is shown on: nodes refuse it, and `doctor` says why.
        now = self.now()
        with self.reading() as registry:
            found = self._keys.certificates(registry, now)
        known = [each for each in found if each.logged_at + SETTLED_SECONDS <= now or each.id == self.certificate.id]
        newest = (known or found or [self.certificate])[0]
        times = [newest.not_after, *(each.logged_at + SETTLED_SECONDS for each in found if each not in known)]
        self._renew_at = min((each for each in times if each > now), default=math.inf)
        if newest.id != self.certificate.id:
            self.certificate = newest
            self._relay.attestor = Attestor(newest.party.association, self._keys.hub.key, newest.id, fresh_salts)

    # -- the log
    async def publish(self, raw: bytes) -> tuple[int, int]:
        """The index of this signed statement in the log, appended if need be, and the log's size.

        Raises what reading it raises, and the reason for which replay would ignore it.
        """
        now = self.now()
        appended = await self.writer.run_alone(lambda round_: self.log.append(round_.group.tx, raw, now), self._apply)
        if appended.entry is not None:
            await self._read_checkpoint()
            self._renew()
            self.metrics.registry_size.set(appended.size)
            self.on_grown(appended.size)
        return appended.index, appended.size

    def _apply(self, appended: Appended) -> None:
        with self._lock:
            self.log.apply(appended)

    async def offered(self, raw: bytes) -> int:
        """The size of the log, to which nothing needs to be offered; raises what `Offer.parse` and `Log.check_offer` do.

        But if this log once signed more than it holds, the store was rolled back: the process ends, and takes in what
        is offered when it is started again.
        """
        offer = Offer.parse(raw)
        with self.reading() as registry:
            if offer.association != registry.association:
                raise WrongAssociationError
            if offer.size <= registry.size or offer.first != registry.size:
                return registry.size
            self._check_rolled_back(offer)
        await self.writer.run_alone(lambda round_: round_.group.tx.forget_incarnation(), self._end)
        return offer.first

    def _check_rolled_back(self, offer: Offer) -> None:
        try:
            self.log.check_offer(offer)
        except ProofError:
            # Whatever the leaves are worth: this log's own key signed a larger tree.
            _log.critical("signed_more", size=self.log.registry.size, signed=offer.size, root=offer.root.hex())
            raise

    def _end(self, _done: None) -> None:
        self._fatal(RolledBackError())

    async def refresh(self) -> None:
        """Sign the checkpoint anew, so that its age says how old views are."""
        now = self.now()
        self.refresh_at = await self.writer.run(lambda round_: self.log.refresh(round_.group.tx, now))
        await self._read_checkpoint()

    async def _read_checkpoint(self) -> None:
        note = await self.writer.run(lambda round_: round_.group.tx.checkpoint())
        self._checkpoint = note or b""

    @property
    def checkpoint(self) -> bytes:
        """The newest durable checkpoint, a signed note."""
        return self._checkpoint

    def tile(self, path: TilePath) -> bytes | None:
        """The bytes of a tile or bundle; None if the log does not reach so far."""
        with self.reading():
            return self.log.tiles.read(path)

    async def statement(self, statement_hash: bytes) -> bytes | None:
        """The logged statement with this hash."""
        return await self.writer.run(lambda round_: round_.group.tx.statement(statement_hash))

    # -- for the operator
    async def queues(self) -> list[Queue]:
        """Every mailbox that holds something."""
        return await self.writer.run(lambda round_: round_.group.queues())

    async def mailboxes(self, members: Sequence[str]) -> dict[str, Mailbox]:
        """How the mailbox of each of these members stands."""
        return await self.writer.run(lambda round_: {each: round_.group.mailbox(each) for each in members})

    async def close_minute(self, present: Collection[str]) -> None:
        """Afterwards the trend has one minute more, and it is durable with when each member was last seen."""
        queues, now = await self.queues(), self.now()
        minute = self.trend.close_minute(now, len(present), sum(each.items for each in queues))
        self.last_seen |= dict.fromkeys(present, now)
        seen = dict(self.last_seen)

        def job(round_: Round) -> None:
            tx = round_.group.tx
            known = tx.presence()
            for member, at in seen.items():
                if known.get(member) != at:
                    tx.put_presence(member, at)
            tx.put_minute(now, encode(minute), now - DAY_SECONDS)

        await self.writer.run(job)

    def follow(self, member: str, rule: Rule) -> None:
        """Go by what was decided of this member's mailbox, durably; called on the writing thread."""
        self._relay.rules[member] = rule


def _incarnation(tx: Transaction) -> Incarnation:
    incarnation = tx.incarnation()
    if incarnation is None:
        raise ConfigError(NOT_INSTALLED)
    return incarnation


def _nothing(_told: object) -> None:
    """Nobody wants to know."""
