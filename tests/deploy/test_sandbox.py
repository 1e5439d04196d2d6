"""The commands of the compose file run as its user, on a read-only root file system."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.deploy import places, sandbox

pytestmark = pytest.mark.full
SERVICES = places.compose()["services"]


def run(name: str, command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as this service would, on an empty volume."""
    home, secrets = tmp_path / "home", tmp_path / "secrets"
    home.mkdir(mode=0o700, exist_ok=True)
    secrets.mkdir(exist_ok=True)
    (secrets / SERVICES[name]["secrets"][0]).write_text("correct horse battery staple")
    argv = sandbox.argv(SERVICES[name], command, home, secrets)
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", SERVICES)
def test_only_the_volume_and_tmp_can_be_written(name: str, tmp_path: Path) -> None:
    script = (
        "id -u; cat /proc/self/status | grep CapEff; "
        f"for place in / /usr /etc /run /run/secrets /var/lib {places.ROOT} /tmp /var/lib/valija; do "
        "if touch $place/probe 2>/dev/null; then echo wrote $place; fi; done; cat $VALIJA_SECRET_FILE"
    )
    done = run(name, ["sh", "-c", script], tmp_path)
    user, capabilities, *rest = done.stdout.splitlines()
    assert user == SERVICES[name]["user"].split(":")[0], done.stderr
    assert capabilities.split() == ["CapEff:", "0" * 16]
    assert rest == ["wrote /tmp", "wrote /var/lib/valija", "correct horse battery staple"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["probe"]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("which", ["command", "health"])
def test_on_an_empty_volume_a_command_says_what_is_missing(name: str, which: str, tmp_path: Path) -> None:
    service = SERVICES[name]
    command = service["command"] if which == "command" else service["healthcheck"]["test"][1:]
    done = run(name, command, tmp_path)
    assert done.returncode in {1, 2}
    assert "home_missing" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "home").iterdir()) == []
