"""The hub and the nodes of a sandbox, each a process of its own on loopback."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.stage import CommandError, Daemon, Stage
from node.sockets import connected
from protocol.errors import NotRunningError
from sandbox.association import Association, found, free_port

YOURS: Final = "ar-mpf"
OTHERS: Final = ("co-fgn", "es-fge")
NETWORK: Final = "rfai"
_HOST: Final = "127.0.0.1"
# Where a node listens unless it is told otherwise: what examples name.
USUAL_PORT: Final = 8450
READY_SECONDS: Final = 60.0
_ALLOWED: Final = 'allow = ["127.0.0.0/8", "::1", "localhost"]'


@dataclass(frozen=True)
class Place:
    """Where a node answers its case system, and the token of its first desk."""

    member: str
    address: str
    token: str


def open_house(stage: Stage) -> dict[str, Place]:
    """All of it running, every node with a session: where each answers."""
    stage.folder.chmod(0o700)
    association = found(stage.folder / "a", [YOURS, *OTHERS], {NETWORK: [YOURS, *OTHERS]}, tls=False)
    _allow_webhooks(association)
    hub = association.hub_home
    started = [(stage.daemon("hub", "valija-hub", "serve", "--home", hub.folder), hub.socket)]
    places = {}
    for member, home in association.homes.items():
        port = USUAL_PORT if member == YOURS and _is_free(USUAL_PORT) else free_port()
        listen = f"{_HOST}:{port}"
        places[member] = Place(member, f"http://{listen}", association.tokens[member])
        daemon = stage.daemon(member, "valija-node", "serve", "--home", home.folder, VALIJA_NODE_API_LISTEN=listen)
        started.append((daemon, home.socket))
    for daemon, path in started:
        _wait(stage, daemon, path)
    return places


def _allow_webhooks(association: Association) -> None:
    """Webhooks of your node may lead to this machine, where you develop."""
    path = association.homes[YOURS].config
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("# allow = []", _ALLOWED), encoding="utf-8")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("daemon", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path, 5)


def _wait(stage: Stage, daemon: Daemon, path: Path) -> None:
    def ready() -> bool:
        if not daemon.running():
            raise CommandError(f"{daemon.name} ended\n{daemon.last_words()}")
        connection = _UnixConnection(path)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException, NotRunningError):
            return False
        finally:
            connection.close()

    stage.wait(daemon.name, ready, READY_SECONDS)
