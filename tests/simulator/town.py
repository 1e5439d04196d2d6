"""One association in one seed: hub, nodes and lines on one loop, with hands that break and mend them.

with town(seed) as t:
    t.start()
    t.write("ar-mpf", "k1", "co-fgn")
    t.run(60)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final
from unittest import mock

from hub import chores, core, hall, sessions
from hub.config import Sessions
from hub.memory_base import Tables
from hub.rounds import Round
from hub.store import transaction
from keys.prekeys import _Held
from node import recovery, uplink
from node.context import Context, Identity
from node.memory_store import MemoryStore
from node.mirror import Mirror
from node.sql import SqlTransaction
from node.store import Transaction
from node.tables import state
from protocol.batch import Verified
from protocol.errors import HubGoneError, UsageError, ValijaError
from protocol.trust.statements import Cause
from tests.simulator import doubles
from tests.simulator.disks import Fate, HubDisk, NodeDisk, PowerCutError
from tests.simulator.hub_side import HubProcess, Socket
from tests.simulator.judge import Judge
from tests.simulator.loop import Loop, Process
from tests.simulator.network import End, Weather, Wire
from tests.simulator.node_side import Log, NodeProcess
from tests.simulator.noticing import committed
from tests.simulator.papers import MEMBERS, Disks, Papers, papers
from tests.simulator.people import People
from tests.simulator.trace import Trace

HUB = ""
ANSWER_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Backup:
    """A node's archive of some moment; the prekeys are there for an image of the whole disk."""

    archive: MemoryStore
    prekeys: dict[bytes, _Held]


class Machine:
    """The hub or a node: a disk, a clock that may be wrong, and the process that runs on it, if one does."""

    def __init__(self, town: Town, name: str) -> None:
        """Off."""
        self.town, self.name = town, name
        self.clock_offset = self.most_wrong = 0.0
        self.commit_seconds = 0.002
        self.is_away = False
        self.fate = Fate()
        self.process: Process | None = None
        self.lives = 0

    def now(self) -> float:
        """What its clock shows (Unix seconds)."""
        self.most_wrong = max(self.most_wrong, abs(self.clock_offset))
        return self.town.epoch + self.town.loop.time() + self.clock_offset

    @property
    def is_up(self) -> bool:
        """Whether a process runs."""
        return self.process is not None

    def say(self, what: str) -> None:
        """One line of the trace."""
        self.town.trace.say(self.name or "hub", what)

    def says(self, process: Process, what: str) -> None:
        """One line of the log of this process; the dead say nothing."""
        if process.is_alive:
            self.say(what)

    def later(self, work: Callable[[], None]) -> None:
        """Run `work` after the time that a commit takes here."""
        self.town.loop.call_later(self.commit_seconds * self.town.chance.uniform(0.5, 1.5), work)

    def born(self) -> Process:
        """A new process."""
        self.lives += 1
        self.process = Process(self.town.loop, f"{self.name or 'hub'}#{self.lives}")
        self.say("starts")
        return self.process

    def ended(self, process: Process, why: str) -> None:
        """The process ends, as one that may hold nothing true any more does."""
        # Not in the middle of its own words.
        self.town.loop.plan(0, self._gone, process, why)

    def _gone(self, process: Process, why: str) -> None:
        if self.process is process:
            self.say(f"ends: {why}")
            self.kill(silently=why == "power")
            self.town.loop.plan(self.town.chance.uniform(0.5, 20), self.start_again)

    def start(self) -> None:
        """Start."""
        raise NotImplementedError

    def start_again(self) -> None:
        """Start, unless somebody did, nobody is there, or the disk is full still."""
        if self.process is None and not self.is_away and not self.fate.is_full:
            self.start()

    def kill(self, *, silently: bool = False) -> None:
        """End the process at once; `silently`, the other ends of its lines learn nothing of it."""
        process, self.process = self.process, None
        if process is not None:
            self.say("is dead")
            process.kill()
            self.town.hang_up(process, silently=silently)


_FAULTS_OF_OURS: Final = tuple(f"error work_failed code={kind.code} " for kind in (ValijaError, UsageError))


