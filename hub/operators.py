"""Who may use the console: operators act, viewers look; made and removed by commands on the hub's own machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub.core import Core
from hub.rounds import Round
from hub.steering import Act, note, tell
from hub.store import Operator, Transaction
from keys.journal import Entry
from protocol.errors import ExistsError, MalformedError, UsageError
from protocol.names import check_name


class Role(StrEnum):
    """What somebody may do at the console."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Person:
    """An operator as others see them."""

    login: str
    role: Role


class Operators:
    """The operators in the store; used on the event loop."""

    def __init__(self, core: Core) -> None:
        """Ask the store of this hub."""
        self._core = core

    async def all(self) -> list[Person]:
        """Everybody, by login."""
        found = await self._core.writer.run(lambda round_: round_.group.tx.operators())
        return [Person(each.login, Role(each.role)) for each in found]

    async def find(self, login: str) -> Operator | None:
        """Who logs in so."""
        return await self._core.writer.run(lambda round_: _find(round_.group.tx, login))

    async def add(self, by: str, operator: Operator) -> None:
        """Afterwards they may log in; `ExistsError`, `UsageError` for a login or role that is none."""
        _check(operator)
        at = self._core.now()

        def job(round_: Round) -> bytes:
            tx = round_.group.tx
            if _find(tx, operator.login) is not None:
                raise ExistsError(f"somebody logs in as {operator.login} already: remove them first")
            tx.put_operator(operator)
            return note(tx, Entry(at, by, Act.OPERATOR_ADDED.value, operator.login, operator.role))

        tell(Act.OPERATOR_ADDED.value, await self._core.writer.run(job))

    async def remove(self, by: str, login: str) -> None:
        """Afterwards they may not, and are logged out; `UsageError` if nobody logs in so."""
        at = self._core.now()

        def job(round_: Round) -> bytes:
            if not round_.group.tx.drop_operator(login):
                raise UsageError("nobody logs in so: see operators list")
            return note(round_.group.tx, Entry(at, by, Act.OPERATOR_REMOVED.value, login))

        tell(Act.OPERATOR_REMOVED.value, await self._core.writer.run(job))

    async def use_code(self, operator: Operator, step: int, entry: Entry) -> bool:
        """Afterwards this time step is used up, and the journal tells `entry`; False if it was used before."""

        def job(round_: Round) -> bytes | None:
            tx = round_.group.tx
            kept = _find(tx, operator.login)
            if kept is None or kept.password != operator.password or kept.totp_step >= step:
                return None
            tx.put_operator(Operator(kept.login, kept.role, kept.password, kept.totp, step))
            return note(tx, entry)

        head = await self._core.writer.run(job)
        if head is not None:
            tell(entry.act, head)
        return head is not None


def _find(tx: Transaction, login: str) -> Operator | None:
    return next((each for each in tx.operators() if each.login == login), None)


def _check(operator: Operator) -> None:
    try:
        check_name(operator.login.replace(".", "-"))
    except MalformedError:
        raise UsageError("a login has 2 to 32 lower-case letters, digits, single hyphens or dots") from None
    if operator.role not in set(Role):
        raise UsageError(f"a role is one of {', '.join(Role)}")
