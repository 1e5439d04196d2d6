"""The trust model says what it should: what holds with all rules on, and what each rule carries."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from tests.models import trust

# World: states searched with all rules on, and what breaks: nothing, but where more witnesses lie than the set allows.
ALL_RULES = {
    trust.CORE3: (3_952, set()),
    trust.CORE5: (7_120, set()),
    trust.MIXED: (652, set()),
    trust.CHANGE: (25_992, set()),
    trust.RETIRED: (8_512, set()),
    trust.ACROSS: (165_200, set()),
    trust.TWO5: (652, set()),
    trust.OVER5: (548, {"T2"}),
    trust.WEAK5: (1_848, {"T2"}),
}
LONG = {trust.CHANGE, trust.ACROSS}

# Rule: what breaks in any world without it.
WITHOUT = {
    "quorum": {"T2", "T5"},
    "extends_own": {"T1", "T3", "T5"},
    "store_before_answer": {"T2"},
    "old_and_new_threshold": {"T1", "T2"},
    "old_quorum_cosigns_charter": {"T2", "T5"},
    "version_plus_one": {"T5"},
    "negative_on_sight": {"T1"},
    "gossip_forces_fetch": {"T3"},
    "distinct_signers": {"T1"},
    "revocation_sticks": {"T1"},
    "gossip_carries_unlogged": {"T3"},
    "gossip_carries_checkpoint": {"T2", "T2-proof"},
    "negative_from_any_charter": {"T1", "T3"},
}
# The smallest world that shows a rule's worth, and what breaks there.
SMALLEST = {
    "quorum": (trust.MIXED, {"T2"}),
    "extends_own": (trust.MIXED, {"T1", "T3", "T5"}),
    "version_plus_one": (trust.RETIRED, {"T5"}),
    "negative_on_sight": (trust.MIXED, {"T1"}),
    "gossip_forces_fetch": (trust.MIXED, {"T3"}),
    "distinct_signers": (trust.CORE3, {"T1"}),
    "revocation_sticks": (trust.MIXED, {"T1"}),
    "gossip_carries_unlogged": (trust.MIXED, {"T3"}),
    "gossip_carries_checkpoint": (trust.OVER5, {"T2", "T2-proof"}),
}


def without(rule: str) -> trust.Rules:
    return replace(trust.Rules(), **{rule: False})


@pytest.mark.parametrize(
    "world",
    [pytest.param(w, id=w.name, marks=[pytest.mark.full] if w in LONG else []) for w in ALL_RULES],
)
def test_with_all_rules_on(world: trust.World) -> None:
    search = trust.Search(world, trust.Rules()).run()
    assert (len(search.parent), set(search.broken)) == ALL_RULES[world]


@pytest.mark.parametrize("rule", SMALLEST)
def test_without_a_rule_the_smallest_world_breaks(rule: str) -> None:
    world, broken = SMALLEST[rule]
    assert set(trust.Search(world, without(rule)).run(trust.CAP).broken) == broken


@pytest.mark.full
@pytest.mark.parametrize("rule", WITHOUT)
def test_without_a_rule_what_it_carries_breaks(rule: str) -> None:
    worlds = (*trust.WORLDS, *((trust.OVER5,) if rule == "gossip_carries_checkpoint" else ()))
    cap = 10**9 if rule in trust.FULL else trust.CAP
    broken = {name for world in worlds for name in trust.Search(world, without(rule)).run(cap).broken}
    assert broken == WITHOUT[rule]


def test_each_rule_is_turned_off_once() -> None:
    assert [field.name for field in fields(trust.Rules)] == list(WITHOUT)
    assert set(ALL_RULES) == {*trust.WORLDS, *trust.EXPECTED_TO_BREAK}


def test_the_enumerated_arguments_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert trust.scenarios() == 5_729
    said = capsys.readouterr().out
    assert "all rules on: exchange goes on or resumes in 9 of 9" in said
    assert "judged by (f+1)-th earliest cosignature on the transit log: 0 forged accepted" in said
    assert "judged by hub acceptance alone: 36 forged accepted" in said
    assert "several revocations, earliest counts: holds" in said
    assert "newest charter: holds" in said
    assert "lift names its suspension True: holds" in said
    verdicts = re.findall(r"association in every signature (\w+), .* quorum (\w+): \d+ states, (.*)", said)
    assert verdicts == [
        ("True", "True", "holds"),
        ("False", "True", "breaks T8"),
        ("True", "False", "breaks T8-mirror"),
    ]


@pytest.mark.parametrize("lever", [field.name for field in fields(trust.Levers)])
def test_without_a_lever_somebody_can_stop_the_exchange(lever: str) -> None:
    assert all(trust.levers(trust.Levers()).values())
    assert not all(trust.levers(replace(trust.Levers(), **{lever: False})).values())


@pytest.mark.parametrize("off", ["freeze", "extends_own", "largest_view"])
def test_recovery_needs_each_of_its_rules(off: str) -> None:
    rules = {"freeze": True, "extends_own": True, "largest_view": True}
    assert trust.recovery(**rules) == []
    assert trust.recovery(**{**rules, off: False})
