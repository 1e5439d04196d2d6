"""The registry: a log of signed statements, replayed, and the questions that everybody asks of it (SPEC 6.3, 6.4).

Grown leaf by leaf.  A leaf that breaks a rule is ignored, and its outcome says why; bytes that no honest
log can hold are refused, and the registry is left as it was.  Negative statements seen outside the log
have effect here at once, but never on the replay.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import itemgetter

from protocol.codec import Value, decode, encode, fields, uint
from protocol.errors import (
    CharterExpiredError,
    LogError,
    MalformedError,
    PeerError,
    ProofError,
    StandingError,
    UsageError,
    WrongAssociationError,
)
from protocol.limits import CHARTER_GRACE_SECONDS, MAX_ENTRY_BYTES, MAX_VIEW_NEGATIVES
from protocol.merkle import Frontier, leaf_hash
from protocol.names import AssociationId, Digest, Incarnation, Party, StatementId, read_digest
from protocol.trust.replay import Replay
from protocol.trust.standing import FOREVER, CertificateRecord, MemberRecord, Negatives
from protocol.trust.statements import (
    NEGATIVES,
    Charter,
    Negative,
    Opening,
    Revocation,
    Role,
    Roster,
    SignedStatement,
    statement_hash,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf of the log: a statement's type, when it was logged (Unix seconds), and its statement hash."""

    type: int
    logged_at: int
    hash: Digest

    @classmethod
    def parse(cls, data: bytes) -> Entry:
        """The entry in these bytes; else `MalformedError` or `LimitError`."""
        value: Value = decode(data, MAX_ENTRY_BYTES)
        kind, logged_at, hashed = fields(value, 3)
        return cls(uint(kind), uint(logged_at, 63), Digest(read_digest(hashed)))


