"""The rules of the registry, one leaf at a time (SPEC 6.4, rules 1 to 9).

`judge` says whether a statement would apply as the next leaf, and changes nothing; `apply` takes it in.
Nothing here knows a clock: `logged_at` is the only time, and leaves are the only input, so whoever replays
the same leaves stands where everybody stands.  Cheap questions come before signatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocol.errors import (
    CharterExpiredError,
    ClockSkewError,
    ProofError,
    ReplayError,
    SignatureError,
    StaleError,
    ThresholdError,
    VerificationError,
    WrongAssociationError,
)
from protocol.limits import CLOCK_REFUSE_SECONDS
from protocol.names import AssociationId, Incarnation, Party, StatementId
from protocol.signing import PublicKey
from protocol.trust.standing import CertificateRecord, MemberRecord, Negatives, Roll
from protocol.trust.statements import (
    NEGATIVES,
    Admission,
    Certificate,
    Charter,
    Lift,
    Negative,
    Opening,
    Revocation,
    Role,
    Roster,
    SignedStatement,
)


class Replay:
    """The state after some leaves.  `roots` is the growing list of the log's roots, by size; it is only read."""

    __slots__ = (
        "_all_stewards",
        "_roots",
        "_stewards",
        "applied",
        "association",
        "charters",
        "negatives",
        "openings",
        "roll",
        "rosters",
    )

    def __init__(self, association: AssociationId, roots: Sequence[bytes]) -> None:
        """No leaf yet."""
        self.association = association
        self._roots = roots
        self.charters: list[tuple[StatementId, Charter]] = []
        self._stewards: list[Mapping[bytes, PublicKey]] = []
        self._all_stewards: dict[bytes, PublicKey] = {}
        self.applied: dict[StatementId, int] = {}
        self.roll = Roll()
        self.negatives = Negatives()
        self.rosters: dict[str, list[tuple[int, Roster]]] = {}
        self.openings: dict[tuple[Role, str], dict[Incarnation, Opening]] = {}

    # -- judging ---------------------------------------------------------------------------------------
    def judge(self, signed: SignedStatement, logged_at: int) -> None:
        """Return if the statement would apply as the next leaf; else raise why not, as SPEC 6.4 lists it."""
        statement = signed.statement
        if signed.association != self.association:
            raise WrongAssociationError(statement.type.name.lower())
        if signed.id in self.applied:
            raise ReplayError("already in the log")
        if isinstance(statement, Charter):
            self._judge_charter(signed, statement)
            return
        if not self.charters:
            raise ReplayError("the log begins with charter 1")
        if isinstance(statement, NEGATIVES):
            self.judge_negative(signed, statement)
            return
        if logged_at > self.charters[-1][1].expires_at:
            raise CharterExpiredError(f"charter {len(self.charters)}")
        self._judge_positive(signed, statement, logged_at)

    def judge_negative(self, signed: SignedStatement, statement: Negative) -> None:
        """Return if k stewards of any charter so far signed, or the root of a revoked certificate; `ThresholdError`."""
        root = self._root_of_revoked(statement)
        keys = {**self._all_stewards, **({root.fingerprint: root} if root else {})}
        signers = signed.signers(keys, self.association)
        if root and root.fingerprint in signers:
            return
        for (_id, charter), stewards in zip(self.charters, self._stewards, strict=True):
            if len(signers & stewards.keys()) >= charter.threshold:
                return
        raise ThresholdError(statement.type.name.lower())

    def names_steward(self, signed: SignedStatement) -> bool:
        """Tell whether a steward of any charter so far is among those who signed; that it verifies is judged elsewhere."""
        return any(fingerprint in self._all_stewards for fingerprint, _signature in signed.signatures)

    def _root_of_revoked(self, statement: Negative) -> PublicKey | None:
        if not isinstance(statement, Revocation):
            return None
        certificate = self.roll.find_certificate(statement.certificate)
        return certificate.root if certificate else None

    def _judge_charter(self, signed: SignedStatement, new: Charter) -> None:
        previous = self.charters[-1][0] if self.charters else None
        if new.version != len(self.charters) + 1 or new.previous != previous:
            raise ReplayError(f"charter {new.version}")
        if new.continues and not self._holds(new.continues.size, new.continues.root):
            raise ProofError("the log that the charter continues")
        stewards = new.steward_keys()
        before = self._stewards[-1] if self._stewards else {}
        signers = signed.signers({**before, **stewards}, self.association)
        if len(signers & stewards.keys()) < new.threshold:
            raise ThresholdError("stewards of the new charter")
        if self.charters and len(signers & before.keys()) < self.charters[-1][1].threshold:
            raise ThresholdError("stewards of the charter in force")

    def _holds(self, size: int, root: bytes) -> bool:
        return size < len(self._roots) and self._roots[size] == root

    def _judge_positive(
        self, signed: SignedStatement, statement: Admission | Certificate | Roster | Lift | Opening, logged_at: int
    ) -> None:
        match statement:
            case Certificate():
                root = self.roll.root(statement.role, statement.member, logged_at, (self.negatives,))
                self._require_key(signed, root, "certificate")
                return
            case Opening():
                self._judge_opening(signed, statement, logged_at)
                return
            case Admission():
                self._judge_admission(statement, logged_at)
            case Roster():
                if statement.version != len(self.rosters.get(statement.network, ())) + 1:
                    raise ReplayError(f"roster {statement.version} of {statement.network}")
            case _:
                self._judge_lift(statement)
        self._require_stewards(signed)

    def _judge_admission(self, admission: Admission, logged_at: int) -> None:
        _require_past(admission.admitted_at, logged_at, "admitted_at")
        known = self.roll.find_member(admission.member)
        if known and admission.admitted_at <= known.admitted_at:
            raise StaleError("a later admission is in force")

    def _judge_lift(self, lift: Lift) -> None:
        if lift.suspension not in self.negatives.suspension_ids:
            raise ReplayError("no such suspension in the log")
        if lift.suspension in self.negatives.lifted:
            raise ReplayError("the suspension was lifted before")

    def _judge_opening(self, signed: SignedStatement, opening: Opening, logged_at: int) -> None:
        _require_past(opening.opened_at, logged_at, "opened_at")
        earlier = self.last_opening(opening.role, opening.member)
        if earlier and opening.opened_at <= earlier.opened_at:
            raise StaleError("a later incarnation is open")
        certificate = self.roll.certificate_standing(opening.certificate, logged_at, (self.negatives,))
        if (certificate.role, certificate.party.member) != (opening.role, opening.member):
            raise VerificationError("the certificate is another's")
        self._require_key(signed, certificate.key, "incarnation")

    def last_opening(self, role: Role, member: str) -> Opening | None:
        """The newest opening for this role and member."""
        return next(reversed(self.openings.get((role, member), {}).values()), None)

    def _require_key(self, signed: SignedStatement, key: PublicKey, what: str) -> None:
        if not signed.signers({key.fingerprint: key}, self.association):
            raise SignatureError(what)

    def _require_stewards(self, signed: SignedStatement) -> None:
        signers = signed.signers(self._stewards[-1], self.association)
        if len(signers) < self.charters[-1][1].threshold:
            raise ThresholdError(signed.statement.type.name.lower())

    # -- applying --------------------------------------------------------------------------------------
    def apply(self, signed: SignedStatement, index: int, logged_at: int) -> None:
        """The statement, which `judge` let pass, stands at leaf `index` and has its effect."""
        self.applied[signed.id] = index
        match signed.statement:
            case Charter() as charter:
                self._apply_charter(signed.id, charter, index, logged_at)
            case Admission() as admission:
                self.roll.admit(_member_record(signed.id, admission, index, logged_at))
            case Certificate() as certificate:
                self.roll.certify(self._certificate_record(signed.id, certificate, index, logged_at))
            case Roster() as roster:
                self.rosters.setdefault(roster.network, []).append((index, roster))
            case Lift() as lift:
                self.negatives.lifted[lift.suspension] = logged_at
            case Opening() as opening:
                incarnation = Incarnation(len(self.charters), index)
                self.openings.setdefault((opening.role, opening.member), {})[incarnation] = opening
            case _ as negative:
                self.negatives.add(signed.id, negative, index)

    def _apply_charter(self, statement_id: StatementId, charter: Charter, index: int, logged_at: int) -> None:
        stewards = charter.steward_keys()
        self.charters.append((statement_id, charter))
        self._stewards.append(stewards)
        self._all_stewards.update(stewards)
        self.roll.install_hub(charter.hub.root, index, logged_at)

    def _certificate_record(
        self, statement_id: StatementId, certificate: Certificate, index: int, logged_at: int
    ) -> CertificateRecord:
        return CertificateRecord(
            id=statement_id,
            role=certificate.role,
            party=Party(self.association, certificate.member),
            key=certificate.key,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            root=self.roll.root(certificate.role, certificate.member, logged_at, (self.negatives,)),
            index=index,
            logged_at=logged_at,
        )


def _member_record(statement_id: StatementId, admission: Admission, index: int, logged_at: int) -> MemberRecord:
    return MemberRecord(
        name=admission.member,
        titles=admission.titles,
        country=admission.country,
        root=admission.root,
        admission=statement_id,
        admitted_at=admission.admitted_at,
        index=index,
        logged_at=logged_at,
    )


def _require_past(signed_at: int, logged_at: int, what: str) -> None:
    # One signed ahead of its time would outrank, until then, everything that is signed later.
    if signed_at > logged_at + CLOCK_REFUSE_SECONDS:
        raise ClockSkewError(what)
