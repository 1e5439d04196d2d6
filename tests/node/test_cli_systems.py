"""The commands for whoever connects a case system: events as lines, tokens with their options, webhooks."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node.cli import main
from node.listening import MAX_LINE_BYTES, listen
from protocol.errors import LimitError, NotRunningError
from tests.support.processes import ROOT, command
from tests.system.house import House, eventually

AR, CO = "ar-mpf", "co-fgn"
HOOK = "https://hooks.example/valija"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("s"), [AR, CO]) as made:
        made.start()
        yield made


def valija(house: House, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--home", str(house.folder(AR))], env={"COLUMNS": "200"})


def told(house: House, *words: str) -> Any:
    done = valija(house, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


# -- listen ----------------------------------------------------------------------------------------------
@contextmanager
def listening(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        command("node", "listen", "--home", str(home), *words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_events_are_lines_over_a_restart_of_the_node_until_ctrl_c(house: House) -> None:
    with listening(house.folder(CO), "--types", "message") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Listening behind ")
        first = house.api(AR).send(CO, subject="Uno \u202eñ")
        seen = line(process)
        assert (seen["type"], seen["data"]["id"], seen["data"]["subject"]) == ("message", first, "Uno \u202eñ")
        node = house.daemons.nodes[CO]
        node.kill()
        second = house.api(AR).send(CO, subject="Dos")
        node.start()
        assert line(process)["data"]["id"] == second
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    with listening(house.folder(CO), "--after", seen["id"], "--types", "message,handover") as process:
        assert line(process)["data"]["id"] == second
    house.daemons.ready()


def test_a_line_is_ascii_whatever_was_written(house: House) -> None:
    message_id = house.api(AR).send(CO, subject="\u202etxt", body="\x1b[2J\x9b31m")
    house.api(AR).settled(message_id)
    with listening(house.folder(CO), "--after", "0-0") as process:
        assert process.stdout is not None
        raw = next(each for each in process.stdout if message_id in each)
    assert raw.isascii()
    assert raw.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--after", "yesterday"], 1, "[invalid_request]"),
        (["--types", "message,weather"], 2, "message,delivery,handover"),
    ],
)
def test_listening_to_nothing_is_refused(house: House, words: list[str], status: int, said: str) -> None:
    done = valija(house, "listen", *words)
    assert (done.exit_code, done.stdout) == (status, "")
    assert said in done.stderr


def test_where_no_node_runs_nobody_listens(house: House, tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        next(listen(tmp_path / "api.sock", None))


def test_an_endless_line_is_not_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.listening.MAX_LINE_BYTES", 16)
    assert MAX_LINE_BYTES > 16
    house.api(AR).settled(house.api(AR).send(CO, subject="x"))
    with pytest.raises(LimitError):
        list(listen(house.association.homes[CO].socket, "0-0"))


# -- tokens ----------------------------------------------------------------------------------------------
def test_a_token_says_what_it_is_good_for_and_how_long(house: House) -> None:
    made = told(
        house,
        "desk",
        "token",
        "central",
        "--scope",
        "read",
        "--scope",
        "events",
        "--expires",
        "12h",
        "--label",
        "lector",
    )
    assert sorted(made["scopes"]) == ["events", "read"]
    desk = house.desk(AR, made["token"])
    assert desk.ask("GET", "members").status == 200
    assert desk.hand_in(CO, subject="x").body["code"] == "forbidden"
    listed = valija(house, "desk", "list").stdout
    assert f"until {made['expires_at']}" in listed
    assert made["token"] not in listed
    told(house, "desk", "revoke", made["handle"])
    assert desk.ask("GET", "members").status == 401


def test_a_token_by_default_is_good_for_all_without_an_end(house: House) -> None:
    made = told(house, "desk", "token", "central")
    assert sorted(made["scopes"]) == ["acknowledge", "events", "read", "send", "webhooks"]
    assert made["expires_at"] is None


@pytest.mark.parametrize("words", [["--expires", "soon"], ["--expires", "0d"], ["--scope", "everything"]])
def test_what_no_token_can_be_is_not_understood(house: House, words: list[str]) -> None:
    assert valija(house, "desk", "token", "central", *words).exit_code == 2


# -- webhooks --------------------------------------------------------------------------------------------
def test_a_webhook_through_its_life(house: House) -> None:
    made = told(house, "webhook", "add", HOOK, "--desk", "central")
    name = made["name"]
    assert (made["desk"], made["secret"][:6]) == ("central", "whsec_")
    listed = valija(house, "webhook", "list").stdout
    assert f"{name}  central  {HOOK}" in listed
    assert "in force" in listed
    assert made["secret"] not in listed
    rotated = valija(house, "webhook", "rotate", name).stdout
    assert "whsec_" in rotated
    assert made["secret"] not in rotated
    assert valija(house, "webhook", "test", name).exit_code == 0
    (notice,) = told(house, "webhook", "log", name)["items"]
    shown = valija(house, "webhook", "log", name, "--limit", "1").stdout
    assert f"{notice['number']}  webhook.test" in shown
    assert told(house, "webhook", "log", name, "--after", notice["cursor"])["items"] == []
    assert "once more" in valija(house, "webhook", "redeliver", name, str(notice["number"])).stdout
    assert "disabled" in valija(house, "webhook", "disable", name).stdout
    refused = valija(house, "webhook", "test", name)
    assert (refused.exit_code, "[disabled]" in refused.stderr) == (1, True)
    assert "in force" in valija(house, "webhook", "enable", name).stdout
    assert f"{name} is no more" in valija(house, "webhook", "remove", name).stdout
    assert told(house, "webhook", "list")["webhooks"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "ftp://hooks.example"], "[invalid_request]"),
        (["add", "https://127.0.0.1/x"], "[invalid_request]"),
        (["add", HOOK, "--desk", "nada"], "[unknown_desk]"),
        (["rotate", "whk_0000000000000000"], "no webhook of this name"),
        (["log", "../tokens"], "no webhook of this name"),
        (["redeliver", "whk_0000000000000000", "1"], "no webhook of this name"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(house: House, words: list[str], said: str) -> None:
    done = valija(house, "webhook", *words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr


def test_a_node_that_comes_back_is_waited_for_ever_longer(house: House) -> None:
    pauses: list[float] = []

    class EnoughError(Exception):
        """The test has seen enough."""

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            raise EnoughError

    node = house.daemons.nodes[CO]
    events = listen(house.association.homes[CO].socket, None, sleep)
    next(events)
    node.stop()
    with pytest.raises(EnoughError):
        list(events)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    node.start()
    eventually("the node listens", lambda: house.api(CO).status())
