"""Who is in standing, and when: what the applied statements say of members and certificates (SPEC 6.4, *Standing*).

Two layers of negative statements count: those of the log, and those seen outside it.  The replay itself
asks the first layer alone, because its outcome may depend on nothing but the leaves; everybody else asks both.

An expulsion ends every admission that it can have meant: all that stand before it in the log, and any later
one signed no later than itself.  So a hub that held an old admission back cannot log it after the expulsion
and have its member back.  A certificate belongs to the admission under which it was logged, and ends with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import RecipientSuspendedError, StandingError, UnknownMemberError
from protocol.names import Party, StatementId
from protocol.signing import PublicKey
from protocol.trust.statements import Expulsion, Negative, Revocation, Role, Suspension, Titles

FOREVER: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One admission as it was applied: at leaf `index`, at `logged_at`, by statement `admission`."""

    name: str
    titles: Titles
    country: str
    root: PublicKey
    admission: StatementId
    admitted_at: int
    index: int
    logged_at: int


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A certificate as it was applied at leaf `index`, under `root`; a hub's party has an empty member."""

    id: StatementId
    role: Role
    party: Party
    key: PublicKey
    not_before: int
    not_after: int
    root: PublicKey
    index: int
    logged_at: int


@dataclass(slots=True)
class Negatives:
    """One layer of revocations, suspensions and expulsions, with the lifts of the suspensions."""

    revoked: dict[StatementId, int] = field(default_factory=dict)
    suspensions: dict[str, dict[StatementId, Suspension]] = field(default_factory=dict)
    expulsions: dict[str, list[tuple[int, Expulsion]]] = field(default_factory=dict)
    lifted: dict[StatementId, int] = field(default_factory=dict)
    suspension_ids: set[StatementId] = field(default_factory=set)

    def add(self, statement_id: StatementId, statement: Negative, index: int) -> None:
        """The statement counts from here on, as one that stands after the leaves before `index`."""
        if isinstance(statement, Revocation):
            held = self.revoked.get(statement.certificate, FOREVER)
            self.revoked[statement.certificate] = min(held, statement.not_trusted_after)
        elif isinstance(statement, Suspension):
            self.suspensions.setdefault(statement.member, {})[statement_id] = statement
            self.suspension_ids.add(statement_id)
        else:
            self.expulsions.setdefault(statement.member, []).append((index, statement))

    def end_of_admission(self, admission: MemberRecord) -> int:
        """The last second at which this admission holds, `FOREVER` if nothing ended it."""
        return min(
            (
                expulsion.not_trusted_after
                for index, expulsion in self.expulsions.get(admission.name, ())
                if index > admission.index or admission.admitted_at <= expulsion.expelled_at
            ),
            default=FOREVER,
        )

    def suspends(self, member: str, at: int) -> bool:
        """Tell whether a suspension covers this second: after its last trusted one and before its lift."""
        return any(
            suspension.not_trusted_after < at < self.lifted.get(statement_id, FOREVER + 1)
            for statement_id, suspension in self.suspensions.get(member, {}).items()
        )


Layers = Sequence[Negatives]


