"""The client is a distribution of its own: it needs two packages and nothing of ours."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from tests.layers import follower

FOLDER = Path(__file__).parents[2] / "clients" / "python"
PACKAGE = "valija_client"


def test_the_client_imports_what_it_declares_and_nothing_else() -> None:
    modules = follower.read(FOLDER, (PACKAGE,))
    assert len(modules) > 5
    found = {there.split(".")[0] for module in modules.values() for there in module.foreign}
    declared = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]["dependencies"]
    assert found - sys.stdlib_module_names == {each.split(">")[0] for each in declared} == {"aiohttp", "msgspec"}


def test_its_modules_go_round_in_no_circle() -> None:
    # The package itself imports them all, to show what it offers.
    circles = follower.cycles(follower.read(FOLDER, (PACKAGE,)))
    assert [each for each in circles if PACKAGE not in each] == []


def test_it_says_that_it_is_typed() -> None:
    assert (FOLDER / PACKAGE / "py.typed").read_bytes() == b""
