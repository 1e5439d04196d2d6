"""Each rule of delivery carries something: its story ends well in the real cores, and not once the rule is taken out."""

from __future__ import annotations

import pytest

from tests.models.delivery import RULES
from tests.simulator.judge import BrokenError
from tests.simulator.stage import stage
from tests.simulator.stories import TOLD

# For what the rule exists, where the story could end badly by something else before it comes to that.
ENDS_WITH = {"stable_id": "^twice: R has 2 copies"}

QUICK = {"author_persist", "notice_contiguous", "void_truth", "restored_void"}
ALL = [pytest.param(rule, marks=[] if rule in QUICK else [pytest.mark.full]) for rule in sorted(TOLD)]


@pytest.mark.parametrize("rule", ALL)
def test_the_story_of_a_rule_ends_well(rule: str) -> None:
    with stage() as at, TOLD[rule].removed(rule=False):
        TOLD[rule].story(at)


@pytest.mark.parametrize("rule", ALL)
def test_without_its_rule_the_story_ends_badly(rule: str) -> None:
    # A story that took another course has shown nothing: that is no `BrokenError`.
    ends = pytest.raises(BrokenError, match=ENDS_WITH.get(rule))
    with stage() as at, TOLD[rule].removed(rule=True), ends:
        TOLD[rule].story(at)


def test_every_rule_has_its_story() -> None:
    assert TOLD.keys() == RULES.keys()
