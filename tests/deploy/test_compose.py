"""The compose file is valid by its schema, and every service in it is as locked up as the README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import places

SERVICES = places.compose()["services"]


def valid(path: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_it_is_valid_by_the_schema_of_compose() -> None:
    done = valid(places.COMPOSE)
    assert done.returncode == 0, done.stdout


def test_the_schema_notices_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(places.COMPOSE.read_text().replace("read_only: true", "readonly: true"))
    done = valid(wrong)
    assert done.returncode == 1
    assert "readonly" in done.stdout


def test_there_are_a_hub_and_two_nodes() -> None:
    assert [service["command"][0] for service in SERVICES.values()] == ["valija-hub", "valija-node", "valija-node"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_locked_up(name: str) -> None:
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) >= 1_000
    assert int(group) >= 1_000
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "env_file"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_writes_to_its_own_named_volume_alone(name: str) -> None:
    document = places.compose()
    (volume,) = SERVICES[name]["volumes"]
    source, target = volume.split(":")
    assert source in document["volumes"]
    assert [source for other in SERVICES.values() for v in other["volumes"] if v.startswith(f"{source}:")] == [source]
    assert SERVICES[name]["command"][-2:] == ["--home", target]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_its_own_secret_alone(name: str) -> None:
    (secret,) = SERVICES[name]["secrets"]
    assert SERVICES[name]["environment"] == {"VALIJA_SECRET_FILE": f"/run/secrets/{secret}"}
    assert secret in places.compose()["secrets"]
    assert sum(secret in other["secrets"] for other in SERVICES.values()) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_asked_for_its_health(name: str) -> None:
    service = SERVICES[name]
    how, program, verb, *rest = service["healthcheck"]["test"]
    assert (how, program, verb) == ("CMD", service["command"][0], "doctor")
    assert rest[:2] == service["command"][-2:]


def test_secrets_never_enter_the_repository_or_an_image() -> None:
    ignored = (places.ROOT / ".gitignore").read_text().splitlines()
    assert all(s["file"].startswith("./deploy/secrets/") for s in places.compose()["secrets"].values())
    assert "/deploy/secrets/" in ignored
    sent = [line[1:] for line in (places.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (places.ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert not [path for path in sent if "secret" in path or path in {"deploy", "."}]
