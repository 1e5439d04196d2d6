"""A node's backup by command: what is in it, what it refuses, and what a home that was put back is about to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyrage import x25519

from keys import backup as backups
from keys.backup import Source, Subject
from keys.cli_backup import one_at_a_time
from keys.files import write_new
from keys.journal import Entry
from keys.last_backup import LAST
from keys.levels import Level
from node import archive, config, diagnosis, doctor, founding, recovery
from node.archive import Archive
from node.config import Home
from node.sql import SqlTransaction
from node.tables import people, state
from protocol.names import AssociationId, Incarnation, Party
from protocol.trust.statements import Cause
from tests.node.test_cli import Done, valija
from tests.support.association import found

NOW = 1_795_000_000
OWNER = x25519.Identity.generate()
PUBLIC = str(OWNER.to_public())


@pytest.fixture(scope="module")
def charter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("association"), ()).charter_file


@pytest.fixture
def home(tmp_path: Path, charter: Path) -> Home:
    made = Home(tmp_path / "home")
    founding.make_home(made, "ar-mpf", charter, "", {}, NOW)
    return made


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    write_new(path, str(OWNER).encode())
    return path


@pytest.fixture
def out(tmp_path: Path, home: Home) -> Path:
    path = tmp_path / "out.age"
    assert valija("backup", path, "--home", home.folder, "--recipient", PUBLIC).status == 0
    return path


def restored(out: Path, home: Path, identity: Path, *words: str, **environment: str) -> Done:
    return valija("restore", out, "--home", home, "--identity", identity, *words, "--json", **environment)


def looked_at(home: Home) -> SqlTransaction:
    """The rows of a home whose daemon does not run."""
    custody = founding.open_custody(home, config.load(home, {}), {})
    return SqlTransaction(archive._connect(home.archive, custody.archive_key))


# -- what is in it ---------------------------------------------------------------------------------------
def test_everything_but_the_prekeys_is_kept(home: Home, out: Path, identity: Path, tmp_path: Path) -> None:
    custody = founding.open_custody(home, config.load(home, {}), {})
    custody.prekeys(home, Party(AssociationId(b"a" * 32), "ar-mpf")).ensure(NOW, incarnation=None)
    again = tmp_path / "again.age"
    told = valija("backup", again, "--home", home.folder, "--recipient", PUBLIC, "--json").told
    assert set(told["files"]) == {
        *("node.toml", "charter.txt", "node-key.txt", "archive.key", "archive.db", "secret", "keys/ar-mpf.node.key")
    }
    assert told["schema"] == len(archive.schema(b"").names)
    new = Home(tmp_path / "new")
    assert restored(again, new.folder, identity).status == 0
    names = {str(each.relative_to(new.folder)) for each in new.folder.rglob("*") if each.is_file()}
    assert names == {*told["files"], LAST}
    for name in set(told["files"]) - {"archive.db"}:
        assert (new.folder / name).read_bytes() == (home.folder / name).read_bytes()
    assert {each.name for each in home.folder.iterdir()} >= {"prekeys", LAST}
    assert not [each for each in home.folder.iterdir() if each.name.endswith(".part")]


def test_files_that_the_settings_name_inside_the_home_are_kept(home: Home, tmp_path: Path) -> None:
    (home.folder / "tls").mkdir()
    for path in (home.folder / "tls" / "node.pem", home.folder / "tls" / "node.key", tmp_path / "elsewhere.pem"):
        path.write_text("x")
    for name in ("nudges", "mail-password", "mail-ca.pem"):
        (home.folder / name).write_text("x")
    environment = {
        "VALIJA_NODE_API_TLS_CERTIFICATE": "tls/node.pem",
        "VALIJA_NODE_API_TLS_KEY": str(home.folder / "tls" / "node.key"),
        "VALIJA_NODE_HUB_CA_FILE": str(tmp_path / "elsewhere.pem"),
        "VALIJA_NODE_NUDGES_SIGNING_SECRET_FILE": "nudges",
        "VALIJA_NODE_MAIL_USER": "valija",
        "VALIJA_NODE_MAIL_PASSWORD_FILE": "mail-password",
        "VALIJA_NODE_MAIL_CA_FILE": "mail-ca.pem",
    }
    words = ("--home", home.folder, "--recipient", PUBLIC, "--json")
    told = valija("backup", tmp_path / "out.age", *words, **environment).told
    assert {"tls/node.pem", "tls/node.key", "nudges", "mail-password", "mail-ca.pem"} <= set(told["files"])
    assert not [each for each in told["files"] if "elsewhere" in each]


def test_a_secret_kept_elsewhere_stays_there(home: Home, identity: Path, tmp_path: Path) -> None:
    secret = tmp_path / "kept-elsewhere"
    home.secret.rename(secret)
    elsewhere = {"VALIJA_SECRET_FILE": str(secret)}
    out = tmp_path / "out.age"
    done = valija("backup", out, "--home", home.folder, "--recipient", PUBLIC, **elsewhere)
    assert "kept elsewhere and not in it" in done.out
    refused = restored(out, tmp_path / "new", identity)
    assert (refused.status, refused.told["error"]["code"]) == (1, "key_access")
    assert not (tmp_path / "new").exists()
    assert restored(out, tmp_path / "new", identity, **elsewhere).status == 0


def test_a_passphrase_will_do(home: Home, tmp_path: Path) -> None:
    words = tmp_path / "words"
    write_new(words, b"cuatro palabras que recuerdo\n")
    out = tmp_path / "out.age"
    done = valija("backup", out, "--home", home.folder, "--passphrase-file", words)
    assert f"{out}.key opens it, with your passphrase" in done.out
    assert "--passphrase-file FILE --dry-run" in done.out
    done = valija("restore", out, "--home", tmp_path / "new", "--passphrase-file", words)
    assert "Have every caller hand in again" in done.out
    assert (tmp_path / "new" / "node.toml").exists()


# -- one moment ------------------------------------------------------------------------------------------
@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Archive]:
    store = Archive(tmp_path / "archive.db", b"k" * 32)
    store.run(lambda tx: tx.run("CREATE TABLE pair (id INTEGER PRIMARY KEY, filler BLOB)"))
    store.run(lambda tx: tx.many("INSERT INTO pair (filler) VALUES (?)", [(os.urandom(8_000),)] * 600))
    yield store
    store.close()


def test_a_snapshot_is_of_one_moment_and_holds_up_nobody_who_writes(busy: Archive, tmp_path: Path) -> None:
    done, counts = threading.Event(), []

    def write() -> None:
        while not done.is_set():
            busy.run(lambda tx: tx.run("INSERT INTO pair (filler) VALUES (x'00')"))
            busy.run(lambda tx: tx.run("UPDATE pair SET filler = x'01' WHERE id = 1"))
            counts.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    while not counts:
        pass
    for number in range(3):
        before, target = len(counts), tmp_path / f"copy-{number}"
        archive.snapshot(tmp_path / "archive.db", b"k" * 32, target)
        assert len(counts) > before, "commits went on meanwhile"
        with archive.opened(target, b"k" * 32) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert copy.execute("SELECT count(*) FROM pair").fetchone()[0] >= 600
        assert target.stat().st_mode & 0o777 == 0o600
        assert b"SQLite format" not in target.read_bytes()
    done.set()
    writer.join()


def test_two_backups_at_once_are_one_too_many(home: Home, tmp_path: Path) -> None:
    with one_at_a_time(home.folder):
        done = valija("backup", tmp_path / "out.age", "--home", home.folder, "--recipient", PUBLIC, "--json")
    assert (done.status, done.told["error"]["code"]) == (1, "invalid_request")


# -- what it refuses -------------------------------------------------------------------------------------
def changed(out: Path, kind: str = "node", schema: int = 1, without: str = "") -> Path:
    """A backup of the same home, but for these."""
    folder = out.with_name("opened")
    made = backups.restore(out, folder, [OWNER], lambda _m: None, lambda _f, _m: None)
    sources = [Source(each.name, folder / each.name) for each in made.files if each.name != without]
    path = out.with_name("changed.age")
    backups.write(path, Subject(kind, "ar-mpf", schema, "0", NOW), sources, [OWNER.to_public()])
    return path


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda out: changed(out, kind="hub"), "bad_backup"),
        (lambda out: changed(out, without="archive.key"), "bad_backup"),
        (lambda out: changed(out, schema=99), "home_newer"),
        (lambda out: out.with_name("none.age"), "invalid_request"),
    ],
)
def test_what_cannot_be_put_back_is_refused_and_nothing_is_written(
    out: Path, identity: Path, tmp_path: Path, change: Callable[[Path], Path], code: str, dry_run: tuple[str, ...]
) -> None:
    done = restored(change(out), tmp_path / "new", identity, *dry_run)
    assert (done.status, done.told["error"]["code"]) == (1, code)
    assert not (tmp_path / "new").exists()


def test_a_home_that_is_there_is_not_touched(home: Home, out: Path, identity: Path) -> None:
    before = {each: each.read_bytes() for each in home.folder.rglob("*") if each.is_file()}
    done = restored(out, home.folder, identity)
    assert (done.status, done.told["error"]["code"]) == (1, "already_exists")
    assert {each: each.read_bytes() for each in home.folder.rglob("*") if each.is_file()} == before


def test_a_dry_run_reads_all_of_it_and_writes_nothing(out: Path, identity: Path, tmp_path: Path) -> None:
    done = restored(out, tmp_path / "new", identity, "--dry-run")
    assert (done.status, done.told["restored"], done.told["name"]) == (0, False, "ar-mpf")
    assert not (tmp_path / "new").exists()
    out.write_bytes(out.read_bytes()[:-1])
    assert restored(out, tmp_path / "new", identity, "--dry-run").told["error"]["code"] == "bad_backup"


# -- what a home that was put back does --------------------------------------------------------------------
def test_an_opening_that_was_under_way_is_begun_anew(home: Home, identity: Path, tmp_path: Path) -> None:
    tx = looked_at(home)
    state.begin_incarnation(tx, Incarnation(1, 7))
    state.put(tx, "opening", int(Cause.ROLLED_BACK))
    state.put(tx, "opening statement", b"the node that died may have lived the life of this one")
    tx._connection.close()
    out = tmp_path / "out.age"
    assert valija("backup", out, "--home", home.folder, "--recipient", PUBLIC).status == 0
    new = Home(tmp_path / "new")
    assert restored(out, new.folder, identity).status == 0
    tx = looked_at(new)
    assert recovery.pending(tx) is Cause.RESTORED
    assert state.get(tx, "opening statement") is None
    assert [each.detail for each in state.alarms(tx)] == ["restored"]
    tx._connection.close()


def test_doctor_tells_the_version_and_warns_when_no_backup_is_made(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> dict[str, diagnosis.Row]:
        return {each.name: each for each in doctor.examine(home, {})}

    found = rows()
    assert found["archive"].found == f"version {len(archive.schema(b'').names)}, intact"
    assert (found["backup"].level, found["backup"].found) == (Level.WARNING, "none was made yet")
    valija("backup", tmp_path / "out.age", "--home", home.folder, "--recipient", PUBLIC)
    assert rows()["backup"].level is Level.OK
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 8 * 86_400)
    assert rows()["backup"].level is Level.WARNING
    tx = looked_at(home)
    for about in ("msg_a", "msg_b"):
        people.record(tx, Entry(1_800_000_000, "ana", "opened", about))
    assert rows()["journal"].level is Level.OK
    assert people.journal_head(tx)[1].hex() in rows()["journal"].found
    tx.run("UPDATE journal SET about = 'msg_c' WHERE id = 1")
    assert (rows()["journal"].level, rows()["journal"].found[:7]) == (Level.PROBLEM, "entry 1")
    tx.run("PRAGMA user_version = 99")
    tx._connection.close()
    assert (rows()["archive"].level, rows()["archive"].code) == (Level.PROBLEM, "home_newer")
    home.archive.write_bytes(b"x" * 20_000)
    assert (rows()["archive"].level, rows()["archive"].code) == (Level.PROBLEM, "store")


@pytest.mark.parametrize(
    ("name", "damage", "code", "remedy"),
    [
        (
            "archive.key",
            lambda path: path.write_bytes(path.read_bytes()[:-9]),
            "key_damaged",
            "restore the newest backup",
        ),
        ("secret", lambda path: path.write_text("ab" * 32), "wrong_passphrase", "put back the secret file"),
        ("keys/ar-mpf.node.key", lambda path: path.chmod(0o644), "key_access", "closed to all other users"),
        ("keys/ar-mpf.node.key", lambda path: path.unlink(), "key_access", "closed to all other users"),
    ],
)
def test_doctor_says_of_each_key_what_helps(
    home: Home, name: str, damage: Callable[[Path], object], code: str, remedy: str
) -> None:
    damage(home.folder / name)
    row = {each.name: each for each in doctor.examine(home, {})}["keys"]
    assert (row.level, row.code, remedy in row.remedy) == (Level.PROBLEM, code, True), row


def test_doctor_says_which_file_among_the_prekeys_keeps_the_node_from_starting(home: Home) -> None:
    for path, mode, said in (("20780.prekey", 0o644, "chmod 600"), ("x.prekey", 0o600, "move it elsewhere")):
        (home.prekeys / path).touch(mode)
        (home.prekeys / path).chmod(mode)
        row = {each.name: each for each in doctor.examine(home, {})}["prekeys"]
        assert (row.level, row.code, said in row.found) == (Level.PROBLEM, "key_access", True), row
        (home.prekeys / path).unlink()


def test_doctor_says_that_nothing_can_be_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    row = {each.name: each for each in doctor.examine(home, {})}["disk"]
    assert (row.level, row.code, "mounted for writing" in row.remedy) == (Level.PROBLEM, "store", True)
