"""The table of mutants keeps step with the code: each stands where it says, and changes something that is Python.

Whether the suites kill them takes longer: `make mutants`.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.table import MUTANTS

MIN_MUTANTS = 60


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_in_one_place(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutant.applied(source) != source


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_killers_exist(mutant: Mutant) -> None:
    assert mutant.killers
    for killer in mutant.killers:
        path, _, name = killer.partition("::")
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8")
        assert (ROOT / path).exists()


def test_every_rule_has_a_name_of_its_own() -> None:
    for told in ([each.name for each in MUTANTS], [each.rule for each in MUTANTS], [each[:4] for each in _keys()]):
        assert [name for name, count in Counter(told).items() if count > 1] == []


def _keys() -> list[tuple[str, str, str]]:
    return [(each.file, each.old, each.new) for each in MUTANTS]


def test_there_are_many_and_every_room_has_some() -> None:
    assert len(MUTANTS) >= MIN_MUTANTS
    assert {each.file.split("/")[0] for each in MUTANTS} >= {"protocol", "keys"}


def test_a_table_out_of_step_is_told() -> None:
    def said(old: str, new: str) -> str:
        with pytest.raises(ValueError, match="x:") as caught:
            Mutant("x", "f", old, new, "r", ("t",)).applied("a = 1\nb = 1\n")
        return str(caught.value)

    assert "0 places" in said("c = 1", "c = 2")
    assert "2 places" in said(" = 1", " = 2")
    assert "no Python" in said("a = 1", "a = (")
    assert "changes nothing" in said("a = 1", "a  = 1")
