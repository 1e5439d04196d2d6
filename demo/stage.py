"""The stage: one folder, real processes on loopback, and a voice that says what happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

STOP_SECONDS = 15
READY_SECONDS = 30
POLL_SECONDS = 0.05
MIN_COLUMNS = 112
# Where this demonstration keeps keys and passphrases, which the audience need not read.
UNSHOWN = frozenset(("--keystore", "--passphrase-file", "--memory-kib"))


class CommandError(Exception):
    """A command of the demonstration failed; its own words are the message."""


def program(name: str) -> list[str]:
    """The command line that starts the installed command of this name in this very environment."""
    return [str(Path(sys.executable).parent / name)]


@dataclass
class Daemon:
    """One server process, its home and its log file."""

    name: str
    argv: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its words go to the log file."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def end(self, how: signal.Signals) -> None:
        """Send the signal and wait until the process is gone; after a while by force."""
        if self.process is None or not self.running():
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def last_words(self) -> str:
        """The last lines of the log, for when something went wrong."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:]) if self.log.exists() else ""


@dataclass
class Stage:
    """A private folder below the system's temporary one, and what runs there."""

    console: Console = field(default_factory=lambda: Console(highlight=False, width=choice_width()))
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="valija-demo-")))
    daemons: list[Daemon] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str = "") -> None:
        """One line to the audience."""
        self.console.print(text)

    def heading(self, text: str) -> None:
        """A new act."""
        self.console.print()
        self.console.rule(f"[bold]{text}", align="left")

    def run(self, *argv: str | Path, shown: bool = False, text: str | None = None) -> Any:
        """Run one of our commands with `--json`; what it answered, decoded.  Raises `CommandError` with its words."""
        name, *rest = [str(part) for part in argv]
        if shown:
            self.console.print(f"[dim]$ {name} {' '.join(self.short(rest))}[/dim]", soft_wrap=True)
        done = subprocess.run(
            [*program(name), *rest, "--json"],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_SECONDS,
        )
        if done.returncode:
            raise CommandError(f"{name} {' '.join(rest[:2])}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def short(self, words: list[str]) -> list[str]:
        """The words of a command line as the audience sees them: without the folder's name, and where keys are kept."""
        shown = []
        rest = iter(words)
        for word in rest:
            if word in UNSHOWN:
                next(rest)
            else:
                plain = word.replace(f"{self.folder}/", "")
                shown.append(f"'{plain}'" if " " in plain else plain)
        return shown

    def daemon(self, name: str, *argv: str | Path, **environment: str) -> Daemon:
        """Start a server of ours, these variables set, and keep it to be stopped at the end."""
        first, *rest = [str(part) for part in argv]
        daemon = Daemon(name, [*program(first), *rest], self.folder / "logs" / f"{name}.log", environment)
        daemon.log.parent.mkdir(exist_ok=True)
        self.daemons.append(daemon)
        daemon.start()
        return daemon

    def wait(self, what: str, ready: Any, seconds: float = READY_SECONDS) -> Any:
        """Ask `ready` until it answers something true; `CommandError` with the daemons' last words if it never does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = ready()
            if answer:
                return answer
            threading.Event().wait(POLL_SECONDS)
        words = "\n".join(f"{daemon.name}: {daemon.last_words()}" for daemon in self.daemons)
        raise CommandError(f"{what}: not within {seconds:.0f} s\n{words}")

    def close(self) -> None:
        """Stop every server and remove the folder."""
        for daemon in reversed(self.daemons):
            daemon.end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def choice_width() -> int:
    """Columns to write: the terminal's, but enough for the table where there is no terminal."""
    return max(MIN_COLUMNS, shutil.get_terminal_size().columns)


def choice(name: str) -> str:
    """A wish from the environment, empty if there is none."""
    return os.environ.get(name, "").strip()
