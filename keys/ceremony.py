"""Who must sign a statement, who has, and how many are missing: judged offline, from the papers at hand.

The registry decides what applies; this tells officers beforehand what it will find.  A statement is complete
when, for one of its *alternatives*, every *group* has as many distinct signatures as it needs:

    charter 1                 its own stewards
    charter n + 1             the stewards of charter n, and its own
    admission, roster, lift   the stewards
    certificate               the member's root, or the hub's; a former one is told as such
    revocation                the stewards of any charter, or the root that signed the certificate, a former one too
    suspension, expulsion     the stewards of any charter
    incarnation               the key that its certificate names
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

from keys.kinds import Kind, PublicPart
from protocol.errors import StaleError, ThresholdError, UsageError, WrongAssociationError
from protocol.names import AssociationId, StatementId
from protocol.signing import PrivateKey, PublicKey
from protocol.trust.statements import (
    NEGATIVES,
    Admission,
    Certificate,
    Charter,
    Opening,
    Revocation,
    Role,
    SignedStatement,
    Statement,
    merge,
    sign_statement,
)


@dataclass(frozen=True, slots=True)
class Group:
    """Keys of which `needed` must sign; `signed` holds the fingerprints of those that did, verified."""

    title: str
    needed: int
    names: Mapping[bytes, str]
    signed: frozenset[bytes]

    @property
    def missing(self) -> int:
        """How many signatures are still to come."""
        return max(0, self.needed - len(self.signed))


Alternative: TypeAlias = tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """The count of a statement's signatures, by every alternative that the papers at hand tell.

    `strangers` are those who signed and are in none of these; `wanted` says which papers would tell of more
    alternatives, by which strangers may still count, and is empty if there are no more.
    """

    alternatives: tuple[Alternative, ...]
    strangers: frozenset[bytes]
    wanted: str = ""

    @property
    def nearest(self) -> Alternative:
        """The alternative that misses fewest signatures; empty if there is none."""
        return min(self.alternatives, key=lambda groups: sum(group.missing for group in groups), default=())

    @property
    def missing(self) -> int | None:
        """How many signatures the nearest alternative misses; None if that cannot be told."""
        if not self.alternatives:
            return None
        missing = sum(group.missing for group in self.nearest)
        # One of the strangers may be all that was missing.
        return None if missing and self.wanted and self.strangers else missing

    @property
    def uncounted(self) -> frozenset[bytes]:
        """Who signed and certainly counts for nothing; nobody, while papers are wanted."""
        return frozenset() if self.wanted else self.strangers

    def counts(self, fingerprint: bytes) -> bool:
        """Whether a signature by this key would count, as far as can be told."""
        return not self.alternatives or any(fingerprint in group.names for way in self.alternatives for group in way)

    def require(self) -> None:
        """Return if nothing is missing; else `ThresholdError`, or `UsageError` if that cannot be told."""
        if self.missing is None:
            raise UsageError(self.wanted)
        if self.missing:
            raise ThresholdError(f"{self.missing} missing: {_lacking(self.nearest)}")


def _lacking(groups: Alternative) -> str:
    return "; ".join(
        f"{group.title}, {len(group.signed)} of the {group.needed} needed" for group in groups if group.missing
    )


@dataclass(frozen=True, slots=True)
class Papers:
    """What the officer has at hand: charters, other statements and public keys, by which others are judged."""

    statements: Mapping[StatementId, SignedStatement] = field(default_factory=dict)
    parts: tuple[PublicPart, ...] = ()

    @classmethod
    def of(cls, papers: Iterable[SignedStatement | PublicPart]) -> Papers:
        """These papers; `ThresholdError` or `SignatureError` for a charter that its own stewards have not signed."""
        papers = tuple(papers)
        statements = {paper.id: paper for paper in papers if isinstance(paper, SignedStatement)}
        found = cls(statements, tuple(paper for paper in papers if isinstance(paper, PublicPart)))
        for signed in statements.values():
            if isinstance(signed.statement, Charter):
                _require_signed(found, signed, signed.statement)
        return found

    def charters(self, association: AssociationId) -> list[Charter]:
        """The charters at hand of this association, newest first."""
        found = [
            signed.statement
            for signed in self.statements.values()
            if isinstance(signed.statement, Charter) and signed.association == association
        ]
        return sorted(found, key=lambda charter: charter.version, reverse=True)

    def roots(self, role: Role, member: str, association: AssociationId) -> list[PublicKey]:
        """The roots that certify for this role and member, as far as papers here tell: the one in force, then former ones."""
        if role is Role.HUB:
            found = [charter.hub.root for charter in self.charters(association)]
        else:
            admissions = [
                signed.statement
                for signed in self.statements.values()
                if isinstance(signed.statement, Admission)
                and signed.statement.member == member
                and signed.association == association
            ]
            found = [each.root for each in sorted(admissions, key=lambda each: each.admitted_at, reverse=True)]
        mine = [part.key for part in self.parts if part.kind is Kind.MEMBER_ROOT and part.name == member]
        return list({key.fingerprint: key for key in found or mine[:1]}.values())

    def names(self) -> dict[bytes, str]:
        """What the keys are called that these papers know, by fingerprint."""
        named = {part.fingerprint: f"{part.kind} {part.name}" for part in self.parts}
        for signed in self.statements.values():
            named.update(_named(signed.statement))
        return named | self._former()

    def _former(self) -> dict[bytes, str]:
        said: dict[bytes, str] = {}
        for signed in self.statements.values():
            statement, association = signed.statement, signed.association
            if isinstance(statement, Admission):
                former = self.roots(Role.NODE, statement.member, association)[1:]
                said.update({key.fingerprint: f"former root of {statement.member}" for key in former})
            elif isinstance(statement, Charter):
                newest = self.charters(association)[0]
                former = [key for key in self.roots(Role.HUB, "", association) if key != newest.hub.root]
                said.update({key.fingerprint: "former hub root" for key in former})
                gone = statement.steward_keys().keys() - newest.steward_keys().keys()
                said.update({each: f"former {name}" for each, name in _named(statement).items() if each in gone})
        return said


def _require_signed(papers: Papers, signed: SignedStatement, charter: Charter) -> None:
    # The charter before it may not be at hand; its own stewards must have signed in any case.
    own = [[_own_stewards(charter)]]
    for groups in _counted(signed, _charter_ways(signed, charter, papers) or own):
        lacking = _lacking(groups)
        if lacking:
            raise ThresholdError(f"the charter itself: {lacking}")


def _named(statement: Statement) -> dict[bytes, str]:
    if isinstance(statement, Charter):
        stewards = {steward.key.fingerprint: f"steward {steward.name}" for steward in statement.stewards}
        return {**stewards, statement.hub.root.fingerprint: "hub root"}
    if isinstance(statement, Admission):
        return {statement.root.fingerprint: f"root of {statement.member}"}
    if isinstance(statement, Certificate):
        return {statement.key.fingerprint: f"node of {statement.member}" if statement.member else "hub"}
    return {}


# -- counting ----------------------------------------------------------------------------------------
def tally(signed: SignedStatement, papers: Papers) -> Tally:
    """Count the signatures of `signed` that hold, as far as `papers` tell whose they must be.

    Raises `SignatureError` if a signature by a known key does not hold, `StaleError` for a charter that
    does not follow the one before it, `WrongAssociationError` if the charters are another association's.
    """
    ways, wanted = _ways(signed, papers)
    alternatives = _counted(signed, ways)
    known = {fingerprint for groups in alternatives for group in groups for fingerprint in group.names}
    strangers = frozenset(fingerprint for fingerprint, _signature in signed.signatures) - known
    return Tally(alternatives, strangers, wanted or (_older_wanted(signed, papers) if strangers else ""))


_Needs: TypeAlias = tuple[str, int, Mapping[str, PublicKey]]


def _counted(signed: SignedStatement, ways: list[list[_Needs]]) -> tuple[Alternative, ...]:
    return tuple(tuple(_count(signed, *needs) for needs in groups) for groups in ways)


def _count(signed: SignedStatement, title: str, needed: int, keys: Mapping[str, PublicKey]) -> Group:
    by_fingerprint = {key.fingerprint: key for key in keys.values()}
    names = {key.fingerprint: name for name, key in keys.items()}
    return Group(title, needed, names, signed.signers(by_fingerprint, signed.association))


_Known: TypeAlias = tuple[list[list[_Needs]], str]
"""The ways to be complete that the papers tell, and which papers are wanted to tell the others, if there are any."""


def _ways(signed: SignedStatement, papers: Papers) -> _Known:
    statement = signed.statement
    if isinstance(statement, Charter):
        ways = _charter_ways(signed, statement, papers)
        return ways, "" if ways else "the charter before it is needed to count: give --charter FILE"
    if isinstance(statement, Certificate):
        return _by_root(signed, statement, papers)
    if isinstance(statement, Opening):
        return _by_certificate(statement.certificate, papers)
    ways, wanted = _by_stewards(signed, papers)
    if not isinstance(statement, Revocation):
        return ways, wanted
    further, wanted_too = _by_root_of(statement.certificate, papers)
    return ways + further, "; ".join(filter(None, (wanted, wanted_too)))


def _by_stewards(signed: SignedStatement, papers: Papers) -> _Known:
    statement = signed.statement
    charters = papers.charters(signed.association)
    if not charters and any(isinstance(each.statement, Charter) for each in papers.statements.values()):
        raise WrongAssociationError("the charter given is another association's")
    counted = charters if isinstance(statement, NEGATIVES) else charters[:1]
    ways = [[_stewards(charter, f"stewards of charter {charter.version}")] for charter in counted]
    return ways, "" if ways else "the charter is needed to count: give --charter FILE"


def _older_wanted(signed: SignedStatement, papers: Papers) -> str:
    # The stewards of any charter end trust, those of one that is not at hand too.
    versions = [charter.version for charter in papers.charters(signed.association)]
    if isinstance(signed.statement, NEGATIVES) and len(set(versions)) < max(versions, default=0):
        return "the stewards of older charters count too: give those charters, --charter FILE"
    return ""


def _charter_ways(signed: SignedStatement, charter: Charter, papers: Papers) -> list[list[_Needs]]:
    own = _own_stewards(charter)
    if charter.version == 1:
        return [[own]]
    before = papers.statements.get(charter.previous) if charter.previous else None
    if before is None:
        return []
    former = before.statement
    if not isinstance(former, Charter) or before.association != signed.association:
        raise StaleError("what it names as the charter before it is none of this association")
    if former.version + 1 != charter.version:
        raise StaleError(f"charter {charter.version} cannot follow charter {former.version}")
    return [[_stewards(former, f"stewards of charter {former.version}, in force"), own]]


def _own_stewards(charter: Charter) -> _Needs:
    return _stewards(charter, f"stewards of charter {charter.version}, this one")


def _stewards(charter: Charter, title: str) -> _Needs:
    return (title, charter.threshold, {f"steward {each.name}": each.key for each in charter.stewards})


def _one(title: str, key: PublicKey) -> _Needs:
    return (title, 1, {title: key})


def _by_certificate(wanted: StatementId, papers: Papers) -> _Known:
    found = papers.statements.get(wanted)
    if found is None or not isinstance(found.statement, Certificate):
        return [], "the certificate is needed to count: give --with FILE"
    return [[_one("the key of its certificate", found.statement.key)]], ""


def _by_root(signed: SignedStatement, certificate: Certificate, papers: Papers) -> _Known:
    title = "hub root" if certificate.role is Role.HUB else f"root of {certificate.member}"
    roots = papers.roots(certificate.role, certificate.member, certificate.association)
    if roots:
        signer = _signer(signed, roots) or roots[0]
        return [[_one(title if signer == roots[0] else f"former {title}", signer)]], ""
    if certificate.role is Role.HUB:
        return [], "the hub's root is needed to count: give the charter that names it, --charter FILE"
    return [], f"the root's key is needed to count: give the admission of {certificate.member}, --with FILE"


def _by_root_of(wanted: StatementId, papers: Papers) -> _Known:
    # Only the root that signed it ends the trust in a certificate, whether it was replaced since or not.
    found = papers.statements.get(wanted)
    if found is None or not isinstance(found.statement, Certificate):
        return [], "the certificate is needed to count its root: give it and its member's admission, --with FILE each"
    certificate = found.statement
    roots = papers.roots(certificate.role, certificate.member, certificate.association)
    if roots and found.signatures and _signer(found, roots) is None:
        return [], "the root that signed the certificate is needed to count: give the paper that names it, --with FILE"
    return _by_root(found, certificate, papers)


def _signer(signed: SignedStatement, roots: list[PublicKey]) -> PublicKey | None:
    signers = signed.signers({key.fingerprint: key for key in roots}, signed.association)
    return next((key for key in roots if key.fingerprint in signers), None)


def by_former_root(signed: SignedStatement, certificate: Certificate, papers: Papers) -> bool:
    """Whether this certificate was signed by a root which a newer paper here replaced."""
    roots = papers.roots(certificate.role, certificate.member, certificate.association)
    return _signer(signed, roots) in roots[1:]


# -- signing and joining -----------------------------------------------------------------------------
def add_signature(signed: SignedStatement, key: PrivateKey, papers: Papers) -> SignedStatement:
    """The statement with the signature of `key` besides those it has.

    Raises `UsageError` if the papers tell that this signature would count for nothing, and what `tally` raises.
    """
    require_counts(signed, key.public, papers)
    return merge(sign_statement(signed.body, signed.association, [key]), signed)


def require_counts(signed: SignedStatement, key: PublicKey, papers: Papers) -> None:
    """Return if the papers do not tell that a signature by `key` would count for nothing; else `UsageError`."""
    counted = tally(signed, papers)
    if not counted.counts(key.fingerprint):
        if counted.wanted:
            raise UsageError(f"nothing at hand tells that a signature by this key would count; {counted.wanted}")
        lacking = "or is a paper missing that it is known by (--with)?"
        known = papers.names().get(key.fingerprint)
        raise UsageError(
            f"a signature by this key{f', the {known},' if known else ''} would not count here; is it the right key, the right charter, {lacking}"
        )


def assemble(copies: Iterable[SignedStatement]) -> SignedStatement:
    """One statement with the signatures of all these copies; `UsageError` if they are copies of different ones."""
    return reduce(merge, copies)
