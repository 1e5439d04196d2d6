"""Signed facts about an association: the bytes that a registry's log holds (SPEC 6.1 and 6.2).

The *id* of a statement is a digest of its body alone, so that it is one statement however many signed
it; its *hash*, which the log holds, covers the signatures too.  Which keys may sign what is decided by
the registry; here a signature either verifies or it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol.bodies import (
    Admission,
    Body,
    Cause,
    Certificate,
    Expulsion,
    Lift,
    Opening,
    Revocation,
    Role,
    Roster,
    StatementType,
    Suspension,
    Titles,
    require_ascending,
)
from protocol.codec import Value, array, binary, decode, encode, fields, uint, versioned
from protocol.errors import MalformedError, PeerError, UsageError, VersionError
from protocol.limits import MAX_ARRAY_ITEMS, MAX_STATEMENT_BYTES
from protocol.names import AssociationId, Digest, StatementId, read_digest
from protocol.signing import HashLabel, Label, PrivateKey, PublicKey, Signature, digest
from protocol.trust.charter import (
    NO_ASSOCIATION,
    Charter,
    CharterHub,
    Continues,
    Limits,
    Steward,
    Witnesses,
    association_id,
)

Statement: TypeAlias = Charter | Admission | Certificate | Roster | Revocation | Suspension | Lift | Expulsion | Opening
Negative: TypeAlias = Revocation | Suspension | Expulsion

MAX_SIGNATURES: Final = 64
PEERING: Final = 10
_BODY_FIELDS: Final = range(2, MAX_ARRAY_ITEMS)
NEGATIVES: Final = (Revocation, Suspension, Expulsion)

_PARSERS: Final[dict[int, Callable[[AssociationId, Sequence[Value]], Statement]]] = {
    StatementType.CHARTER: Charter.parse,
    StatementType.ADMISSION: Admission.parse,
    StatementType.CERTIFICATE: Certificate.parse,
    StatementType.ROSTER: Roster.parse,
    StatementType.REVOCATION: Revocation.parse,
    StatementType.SUSPENSION: Suspension.parse,
    StatementType.LIFT: Lift.parse,
    StatementType.EXPULSION: Expulsion.parse,
    StatementType.OPENING: Opening.parse,
}


def read_body(body: bytes) -> Statement:
    """The statement that a body encodes.

    Raises `VersionError` for another protocol version or a peering, `LimitError` or `MalformedError`
    (`NonCanonicalError` for another encoding) for everything else that is no statement.
    """
    number, association, *further = versioned(decode(body, MAX_STATEMENT_BYTES), _BODY_FIELDS)
    kind = uint(number)
    if kind == PEERING:
        raise VersionError("peering")
    if kind not in _PARSERS:
        raise MalformedError("statement type")
    if association == NO_ASSOCIATION and kind != StatementType.CHARTER:
        raise MalformedError("no association")
    return _PARSERS[kind](AssociationId(read_digest(association)), further)


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A body, what it says, and signatures by fingerprint, sorted; none of them verified until `signers` is asked."""

    raw: bytes = field(repr=False)
    body: bytes = field(repr=False)
    statement: Statement
    signatures: tuple[tuple[bytes, Signature], ...] = field(repr=False)
    id: StatementId
    hash: Digest
    # A signature is worth a fifth of a millisecond: what verified once under a key is not verified again.
    _verified: set[tuple[bytes, bytes]] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> SignedStatement:
        """The signed statement in `raw`, at most 256 KiB; its signatures are not verified.

        Raises what `read_body` raises, `MalformedError` too for signatures that are not strictly ascending.
        """
        body_value, listed = fields(decode(raw, MAX_STATEMENT_BYTES), 2)
        body = binary(body_value)
        signatures = tuple(_signature(each) for each in array(listed, MAX_SIGNATURES))
        require_ascending([fingerprint for fingerprint, _signature in signatures], "signatures")
        return cls(raw, body, read_body(body), signatures, statement_id(body), statement_hash(raw))

    @property
    def association(self) -> AssociationId:
        """The association that this statement is of; a first charter's is the one that it founds."""
        if isinstance(self.statement, Charter) and self.statement.version == 1:
            return association_id(self.body)
        return self.statement.association

    def signers(self, keys: Mapping[bytes, PublicKey], association: AssociationId) -> frozenset[bytes]:
        """The fingerprints, of those in `keys`, whose signature is here and holds for `association`.

        Signatures by other keys count for nothing.  Raises `SignatureError` if one by a key in `keys` does not hold.
        """
        found = [(fingerprint, signature) for fingerprint, signature in self.signatures if fingerprint in keys]
        for fingerprint, signature in found:
            if (fingerprint, association) not in self._verified:
                keys[fingerprint].verify(Label.STATEMENT, association, self.body, signature)
                self._verified.add((fingerprint, association))
        return frozenset(fingerprint for fingerprint, _signature in found)


def statement_id(body: bytes) -> StatementId:
    """The digest of a body, by which other statements name it."""
    return StatementId(digest(HashLabel.STATEMENT_ID, body))


def statement_hash(raw: bytes) -> Digest:
    """The digest of a signed statement, which the log holds."""
    return Digest(digest(HashLabel.STATEMENT, raw))


def sign_statement(body: bytes, association: AssociationId, keys: Sequence[PrivateKey]) -> SignedStatement:
    """The body with a signature of each key; `UsageError` if it is no statement of this association."""
    signatures = {key.public.fingerprint: key.sign(Label.STATEMENT, association, body) for key in keys}
    try:
        signed = _assemble(body, signatures)
    except PeerError as error:
        raise UsageError(error.detail or error.code) from error
    if signed.association != association:
        raise UsageError("a statement of another association")
    return signed


def merge(first: SignedStatement, second: SignedStatement) -> SignedStatement:
    """The one body with the signatures of both, the first's where both have one; `UsageError` for two bodies."""
    if first.body != second.body:
        raise UsageError("two different statements")
    return _assemble(first.body, {**dict(second.signatures), **dict(first.signatures)})


def _assemble(body: bytes, signatures: Mapping[bytes, Signature]) -> SignedStatement:
    listed: list[Value] = [(fingerprint, *signatures[fingerprint].value()) for fingerprint in sorted(signatures)]
    return SignedStatement.from_bytes(encode([body, listed]))


def _signature(value: Value) -> tuple[bytes, Signature]:
    fingerprint, ed25519, mldsa65 = fields(value, 3)
    return (read_digest(fingerprint), Signature.parse([ed25519, mldsa65]))


__all__ = [
    "NEGATIVES",
    "NO_ASSOCIATION",
    "Admission",
    "Body",
    "Cause",
    "Certificate",
    "Charter",
    "CharterHub",
    "Continues",
    "Expulsion",
    "Lift",
    "Limits",
    "Negative",
    "Opening",
    "Revocation",
    "Role",
    "Roster",
    "SignedStatement",
    "Statement",
    "StatementType",
    "Steward",
    "Suspension",
    "Titles",
    "Witnesses",
    "association_id",
    "merge",
    "read_body",
    "sign_statement",
    "statement_hash",
    "statement_id",
]
