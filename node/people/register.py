"""The people of this member as a running node knows them: who is invited, who is logged in, who may do what.

Everything stands in the archive; what every page needs (people and open sessions) is held in memory as well, and read
anew after each change.  Each change is recorded in the journal in the same transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from keys import passwords
from keys.journal import Entry
from node.desks import Desks
from node.lines import is_line
from node.people.acts import NODE, Act
from node.people.roles import DENIED, POWERS, Power, Role
from node.store import Transaction
from node.tables import people as table
from node.tables.people import Person, Session
from protocol.errors import (
    ConflictError,
    ExistsError,
    ForbiddenError,
    MalformedError,
    UsageError,
)
from protocol.names import check_name

T = TypeVar("T")

INVITATION_SECONDS: Final = 72 * 3_600
SEEN_EVERY_SECONDS: Final = 60
FRESH_SECONDS: Final = 600
MAX_NAME_CHARS: Final = 120
MAX_DESKS: Final = 256
"""SQLite joins up to 500 branches, of which the inbox of a person takes one for each desk."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person in an open session."""

    person: Person
    session: Session

    def may(self, power: Power) -> bool:
        """Whether this person may do this."""
        return power in POWERS[self.person.role]

    def require(self, power: Power, desk: str | None = None) -> None:
        """Return if this person may do this, at this desk where one is named; else `ForbiddenError`."""
        if not self.may(power) or (desk is not None and desk not in self.person.desks):
            raise ForbiddenError(DENIED[power])


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts: at most, and without a request (seconds)."""

    longest: int = 12 * 3_600
    idle: int = 60 * 60


class Keeper(Protocol):
    """Runs jobs on the archive: `write` is durable when it is done, `read` writes nothing."""

    def write(self, job: Callable[[Transaction], T], /) -> Awaitable[T]:
        """What the job gives, once its writes are durable."""
        ...

    def read(self, job: Callable[[Transaction], T], /) -> Awaitable[T]:
        """What the job gives."""
        ...


class Register:
    """The people of this member; used on the loop's thread."""

    def __init__(self, keeper: Keeper, desks: Desks, now: Callable[[], float], lifetime: Lifetime = Lifetime()) -> None:
        """Nobody is known until `refresh`."""
        self._keeper, self._desks, self._lifetime = keeper, desks, lifetime
        self.now = now
        self._people: dict[int, Person] = {}
        self._sessions: dict[bytes, Session] = {}
        self._seen: dict[bytes, int] = {}

    async def refresh(self) -> None:
        """Afterwards this is what the archive holds."""
        people, sessions = await self._keeper.read(lambda tx: (table.everybody(tx), table.sessions(tx)))
        self._people = {each.id: each for each in people}
        self._sessions = {each.hash: each for each in sessions}
        self._seen = {hashed: at for hashed, at in self._seen.items() if hashed in self._sessions}

    async def read(self, job: Callable[[Transaction], T]) -> T:
        """What `job`, which writes nothing, gives."""
        return await self._keeper.read(job)

    async def write(self, job: Callable[[Transaction], T]) -> T:
        """What `job` gives once it is durable; it changes neither people nor sessions."""
        return await self._keeper.write(job)

    async def change(self, job: Callable[[Transaction], T]) -> T:
        """The same for a job that may change both: what is held in memory is read anew."""
        answer = await self._keeper.write(job)
        await self.refresh()
        return answer

    @property
    def at(self) -> int:
        """Now, in Unix seconds."""
        return int(self.now())

    # -- who is there ----------------------------------------------------------------------------------
    @property
    def everybody(self) -> list[Person]:
        """All people, by login."""
        return sorted(self._people.values(), key=lambda each: each.login)

    def named(self, login: str) -> Person:
        """The person who logs in so; `UsageError` if there is none."""
        for person in self._people.values():
            if person.login == login:
                return person
        raise UsageError(f"nobody here logs in as {login}")

    def with_id(self, person: int | None) -> Person | None:
        """The person with this id, if there is one who was not disabled."""
        found = None if person is None else self._people.get(person)
        return found if found is not None and found.disabled_at is None else None

    def find(self, login: str) -> Person | None:
        """The person who logs in so, if there is one who was not disabled."""
        found = [each for each in self._people.values() if each.login == login and each.disabled_at is None]
        return found[0] if found else None

    def is_open(self, visitor: Visitor) -> bool:
        """Whether the visitor's session is still good and opens the same; asking is no use of it."""
        session, was = self._sessions.get(visitor.session.hash), visitor.person
        person = self.with_id(session.person) if session else None
        if session is None or person is None or not self.lasts(session):
            return False
        return (person.role, person.desks) == (was.role, was.desks)

    async def visitor(self, cookie: str | None, *, counts: bool = True) -> Visitor | None:
        """Whose session this cookie opens, if it is still good; a use of it that counts is noted once a minute."""
        hashed = passwords.secret_hash(cookie or "")
        session = self._sessions.get(hashed)
        person = self.with_id(session.person) if session else None
        if session is None or person is None or not self.lasts(session):
            return None
        at = self.at
        if counts and at - self._last_seen(session) >= SEEN_EVERY_SECONDS:
            self._seen[hashed] = at
            await self._keeper.write(lambda tx: table.see_session(tx, hashed, at))
        return Visitor(person, session)

    def _last_seen(self, session: Session) -> int:
        return max(session.seen_at, self._seen.get(session.hash, 0))

    def lasts(self, session: Session) -> bool:
        """Whether the session is still good."""
        at = self.at
        return at < session.created_at + self._lifetime.longest and at < self._last_seen(session) + self._lifetime.idle

    def is_fresh(self, visitor: Visitor) -> bool:
        """Whether the visitor logged in just now: later, whoever sits there may be another."""
        return self.at < visitor.session.created_at + FRESH_SECONDS

    # -- administration --------------------------------------------------------------------------------
    async def add(self, by: str, login: str, name: str, role: Role, desks: Sequence[str]) -> str:
        """The text of an invitation for a person made just now; `UsageError`, `ExistsError`, `UnknownDeskError`."""
        _check_login(login)
        chosen = self._chosen(name, desks)

        def job(tx: Transaction) -> int:
            try:
                person = table.add(tx, login, name, role, chosen, self.at)
            except ConflictError:
                raise ExistsError(f"somebody logs in as {login} already") from None
            self.note(tx, by, Act.PERSON_ADDED, login, f"{role.value}: {', '.join(chosen)}")
            return person

        await self.change(job)
        return await self.invite(by, login)

    async def invite(self, by: str, login: str) -> str:
        """The text of a fresh invitation, good once, for three days; an older one is good no more.

        The person is logged out everywhere: who lost a device may not wait until the invitation is used.
        """
        person, text = self.named(login), passwords.draw_secret()

        def job(tx: Transaction) -> None:
            table.invite(tx, person.id, passwords.secret_hash(text), self.at + INVITATION_SECONDS)
            table.close_sessions(tx, person.id)
            self.note(tx, by, Act.INVITED, login)

        await self.change(job)
        return text

    async def assign(self, by: str, login: str, name: str, role: Role, desks: Sequence[str]) -> None:
        """Afterwards the person has this name, role and these desks; `UsageError`, `UnknownDeskError`."""
        person, chosen = self.named(login), self._chosen(name, desks)

        def job(tx: Transaction) -> None:
            table.change(tx, person.id, name, role, chosen)
            self.note(tx, by, Act.PERSON_CHANGED, login, f"{role.value}: {', '.join(chosen)}")

        await self.change(job)

    async def disable(self, by: str, login: str) -> None:
        """Afterwards the person is logged out everywhere, and nothing lets them in until they are invited anew."""
        person = self.named(login)

        def job(tx: Transaction) -> None:
            table.disable(tx, person.id, self.at)
            table.forget_proofs(tx, person.id)
            self.note(tx, by, Act.PERSON_DISABLED, login)

        await self.change(job)

    async def enable(self, by: str, login: str) -> str:
        """The text of an invitation, for somebody who was disabled and is no more."""
        person = self.named(login)

        def job(tx: Transaction) -> None:
            table.disable(tx, person.id, None)
            self.note(tx, by, Act.PERSON_ENABLED, login)

        await self.change(job)
        return await self.invite(by, login)

    def _chosen(self, name: str, desks: Sequence[str]) -> tuple[str, ...]:
        if not 1 <= len(name.strip()) <= MAX_NAME_CHARS:
            raise UsageError(f"a person's name has 1 to {MAX_NAME_CHARS} characters")
        if not is_line(name):
            raise UsageError("a person's name holds no line break and no other control character")
        chosen = {self._desks.require(desk) for desk in desks}
        if len(chosen) > MAX_DESKS:
            raise UsageError(f"a person sees {MAX_DESKS} desks at most")
        return tuple(sorted(chosen))

    # -- the journal -----------------------------------------------------------------------------------
    def note(self, tx: Transaction, who: str, act: Act, about: str, detail: str = "") -> None:
        """Afterwards, in this transaction, the journal tells this act of `who`."""
        table.record(tx, Entry(self.at, who, act.value, about, detail))

    async def record(self, visitor: Visitor, act: Act, about: str, detail: str = "") -> None:
        """Afterwards the journal tells this act of the visitor."""
        await self._keeper.write(lambda tx: self.note(tx, visitor.person.login, act, about, detail))


def _check_login(login: str) -> None:
    try:
        check_name(login.replace(".", "-"))
    except MalformedError:
        raise UsageError("a login has 2 to 32 lower-case letters, digits, single hyphens or dots") from None
    if login == NODE:
        raise UsageError("this login is how the journal names the operator: choose another")
