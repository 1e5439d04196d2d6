"""The commands of the compose file with initialised homes: as its user, on a read-only root file system, they serve."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy import places, sandbox
from tests.system.house import Api, House, eventually

pytestmark = pytest.mark.full

SERVICES: Final = places.compose()["services"]
MEMBERS: Final = {"node-ar": "ar-mpf", "node-es": "es-fge"}
STOP_SECONDS: Final = 20


@dataclass
class Container:
    """One service of the compose file, its volume an initialised home, its secret where compose puts it."""

    name: str
    home: Path
    secrets: Path

    @classmethod
    def of(cls, name: str, home: Path, folder: Path) -> Container:
        """With the home's secret moved out of it."""
        secrets = folder / f"secrets-{name}"
        secrets.mkdir()
        shutil.move(home / "secret", secrets / SERVICES[name]["secrets"][0])
        return cls(name, home, secrets)

    def argv(self, command: list[str]) -> list[str]:
        return sandbox.argv(SERVICES[self.name], command, self.home, self.secrets)

    def doctor(self) -> tuple[int, Any]:
        """Exit status of the health check of the compose file, and what it answers."""
        command = SERVICES[self.name]["healthcheck"]["test"][1:]
        done = subprocess.run(self.argv(command), capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """The command of the compose file runs meanwhile; it ends well on SIGTERM."""
        with (self.home.parent / f"{self.name}.log").open("wb") as log:
            process = subprocess.Popen(self.argv(SERVICES[self.name]["command"]), stdout=log, stderr=log)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_SECONDS)

    def is_healthy(self) -> bool:
        return self.doctor()[0] == 0


def user_of(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """User and capabilities of the process, in its own namespace."""
    seen = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    mapped = Path(f"/proc/{process.pid}/uid_map").read_text().split()
    capabilities = next(line.split()[1] for line in seen if line.startswith("CapEff:"))
    return mapped[0], capabilities


def test_a_hub_and_two_nodes_serve_and_are_healthy(tmp_path: Path) -> None:
    with House(tmp_path, list(MEMBERS.values())) as house:
        association = house.association
    hub = Container.of("hub", association.hub_home.folder, tmp_path)
    ar, es = (Container.of(name, association.homes[member].folder, tmp_path) for name, member in MEMBERS.items())
    assert hub.doctor()[0] == 1, "a hub that does not run is not healthy"
    with hub.serving() as process:
        eventually("a healthy hub", hub.is_healthy)
        with ar.serving() as first, es.serving():
            for node in (ar, es):
                eventually(f"a healthy {node.name}", node.is_healthy)
            for each in (process, first):
                assert user_of(each) == (SERVICES["hub"]["user"].split(":")[0], "0" * 16)
            api = Api("ar-mpf", association.homes["ar-mpf"].socket)
            api.settled(api.send("es-fge", body="desde un contenedor", urgency="urgent"))
    for container in (hub, ar, es):
        assert container.doctor()[0] == 1
    assert [path.name for path in hub.secrets.iterdir()] == SERVICES["hub"]["secrets"]
