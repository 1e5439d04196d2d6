"""Commands and daemons of ours as processes forked from a server that has imported them: what runs is the same.

`ahead` is by how many seconds the clock of such a process is wrong: only what Python's time functions say differs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any, Final, Self

import time_machine

from tests.support.forking import _CONTEXT, Forked, prepare
from tests.support.processes import Daemon

PROGRAMS: Final = ("hub", "node", "keys")
COMMAND_SECONDS: Final = 60
NOTHING: Final[Mapping[str, str]] = {}

prepare(*PROGRAMS)


# -- commands --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Done:
    """A command that ended: exit status, what it answered as JSON, and standard error."""

    status: int
    told: Any
    stderr: str


class Command:
    """`valija-<program>` with `--json`, started, `text` on its standard input; `done` waits for its end.

    Commands may run side by side, but are to be started and waited for by one thread: `multiprocessing` lets any
    thread that starts a process take the exit status of every other.
    """

    def __init__(
        self, program: str, *words: str | Path, text: str = "", ahead: int = 0, environment: Mapping[str, str] = NOTHING
    ) -> None:
        """It runs."""
        self._folder = tempfile.TemporaryDirectory(prefix="valija-")
        self._files = [Path(self._folder.name) / name for name in ("in", "out", "err")]
        self._files[0].write_text(text)
        self._process = _start(program, [*map(str, words), "--json"], self._files, environment, ahead)

    def done(self) -> Done:
        """How it ended; `TimeoutExpired` if it does not, after which it is killed."""
        with self._folder:
            self._process.join(COMMAND_SECONDS)
            if self._process.exitcode is None:
                self._process.kill()
                self._process.join()
                raise TimeoutExpired(self._process.name, COMMAND_SECONDS)
            out, err = (path.read_text() if path.exists() else "" for path in self._files[1:])
            return Done(self._process.exitcode, json.loads(out) if out.strip() else None, err)


def run(program: str, *words: str | Path, **how: Any) -> Done:
    """How a `Command` ended that was given all of this."""
    return Command(program, *words, **how).done()


def _start(
    program: str, words: Sequence[str], files: Sequence[Path], environment: Mapping[str, str], ahead: int
) -> ForkServerProcess:
    arguments = (program, list(words), [str(path) for path in files], dict(environment), ahead)
    process = _CONTEXT.Process(target=_become, args=arguments, name=program)
    process.start()
    return process


def _become(program: str, words: list[str], files: list[str], environment: dict[str, str], ahead: int) -> None:
    os.setsid()
    for number, path in enumerate(files):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND | os.O_CREAT
        os.dup2(os.open(path, flags, 0o600), number)
    # Python gave the server no input at all; whoever reads here reads the file.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    os.environ.update(environment)
    sys.argv = [f"valija-{program}", *words]
    main = import_module(f"{program}.cli").main
    with time_machine.travel(timedelta(seconds=ahead), tick=True) if ahead else nullcontext():
        main()


# -- daemons ---------------------------------------------------------------------------------------------
@dataclass
class ForkedDaemon(Daemon):
    """A daemon whose clock is `ahead` of this machine's, from its next start on."""

    ahead: int = 0

    @classmethod
    def like(cls, daemon: Daemon, ahead: int) -> Self:
        """The same daemon, which does not run, under that clock."""
        daemon.kill()
        known = {each.name: getattr(daemon, each.name) for each in fields(Daemon)}
        return cls(**known, ahead=ahead)

    def start(self) -> None:
        """Start it, the first time or again; its words are added to the log."""
        files = [Path(os.devnull), self.log, self.log]
        self.process = Forked(_start(self.program, self.words, files, self.environment, self.ahead))
