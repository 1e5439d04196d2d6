"""What outlives a process: the memory stores, and what can go wrong at a commit.

A transaction that was not committed when its process dies is forgotten; one that was is kept, although nobody may
ever have been told.  A disk that is full refuses the commit, and the process ends as it does on a real one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from hub import memory_store as hub_memory
from hub.memory_base import Tables
from keys.prekeys import PrekeyStore, _Held
from node.archive import MAX_GROUP, Archive, _Task
from node.memory_store import MemoryStore as NodeMemory
from node.sql import SqlTransaction
from node.store import Transaction
from protocol.errors import StoreError
from protocol.names import Party
from protocol.sealing import Prekey, generate_prekey

T = TypeVar("T")


class Commit(Enum):
    """What becomes of the next commit."""

    GOOD = "good"
    LOST = "power lost before the commit"
    UNTOLD = "power lost after the commit"
    FULL = "disk full"


class PowerCutError(BaseException):
    """The machine stops here; nothing of the process may run after it."""


@dataclass
class Fate:
    """What becomes of commits: the next one as `following` says, then all as long as the disk is full.

    `is_due` says whether the one that is about to be made is the one that `following` means; `strikes` is told when
    a commit does not go well.  `on_lost` is for a disk that says that it wrote, and did not: what a story does when the power is gone.
    """

    following: Commit = Commit.GOOD
    is_full: bool = False
    commits: int = 0
    is_due: Callable[[], object] = lambda: True
    strikes: Callable[[], object] = lambda: None
    on_lost: Callable[[], object] = lambda: None

    def next(self) -> Commit:
        """What becomes of this commit."""
        self.commits += 1
        now = Commit.FULL if self.is_full else Commit.GOOD
        if self.following is not Commit.GOOD and self.is_due():
            now, self.following = self.following, Commit.GOOD
        if now is not Commit.GOOD:
            self.strikes()
        return now

    def decide(self, commit: Callable[[], object], undo: Callable[[], object]) -> None:
        """Commit, or what becomes of it."""
        match self.next():
            case Commit.GOOD:
                commit()
            case Commit.LOST:
                undo()
                raise PowerCutError
            case Commit.UNTOLD:
                commit()
                raise PowerCutError
            case Commit.FULL:
                raise StoreError("database or disk is full")


# -- a node's --------------------------------------------------------------------------------------------
class Drawer(PrekeyStore):
    """The prekeys of one node without files; `held` is what the folder holds."""

    __slots__ = ()

    def __init__(self, held: dict[bytes, _Held], party: Party) -> None:
        """Everything in the folder is read."""
        self._held, self._party = held, party

    def _make(self, epoch: int, _now: int, incarnation: Any) -> None:
        secret, _public = generate_prekey()
        made = _Held(epoch, incarnation, secret, Prekey(secret))
        self._held[self._hash(made)] = made

    def destroy(self, now: int, registry_time: int, drained_until: int) -> tuple[int, ...]:
        """See `PrekeyStore.destroy`."""
        doomed = self._doomed(now, registry_time, drained_until)
        for each in doomed:
            del self._held[self._hash(each)]
        return tuple(each.epoch for each in doomed)


@dataclass
class NodeDisk:
    """One node's disk: the archive, and the prekeys that no backup holds."""

    archive: NodeMemory
    prekeys: dict[bytes, _Held] = field(default_factory=dict)
    fate: Fate = field(default_factory=Fate)

    def backup(self) -> NodeMemory:
        """What `valija-node backup` would write."""
        return self.archive.snapshot()

    def restore(self, backup: NodeMemory, prekeys: dict[bytes, _Held] | None) -> None:
        """Afterwards the disk holds this backup, and these prekeys or none."""
        self.archive.close()
        self.archive, self.prekeys = backup.snapshot(), dict(prekeys or {})


class _Committing(SqlTransaction):
    """A transaction whose commit has a fate."""

    __slots__ = ("_fate",)

    def __init__(self, connection: Any, fate: Fate) -> None:
        """Speak through this connection."""
        super().__init__(connection)
        self._fate = fate

    def run(self, sql: str, parameters: Any = ()) -> int:
        """See `Transaction.run`."""
        if sql != "COMMIT":
            return super().run(sql, parameters)
        self._fate.decide(lambda: super(_Committing, self).run(sql), lambda: super(_Committing, self).run("ROLLBACK"))
        return 0


