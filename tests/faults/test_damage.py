"""Bits that turn round on a disk: each is found and named by `doctor`, and then repaired, refused or kept apart."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocol.limits import DAY_SECONDS
from tests.faults.disks import committed_bytes, find, flip
from tests.faults.ground import last_code
from tests.system.forked import run
from tests.system.house import House

pytestmark = pytest.mark.full
AR, BR = "ar-mpf", "br-mpf"
COUNT = 4
SOCKETS = shutil.ignore_patterns("*.sock")


@dataclass
class Waiting:
    """A hub whose mailbox for an absent member holds some envelopes; hub and sender do not run, copies of all homes."""

    house: House
    ids: list[str]
    kept: Path

    def put_back(self) -> None:
        """Every home is as it was kept, and nothing runs."""
        for daemon in self.house.daemons.all:
            daemon.kill()
        for name in ("hub", AR, BR):
            home = self.house.association.folder / name
            shutil.rmtree(home)
            shutil.copytree(self.kept / name, home)

    @property
    def database(self) -> Path:
        return self.house.association.hub_home.database

    def value(self, sql: str) -> bytes:
        with closing(sqlite3.connect(self.database)) as connection:
            (found,) = connection.execute(sql).fetchone()
        return bytes(found)

    def everything_arrives(self) -> None:
        ar, br = self.house.api(AR), self.house.api(BR)
        for each in self.ids:
            ar.settled(each)
        assert sorted(each["id"] for each in br.inbox() if each["id"] in self.ids) == sorted(self.ids)

    def doctor(self, program: str = "hub") -> dict[str, Any]:
        """The rows of the hub's doctor, or of that of the recipient's node, by name."""
        home = self.house.association.hub_home.folder if program == "hub" else self.house.folder(BR)
        done = run(program, "doctor", "--deep", "--home", home)
        return {row["name"]: row for row in done.told["rows"]}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    folder = tmp_path_factory.mktemp("d")
    with House(folder, [AR, BR]) as house:
        house.start()
        ar = house.api(AR)
        ar.settled(ar.send(BR, body="antes", urgency="urgent"))
        house.daemons.nodes[BR].stop()
        ids = []
        for number in range(COUNT):
            # Each in an envelope of its own.
            ids.append(ar.send(BR, body=f"carta {number}", urgency="urgent"))
            ar.reaches(ids[-1], {BR: "relayed"})
        for daemon in house.daemons.all:
            daemon.stop()
        for name in ("hub", AR, BR):
            shutil.copytree(house.association.folder / name, folder / "kept" / name, ignore=SOCKETS)
        yield Waiting(house, ids, folder / "kept")


@pytest.fixture
def waiting(prepared: Waiting) -> Iterator[Waiting]:
    prepared.put_back()
    yield prepared
    for daemon in prepared.house.daemons.all:
        daemon.kill()


# What turns round, by the part that doctor names.
ITEMS = {
    "ciphertext": "SELECT ciphertext FROM content ORDER BY ref LIMIT 1 OFFSET 1",
    "slot": "SELECT slot FROM item WHERE ref IS NOT NULL ORDER BY place LIMIT 1 OFFSET 1",
    "core": "SELECT core FROM content ORDER BY ref LIMIT 1 OFFSET 1",
    "acceptance": "SELECT a.data FROM acceptance a JOIN item i ON i.ref = a.ref ORDER BY i.place LIMIT 1 OFFSET 1",
}


def test_a_sound_hub_has_no_problem_but_that_it_does_not_run(waiting: Waiting) -> None:
    assert [name for name, row in waiting.doctor().items() if row["level"] == "problem"] == ["running"]


@pytest.mark.parametrize("part", ITEMS)
def test_an_altered_item_is_named_and_its_sender_seals_it_again(waiting: Waiting, part: str) -> None:
    value = waiting.value(ITEMS[part])
    # The end of a core is the digest of its ciphertext.
    flip(waiting.database, find(waiting.database, value[-30:] if part == "core" else value))
    row = waiting.doctor()["items"]
    assert (row["level"], f"({part}) from {AR} to {BR}" in row["found"]) == ("problem", True), row
    assert row["remedy"]
    waiting.house.start(AR, BR)
    waiting.everything_arrives()


def test_what_names_no_sender_any_more_is_sealed_again_when_it_expires(waiting: Waiting) -> None:
    core = waiting.value(ITEMS["core"])
    flip(waiting.database, waiting.database.read_bytes().index(core) + core.index(AR.encode()) + 1, bit=1)
    assert f"(core) from {AR} to {BR}" in waiting.doctor()["items"]["found"]
    waiting.house.start(AR, BR, ahead=15 * DAY_SECONDS)
    waiting.everything_arrives()


LOG = {
    "a statement": "SELECT statement FROM entry ORDER BY position DESC LIMIT 1",
    "an entry": "SELECT entry FROM entry ORDER BY position DESC LIMIT 1",
}


@pytest.mark.parametrize("part", LOG)
def test_an_altered_log_is_named_and_served_to_nobody(waiting: Waiting, part: str) -> None:
    flip(waiting.database, find(waiting.database, waiting.value(LOG[part])))
    row = waiting.doctor()["log"]
    assert row["level"] == "problem", row
    assert "backup" in row["remedy"]
    hub = waiting.house.hub()
    assert hub.process
    assert hub.process.wait(20) == 1
    assert last_code(hub.log), hub.last_words()
    assert str(waiting.database) in hub.last_words()
    assert "valija-hub doctor" in hub.last_words()


def test_an_altered_checkpoint_is_named_and_signed_anew(waiting: Waiting) -> None:
    flip(waiting.database, find(waiting.database, waiting.value("SELECT note FROM checkpoint")[-90:]))
    assert waiting.doctor()["log"]["level"] == "problem"
    waiting.house.hub().wait()
    assert waiting.doctor()["log"]["level"] == "ok"


def test_a_damaged_page_is_named_and_ends_in_a_reason(waiting: Waiting) -> None:
    with closing(sqlite3.connect(waiting.database)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        pages = waiting.database.stat().st_size // page_bytes
    for page in range(1, min(pages, 6)):
        waiting.put_back()
        flip(waiting.database, page * page_bytes + 3, 6)
        row = waiting.doctor()["store"]
        assert (row["level"], "restore" in row["remedy"]) == ("problem", True), (page, row)


# -- after an unclean stop -----------------------------------------------------------------------------
PLACES = (0.0, 0.02, 0.5, 0.999)
"""Where in the committed part of a write-ahead log: its header, its first frames, its middle, its last commit."""


@pytest.mark.parametrize("name", ["hub", AR])
def test_a_bit_in_a_log_that_a_killed_process_left_is_named_and_nothing_is_overwritten(
    waiting: Waiting, name: str
) -> None:
    house = waiting.house
    house.hub().wait()
    house.node(AR).wait()
    for number in range(COUNT):
        house.api(AR).reaches(house.api(AR).send(BR, body=f"otra {number}", urgency="urgent"), {BR: "relayed"})
    for each in house.daemons.all:
        each.kill()
    home = house.association.hub_home.folder if name == "hub" else house.folder(AR)
    database = waiting.database if name == "hub" else house.association.homes[AR].archive
    end = committed_bytes(database)
    assert end is not None, "it was killed with commits in its log"
    sides = [database.with_name(database.name + each) for each in ("", "-wal", "-shm")]
    held = [each.read_bytes() for each in sides]
    for place in PLACES:
        flip(sides[1], int(place * end), 3)
        damaged = sides[1].read_bytes()
        done = run("hub" if name == "hub" else "node", "doctor", "--deep", "--home", home)
        row = {row["name"]: row for row in done.told["rows"]}["store" if name == "hub" else "archive"]
        assert (row["level"], "restore" in row["remedy"]) == ("problem", True), (place, row)
        assert "cannot be read" in row["found"]
        daemon = house.hub() if name == "hub" else house.node(AR)
        assert daemon.process
        assert daemon.process.wait(20) == 1
        assert last_code(daemon.log) == "damaged", daemon.last_words()
        assert [each.read_bytes() for each in sides] == [held[0], damaged, held[2]]
        sides[1].write_bytes(held[1])


# -- the node ------------------------------------------------------------------------------------------
PAGE_BYTES = 8_192


def test_a_sound_archive_is_read_through(waiting: Waiting) -> None:
    row = waiting.doctor("node")["archive"]
    assert (row["level"], row["found"].endswith("intact")) == ("ok", True), row


@pytest.mark.parametrize("page", [0, 1, 7, -1])
def test_a_bit_in_any_page_of_an_archive_is_named(waiting: Waiting, page: int) -> None:
    archive = waiting.house.association.homes[BR].archive
    offset = page * PAGE_BYTES + 4_000 + (archive.stat().st_size if page < 0 else 0)
    flip(archive, offset, 5)
    row = waiting.doctor("node")["archive"]
    assert (row["level"], row["code"]) == ("problem", "store"), row
    assert "restore" in row["remedy"]


def test_a_node_ends_with_a_reason_where_its_archive_cannot_be_read(waiting: Waiting) -> None:
    archive = waiting.house.association.homes[AR].archive
    for page in range(1, archive.stat().st_size // PAGE_BYTES):
        flip(archive, page * PAGE_BYTES + 100)
    waiting.house.hub().wait()
    node = waiting.house.node(AR)
    assert node.process
    assert node.process.wait(20) == 1
    assert last_code(node.log) == "store", node.last_words()
    assert str(archive) in node.last_words()
    assert "valija-node doctor" in node.last_words()
