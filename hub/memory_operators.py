"""What operators decided, who they are, and their journal, in memory."""

from __future__ import annotations

from hub.memory_base import MemoryBase
from hub.store import Operator, Rule
from keys.journal import START, Entry


class MemoryOperators(MemoryBase):
    """What `hub.store.Transaction` says of operators."""

    def rules(self) -> dict[str, Rule]:
        """See `Transaction.rules`."""
        return dict(self._tables.rules)

    def put_rule(self, member: str, rule: Rule) -> None:
        """See `Transaction.put_rule`."""
        if rule == Rule():
            self._drop(self._tables.rules, member)
        else:
            self._put(self._tables.rules, member, rule)

    def presence(self) -> dict[str, int]:
        """See `Transaction.presence`."""
        return dict(self._tables.presence)

    def put_presence(self, member: str, seen_at: int) -> None:
        """See `Transaction.put_presence`."""
        self._put(self._tables.presence, member, seen_at)

    def minutes(self) -> list[bytes]:
        """See `Transaction.minutes`."""
        return [told for _at, told in sorted(self._tables.minutes.items())]

    def put_minute(self, at: int, told: bytes, keep_from: int) -> None:
        """See `Transaction.put_minute`."""
        self._put(self._tables.minutes, at, told)
        for old in [each for each in self._tables.minutes if each < keep_from]:
            self._drop(self._tables.minutes, old)

    def operators(self) -> list[Operator]:
        """See `Transaction.operators`."""
        return [each for _login, each in sorted(self._tables.operators.items())]

    def put_operator(self, operator: Operator) -> None:
        """See `Transaction.put_operator`."""
        self._put(self._tables.operators, operator.login, operator)

    def drop_operator(self, login: str) -> bool:
        """See `Transaction.drop_operator`."""
        known = login in self._tables.operators
        self._drop(self._tables.operators, login)
        return known

    def journal_head(self) -> bytes:
        """See `Transaction.journal_head`."""
        newest = self._tables.journal.get(len(self._tables.journal))
        return START if newest is None else newest[1]

    def add_to_journal(self, entry: Entry, hashed: bytes) -> None:
        """See `Transaction.add_to_journal`."""
        self._put(self._tables.journal, len(self._tables.journal) + 1, (entry, hashed))

    def journal(self, before: int, limit: int) -> list[tuple[int, Entry, bytes]]:
        """See `Transaction.journal`."""
        numbers = sorted((each for each in self._tables.journal if each < before), reverse=True)
        return [(number, *self._tables.journal[number]) for number in numbers[:limit]]
