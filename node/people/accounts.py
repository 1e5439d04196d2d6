"""One's own account: the ways in, the open sessions, how pages look."""

from __future__ import annotations

from typing import Any, Final

from keys import passwords
from node.people import passkeys
from node.people.acts import Act
from node.people.doors import Doors, add_passkey, label_of
from node.people.register import Visitor
from node.store import Transaction
from node.tables import people as table
from node.tables.people import Passkey, Session
from protocol.errors import UsageError

MAX_PASSKEYS: Final = 20


class Accounts:
    """What a visitor may see and change of their own account; used on the loop's thread."""

    def __init__(self, doors: Doors) -> None:
        """Accounts behind these doors."""
        self._doors, self._register = doors, doors.register

    async def show(self, visitor: Visitor) -> tuple[list[Passkey], bool, int, list[Session]]:
        """The visitor's passkeys, whether there is a password, how many recovery codes are left, the open sessions."""
        who = visitor.person.id

        def job(tx: Transaction) -> tuple[list[Passkey], bool, int, list[Session]]:
            has_password = table.password(tx, who) is not None
            return table.passkeys(tx, who), has_password, table.recovery_codes(tx, who), table.sessions(tx, who)

        keys, has_password, codes, sessions = await self._register.read(job)
        return keys, has_password, codes, [each for each in sessions if self._register.lasts(each)]

    async def ask_new_passkey(self, visitor: Visitor) -> str:
        """What the visitor's browser is asked, so that it makes a further passkey."""
        have = await self._register.read(lambda tx: table.passkeys(tx, visitor.person.id))
        if len(have) >= MAX_PASSKEYS:
            raise UsageError(f"{MAX_PASSKEYS} passkeys are enough: remove one first")
        return passkeys.registration(
            self._doors.site, visitor.person, have, self._doors.challenges.draw(visitor.person.id, self._register.now())
        )

    async def new_passkey(self, visitor: Visitor, label: str, answer: dict[str, Any]) -> None:
        """Afterwards the visitor can log in with the passkey that the browser made; `UnauthorizedError`."""
        key = passkeys.registered(
            self._doors.site, visitor.person, label_of(label), answer, self._doors.challenges, self._register.now()
        )

        def job(tx: Transaction) -> None:
            add_passkey(tx, key)
            self._register.note(tx, visitor.person.login, Act.PASSKEY_ADDED, key.label)

        await self._register.write(job)

    async def drop_passkey(self, visitor: Visitor, credential: bytes) -> None:
        """Afterwards that passkey opens nothing, and the visitor is logged out everywhere else.

        `UsageError` where it is the last way in.
        """

        def job(tx: Transaction) -> None:
            left = [each for each in table.passkeys(tx, visitor.person.id) if each.id != credential]
            if not left and table.password(tx, visitor.person.id) is None:
                raise UsageError("this is your only way in: add another first")
            if table.drop_passkey(tx, visitor.person.id, credential):
                # Whoever has the device may have come in by it.
                table.close_sessions(tx, visitor.person.id, visitor.session.hash)
                self._register.note(tx, visitor.person.login, Act.PASSKEY_REMOVED, credential.hex()[:16])

        await self._register.change(job)

    async def renew_codes(self, visitor: Visitor) -> list[str]:
        """Ten fresh recovery codes, to show once; the old ones are good no more."""
        codes = passwords.draw_recovery_codes()

        def job(tx: Transaction) -> None:
            hashes = [passwords.recovery_hash(each) for each in codes]
            table.set_recovery_codes(tx, visitor.person.id, hashes)
            self._register.note(tx, visitor.person.login, Act.CODES_RENEWED, visitor.person.login)

        await self._register.write(job)
        return codes

    async def logout(self, visitor: Visitor) -> None:
        """Afterwards the session is closed."""
        await self.close_session(visitor, visitor.session.hash)

    async def close_session(self, visitor: Visitor, hashed: bytes) -> None:
        """Afterwards the session with this hash is closed, if it is one of the visitor's own."""
        own = hashed == visitor.session.hash

        def job(tx: Transaction) -> None:
            if hashed in {each.hash for each in table.sessions(tx, visitor.person.id)}:
                table.close_session(tx, hashed)
                act = Act.LOGGED_OUT if own else Act.SESSION_CLOSED
                self._register.note(tx, visitor.person.login, act, hashed.hex()[:16])

        await self._register.change(job)

    async def prefer(self, visitor: Visitor, language: str, theme: str) -> None:
        """Afterwards pages come to the visitor so."""
        await self._register.change(lambda tx: table.prefer(tx, visitor.person.id, language, theme))
