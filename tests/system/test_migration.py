"""Homes of an earlier release: brought up to date once, whatever interrupts it, and never opened by an older program."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hub.sqlite_store import SCHEMA as HUB_SCHEMA
from keys.migrating import taken
from node import archive, config
from node.config import Home
from node.founding import open_custody
from tests.fixtures.homes import VERSIONS, Homes
from tests.system.forked import Command, run
from tests.system.house import eventually
from tests.system.test_fixtures import AR, HUB, Revived

OLDEST = VERSIONS[0]
KILLS = 3


@pytest.fixture
def revived(tmp_path: Path) -> Iterator[Revived]:
    made = Revived(Homes.copied(OLDEST, tmp_path))
    yield made
    made.stop()


def database(revived: Revived, name: str) -> Path:
    return revived.homes.folder / name / ("hub.db" if name == HUB else "archive.db")


def versions(revived: Revived, name: str, path: Path) -> tuple[int, int]:
    """That of the file at `path`, and the newest."""
    if name == HUB:
        with closing(sqlite3.connect(path)) as connection:
            return taken(connection, HUB_SCHEMA.steps)[1], len(HUB_SCHEMA.names)
    home = Home(revived.homes.folder / name)
    key = open_custody(home, config.load(home, {}), {}).archive_key
    with archive.opened(path, key) as connection:
        return taken(connection, archive.schema(key).steps)[1], len(archive.schema(key).names)


def backups(revived: Revived, name: str) -> list[Path]:
    return sorted(database(revived, name).parent.glob("*.backup"))


def test_a_home_is_brought_up_to_date_once_with_the_old_file_beside_it(revived: Revived) -> None:
    old = {name: versions(revived, name, database(revived, name))[0] for name in (HUB, AR)}
    for _each in range(2):
        daemons = [revived.start(HUB), revived.start(AR)]
        told = [daemon.get(path)[1] for daemon, path in zip(daemons, ("/status", "/api/v1/status"), strict=True)]
        revived.stop()
        for name, status in zip((HUB, AR), told, strict=True):
            version, newest = versions(revived, name, database(revived, name))
            assert version == newest == status["schema"] > old[name]
            (kept,) = backups(revived, name)
            assert kept.name == f"{database(revived, name).name}.version-{old[name]}.backup"
            assert kept.stat().st_mode & 0o777 == 0o600
            assert versions(revived, name, kept)[0] == old[name]
            assert (name == HUB) == kept.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("name", [HUB, AR])
def test_killed_again_and_again_it_opens_and_is_finished(revived: Revived, name: str, tmp_path: Path) -> None:
    program, path = ("hub" if name == HUB else "node"), database(revived, name)
    image = tmp_path / "image"
    shutil.copytree(path.parent, image)
    for _kill in range(KILLS):
        shutil.rmtree(path.parent)
        shutil.copytree(image, path.parent)
        command = Command(program, "serve", "--home", path.parent, environment=revived.environment, ahead=revived.ahead)
        process = command._process
        # The copy that takes the missing steps shows that it is under way; which line dies is for tests/keys/test_migrating.
        eventually("it begins", lambda: path.with_name(f"{path.name}.next").exists() or bool(backups(revived, name)))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        command.done()
        versions(revived, name, path)
    for each in dict.fromkeys((HUB, name)):
        revived.start(each)
    revived.stop()
    version, newest = versions(revived, name, path)
    assert version == newest
    assert len(backups(revived, name)) == 1
    assert not path.with_name(f"{path.name}.next").exists()


@pytest.mark.parametrize("name", [HUB, AR])
def test_an_older_program_refuses_a_newer_home_and_says_why(revived: Revived, name: str) -> None:
    program, path = ("hub" if name == HUB else "node"), database(revived, name)
    if name == HUB:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        home = Home(path.parent)
        key = open_custody(home, config.load(home, {}), {}).archive_key
        with archive.opened(path, key) as connection:
            connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    how = {"environment": revived.environment, "ahead": revived.ahead}
    refused = run(program, "serve", "--home", path.parent, **how)
    assert (refused.status, refused.told["error"]["code"]) == (1, "home_newer")
    assert "version 99" in refused.told["error"]["message"]
    assert path.read_bytes() == before
    rows = {each["name"]: each for each in run(program, "doctor", "--home", path.parent, **how).told["rows"]}
    row = rows["version" if name == HUB else "archive"]
    assert (row["level"], "newer program" in row["remedy"]) == ("problem", True)
