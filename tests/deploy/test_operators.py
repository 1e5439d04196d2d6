"""What operators install agrees with real daemons: their figures, their signs of life."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy import promised
from tests.support.association import found
from tests.support.processes import Daemon, Daemons

MEMBER = "ar-mpf"
# Twenty times what one beat takes, so that a busy machine does not matter; nobody kills anything here.
WATCHDOG_USEC = "600000"


class _Line(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def asked(line: http.client.HTTPConnection, **headers: str) -> tuple[int, str]:
    try:
        line.request("GET", "/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


@dataclass
class Stand:
    hub: Daemon
    node: Daemon
    api: str
    managers: dict[str, socket.socket]

    def page(self, daemon: Daemon) -> str:
        status, text = asked(_Line(daemon.admin))
        assert status == 200
        return text


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    association = found(folder / "association", [MEMBER], tls=False)
    managers = {name: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for name in ("hub", "node")}
    for name, manager in managers.items():
        manager.bind(str(folder / name))
        manager.settimeout(60)
    watched = {"WATCHDOG_USEC": WATCHDOG_USEC}
    with Daemons(folder / "logs") as daemons:
        hub = daemons.hub(association, NOTIFY_SOCKET=str(folder / "hub"), **watched)
        node = daemons.node(association, MEMBER, NOTIFY_SOCKET=str(folder / "node"), **watched)
        daemons.ready()
        yield Stand(hub, node, daemons.apis[MEMBER].removeprefix("http://"), managers)
    for manager in managers.values():
        manager.close()


# -- figures ---------------------------------------------------------------------------------------------
def test_rules_and_dashboard_name_what_is_measured(stand: Stand) -> None:
    exposed = promised.exposed(stand.page(stand.hub)) | promised.exposed(stand.page(stand.node))
    for expression in [rule["expr"] for rule in promised.rules()] + promised.expressions(promised.dashboard()):
        assert promised.named(expression) <= exposed, expression


def test_what_is_measured_is_shown(stand: Stand) -> None:
    exposed = promised.exposed(stand.page(stand.hub)) | promised.exposed(stand.page(stand.node))
    ours = {name for name in exposed if name.startswith("valija_") and not name.endswith("_created")}
    shown = promised.named(" ".join(promised.expressions(promised.dashboard())))
    assert promised.families(shown) == promised.families(ours)


def test_figures_of_a_node_that_is_well(stand: Stand) -> None:
    lines = stand.page(stand.node).splitlines()
    for line in (
        "valija_node_session 1.0",
        "valija_node_certificate_in_standing 1.0",
        "valija_node_outbox_under_way 0.0",
        "valija_node_outbox_oldest_age_seconds 0.0",
        "valija_node_sent_total 0.0",
        "valija_node_last_backup_seconds 0.0",
    ):
        assert line in lines
    assert f'valija_hub_member_session{{member="{MEMBER}"}} 1.0' in stand.page(stand.hub).splitlines()


def test_a_node_tells_this_machine_alone(stand: Stand) -> None:
    def by_tcp(**headers: str) -> int:
        return asked(http.client.HTTPConnection(stand.api, timeout=30), **headers)[0]

    assert by_tcp() == 200
    assert by_tcp(Host="localhost") == 200
    for headers in (
        {"Host": "valija.example.org"},
        {"Host": "[valija"},
        {"Host": "127.0.0.1.example.org"},
        {"X_Forwarded_For": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
        {"Origin": "https://elsewhere.example"},
    ):
        assert by_tcp(**headers) == 404, headers


# -- signs of life ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["hub", "node"])
def test_a_daemon_says_that_it_is_ready_and_then_that_it_lives(stand: Stand, name: str) -> None:
    manager = stand.managers[name]
    assert manager.recv(256) == b"READY=1"
    assert [manager.recv(256) for _ in range(3)] == [b"WATCHDOG=1"] * 3
