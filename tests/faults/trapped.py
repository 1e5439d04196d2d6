"""A daemon that ends by SIGKILL the n-th time it reaches a named point: before a commit, behind an acknowledgement, …

Nothing in the daemon knows of it: it is started through `enter`, which wraps the named functions and then runs the
command as ever.  A point that is named here and never reached is a failure of whoever waits for it.
"""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import time_machine

from tests.support.forking import _CONTEXT, Forked, prepare
from tests.support.processes import ROOT, Daemon
from tests.system.forked import PROGRAMS, _become

HUB, NODE = "hub", "node"
QUICK_SECONDS: Final = 0.05

prepare(*PROGRAMS, besides=[__name__])


# -- points --------------------------------------------------------------------------------------------
def _always(*_arguments: Any) -> bool:
    return True


def _is_commit(_tx: Any, sql: str, *_rest: Any) -> bool:
    return sql == "COMMIT"


_GROWN: Final = (
    "SELECT (SELECT count(*) FROM sqlite_master WHERE name = 'link'), "
    "(SELECT coalesce(sum(seq), 0) FROM sqlite_sequence WHERE name IN ('outbox', 'inbox'))"
)


class _Growing:
    """The commits in which messages were accepted or archived, or links signed; never the first of a process."""

    def __init__(self) -> None:
        self.before: Any = None

    def __call__(self, tx: Any, sql: str, *_rest: Any) -> bool:
        if sql != "COMMIT":
            return False
        has_links, messages = tx.one(_GROWN)
        now = (messages, tx.one("SELECT coalesce(max(id), 0) FROM link")[0] if has_links else 0)
        before, self.before = self.before, now
        return before is not None and before != now


def _has_items(_exchange: Any, going: Any) -> bool:
    return bool(going.items)


def _has_leaves(_mirror: Any, _tx: Any, _now: int, _note: Any, leaves: Any, *_rest: Any) -> bool:
    return bool(leaves)


def _gave_something(result: Any) -> bool:
    return bool(result)


def _sends(name: str) -> Callable[..., bool]:
    return lambda _session, frame: type(frame).__name__ == name


@dataclass(frozen=True)
class Point:
    """Where in a program: a function by module and name, and the calls (or for `after` the results too) that count."""

    program: str
    module: str
    name: str
    counts: Callable[..., bool] = _always
    gave: Callable[[Any], bool] = _always


POINTS: Final[Mapping[str, Point]] = {
    # -- the node: what it takes from callers
    "node: a message is written": Point(NODE, "node.tables.outbox", "add"),
    "node: a commit": Point(NODE, "node.sql", "SqlTransaction.run", _is_commit),
    "node: a batch is answered": Point(NODE, "node.service", "Service.send_all"),
    "node: a message is taken back": Point(NODE, "node.withdrawal", "withdraw"),
    # -- the node: what it sends
    "node: links are signed": Point(NODE, "node.linking", "sign", gave=_gave_something),
    "node: envelopes are sealed": Point(NODE, "node.posting", "post", gave=_gave_something),
    "node: envelopes are sealed again": Point(NODE, "node.posting", "reseal", gave=_gave_something),
    "node: envelopes are submitted": Point(NODE, "node.exchange", "Exchange.go", _has_items),
    "node: the hub's answer is taken": Point(NODE, "node.engine", "Engine.answered"),
    "node: a receipt is drafted": Point(NODE, "node.upkeep", "receipts", gave=_gave_something),
    # -- the node: what it receives
    "node: a delivery is taken": Point(NODE, "node.engine", "Engine.deliver"),
    "node: messages are archived": Point(NODE, "node.tables.inbox", "archive"),
    "node: a delivery is acknowledged": Point(NODE, "node.exchange", "Exchange._archived"),
    "node: a receipt is applied": Point(NODE, "node.receipting", "apply"),
    "node: the log moves into the archive": Point(NODE, "node.checkpointing", "_move"),
    # -- the node: session, registry, keys
    "node: a session is opened": Point(NODE, "node.engine", "Engine.session_opened"),
    "node: the registry is mirrored": Point(NODE, "node.mirror", "Mirror.extend", _has_leaves),
    "node: an incarnation is posted": Point(NODE, "node.hubline", "HubLine.post_statement"),
    "node: an incarnation begins": Point(NODE, "node.recovery", "begin", gave=_gave_something),
    "node: a prekey is made": Point(NODE, "keys.prekeys", "write_new"),
    "node: a prekey is destroyed": Point(NODE, "keys.prekeys", "destroy"),
    # The first commit of a start holds none.
    "node: a commit of messages": Point(NODE, "node.sql", "SqlTransaction.run", _Growing()),
    # -- the hub
    "hub: a commit": Point(HUB, "hub.sqlite_base", "SqliteBase.commit"),
    "hub: envelopes are taken": Point(HUB, "hub.relay", "Group.submit"),
    "hub: acceptances are signed": Point(HUB, "hub.relay", "fulfil"),
    "hub: a commit is told": Point(HUB, "hub.writer", "Writer._post"),
    "hub: results are sent": Point(HUB, "hub.sessions", "Session._send", _sends("Results")),
    "hub: items are delivered": Point(HUB, "hub.sessions", "Session._send", _sends("Deliver")),
    "hub: an acknowledgement erases": Point(HUB, "hub.relay", "Group.acknowledge"),
    "hub: a slot is recalled": Point(HUB, "hub.relay", "Group.recall"),
    "hub: a calendar is published": Point(HUB, "hub.relay", "Group.publish"),
    "hub: a session is let in": Point(HUB, "hub.relay", "Group.welcome"),
    "hub: a checkpoint is signed": Point(HUB, "hub.log", "Log._put_checkpoint"),
    "hub: the log grows": Point(HUB, "hub.log", "Log.append"),
    "hub: the log in memory grows": Point(HUB, "hub.core", "Core._apply"),
}

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Trap:
    """Die at this point, before or after it, the n-th time."""

    point: str
    side: str = BEFORE
    nth: int = 1


