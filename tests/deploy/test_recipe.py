"""The recipe of the images, the units and the locks hold what deploy/README.md says."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path

import pytest

from tests.deploy import places

LOCKS = [places.ROOT / "requirements.lock", places.DEPLOY / "hub.lock", places.DEPLOY / "node.lock"]
UNITS = sorted((places.DEPLOY / "systemd").glob("*.service"))


# -- images -------------------------------------------------------------------------------------------
def test_the_hub_image_leaves_out_what_opens() -> None:
    assert set(places.left_out("hub-files")) == {"protocol/sealing.py", "keys/prekeys.py", "node"}


def test_the_node_image_leaves_out_the_hub() -> None:
    assert places.left_out("node-files") == ["hub"]


@pytest.mark.parametrize("target", ["hub", "node"])
def test_an_image_runs_as_nobody_in_particular(target: str) -> None:
    stages = places.stages()
    assert stages[target][0] == f"FROM base AS {target}"
    assert "USER 10001:10001" in stages["base"]
    assert not [line for line in stages[target] if line.startswith(("USER", "RUN", "ADD"))]
    assert f"COPY --from={target}-files /opt/valija /opt/valija" in stages[target]


def test_an_image_starts_what_compose_starts() -> None:
    services = places.compose()["services"]
    for service in services.values():
        stage = places.stages()[service["build"]["target"]]
        assert f"CMD {service['command']}".replace("'", '"') in stage
        assert any(line.endswith(f"CMD {service['healthcheck']['test'][1:]}".replace("'", '"')) for line in stage)
        assert any(user.partition(":")[0] == "USER 10001" for user in places.stages()["base"])


def test_nothing_unpinned_is_installed() -> None:
    installs = [
        line for lines in places.stages().values() for line in lines if "pip install" in line or "pip wheel" in line
    ]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps" in line


def test_what_the_recipe_copies_is_sent_to_the_engine() -> None:
    sent = {line[1:] for line in (places.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for lines in places.stages().values()
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == sent


# -- units --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_hardened(path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(path.read_text())
    service = unit["Service"]
    assert service["User"] == path.stem
    assert service["ExecStart"] == f"/opt/valija/bin/{path.stem} serve --home /var/lib/{path.stem}"
    assert service["StateDirectory"] == path.stem
    assert service["CapabilityBoundingSet"] == ""
    assert service["LimitCORE"] == "0"
    for key in (
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateTmp",
        "ProtectHome",
        "MemoryDenyWriteExecute",
        "LockPersonality",
    ):
        assert service[key] == "yes", key
    assert service["ProtectSystem"] == "strict"
    assert (service["Type"], service["WatchdogSec"], service["Restart"]) == ("notify", "60s", "on-failure")


def test_both_daemons_have_a_unit() -> None:
    assert [path.stem for path in UNITS] == ["valija-hub", "valija-node"]


# -- locks --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_everything_by_hash_and_names_no_place(lock: Path) -> None:
    text = lock.read_text()
    assert not [word for word in ("http:", "https:", "file:", "--index", "--find-links", " @ ") if word in text]
    assert places.pins(lock)
    for head, hashes in places.pins(lock).values():
        assert "==" in head
        assert hashes
        assert all(h.startswith("sha256:") for h in hashes)


@pytest.mark.parametrize("lock", LOCKS[1:], ids=lambda path: path.name)
def test_an_image_installs_what_was_tested(lock: Path) -> None:
    whole = places.pins(LOCKS[0])
    assert {name: whole.get(name) for name in places.pins(lock)} == places.pins(lock)


def test_the_lock_holds_each_direct_dependency() -> None:
    document = tomllib.loads((places.ROOT / "pyproject.toml").read_text())
    # What is in no group of `dev` is installed by who asks for it alone, as the fuzzer is.
    named = [each["include-group"] for each in document["dependency-groups"]["dev"]]
    groups = [d for name in named for d in document["dependency-groups"][name] if isinstance(d, str)]
    extras = [d for extra in document["project"]["optional-dependencies"].values() for d in extra]
    wanted = {d.partition(">=")[0] for d in (*document["project"]["dependencies"], *extras, *groups)}
    assert wanted <= places.pins(LOCKS[0]).keys()
