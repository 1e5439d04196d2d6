"""Any sequence of statements, honest or not, gives what a naive reading of the rules gives; and TRUST.md's T1 holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from protocol.errors import StandingError, ThresholdError, ValijaError
from protocol.signing import PrivateKey
from protocol.trust.registry import Outcome
from protocol.trust.statements import (
    NEGATIVES,
    Certificate,
    Charter,
    Expulsion,
    Lift,
    Revocation,
    Role,
    SignedStatement,
    Suspension,
)
from tests.protocol.registry_reference import Leaf, Reference, of
from tests.support.world import START, World, private_key

MEMBERS = ("ar-mpf", "br-mpf")
GROUPS = tuple(tuple(private_key("group", str(group), str(number)) for number in range(3)) for group in range(2))
ROOTS = {member: tuple(private_key("roots", member, str(number)) for number in range(2)) for member in MEMBERS}
KEYS = {member: tuple(private_key("keys", member, str(number)) for number in range(2)) for member in MEMBERS}
HUB_ROOTS = (private_key("hub root", "0"), private_key("hub root", "1"))

members = st.sampled_from(MEMBERS)
numbers = st.sampled_from((0, 0, 0, 1))
booleans = st.sampled_from((True, True, False))
# Mostly enough of the right stewards; sometimes too few, or another group: former ones, or not yet ones.
signings = st.tuples(st.sampled_from((2, 2, 2, 3, 1)), st.sampled_from((None, None, None, None, 0, 1)))
shifts = st.sampled_from((0, 0, 5, -5, 60, -60, 200))


def signers(signed: SignedStatement) -> frozenset[bytes]:
    return frozenset(fingerprint for fingerprint, _signature in signed.signatures)


def holder(certificate: SignedStatement) -> str:
    """Whose certificate it is; for the hub's, the first member's name."""
    statement = certificate.statement
    assert isinstance(statement, Certificate)
    return statement.member or MEMBERS[0]


def holds(question: Callable[..., object], *arguments: object) -> bool:
    try:
        question(*arguments)
    except StandingError:
        return False
    return True


class RegistryMachine(RuleBasedStateMachine):
    made = Bundle("made")
    certificates = Bundle("certificates")
    suspensions = Bundle("suspensions")

    @initialize(target=certificates)
    def found(self) -> object:
        self.world = World(members=())
        self.reference = Reference(self.world.association)
        self.outcomes: list[Outcome] = []
        self.fresh = count()
        self.group = 0
        for index, signed in enumerate(self.world.statements):
            assert self.reference.offer(Leaf(index, START, signed, signers(signed)))
        # The founders retire at once, so that there always are former stewards.
        self.log(self.charter_to(0, [*self.world.stewards, *GROUPS[0]]), 0)
        self.world.stewards = list(GROUPS[0])
        for member in MEMBERS:
            self.log(self.world.admit(member, ROOTS[member][0]), 1)
        certificates = [self.certificate(member, 0, 0, 1000) for member in MEMBERS]
        for signed in certificates:
            self.log(signed, 1)
        assert all(outcome.applied for outcome in self.outcomes)
        return multiple(*certificates)

    # -- making statements; each may be logged at once or held back --------------------------------------
    @rule(target=made, member=members, root=numbers, shift=shifts, signing=signings, logged=booleans)
    def admit(
        self, member: str, root: int, shift: int, signing: tuple[int, int | None], logged: bool
    ) -> SignedStatement:
        signed = self.world.admit(member, ROOTS[member][root], self.world.now + shift, self.stewards(signing))
        return self.made_one(signed, logged)

    @rule(target=certificates, member=members, root=numbers, key=numbers, hundreds=st.integers(1, 3), logged=booleans)
    def certify(self, member: str, root: int, key: int, hundreds: int, logged: bool) -> SignedStatement:
        return self.made_one(self.certificate(member, root, key, 100 * hundreds), logged)

    @rule(target=certificates, root=numbers)
    def certify_hub(self, root: int) -> SignedStatement:
        signed = self.world.certify("", Role.HUB, root=HUB_ROOTS[root], not_before=self.world.now)
        return self.made_one(signed, logged=True)

    @rule(
        target=made, one=certificates, after=shifts, root=numbers, signing=signings, by_root=booleans, logged=booleans
    )
    def revoke(
        self, one: SignedStatement, after: int, root: int, signing: tuple[int, int | None], by_root: bool, logged: bool
    ) -> SignedStatement:
        keys = [ROOTS[holder(one)][root]] if by_root else self.stewards(signing)
        return self.made_one(self.world.revoke(one.id, self.world.now + after, keys, str(next(self.fresh))), logged)

    @rule(target=suspensions, member=members, after=shifts, signing=signings, logged=booleans)
    def suspend(self, member: str, after: int, signing: tuple[int, int | None], logged: bool) -> SignedStatement:
        after, reason = self.world.now + after, str(next(self.fresh))
        return self.made_one(self.world.suspend(member, after, self.stewards(signing), reason), logged)

    @rule(target=made, one=suspensions, signing=signings)
    def lift(self, one: SignedStatement, signing: tuple[int, int | None]) -> SignedStatement:
        return self.made_one(self.world.lift(one.id, self.world.now, self.stewards(signing)), logged=True)

    @rule(target=made, member=members, after=shifts, shift=shifts, signing=signings, logged=booleans)
    def expel(
        self, member: str, after: int, shift: int, signing: tuple[int, int | None], logged: bool
    ) -> SignedStatement:
        now = self.world.now
        return self.made_one(self.world.expel(member, now + after, now + shift, self.stewards(signing)), logged)

    @rule(target=made, version=st.integers(1, 3), some=st.sets(members), signing=signings, logged=booleans)
    def roster(self, version: int, some: set[str], signing: tuple[int, int | None], logged: bool) -> SignedStatement:
        return self.made_one(self.world.roster("rfai", some, version, self.stewards(signing)), logged)

    @rule(target=made, one=certificates, honest=booleans, key=numbers, shift=shifts)
    def open(self, one: SignedStatement, honest: bool, key: int, shift: int) -> SignedStatement:
        member = holder(one) if honest else MEMBERS[0]
        at = self.world.now + shift
        return self.made_one(
            self.world.open(member, certificate=one.id, opened_at=at, key=KEYS[member][key]), logged=True
        )

    @rule(
        target=made,
        group=numbers,
        old=st.integers(1, 3),
        new=st.integers(1, 3),
        root=numbers,
        lasts=st.sampled_from((None, None, 30)),
        logged=booleans,
    )
    def charter(self, group: int, old: int, new: int, root: int, lasts: int | None, logged: bool) -> SignedStatement:
        keys = {key.public.fingerprint: key for key in (*GROUPS[self.group][:old], *GROUPS[group][:new])}
        expires_at = lasts and self.world.now + lasts
        return self.made_one(self.charter_to(group, list(keys.values()), root, expires_at), logged)

    def charter_to(
        self, group: int, keys: Iterable[PrivateKey], hub_root: int = 0, expires_at: int | None = None
    ) -> SignedStatement:
        return self.world.next_charter(
            stewards=GROUPS[group], keys=keys, hub_root=HUB_ROOTS[hub_root], expires_at=expires_at
        )

    def certificate(self, member: str, root: int, key: int, seconds: int) -> SignedStatement:
        now = self.world.now
        return self.world.certify(
            member, key=KEYS[member][key], root=ROOTS[member][root], not_before=now - 1, not_after=now + seconds
        )

    def stewards(self, signing: tuple[int, int | None]) -> Sequence[PrivateKey]:
        number, group = signing
        return GROUPS[self.group if group is None else group][:number]

    def made_one(self, signed: SignedStatement, logged: bool) -> SignedStatement:
        if logged:
            self.log(signed, 5)
        return signed

    # -- the hub's levers: order, repetition, time, and what is shown outside the log ----------------------
    @rule(one=st.one_of(made, certificates, suspensions), seconds=st.sampled_from((0, 0, 60)))
    def replay(self, one: SignedStatement, seconds: int) -> None:
        self.log(one, seconds)

    @rule(one=st.one_of(suspensions, made))
    def show(self, one: SignedStatement) -> None:
        if not isinstance(one.statement, NEGATIVES):
            return
        registry = self.world.registry
        if self.reference.sight(Leaf(registry.size, self.world.now, one, signers(one))):
            registry.apply_on_sight(one)
            assert not registry.apply_on_sight(one)
        else:
            with pytest.raises(ThresholdError):
                registry.apply_on_sight(one)

    def log(self, signed: SignedStatement, seconds: int) -> None:
        registry, at = self.world.registry, self.world.now + seconds
        expected = self.reference.offer(Leaf(registry.size, at, signed, signers(signed)))
        code = None
        try:
            registry.check(signed, at)
        except ValijaError as error:
            code = error.code
        outcome = self.world.log(signed, at)
        assert outcome == Outcome(expected, code)
        if expected and isinstance(signed.statement, Charter):
            self.group = int(signed.statement.stewards[0].key == GROUPS[1][0].public)
        self.outcomes.append(outcome)

    # -- what must hold --------------------------------------------------------------------------------
    @invariant()
    def standing_is_what_the_rules_say(self) -> None:
        registry, now = self.world.registry, self.world.now
        for at in (now - 201, now - 1, now, now + 1, now + 201):
            for member in MEMBERS:
                assert holds(registry.member_standing, member, at) == self.reference.member_ok(member, at)
            for leaf, _certificate in of(Certificate, self.reference.applied):
                ok = self.reference.certificate_ok(leaf.signed.id, at)
                assert holds(registry.certificate_standing, leaf.signed.id, at) == ok

    @invariant()
    def nothing_negative_is_forgotten(self) -> None:
        """T1: after its last trusted second, what a valid negative names is out of standing, logged or only seen."""
        registry = self.world.registry
        lifted = {lift.suspension for _leaf, lift in of(Lift, self.reference.applied)}
        shown = [*self.reference.applied, *self.reference.sighted]
        for _leaf, revocation in of(Revocation, shown):
            after = revocation.not_trusted_after + 1
            assert not holds(registry.certificate_standing, revocation.certificate, after)
        for leaf, suspension in of(Suspension, shown):
            if leaf.signed.id not in lifted:
                assert not holds(registry.member_standing, suspension.member, suspension.not_trusted_after + 1)
        for leaf, expulsion in of(Expulsion, shown):
            if holds(registry.member_standing, expulsion.member, expulsion.not_trusted_after + 1_000):
                back = registry.member(expulsion.member)
                assert back.admitted_at > expulsion.expelled_at
                assert back.index >= leaf.index

    @invariant()
    def a_mirror_of_the_log_agrees(self) -> None:
        if self.world.registry.size % 8:
            return
        mirror = self.world.mirror()
        assert mirror.root == self.world.registry.root
        assert mirror.charter_id == self.world.registry.charter_id
        assert mirror.members() == self.world.registry.members()
        assert mirror.roster("rfai") == self.world.registry.roster("rfai")


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=12, stateful_step_count=40, deadline=None)