class NodeMachine(Machine):
    """A member's node."""

    def __init__(self, town: Town, name: str) -> None:
        """A new home."""
        super().__init__(town, name)
        self.disk = NodeDisk(town.disks.archives[name].snapshot(), dict(town.disks.prekeys[name]))
        self.fate = self.disk.fate
        self._went_back = False
        self.running: NodeProcess | None = None

    def start(self) -> None:
        """Start."""
        process, world = self.born(), self.town.papers.world
        party, key = world.party(self.name), self.town.papers.signers[self.name]
        self.running = process.call(
            lambda: NodeProcess(
                process,
                self.disk,
                party,
                key,
                self.town.papers.anchor,
                self.town,
                self.now,
                self.town.loop.time,
                self.later,
                partial(self.ended, process),
                partial(self.town.judge.look, self),
                Log(partial(self._logs, process)),
            )
        )
        self.running.begin()
        if self._went_back:
            self._went_back = False
            self.town.people.restored(self.name)
        self.town.people.started(self.name)

    def _logs(self, process: Process, what: str) -> None:
        self.says(process, what)
        if process.is_alive and what.startswith(_FAULTS_OF_OURS):
            raise AssertionError(what)

    def restore(self, backup: Backup, *, is_noticed: bool) -> None:
        """Put a backup back while no process runs; its prekeys come with an image that was rolled back unnoticed."""
        self.disk.restore(backup.archive, None if is_noticed else backup.prekeys)
        self._went_back = True
        self.town.judge.went_back(self)
        if is_noticed:
            self.disk.archive.run(self._told_of_restore)
        self.say("is restored" if is_noticed else "is rolled back, and nobody noticed")

    def _told_of_restore(self, tx: Transaction) -> None:
        if state.incarnation(tx) is not None:
            world = self.town.papers.world
            identity = Identity(
                world.party(self.name), world.certificates[self.name], self.town.papers.signers[self.name]
            )
            recovery.restored(Context(tx, self.now(), identity, Mirror(world.association), Verified()))

    def backup(self) -> Backup:
        """What can be put back later."""
        return Backup(self.disk.backup(), dict(self.disk.prekeys))

    @property
    def tx(self) -> SqlTransaction:
        """The rows on the disk as they are now."""
        return SqlTransaction(self.disk.archive._connection)

    def kill(self, *, silently: bool = False) -> None:
        """See `Machine.kill`."""
        super().kill(silently=silently)
        self.running = None
        connection = self.disk.archive._connection
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")


class HubMachine(Machine):
    """The hub."""

    def __init__(self, town: Town) -> None:
        """A new home, with the papers installed."""
        super().__init__(town, HUB)
        self.disk = HubDisk(town.disks.hub)
        self.fate = self.disk.fate
        self.running: HubProcess | None = None
        self.settings = Sessions(idle_seconds=1_800)

    def start(self) -> None:
        """Start."""
        process = self.born()
        try:
            self.running = process.call(lambda: self._made(process))
        except PowerCutError:
            self.ended(process, "power")
        except ValijaError as error:
            # A full disk, or a clock by which its certificate is not in force: it says so, and is started again.
            self.ended(process, error.code)
        else:
            self.running.begin()

    def _made(self, process: Process) -> HubProcess:
        return HubProcess(
            process,
            self.disk,
            self.town.papers.keys,
            self.settings,
            self.now,
            self.town.loop.time,
            self.later,
            partial(self.ended, process),
            self._committed,
        )

    def kill(self, *, silently: bool = False) -> None:
        """See `Machine.kill`."""
        super().kill(silently=silently)
        self.running = None

    def _committed(self, round_: Round, jobs: int) -> None:
        tally = round_.group.tally
        committed(self.town.met, tally)
        self.say(
            f"commit of {jobs}: accepted {tally.accepted}, refused {sum(tally.refusals.values())}, "
            f"expired {tally.expired}, recalled {tally.recalled}, "
            f"delivers {sum(len(each.items) for each in round_.deliveries)}"
        )

    def restore(self, backup: Any) -> None:
        """Put a backup back, as `valija-hub install --restored` does: a new incarnation; the hub is down."""
        # Whoever does that by a wrong clock is refused, and sets it right first.
        self.clock_offset = 0.0
        self.disk.restore(backup)
        store, keys = HubDisk.hold(self.disk.tables), self.town.papers.keys
        log = core.load_log(store, keys)
        if log is None:
            raise ValueError("an empty log")
        now = int(self.now())
        with transaction(store) as tx:
            certificate = keys.certificate(log.registry, now).id
            nonce = self.town.chance.randbytes(16)
            log.open_incarnation(tx, keys.hub.key, certificate, Cause.RESTORED, nonce, now)

    def roll_back(self, image: Any) -> None:
        """Put an older image of its mailboxes back while it is down; nobody tells it, and it goes on as it was."""
        self.disk.restore(image)
        self.say("is rolled back, and nobody noticed")


