"""What operators decided, who they are, and their journal, in SQLite."""

from __future__ import annotations

from hub.sqlite_base import SqliteBase, translated
from hub.store import Operator, Rule
from keys.journal import START, Entry


class SqliteOperators(SqliteBase):
    """What `hub.store.Transaction` says of operators."""

    @translated
    def rules(self) -> dict[str, Rule]:
        """See `Transaction.rules`."""
        rows = self._execute("SELECT member, is_suspended, max_messages, max_bytes FROM rule").fetchall()
        return {member: Rule(bool(suspended), messages, size) for member, suspended, messages, size in rows}

    @translated
    def put_rule(self, member: str, rule: Rule) -> None:
        """See `Transaction.put_rule`."""
        if rule == Rule():
            self._execute("DELETE FROM rule WHERE member = ?", member)
        else:
            values = (int(rule.is_suspended), rule.max_messages, rule.max_bytes)
            self._execute("REPLACE INTO rule VALUES (?, ?, ?, ?)", member, *values)

    @translated
    def presence(self) -> dict[str, int]:
        """See `Transaction.presence`."""
        return dict(self._execute("SELECT member, seen_at FROM presence").fetchall())

    @translated
    def put_presence(self, member: str, seen_at: int) -> None:
        """See `Transaction.put_presence`."""
        self._execute("REPLACE INTO presence VALUES (?, ?)", member, seen_at)

    @translated
    def minutes(self) -> list[bytes]:
        """See `Transaction.minutes`."""
        return [told for (told,) in self._execute("SELECT told FROM minute ORDER BY at")]

    @translated
    def put_minute(self, at: int, told: bytes, keep_from: int) -> None:
        """See `Transaction.put_minute`."""
        self._execute("REPLACE INTO minute VALUES (?, ?)", at, told)
        self._execute("DELETE FROM minute WHERE at < ?", keep_from)

    @translated
    def operators(self) -> list[Operator]:
        """See `Transaction.operators`."""
        rows = self._execute("SELECT login, role, password, totp, totp_step FROM operator ORDER BY login")
        return [Operator(*row) for row in rows]

    @translated
    def put_operator(self, operator: Operator) -> None:
        """See `Transaction.put_operator`."""
        values = (operator.login, operator.role, operator.password, operator.totp, operator.totp_step)
        self._execute("REPLACE INTO operator VALUES (?, ?, ?, ?, ?)", *values)

    @translated
    def drop_operator(self, login: str) -> bool:
        """See `Transaction.drop_operator`."""
        return self._execute("DELETE FROM operator WHERE login = ?", login).rowcount == 1

    @translated
    def journal_head(self) -> bytes:
        """See `Transaction.journal_head`."""
        return self._blob("SELECT hash FROM journal ORDER BY number DESC LIMIT 1") or START

    @translated
    def add_to_journal(self, entry: Entry, hashed: bytes) -> None:
        """See `Transaction.add_to_journal`."""
        values = (entry.at, entry.who, entry.act, entry.about, entry.detail, hashed)
        self._execute("INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?, ?)", *values)

    @translated
    def journal(self, before: int, limit: int) -> list[tuple[int, Entry, bytes]]:
        """See `Transaction.journal`."""
        sql = "SELECT number, at, who, act, about, detail, hash FROM journal WHERE number < ? ORDER BY number DESC LIMIT ?"
        return [(number, Entry(*told), hashed) for number, *told, hashed in self._execute(sql, before, limit)]
