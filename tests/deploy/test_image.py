"""What the recipe puts into the hub's image is enough to run a hub, and opens nothing."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy import places

pytestmark = pytest.mark.full

SCRIPT = """
import importlib, pkgutil, sys
sys.path[:] = [sys.argv[1], *(p for p in sys.path if p != sys.argv[2])]
room = importlib.import_module(sys.argv[3])
assert room.__path__[0].startswith(sys.argv[1]), room.__path__
for found in pkgutil.walk_packages(room.__path__, sys.argv[3] + "."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
        print(found.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy that holds what the recipe copies."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(places.ROOT / name, source)
    for room in ("protocol", "keys", "hub", "node"):
        shutil.copytree(places.ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    argv = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
    ]
    subprocess.run([*argv, str(source)], check=True, capture_output=True)
    (found,) = out.glob("valija-*.whl")
    return found


def unpacked(wheel: Path, into: Path, stage: str) -> Path:
    """Lay out site-packages as a stage of the recipe does."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    for name in places.left_out(stage):
        path = into / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return into


@pytest.mark.parametrize("room", ["hub", "node"])
def test_an_image_holds_all_that_its_daemon_imports(wheel: Path, tmp_path: Path, room: str) -> None:
    place = unpacked(wheel, tmp_path, f"{room}-files")
    argv = [sys.executable, "-P", "-c", SCRIPT, str(place), str(places.ROOT), room]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{room}.cli" in done.stdout.split()


def test_the_wheel_holds_the_four_rooms_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"protocol", "keys", "hub", "node"}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(name))
    assert (told["Name"], told["Requires-Python"]) == ("valija", ">=3.11")
    assert told["Description-Content-Type"] == "text/markdown"
    assert told.get_payload(decode=True).decode().strip() == (places.ROOT / "README.md").read_text().strip()  # type: ignore[union-attr]
    assert {"hub", "node"} <= set(told.get_all("Provides-Extra", []))
