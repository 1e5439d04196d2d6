"""Real daemons on loopback: started, asked until they are ready, stopped or killed by their own process id.

with Daemons(folder / "logs") as daemons:
    hub = daemons.hub(association)
    node = daemons.node(association, "ar-mpf")
    daemons.ready()                     # the hub lets sessions in, every node has one
    node.kill(); node.start()
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from tests.support.association import Association, free_port
from tests.support.forking import Forked, fork, prepare

ROOT: Final = Path(__file__).resolve().parents[2]
READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.02
_LAST_LINES: Final = 12
_SCHEDULED: Final = 2


class NotReadyError(Exception):
    """A daemon ended or did not become ready; its last words are the message."""


def command(name: str, *words: str) -> list[str]:
    """The command line of `valija-<name>` in this interpreter, installed or not."""
    program = f"import sys; sys.argv[0] = 'valija-{name}'; from {name}.cli import main; main()"
    return [sys.executable, "-c", program, *words]


@dataclass
class Daemon:
    """One server process: its program and words, where it speaks to commands, its log, and how it tells that it is ready.

    `is_forked`: see `tests.support.forking`.
    """

    name: str
    program: str
    words: list[str]
    admin: Path
    log: Path
    is_ready: Callable[[Daemon], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_forked: bool = False
    process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> None:
        """Start it, the first time or again; its words are added to the log."""
        if self.is_forked:
            self.process = fork(self.program, self.words, self.log, self.environment)
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command(self.program, *self.words),
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the newest start."""
        if self.process is None:
            raise NotReadyError(f"{self.name} was never started")
        return self.process.pid

    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """SIGTERM, and wait; the exit status.  `NotReadyError` if it does not end, after which it is killed."""
        if self.process is None:
            return 0
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NotReadyError(f"{self.name} did not stop\n{self.last_words()}") from None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None and self.is_running():
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON that it answers its operator on the Unix socket; `OSError` while it does not listen."""
        line = _UnixConnection(self.admin)
        try:
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            line.close()

    def wait(self, seconds: float = READY_SECONDS) -> None:
        """Return once it is ready; `NotReadyError` with its last words if it ends before, or never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.is_running():
                raise NotReadyError(f"{self.name} ended\n{self.last_words()}")
            if self._answers():
                return
            time.sleep(_POLL_SECONDS)
        raise NotReadyError(f"{self.name} is not ready after {seconds:.0f} s\n{self.last_words()}")

    def _answers(self) -> bool:
        try:
            return self.is_ready(self)
        except (OSError, http.client.HTTPException):
            return False  # it does not listen yet

    def forget_peak(self) -> None:
        """Afterwards `peak_rss_mib` counts from what the process holds now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_rss_mib(self) -> float:
        """The most memory that the process ever held, of `/proc`."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise NotReadyError(f"{self.name} is gone")

    def cpu_seconds(self) -> float:
        """What all threads of the process have used so far, to the nanosecond.

        The clock's number is that of clock_getcpuclockid(3); `/proc` counts whole ticks, and misses what is shorter.
        """
        return time.clock_gettime((~self.pid << 3) | _SCHEDULED)

    def last_words(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]) if self.log.exists() else ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Home(Protocol):
    """What the homes of hubs and nodes have in common."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    @property
    def socket(self) -> Path:
        """Where its daemon answers."""


class Daemons:
    """Servers that end with the block, whatever happens in it."""

    def __init__(self, logs: Path, forked: Sequence[str] = ()) -> None:
        """None runs yet; each writes to a file of its own in `logs`; those of the `forked` programs start quickly."""
        logs.mkdir(parents=True, exist_ok=True)
        self._forked = frozenset(forked)
        if forked:
            prepare(*forked)
        self.logs = logs
        self.hubs: dict[str, Daemon] = {}
        self.nodes: dict[str, Daemon] = {}
        self.apis: dict[str, str] = {}

    def hub(self, association: Association, **environment: str) -> Daemon:
        """The association's hub, starting."""
        home = association.hub_home
        daemon = self._daemon("hub", "hub", home, _hub_is_ready)
        daemon.environment = environment
        self.hubs[str(home.folder)] = daemon
        daemon.start()
        return daemon

    def node(self, association: Association, member: str, **environment: str) -> Daemon:
        """The member's node, starting; `apis` then has the address for case systems."""
        home, address = association.homes[member], f"127.0.0.1:{free_port()}"
        daemon = self._daemon(member, "node", home, _node_is_ready)
        daemon.environment = {"VALIJA_NODE_API_LISTEN": address, **environment}
        self.nodes[member], self.apis[member] = daemon, f"http://{address}"
        daemon.start()
        return daemon

    def _daemon(self, name: str, program: str, home: Home, is_ready: Callable[[Daemon], bool]) -> Daemon:
        words = ["serve", "--home", str(home.folder)]
        log = self.logs / f"{name}.log"
        return Daemon(name, program, words, home.socket, log, is_ready, is_forked=program in self._forked)

    @property
    def all(self) -> list[Daemon]:
        """Nodes first, because they would ask for a hub that is gone."""
        return [*self.nodes.values(), *self.hubs.values()]

    def ready(self, seconds: float = READY_SECONDS) -> None:
        """Return once every one is ready."""
        deadline = time.monotonic() + seconds
        for daemon in reversed(self.all):
            daemon.wait(max(0.1, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = [daemon for daemon in self.all if daemon.process is not None and daemon.is_running()]
        for daemon in running:
            if daemon.process is not None:
                daemon.process.send_signal(signal.SIGTERM)
        for daemon in running:
            try:
                daemon.stop()
            except NotReadyError:
                if kind is None:
                    raise


def _hub_is_ready(hub: Daemon) -> bool:
    return bool(hub.get("/readyz")[0] == 200)


def _node_is_ready(node: Daemon) -> bool:
    return bool(node.get("/readyz")[0] == 200)
