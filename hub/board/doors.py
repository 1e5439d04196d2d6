"""How an operator gets in: a password with a time code; and who is in, held in memory, so that a restart ends it.

Failures say nothing but that it did not work, and slow the next attempt by login and by address.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from hub.core import Core
from hub.operators import Operators, Role
from hub.steering import Act, Steering
from hub.store import Operator
from keys import passwords
from keys.home import is_loopback
from keys.journal import Entry
from keys.throttle import Throttle
from keys.turns import Turns
from protocol.errors import ForbiddenError, LoginError, TooManyError

_MAX_IN_LINE: Final = 16
_MAX_SESSIONS: Final = 256
_MAX_LOGIN_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is logged in, with the token that every form of theirs carries; times in Unix seconds."""

    login: str
    role: Role
    address: str
    since: int
    seen_at: int
    token: str = field(repr=False)
    key: bytes = field(repr=False)
    proof: str = field(repr=False)

    @property
    def may_act(self) -> bool:
        """Whether they may do more than look."""
        return self.role is Role.OPERATOR

    def check_token(self, sent: str) -> None:
        """Return if a form of theirs sent this; else `ForbiddenError`."""
        if not secrets.compare_digest(sent.encode("utf-8", "surrogatepass"), self.token.encode()):
            raise ForbiddenError("the form is of another session: load the page again")


class Doors:
    """Lets operators in; used on the event loop."""

    def __init__(self, core: Core, operators: Operators, steering: Steering, idle: int, longest: int) -> None:
        """Nobody is in; a session ends after `idle` seconds without a page, and `longest` after it began."""
        self._core, self._operators, self._steering = core, operators, steering
        self._idle, self._longest = idle, longest
        self._visitors: OrderedDict[bytes, Visitor] = OrderedDict()
        self._throttle = Throttle()
        # One hash at a time: each takes 64 MiB, and guessing shall not take the hub's memory.
        self._turns = Turns(_MAX_IN_LINE)

    # -- in and out
    async def login(self, login: str, password: str, code: str, address: str) -> str:
        """The text for the cookie of a session begun just now; `LoginError`, `TooManyError`."""
        # Judged inside: who waits in line has to wait for what those before did, too.
        return await self._turns.take(lambda: self._attempt(login, password, code, address))

    async def _attempt(self, login: str, password: str, code: str, address: str) -> str:
        names = _names(login, address)
        now = self._core.clock()
        if seconds := self._throttle.wait_seconds(names, now):
            raise TooManyError(f"wait {seconds} seconds", seconds)
        operator = await self._operators.find(login)
        if operator is None or not await self._is_proven(operator, password, code, address):
            if operator is None:
                await asyncio.to_thread(passwords.is_password, passwords.nobody(), password)
            else:
                # Only of those who exist: a stranger shall not be able to fill the journal.
                await self._steering.record(operator.login, Act.LOGIN_FAILED, "console", address)
            self._throttle.failed(names, now)
            raise LoginError
        self._throttle.succeeded(names[:1])
        return self._enter(operator, address)

    async def _is_proven(self, operator: Operator, password: str, code: str, address: str) -> bool:
        at = self._core.now()
        is_right = await asyncio.to_thread(passwords.is_password, operator.password, password)
        step = passwords.totp_step(operator.totp, code, at)
        if not is_right or step is None:
            return False
        return await self._operators.use_code(
            operator, step, Entry(at, operator.login, Act.LOGGED_IN.value, "console", address)
        )

    def _enter(self, operator: Operator, address: str) -> str:
        cookie, at = passwords.draw_secret(), self._core.now()
        key = passwords.secret_hash(cookie)
        token = passwords.draw_secret()
        self._visitors[key] = Visitor(
            operator.login, Role(operator.role), address, at, at, token, key, operator.password
        )
        if len(self._visitors) > _MAX_SESSIONS:
            self._visitors.popitem(last=False)
        return cookie

    async def visitor(self, cookie: str | None, *, counts: bool) -> Visitor | None:
        """Who holds this cookie, if they are still in; with `counts` the session is not idle from now on."""
        key = passwords.secret_hash(cookie or "")
        visitor = self._visitors.get(key)
        if visitor is None:
            return None
        operator = await self._operators.find(visitor.login)
        # Who was removed and made anew is somebody else.
        is_same = operator is not None and (operator.role, operator.password) == (visitor.role, visitor.proof)
        if not is_same or not self._lasts(visitor):
            self._visitors.pop(key, None)
            return None
        if counts and key in self._visitors:
            visitor = self._visitors[key] = replace(visitor, seen_at=self._core.now())
        return visitor

    def _lasts(self, visitor: Visitor) -> bool:
        now = self._core.now()
        return now < visitor.since + self._longest and now < visitor.seen_at + self._idle

    async def logout(self, visitor: Visitor) -> None:
        """Afterwards the session is over."""
        if self._visitors.pop(visitor.key, None) is not None:
            await self._steering.record(visitor.login, Act.LOGGED_OUT, "console", visitor.address)

    def present(self) -> list[Visitor]:
        """Who is in now."""
        return [each for each in self._visitors.values() if self._lasts(each)]


def _names(login: str, address: str) -> tuple[str, ...]:
    """By what an attempt is slowed: the login, and the address unless a tunnel here speaks for everybody."""
    by_login = f"login {login[:_MAX_LOGIN_CHARS]}"
    return (by_login,) if is_loopback(address) else (by_login, f"address {address}")
