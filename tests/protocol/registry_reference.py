"""The registry's rules a second time, naively: no signatures, no state, everything asked of the list of leaves again.

A leaf knows who signed it, because the test that made it does.  Written from SPEC 6.4, not from the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from protocol.names import AssociationId, StatementId
from protocol.trust.statements import (
    Admission,
    Body,
    Certificate,
    Charter,
    Expulsion,
    Lift,
    Opening,
    Revocation,
    Role,
    Roster,
    SignedStatement,
    Suspension,
)

HOUR = 3_600
S = TypeVar("S", bound=Body)


@dataclass(frozen=True)
class Leaf:
    index: int
    at: int
    signed: SignedStatement
    signers: frozenset[bytes]


def of(kind: type[S], leaves: Iterable[Leaf]) -> list[tuple[Leaf, S]]:
    """The leaves that hold this kind of statement, with it."""
    return [(leaf, statement) for leaf in leaves if isinstance(statement := leaf.signed.statement, kind)]


def by_stewards(charter: Charter, leaf: Leaf) -> bool:
    return len(leaf.signers & {steward.key.fingerprint for steward in charter.stewards}) >= charter.threshold


class Reference:
    """What a log says.  `sighted` are negatives seen outside of it, each with the log's size at that moment as index."""

    def __init__(self, association: AssociationId) -> None:
        self.association = association
        self.applied: list[Leaf] = []
        self.sighted: list[Leaf] = []

    def offer(self, leaf: Leaf) -> bool:
        """Apply the leaf if the rules let it; tell whether they did."""
        ok = self.lets(leaf)
        if ok:
            self.applied.append(leaf)
            self.sighted = [each for each in self.sighted if each.signed.id != leaf.signed.id]
        return ok

    def sight(self, leaf: Leaf) -> bool:
        """Count a negative seen outside the log; tell whether it is valid."""
        known = {each.signed.id for each in (*self.applied, *self.sighted)}
        if leaf.signed.id not in known and self.lets(leaf):
            self.sighted.append(leaf)
            return True
        return leaf.signed.id in known

    def lets(self, leaf: Leaf) -> bool:
        statement = leaf.signed.statement
        if leaf.signed.association != self.association or leaf.signed.id in {each.signed.id for each in self.applied}:
            return False
        charters = [charter for _leaf, charter in of(Charter, self.applied)]
        if isinstance(statement, Charter):
            return self.lets_charter(leaf, statement, charters)
        if isinstance(statement, (Revocation, Suspension, Expulsion)):
            roots = []
            if isinstance(statement, Revocation):
                roots = [
                    self.root_of(at) for at, _ in of(Certificate, self.applied) if at.signed.id == statement.certificate
                ]
            return bool(leaf.signers & set(roots)) or any(by_stewards(charter, leaf) for charter in charters)
        return leaf.at <= charters[-1].expires_at and self.lets_positive(leaf, charters[-1])

    def lets_charter(self, leaf: Leaf, new: Charter, charters: Sequence[Charter]) -> bool:
        if not charters:
            return new.version == 1 and by_stewards(new, leaf)
        before = of(Charter, self.applied)[-1][0].signed.id
        in_turn = new.version == charters[-1].version + 1 and new.previous == before
        return in_turn and by_stewards(new, leaf) and by_stewards(charters[-1], leaf)

    def lets_positive(self, leaf: Leaf, charter: Charter) -> bool:
        statement = leaf.signed.statement
        if isinstance(statement, Certificate):
            return self.root_now(statement.role, statement.member, leaf.at) in leaf.signers
        if isinstance(statement, Opening):
            return self.lets_opening(leaf, statement)
        if not by_stewards(charter, leaf):
            return False
        if isinstance(statement, Admission):
            earlier = [admission.admitted_at for _leaf, admission in self.admissions(statement.member)]
            return statement.admitted_at > max(earlier, default=-1) and statement.admitted_at <= leaf.at + HOUR
        if isinstance(statement, Roster):
            rosters = [each for _leaf, each in of(Roster, self.applied) if each.network == statement.network]
            return statement.version == 1 + max((each.version for each in rosters), default=0)
        assert isinstance(statement, Lift)
        suspensions = {each.signed.id for each, _ in of(Suspension, self.applied)}
        lifted = {lift.suspension for _leaf, lift in of(Lift, self.applied)}
        return statement.suspension in suspensions - lifted

    def lets_opening(self, leaf: Leaf, opening: Opening) -> bool:
        owner = (opening.role, opening.member)
        earlier = [each.opened_at for _leaf, each in of(Opening, self.applied) if (each.role, each.member) == owner]
        found = [c for at, c in of(Certificate, self.applied) if at.signed.id == opening.certificate]
        if not found or (found[0].role, found[0].member) != owner or found[0].key.fingerprint not in leaf.signers:
            return False
        in_time = max(earlier, default=-1) < opening.opened_at <= leaf.at + HOUR
        return in_time and self.certificate_ok(opening.certificate, leaf.at, sighted=False)

    # -- standing ------------------------------------------------------------------------------------------
    def admissions(self, member: str) -> list[tuple[Leaf, Admission]]:
        return [(leaf, each) for leaf, each in of(Admission, self.applied) if each.member == member]

    def negatives(self, kind: type[S], *, sighted: bool) -> list[tuple[Leaf, S]]:
        return of(kind, [*self.applied, *(self.sighted if sighted else ())])

    def root_now(self, role: Role, member: str, at: int) -> bytes | None:
        if role is Role.HUB:
            return of(Charter, self.applied)[-1][1].hub.root.fingerprint
        admissions = self.admissions(member)
        if not admissions or self.over(admissions[-1], at, sighted=False):
            return None
        return admissions[-1][1].root.fingerprint

    def root_of(self, certificate: Leaf) -> bytes:
        statement = certificate.signed.statement
        assert isinstance(statement, Certificate)
        if statement.role is Role.HUB:
            charters = [c for leaf, c in of(Charter, self.applied) if leaf.index < certificate.index]
            return charters[-1].hub.root.fingerprint
        return self.issued_under(certificate, statement.member)[1].root.fingerprint

    def issued_under(self, certificate: Leaf, member: str) -> tuple[Leaf, Admission]:
        return [pair for pair in self.admissions(member) if pair[0].index < certificate.index][-1]

    def over(self, admitted: tuple[Leaf, Admission], at: int, *, sighted: bool) -> bool:
        leaf, admission = admitted
        return any(
            at > expulsion.not_trusted_after
            for each, expulsion in self.negatives(Expulsion, sighted=sighted)
            if expulsion.member == admission.member
            and (leaf.index < each.index or admission.admitted_at <= expulsion.expelled_at)
        )

    def suspended(self, member: str, at: int, *, sighted: bool) -> bool:
        for leaf, suspension in self.negatives(Suspension, sighted=sighted):
            if suspension.member == member and at > suspension.not_trusted_after:
                lifts = [each.at for each, lift in of(Lift, self.applied) if lift.suspension == leaf.signed.id]
                if not lifts or at < lifts[0]:
                    return True
        return False

    def member_ok(self, member: str, at: int) -> bool:
        admitted = [pair for pair in self.admissions(member) if pair[0].at <= at]
        alive = any(not self.over(each, at, sighted=True) for each in admitted)
        return alive and not self.suspended(member, at, sighted=True)

    def certificate_ok(self, statement_id: StatementId, at: int, *, sighted: bool = True) -> bool:
        found = [(leaf, c) for leaf, c in of(Certificate, self.applied) if leaf.signed.id == statement_id]
        if not found:
            return False
        leaf, certificate = found[0]
        revocations = self.negatives(Revocation, sighted=sighted)
        if not certificate.not_before <= at <= certificate.not_after:
            return False
        if any(at > each.not_trusted_after for _leaf, each in revocations if each.certificate == statement_id):
            return False
        if certificate.role is Role.HUB:
            roots = [
                (each.at, charter.hub.root) for each, charter in of(Charter, self.applied) if each.index > leaf.index
            ]
            return all(at <= when for when, root in roots if root.fingerprint != self.root_of(leaf))
        later = [(each.at, a.root) for each, a in self.admissions(certificate.member) if each.index > leaf.index]
        if any(at > when for when, root in later if root.fingerprint != self.root_of(leaf)):
            return False
        under = self.issued_under(leaf, certificate.member)
        return not self.over(under, at, sighted=sighted) and not self.suspended(certificate.member, at, sighted=sighted)
