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
from functools import partial
from typing import Any
from unittest import mock

from hub import chores, core, hall
from hub.config import Sessions
from hub.rounds import Round
from hub.store import transaction
from node import uplink
from node.sql import SqlTransaction
from protocol.errors import HubGoneError, ValijaError
from protocol.trust.statements import Cause
from tests.simulator import doubles
from tests.simulator.disks import HubDisk, NodeDisk
from tests.simulator.hub_side import HubProcess, Socket
from tests.simulator.judge import Judge
from tests.simulator.loop import Loop, Process
from tests.simulator.network import End, Weather, Wire
from tests.simulator.node_side import Log, NodeProcess
from tests.simulator.papers import MEMBERS, Papers, papers
from tests.simulator.people import People
from tests.simulator.trace import Trace

HUB = ""
ANSWER_SECONDS = 60.0


class Machine:
    """The hub or a node: a disk, a clock that may be wrong, and the process that runs on it, if one does."""

    def __init__(self, town: Town, name: str) -> None:
        """Off."""
        self.town, self.name = town, name
        self.clock_offset = 0.0
        self.commit_seconds = 0.002
        self.process: Process | None = None
        self.lives = 0

    def now(self) -> float:
        """What its clock shows (Unix seconds)."""
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
        self.town.loop.call_soon(self._gone, process, why)

    def _gone(self, process: Process, why: str) -> None:
        if self.process is process:
            self.say(f"ends: {why}")
            self.kill(silently=why == "power")
            if self.town.restarts:
                self.town.loop.call_later(self.town.chance.uniform(0.5, 20), self.start_again)

    def start_again(self) -> None:
        """Start unless somebody did, or the disk is full still."""
        raise NotImplementedError

    def kill(self, *, silently: bool = False) -> None:
        """End the process at once; `silently`, the other ends of its lines learn nothing of it."""
        process, self.process = self.process, None
        if process is not None:
            self.say("is dead")
            process.kill()
            self.town.hang_up(process, silently=silently)


class NodeMachine(Machine):
    """A member's node."""

    def __init__(self, town: Town, name: str) -> None:
        """A new home."""
        super().__init__(town, name)
        self.disk = NodeDisk(town.papers.node.snapshot())
        self.running: NodeProcess | None = None

    def start(self, *, restored: bool = False) -> None:
        """Start; `restored` after somebody put a backup back and said so."""
        process, world = self.born(), self.town.papers.world
        party, key = world.party(self.name), world.key(self.name)
        self.running = process.call(
            lambda: NodeProcess(
                process,
                self.disk,
                party,
                key,
                self.town.papers.anchor,
                self.town,
                self.now,
                self.later,
                partial(self.ended, process),
                partial(self.town.judge.look, self),
                Log(partial(self.says, process)),
            )
        )
        self.running.begin(restored=restored)
        self.town.people.started(self.name)

    @property
    def tx(self) -> SqlTransaction:
        """The rows on the disk as they are now."""
        return SqlTransaction(self.disk.archive._connection)

    def start_again(self) -> None:
        """See `Machine.start_again`."""
        if self.process is None and not self.disk.fate.is_full:
            self.start()

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
        self.disk = HubDisk(town.papers.hub)
        self.running: HubProcess | None = None
        self.settings = Sessions(idle_seconds=600)

    def start(self) -> None:
        """Start."""
        process = self.born()
        self.running = process.call(
            lambda: HubProcess(
                process,
                self.disk,
                self.town.papers.keys,
                self.settings,
                self.now,
                self.later,
                partial(self.ended, process),
                self._committed,
            )
        )
        self.running.begin()

    def start_again(self) -> None:
        """See `Machine.start_again`."""
        if self.process is None and not self.disk.fate.is_full:
            self.start()

    def kill(self, *, silently: bool = False) -> None:
        """See `Machine.kill`."""
        super().kill(silently=silently)
        self.running = None

    def _committed(self, round_: Round, jobs: int) -> None:
        tally = round_.group.tally
        self.say(
            f"commit of {jobs}: accepted {tally.accepted}, refused {sum(tally.refusals.values())}, "
            f"expired {tally.expired}, recalled {tally.recalled}, "
            f"delivers {sum(len(each.items) for each in round_.deliveries)}"
        )

    def restore(self, backup: Any) -> None:
        """Put a backup back, as `valija-hub install --restored` does: a new incarnation; the hub is down."""
        self.disk.restore(backup)
        store, keys = self.disk.open(), self.town.papers.keys
        log = core.load_log(store, keys)
        if log is None:
            raise ValueError("an empty log")
        now = int(self.now())
        with transaction(store) as tx:
            certificate = keys.certificate(log.registry, now).id
            nonce = self.town.chance.randbytes(16)
            log.open_incarnation(tx, keys.hub.key, certificate, Cause.RESTORED, nonce, now)


