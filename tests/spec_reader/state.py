"""SPEC 6.4: what replay has gathered, and the standing of members and certificates at any second."""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.spec_reader.charter import Charter
from tests.spec_reader.facts import HUB, NODE, Certificate, Negative, Roster
from tests.spec_reader.refusal import require
from tests.spec_reader.shape import Incarnation
from tests.spec_reader.signing import Key

REVOCATION, SUSPENSION, EXPULSION = 5, 6, 8


class Governed(NamedTuple):
    leaf: int
    logged_at: int
    id: bytes
    charter: Charter


class Admitted(NamedTuple):
    leaf: int
    logged_at: int
    admitted_at: int
    root: Key


class Certified(NamedTuple):
    leaf: int
    certificate: Certificate
    root: Key
    admission: Admitted | None


class Denied(NamedTuple):
    leaf: int
    id: bytes
    fact: Negative


@dataclass
class State:
    association: bytes
    leaves: list[bytes] = field(default_factory=list)
    applied: set[bytes] = field(default_factory=set)
    charters: list[Governed] = field(default_factory=list)
    admissions: dict[str, list[Admitted]] = field(default_factory=dict)
    certificates: dict[bytes, Certified] = field(default_factory=dict)
    rosters: dict[str, list[tuple[int, Roster]]] = field(default_factory=dict)
    negatives: list[Denied] = field(default_factory=list)
    lifts: dict[bytes, int] = field(default_factory=dict)
    incarnations: dict[tuple[int, str], list[tuple[Incarnation, int]]] = field(default_factory=dict)

    def charter(self) -> Charter:
        return self.charters[-1].charter

    def about(self, kind: int, subject: bytes | str) -> list[Denied]:
        return [denied for denied in self.negatives if (denied.fact.type, denied.fact.subject) == (kind, subject)]

    def roster(self, network: str, size: int) -> Roster | None:
        """The roster of a network in the log of this size."""
        known = [roster for index, roster in self.rosters.get(network, []) if index < size]
        return known[-1] if known else None

    def ended_by(self, member: str, admission: Admitted) -> int | None:
        """The last second of an admission that an expulsion ended."""
        ends = [
            denied.fact.not_trusted_after
            for denied in self.about(EXPULSION, member)
            if denied.leaf > admission.leaf or admission.admitted_at <= denied.fact.expelled_at
        ]
        return min(ends, default=None)

    def suspended(self, member: str, at: int) -> bool:
        return any(
            at > denied.fact.not_trusted_after and at < self.lifts.get(denied.id, at + 1)
            for denied in self.about(SUSPENSION, member)
        )

    def member_in_standing(self, member: str, at: int) -> bool:
        known = [admission for admission in self.admissions.get(member, []) if admission.logged_at <= at]
        if not known:
            return False
        end = self.ended_by(member, known[-1])
        return (end is None or at <= end) and not self.suspended(member, at)

    def certificate_in_standing(self, certificate: bytes, at: int) -> bool:
        held = self.certificates.get(certificate)
        if held is None or not held.certificate.not_before <= at <= held.certificate.not_after:
            return False
        ends = [denied.fact.not_trusted_after for denied in self.about(REVOCATION, certificate)]
        ends += self._replacements(held)
        if held.admission is not None:
            end = self.ended_by(held.certificate.member, held.admission)
            ends += [] if end is None else [end]
        return all(at <= end for end in ends) and not self.suspended(held.certificate.member, at)

    def _replacements(self, held: Certified) -> list[int]:
        """When another root took the place of that which signed."""
        if held.certificate.role == HUB:
            return [
                known.logged_at
                for known in self.charters
                if known.leaf > held.leaf and known.charter.hub.root != held.root
            ]
        later = [known for known in self.admissions[held.certificate.member] if known.leaf > held.leaf]
        return [known.logged_at for known in later if known.root != held.root]

    def holder(self, certificate: bytes, at: int, role: int, member: str | None) -> Key:
        """The key of a certificate in standing, if it is of this role and member."""
        require(self.certificate_in_standing(certificate, at), "not_in_standing", "certificate")
        held = self.certificates[certificate].certificate
        require(held.role == role, "unverifiable", "role of the certificate")
        require(role != NODE or member in {None, held.member}, "unverifiable", "member of the certificate")
        return held.key
