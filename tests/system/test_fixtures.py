"""The homes that a release left behind open, say what they hold, and go on; under the clock of their own time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.homes import VERSIONS, Homes
from tests.support.association import free_port
from tests.system.forked import ForkedDaemon, run
from tests.system.house import Api, eventually

HUB, AR, CO = "hub", "ar-mpf", "co-fgn"


class Revived:
    """Homes of an earlier release, their daemons run by this one."""

    def __init__(self, homes: Homes) -> None:
        """Nothing runs."""
        self.homes, self.port = homes, free_port()
        # Certificates and prekeys of that time hold at that time, whenever this is run.
        self.ahead = int(homes.expected["made_at"]) - int(time.time())
        self.daemons: list[ForkedDaemon] = []

    def start(self, name: str) -> ForkedDaemon:
        """The daemon of this home, once it is ready."""
        program, socket = ("hub", "admin.sock") if name == HUB else ("node", "api.sock")
        daemon = ForkedDaemon(
            name,
            program,
            ["serve", "--home", str(self.homes.folder / name)],
            self.homes.folder / name / socket,
            self.homes.folder / f"{name}.log",
            lambda each: each.get("/readyz")[0] == 200,
            self.environment,
            ahead=self.ahead,
        )
        self.daemons.append(daemon)
        daemon.start()
        daemon.wait()
        return daemon

    @property
    def environment(self) -> dict[str, str]:
        """Another port than that of its time."""
        url = f"http://127.0.0.1:{self.port}"
        return {"VALIJA_HUB_LISTEN_PORT": str(self.port), "VALIJA_NODE_HUB_URL": url}

    def api(self, name: str) -> Api:
        """The node of this home."""
        return Api(name, self.homes.folder / name / "api.sock")

    def stop(self) -> None:
        """All of them."""
        for daemon in reversed(self.daemons):
            daemon.stop()


@pytest.fixture
def revived(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Revived]:
    revived = Revived(Homes.copied(request.param, tmp_path))
    yield revived
    revived.stop()


def test_there_is_at_least_one() -> None:
    assert "0.1" in VERSIONS


@pytest.mark.parametrize("revived", VERSIONS, indirect=True)
def test_they_open_hold_what_they_held_and_go_on(revived: Revived) -> None:
    expected = revived.homes.expected
    hub = revived.start(HUB)
    revived.start(AR)
    told, api = hub.get("/status")[1], revived.api(AR)
    assert told["registry_size"] == expected["registry_size"]
    assert {each["member"]: each["queued"] for each in told["members"]}[CO] == 1
    assert {each: api.states(each) for each in expected["states"]} == expected["states"]
    assert [each["id"] for each in api.inbox()] == expected["inboxes"][AR]
    assert [each["id"] for each in api.get("search", q="cuentas")["items"]] == [expected["letters"]["acknowledged"]]
    receipt = api.message(expected["letters"]["acknowledged"])["deliveries"][0]["receipt"]
    assert (receipt["event"], receipt["signed_by"]) == ("ContentHandover", "br-mpf")
    for name in (HUB, AR):
        program = "hub" if name == HUB else "node"
        found = run(program, "doctor", "--home", revived.homes.folder / name, ahead=revived.ahead,
                    environment=revived.environment)  # fmt: skip
        assert (found.status, found.told["healthy"]) == (0, True), found
    revived.start(CO)
    api.settled(expected["letters"]["relayed"])
    arrived = [each["id"] for each in revived.api(CO).inbox()]
    assert arrived == [*expected["inboxes"][CO], expected["letters"]["relayed"]]
    held = api.message(expected["letters"]["held"])["deliveries"][0]
    assert (held["state"], held["reason"]) == ("held", expected["held_for"])
    sent = revived.api(CO).send("ar-mpf", body="de hoy", urgency="urgent")
    revived.api(CO).settled(sent)
    eventually("it is here", lambda: api.received(sent))