class Town:
    """Hub, nodes and lines."""

    def __init__(
        self,
        chance: random.Random,
        shared: Papers,
        members: tuple[str, ...] = MEMBERS,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """Everything is off; the day is young."""
        self.chance, self.papers = chance, shared
        self.loop = Loop()
        self.epoch = float(shared.world.now + 3_600)
        self.trace = Trace(self.loop.time, show)
        self.weather = Weather()
        self.restarts = True
        self.wires: list[Wire] = []
        self._lines = 0
        self.hub = HubMachine(self)
        self.nodes = {member: NodeMachine(self, member) for member in members}
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
        self.restarts = False
        for machine in self.machines:
            machine.kill(silently=True)
        for node in self.nodes.values():
            node.disk.archive.close()

    # -- roads -----------------------------------------------------------------------------------------
    async def _way(self, what: str) -> None:
        await asyncio.sleep(self.chance.uniform(self.weather.least_delay, self.weather.most_delay))
        if self.hub.running is None:
            raise HubGoneError(f"{what}: connection refused")

    async def connect(self, member: str, process: Process) -> End:
        """See `node_side.Roads`."""
        await self._way("session")
        running = self.hub.running
        if running is None or self.hub.process is None:
            raise HubGoneError("connection refused")
        self._lines += 1
        wire = Wire(self.loop, self.chance, self.weather, f"{member}/{self._lines}", self.trace.say)
        ours, theirs = wire.join(process, self.hub.process)
        self.wires = [each for each in self.wires if each.is_open]
        self.wires.append(wire)
        running.connect(theirs)
        return ours

    async def get(self, member: str, path: str) -> bytes:
        """See `node_side.Roads`."""
        found = await self._asked(lambda hub: hub.answer(path))
        if found is None:
            raise HubGoneError(f"answers 404 to {path}")
        return bytes(found)

    async def post(self, member: str, raw: bytes) -> int:
        """See `node_side.Roads`."""
        index, _size = await self._asked(lambda hub: hub.core.publish(raw))
        self.trace.say(member, f"posted leaf {index}")
        return int(index)

    async def _asked(self, question: Callable[[HubProcess], Any]) -> Any:
        await self._way("request")
        running = self.hub.running
        if running is None:
            raise HubGoneError("connection refused")
        asked = self.loop.create_future()
        running.process.spawn(_answer(question(running), asked))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await asked
        except TimeoutError:
            raise HubGoneError("no answer in time") from None
        await self._way("answer")
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
def town(seed: int, *, real: bool = False, show: Callable[[str], None] | None = None, **how: Any) -> Iterator[Town]:
    """A town whose every chance is drawn from `seed`; `real` with the real signatures and HPKE."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        if not real:
            stack.enter_context(doubles.cheap())
        shared = papers(cheap=not real, mailbox_messages=how.pop("mailbox_messages", 100_000))
        stack.enter_context(doubles.drawn_from(random.Random(chance.getrandbits(64))))
        made = Town(chance, shared, show=show, **how)
        stack.enter_context(mock.patch.object(uplink, "random", chance))
        stack.enter_context(made.loop.current())
        log = Log(made.trace_of_hub)
        for module in (hall, chores):
            stack.enter_context(mock.patch.object(module, "_log", log))
        stack.enter_context(mock.patch.object(hall, "websocket", Socket))
        stack.callback(made.close)
        yield made
