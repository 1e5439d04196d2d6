"""The registry: committed logs, standing at the edges, negatives in any order, and what no honest log holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import merkle
from protocol.codec import encode
from protocol.errors import (
    CharterExpiredError,
    LimitError,
    LogError,
    MalformedError,
    PeerError,
    ProofError,
    RecipientSuspendedError,
    ReplayError,
    SignatureError,
    StandingError,
    ThresholdError,
    UnknownMemberError,
    UsageError,
    WrongAssociationError,
)
from protocol.limits import MAX_VIEW_NEGATIVES
from protocol.names import AssociationId, Incarnation, StatementId
from protocol.trust.registry import Entry, Outcome, Registry, entry_bytes
from protocol.trust.statements import Role, SignedStatement, statement_hash
from tests.protocol.vectors_primitives import flip, load
from tests.protocol.vectors_registry import ERRORS
from tests.support.world import DAY, START, YEAR, World, private_key

VECTORS = load("registry")
STATEMENTS = [bytes.fromhex(each) for each in VECTORS["statements"]]


@pytest.fixture
def world() -> World:
    return World(members=("ar-mpf",))


def holds(question: Callable[..., object], *arguments: object) -> bool:
    try:
        question(*arguments)
    except StandingError:
        return False
    return True


# -- vectors -----------------------------------------------------------------------------------------
def grown(leaves: list[tuple[str, int]], ignored: Collection[int] = ()) -> Registry:
    registry = Registry(AssociationId(bytes.fromhex(VECTORS["association"])))
    for index, (entry, number) in enumerate(leaves):
        assert registry.append(bytes.fromhex(entry), STATEMENTS[number]).applied is (index not in ignored)
    return registry


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["name"])
def test_valid_logs(case: dict[str, Any]) -> None:
    registry = grown(case["leaves"], case["ignored"])
    assert (registry.size, registry.root.hex()) == (case["size"], case["root"])
    for kind, subject, at, expected in case["standing"]:
        if kind == "member":
            assert holds(registry.member_standing, subject, at) == expected
        else:
            assert holds(registry.certificate_standing, StatementId(bytes.fromhex(subject)), at) == expected


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["name"])
def test_invalid_leaves(case: dict[str, Any]) -> None:
    *before, (entry, number) = case["leaves"]
    registry = grown(before)
    size, root = registry.size, registry.root
    if case["error"] == "bad_log" or case["name"] == "statement that is not the entry's":
        with pytest.raises(ERRORS[case["error"]]):
            registry.append(bytes.fromhex(entry), STATEMENTS[number])
        assert (registry.size, registry.root) == (size, root)
    else:
        assert registry.append(bytes.fromhex(entry), STATEMENTS[number]) == Outcome(applied=False, code=case["error"])
        assert registry.size == size + 1


# -- the log -----------------------------------------------------------------------------------------
def test_roots_are_those_of_the_merkle_tree_at_every_size(world: World) -> None:
    hashes = [merkle.leaf_hash(entry) for entry in world.entries]
    for size in range(len(hashes) + 1):
        assert world.registry.root_at(size) == merkle.root(hashes[:size])
    assert world.registry.root == merkle.root(hashes)
    for size in (-1, len(hashes) + 1):
        with pytest.raises(UsageError):
            world.registry.root_at(size)


def test_entries_are_kept(world: World) -> None:
    assert world.registry.entry(0) == Entry(1, START, world.statements[0].hash)
    assert world.registry.logged_at == START
    with pytest.raises(UsageError):
        world.registry.entry(world.registry.size)
    assert world.registry.index_of(world.statements[3].id) == 3
    assert world.registry.index_of(StatementId(bytes(32))) is None


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (encode([1, START]), MalformedError),
        (encode([1, START, bytes(31)]), MalformedError),
        (encode([1, None, bytes(32)]), MalformedError),
        (encode([1, START, bytes(32)]) + b"\0", MalformedError),
        (bytes(65), LimitError),
    ],
)
def test_an_entry_of_another_form_makes_the_log_invalid(world: World, entry: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Entry.parse(entry)
    with pytest.raises(LogError):
        world.registry.append(entry, world.statements[0])


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_an_entry_reads_back(kind: int, logged_at: int, hashed: bytes) -> None:
    entry = Entry.parse(entry_bytes(kind, logged_at, hashed))
    assert (entry.type, entry.logged_at, entry.hash) == (kind, logged_at, hashed)


def test_an_empty_registry_has_no_charter_and_takes_nothing_but_charter_1(world: World) -> None:
    empty = Registry(world.association)
    assert (empty.size, empty.logged_at, empty.root) == (0, 0, merkle.EMPTY_ROOT)
    for question in (lambda: empty.charter, lambda: empty.charter_id):
        with pytest.raises(UsageError):
            question()
    for signed in (world.statements[1], world.suspend("ar-mpf", START), world.next_charter()):
        with pytest.raises(PeerError):
            empty.check(signed, START)
    empty.check(world.statements[0], START)
    with pytest.raises(ThresholdError):
        empty.apply_on_sight(world.suspend("ar-mpf", START))


def test_what_is_checked_is_what_would_be_applied_and_changes_nothing(world: World) -> None:
    admission = world.admit("br-mpf")
    world.registry.check(admission, START)
    with pytest.raises(UnknownMemberError):
        world.registry.member("br-mpf")
    assert world.log(admission).applied
    with pytest.raises(ReplayError):
        world.registry.check(admission, START)
    with pytest.raises(LogError):
        world.registry.check(world.admit("co-fgn"), START - 1)


def test_bytes_that_do_not_parse_still_have_their_leaf(world: World) -> None:
    raw = b"\xc1"
    signed = SignedStatement.from_bytes(world.statements[0].raw)
    entry = entry_bytes(1, START, statement_hash(raw))
    assert world.registry.append(entry, raw) == Outcome(applied=False, code="malformed")
    with pytest.raises(ProofError):
        world.registry.append(entry, signed)


# -- charters ----------------------------------------------------------------------------------------
def test_a_new_charter_rules_from_its_leaf_on(world: World) -> None:
    successors = [private_key("successor", str(number)) for number in range(3)]
    renewed = world.next_charter(successors, k=3)
    assert world.log(renewed).applied
    assert (world.registry.charter.version, world.registry.charter_id) == (2, renewed.id)
    assert [charter.version for charter in world.registry.charters] == [1, 2]
    assert world.log(world.admit("br-mpf")).code == "threshold_not_met"
    assert world.log(world.admit("br-mpf", keys=successors[:2])).code == "threshold_not_met"
    assert world.log(world.admit("br-mpf", keys=successors)).applied
    assert world.log(world.suspend("br-mpf", START)).applied


def test_k_is_counted_within_one_charter(world: World) -> None:
    successors = [private_key("successor", str(number)) for number in range(3)]
    assert world.log(world.next_charter(successors)).applied
    mixed = [world.stewards[0], successors[0]]
    assert world.log(world.suspend("ar-mpf", START, mixed)).code == "threshold_not_met"


def test_an_expired_charter_stops_changes_but_not_negatives_nor_its_own_renewal(world: World) -> None:
    late = world.registry.charter.expires_at + 1
    assert world.log(world.certify("ar-mpf", key=private_key("renewed")), late).code == "charter_expired"
    assert world.log(world.suspend("ar-mpf", START)).applied
    assert world.log(world.next_charter(expires_at=late + YEAR)).applied
    assert world.log(world.certify("ar-mpf", key=private_key("renewed"))).applied


def test_messages_go_on_for_90_days_after_the_charter(world: World) -> None:
    last = world.registry.charter.expires_at + 90 * DAY
    world.registry.check_charter(last)
    with pytest.raises(CharterExpiredError):
        world.registry.check_charter(last + 1)


def test_the_last_second_of_a_charter_counts(world: World) -> None:
    assert world.log(world.admit("br-mpf"), world.registry.charter.expires_at).applied


# -- members -----------------------------------------------------------------------------------------
def test_members_are_listed_by_name_with_their_newest_admission(world: World) -> None:
    world.join("aa-aa")
    assert world.log(world.admit("ar-mpf", private_key("new root"), START + 1), START + 1).applied
    assert [member.name for member in world.registry.members()] == ["aa-aa", "ar-mpf"]
    record = world.registry.member("ar-mpf")
    assert (record.root, record.country) == (private_key("new root").public, "AR")
    assert record.index == world.registry.size - 1
    assert world.registry.index_of(record.admission) == record.index
    with pytest.raises(UnknownMemberError):
        world.registry.member("br-mpf")


def test_each_reason_has_its_error(world: World) -> None:
    registry = world.registry
    assert registry.member_standing("ar-mpf", START).name == "ar-mpf"
    for name, at in (("br-mpf", START), ("ar-mpf", START - 1)):
        with pytest.raises(UnknownMemberError):
            registry.member_standing(name, at)
    world.log(world.suspend("ar-mpf", START))
    with pytest.raises(RecipientSuspendedError):
        registry.member_standing("ar-mpf", START + 1)


def test_a_second_suspension_survives_the_lift_of_the_first(world: World) -> None:
    first, second = (world.suspend("ar-mpf", START, reason=reason) for reason in ("one", "two"))
    for signed in (first, second, world.lift(first.id)):
        assert world.log(signed).applied
    assert not holds(world.registry.member_standing, "ar-mpf", START + 1)
    assert world.log(world.lift(second.id)).applied
    assert holds(world.registry.member_standing, "ar-mpf", START + 1)
    assert world.log(first).code == "replayed"


# -- certificates and incarnations -------------------------------------------------------------------
def test_a_certificate_holds_from_its_first_to_its_last_second(world: World) -> None:
    own = world.certificates["ar-mpf"]
    for at, expected in ((START - 1, False), (START, True), (START + YEAR, True), (START + YEAR + 1, False)):
        assert holds(world.registry.certificate_standing, own, at) == expected
    with pytest.raises(StandingError):
        world.registry.certificate(StatementId(bytes(32)))
    with pytest.raises(StandingError):
        world.registry.certificate_standing(StatementId(bytes(32)), START)


def test_certificates_in_standing_are_listed(world: World) -> None:
    renewed = world.certify("ar-mpf", key=private_key("renewed"), not_before=START + 100)
    assert world.log(renewed).applied
    own = world.certificates["ar-mpf"]
    assert [each.id for each in world.registry.node_certificates("ar-mpf", START)] == [own]
    assert [each.id for each in world.registry.node_certificates("ar-mpf", START + 100)] == [own, renewed.id]
    assert world.registry.node_certificates("br-mpf", START) == ()
    (hub,) = world.registry.hub_certificates(START)
    assert (hub.id, hub.role, hub.party.member) == (world.hub_certificate, Role.HUB, "")
    record = world.registry.certificate(own)
    assert (record.party, record.key, record.index) == (world.party("ar-mpf"), world.key("ar-mpf").public, 4)


def test_a_hub_is_certified_by_its_root_alone(world: World) -> None:
    assert world.log(world.certify("", Role.HUB, private_key("x"), world.root("ar-mpf"))).code == "bad_signature"
    assert world.log(world.revoke(world.hub_certificate, START, [world.root("ar-mpf")])).code == "threshold_not_met"
    assert world.log(world.revoke(world.hub_certificate, START, [world.hub_root])).applied
    assert world.registry.hub_certificates(START + 1) == ()


def test_the_root_that_signed_a_certificate_revokes_it_even_when_replaced(world: World) -> None:
    own = world.certificates["ar-mpf"]
    assert world.log(world.admit("ar-mpf", private_key("new root"), START + 1), START + 1).applied
    assert world.log(world.revoke(own, START - 9, [private_key("new root")])).code == "threshold_not_met"
    assert holds(world.registry.certificate_standing, own, START)
    assert world.log(world.revoke(own, START - 9, [world.root("ar-mpf")])).applied
    assert not holds(world.registry.certificate_standing, own, START)


def test_one_steward_is_no_root(world: World) -> None:
    own = world.certificates["ar-mpf"]
    assert world.log(world.revoke(own, START, world.stewards[:1])).code == "threshold_not_met"
    both = [world.root("ar-mpf"), world.stewards[0]]
    assert world.log(world.revoke(own, START, both)).applied


def test_the_same_root_in_a_new_admission_keeps_its_certificates(world: World) -> None:
    assert world.log(world.admit("ar-mpf", admitted_at=START + 1), START + 1).applied
    assert holds(world.registry.certificate_standing, world.certificates["ar-mpf"], START + 2)


def test_incarnations_are_those_that_were_opened(world: World) -> None:
    assert world.registry.incarnations(Role.NODE, "ar-mpf") == [Incarnation(1, 5)]
    world.log(world.next_charter())
    assert world.log(world.open("ar-mpf")).applied
    newest = Incarnation(2, world.registry.size - 1)
    assert world.registry.incarnations(Role.NODE, "ar-mpf") == [Incarnation(1, 5), newest]
    assert world.registry.is_incarnation(Role.NODE, "ar-mpf", newest)
    assert not world.registry.is_incarnation(Role.HUB, "", newest)
    assert not world.registry.is_incarnation(Role.NODE, "br-mpf", newest)
    assert world.registry.incarnations(Role.HUB, "") == [world.hub_incarnation]
    opening = world.registry.last_opening(Role.NODE, "ar-mpf")
    assert opening is not None
    assert opening.opened_at == START + 1
    assert world.registry.last_opening(Role.NODE, "br-mpf") is None


def test_an_incarnation_is_opened_under_ones_own_certificate(world: World) -> None:
    world.join("br-mpf")
    foreign = world.open("br-mpf", certificate=world.certificates["ar-mpf"], key=world.key("ar-mpf"))
    outcome = world.log(foreign)
    assert (outcome.applied, outcome.code) == (False, "unverifiable")
    assert world.registry.incarnations(Role.NODE, "br-mpf") == [world.incarnations["br-mpf"]]


def test_a_withheld_incarnation_does_not_outrank_a_later_one(world: World) -> None:
    withheld, later = (world.open("ar-mpf", opened_at=START + seconds) for seconds in (1, 2))
    assert world.log(later).applied
    assert world.log(withheld).code == "stale"


# -- networks ----------------------------------------------------------------------------------------
def test_a_roster_is_known_at_every_size(world: World) -> None:
    before = world.registry.size
    assert world.log(world.roster("rfai", ["ar-mpf"])).applied
    assert world.log(world.roster("rfai", ["ar-mpf", "br-mpf"], 2)).applied
    assert world.log(world.roster("redcoop", ["br-mpf"])).applied
    assert world.log(world.roster("rfai", [], 3)).applied
    one, two = (world.party("ar-mpf"),), (world.party("ar-mpf"), world.party("br-mpf"))
    found = [world.registry.roster("rfai", size) for size in range(before, before + 5)]
    assert found == [None, one, two, two, None]
    assert world.registry.roster("rfai") is None
    assert world.registry.roster("nobody") is None
    assert [roster.network for roster in world.registry.networks()] == ["redcoop"]
    with pytest.raises(UsageError):
        world.registry.roster("rfai", world.registry.size + 1)


# -- negatives ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_several_the_earliest_counts_in_any_order(world: World, order: tuple[int, ...]) -> None:
    own = world.certificates["ar-mpf"]
    made = [world.revoke(own, START + after, reason=str(after)) for after in (5, 3, 9)]
    for number in order:
        assert world.log(made[number]).applied
    assert holds(world.registry.certificate_standing, own, START + 3)
    assert not holds(world.registry.certificate_standing, own, START + 4)


@settings(max_examples=15)
@given(st.permutations(range(6)))
def test_negatives_mean_the_same_wherever_they_stand(order: Sequence[int]) -> None:
    """Positives in their own order, negatives anywhere between, before and after them."""
    world = World(members=())
    admission, certificate = world.admit("ar-mpf"), world.certify("ar-mpf")
    other = world.certify("ar-mpf", key=private_key("other"))
    negatives = [
        world.revoke(certificate.id, START + 5),
        world.suspend("ar-mpf", START + 7),
        world.revoke(other.id, START),
    ]
    positives = iter((admission, certificate, other))
    for number in order:
        signed = negatives[number] if number < 3 else next(positives)
        assert world.log(signed).applied
    standing = [
        [holds(world.registry.certificate_standing, each.id, START + at) for at in range(9)]
        for each in (certificate, other)
    ]
    assert standing == [[True] * 6 + [False] * 3, [True] + [False] * 8]
    assert [holds(world.registry.member_standing, "ar-mpf", START + at) for at in (7, 8)] == [True, False]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_an_expulsion_outlasts_every_admission_signed_before_it(order: Sequence[int]) -> None:
    world = World(members=())
    expulsion = world.expel("ar-mpf", START + 5, expelled_at=START + 4)
    admissions = [world.admit("ar-mpf", private_key(str(at)), START + at) for at in (1, 4)]
    leaves = [expulsion, *admissions, world.certify("ar-mpf", root=private_key("4"))]
    for number in order:
        world.log(leaves[number])
    for at in (6, 7, DAY):
        assert not holds(world.registry.member_standing, "ar-mpf", START + at)
        assert world.registry.node_certificates("ar-mpf", START + at) == ()


def test_on_sight_a_negative_has_effect_and_leaves_the_replay_alone(world: World) -> None:
    registry, suspension = world.registry, world.suspend("ar-mpf", START)
    assert registry.apply_on_sight(suspension)
    assert not registry.apply_on_sight(suspension)
    assert registry.unlogged_negatives() == (suspension.raw,)
    assert not holds(registry.member_standing, "ar-mpf", START + 1)
    assert registry.node_certificates("ar-mpf", START + 1) == ()
    # The leaf applies here as everywhere, though this registry already distrusts who signed it.
    assert world.log(world.open("ar-mpf"), START + 2).applied
    assert world.log(suspension).applied
    assert registry.unlogged_negatives() == ()
    assert not registry.apply_on_sight(suspension)
    assert world.log(world.lift(suspension.id)).applied
    assert holds(registry.member_standing, "ar-mpf", START + 3)


def test_on_sight_an_expulsion_counts_as_the_next_leaf(world: World) -> None:
    # Signed by a clock that was a year behind: it still ends what is in force.
    assert world.registry.apply_on_sight(world.expel("ar-mpf", START, expelled_at=START - YEAR))
    assert not holds(world.registry.member_standing, "ar-mpf", START + 1)
    assert world.log(world.admit("ar-mpf", admitted_at=START + 2), START + 2).applied
    assert holds(world.registry.member_standing, "ar-mpf", START + 2)


def test_on_sight_an_expulsion_counts_as_the_leaf_that_it_was_when_it_was_seen(world: World) -> None:
    seen_at = world.registry.size
    assert world.log(world.admit("ar-mpf", admitted_at=START + 2), START + 2).applied
    expulsion = world.expel("ar-mpf", START, expelled_at=START - YEAR)
    assert world.registry.apply_on_sight(expulsion, seen_at)
    assert world.registry.sighted() == ((expulsion, seen_at),)
    assert holds(world.registry.member_standing, "ar-mpf", START + 2)


def test_on_sight_only_the_strongest_revocation_is_kept(world: World) -> None:
    own, root = world.certificates["ar-mpf"], [world.root("ar-mpf")]
    assert world.registry.apply_on_sight(world.revoke(own, START + 9, root))
    assert not world.registry.apply_on_sight(world.revoke(own, START + 9, root, reason="again"))
    suspension = world.suspend("ar-mpf", START + 8)
    assert world.registry.apply_on_sight(suspension)
    stronger = world.revoke(own, START + 5, root)
    assert world.registry.apply_on_sight(stronger)
    assert world.registry.unlogged_negatives() == (suspension.raw, stronger.raw)
    assert not holds(world.registry.certificate_standing, own, START + 6)


def test_on_sight_nothing_else_has_effect(world: World) -> None:
    own = world.certificates["ar-mpf"]
    stranger = World(members=("ar-mpf",), name="iap")
    for signed, error in (
        (world.admit("br-mpf"), MalformedError),
        (stranger.suspend("ar-mpf", START), WrongAssociationError),
        (world.suspend("ar-mpf", START, world.stewards[:1]), ThresholdError),
        (world.revoke(own, START, [private_key("nobody")]), ThresholdError),
        (world.revoke(StatementId(bytes(32)), START, [world.root("ar-mpf")]), ThresholdError),
        (SignedStatement.from_bytes(flip(world.suspend("ar-mpf", START).raw, -1)), SignatureError),
    ):
        with pytest.raises(error):
            world.registry.apply_on_sight(signed)
    assert world.registry.unlogged_negatives() == ()
    assert holds(world.registry.certificate_standing, own, START + 1)


def test_no_more_unlogged_negatives_than_a_view_carries(world: World) -> None:
    for number in range(MAX_VIEW_NEGATIVES + 1):
        assert world.registry.apply_on_sight(world.suspend("ar-mpf", START, reason=str(number)))
    assert len(world.registry.unlogged_negatives()) == MAX_VIEW_NEGATIVES


def test_a_statement_is_verified_once_however_often_it_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    admission, calls = SignedStatement.from_bytes(world.admit("br-mpf").raw), list[object]()
    monkeypatch.setattr("protocol.signing.PublicKey.verify", lambda *arguments: calls.append(arguments))
    world.registry.check(admission, START)
    world.log(admission)
    assert len(calls) == world.k
