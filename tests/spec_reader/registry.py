"""SPEC 6.3 and 6.4: replay of a log, leaf by leaf."""

from collections.abc import Sequence

from tests.spec_reader.charter import Charter
from tests.spec_reader.digests import labelled
from tests.spec_reader.facts import (
    HUB,
    NODE,
    Admission,
    Body,
    Certificate,
    Incarnation,
    Lift,
    Negative,
    Roster,
    type_of,
)
from tests.spec_reader.merkle import plain_leaf, root
from tests.spec_reader.refusal import Refused, refuse, require
from tests.spec_reader.shape import array, digest, uint
from tests.spec_reader.signing import Key, fingerprint
from tests.spec_reader.state import REVOCATION, SUSPENSION, Admitted, Certified, Denied, Governed, State
from tests.spec_reader.statements import Statement, read_statement
from tests.spec_reader.wire import decode

SKEW = 3_600
Entry = tuple[int, int, bytes]


def replay(association: bytes, leaves: Sequence[tuple[bytes, bytes]]) -> tuple[State, list[str | None]]:
    """The state, and for each leaf why it was ignored; an invalid log is refused as a whole."""
    state = State(association)
    outcomes: list[str | None] = []
    before = 0
    for raw, signed in leaves:
        kind, logged_at = check_leaf(raw, signed, before)
        outcomes.append(_leaf(state, kind, logged_at, signed))
        state.leaves.append(plain_leaf(raw))
        before = logged_at
        require(outcomes[0] is None, "bad_log", f"leaf 0: {outcomes[0]}")
    return state, outcomes


def check_leaf(raw: bytes, signed: bytes, before: int) -> tuple[int, int]:
    """The type and logged_at of an entry with its statement, after one that was logged at `before`."""
    kind, logged_at, expected = read_entry(raw)
    require(logged_at >= before, "bad_log", "time decreases")
    require(labelled("valija/0 statement", signed) == expected, "bad_proof", "another statement")
    return kind, logged_at


def read_entry(raw: bytes) -> Entry:
    try:
        kind, logged_at, expected = array(decode(raw, 64), 3)
        return uint(kind, most=(1 << 64) - 1), uint(logged_at), digest(expected)
    except Refused as refused:
        refuse("bad_log", refused.code)


def _leaf(state: State, kind: int, logged_at: int, signed: bytes) -> str | None:
    try:
        statement = read_statement(signed)
        require(type_of(statement.body) == kind, "malformed", "type of the entry")
        apply(state, statement, logged_at)
    except Refused as refused:
        return refused.code
    return None


def apply(state: State, statement: Statement, logged_at: int) -> None:
    """The next leaf; a refusal leaves the state as it was."""
    body: Body = statement.body
    require(statement.association() == state.association, "wrong_association")
    require(statement.id() not in state.applied, "replayed", "applied before")
    if not state.charters:
        _found(state, statement, logged_at)
    elif isinstance(body, Charter):
        _amend(state, statement, body, logged_at)
    elif isinstance(body, Negative):
        _deny(state, statement, body)
    else:
        require(logged_at <= state.charter().expires_at, "charter_expired")
        _affirm(state, statement, logged_at)
    state.applied.add(statement.id())


def _affirm(state: State, statement: Statement, logged_at: int) -> None:
    body = statement.body
    if isinstance(body, Admission):
        _admit(state, statement, body, logged_at)
    elif isinstance(body, Certificate):
        _certify(state, statement, body, logged_at)
    elif isinstance(body, Incarnation):
        _open(state, statement, body, logged_at)
    else:
        _governed(statement, state.charter())
        if isinstance(body, Roster):
            known = state.rosters.setdefault(body.network, [])
            require(body.version == (known[-1][1].version if known else 0) + 1, "replayed", "version")
            known.append((len(state.leaves), body))
        elif isinstance(body, Lift):
            logged = {denied.id for denied in state.negatives if denied.fact.type == SUSPENSION}
            require(body.suspension in logged - state.lifts.keys(), "replayed", "nothing to lift")
            state.lifts[body.suspension] = logged_at


def _governed(statement: Statement, *charters: Charter) -> None:
    """Signed by k stewards of each."""
    signers = statement.signers([key for charter in charters for key in charter.stewards])
    require(all(_enough(charter, signers) for charter in charters), "threshold_not_met")


def _enough(charter: Charter, signers: set[bytes]) -> bool:
    return len({fingerprint(key) for key in charter.stewards} & signers) >= charter.threshold


def _signed_by(statement: Statement, key: Key) -> None:
    require(statement.signers([key]), "bad_signature", "not signed by the key that should have")


def _found(state: State, statement: Statement, logged_at: int) -> None:
    body = statement.body
    if not isinstance(body, Charter):
        refuse("bad_log", "leaf 0 is no charter")
    _governed(statement, body)
    state.charters.append(Governed(0, logged_at, statement.id(), body))


def _amend(state: State, statement: Statement, body: Charter, logged_at: int) -> None:
    held = state.charters[-1]
    require((body.version, body.previous) == (held.charter.version + 1, held.id), "replayed", "not the next charter")
    if body.continues is not None:
        size, expected = body.continues
        require(size <= len(state.leaves) and root(state.leaves[:size]) == expected, "bad_proof", "another log")
    _governed(statement, held.charter, body)
    state.charters.append(Governed(len(state.leaves), logged_at, statement.id(), body))


def _admit(state: State, statement: Statement, body: Admission, logged_at: int) -> None:
    known = state.admissions.setdefault(body.member, [])
    _governed(statement, state.charter())
    require(not known or body.admitted_at > known[-1].admitted_at, "stale", "admission")
    require(body.admitted_at <= logged_at + SKEW, "clock_skew", "admission")
    known.append(Admitted(len(state.leaves), logged_at, body.admitted_at, body.root))


def _certify(state: State, statement: Statement, body: Certificate, logged_at: int) -> None:
    admission = None
    signer = state.charter().hub.root
    if body.role == NODE:
        require(state.admissions.get(body.member), "unknown_member", body.member)
        admission = state.admissions[body.member][-1]
        end = state.ended_by(body.member, admission)
        require(end is None or logged_at <= end, "not_in_standing", "expelled")
        signer = admission.root
    _signed_by(statement, signer)
    state.certificates[statement.id()] = Certified(len(state.leaves), body, signer, admission)


def _deny(state: State, statement: Statement, body: Negative) -> None:
    charters = [governed.charter for governed in state.charters]
    stewards = [key for charter in charters for key in charter.stewards]
    held = state.certificates.get(body.subject) if body.type == REVOCATION and isinstance(body.subject, bytes) else None
    signers = statement.signers(stewards + ([held.root] if held else []))
    by_root = held is not None and fingerprint(held.root) in signers
    require(by_root or any(_enough(charter, signers) for charter in charters), "threshold_not_met")
    state.negatives.append(Denied(len(state.leaves), statement.id(), body))


def _open(state: State, statement: Statement, body: Incarnation, logged_at: int) -> None:
    key = state.holder(body.certificate, logged_at, body.role, body.member)
    _signed_by(statement, key)
    known = state.incarnations.setdefault((body.role, body.member if body.role != HUB else ""), [])
    require(not known or body.opened_at > known[-1][1], "stale", "incarnation")
    require(body.opened_at <= logged_at + SKEW, "clock_skew", "incarnation")
    known.append(((state.charter().version, len(state.leaves)), body.opened_at))
