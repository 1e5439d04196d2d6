"""The runner of mutants takes nothing for a killer but a test that failed."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import BrokenError, _failing
from tests.mutants.mutant import ROOT


def test_a_suite_of_which_nothing_runs_kills_no_mutant() -> None:
    with pytest.raises(BrokenError, match="ended with 5"):
        _failing(ROOT, ["tests/faults/test_disks.py"])


def test_a_suite_that_passes_lets_the_mutant_live() -> None:
    assert _failing(ROOT, ["tests/mutants/test_anchors.py::test_every_rule_has_a_name_of_its_own"]) == ""
