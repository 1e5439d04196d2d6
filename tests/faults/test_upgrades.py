"""Homes of an earlier release, brought up to date while everybody writes, and killed while they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from hub.sqlite_store import SCHEMA as HUB_SCHEMA
from keys.migrating import Schema, taken
from node import archive
from tests.faults.earlier import HUB, NODE, Undoing, kept, undo
from tests.faults.evidence import key_of
from tests.faults.ground import Ground
from tests.faults.mischief import FAULTS, Mischief
from tests.faults.trapped import Prelude

pytestmark = pytest.mark.full
AR, BR = "ar-mpf", "br-mpf"
UPGRADE: Final = {"upgrade": FAULTS["upgrade"]}


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path, [AR, BR], rate=30, forked=True, tls=False, prelude=Prelude(quick=True)) as ground:
        ground.start()
        ground.traffic.start()
        yield ground


def schema(ground: Ground, name: str) -> Schema:
    return HUB_SCHEMA if name == "hub" else archive.schema(key_of(ground.association.homes[name]))


def tables(ground: Ground, name: str) -> set[str]:
    """What the database consists of, as SQLite tells it."""
    with closing(schema(ground, name).open(ground.database(name))) as connection:
        return {str(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_schema") if sql}


class Most(random.Random):
    """Undoes as much as can be undone."""

    def randint(self, a: int, b: int) -> int:
        return max(a, b)


@pytest.mark.parametrize(("name", "undoings"), [("hub", HUB), (AR, NODE)])
def test_what_is_undone_are_the_newest_steps_and_the_next_start_takes_them(
    ground: Ground, name: str, undoings: tuple[Undoing, ...]
) -> None:
    ground.traffic.until(20)
    daemon, database, home = ground.daemon(name), ground.database(name), ground.association.homes.get(name)
    daemon.kill()
    before, newest = tables(ground, name), schema(ground, name).names
    version = undo(database, home, Most())
    assert [each.step for each in reversed(undoings)] == newest[version:]
    assert tables(ground, name) != before
    with closing(schema(ground, name).open(database)) as connection:
        assert taken(connection, schema(ground, name).steps) == (newest[:version], version)
    daemon.start()
    assert ground.recovers(60), daemon.last_words()
    assert [path.name for path in kept(database)] == [f"{database.name}.version-{version}.backup"]
    ground.settle(120, least=60)
    assert len(tables(ground, name)) == len(before)


def test_whoever_is_brought_up_to_date_loses_nothing(ground: Ground) -> None:
    mischief = Mischief(ground, 7)
    for _each in range(8):
        mischief.once(UPGRADE)
        ground.traffic.wait(1)
    verdict = ground.settle(120, least=100)
    assert verdict.is_sound, str(verdict)
    assert not ground.deaths
    assert not any(kept(ground.database(name)) for name in ground.names)
