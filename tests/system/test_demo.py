"""The demonstration, as `make demo` runs it: it ends by itself, well, soon, and leaves nothing running or lying about."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import __main__ as demo
from demo import ledger
from demo.stage import CommandError
from demo.story import own_texts
from tests.support.processes import ROOT

MAX_SECONDS = 180
MARK = "VALIJA_TEST_OF_THE_DEMO"


def processes_with(mark: str) -> set[int]:
    """The processes of this machine whose environment holds the mark, this one apart."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().split(b"\x00")
        except OSError:
            continue  # gone, or another user's
        if mark.encode() in environment and int(path.parent.name) != os.getpid():
            found.add(int(path.parent.name))
    return found


def play(folder: Path, mark: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The demonstration with its temporary files below `folder`; alone it takes half a minute, beside other tests more."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VALIJA")}
    return subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=clean | {"ONCE": "1", "TMPDIR": str(folder), MARK: mark, "COLUMNS": "140", "NO_COLOR": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
        check=False,
    )


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: the address of a socket has a hundred bytes."""
    with tempfile.TemporaryDirectory(prefix="vd-") as name:
        yield Path(name)


@pytest.mark.full
def test_it_ends_well_by_itself_and_leaves_nothing(tmp_path: Path) -> None:
    mark = os.urandom(8).hex()
    done = play(tmp_path, mark)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "kill -9" in done.stdout
    assert "Nothing of what was written is there." in done.stdout
    assert "Traceback" not in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert processes_with(f"{MARK}={mark}") == set()


def test_the_texts_of_the_user_are_those_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {f"{name}.txt": f"Texto propio {name}: ñandú\n" * 30 for name in ("uno", "dos")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("FILES", " ".join(str(tmp_path / name) for name in texts))
    assert own_texts() == list(texts.items())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 500_001, "is too long"),
    ],
)
def test_a_text_that_cannot_be_sent_ends_it_before_it_begins(
    tmp_path: Path, data: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "carta.txt", tmp_path / "demo"
    folder.mkdir()
    if data is not None:
        path.write_bytes(data)
    monkeypatch.setenv("FILES", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert demo.main() == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"The demonstration does not begin: {path}")
    assert said in line
    assert list(folder.iterdir()) == []


def test_a_folder_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILES", str(tmp_path))
    with pytest.raises(CommandError, match="directory"):
        own_texts()


def test_the_search_finds_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"certificates of the hub, in its mailbox")
    log = tmp_path / "log"
    log.write_bytes(b"")
    for quiet in ("hub", "certificates", "the hub", "Se solicita a la autoridad colombiana"):
        assert ledger.search(tmp_path, [quiet], log).found == (), quiet
    for leaked in (b"...solicita a la autoridad...", b'{"body": "ni \\"la autoridad\\" lo sabe"}'):
        log.write_bytes(leaked)
        assert log in ledger.search(tmp_path, ['Se solicita a la autoridad\nni "la autoridad" lo sabe'], log).found
