"""The doors: how somebody proves who they are and gets a session, and how an invitation is used.

A passkey; or a password with a time code; or a recovery code.  Failures say nothing but that it did not work, and
slow the next attempt by login and by address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from keys import passwords
from keys.throttle import Throttle
from keys.turns import Turns
from node.people import passkeys
from node.people.acts import Act
from node.people.passkeys import Challenges
from node.people.register import MAX_NAME_CHARS, Register, Visitor
from node.people.site import Site
from node.store import Transaction
from node.tables import people as table
from node.tables.people import Passkey, Person, Session
from protocol.errors import ConflictError, ExistsError, LoginError, TooManyError, UsageError

MAX_LABEL_CHARS: Final = 64
_AGENT_CHARS: Final = 200
_MAX_IN_LINE: Final = 32


class Method:
    """How somebody logged in, as it stands in sessions, in the journal, and in what they sign."""

    PASSKEY: Final = "passkey"
    PASSWORD: Final = "password+totp"  # noqa: S105 - a word
    RECOVERY: Final = "recovery-code"
    INVITATION: Final = "invitation"


@dataclass(frozen=True, slots=True)
class Where:
    """From where a request comes: the address, and what the browser calls itself."""

    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session opened just now, and the text for its cookie: the only time that it is known here."""

    visitor: Visitor
    cookie: str = field(repr=False)


