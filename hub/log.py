"""The registry log at its hub: what may be appended, under which checkpoint, and the hub's own incarnation (SPEC 6.3).

The store is written first and the registry in memory follows when that is durable (`append`, commit, `apply`): so no
size, root or checkpoint is ever shown that a crash could take back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from hub.store import Store, Transaction, transaction
from hub.tiles import Tiles
from protocol.bodies import Cause, Certificate, Opening, Revocation, Role, StatementType
from protocol.errors import LimitError, PeerError, StandingError, StoreError, UsageError
from protocol.limits import DAY_SECONDS
from protocol.merkle import Frontier, leaf_hash
from protocol.names import AssociationId, Incarnation, StatementId
from protocol.signing import PrivateKey
from protocol.trust.checkpoint import Checkpoint, LogKey, SignedCheckpoint
from protocol.trust.notes import Note
from protocol.trust.offer import Offer
from protocol.trust.registry import Entry, Registry, entry_bytes
from protocol.trust.statements import Charter, SignedStatement, sign_statement

REFRESH_SECONDS: Final = 3_600
STATEMENTS_A_DAY: Final = 256
"""So many statements of one type, signed by no steward, are logged for one member in a day: all members mirror them."""

HUB: Final = ""
_Author: TypeAlias = tuple[StatementType, str]


class CheckpointSigner(Protocol):
    """What signs the checkpoints of one log: `keys.signer.LogSigner`."""

    def sign(self, size: int, root: bytes, timestamp: int) -> SignedCheckpoint:
        """The signed checkpoint of `size` leaves and the 32-byte `root` at `timestamp` (Unix seconds)."""

    def note(self, signed: SignedCheckpoint) -> Note:
        """The note to publish."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a statement stands, and how large the log is with it; `entry` is None if it stood there before."""

    index: int
    size: int
    signed: SignedStatement
    entry: bytes | None = field(default=None, repr=False)


