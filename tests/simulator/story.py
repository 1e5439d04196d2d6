"""One seed: people write, things break, everything is mended, and in the end all is told truly.

plan        who takes part, how long it lasts, how patient faults are: all from the seed
trouble     messages, withdrawals, backups and faults at chosen moments
heal        disks have room, clocks are right, lines are good, everybody starts
settle      within BOUND of virtual time nothing is left open
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final
from unittest import mock

from hub import log
from hub.config import Sessions
from node import engine, exchange
from protocol.messages.content import Urgency
from protocol.session.items import Window
from tests.simulator.faults import FAULTS, LIES, Strike
from tests.simulator.judge import BrokenError
from tests.simulator.network import Weather
from tests.simulator.noticing import left_behind, noticing
from tests.simulator.papers import MEMBERS
from tests.simulator.people import Asked
from tests.simulator.provoke import provoke
from tests.simulator.states import COLUMNS, cells
from tests.simulator.town import Machine, Town, town
from tests.support.world import DAY

HOUR: Final = 3_600.0
SETTLE_SECONDS: Final = 2 * DAY
SETTLE_AFTER_LIES_SECONDS: Final = 17 * DAY
"""An envelope that the hub dropped in silence is missed when it would have expired: W of 14 days, and what follows."""

_STEPS: Final = (60.0, 600.0, HOUR, 6 * HOUR)
_SMALL_MAILBOX: Final = 4
_WATCHED: Final = 20
_WATCH_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Plan:
    """What a seed decides before anything happens; from `LARGE` on a mailbox is never full.

    So many messages are written in one `burst`; and so many envelopes may be under way, where a `window` is not 0.
    """

    LARGE: ClassVar[int] = 100_000

    members: tuple[str, ...]
    messages: int
    faults: int
    patience: float
    mailbox: int
    kinds: tuple[str, ...]
    weather: Weather
    burst: int
    window: int

    @classmethod
    def of(cls, chance: random.Random) -> Plan:
        """Most stories are short; some take weeks, which cost as much as ten short ones."""
        patience = chance.choices((120.0, HOUR, DAY, 20.0 * DAY), (62, 31, 5, 2))[0]
        members = MEMBERS[: 2 if patience > DAY else chance.choices((2, 3, 4), (80, 16, 4))[0]]
        few = chance.choices((1, 2, 4, len(FAULTS)), (15, 25, 40, 20))[0]
        return cls(
            members,
            chance.randint(1, 4),
            chance.randint(1, 4),
            patience,
            _SMALL_MAILBOX if chance.random() < 0.25 else cls.LARGE,
            tuple(chance.sample(sorted(FAULTS), few)),
            chance.choice((Weather(), Weather(), Weather(0.1, 1.0), Weather(0.5, 3.0))),
            chance.choice((1, 1, 1, 5)),
            chance.choice((0, 0, 1, 2)),
        )


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    digest: str = ""
    broken: str = ""
    settled_after: float = 0.0
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    met: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list, repr=False)


def tell(seed: int, *, real: bool = False, show: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed; `broken` says which invariant failed, if one did."""
    plan = Plan.of(random.Random(f"plan {seed}"))
    outcome = Outcome(seed)
    with ExitStack() as stack:
        if plan.patience > DAY:
            stack.enter_context(_seldom())
        here = stack.enter_context(town(seed, plan.members, real=real, mailbox_messages=plan.mailbox, show=show))
        stack.enter_context(noticing(here.met))
        stack.enter_context(_narrow(here, plan.window))
        story = Story(here, plan, outcome)
        try:
            story.run()
        except Exception as error:
            outcome.broken = f"{type(error).__name__}: {error}"
            here.trace.say("judge", outcome.broken)
            if show is not None:
                raise
        left_behind(here.met, here, {fault for fault, _column in outcome.struck})
        outcome.digest, outcome.lines, outcome.met = here.trace.digest, here.trace.lines, here.met
    return outcome


@contextmanager
def _seldom() -> Iterator[None]:
    """Where nothing happens for weeks, what is done each hour, or in each silence, is done twice a day."""
    with (
        mock.patch.object(engine, "UPKEEP_SECONDS", 12 * HOUR),
        mock.patch.object(log, "REFRESH_SECONDS", int(12 * HOUR)),
        mock.patch.object(exchange, "SILENT_SECONDS", 12 * HOUR),
    ):
        yield


@contextmanager
def _narrow(here: Town, envelopes: int) -> Iterator[None]:
    """Only so many envelopes may be under way, to the hub and from it; as many as ever if it is 0."""
    if not envelopes:
        yield
        return
    here.hub.settings = Sessions(idle_seconds=here.hub.settings.idle_seconds, submit_envelopes=envelopes)
    with mock.patch.object(exchange, "WINDOW", Window(envelopes, exchange.WINDOW.max_bytes)):
        yield


