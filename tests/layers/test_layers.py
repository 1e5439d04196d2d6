"""The house holds: who may import whom, followed through every step.

`protocol` imports none of ours and is pure; `keys` imports `protocol`; `hub` imports `protocol` and the signing half
of `keys`, and never reaches what opens an envelope; `node` imports `protocol` and `keys`; `hub` and `node` never meet.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.layers import follower

ROOT = Path(__file__).parents[2]
ROOMS = ("protocol", "keys", "hub", "node")
MAY_IMPORT = {
    "protocol": {"protocol"},
    "keys": {"protocol", "keys"},
    "hub": {
        *("protocol", "hub", "keys"),
        *(
            f"keys.{each}"
            for each in "age assets backup backup_options cli_backup console files guard home journal kinds last_backup levels lock logs manifest "
            "migrating notify origins papers passwords program settings signer sites throttle times turns vault wal".split()
        ),
    },
    "node": {"protocol", "keys", "node"},
}
# Whoever holds one of these can open an envelope; nothing that runs in the hub may lead to it.
OPENERS = ("protocol.sealing", "keys.prekeys")
# A pure core knows no clock, file, socket, task or log.
IMPURE = frozenset(
    "aiohttp asyncio atexit click ctypes fcntl getpass glob http importlib inspect logging mmap multiprocessing os pathlib "
    "pickle platform prometheus_client queue random resource rich sched secrets select selectors shutil signal socket "
    "socketserver sqlcipher3 sqlite3 sqlite_utils ssl structlog subprocess sys tempfile threading time urllib uuid "
    "uvloop".split(),
)
# A leading dot: called on something.
IMPURE_CALLS = frozenset("open input print eval exec compile __import__ breakpoint globals .now .today .utcnow".split())
RANDOM_IMPORTS = frozenset(("os", "secrets"))
RANDOM_CALLS = frozenset("urandom token_bytes .generate .generate_key .urandom .token_bytes .randombytes".split())
HIDING_CALLS = frozenset(
    "import_module __import__ exec_module run_module .import_module .__import__ .exec_module .run_module".split(),
)
ASIDE = frozenset(("tests", "demo", "bench", "sandbox"))
DRAWS_RANDOMNESS = ("protocol.sealing", "protocol.signing")


def within(name: str, places: tuple[str, ...] | set[str]) -> bool:
    """Tell whether a dotted name is one of these places or lies inside one."""
    return any(part in places for part in follower.chain(name))


def allowed(room: str, name: str) -> bool:
    """Tell whether a module of `room` may name this module of ours in an import."""
    permitted = MAY_IMPORT[room]
    if any(place.startswith(f"{name.split('.')[0]}.") for place in permitted):
        return name in permitted
    return name.split(".")[0] in permitted


def wrong_edges(modules: dict[str, follower.Module]) -> list[str]:
    """Say each import that no layer allows."""
    return [
        f"{name} imports {there}"
        for name, module in sorted(modules.items())
        for there in sorted(module.ours)
        if not allowed(name.split(".")[0], there)
    ]


def wrong_reach(modules: dict[str, follower.Module], room: str, places: tuple[str, ...]) -> list[str]:
    """Say each way from a module of `room` to one of these places, step by step."""
    return [
        " -> ".join(path)
        for name in sorted(modules)
        if name.split(".")[0] == room
        for there, path in sorted(follower.reach(modules, name).items())
        if within(there, places)
    ]


def impurities(modules: dict[str, follower.Module]) -> list[str]:
    """Say each import or call by which a module of `protocol` would touch the world, or draw randomness out of place."""
    found = []
    for name, module in sorted(modules.items()):
        if name.split(".")[0] != "protocol":
            continue
        draws = within(name, DRAWS_RANDOMNESS)
        banned = IMPURE - RANDOM_IMPORTS if draws else IMPURE
        found += [f"{name} imports {there}" for there in sorted(module.foreign) if there.split(".")[0] in banned]
        found += [f"{name} imports {there}" for there in sorted(module.foreign) if not draws and "nacl.utils" in there]
        calls = IMPURE_CALLS if draws else IMPURE_CALLS | RANDOM_CALLS
        found += [f"{name}:{line} calls {call}" for line, call in follower.calls(module.tree) if call in calls]
    return found


def hidden_imports(modules: dict[str, follower.Module]) -> list[str]:
    """Say each import that this test could not follow."""
    return [
        f"{name}:{line} calls {call}"
        for name, module in sorted(modules.items())
        for line, call in follower.calls(module.tree)
        if call in HIDING_CALLS
    ]


@pytest.fixture(scope="module")
def modules() -> dict[str, follower.Module]:
    return follower.read(ROOT, ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_there(modules: dict[str, follower.Module], room: str) -> None:
    assert sum(name.startswith(f"{room}.") for name in modules) > 1


def test_no_import_crosses_a_wall(modules: dict[str, follower.Module]) -> None:
    assert wrong_edges(modules) == []


def test_the_hub_never_reaches_what_opens(modules: dict[str, follower.Module]) -> None:
    assert wrong_reach(modules, "hub", OPENERS) == []


@pytest.mark.parametrize(("room", "others"), [("hub", ("node",)), ("node", ("hub",)), ("keys", ("hub", "node"))])
def test_no_detour_leads_across(modules: dict[str, follower.Module], room: str, others: tuple[str, ...]) -> None:
    assert wrong_reach(modules, room, others) == []


def test_protocol_is_pure(modules: dict[str, follower.Module]) -> None:
    assert impurities(modules) == []


def test_no_import_is_hidden(modules: dict[str, follower.Module]) -> None:
    assert hidden_imports(modules) == []


def test_no_import_goes_round_in_a_circle(modules: dict[str, follower.Module]) -> None:
    assert follower.cycles(modules) == []


def test_nothing_shipped_imports_tests_demo_or_bench(modules: dict[str, follower.Module]) -> None:
    stray = [(m.name, there) for m in modules.values() for there in m.foreign if there.split(".")[0] in ASIDE]
    assert stray == []


@pytest.mark.parametrize("room", ROOMS)
def test_package_files_are_empty(room: str) -> None:
    files = sorted((ROOT / room).rglob("__init__.py"))
    assert files
    assert [str(path) for path in files if path.read_bytes()] == []


def test_a_running_hub_has_not_loaded_what_opens() -> None:
    """What the source says, the interpreter confirms: every hub module loads, and no opener came with them."""
    script = (
        "import importlib, pkgutil, sys, hub\n"
        "for found in pkgutil.walk_packages(hub.__path__, 'hub.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "print(*sorted(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert any(name.startswith("hub.") for name in loaded)
    assert [name for name in loaded if within(name, (*OPENERS, "node"))] == []
