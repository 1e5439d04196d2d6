"""The valija-hub command as its users meet it: answers, refusals with their codes, exit statuses; and the doctor."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result

from hub import diagnosis, doctor, store_checks
from hub.cli import main
from hub.client import Hub, _answer, _refusal
from hub.config import Home, Tls, load
from hub.core import NOT_INSTALLED
from hub.sqlite_store import SqliteStore
from hub.status import age
from hub.store import transaction
from keys import last_backup
from keys.levels import Level
from keys.papers import statement_paper
from keys.times import read_time, show_time
from protocol.errors import (
    ConfigError,
    HubGoneError,
    KeyAccessError,
    KeyDamagedError,
    NotRunningError,
    PassphraseError,
    StaleError,
    StoreError,
    UsageError,
    ValijaError,
)
from tests.faults.disks import flip
from tests.support.hub_client import connected
from tests.support.hub_home import Running, make_home, running, statements, young_world
from tests.support.world import DAY, YEAR, World


@pytest.fixture(scope="module")
def world() -> World:
    return young_world()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VALIJA")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world)) as started:
        yield started


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


async def ask(*arguments: str | Path) -> Result:
    """The command beside a hub that runs on this loop."""
    return await asyncio.to_thread(run, *arguments)


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def papers(folder: Path, world: World) -> list[Path]:
    found = []
    for number, signed in enumerate(statements(world)):
        found.append(folder / f"{number}.valija")
        found[-1].write_bytes(statement_paper(signed, "for tests"))
    return found


# -- beginning -------------------------------------------------------------------------------------------
def test_init_says_what_comes_next(tmp_path: Path) -> None:
    done = run("init", "--home", tmp_path / "hub", "--association", "aiamp")
    assert done.exit_code == 0, done.output
    for word in ("valija-keys charter draft", "valija-keys certify hub", "valija-hub install", "aiamp.log.public"):
        assert word in done.output
    secret = (tmp_path / "hub" / "secret").read_text().strip()
    assert secret not in done.output


def test_an_open_address_without_tls_makes_no_home(tmp_path: Path) -> None:
    done = run("init", "--home", tmp_path / "hub", "--association", "aiamp", "--host", "0.0.0.0")
    assert done.exit_code == 1
    assert "--tls-certificate" in done.stderr
    assert not (tmp_path / "hub").exists()


def test_half_of_what_tls_needs_makes_no_home(tmp_path: Path) -> None:
    done = run("init", "--home", tmp_path / "hub", "--association", "aiamp", "--tls-certificate", "c.pem")
    assert (done.exit_code, "belong together" in done.stderr) == (1, True)
    assert not (tmp_path / "hub").exists()


def test_files_are_named_from_where_one_is_and_whatever_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--tls-certificate", 'c"\\.pem', "--tls-key", "k.pem")
    assert run("init", "--home", "hub", "--association", "aiamp", *words).exit_code == 0
    assert load(Home(tmp_path / "hub"), {}).tls == Tls(str(tmp_path / 'c"\\.pem'), str(tmp_path / "k.pem"))


def test_init_in_json(tmp_path: Path) -> None:
    wrong = told(run("init", "--home", tmp_path / "hub", "--association", "Ai Amp", "--json"))["error"]
    assert (wrong["code"], "lower-case letters" in wrong["message"]) == ("invalid_request", True)
    done = told(run("init", "--home", tmp_path / "hub", "--association", "aiamp", "--json"))
    assert Path(done["public_files"]["log"]).is_file()
    assert len(done["fingerprints"]["hub"]) == 64
    again = run("init", "--home", tmp_path / "hub", "--association", "aiamp", "--json")
    assert (again.exit_code, told(again)["error"]["code"]) == (1, "already_exists")


def test_install_needs_papers(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    assert run("install", "--home", home.folder).exit_code == 2
    charter, certificate, *rest = papers(tmp_path, world)
    first = told(run("install", "--home", home.folder, charter, "--json"))
    assert first == {"size": 1, "added": 1, "incarnation": None, "will_refill": False}
    assert "certificate is still missing" in run("install", "--home", home.folder, charter).output
    done = run("install", "--home", home.folder, certificate, *rest)
    assert "The hub is ready" in done.output
    refused = run("install", "--home", home.folder, home.config)
    assert (refused.exit_code, "[malformed]" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    "command",
    [["serve"], ["doctor"], ["status"], ["install", "--restored"], ["publish", "hub.toml"]],
    ids=lambda each: each[0],
)
def test_no_home(tmp_path: Path, command: list[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run(*command, "--home", empty, "--json")
    assert done.exit_code == 1
    if command[0] != "publish":
        assert told(done)["error"]["code"] == "home_missing"
    assert list(empty.iterdir()) == []


def test_refusals_are_one_sentence(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    done = run("serve", "--home", home.folder)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("[bad_config]")
    assert not home.database.exists()


def test_the_wrong_secret(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "hub", world)
    other = tmp_path / "other"
    other.write_text("0" * 64)
    other.chmod(0o600)
    monkeypatch.setenv("VALIJA_SECRET_FILE", str(other))
    done = run("serve", "--home", home.folder, "--json")
    assert told(done)["error"]["code"] == "wrong_passphrase"
    other.chmod(0o644)
    done = run("serve", "--home", home.folder, "--json")
    assert told(done)["error"]["code"] == "key_access"
    assert "chmod 600" in told(done)["error"]["message"]


# -- beside a running hub --------------------------------------------------------------------------------
async def test_a_second_daemon_on_the_same_home(hub: Running) -> None:
    assert told(await ask("serve", "--home", hub.home.folder, "--json"))["error"]["code"] == "home_locked"


async def test_publish_over_the_socket_and_over_the_network(hub: Running, tmp_path: Path) -> None:
    # The log must hold the same world, so this one is its own: founded at another second, another association.
    world = young_world(members=("ar-mpf",), start=int(time.time()) - 90)
    home = make_home(tmp_path / "other", world)
    async with running(home) as other:
        world.now = int(time.time())
        admission, paper = world.admit("pt-pgr"), tmp_path / "admission.valija"
        paper.write_bytes(statement_paper(admission, ""))
        size = other.core.log.registry.size
        for place in (["--home", home.folder], ["--hub", other.url], ["--hub", other.url.replace("http", "ws")]):
            done = told(await ask("publish", paper, *place, "--json"))
            assert [(each["type"], each["index"]) for each in done["logged"]] == [("admission", size)]
        refused = await ask("publish", paper, "--hub", hub.url, "--json")
        assert told(refused)["error"]["code"] == "wrong_association"
    assert (await ask("publish", paper)).exit_code == 2
    gone = await ask("publish", paper, "--hub", "http://127.0.0.1:9", "--json")
    assert told(gone)["error"]["code"] == "hub_gone"
    assert told(await ask("publish", paper, "--home", home.folder, "--json"))["error"]["code"] == "not_running"


async def test_status(hub: Running, world: World) -> None:
    async with connected(hub.url, world, "br-mpf") as berta, connected(hub.url, world, "ar-mpf") as alba:
        await berta.publish()
        await alba.submit(alba.envelope(["br-mpf"]))
        done = told(await ask("status", "--home", hub.home.folder, "--json"))
        assert done["sessions"] == 2
        times = [done["now"], done["started_at"], done["certificate_not_after"], done["charter_expires_at"]]
        times += [
            each[name]
            for each in done["members"]
            for name in ("session_since", "last_seen", "prekeys_until", "certificate_not_after")
        ]
        assert {type(each) for each in times} == {str, type(None)}
        assert [show_time(read_time(each, 0)) for each in times if each] == [each for each in times if each]
        shown = (await ask("status", "--home", hub.home.folder)).output
    for words in ("Hub of aiamp: running since", "Accepted 1, recalled 0, expired 0", "br-mpf", "Refusals: none"):
        assert words in shown


async def test_status_says_what_needs_a_look(tmp_path: Path) -> None:
    world = young_world()
    async with running(make_home(tmp_path / "hub", world)) as hub:
        await hub.core.publish(world.suspend("co-fgn", int(time.time()) - 10).raw)
        hub.daemon.hall.is_draining = True
        shown = (await ask("status", "--home", hub.home.folder)).output
    assert "not in standing" in shown
    assert "draining, nobody is let in" in shown


@pytest.mark.parametrize(("seconds", "said"), [(5, "5 s"), (61, "1 min"), (7_300, "2 h"), (200_000, "2 d")])
def test_ages(seconds: int, said: str) -> None:
    assert age(seconds) == said


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000, b'{"code": "\xff"}'])
def test_an_answer_that_is_no_hubs_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(HubGoneError, match="no hub's, status 502"):
        _answer(502, body)


def test_refusals_come_back_as_themselves() -> None:
    error = _refusal({"code": "stale", "title": f"{StaleError()} (a later admission is in force)"})
    assert (type(error), error.detail) == (StaleError, "a later admission is in force")
    assert isinstance(_refusal({"code": "of_tomorrow"}), UsageError)
    assert type(_refusal({"code": "not_running"})) is NotRunningError


async def test_a_watch_tells_anew_until_ctrl_c_ends_it(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("hub.cli.time", SimpleNamespace(sleep=pause))
    done = await ask("status", "--home", hub.home.folder, "--watch", "--json")
    assert [json.loads(line)["sessions"] for line in done.stdout.splitlines()] == [0, 0]
    assert done.exit_code == 0
    pauses.clear()
    shown = await ask("status", "--home", hub.home.folder, "--watch")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.startswith("Hub of aiamp")


@pytest.mark.parametrize("url", ["hub.example", "ftp://hub.example", "https://", "https:///"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError):
        Hub.at_url(url)


def test_addresses() -> None:
    assert Hub.at_url("wss://hub.example:8440/session").base == "https://hub.example:8440"


async def test_something_else_answers(tmp_path: Path) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(HubGoneError):
        await asyncio.to_thread(Hub.at_url(f"http://127.0.0.1:{port}").get, "/status")
    server.close()


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    paper = tmp_path / "paper"
    paper.write_bytes(statement_paper(young_world().admit("pt-pgr"), ""))
    done = run("publish", paper, "--hub", "https://127.0.0.1:9", "--ca-file", tmp_path / "ca.pem", "--json")
    assert told(done)["error"]["code"] == "bad_config"


# -- doctor ----------------------------------------------------------------------------------------------
def levels(rows: list[diagnosis.Row]) -> dict[str, str]:
    return {row.name: str(row.level) for row in rows}


def test_the_doctor_finds_a_hub_that_does_not_run(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    done = run("doctor", "--home", home.folder, "--json")
    rows = {row["name"]: row for row in told(done)["rows"]}
    assert (done.exit_code, told(done)["healthy"]) == (1, False)
    assert {name for name, row in rows.items() if row["level"] != "ok"} == {"running", "backup"}
    assert rows["running"]["remedy"]
    assert "remedy: start it" in run("doctor", "--home", home.folder).output


async def test_a_healthy_hub(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_home(tmp_path / "hub", world)) as hub:
        _, port = hub.daemon.address or ("", 0)
        monkeypatch.setenv("VALIJA_HUB_LISTEN_PORT", str(port))
        last_backup.record(hub.home.folder, int(time.time()), tmp_path / "hub.age")
        done = await ask("doctor", "--home", hub.home.folder, "--json")
        assert (done.exit_code, told(done)["healthy"]) == (0, True), done.output
        assert {row["level"] for row in told(done)["rows"]} == {"ok"}
        monkeypatch.setenv("VALIJA_HUB_LISTEN_PORT", "9")
        (wrong,) = [row for row in told(await ask("doctor", "--home", hub.home.folder, "--json"))["rows"]
                    if row["level"] != "ok"]  # fmt: skip
        assert "127.0.0.1 port 9" in wrong["found"]


def look(home: Home, **environment: str) -> dict[str, str]:
    return levels(doctor.examine(home, environment))


def test_what_the_doctor_finds(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "hub", world)
    monkeypatch.setattr(doctor, "_NO_BYTES", 1 << 60)
    assert look(home)["disk"] == "problem"
    monkeypatch.setattr(doctor, "_NO_BYTES", 0)
    monkeypatch.setattr(doctor, "_FEW_BYTES", 1 << 60)
    assert look(home)["disk"] == "warning"
    monkeypatch.setattr(store_checks, "_SHALLOW_BYTES", 0)
    assert "--deep" in next(row.found for row in doctor.examine(home, {}) if row.name == "store")
    home.secret.chmod(0o644)
    assert look(home)["keys"] == "problem"
    assert "VALIJA_SECRET_FILE" in remedy_of(home, "keys")


@pytest.mark.parametrize("kind", ["hub", "log"])
@pytest.mark.parametrize("damage", ["altered", "torn", "missing"])
def test_the_doctor_opens_every_key_that_serve_needs(tmp_path: Path, world: World, kind: str, damage: str) -> None:
    home = make_home(tmp_path / "hub", world)
    assert look(home)["keys"] == "ok"
    (path,) = home.keys.glob(f"*.{kind}.key")
    text = path.read_text()
    middle = len(text) // 2
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_text(text[:middle])
    else:
        path.write_text(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])
    (row,) = [each for each in doctor.examine(home, {}) if each.name == "keys"]
    assert (row.level, path.name in row.found) == (Level.PROBLEM, True)
    assert ("put back what is missing" if damage == "missing" else "from the newest backup") in row.remedy
    done = run("serve", "--home", home.folder)
    assert done.exit_code != 0
    assert path.name in done.output


def test_the_doctor_calls_nothing_damaged_where_nothing_can_be_written(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "hub", world)
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    found = {each.name: each for each in doctor.examine(home, {})}
    assert "mounted for writing" in found["home"].remedy
    assert not {"store", "log", "items", "version"} & found.keys()


def test_the_doctor_looks_at_the_certificate_of_the_console(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, extra='[console]\ntls_certificate = "none"\ntls_key = "none"\n')
    assert look(home)["console"] == "problem"
    assert "hub.toml" in remedy_of(home, "console")
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=7))
    issued.private_key_pem.write_to_path(home.folder / "none")
    issued.cert_chain_pems[0].write_to_path(home.folder / "none", append=True)
    assert look(home)["console"] == "warning"


def remedy_of(home: Home, name: str) -> str:
    return next(row.remedy for row in doctor.examine(home, {}) if row.name == name)


@pytest.mark.parametrize(
    ("error", "said"),
    [(PassphraseError(), "an old one"), (KeyDamagedError(), "restore"), (KeyAccessError(), "closed to all"),
     (ConfigError(NOT_INSTALLED), "valija-hub install"), (ConfigError("x"), "hub.toml"), (StoreError(), "restore")],
)  # fmt: skip
def test_what_could_not_be_looked_at_has_a_remedy(tmp_path: Path, error: ValijaError, said: str) -> None:
    assert said in doctor._remedy(error, Home(tmp_path))


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (0, {"certificate": "ok", "charter": "ok", "clock": "ok"}),
        (-2 * DAY, {"clock": "problem"}),
        (YEAR - 20 * DAY, {"certificate": "warning"}),
        (YEAR + DAY, {"certificate": "problem", "charter": "ok"}),
        (2 * YEAR - 60 * DAY, {"charter": "warning"}),
        (2 * YEAR + DAY, {"charter": "problem"}),
    ],
)
def test_the_doctor_looks_ahead(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, ahead: int, expected: dict[str, str]
) -> None:
    home = make_home(tmp_path / "hub", world)
    at = time.time() + ahead
    monkeypatch.setattr("hub.doctor.time.time", lambda: at)
    assert look(home).items() >= expected.items()


def test_before_install_the_doctor_says_so(tmp_path: Path, world: World) -> None:
    found = look(make_home(tmp_path / "hub", world, install=False))
    assert (found["keys"], found["store"]) == ("ok", "problem")


def test_a_bad_setting_is_a_row(tmp_path: Path, world: World) -> None:
    found = doctor.examine(make_home(tmp_path / "hub", world), {"VALIJA_HUB_LISTEN_HOST": "0.0.0.0"})
    assert levels(found) == {"settings": "problem"}


def test_a_damaged_database(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    SqliteStore(home.database).close()
    data = bytearray(home.database.read_bytes())
    for at in range(8_192, len(data), 4_096):
        data[at : at + 64] = b"\xff" * 64
    home.database.write_bytes(data)
    assert look(home)["store"] == "problem"


def test_a_write_ahead_log_that_cannot_be_read_to_its_end(tmp_path: Path, world: World) -> None:
    home, kept = make_home(tmp_path / "hub", world), tmp_path / "kept"
    with closing(SqliteStore(home.database)) as store:
        for number in range(9):
            with transaction(store) as tx:
                tx.put_calendar("alba", bytes([number]) * 5_000)
        assert look(home)["store"] == "ok"
        shutil.copytree(home.folder, kept)
    left = Home(kept)
    flip(left.database.with_name("hub.db-wal"), 9_000)
    held = {each: each.read_bytes() for each in kept.glob("hub.db*")}
    for _ in range(2):
        rows = {row.name: row for row in doctor.examine(left, {})}
        assert (rows["store"].level, "commits or more cannot be read" in rows["store"].found) == ("problem", True)
        assert "valija-hub restore" in rows["store"].remedy
        assert not rows.keys() & {"version", "log", "items", "journal"}, "nobody opens it"
    refused = run("backup", tmp_path / "out.age", "--home", kept, "--passphrase-file", left.secret)
    assert refused.exit_code == 1
    assert "[damaged]" in refused.output
    assert {each: each.read_bytes() for each in kept.glob("hub.db*")} == held


def test_a_log_that_is_not_what_was_signed(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    with closing(sqlite3.connect(home.database)) as database:
        database.execute("DELETE FROM entry WHERE position = (SELECT max(position) FROM entry)")
        database.commit()
    assert look(home)["log"] == "problem"


def test_tls_runway(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, tls=Tls("absent.pem", "absent.pem"), install=False)
    assert look(home)["tls"] == "problem"
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=7))
    issued.private_key_pem.write_to_path(home.folder / "absent.pem")
    issued.cert_chain_pems[0].write_to_path(home.folder / "absent.pem", append=True)
    assert look(home)["tls"] == "warning"