class Doors:
    """Lets people in; used on the loop's thread."""

    def __init__(self, register: Register, site: Site) -> None:
        """Nobody has tried yet."""
        self.register, self.site = register, site
        self.challenges, self._throttle = Challenges(), Throttle()
        # One hash at a time: each takes 64 MiB, and guessing shall not take the node's memory.
        self._turns = Turns(_MAX_IN_LINE)

    # -- logging in ------------------------------------------------------------------------------------
    async def login_password(self, login: str, password: str, code: str, where: Where) -> LoggedIn:
        """A session for whoever knows the password and holds the authenticator; `LoginError`, `TooManyError`."""
        # Judged inside: who waits in line has to wait for what those before did, too.
        person = await self._turns.take(lambda: self._by_password(login, password, code, where))
        return await self._succeeded(person, Method.PASSWORD, where)

    async def _by_password(self, login: str, password: str, code: str, where: Where) -> Person:
        person = self._attempt(login, where)
        kept = None if person is None else await self.register.read(lambda tx: table.password(tx, person.id))
        is_right = await asyncio.to_thread(passwords.is_password, kept[0] if kept else passwords.nobody(), password)
        step = passwords.totp_step(kept[1], code, self.register.at) if kept else None
        if person is None or not is_right or step is None:
            raise await self._failed(login, person, where)

        def job(tx: Transaction) -> bool:
            return table.use_totp(tx, person.id, step)

        if not await self.register.write(job):
            raise await self._failed(login, person, where)
        return person

    async def login_recovery(self, login: str, code: str, where: Where) -> LoggedIn:
        """A session for whoever holds a recovery code, which is used up; `LoginError`, `TooManyError`."""
        person = self._attempt(login, where)
        hashed = passwords.recovery_hash(code)
        if person is None or not await self.register.write(lambda tx: table.use_recovery_code(tx, person.id, hashed)):
            raise await self._failed(login, person, where)
        return await self._succeeded(person, Method.RECOVERY, where)

    def ask_passkey(self) -> str:
        """What a browser is asked when somebody logs in with a passkey."""
        return passkeys.login(self.site, self.challenges.draw(None, self.register.now()))

    async def login_passkey(self, answer: dict[str, Any], where: Where) -> LoggedIn:
        """A session for the owner of the passkey; `LoginError`."""
        credential = passkeys.credential_id(answer)
        key = await self.register.read(lambda tx: table.passkey(tx, credential))
        person = self.register.with_id(key.person) if key else None
        if key is None or person is None:
            raise LoginError("this passkey is not known here")
        count = passkeys.proven(self.site, key, answer, self.challenges, self.register.now())
        at = self.register.at
        await self.register.write(lambda tx: table.use_passkey(tx, credential, count, at))
        return await self._succeeded(person, Method.PASSKEY, where)

    def _attempt(self, login: str, where: Where) -> Person | None:
        seconds = self._throttle.wait_seconds(_names(login, where), self.register.now())
        if seconds:
            raise TooManyError(f"wait {seconds} seconds", seconds)
        return self.register.find(login)

    async def _failed(self, login: str, person: Person | None, where: Where) -> LoginError:
        self._throttle.failed(_names(login, where), self.register.now())
        if person is not None:
            # Only of those who exist: a stranger shall not be able to fill the journal.
            await self.register.write(lambda tx: self.register.note(tx, person.login, Act.LOGIN_FAILED, where.address))
        return LoginError()

    async def _succeeded(self, person: Person, method: str, where: Where) -> LoggedIn:
        self._throttle.succeeded(_names(person.login, where)[:1])
        cookie = passwords.draw_secret()
        at = self.register.at
        session = Session(
            passwords.secret_hash(cookie), person.id, method, at, at, where.address, where.agent[:_AGENT_CHARS]
        )

        def job(tx: Transaction) -> None:
            table.open_session(tx, session)
            self.register.note(tx, person.login, Act.LOGGED_IN, where.address, method)

        await self.register.change(job)
        return LoggedIn(Visitor(person, session), cookie)

    async def renew_password(self, visitor: Visitor, password: str, totp: str, code: str, where: Where) -> None:
        """Afterwards the visitor comes in by this password and authenticator, and is logged out everywhere else.

        `UsageError` for a weak password, or a code that does not fit.
        """
        choose = await self._choosing(visitor.person, password, totp, code, where)

        def job(tx: Transaction) -> None:
            choose(tx)
            table.close_sessions(tx, visitor.person.id, visitor.session.hash)

        await self.register.change(job)

    # -- invitations -----------------------------------------------------------------------------------
    async def invited(self, text: str) -> Person:
        """For whom this invitation is; `LoginError` if it is for nobody, or too old."""
        hashed = passwords.secret_hash(text)
        at = self.register.at
        found = await self.register.read(lambda tx: table.invited(tx, hashed, at))
        person = self.register.with_id(found)
        if person is None:
            raise LoginError("this invitation was used, or is too old")
        return person

    async def enrol_password(
        self, text: str, password: str, totp: str, code: str, where: Where
    ) -> tuple[LoggedIn, list[str]]:
        """Use the invitation to choose a password and an authenticator; a session, and recovery codes to show once."""
        person = await self.invited(text)
        job = await self._choosing(person, password, totp, code, where)
        return await self._enrol(text, person, job, Method.PASSWORD, where)

    async def _choosing(
        self, person: Person, password: str, totp: str, code: str, where: Where
    ) -> Callable[[Transaction], None]:
        """What lets the person in by this password and authenticator, whose `code` shows that it works; `UsageError`."""
        hashed = await self._new_password(person, password)
        step = passwords.totp_step(totp, code, self.register.at)
        if step is None:
            raise UsageError("the code does not fit: check the clock of the telephone, and type the newest code")

        def job(tx: Transaction) -> None:
            table.set_password(tx, person.id, hashed, totp)
            table.use_totp(tx, person.id, step)
            self.register.note(tx, person.login, Act.PASSWORD_SET, where.address)

        return job

    async def ask_enrol_passkey(self, text: str) -> str:
        """What the browser of somebody invited is asked, so that it makes a passkey."""
        person = await self.invited(text)
        return passkeys.registration(self.site, person, [], self.challenges.draw(person.id, self.register.now()))

    async def enrol_passkey(
        self, text: str, label: str, answer: dict[str, Any], where: Where
    ) -> tuple[LoggedIn, list[str]]:
        """Use the invitation to register the passkey that the browser made; a session, and recovery codes."""
        person = await self.invited(text)
        key = passkeys.registered(self.site, person, label_of(label), answer, self.challenges, self.register.now())

        def job(tx: Transaction) -> None:
            add_passkey(tx, key)
            self.register.note(tx, person.login, Act.PASSKEY_ADDED, key.label, where.address)

        return await self._enrol(text, person, job, Method.PASSKEY, where)

    async def _enrol(
        self, text: str, person: Person, job: Callable[[Transaction], None], method: str, where: Where
    ) -> tuple[LoggedIn, list[str]]:
        codes = passwords.draw_recovery_codes()

        def whole(tx: Transaction) -> None:
            if not table.use_invitation(tx, passwords.secret_hash(text)):
                raise LoginError("this invitation was used, or is too old")
            # Whoever is invited again has lost the old ways in, maybe to somebody else.
            table.forget_proofs(tx, person.id)
            table.set_recovery_codes(tx, person.id, [passwords.recovery_hash(each) for each in codes])
            job(tx)

        await self.register.change(whole)
        return await self._succeeded(person, method, where), codes

    async def _new_password(self, person: Person, password: str) -> str:
        passwords.check_password(password, person.login)
        return await self._turns.take(lambda: asyncio.to_thread(passwords.hash_password, password))


def _names(login: str, where: Where) -> tuple[str, str]:
    return f"login {login[:MAX_NAME_CHARS]}", f"address {where.address}"


def label_of(text: str) -> str:
    """What a passkey is called: what was typed, cut to 64 characters."""
    return text.strip()[:MAX_LABEL_CHARS] or "passkey"


def add_passkey(tx: Transaction, key: Passkey) -> None:
    """Afterwards the passkey opens its person's account; `ExistsError` if it opens one already."""
    try:
        table.add_passkey(tx, key)
    except ConflictError:
        raise ExistsError("this passkey is known here already") from None