def entry_bytes(statement_type: int, logged_at: int, hashed: bytes) -> bytes:
    """The bytes of a leaf (SPEC 6.3); `Entry.parse` gives it back."""
    return encode([int(statement_type), logged_at, hashed])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a leaf: applied, or ignored for the reason that this error code names."""

    applied: bool
    code: str | None = None


@dataclass(frozen=True, slots=True)
class _Sighted:
    """A negative statement seen outside the log when that had `size` leaves."""

    signed: SignedStatement = field(repr=False)
    statement: Negative
    size: int


class Registry:
    """One association's log from leaf 0 on, and the state that it gives."""

    __slots__ = ("_entries", "_replay", "_roots", "_seen", "_sighted", "_tree")

    def __init__(self, association: AssociationId) -> None:
        """An empty log of the association with this 32-byte id."""
        self._tree = Frontier()
        self._roots = [self._tree.root()]
        self._entries: list[Entry] = []
        self._replay = Replay(association, self._roots)
        self._sighted: dict[StatementId, _Sighted] = {}
        self._seen = Negatives()

    # -- the log ---------------------------------------------------------------------------------------
    @property
    def association(self) -> AssociationId:
        """The 32-byte id of the association."""
        return self._replay.association

    @property
    def size(self) -> int:
        """Leaves so far, ignored ones too."""
        return len(self._entries)

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        return self._roots[-1]

    @property
    def logged_at(self) -> int:
        """When the last leaf was logged; 0 if there is none."""
        return self._entries[-1].logged_at if self._entries else 0

    def root_at(self, size: int) -> bytes:
        """The root over the first `size` leaves; `UsageError` if there are not so many."""
        return self._roots[self._past(size)]

    def entry(self, index: int) -> Entry:
        """The leaf at this index, from 0; `UsageError` if there is none."""
        self._past(index + 1)
        return self._entries[index]

    def index_of(self, statement_id: StatementId) -> int | None:
        """The leaf at which this statement was applied; None if it was not."""
        return self._replay.applied.get(statement_id)

    def check(self, signed: SignedStatement, logged_at: int) -> None:
        """Return if the statement would apply as the next leaf at this time.

        Else raises the exact reason: a `PeerError` or `StandingError`; `LogError` for a time before the last leaf's.
        """
        if logged_at < self.logged_at:
            raise LogError("logged_at decreases")
        self._replay.judge(signed, logged_at)

    def append(self, entry: bytes, signed: SignedStatement | bytes) -> Outcome:
        """Take in the next leaf with its statement, parsed or (because even a malformed one has a leaf) as bytes.

        The registry is one larger afterwards.  Raises, and changes nothing, for what no honest log holds: `LogError`
        for an entry of another form, a decreasing time or a leaf 0 that is not this association's charter 1;
        `ProofError` if the statement is not the one whose hash the entry holds.
        """
        parsed = self._read_entry(entry)
        raw = signed if isinstance(signed, bytes) else signed.raw
        if statement_hash(raw) != parsed.hash:
            raise ProofError("statement hash")
        outcome = self._take_in(parsed, signed)
        self._entries.append(parsed)
        self._tree.append(leaf_hash(entry))
        self._roots.append(self._tree.root())
        return outcome

    def _read_entry(self, data: bytes) -> Entry:
        try:
            entry = Entry.parse(data)
        except PeerError as error:
            raise LogError(f"entry {self.size}: {error.detail or error.code}") from error
        if entry.logged_at < self.logged_at:
            raise LogError("logged_at decreases")
        return entry

    def _take_in(self, entry: Entry, signed: SignedStatement | bytes) -> Outcome:
        try:
            statement = SignedStatement.from_bytes(signed) if isinstance(signed, bytes) else signed
            if statement.statement.type != entry.type:
                raise MalformedError("entry of another type")
            self._replay.judge(statement, entry.logged_at)
        except (PeerError, StandingError) as error:
            if not self._entries:
                raise LogError(f"leaf 0: {error.code}") from error
            return Outcome(applied=False, code=error.code)
        self._replay.apply(statement, self.size, entry.logged_at)
        if self._sighted.pop(statement.id, None):
            self._count_sighted()
        return Outcome(applied=True)

    def _past(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise UsageError(f"registry size {size}, here {self.size}")
        return size

    # -- the charter -----------------------------------------------------------------------------------
    @property
    def charter(self) -> Charter:
        """The charter in force; `UsageError` before leaf 0."""
        return self._in_force()[1]

    @property
    def charter_id(self) -> StatementId:
        """The statement id of the charter in force; `UsageError` before leaf 0."""
        return self._in_force()[0]

    @property
    def charters(self) -> tuple[Charter, ...]:
        """The whole chain, version 1 first."""
        return tuple(charter for _id, charter in self._replay.charters)

    def check_charter(self, at: int) -> None:
        """Return while messages may go: until 90 days after the charter expired; then `CharterExpiredError`."""
        if at > self.charter.expires_at + CHARTER_GRACE_SECONDS:
            raise CharterExpiredError(f"charter {self.charter.version}")

    def _in_force(self) -> tuple[StatementId, Charter]:
        if not self._replay.charters:
            raise UsageError("the registry is empty")
        return self._replay.charters[-1]

    # -- members and certificates ------------------------------------------------------------------------
    @property
    def _layers(self) -> tuple[Negatives, Negatives]:
        return (self._replay.negatives, self._seen)

    def member(self, name: str) -> MemberRecord:
        """The newest admission of this name, in standing or not; `UnknownMemberError` if there is none."""
        return self._replay.roll.member(name)

    def members(self) -> tuple[MemberRecord, ...]:
        """The newest admission of every name ever admitted, by name; some may be suspended or expelled."""
        return self._replay.roll.members()

    def member_standing(self, name: str, at: int) -> MemberRecord:
        """The admission by which the member is in standing at `at` (Unix seconds).

        Raises `UnknownMemberError` if not admitted by then, `RecipientSuspendedError` if suspended or expelled.
        """
        return self._replay.roll.member_standing(name, at, self._layers)

    def certificate(self, statement_id: StatementId) -> CertificateRecord:
        """The certificate with this statement id, in standing or not; `StandingError` if it was never applied."""
        return self._replay.roll.certificate(statement_id)

    def certificate_standing(self, statement_id: StatementId, at: int) -> CertificateRecord:
        """The certificate, if what its key did at `at` is to be believed; else `StandingError`."""
        return self._replay.roll.certificate_standing(statement_id, at, self._layers)

    def node_certificates(self, member: str, at: int) -> tuple[CertificateRecord, ...]:
        """The member's certificates in standing at `at`, in log order."""
        return self._in_standing(Role.NODE, member, at)

    def hub_certificates(self, at: int) -> tuple[CertificateRecord, ...]:
        """The hub's certificates in standing at `at`, in log order."""
        return self._in_standing(Role.HUB, "", at)

    def _in_standing(self, role: Role, member: str, at: int) -> tuple[CertificateRecord, ...]:
        issued = self._replay.roll.certificates(role, member)
        return tuple(each for each in issued if self._replay.roll.is_in_standing(each, at, self._layers))

    # -- networks and incarnations -----------------------------------------------------------------------
    def roster(self, network: str, size: int | None = None) -> tuple[Party, ...] | None:
        """The members of a network in the first `size` leaves (all by default).

        None if it did not exist then; `UsageError` if there are not so many leaves.
        """
        limit = self.size if size is None else self._past(size)
        versions = self._replay.rosters.get(network, [])
        count = bisect_left(versions, limit, key=itemgetter(0))
        return (versions[count - 1][1].members or None) if count else None

    def networks(self) -> tuple[Roster, ...]:
        """The roster in force of every network that is not dissolved, by name."""
        newest = [self._replay.rosters[name][-1][1] for name in sorted(self._replay.rosters)]
        return tuple(roster for roster in newest if roster.members)

    def incarnations(self, role: Role, member: str) -> list[Incarnation]:
        """Every incarnation that was opened for this role and member (empty for the hub), oldest first."""
        return list(self._replay.openings.get((role, member), ()))

    def is_incarnation(self, role: Role, member: str, incarnation: Incarnation) -> bool:
        """Tell whether this incarnation was opened for this role and member."""
        return incarnation in self._replay.openings.get((role, member), ())

    def last_opening(self, role: Role, member: str) -> Opening | None:
        """The newest opening; the next one must have a later `opened_at`."""
        return self._replay.last_opening(role, member)

    # -- negatives seen outside the log --------------------------------------------------------------------
    def apply_on_sight(self, signed: SignedStatement, size: int | None = None) -> bool:
        """True if this negative statement has effect from now on, False if it, or a stronger one, had it before.

        It counts as the next leaf after the first `size`, which were held when it was seen; by default all.  Raises `WrongAssociationError`, `MalformedError` if it is not negative, `ThresholdError` or `SignatureError`;
        `UsageError` if there are not so many leaves.
        """
        statement, size = signed.statement, self._past(self.size if size is None else size)
        if signed.association != self.association:
            raise WrongAssociationError(statement.type.name.lower())
        if not isinstance(statement, NEGATIVES):
            raise MalformedError("not a negative statement")
        if signed.id in self._replay.applied or signed.id in self._sighted:
            return False
        self._replay.judge_negative(signed, statement)
        if self._is_weaker(statement):
            return False
        self._sighted = {key: held for key, held in self._sighted.items() if not _supersedes(statement, held.statement)}
        self._sighted[signed.id] = _Sighted(signed, statement, size)
        self._count_sighted()
        return True

    def sighted(self) -> tuple[tuple[SignedStatement, int], ...]:
        """What has effect though the log does not hold it, oldest first, each with the leaves held when it was seen."""
        return tuple((held.signed, held.size) for held in self._sighted.values())

    def unlogged_negatives(self) -> tuple[bytes, ...]:
        """The signed statements in effect that the log does not hold: at most 16, as a view carries.

        Those of stewards come first, then the oldest: a member could fill a view with revocations of its own.
        """
        held = sorted(self._sighted.values(), key=lambda each: not self._replay.names_steward(each.signed))
        return tuple(each.signed.raw for each in held)[:MAX_VIEW_NEGATIVES]

    def _is_weaker(self, statement: Negative) -> bool:
        # A root may revoke its own certificate as often as it likes; only the earliest of them is worth keeping.
        if not isinstance(statement, Revocation):
            return False
        return any(
            layer.revoked.get(statement.certificate, FOREVER + 1) <= statement.not_trusted_after
            for layer in self._layers
        )

    def _count_sighted(self) -> None:
        self._seen = Negatives()
        for statement_id, held in self._sighted.items():
            self._seen.add(statement_id, held.statement, held.size)


def _supersedes(new: Negative, old: Negative) -> bool:
    return isinstance(new, Revocation) and isinstance(old, Revocation) and new.certificate == old.certificate
