"""Who speaks through the API: the operator of this node, or a system at one desk that shows that desk's token.

A token is `vlj_<handle>_<secret>`: a prefix that secret scanners can look for, the handle that lists show, so that
whoever finds one knows which to revoke, and 32 random bytes.  It is shown once; the archive keeps its SHA-256, which is
enough for what nobody can guess.  The tokens in force are held in memory, so that a request
costs no query.  A token is good for its scopes, and until it expires or is revoked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from node import faults
from node.people.roles import POWERS, Power, Role
from node.scopes import ALL_SCOPES, Scope
from node.store import Transaction
from node.tables import desks as table
from node.tables.desks import Token
from protocol.errors import ConflictError, ExistsError, MalformedError, UnauthorizedError, UnknownDeskError
from protocol.messages.content import Author
from protocol.names import check_name

PREFIX: Final = "vlj_"
TOKEN_BYTES: Final = 32
MAX_LABEL_CHARS: Final = 64
_HANDLE_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever can open the Unix socket: the same account that holds the keys, so nothing is kept from it."""


@dataclass(frozen=True, slots=True)
class AtDesk:
    """A system that showed the token of this desk, and sees what belongs to it; `token` is the token's handle."""

    desk: str
    scopes: frozenset[Scope] = ALL_SCOPES
    token: str = ""


@dataclass(frozen=True, slots=True)
class Colleague:
    """A person who logged in: sees what belongs to these desks, and speaks for one of them at a time."""

    desks: tuple[str, ...]
    author: Author


Caller: TypeAlias = Operator | AtDesk | Colleague


def is_on_duty(caller: Caller) -> bool:
    """Whether what the caller opens is opened for the desk: what an auditor reads still waits for somebody."""
    return not isinstance(caller, Colleague) or Power.ACKNOWLEDGE in POWERS[Role(caller.author.role)]


def desks_of(caller: Caller) -> tuple[str, ...] | None:
    """The desks for which the caller speaks; None for all."""
    if isinstance(caller, Operator):
        return None
    return caller.desks if isinstance(caller, Colleague) else (caller.desk,)


@dataclass(frozen=True, slots=True)
class FreshToken:
    """A token that was made just now: the only time that its text is known here."""

    token: Token
    text: str = field(repr=False)


def draw_token(
    desk: str, label: str, now: int, scopes: Iterable[Scope] = ALL_SCOPES, expires_at: int | None = None
) -> FreshToken:
    """A fresh token, not stored yet; `now` and `expires_at` are Unix seconds.

    `UsageError` for a label over 64 characters.
    """
    if len(label) > MAX_LABEL_CHARS:
        raise faults.field("label", f"a label of {len(label)} characters, at most {MAX_LABEL_CHARS}")
    handle, secret = secrets.token_hex(_HANDLE_BYTES), base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES))
    text = f"{PREFIX}{handle}_{secret.decode('ascii').rstrip('=')}"
    return FreshToken(Token(_hash(text), handle, desk, label, now, None, _written(scopes), expires_at), text)


def scopes_of(token: Token) -> frozenset[Scope]:
    """What the token is good for."""
    return frozenset(Scope(each) for each in token.scopes.split())


def _written(scopes: Iterable[Scope]) -> str:
    wanted = set(scopes)
    return " ".join(each for each in Scope if each in wanted)


class Desks:
    """The desks and the tokens in force, as they stand in the archive."""

    __slots__ = ("_tokens", "_until", "names")

    def __init__(self, tx: Transaction) -> None:
        """What the archive holds."""
        self.names: frozenset[str] = frozenset()
        self._tokens: dict[bytes, tuple[Token, AtDesk]] = {}
        self._until: dict[AtDesk, int | None] = {}
        self.refresh(tx)

    def refresh(self, tx: Transaction) -> None:
        """Afterwards this is what the archive holds again."""
        self.names = frozenset(table.desks(tx))
        self._tokens = {
            token.hash: (token, AtDesk(token.desk, scopes_of(token), token.handle))
            for token in table.tokens(tx)
            if token.revoked_at is None
        }
        self._until = {caller: token.expires_at for token, caller in self._tokens.values()}

    def still_holds(self, caller: Caller, now: float) -> bool:
        """Whether the token by which a caller came in is in force at `now` (Unix seconds); True for who showed none."""
        if not isinstance(caller, AtDesk):
            return True
        until = self._until.get(caller, 0)
        return until is None or now < until

    def require(self, desk: str) -> str:
        """The same name, if there is such a desk; else `UnknownDeskError`."""
        if desk not in self.names:
            raise UnknownDeskError(desk)
        return desk

    def caller(self, authorization: str | None, now: float) -> AtDesk:
        """Who shows this `Authorization` header at `now` (Unix seconds).

        `UnauthorizedError` for none, another scheme, and a token that is unknown or over.
        """
        scheme, _, text = (authorization or "").strip().partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text.startswith(PREFIX):
            raise UnauthorizedError
        hashed = _hash(text)
        token, caller = self._tokens.get(hashed, (None, None))
        if token is None or caller is None or not hmac.compare_digest(token.hash, hashed):
            raise UnauthorizedError
        if token.expires_at is not None and now >= token.expires_at:
            raise UnauthorizedError("it has expired")
        return caller


# -- changes, each in a transaction ----------------------------------------------------------------------
def add(tx: Transaction, name: str, now: int) -> None:
    """Afterwards there is a desk of this name; `UsageError` for a name that is none, `ExistsError`."""
    try:
        table.add_desk(tx, check_name(name), now)
    except MalformedError:
        raise faults.field("name", "a name has 2 to 32 lower-case letters, digits and single hyphens") from None
    except ConflictError:
        raise ExistsError(f"desk {name}") from None


def add_token(tx: Transaction, fresh: FreshToken) -> None:
    """Afterwards the token is in force; `UnknownDeskError` if there is no such desk."""
    if fresh.token.desk not in table.desks(tx):
        raise UnknownDeskError(fresh.token.desk)
    table.add_token(tx, fresh.token)


def revoke(tx: Transaction, handle_start: str, now: int) -> Token:
    """The one token whose handle starts so, in force no more; `UsageError` if there is none, or several."""
    written = handle_start.lower()
    found = [token for token in table.tokens(tx) if token.handle.startswith(written)]
    if len(found) != 1:
        raise faults.parameter("handle", f"{len(found)} tokens start with this; see `valija-node desk list`")
    table.revoke_token(tx, found[0].hash, now)
    return replace(found[0], revoked_at=found[0].revoked_at or now)


def listed(tx: Transaction) -> list[tuple[str, int, list[Token]]]:
    """Every desk with the time of its making and its tokens, by name."""
    tokens = table.tokens(tx)
    return [(name, at, [token for token in tokens if token.desk == name]) for name, at in table.desks(tx).items()]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