class Log:
    """One association's registry, its tiles, and what signs its checkpoints."""

    def __init__(self, association: AssociationId, signer: CheckpointSigner) -> None:
        """An empty log."""
        self.registry = Registry(association)
        self.tiles = Tiles()
        self._signer = signer
        self._frontier = Frontier()
        self._recent: deque[tuple[int, _Author]] = deque()

    @classmethod
    def load(cls, tx: Transaction, association: AssociationId, signer: CheckpointSigner) -> Log:
        """The log that the store holds, replayed; `StoreError` if it is not the one that its checkpoint signs."""
        log = cls(association, signer)
        for entry in tx.entries(0, tx.log_size()):
            statement = tx.statement(Entry.parse(entry).hash)
            if statement is None:
                raise StoreError("a logged statement is missing")
            log._take_in(entry, _read(statement))
        note = tx.checkpoint()
        if note is not None:
            log._compare(_stated(note), is_growing=tx.incarnation() is None)
        return log

    def _compare(self, checkpoint: Checkpoint, *, is_growing: bool) -> None:
        size = checkpoint.size
        # While a hub refills, leaves stand beyond its checkpoint: they are signed by one that it does not hold whole.
        fits = size <= self.registry.size if is_growing else size == self.registry.size
        if not fits or self.registry.root_at(size) != checkpoint.root:
            raise StoreError("the log is not what its checkpoint says")

    def _take_in(self, entry: bytes, statement: SignedStatement | bytes) -> None:
        author = None if isinstance(statement, bytes) else self._author(statement)
        self.registry.append(entry, statement)
        if author is not None:
            self._recent.append((self.registry.logged_at, author))
        self.tiles.append(entry)
        self._frontier.append(leaf_hash(entry))

    # -- appending -------------------------------------------------------------------------------------
    def append(self, tx: Transaction, raw: bytes, now: int) -> Appended:
        """Write the statement in `raw` as the next leaf, with a checkpoint over it; `apply` it once it is durable.

        `now` is in Unix seconds.  A statement that stands in the log already is answered with its place.  Raises, and
        leaves all as it was, what reading it raises and the reason for which replay would ignore it.
        """
        signed = SignedStatement.from_bytes(raw)
        known = self.registry.index_of(signed.id)
        if known is not None:
            return Appended(known, self.registry.size, signed)
        # Time in the log never goes back, whatever the hub's clock does.
        logged_at = max(now, self.registry.logged_at)
        self.registry.check(signed, logged_at)
        self._check_pace(signed, logged_at)
        entry, index = entry_bytes(signed.statement.type, logged_at, signed.hash), self.registry.size
        tx.append_entry(index, entry, signed.hash, raw)
        grown = Frontier(self._frontier.size, self._frontier.peaks)
        grown.append(leaf_hash(entry))
        self._put_checkpoint(tx, grown.size, grown.root(), now)
        return Appended(index, grown.size, signed, entry)

    def _check_pace(self, signed: SignedStatement, logged_at: int) -> None:
        while self._recent and self._recent[0][0] <= logged_at - DAY_SECONDS:
            self._recent.popleft()
        author = self._author(signed)
        if author is not None and len(signed.signatures) > 1:
            raise LimitError(f"{author[1]}: a statement of this type needs one signature, and is logged with no other")
        if author is not None and sum(each == author for _at, each in self._recent) >= STATEMENTS_A_DAY:
            raise LimitError(f"{author[1]}: {STATEMENTS_A_DAY} statements of this type a day")

    def _author(self, signed: SignedStatement) -> _Author | None:
        """Type and member of a statement that the member's own keys suffice for; None for everybody else's."""
        match signed.statement:
            case Certificate(role=Role.NODE, member=member) | Opening(role=Role.NODE, member=member):
                return signed.statement.type, member
            case Revocation(certificate=revoked):
                return None if self._names_steward(signed) else (signed.statement.type, self._owner(revoked))
            case _:
                return None

    def _names_steward(self, signed: SignedStatement) -> bool:
        stewards = {key for charter in self.registry.charters for key in charter.steward_keys()}
        return any(fingerprint in stewards for fingerprint, _signature in signed.signatures)

    def _owner(self, certificate: StatementId) -> str:
        try:
            return self.registry.certificate(certificate).party.member
        except StandingError:
            return HUB

    def apply(self, appended: Appended) -> None:
        """Take in what is durable now, before anything else is appended."""
        if appended.entry is not None:
            self._take_in(appended.entry, appended.signed)

    def record(self, store: Store, raw: bytes, now: int) -> Appended:
        """`append`, commit and `apply`, for whoever has the store to himself."""
        with transaction(store) as tx:
            appended = self.append(tx, raw, now)
        self.apply(appended)
        return appended

    # -- refilling ---------------------------------------------------------------------------------------
    def check_offer(self, offer: Offer) -> None:
        """Return if this log once signed a tree that begins with its own and the leaves of `offer`; see `Offer.check`."""
        offer.check(log_key(self.registry.charter), self._frontier, self.registry.logged_at)

    def take(self, tx: Transaction, offer: Offer, now: int) -> None:
        """Write the leaves of an offer, with a checkpoint once they are all that were signed; then `apply_offer`.

        Raises what `check_offer` does, and leaves all as it was.
        """
        self.check_offer(offer)
        for index, (entry, statement) in enumerate(offer.leaves, self.registry.size):
            tx.append_entry(index, entry, Entry.parse(entry).hash, statement)
        if self.registry.size + len(offer.leaves) == offer.size:
            self._put_checkpoint(tx, offer.size, offer.root, now)

    def apply_offer(self, offer: Offer) -> None:
        """Take in what `take` wrote and is durable now."""
        for entry, statement in offer.leaves:
            self._take_in(entry, _read(statement))

    # -- checkpoints -----------------------------------------------------------------------------------
    def refresh(self, tx: Transaction, now: int) -> int:
        """Sign the newest checkpoint anew at `now`, so that its age says how old views are; when to do so next."""
        self._put_checkpoint(tx, self.registry.size, self.registry.root, now)
        return now + REFRESH_SECONDS

    def _put_checkpoint(self, tx: Transaction, size: int, root: bytes, now: int) -> None:
        tx.put_checkpoint(size, self._signer.note(self._signer.sign(size, root, now)).encode())

    # -- the hub's own incarnation -----------------------------------------------------------------------
    def open_incarnation(
        self, tx: Transaction, key: PrivateKey, certificate: StatementId, cause: Cause, nonce: bytes, now: int
    ) -> Appended:
        """Write the hub's statement that it begins a new life, and that life itself; `apply` it once it is durable.

        `key` is that of `certificate`, `nonce` 16 fresh random bytes.  Raises what `append` does, `UsageError` before
        charter 1.
        """
        if not self.registry.size:
            raise UsageError("the log has no charter yet")
        last = self.registry.last_opening(Role.HUB, HUB)
        opened_at = max(now, last.opened_at + 1 if last else 0)
        opening = Opening(self.registry.association, Role.HUB, HUB, certificate, cause, nonce, opened_at)
        signed = sign_statement(opening.body(), self.registry.association, [key])
        appended = self.append(tx, signed.raw, now)
        tx.put_incarnation(Incarnation(self.registry.charter.version, appended.index))
        return appended


def log_key(charter: Charter) -> LogKey:
    """The log that this charter names."""
    return LogKey(charter.hub.origin, charter.hub.log_key, charter.hub.log_ed25519)


def _stated(note: bytes) -> Checkpoint:
    """What a stored checkpoint says, whatever became of its signatures on the disk: they are made anew at every start."""
    text, gap, _signatures = note.partition(b"\n\n")
    try:
        return Checkpoint.parse((text + gap[:1]).decode())
    except (PeerError, UnicodeDecodeError) as error:
        raise StoreError("the checkpoint was damaged on disk") from error


def _read(statement: bytes) -> SignedStatement | bytes:
    # Even a malformed statement has its leaf, which replay ignores.
    try:
        return SignedStatement.from_bytes(statement)
    except PeerError:
        return statement
