"""A hub's backup by command: what is in it, what it refuses, and what a home that was put back is about to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pyrage import x25519

from hub import diagnosis, doctor
from hub.config import Home
from hub.sqlite_check import looking
from hub.sqlite_store import SCHEMA
from keys import backup as backups
from keys.backup import Source, Subject
from keys.files import write_new
from keys.last_backup import LAST
from tests.hub.test_cli import run, told
from tests.support.hub_home import make_home, running, young_world
from tests.support.world import World

OWNER = x25519.Identity.generate()
READERS = ("--recipient", str(OWNER.to_public()))


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
def home(tmp_path: Path, world: World) -> Home:
    return make_home(tmp_path / "hub", world)


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    write_new(path, str(OWNER).encode())
    return path


def test_everything_is_kept_and_put_back(home: Home, identity: Path, tmp_path: Path) -> None:
    (home.folder / "tls").mkdir()
    (home.folder / "tls" / "hub.pem").write_text("x")
    (home.folder / "console.pem").write_text("x")
    out, new = tmp_path / "hub.age", Home(tmp_path / "new")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALIJA_HUB_TLS_CERTIFICATE", "tls/hub.pem")
        patch.setenv("VALIJA_HUB_TLS_KEY", "tls/none.key")
        patch.setenv("VALIJA_HUB_CONSOLE_TLS_CERTIFICATE", "console.pem")
        patch.setenv("VALIJA_HUB_CONSOLE_TLS_KEY", "tls/none.key")
        made = told(run("backup", out, "--home", home.folder, *READERS, "--json"))
    assert {"hub.toml", "hub.db", "secret", "tls/hub.pem", "console.pem"} <= set(made["files"])
    assert made["schema"] == len(SCHEMA.names)
    assert "--identity FILE --dry-run" in run("backup", tmp_path / "2.age", "--home", home.folder, *READERS).output
    whole = run("restore", out, "--home", new.folder, "--identity", identity, "--dry-run")
    assert "is whole" in whole.output
    assert not new.folder.exists()
    done = run("restore", out, "--home", new.folder, "--identity", identity)
    assert "takes in what the nodes hold" in done.output
    names = {str(each.relative_to(new.folder)) for each in new.folder.rglob("*") if each.is_file()}
    assert names == {*made["files"], LAST}
    assert {each.stat().st_mode & 0o077 for each in new.folder.rglob("*")} == {0}
    with looking(new.database) as tx, looking(home.database) as before:
        assert tx.incarnation() is None
        assert before.incarnation() is not None
        assert tx.entries(0, 99) == before.entries(0, 99)
    assert not list(home.folder.glob(".*"))


async def test_it_is_made_while_the_hub_runs(home: Home, tmp_path: Path) -> None:
    async with running(home):
        done = run("backup", tmp_path / "hub.age", "--home", home.folder, *READERS)
        assert done.exit_code == 0, done.output


def test_a_secret_kept_elsewhere_stays_there(
    home: Home, identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "elsewhere"
    home.secret.rename(secret)
    out = tmp_path / "hub.age"
    assert "kept elsewhere and not in it" in run("backup", out, "--home", home.folder, *READERS).output
    refused = run("restore", out, "--home", tmp_path / "new", "--identity", identity, "--json")
    assert told(refused)["error"]["code"] == "key_access"
    assert not (tmp_path / "new").exists()
    monkeypatch.setenv("VALIJA_SECRET_FILE", str(secret))
    assert run("restore", out, "--home", tmp_path / "new", "--identity", identity).exit_code == 0


@pytest.mark.parametrize(
    ("kind", "schema", "without", "code"),
    [("node", 1, "", "bad_backup"), ("hub", 1, "hub.db", "bad_backup"), ("hub", 99, "", "home_newer")],
)
def test_what_cannot_be_put_back_is_refused(
    home: Home, identity: Path, tmp_path: Path, kind: str, schema: int, without: str, code: str
) -> None:
    out = tmp_path / "changed.age"
    sources = [Source(each.name, each) for each in (home.config, home.database, home.secret) if each.name != without]
    backups.write(out, Subject(kind, "aiamp", schema, "0", 1), sources, [OWNER.to_public()])
    done = run("restore", out, "--home", tmp_path / "new", "--identity", identity, "--json")
    assert (done.exit_code, told(done)["error"]["code"]) == (1, code)
    assert not (tmp_path / "new").exists()


def test_before_install_there_is_nothing_to_keep(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    done = run("backup", tmp_path / "hub.age", "--home", home.folder, *READERS, "--json")
    assert told(done)["error"]["code"] == "bad_config"
    home.database.write_bytes(b"x" * 5_000)
    done = run("backup", tmp_path / "hub.age", "--home", home.folder, *READERS, "--json")
    assert told(done)["error"]["code"] == "store"


def test_a_copy_put_back_is_marked_by_install(home: Home) -> None:
    marked = run("install", "--restored", "--home", home.folder)
    assert "takes in what the nodes hold when it is started" in marked.output
    with looking(home.database) as tx:
        assert tx.incarnation() is None
    at_once = told(run("install", "--restored", "--at-once", "--home", home.folder, "--json"))
    assert (at_once["will_refill"], at_once["incarnation"] is None) == (False, False)


def test_the_doctor_tells_the_version(home: Home) -> None:
    def row() -> diagnosis.Row:
        return next(each for each in doctor.examine(home, {}) if each.name == "version")

    assert row().found == str(len(SCHEMA.names))
    for version, level in ((99, "problem"), (0, "ok")):
        with closing(sqlite3.connect(home.database, isolation_level=None)) as database:
            database.execute(f"PRAGMA user_version = {version}")
            if not version:
                database.execute("DELETE FROM _sqlite_migrations WHERE name <> 'members'")
        assert row().level == level
    assert "brought to" in row().found
    home.database.write_bytes(b"x" * 5_000)
    assert {each.name: str(each.level) for each in doctor.examine(home, {})}["version"] == "problem"