class Town:
    """Hub, nodes and lines."""

    def __init__(
        self,
        chance: random.Random,
        shared: Papers,
        disks: Disks,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """Everything is off; the day is young."""
        self.chance, self.papers, self.disks = chance, shared, disks
        self.loop = Loop()
        self.epoch = float(shared.world.now + 3_600)
        self.trace = Trace(self.loop.time, show)
        self.weathers = {member: Weather() for member in shared.members}
        self.backups: dict[str, Backup] = {}
        self.hub_backup: Tables | None = None
        self.has_lied = False
        self.met: set[str] = set()
        self.wires: list[Wire] = []
        self._lines = 0
        self.hub = HubMachine(self)
        self.nodes = {member: NodeMachine(self, member) for member in shared.members}
        self.people = People(self)
        self.judge = Judge(self)

    def __getitem__(self, member: str) -> NodeMachine:
        return self.nodes[member]

    @property
    def machines(self) -> list[Machine]:
        """The hub and all nodes."""
        return [self.hub, *self.nodes.values()]

    def trace_of_hub(self, what: str) -> None:
        """What the hub logs; an error there is a finding."""
        if self.hub.process is None:
            return  # the last words of the dead
        self.hub.say(what)
        if self.has_lied and "expiry_failed" in what:
            return  # what it put into a mailbox against its own records cannot be forgotten before it is taken
        if what.startswith(("error", "exception", "critical")):
            raise AssertionError(what)

    def start(self) -> None:
        """Everybody starts."""
        self.hub.start()
        for node in self.nodes.values():
            node.start()

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.loop.run_until(self.loop.time() + seconds)

    def close(self) -> None:
        """Everybody is gone."""
        for machine in self.machines:
            machine.kill(silently=True)
        for node in self.nodes.values():
            node.disk.archive.close()

    # -- roads -----------------------------------------------------------------------------------------
    async def _way(self, member: str) -> HubProcess:
        weather = self.weathers[member]
        await asyncio.sleep(self.chance.uniform(weather.least_delay, weather.most_delay))
        if self.hub.running is None:
            raise HubGoneError("connection refused")
        return self.hub.running

    async def connect(self, member: str, process: Process) -> End:
        """See `node_side.Roads`."""
        running = await self._way(member)
        self._lines += 1
        wire = Wire(self.loop, self.chance, lambda: self.weathers[member], f"{member}/{self._lines}", self.trace.say)
        ours, theirs = wire.join(process, running.process)
        self.wires = [each for each in self.wires if each.is_open]
        self.wires.append(wire)
        running.connect(theirs)
        return ours

    async def get(self, member: str, path: str) -> tuple[bytes, int]:
        """See `node_side.Roads`."""
        found = await self._asked(member, lambda hub: hub.answer(path))
        if found is None:
            raise HubGoneError(f"answers 404 to {path}")
        return bytes(found), int(self.hub.now())

    async def post(self, member: str, raw: bytes) -> int:
        """See `node_side.Roads`."""
        index, _size = await self._asked(member, lambda hub: hub.core.publish(raw))
        self.trace.say(member, f"posted leaf {index}")
        return int(index)

    async def _asked(self, member: str, question: Callable[[HubProcess], Any]) -> Any:
        running = await self._way(member)
        asked = self.loop.create_future()
        running.process.spawn(_answer(question(running), asked))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await asked
        except TimeoutError:
            raise HubGoneError("no answer in time") from None
        await self._way(member)
        return answer

    def hang_up(self, process: Process, *, silently: bool) -> None:
        """The lines of a dead process: cut, or `silently` dark."""
        for wire in self.wires:
            for end in wire.ends:
                if end.owner is process and end.is_open:
                    end.is_open = False
                    if silently:
                        wire.silence(0, 1)
                    else:
                        end.say_goodbye()

    def wire_of(self, member: str) -> Wire | None:
        """The newest open line of this member."""
        found = [each for each in self.wires if each.is_open and each.name.startswith(f"{member}/")]
        return found[-1] if found else None


async def _answer(question: Any, asked: asyncio.Future[Any]) -> None:
    try:
        answer = await question
    except ValijaError as error:
        if not asked.done():
            asked.set_exception(error)
        return
    if not asked.done():
        asked.set_result(answer)


@contextmanager
def town(
    seed: int,
    members: tuple[str, ...] = MEMBERS,
    *,
    real: bool = False,
    fresh: bool = False,
    mailbox_messages: int = 100_000,
    show: Callable[[str], None] | None = None,
) -> Iterator[Town]:
    """A town whose every chance is drawn from `seed`; `real` with the real signatures and HPKE.

    A `fresh` one has never met its hub; others have the disks of one that did.
    """
    with ExitStack() as stack:
        if not real:
            stack.enter_context(doubles.cheap())
        shared = papers(members, mailbox_messages, cheap=not real)
        disks = shared.disks if fresh else _begun(shared)
        yield stack.enter_context(_alive(Town(random.Random(seed), shared, disks, show)))


@cache
def _begun(shared: Papers) -> Disks:
    with _alive(Town(random.Random(0), shared, shared.disks)) as made:
        made.epoch -= 3_000
        made.start()
        made.run(60)
        archives = {name: node.disk.backup() for name, node in made.nodes.items()}
        return Disks(made.hub.disk.backup(), archives, {name: node.disk.prekeys for name, node in made.nodes.items()})


@contextmanager
def _alive(made: Town) -> Iterator[Town]:
    with ExitStack() as stack:
        stack.enter_context(doubles.drawn_from(random.Random(made.chance.getrandbits(64))))
        stack.enter_context(made.loop.current())
        log = Log(made.trace_of_hub)
        for module in (hall, sessions, chores):
            stack.enter_context(mock.patch.object(module, "_log", log))
        stack.enter_context(mock.patch.object(hall, "websocket", Socket))
        stack.enter_context(mock.patch.object(uplink, "random", made.chance))
        stack.callback(made.close)
        yield made
