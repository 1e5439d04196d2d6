"""Starting many daemons of one kind without paying for their imports each time.

A server process imports the program once and forks for every start: what runs is the command itself in a process of
its own, with its own session, environment and log, as if it had been started by hand.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import TimeoutExpired

# What a command imports only when it is about to serve.
_LATER = {"node": ["node.housekeeping"]}
_WANTED: dict[str, None] = {}


def prepare(*programs: str, besides: Sequence[str] = ()) -> None:
    """Let the server import these programs (`node`, `hub`), and modules besides, before the first fork.

    What was asked for before stays; after the first fork nothing more is imported.
    """
    modules = [name for program in programs for name in (f"{program}.cli", *_LATER.get(program, ()))]
    _WANTED.update(dict.fromkeys([*modules, *besides]))
    _CONTEXT.set_forkserver_preload([*_WANTED])


_CONTEXT = multiprocessing.get_context("forkserver")


@dataclass
class Forked:
    """A forked command, with as much of `subprocess.Popen` as daemons need."""

    process: ForkServerProcess

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it ended; `TimeoutExpired` if it does not in time."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise TimeoutExpired(self.process.name, timeout or 0)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it ended."""
        # The server that forked it waits for it too, and may be quicker than its word to us.
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(program: str, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Forked:
    """Start `valija-<program>` with these words; what it says is added to `log`."""
    process = _CONTEXT.Process(target=_run, args=(program, list(words), str(log), dict(environment)), name=program)
    process.start()
    return Forked(process)


def _run(program: str, words: list[str], log: str, environment: dict[str, str]) -> None:
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    sys.argv = [f"valija-{program}", *words]
    import_module(f"{program}.cli").main()
