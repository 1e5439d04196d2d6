"""The committed vectors are what the code writes, where nothing in them is random."""

from __future__ import annotations

import pytest

from tests.protocol.vectors_primitives import DETERMINISTIC, FOLDER, RANDOMIZED, load, render


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_vectors_come_out_the_same(name: str) -> None:
    assert render(DETERMINISTIC[name]()) == (FOLDER / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DETERMINISTIC | RANDOMIZED)
def test_every_file_describes_itself_and_every_fault_names_one_error(name: str) -> None:
    vectors = load(name)
    assert vectors["description"]
    assert vectors["valid"]
    assert all(case["name"] and case["error"] for case in vectors["invalid"])
    names = [case["name"] for case in vectors["invalid"]]
    assert len(set(names)) == len(names)