class Roll:
    """Members, certificates and hub roots in the order in which they were applied."""

    __slots__ = ("_admissions", "_certificates", "_held_by", "_hub_roots")

    def __init__(self) -> None:
        """Nobody yet."""
        self._admissions: dict[str, list[MemberRecord]] = {}
        self._certificates: dict[StatementId, CertificateRecord] = {}
        self._held_by: dict[tuple[Role, str], list[CertificateRecord]] = {}
        self._hub_roots: list[tuple[int, int, PublicKey]] = []

    def admit(self, admission: MemberRecord) -> None:
        """The member has this root from here on."""
        self._admissions.setdefault(admission.name, []).append(admission)

    def certify(self, certificate: CertificateRecord) -> None:
        """The certificate is known from here on."""
        self._certificates[certificate.id] = certificate
        self._held_by.setdefault((certificate.role, certificate.party.member), []).append(certificate)

    def install_hub(self, root: PublicKey, index: int, logged_at: int) -> None:
        """The hub has this root from here on."""
        self._hub_roots.append((index, logged_at, root))

    def member(self, name: str) -> MemberRecord:
        """The newest admission of this name; `UnknownMemberError` if there is none."""
        found = self.find_member(name)
        if found is None:
            raise UnknownMemberError(name)
        return found

    def find_member(self, name: str) -> MemberRecord | None:
        """The newest admission of this name."""
        admissions = self._admissions.get(name)
        return admissions[-1] if admissions else None

    def members(self) -> tuple[MemberRecord, ...]:
        """The newest admission of every name that ever was admitted, by name."""
        return tuple(self._admissions[name][-1] for name in sorted(self._admissions))

    def member_standing(self, name: str, at: int, layers: Layers) -> MemberRecord:
        """The admission by which `name` is in standing at `at`.

        Raises `UnknownMemberError` if it was not admitted by then, `RecipientSuspendedError` if suspended or expelled.
        """
        admitted = [each for each in self._admissions.get(name, ()) if each.logged_at <= at]
        if not admitted:
            raise UnknownMemberError(name)
        # An expulsion that ended the newest of them ended the older ones too, so the newest decides.
        if _ended(admitted[-1], layers) < at or any(layer.suspends(name, at) for layer in layers):
            raise RecipientSuspendedError(name)
        return admitted[-1]

    def root(self, role: Role, member: str, at: int, layers: Layers) -> PublicKey:
        """The root that certifies for this role now.

        Raises `UnknownMemberError`, or `StandingError` for a member expelled at `at`.
        """
        if role is Role.HUB:
            return self._hub_roots[-1][2]
        admission = self.member(member)
        if _ended(admission, layers) < at:
            raise StandingError(member)
        return admission.root

    def find_certificate(self, statement_id: StatementId) -> CertificateRecord | None:
        """The certificate with this statement id, in standing or not."""
        return self._certificates.get(statement_id)

    def certificate(self, statement_id: StatementId) -> CertificateRecord:
        """The same; `StandingError` if there is none."""
        if statement_id not in self._certificates:
            raise StandingError("no such certificate")
        return self._certificates[statement_id]

    def certificates(self, role: Role, member: str) -> tuple[CertificateRecord, ...]:
        """All that were ever issued for this role and member, oldest first."""
        return tuple(self._held_by.get((role, member), ()))

    def certificate_standing(self, statement_id: StatementId, at: int, layers: Layers) -> CertificateRecord:
        """The certificate, if it may be relied on for what was done at `at`; else `StandingError`."""
        certificate = self.certificate(statement_id)
        if not self.is_in_standing(certificate, at, layers):
            raise StandingError("certificate")
        return certificate

    def is_in_standing(self, certificate: CertificateRecord, at: int, layers: Layers) -> bool:
        """Tell whether the certificate may be relied on for what was done at `at`."""
        if not certificate.not_before <= at <= self._last_second(certificate, layers):
            return False
        # No member has the hub's empty name, so no suspension reaches the hub.
        return not any(layer.suspends(certificate.party.member, at) for layer in layers)

    def _last_second(self, certificate: CertificateRecord, layers: Layers) -> int:
        revoked = min(layer.revoked.get(certificate.id, FOREVER) for layer in layers)
        return min(certificate.not_after, revoked, self._end_of_root(certificate, layers))

    def _end_of_root(self, certificate: CertificateRecord, layers: Layers) -> int:
        if certificate.role is Role.HUB:
            return _replaced_at(certificate, self._hub_roots)
        admissions = self._admissions[certificate.party.member]
        roots = [(each.index, each.logged_at, each.root) for each in admissions]
        issued_under = next(each for each in reversed(admissions) if each.index < certificate.index)
        return min(_replaced_at(certificate, roots), _ended(issued_under, layers))


def _ended(admission: MemberRecord, layers: Layers) -> int:
    return min(layer.end_of_admission(admission) for layer in layers)


def _replaced_at(certificate: CertificateRecord, roots: Iterable[tuple[int, int, PublicKey]]) -> int:
    later = (at for index, at, root in roots if index > certificate.index and root != certificate.root)
    return next(later, FOREVER)
