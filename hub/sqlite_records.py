"""Members, the registry log and the hub itself in SQLite."""

from __future__ import annotations

from collections.abc import Mapping

from hub.shares import decode_shares, encode_shares
from hub.sqlite_base import SqliteBase, translated
from hub.store import Account
from protocol.errors import ConflictError
from protocol.names import Incarnation


class SqliteRecords(SqliteBase):
    """What `hub.store.Transaction` says of members, the log and the hub's incarnation."""

    # -- members
    @translated
    def account(self, member: str) -> Account:
        """See `Transaction.account`."""
        columns = "last_position, handed_over, acknowledged, messages, waiting_bytes, highest_submission, shares"
        row = self._one(f"SELECT {columns} FROM member WHERE name = ?", member)  # noqa: S608 - constant columns
        if row is None:
            return Account()
        last, handed_over, acknowledged, messages, waiting_bytes, submission, shares = row
        return Account(last, handed_over, acknowledged, messages, waiting_bytes, submission, decode_shares(shares))

    @translated
    def put_accounts(self, accounts: Mapping[str, Account]) -> None:
        """See `Transaction.put_accounts`."""
        self._many(
            "UPDATE member SET last_position = ?, handed_over = ?, acknowledged = ?, messages = ?, waiting_bytes = ?, "
            "highest_submission = ?, shares = ? WHERE id = ?",
            [
                (
                    account.last_position,
                    account.handed_over,
                    account.acknowledged,
                    account.messages,
                    account.waiting_bytes,
                    account.highest_submission,
                    encode_shares(account.shares),
                    self._member_id(member),
                )
                for member, account in accounts.items()
            ],
        )

    @translated
    def calendar(self, member: str) -> bytes | None:
        """See `Transaction.calendar`."""
        return self._blob("SELECT signed FROM calendar WHERE member = ?", member)

    @translated
    def put_calendar(self, member: str, calendar: bytes) -> None:
        """See `Transaction.put_calendar`."""
        self._execute("REPLACE INTO calendar VALUES (?, ?)", member, calendar)

    # -- the log and the hub itself
    @translated
    def incarnation(self) -> Incarnation | None:
        """See `Transaction.incarnation`."""
        row = self._one("SELECT charter_version, leaf_index FROM incarnation")
        return None if row is None else Incarnation(*row)

    @translated
    def put_incarnation(self, incarnation: Incarnation) -> None:
        """See `Transaction.put_incarnation`."""
        self._execute("REPLACE INTO incarnation VALUES (1, ?, ?)", *incarnation.value())

    @translated
    def forget_incarnation(self) -> None:
        """See `Transaction.forget_incarnation`."""
        self._execute("DELETE FROM incarnation")

    @translated
    def log_size(self) -> int:
        """See `Transaction.log_size`."""
        last = self._number("SELECT max(position) FROM entry")
        return 0 if last is None else last + 1

    @translated
    def append_entry(self, index: int, entry: bytes, statement_hash: bytes, statement: bytes) -> None:
        """See `Transaction.append_entry`."""
        if index != self.log_size():
            raise ConflictError("log entry")
        self._execute("INSERT INTO entry VALUES (?, ?, ?, ?)", index, entry, statement_hash, statement)

    @translated
    def entries(self, start: int, end: int) -> list[bytes]:
        """See `Transaction.entries`."""
        sql = "SELECT entry FROM entry WHERE position >= ? AND position < ? ORDER BY position"
        return [row[0] for row in self._execute(sql, start, end)]

    @translated
    def statement(self, statement_hash: bytes) -> bytes | None:
        """See `Transaction.statement`."""
        return self._blob("SELECT statement FROM entry WHERE statement_hash = ?", statement_hash)

    @translated
    def index_of(self, statement_hash: bytes) -> int | None:
        """See `Transaction.index_of`."""
        return self._number("SELECT position FROM entry WHERE statement_hash = ?", statement_hash)

    @translated
    def checkpoint(self) -> bytes | None:
        """See `Transaction.checkpoint`."""
        return self._blob("SELECT note FROM checkpoint")

    @translated
    def put_checkpoint(self, size: int, note: bytes) -> None:
        """See `Transaction.put_checkpoint`."""
        sql = (
            "INSERT INTO checkpoint VALUES (1, ?1, ?2) "
            "ON CONFLICT DO UPDATE SET size = ?1, note = ?2 WHERE size <= ?1 RETURNING size"
        )
        if self._one(sql, size, note) is None:
            raise ConflictError("an older checkpoint")
