"""This node's own copy of the registry: grown only by checkpoints that the log signed and that extend what is held.

    note -> log's signature -> entries give its root from our own frontier -> replay -> rows

There is no lookup to lie in: the whole log is here.  A signed checkpoint that does not extend ours is kept as
evidence with an alarm, and nothing of it is used (SPEC 6.3, 6.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from node.store import Transaction
from node.tables import state
from protocol.codec import decode, encode
from protocol.errors import ForkedViewError, LogError, ProofError, StaleViewError, UsageError, VerificationError
from protocol.limits import CLOCK_REFUSE_SECONDS, MAX_NOTE_BYTES
from protocol.merkle import Frontier, leaf_hash
from protocol.messages.message import View
from protocol.names import AssociationId, Digest
from protocol.trust.checkpoint import Cosignature, LogKey, SignedCheckpoint
from protocol.trust.notes import Note
from protocol.trust.registry import Entry, Registry
from protocol.trust.statements import Charter, SignedStatement, statement_hash

MAX_NEGATIVES_BYTES: Final = 64 * 1024
"""So much of a view may be negatives: an envelope must hold the rest too, and the log should have them soon."""

MAX_FORKS: Final = 16
"""So many checkpoints that contradict this mirror are kept, the first: one proves it, and a hub can sign them without end."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """Entries of the log in order, each with the bytes of its signed statement; `UsageError` for unequal numbers."""

    entries: Sequence[bytes] = field(default=(), repr=False)
    statements: Sequence[bytes] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse entries without statements."""
        if len(self.entries) != len(self.statements):
            raise UsageError("as many statements as entries")


@dataclass(frozen=True, slots=True)
class Extension:
    """What a checkpoint brought: how many leaves, and whether it contradicts what is held."""

    added: int = 0
    forked: bool = False


class Mirror:
    """The registry as this node replayed it, and the newest checkpoint of exactly that size."""

    __slots__ = ("_frontier", "checkpoint", "registry")

    def __init__(self, association: AssociationId) -> None:
        """An empty mirror of the association with this 32-byte id."""
        self.registry = Registry(association)
        self.checkpoint: SignedCheckpoint | None = None
        self._frontier = Frontier()

    @classmethod
    def load(cls, tx: Transaction, association: AssociationId) -> Mirror:
        """The mirror that is stored, replayed."""
        mirror = cls(association)
        mirror.replay(_stored(tx))
        for raw, size in tx.all("SELECT raw, size FROM registry_sight ORDER BY rowid"):
            mirror.registry.apply_on_sight(SignedStatement.from_bytes(raw), size)
        vouched = state.get(tx, "checkpoint")
        if vouched is not None:
            cosignature = Cosignature.parse(decode(vouched, MAX_NOTE_BYTES))
            registry = mirror.registry
            mirror.checkpoint = log_key(registry.charter).verify(registry.size, registry.root, cosignature)
        return mirror

    # -- growing -------------------------------------------------------------------------------------
    def extend(
        self, tx: Transaction, now: int, note: bytes, leaves: Leaves, by_hand: Charter | None = None
    ) -> Extension:
        """Take in the checkpoint in `note`, with the leaves from our size up to its own.

        `by_hand` is the first charter as the operator was given it, needed while the mirror is empty.  Raises, and
        changes nothing: `SignatureError` and `VerificationError` for a note that the log did not sign, `ProofError`
        and `LogError` for leaves that are none of that log's, `UsageError` for an empty mirror without a charter.
        """
        in_force = self.registry.charter if self.registry.size else by_hand
        if in_force is None:
            raise UsageError("an empty mirror needs the charter that was given by hand")
        signed, successor = _open(Note.parse(note), in_force, leaves)
        checkpoint = signed.checkpoint
        if checkpoint.size <= self.registry.size:
            forked = self.registry.root_at(checkpoint.size) != checkpoint.root
        else:
            forked = self._root_with(leaves, checkpoint.size) != checkpoint.root
        if forked:
            return _fork(tx, now, checkpoint.size, note)
        if successor is not None:
            _check_successor(_stored(tx), leaves, self.registry.association, successor)
        added = leaves if checkpoint.size > self.registry.size else Leaves()
        if checkpoint.size == self.registry.size + len(added.entries) and self._is_newer(signed, added, now):
            self._store(tx, signed, added)
            self.replay(added)
            self._keep_sighted(tx)
            self.checkpoint = signed
        return Extension(len(added.entries))

    def _is_newer(self, signed: SignedCheckpoint, added: Leaves, now: int) -> bool:
        newest, at = self.checkpoint, signed.cosignature.timestamp
        if newest is None or added.entries:
            return True
        # One that is ahead of its time must not shut out those of now.
        is_early = newest.cosignature.timestamp > now + CLOCK_REFUSE_SECONDS >= at
        return is_early or at > newest.cosignature.timestamp

    def _root_with(self, leaves: Leaves, size: int) -> bytes:
        """The root over what is held and `leaves`, once each is known to be a statement's and in order of time."""
        if self.registry.size + len(leaves.entries) != size:
            raise ProofError(f"{len(leaves.entries)} leaves from {self.registry.size} towards {size}")
        logged_at = self.registry.logged_at
        frontier = Frontier(self._frontier.size, self._frontier.peaks)
        for entry, statement in zip(leaves.entries, leaves.statements, strict=True):
            parsed = Entry.parse(entry)
            if parsed.logged_at < logged_at:
                raise LogError("logged_at decreases")
            if statement_hash(statement) != parsed.hash:
                raise ProofError("statement hash")
            logged_at = parsed.logged_at
            frontier.append(leaf_hash(entry))
        return frontier.root()

    def replay(self, leaves: Leaves) -> None:
        """Take in leaves that are known to be the log's; raises what `Registry.append` does."""
        for entry, statement in zip(leaves.entries, leaves.statements, strict=True):
            self.registry.append(entry, statement)
            self._frontier.append(leaf_hash(entry))

    def _store(self, tx: Transaction, signed: SignedCheckpoint, added: Leaves) -> None:
        first = self.registry.size
        pairs = enumerate(zip(added.entries, added.statements, strict=True), first)
        rows = [(leaf, entry, statement) for leaf, (entry, statement) in pairs]
        tx.many("INSERT INTO registry_leaf (leaf, entry, statement) VALUES (?, ?, ?)", rows)
        state.put(tx, "checkpoint", encode(signed.cosignature.value()))

    # -- what others ask -------------------------------------------------------------------------------
    def see(self, tx: Transaction, statement: SignedStatement) -> bool:
        """True if this negative statement has effect from now on, stored; raises what `apply_on_sight` does."""
        if not self.registry.apply_on_sight(statement):
            return False
        self._keep_sighted(tx)
        return True

    def _keep_sighted(self, tx: Transaction) -> None:
        # What the log holds by now, or an earlier revocation replaced, goes: a member can sign those without end.
        rows = [(signed.id, signed.raw, size) for signed, size in self.registry.sighted()]
        tx.run("DELETE FROM registry_sight")
        tx.many("INSERT INTO registry_sight (statement, raw, size) VALUES (?, ?, ?)", rows)

    def view(self) -> View:
        """The registry as this node's manifests show it; `StaleViewError` while there is no checkpoint."""
        if self.checkpoint is None:
            raise StaleViewError("no checkpoint yet")
        negatives, total = [], 0
        for raw in self.registry.unlogged_negatives():
            total += len(raw)
            if total <= MAX_NEGATIVES_BYTES:
                negatives.append(raw)
        registry = self.registry
        root = Digest(registry.root)
        return View(registry.association, registry.size, root, self.checkpoint.cosignature, tuple(negatives))

    def age(self, now: float) -> float:
        """How old this view is, in seconds; infinite while there is none, or one whose time is still to come.

        Else a hub that signs a time far ahead could show one old registry for ever.
        """
        age = now - self.checkpoint.cosignature.timestamp if self.checkpoint else float("inf")
        return age if age >= -CLOCK_REFUSE_SECONDS else float("inf")


