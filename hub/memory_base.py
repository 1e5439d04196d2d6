"""What the memory store's transaction stands on: the tables, and the undoing of whatever was done to them.

Each change puts its own undoing on a journal, so a savepoint is a length of it and a rollback walks it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from hub.store import Acceptance, Account, EnvelopeRecord, NewItem, NewNotice, Operator, Rule
from keys.journal import Entry
from protocol.errors import StoreError
from protocol.names import Incarnation

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class StoredEnvelope:
    """An envelope with what stands under it."""

    record: EnvelopeRecord
    submission: bytes
    waiting: int = 0
    content: tuple[bytes, bytes] | None = None
    acceptances: dict[str, Acceptance] = field(default_factory=dict)


@dataclass(slots=True)
class Tables:
    """Everything that is kept."""

    accounts: dict[str, Account] = field(default_factory=dict)
    calendars: dict[str, bytes] = field(default_factory=dict)
    envelopes: dict[int, StoredEnvelope] = field(default_factory=dict)
    refs: dict[bytes, int] = field(default_factory=dict)
    submissions: dict[tuple[str, bytes], int] = field(default_factory=dict)
    batches: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    items: dict[tuple[str, int], NewItem | NewNotice] = field(default_factory=dict)
    entries: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    statements: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    checkpoint: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    incarnation: dict[str, Incarnation] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    presence: dict[str, int] = field(default_factory=dict)
    minutes: dict[int, bytes] = field(default_factory=dict)
    operators: dict[str, Operator] = field(default_factory=dict)
    journal: dict[int, tuple[Entry, bytes]] = field(default_factory=dict)
    # Only an order over what `items` holds, so that a mailbox is read without sorting it.
    places: dict[str, list[int]] = field(default_factory=dict)


class MemoryBase:
    """One transaction on the tables; see `hub.store.Transaction`."""

    def __init__(self, tables: Tables) -> None:
        """Work on `tables` until `commit` or `rollback`."""
        self._tables = tables
        self._journal: list[Callable[[], object]] = []
        self._alive = True

    @property
    def alive(self) -> bool:
        """Whether neither `commit` nor `rollback` was called."""
        return self._alive

    def commit(self) -> None:
        """Keep everything; `StoreError` if it was undone already."""
        if not self._alive:
            raise StoreError("no transaction")
        self._alive = False
        self._journal.clear()

    def rollback(self) -> None:
        """Undo everything; nothing happens after `commit`."""
        self._undo(0)
        self._alive = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block did if it raises."""
        mark = len(self._journal)
        try:
            yield
        except BaseException:
            self._undo(mark)
            raise

    def _undo(self, mark: int) -> None:
        while len(self._journal) > mark:
            self._journal.pop()()

    def _put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        if key in table:
            old = table[key]
            self._journal.append(lambda: table.__setitem__(key, old))
        else:
            self._journal.append(lambda: table.pop(key))
        table[key] = value

    def _drop(self, table: MutableMapping[K, V], key: K) -> None:
        if key in table:
            old = table.pop(key)
            self._journal.append(lambda: table.__setitem__(key, old))

    def _number(self, of: str) -> int:
        self._put(self._tables.numbers, of, self._tables.numbers.get(of, 0) + 1)
        return self._tables.numbers[of]
