"""What the statements of a registry say, one class a type, but for the charter (SPEC 6.2).

Each is parsed from, and gives, its one canonical body `[0, type, association id, …]`.  Who must have
signed it, and whether it applies, is the registry's business, not theirs.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import ClassVar, Final, TypeAlias, TypeVar

from protocol.codec import Value, array, binary, encode, fields, text, uint
from protocol.errors import MalformedError
from protocol.limits import DAY_SECONDS, MAX_AUDIENCE
from protocol.names import AssociationId, Incarnation, Party, StatementId, read_digest, read_name
from protocol.signing import PublicKey

VERSION: Final = 0
MAX_TITLES: Final = 8
MAX_LANGUAGE_BYTES: Final = 16
MAX_TITLE_BYTES: Final = 128
MAX_REASON_BYTES: Final = 255
MAX_CERTIFICATE_SECONDS: Final = 366 * DAY_SECONDS
NONCE_BYTES: Final = 16

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_COUNTRY: Final = re.compile(r"(?:[A-Z]{2})?")

E = TypeVar("E", bound=IntEnum)
Comparable = TypeVar("Comparable", int, str, bytes, Party, Incarnation)
Titles: TypeAlias = tuple[tuple[str, str], ...]


class StatementType(IntEnum):
    """The second element of a body; 10 is reserved for peerings and refused in version 0."""

    CHARTER = 1
    ADMISSION = 2
    CERTIFICATE = 3
    ROSTER = 4
    REVOCATION = 5
    SUSPENSION = 6
    LIFT = 7
    EXPULSION = 8
    OPENING = 9


class Role(IntEnum):
    """Whose key a certificate holds."""

    NODE = 1
    HUB = 2


class Cause(IntEnum):
    """Why an incarnation was opened."""

    FIRST = 1
    RESTORED = 2
    ROLLED_BACK = 3
    HUB_CHANGED = 4


class Body(ABC):
    """What all statements share: a type, an association, and one encoding."""

    __slots__ = ()
    type: ClassVar[StatementType]
    association: AssociationId

    def body(self) -> bytes:
        """The bytes that stewards or roots sign; `read_body` gives this statement back."""
        return encode([VERSION, int(self.type), self.association, *self.further()])

    @abstractmethod
    def further(self) -> Sequence[Value]:
        """The fields after the association id, in the order of SPEC 6.2."""


@dataclass(frozen=True, slots=True)
class Admission(Body):
    """A service is a member, and this root speaks for it; `admitted_at` in Unix seconds orders its admissions."""

    type: ClassVar = StatementType.ADMISSION
    association: AssociationId
    member: str
    titles: Titles
    country: str
    root: PublicKey
    admitted_at: int

    def further(self) -> Sequence[Value]:
        """Member, titles, country, root, time."""
        return (self.member, self.titles, self.country, self.root.value(), self.admitted_at)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Admission:
        """The admission that these fields tell; else `MalformedError` or `LimitError`."""
        member, titles, country, root, admitted_at = fields(further, 5)
        return cls(
            association,
            read_name(member),
            read_titles(titles),
            read_country(country),
            PublicKey.parse(root),
            uint(admitted_at, 63),
        )


@dataclass(frozen=True, slots=True)
class Certificate(Body):
    """An operating key of a node or of the hub (`member` is then empty), for at most 366 days."""

    type: ClassVar = StatementType.CERTIFICATE
    association: AssociationId
    role: Role
    member: str
    key: PublicKey
    not_before: int
    not_after: int

    def further(self) -> Sequence[Value]:
        """Role, member, key, first and last second."""
        return (int(self.role), self.member, self.key.value(), self.not_before, self.not_after)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Certificate:
        """The certificate that these fields tell; else `MalformedError`."""
        role_value, member, key, not_before, not_after = fields(further, 5)
        role = _member_of(Role, role_value)
        parsed = cls(
            association, role, _subject(role, member), PublicKey.parse(key), uint(not_before, 63), uint(not_after, 63)
        )
        if not 0 < parsed.not_after - parsed.not_before <= MAX_CERTIFICATE_SECONDS:
            raise MalformedError("certificate lifetime")
        return parsed


@dataclass(frozen=True, slots=True)
class Roster(Body):
    """Who belongs to a network from here on; nobody, if it is dissolved."""

    type: ClassVar = StatementType.ROSTER
    association: AssociationId
    network: str
    titles: Titles
    version: int
    members: tuple[Party, ...]
    signed_at: int

    def further(self) -> Sequence[Value]:
        """Network, titles, version, members, time."""
        members = [party.value() for party in self.members]
        return (self.network, self.titles, self.version, members, self.signed_at)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Roster:
        """The roster that these fields tell; else `MalformedError` or `LimitError`."""
        network, titles, version, members, signed_at = fields(further, 5)
        parties = tuple(Party.parse(each) for each in array(members, MAX_AUDIENCE))
        require_ascending(parties, "roster members")
        parsed = cls(
            association, read_name(network), read_titles(titles), uint(version, 63), parties, uint(signed_at, 63)
        )
        if parsed.version == 0:
            raise MalformedError("roster version")
        return parsed


@dataclass(frozen=True, slots=True)
class Revocation(Body):
    """A certificate is not trusted after this second."""

    type: ClassVar = StatementType.REVOCATION
    association: AssociationId
    certificate: StatementId
    not_trusted_after: int
    reason: str

    def further(self) -> Sequence[Value]:
        """Certificate, last second, reason."""
        return (self.certificate, self.not_trusted_after, self.reason)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Revocation:
        """The revocation that these fields tell; else `MalformedError` or `LimitError`."""
        certificate, not_trusted_after, reason = fields(further, 3)
        return cls(association, _statement_id(certificate), uint(not_trusted_after, 63), text(reason, MAX_REASON_BYTES))


@dataclass(frozen=True, slots=True)
class Suspension(Body):
    """A member is not trusted after this second, until a lift names this statement."""

    type: ClassVar = StatementType.SUSPENSION
    association: AssociationId
    member: str
    not_trusted_after: int
    reason: str

    def further(self) -> Sequence[Value]:
        """Member, last second, reason."""
        return (self.member, self.not_trusted_after, self.reason)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Suspension:
        """The suspension that these fields tell; else `MalformedError` or `LimitError`."""
        member, not_trusted_after, reason = fields(further, 3)
        return cls(association, read_name(member), uint(not_trusted_after, 63), text(reason, MAX_REASON_BYTES))


@dataclass(frozen=True, slots=True)
class Lift(Body):
    """One suspension, named by its statement id, is over."""

    type: ClassVar = StatementType.LIFT
    association: AssociationId
    suspension: StatementId
    lifted_at: int

    def further(self) -> Sequence[Value]:
        """Suspension, time."""
        return (self.suspension, self.lifted_at)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Lift:
        """The lift that these fields tell; else `MalformedError`."""
        suspension, lifted_at = fields(further, 2)
        return cls(association, _statement_id(suspension), uint(lifted_at, 63))


@dataclass(frozen=True, slots=True)
class Expulsion(Body):
    """A member is not trusted after this second; only an admission signed after `expelled_at` admits it anew."""

    type: ClassVar = StatementType.EXPULSION
    association: AssociationId
    member: str
    not_trusted_after: int
    reason: str
    expelled_at: int

    def further(self) -> Sequence[Value]:
        """Member, last second, reason, time of signing."""
        return (self.member, self.not_trusted_after, self.reason, self.expelled_at)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Expulsion:
        """The expulsion that these fields tell; else `MalformedError` or `LimitError`."""
        member, not_trusted_after, reason, expelled_at = fields(further, 4)
        return cls(
            association,
            read_name(member),
            uint(not_trusted_after, 63),
            text(reason, MAX_REASON_BYTES),
            uint(expelled_at, 63),
        )


@dataclass(frozen=True, slots=True)
class Opening(Body):
    """A node or hub begins an incarnation: its memory starts anew (SPEC 5.4)."""

    type: ClassVar = StatementType.OPENING
    association: AssociationId
    role: Role
    member: str
    certificate: StatementId
    cause: Cause
    nonce: bytes
    opened_at: int

    def further(self) -> Sequence[Value]:
        """Role, member, certificate, cause, 16 random bytes, time."""
        return (int(self.role), self.member, self.certificate, int(self.cause), self.nonce, self.opened_at)

    @classmethod
    def parse(cls, association: AssociationId, further: Sequence[Value]) -> Opening:
        """The opening that these fields tell; else `MalformedError`."""
        role_value, member, certificate, cause, nonce, opened_at = fields(further, 6)
        role = _member_of(Role, role_value)
        return cls(
            association,
            role,
            _subject(role, member),
            _statement_id(certificate),
            _member_of(Cause, cause),
            binary(nonce, NONCE_BYTES),
            uint(opened_at, 63),
        )


# -- readers -----------------------------------------------------------------------------------------
def read_country(value: Value) -> str:
    """Two capital letters, or the empty text; else `MalformedError`."""
    return _matching(value, _COUNTRY)


def read_titles(value: Value) -> Titles:
    """Up to eight (language tag, title) pairs; else `MalformedError` or `LimitError`."""
    pairs = [fields(each, 2) for each in array(value, MAX_TITLES)]
    return tuple(
        (_matching(language, _LANGUAGE, MAX_LANGUAGE_BYTES), text(title, MAX_TITLE_BYTES)) for language, title in pairs
    )


def require_ascending(items: Sequence[Comparable], what: str) -> None:
    """Return if each item is greater than the one before, which also makes them distinct; else `MalformedError`."""
    if not all(before < after for before, after in pairwise(items)):
        raise MalformedError(f"{what} not in ascending order")


def _subject(role: Role, value: Value) -> str:
    if role is Role.NODE:
        return read_name(value)
    if value != "":
        raise MalformedError("a hub that names a member")
    return ""


def _member_of(kind: type[E], value: Value) -> E:
    number = uint(value)
    if number not in set(kind):
        raise MalformedError(kind.__name__.lower())
    return kind(number)


def _statement_id(value: Value) -> StatementId:
    return StatementId(read_digest(value))


def _matching(value: Value, pattern: re.Pattern[str], max_bytes: int | None = None) -> str:
    candidate = text(value, max_bytes)
    if not pattern.fullmatch(candidate):
        raise MalformedError("language tag or country")
    return candidate