@dataclass(frozen=True)
class Prelude:
    """What is done in the new process before its command runs.

    `quick`: a node waits but a moment before it tries the hub again, and moves its log into the archive all the time.
    `waits`: it waits at most so many seconds before it tries again (0: as released).  `ahead`: by how many seconds its clock
    is wrong.
    """

    traps: tuple[Trap, ...] = ()
    quick: bool = False
    waits: float = 0
    ahead: int = 0

    def __call__(self) -> None:
        """Everything is set up."""
        for trap in self.traps:
            _set(trap)
        if self.quick:
            # By its module: the hub's processes have none of it.
            uplink: Any = import_module("node.uplink")
            uplink.FIRST_WAIT_SECONDS = uplink.LONGEST_WAIT_SECONDS = QUICK_SECONDS
            checkpoints: Any = import_module("node.checkpointing")
            checkpoints.CHECKPOINT_PAGES, checkpoints.COMMITS_A_LOOK = 32, 1
        elif self.waits:
            uplink = import_module("node.uplink")
            uplink.LONGEST_WAIT_SECONDS = self.waits


def _set(trap: Trap) -> None:
    point = POINTS[trap.point]
    owner: Any = import_module(point.module)
    *path, name = point.name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, name, _wrapped(getattr(owner, name), trap, point))


def _wrapped(function: Callable[..., Any], trap: Trap, point: Point) -> Callable[..., Any]:
    reached = 0

    def pass_by(side: str, arguments: tuple[Any, ...], result: Any = True) -> None:
        nonlocal reached
        if side == trap.side and point.counts(*arguments) and point.gave(result):
            reached += 1
            if reached >= trap.nth:
                _die(trap)

    @wraps(function)
    def plain(*arguments: Any, **named: Any) -> Any:
        pass_by(BEFORE, arguments)
        result = function(*arguments, **named)
        pass_by(AFTER, arguments, result)
        return result

    @wraps(function)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        pass_by(BEFORE, arguments)
        result = await function(*arguments, **named)
        pass_by(AFTER, arguments, result)
        return result

    return awaited if inspect.iscoroutinefunction(function) else plain


def _die(trap: Trap) -> None:
    os.write(2, b'{"event": "trapped", "point": "%s", "side": "%s"}\n' % (trap.point.encode(), trap.side.encode()))
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


# -- processes -----------------------------------------------------------------------------------------
def enter(program: str, prelude: str) -> None:
    """The process of a daemon started anew: `prelude` as JSON, then its command with the words of `sys.argv`."""
    given = msgspec.json.decode(prelude, type=Prelude)
    given()
    sys.argv[0] = f"valija-{program}"
    with time_machine.travel(timedelta(seconds=given.ahead), tick=True) if given.ahead else nullcontext():
        import_module(f"{program}.cli").main()


def _enter_forked(prelude: Prelude, *arguments: Any) -> None:
    prelude()
    _become(*arguments)


@dataclass
class TrappedDaemon(Daemon):
    """A daemon with a prelude to every start, and traps for the next start alone.

    `before` are the words of a command that becomes it, such as `ip netns exec …`; a forked one has none.
    """

    prelude: Prelude = field(default_factory=Prelude)
    traps: tuple[Trap, ...] = ()
    before: tuple[str, ...] = ()

    @classmethod
    def like(cls, daemon: Daemon, prelude: Prelude) -> Self:
        """The same daemon, which does not run, with this prelude."""
        daemon.kill()
        return cls(**{each.name: getattr(daemon, each.name) for each in fields(Daemon)}, prelude=prelude)

    def start(self) -> None:
        """Start it, the first time or again; its words are added to the log."""
        traps, self.traps = self.traps, ()
        prelude = replace(self.prelude, traps=traps)
        if self.program != NODE:
            prelude = replace(prelude, quick=False, waits=0)
        if self.is_forked:
            files = [str(path) for path in (Path(os.devnull), self.log, self.log)]
            arguments = (prelude, self.program, self.words, files, dict(self.environment), prelude.ahead)
            process = _CONTEXT.Process(target=_enter_forked, args=arguments, name=self.program)
            process.start()
            self.process = Forked(process)
            return
        code = "import sys; from tests.faults.trapped import enter; enter(sys.argv.pop(1), sys.argv.pop(1))"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.before,
                    sys.executable,
                    "-c",
                    code,
                    self.program,
                    msgspec.json.encode(prelude).decode(),
                    *self.words,
                ],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def dies(self, seconds: float) -> bool:
        """Whether the process ends in time by the trap that was set for it."""
        if self.process is None:
            return False
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return status == -signal.SIGKILL and '"event": "trapped"' in self.last_words()
