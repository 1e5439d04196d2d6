"""What operators do to a running hub, by the console or by command, and the journal that tells all of it.

    drain ─► nobody is let in, everybody is sent away ─► reopen
    suspend ─► what waits for a member stays, and more may come within its quota ─► resume
    quota ─► a mailbox holds as much as an operator says, not as the charter does

Draining ends with the process; what was decided of a mailbox stands in the store.  An act and its entry in the journal
are one commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Final

import structlog

from hub.core import Core
from hub.hall import Hall
from hub.rounds import Round
from hub.store import Rule, Transaction
from keys.journal import Entry, chain
from protocol.errors import UsageError
from protocol.limits import MIB

BY_COMMAND: Final = "valija-hub"
"""Who acts, in the journal, when it is done by command."""
LEAST_BYTES: Final = 2 * MIB
"""A mailbox that could not hold the largest envelope would refuse it for ever."""
MOST: Final = 1 << 48
_log: Final = structlog.get_logger("hub")


class Act(StrEnum):
    """The acts that are recorded."""

    LOGGED_IN = "logged-in"
    LOGIN_FAILED = "login-failed"
    LOGGED_OUT = "logged-out"
    OPERATOR_ADDED = "operator-added"
    OPERATOR_REMOVED = "operator-removed"
    DRAINED = "drained"
    REOPENED = "reopened"
    SUSPENDED = "delivery-suspended"
    RESUMED = "delivery-resumed"
    QUOTA_CHANGED = "quota-changed"


def note(tx: Transaction, entry: Entry) -> bytes:
    """Afterwards, in this transaction, `entry` is the journal's newest; its hash."""
    head = chain(tx.journal_head(), entry)
    tx.add_to_journal(entry, head)
    return head


class Steering:
    """The acts; used on the event loop."""

    def __init__(self, core: Core, hall: Hall) -> None:
        """Nothing is done yet."""
        self._core, self._hall = core, hall

    # -- the whole hub
    async def drain(self, by: str) -> None:
        """Afterwards nobody is let in, and those who are here are told to come later; nothing if it is so already."""
        if not self._hall.is_draining:
            await self.record(by, Act.DRAINED, "hub")
            self._hall.shut()

    async def reopen(self, by: str) -> None:
        """Afterwards members are let in again; nothing if they are."""
        if self._hall.is_draining:
            await self.record(by, Act.REOPENED, "hub")
            self._hall.open()

    # -- one member
    async def suspend(self, by: str, member: str) -> None:
        """Afterwards nothing is delivered to the member, and what waits for it stays; `UnknownMemberError`."""
        await self._decide(by, member, Act.SUSPENDED, lambda rule: replace(rule, is_suspended=True))

    async def resume(self, by: str, member: str) -> None:
        """Afterwards the member gets what waits for it; `UnknownMemberError`."""
        await self._decide(by, member, Act.RESUMED, lambda rule: replace(rule, is_suspended=False))
        await self._core.writer.run(lambda round_: round_.read(member))

    async def set_quota(self, by: str, member: str, max_messages: int | None, max_bytes: int | None) -> None:
        """Afterwards the mailbox may hold so much; None: as the charter says.  `UnknownMemberError`, `UsageError`."""
        if max_messages is not None and not 1 <= max_messages <= MOST:
            raise UsageError(f"a mailbox holds 1 to {MOST} messages")
        if max_bytes is not None and not LEAST_BYTES <= max_bytes <= MOST:
            raise UsageError(
                f"a mailbox holds {LEAST_BYTES // MIB} MiB, or the largest message never fits, to {MOST // MIB} MiB"
            )
        await self._decide(
            by, member, Act.QUOTA_CHANGED, lambda rule: replace(rule, max_messages=max_messages, max_bytes=max_bytes)
        )

    async def _decide(self, by: str, member: str, act: Act, change: Callable[[Rule], Rule]) -> None:
        with self._core.reading() as registry:
            registry.member(member)
        at = self._core.now()

        def job(round_: Round) -> tuple[Rule, bytes] | None:
            tx = round_.group.tx
            before = tx.rules().get(member, Rule())
            after = change(before)
            if after == before:
                return None
            tx.put_rule(member, after)
            return after, note(tx, Entry(at, by, act.value, member, _difference(act, before, after)))

        def then(done: tuple[Rule, bytes] | None) -> None:
            if done is not None:
                self._core.follow(member, done[0])

        done = await self._core.writer.run_alone(job, then)
        if done is not None:
            tell(act.value, done[1])

    # -- the journal
    async def record(self, by: str, act: Act, about: str, detail: str = "") -> None:
        """Afterwards the journal tells this, durably."""
        entry = Entry(self._core.now(), by, act.value, about, detail)
        tell(act.value, await self._core.writer.run(lambda round_: note(round_.group.tx, entry)))

    async def journal(self, before: int, limit: int) -> list[tuple[int, Entry, bytes]]:
        """See `Transaction.journal`."""
        return await self._core.writer.run(lambda round_: round_.group.tx.journal(before, limit))


def tell(act: str, head: bytes) -> None:
    """Tell the newest head of the journal in the log."""
    # Whoever can write the store can write a whole new journal: it would show against the heads told here.
    _log.warning("operator_act", act=act, head=head.hex())


def _difference(act: Act, before: Rule, after: Rule) -> str:
    if act is not Act.QUOTA_CHANGED:
        return ""
    return f"{_limits(before)} -> {_limits(after)}"


def _limits(rule: Rule) -> str:
    messages = "charter" if rule.max_messages is None else f"{rule.max_messages}"
    size = "charter" if rule.max_bytes is None else f"{rule.max_bytes}"
    return f"messages {messages}, bytes {size}"