class Story:
    """What happens in one seed."""

    def __init__(self, here: Town, plan: Plan, outcome: Outcome) -> None:
        """Nothing happened yet."""
        self.town, self.plan, self.outcome = here, plan, outcome
        self.chance = random.Random(f"story {outcome.seed}")
        self.asked: list[Asked] = []

    def run(self) -> None:
        """The whole of it; raises `BrokenError`, or whatever broke."""
        self.town.start()
        if self.chance.random() < 0.8:
            self.town.run(2)
        for member in self.plan.members:
            self.town.weathers[member] = self.plan.weather
        self._trouble()
        self._heal()
        self._settle()

    # -- trouble -----------------------------------------------------------------------------------------
    def _trouble(self) -> None:
        todo: list[Callable[[], None]] = [self._burst] * self.plan.messages + [self._strike] * self.plan.faults
        todo += [self._withdraw] * self.chance.randint(0, 2)
        self.chance.shuffle(todo)
        if not self.chance.randrange(3):
            todo.sort(key=lambda each: each is self._strike)
        for act in todo:
            self.town.run(self._pause())
            if self.chance.random() < 0.25:
                self._back_up()
            act()

    def _pause(self) -> float:
        # Half of everything happens while the last thing is still under way.
        if self.chance.random() < 0.5:
            return self.chance.uniform(0, 0.2)
        return float(min(self.plan.patience, 10 ** self.chance.uniform(-1, 6.5)))

    def _burst(self) -> None:
        # At one moment they go together; one shortly after the other, each in an envelope of its own.
        pause = self.chance.choice((0.0, 0.02))
        sender = self.chance.choice(self.plan.members)
        for _message in range(self.plan.burst):
            self._write(sender)
            self.town.run(pause)

    def _write(self, sender: str) -> None:
        others = [each for each in self.plan.members if each != sender]
        lives = self.chance.choice((60, HOUR, DAY, 30 * DAY)) if self.chance.random() < 0.1 else None
        self.write(
            sender,
            "" if self.chance.random() < 0.2 else self.chance.choice(others),
            lives=lives,
            urgency=self.chance.choice((Urgency.ROUTINE, Urgency.URGENT)),
            size=self.chance.choice((0, 0, 2_000, 60_000)),
        )

    def write(self, sender: str, to: str, lives: float | None = None, **how: Any) -> None:
        """A message to this member, or to the network; it `lives` so many seconds."""
        expires = None if lives is None else int(self.town[sender].now() + lives)
        key = f"{sender} {len(self.asked)}"
        self.asked.append(self.town.people.write(sender, key, *[to] * bool(to), expires_at=expires, **how))

    def leave(self, machine: Machine) -> None:
        """Nobody is there for some time."""
        FAULTS["node away" if machine.name else "hub away"](self._at(machine.name or self.plan.members[0]))

    def _withdraw(self) -> None:
        if self.asked:
            self.town.people.withdraw(self.chance.choice(self.asked))

    def _back_up(self) -> None:
        member = self.chance.choice(self.plan.members)
        self.town.backups[member] = self.town[member].backup()
        if self.chance.random() < 0.3:
            self.town.hub_backup = self.town.hub.disk.backup()

    def _strike(self) -> None:
        name, member = self.chance.choice(self.plan.kinds), self.chance.choice(self.plan.members)
        if self.chance.random() < 0.6:
            self._aim(member, self.chance.choice(COLUMNS))
        self.town.trace.say(member, f"FAULT {name}")
        FAULTS[name](replace(self._at(member), strikes=self._once(name, member)))

    def _at(self, member: str) -> Strike:
        return Strike(self.town, member, self.chance, self.plan.patience)

    def _once(self, name: str, member: str) -> Callable[[], None]:
        """What a fault calls when it truly strikes: it counts where everything stands at that moment, the first time."""
        struck: list[bool] = []

        def strikes() -> None:
            if not struck:
                struck.append(True)
                self.outcome.struck.update((name, column) for column in cells(self.town, member))
                self.town.has_lied = self.town.has_lied or name in LIES

        return strikes

    def _aim(self, member: str, column: str) -> None:
        """Bring the state about in which this column holds, and wait for the moment, if it comes soon."""
        provoke(self, member, column)
        for _look in range(_WATCHED):
            if column in cells(self.town, member):
                return
            self.town.run(_WATCH_SECONDS)

    # -- the end -----------------------------------------------------------------------------------------
    def _heal(self) -> None:
        self.town.run(self._pause())
        self.town.trace.say("", "everything is mended")
        for member in self.plan.members:
            self.town.weathers[member] = Weather()
        for wire in self.town.wires:
            for end in wire.ends:
                end.damage = None
        for machine in self.town.machines:
            machine.clock_offset, machine.commit_seconds, machine.is_away = 0.0, 0.002, False
            machine.fate.is_full = False
            machine.start_again()

    def _settle(self) -> None:
        began = self.town.loop.time()
        bound = SETTLE_AFTER_LIES_SECONDS if self.town.has_lied else SETTLE_SECONDS
        open_things: list[str] = ["everything"]
        for step in _STEPS:
            self.town.run(step)
            open_things = self.town.judge.unsettled()
            if not open_things:
                break
        with _seldom():
            while open_things and self.town.loop.time() < began + bound:
                self.town.run(0.5 * DAY)
                open_things = self.town.judge.unsettled()
        if open_things:
            raise BrokenError(f"never settled: {'; '.join(open_things)}")
        self.outcome.settled_after = self.town.loop.time() - began
        self.town.judge.check()
