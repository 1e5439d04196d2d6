"""The hub's own books: sound ones add up, and each bit that turned round in them is named, with effect and remedy."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hub import diagnosis, doctor
from hub.config import Home
from hub.sqlite_store import SqliteStore
from hub.sqlite_sums import About
from keys.levels import Level
from tests.hub.house import ALBA, BERTA, CARLA, House
from tests.hub.test_relay import acknowledge, read
from tests.support.hub_home import make_home, young_world


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a hub that accepted, delivered, told of an expiry, and holds what waits."""
    world = young_world()
    folder = tmp_path_factory.mktemp("sums") / "hub"
    home = make_home(folder, world)
    with closing(SqliteStore(home.database)) as store:
        house = House(store, world)
        house.send(ALBA, CARLA, lifetime=60)
        for _ in range(4):
            house.send(ALBA, BERTA, CARLA)
        house.send(CARLA, BERTA)
        read(house, BERTA)
        acknowledge(house, BERTA, 2)
        house.now += 61
        house.run(lambda group: group.expire())
    return folder


@pytest.fixture
def home(kept: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(kept, tmp_path / "hub"))


def problems(home: Home) -> dict[str, diagnosis.Row]:
    rows = {row.name: row for row in doctor.examine(home, {}, deep=True) if row.level is Level.PROBLEM}
    rows.pop("running")
    return rows


def change(home: Home, *statements: str) -> None:
    with closing(sqlite3.connect(home.database, isolation_level=None)) as database:
        for each in statements:
            assert database.execute(each).rowcount == 1, each


def test_the_books_of_a_sound_hub_add_up(home: Home) -> None:
    assert problems(home) == {}
    with closing(sqlite3.connect(home.database)) as database:
        (counts,) = database.execute("SELECT count(*) - count(ref), count(ref) FROM item").fetchall()
        assert min(counts) > 0, "there is something of each kind to be wrong"
    assert "tables" in {row.name for row in doctor.examine(home, {})}


CHANGES = {
    "handed over": (About.CURSORS, "UPDATE member SET handed_over = 1 WHERE name = 'br-mpf'"),
    "acknowledged": (About.CURSORS, "UPDATE member SET acknowledged = acknowledged + 16 WHERE name = 'br-mpf'"),
    "below nothing": (About.CURSORS, "UPDATE member SET acknowledged = -1 WHERE name = 'br-mpf'"),
    "last position": (About.CURSORS, "UPDATE member SET last_position = 0 WHERE name = 'br-mpf'"),
    "messages": (About.COUNTS, "UPDATE member SET messages = messages + 1 WHERE name = 'br-mpf'"),
    "bytes": (About.COUNTS, "UPDATE member SET waiting_bytes = waiting_bytes + 64 WHERE name = 'br-mpf'"),
    "shares": (About.COUNTS, "UPDATE member SET shares = x'' WHERE name = 'br-mpf'"),
    "shares that nobody reads": (About.COUNTS, "UPDATE member SET shares = x'c1' WHERE name = 'br-mpf'"),
    "a size": (
        About.COUNTS,
        "UPDATE item SET size_bytes = size_bytes + 1 WHERE place = (SELECT min(place) FROM item WHERE ref IS NOT NULL)",
    ),
    "no envelope": (
        About.MAILBOXES,
        "UPDATE item SET ref = ref + 1024 WHERE place = (SELECT min(place) FROM item WHERE ref IS NOT NULL)",
    ),
    "no ciphertext": (About.MAILBOXES, "DELETE FROM content WHERE ref = (SELECT max(ref) FROM content)"),
    "another's place": (
        About.MAILBOXES,
        "UPDATE item SET place = place + 1024 WHERE place = (SELECT min(place) FROM item WHERE ref IS NOT NULL)",
    ),
    "nobody's place": (
        About.MAILBOXES,
        "UPDATE item SET place = place + (1 << 50) WHERE place = (SELECT min(place) FROM item WHERE ref IS NOT NULL)",
    ),
    "no slot": (
        About.MAILBOXES,
        "UPDATE item SET slot = NULL WHERE place = (SELECT min(place) FROM item WHERE ref IS NOT NULL)",
    ),
    "accepted elsewhere": (
        About.MAILBOXES,
        "UPDATE acceptance SET position = position + 1 WHERE recipient = 'br-mpf' AND ref = (SELECT max(ref) FROM content)",
    ),
    "half a notice": (
        About.MAILBOXES,
        "UPDATE item SET data = NULL WHERE place = (SELECT min(place) FROM item WHERE ref IS NULL)",
    ),
    "a notice under no signature": (
        About.MAILBOXES,
        "UPDATE item SET batch = batch + 64 WHERE place = (SELECT min(place) FROM item WHERE ref IS NULL)",
    ),
    "waiting": (
        About.ENVELOPES,
        "UPDATE envelope SET waiting = waiting + 1 WHERE ref = (SELECT max(ref) FROM content)",
    ),
    "a stray": (About.ENVELOPES, "UPDATE acceptance SET ref = ref + 64 WHERE recipient = 'br-mpf' AND ref = 2"),
    "ciphertext of nothing": (About.ENVELOPES, "INSERT INTO content VALUES (99, x'', x'')"),
    "incarnation": (About.INCARNATION, "UPDATE incarnation SET leaf_index = leaf_index - 2"),
    "a calendar": (About.CALENDARS, "UPDATE calendar SET signed = substr(signed, 2) WHERE member = 'br-mpf'"),
    "a signature": (
        About.CALENDARS,
        "UPDATE calendar SET signed = CAST(substr(signed, 1, length(signed) - 1) || x'ff' AS BLOB) WHERE member = 'br-mpf'",
    ),
    "another's calendar": (
        About.CALENDARS,
        "UPDATE calendar SET signed = (SELECT signed FROM calendar WHERE member = 'ar-mpf') WHERE member = 'br-mpf'",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_named_with_effect_and_remedy(home: Home, what: str) -> None:
    about, statement = CHANGES[what]
    change(home, statement)
    row = problems(home)[about.value]
    assert row.found
    assert row.effect
    assert "backup" in row.remedy


def test_a_checkpoint_under_another_size_is_named(home: Home) -> None:
    change(home, "UPDATE checkpoint SET size = size + 64")
    row = problems(home)["log"]
    assert "kept as one of size" in row.found
    assert "backup" in row.remedy


def test_a_hub_that_was_put_back_has_no_incarnation_yet(home: Home) -> None:
    change(home, "DELETE FROM incarnation")
    assert problems(home) == {}


def test_what_is_wrong_can_be_a_member_of_another_name(home: Home) -> None:
    change(home, "UPDATE calendar SET member = 'br-mpg' WHERE member = 'br-mpf'")
    assert "br-mpg" in problems(home)["calendars"].found