class NodeStore(Archive):
    """`node.archive.Archive` without thread and file: its group commit, run when `later` says so.

    `died` is told when the power went at a commit, `on_failure` when the disk failed, `committed` after each that held.
    """

    def __init__(
        self,
        disk: NodeDisk,
        later: Callable[[Callable[[], None]], object],
        on_failure: Callable[[StoreError], None],
        died: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        """Open what is on the disk."""
        self._disk, self._later, self._on_failure, self._died = disk, later, on_failure, died
        self._committed = committed
        self._transaction = _Committing(disk.archive._connection, disk.fate)
        self._failed: StoreError | None = None
        self._group: list[_Task] = []

    def submit(self, job: Callable[[Transaction], T]) -> Future[T]:
        """See `Store.submit`."""
        task = _Task(job)
        if self._failed is not None:
            task.future.set_exception(self._failed)
            return task.future
        self._group.append(task)
        if len(self._group) == 1:
            self._later(self._pump)
        return task.future

    def _pump(self) -> None:
        waiting, self._group = self._group[:MAX_GROUP], self._group[MAX_GROUP:]
        group = [task for task in waiting if task.future.set_running_or_notify_cancel()]
        try:
            self._commit(self._transaction, group)
        except PowerCutError:
            self._died()
            return
        if self._failed is not None:
            self._transaction.run("ROLLBACK")
            return
        self._committed()
        if self._group:
            self._later(self._pump)

    def close(self) -> None:
        """Nothing: the disk stays."""


# -- the hub's ---------------------------------------------------------------------------------------------
class HubDisk:
    """The hub's disk."""

    def __init__(self, tables: Tables) -> None:
        """It holds a copy of these tables."""
        self.tables = _copied(tables)
        self.fate = Fate()

    def backup(self) -> Tables:
        """A copy of what is durable."""
        return _copied(self.tables)

    def restore(self, backup: Tables) -> None:
        """Go back to this backup, with the log as it is now: members hold copies of it, and it never rolls back."""
        now = self.tables
        self.tables = _copied(backup)
        for name in ("entries", "statements", "checkpoint", "incarnation"):
            setattr(self.tables, name, getattr(now, name))

    @staticmethod
    def hold(tables: Tables) -> hub_memory.MemoryStore:
        """A store on these tables, whose commits are good."""
        store = hub_memory.MemoryStore()
        store._tables = tables
        return store

    def open(self) -> HubStore:
        """A store on this disk, for one process."""
        return HubStore(self)


def _copied(tables: Tables) -> Tables:
    # Rows are values, but for envelopes, which count who waits, and places, which are lists.
    copied = {each.name: dict(getattr(tables, each.name)) for each in fields(tables)}
    copied["envelopes"] = {ref: copy.deepcopy(each) for ref, each in tables.envelopes.items()}
    copied["places"] = {member: list(places) for member, places in tables.places.items()}
    return Tables(**copied)


class HubStore(hub_memory.MemoryStore):
    """The hub's memory store, whose commits have a fate."""

    def __init__(self, disk: HubDisk) -> None:
        """What is on the disk is there."""
        super().__init__()
        self._tables, self._fate = disk.tables, disk.fate

    def begin_quietly(self) -> hub_memory.MemoryTransaction:
        """A transaction of nobody's: what a hub does that does not keep to its rules."""
        return hub_memory.MemoryTransaction(self._tables)

    def begin(self) -> hub_memory.MemoryTransaction:
        """See `hub.store.Store`."""
        opened = _HubTransaction(self._tables, self._fate)
        self._open = opened
        return opened


class _HubTransaction(hub_memory.MemoryTransaction):
    def __init__(self, tables: Tables, fate: Fate) -> None:
        super().__init__(tables)
        self._fate = fate

    def commit(self) -> None:
        """See `hub.store.Transaction`."""
        self._fate.decide(super().commit, self.rollback)
