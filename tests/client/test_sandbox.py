"""The sandbox, as `make sandbox` runs it, and the tour of docs/api.md through it, command by command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.members import action_for
from tests.support.processes import ROOT

SECONDS = 120
DOCUMENT = ROOT / "docs" / "api.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r" # ([1-5][0-9][0-9])$", re.MULTILINE)
SET = re.compile(r"^export (VALIJA|TOKEN)=(\S+)$")


@dataclass(frozen=True)
class Step:
    """A block of the tour: what is run, and the status that it says it prints; empty where it prints none."""

    text: str
    status: str


def steps() -> list[Step]:
    found = [Step(text, "".join(STATUS.findall(text))) for text in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))]
    return [each for each in found if "curl" in each.text]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: the address of a socket has a hundred bytes."""
    with tempfile.TemporaryDirectory(prefix="vs-") as name:
        yield Path(name)


@contextmanager
def sandbox(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VALIJA")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        cwd=ROOT,
        env=clean | {"TMPDIR": str(folder)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.communicate(timeout=SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def settings(process: subprocess.Popen[str]) -> dict[str, str]:
    """What it says to export, once it is open."""
    assert process.stdout is not None
    found = {}
    for line in process.stdout:
        if named := SET.match(line):
            found[named[1]] = named[2]
        if line.startswith("Ctrl-C"):
            return found
    raise AssertionError(process.communicate())


def test_every_command_of_the_tour_answers_as_it_says_and_the_sandbox_leaves_nothing(
    tmp_path: Path, place: Path
) -> None:
    with sandbox(place) as process:
        given = settings(process)
        script = "set -eu\n" + "\n".join(f"echo '== {n}'\n{each.text}" for n, each in enumerate(steps()))
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=os.environ | given,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert (done.returncode, done.stderr) == (0, "")
        _before, *parts = re.split(r"^== [0-9]+$", done.stdout, flags=re.MULTILINE)
        for step, said in zip(steps(), parts, strict=True):
            assert said.split()[-1:] == [step.status] or not step.status, (step.text, said)
        assert done.stdout.count("event: message") == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    assert list(place.iterdir()) == []


def test_the_tour_goes_through_everything() -> None:
    told = [each.status for each in steps()]
    assert len(told) > 15
    assert {"200", "201", "202", "401", "409", "422"} <= set(told)


@pytest.mark.full
def test_one_exchange_and_it_ends(place: Path) -> None:
    with sandbox(place, ONCE="1") as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert "from co-fgn Re: " in out
    assert "from es-fge Re: " in out
    assert "co-fgn acknowledged, es-fge acknowledged" in out
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("subject", "action"),
    [
        ("Cuentas y titulares", "accepted"),
        ("Please DECLINE this", "declined"),
        ("Rechazar", "declined"),
        ("Se pide aclarar", "needs-information"),
        ("silencio", ""),
    ],
)
def test_members_answer_by_the_words_of_the_subject(subject: str, action: str) -> None:
    assert action_for(subject) == action
