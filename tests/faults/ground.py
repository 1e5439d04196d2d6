"""An association of real processes over TLS, each node behind a line of its own that can be cut, and what is left at the end.

with Ground(folder, ["ar-mpf", "br-mpf"]) as ground:
    ground.start()
    ground.traffic.start(); ... faults ...; verdict = ground.settle()
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from pyrage import x25519

from keys.files import write_new
from node.config import FIRST_DESK
from tests.faults import checker, evidence
from tests.faults.apart import Apart
from tests.faults.checker import Verdict
from tests.faults.cutting import LOOPBACK, Cutter
from tests.faults.disks import SmallDisk
from tests.faults.traffic import Traffic
from tests.faults.trapped import Prelude, TrappedDaemon
from tests.support.association import Association, found
from tests.support.processes import ROOT, Daemon, Daemons, command
from tests.system.forked import PROGRAMS
from tests.system.house import Api, post

NETWORK: Final = "todos"
_POLL_SECONDS: Final = 0.1
_COMMAND_SECONDS: Final = 120
_QUIET_SECONDS: Final = 4
_TELL_SECONDS: Final = 20
_HEAL_SECONDS: Final = 240
_EARLIER_SECONDS: Final = 3 * 3_600
_REFUSED: Final = re.compile(r"\[([a-z_]+)\]$")
_ENDS: Final = frozenset({"fail_stop", "failed", "trapped"})


class NotSettledError(Exception):
    """Faults are over, and something is still neither delivered nor closed; what, is the message."""


@dataclass(frozen=True)
class Death:
    """A process that ended by itself: its name, exit status, and the code that its log gives for it, if any."""

    name: str
    status: int
    code: str


class Ground:
    """Below `folder`: association, homes, logs, journals.  `forked`: processes forked from a prepared server.

    `disk_bytes`: each home is on a disk of its own of this size, which takes the rights of root; in memory, or
    (`disks_sync`) on a file, so that a sync costs what it costs.  `networks`: members whose nodes run in one of their own.
    `refill_seconds`: for how long a hub that was put back waits for what nodes hold of its log.
    """

    def __init__(
        self,
        folder: Path,
        members: Sequence[str],
        *,
        rate: float = 20.0,
        seed: int = 0,
        forked: bool = False,
        tls: bool = True,
        prelude: Prelude = Prelude(),  # noqa: B008 - it is frozen
        disk_bytes: int = 0,
        disks_sync: bool = False,
        networks: Mapping[str, Apart] = MappingProxyType({}),
        refill_seconds: int = _QUIET_SECONDS,
    ) -> None:
        """Nothing is there yet."""
        self.folder, self.members = folder, tuple(members)
        self.association: Association
        self.daemons = Daemons(folder / "logs", PROGRAMS if forked else ())
        self.journals = folder / "journals"
        self.cutters: dict[str, Cutter] = {}
        self.deaths: list[Death] = []
        self.archived: list[evidence.Archived] = []
        self._rate, self._seed, self._tls, self._prelude = rate, seed, tls, prelude
        self._disk_bytes, self._disks_sync, self._refill_seconds = disk_bytes, disks_sync, refill_seconds
        self.disks: dict[str, SmallDisk] = {}
        self.networks = dict(networks)
        self._owner, self._backups = x25519.Identity.generate(), 0
        self._stack = ExitStack()
        self.traffic: Traffic

    def __enter__(self) -> Self:
        """Founded, each home on a disk of its own if so wanted; nothing runs.  Certificates are valid for hours already."""
        for name in self.names if self._disk_bytes else ():
            image = self.folder / "disks" / name if self._disks_sync else None
            disk = SmallDisk(self.folder / "a" / name, self._disk_bytes, image)
            self.disks[name] = self._stack.enter_context(disk)
        began = int(time.time()) - _EARLIER_SECONDS
        self.association = found(self.folder / "a", self.members, {NETWORK: self.members}, tls=self._tls, now=began)
        self._stack.enter_context(self.daemons)
        for member in self.members:
            host = self.networks[member].here if member in self.networks else LOOPBACK
            self.cutters[member] = self._stack.enter_context(Cutter(self.association.port, host))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with ExitStack() as rest:
                if hasattr(self, "traffic"):
                    rest.callback(self.traffic.end)
                    # Readers end with the streams they read.
                    for daemon in self.daemons.all:
                        daemon.kill()
        finally:
            # Told of what went wrong: disks keep what is to be looked at.
            self._stack.__exit__(kind, error, trace)

    # -- processes -------------------------------------------------------------------------------------
    def start(self) -> None:
        """Hub and nodes run, every node has a session, and case systems are ready to begin."""
        self.daemons.hub(self.association, VALIJA_HUB_RESTORE_QUIET_SECONDS=str(self._refill_seconds))
        (hub,) = self.daemons.hubs
        self._prepared(self.daemons.hubs, hub)
        scheme = "https" if self._tls else "http"
        for member, cutter in self.cutters.items():
            host = "localhost" if member in self.networks else LOOPBACK
            url = f"{scheme}://{host}:{cutter.port}"
            self.daemons.node(self.association, member, VALIJA_NODE_HUB_URL=url)
            self._prepared(self.daemons.nodes, member)
        self.daemons.ready()
        apis = {member: self.api(member) for member in self.members}
        self.traffic = Traffic.between(apis, self._rate, self._seed, self.journals)

    def join(self, member: str) -> TrappedDaemon:
        """The node of a member that is admitted now, and never ran."""
        for paper in self.association.admit(member):
            answer = post(self.association.url, "/log/statements", paper.raw)
            assert answer.status == 200, answer
        self.daemons.node(self.association, member)
        daemon = self.daemons.nodes[member] = TrappedDaemon.like(self.daemons.nodes[member], self._prelude)
        return daemon

    def api(self, member: str) -> Api:
        """The node of a member, asked with the token of its desk where its line can be reached from here."""
        socket = self.association.homes[member].socket
        if member in self.networks:
            # Its loopback is not ours; the file system is.
            return Api(member, socket)
        return Api(member, socket, self.daemons.apis[member], self.association.tokens[member])

    def _prepared(self, daemons: dict[str, Daemon], name: str) -> None:
        daemon = daemons[name] = TrappedDaemon.like(daemons[name], self._prelude)
        if name in self.networks:
            daemon.before = ("ip", "netns", "exec", self.networks[name].space)
        daemon.start()

    @property
    def hub(self) -> TrappedDaemon:
        """The hub's process."""
        return self.daemon("hub")

    def daemon(self, name: str) -> TrappedDaemon:
        """The process of this member's node, or of the hub."""
        daemon = next(iter(self.daemons.hubs.values())) if name == "hub" else self.daemons.nodes[name]
        assert isinstance(daemon, TrappedDaemon)
        return daemon

    @property
    def names(self) -> list[str]:
        """The hub and every member."""
        return ["hub", *self.members]

    def database(self, name: str) -> Path:
        """The file that this process keeps everything in."""
        association = self.association
        return association.hub_home.database if name == "hub" else association.homes[name].archive

    # -- disks that die ----------------------------------------------------------------------------------
    def backup(self, name: str) -> Path:
        """A backup of this home, made by the command while its process runs or not."""
        self._backups += 1
        out = self.folder / "backups" / f"{name}-{self._backups}.age"
        out.parent.mkdir(exist_ok=True)
        home = self.daemon(name).words[-1]
        self._command(name, "backup", str(out), "--home", home, "--recipient", str(self._owner.to_public()))
        return out

    def restore(self, name: str, backup: Path) -> None:
        """The disk of this home died: what the backup held is put back, its process runs, and case systems begin anew."""
        daemon = self.daemon(name)
        daemon.kill()
        identity, home = self.folder / "backups" / "identity", Path(daemon.words[-1])
        if not identity.exists():
            write_new(identity, str(self._owner).encode())
        fresh = home.with_name(home.name + ".fresh")
        self._command(name, "restore", str(backup), "--home", str(fresh), "--identity", str(identity))
        for path in home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in fresh.iterdir():
            shutil.move(path, home / path.name)
        fresh.rmdir()
        if name in self.traffic.authors:
            self.traffic.readers[name].begin_anew()
            self.traffic.authors[name].begin_anew()
        daemon.start()

    def problems(self, name: str) -> set[str]:
        """The names of what the doctor of this home calls a problem."""
        words = ("doctor", "--deep", "--json", "--home", self.daemon(name).words[-1])
        done = subprocess.run(
            command(self.daemon(name).program, *words),
            cwd=ROOT,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        return {row["name"] for row in json.loads(done.stdout)["rows"] if row["level"] == "problem"}

    def _command(self, name: str, *words: str) -> None:
        program = self.daemon(name).program
        done = subprocess.run(
            command(program, *words), cwd=ROOT, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
        assert done.returncode == 0, (name, words[0], done.stdout, done.stderr)

    def supervise(self) -> list[Death]:
        """Start what ended by itself, as a service manager does; how each ended."""
        found = [self._death(each) for each in self.daemons.all if not each.is_running()]
        for death in found:
            self.daemon(death.name).start()
        self.deaths += found
        return found

    def _death(self, daemon: Daemon) -> Death:
        status = daemon.process.poll() if daemon.process else None
        return Death(daemon.name, -1 if status is None else status, last_code(daemon.log))

    def unexplained(self) -> list[Death]:
        """Ends that no log explains."""
        return [each for each in self.deaths if not each.code]

    def is_ready(self, name: str) -> bool:
        """Whether this process runs, and has a session if it is a node."""
        return _is_ready(self.daemon(name))

    # -- the end ---------------------------------------------------------------------------------------
    def heal(self) -> None:
        """Every line is whole, everything runs, and every node has a session."""
        for cutter in self.cutters.values():
            cutter.heal()
        for network in self.networks.values():
            network.heal()
        if self.recovers(_HEAL_SECONDS):
            return
        unready = {each.name: each.last_words() for each in self.daemons.all if not _is_ready(each)}
        raise NotSettledError(f"not ready: {unready}")

    def recovers(self, seconds: float) -> bool:
        """Whether everything runs and every node has a session within so many seconds; what ended is started."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.supervise()
            if all(_is_ready(daemon) for daemon in self.daemons.all):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def settle(self, seconds: float = 300, tell: Callable[[str], object] = str, *, least: int = 0) -> Verdict:
        """What became of everything, once nothing is under way any more; every process has ended well.

        Writing goes on until `least` messages were acknowledged: faults may pass before much was said.
        Raises `NotSettledError` if something is still under way after so many seconds; `tell` is told now and then
        what it is.
        """
        self.heal()
        self.traffic.until(least)
        self.traffic.end_writing(seconds)
        began = told = time.monotonic()
        deadline = began + seconds
        while waiting := self.under_way():
            now = time.monotonic()
            if now > deadline:
                raise NotSettledError(json.dumps(waiting))
            if now > told + _TELL_SECONDS:
                told = now
                tell(f"under way: {json.dumps(waiting)}")
            self.supervise()
            time.sleep(_POLL_SECONDS)
        self._catch_up(deadline)
        tell(f"nothing is under way any more, {time.monotonic() - began:.0f} s after the last answer to an author")
        self.stop()
        return self.judge()

    def under_way(self) -> dict[str, Any]:
        """What is neither delivered nor closed, by member; a node that does not answer is under way too."""
        found: dict[str, Any] = {}
        for member in self.members:
            try:
                counts = self.traffic.authors[member].api_operator().status()["messages"]
            except (OSError, http.client.HTTPException, ValueError, AssertionError) as error:
                found[member] = repr(error)
                continue
            open_ = {name: counts[name] for name in ("under_way", "waiting", "held") if counts[name]}
            if open_ or counts["held_for"]:
                found[member] = open_ | counts["held_for"]
        return found

    def _catch_up(self, deadline: float) -> None:
        # Whoever reads has seen all that is there once nothing was added behind its cursor.
        for reader in self.traffic.readers.values():
            while not reader.is_at_end():
                if time.monotonic() > deadline:
                    raise NotSettledError(f"{reader.member} still reads")
                time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM for all, one after the other; `NotSettledError` for one that does not end well."""
        for daemon in self.daemons.all:
            status = daemon.stop()
            if status != 0:
                raise NotSettledError(f"{daemon.name} ended with {status}\n{daemon.last_words()}")
        self.traffic.end()

    def judge(self) -> Verdict:
        """What journals and archives say; nothing runs."""
        charter = self.association.charter
        self.archived = archived = [
            evidence.read_archive(self.association.homes[member], member, charter.raw) for member in self.members
        ]
        accounts = [checker.account(self.journals, each.member, each.proofs, each.kept) for each in archived]
        verdict = checker.check(accounts, evidence.id_of(self.association.charter.association, FIRST_DESK))
        longest = max((each.leaves for each in archived), key=len)
        for each in archived:
            if each.leaves != longest[: len(each.leaves)]:
                verdict.strange.append(f"{each.member} mirrors another log")
        verdict.strange += self.traffic.clock.errors
        verdict.strange += [f"{each.name} ended with {each.status}, unexplained" for each in self.unexplained()]
        return verdict


def _is_ready(daemon: Daemon) -> bool:
    if not daemon.is_running():
        return False
    try:
        return daemon.is_ready(daemon)
    except (OSError, http.client.HTTPException, ValueError):
        return False


def last_code(log: Path) -> str:
    """The code with which a daemon's log says that it ended, if that is the last thing it says."""
    for line in reversed(_tail(log)):
        with suppress(ValueError):
            told = json.loads(line)
            return str(told.get("code") or told.get("point")) if told.get("event") in _ENDS else ""
        if refused := _REFUSED.search(line):
            return refused[1]
    return ""


def _tail(log: Path, size: int = 16_384) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]


def table(counts: Counter[str] | Iterable[tuple[str, int]]) -> str:
    """Names with their numbers, one a line."""
    pairs = dict(counts.items() if isinstance(counts, Counter) else counts)
    return "\n".join(f"  {name:<28} {number:>6}" for name, number in sorted(pairs.items()))