def log_key(charter: Charter) -> LogKey:
    """The log of the hub that this charter names."""
    return LogKey(charter.hub.origin, charter.hub.log_key, charter.hub.log_ed25519)


def _stored(tx: Transaction) -> Leaves:
    rows = tx.all("SELECT entry, statement FROM registry_leaf ORDER BY leaf")
    return Leaves([row[0] for row in rows], [row[1] for row in rows])


def _open(note: Note, in_force: Charter, leaves: Leaves) -> tuple[SignedCheckpoint, Charter | None]:
    """The checkpoint as the log in force signed it, or else as the log of a charter among the new leaves did."""
    try:
        return log_key(in_force).open(note), None
    except VerificationError:
        parsed = [SignedStatement.from_bytes(raw).statement for raw in leaves.statements]
        charters = [each for each in parsed if isinstance(each, Charter)]
        if not charters:
            raise
        return log_key(charters[-1]).open(note), charters[-1]


def _check_successor(held: Leaves, new: Leaves, association: AssociationId, successor: Charter) -> None:
    # Only the new leaves name this log: they are replayed aside before anything of them counts.
    trial = Mirror(association)
    trial.replay(held)
    trial.replay(new)
    if trial.registry.charter != successor:
        raise VerificationError("a checkpoint by a log that no charter in force names")


def _fork(tx: Transaction, now: int, size: int, note: bytes) -> Extension:
    if len(forks(tx)) < MAX_FORKS:
        tx.run("INSERT INTO fork (at, size, evidence) VALUES (?, ?, ?)", (now, size, note))
    state.alarm(tx, now, ForkedViewError.code, f"the log signed another tree of size {size}")
    return Extension(forked=True)


def forks(tx: Transaction) -> list[tuple[int, int, bytes]]:
    """(time, size, note) of the signed checkpoints that contradict this mirror, the first of them."""
    return [(row[0], row[1], row[2]) for row in tx.all("SELECT at, size, evidence FROM fork ORDER BY id")]
