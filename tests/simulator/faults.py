"""Everything that goes wrong, each with what mends it: a fault strikes a town at a moment, at one member or the hub.

What mends itself (a restart, a line that is opened again) is left to the daemons; what only people mend (a full disk,
a wrong clock, a node that is away) is mended after a time, or by `heal` at the end.  A fault says when it truly strikes:
where there is nothing to break, or the moment that it waits for never comes, it did not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hub.memory_base import StoredEnvelope, Tables
from hub.store import NewItem
from tests.simulator.disks import Commit
from tests.simulator.network import Weather
from tests.support.world import DAY

if TYPE_CHECKING:
    from tests.simulator.network import Wire
    from tests.simulator.town import Machine, Town

MINUTE, HOUR = 60.0, 3_600.0


@dataclass
class Strike:
    """One fault at its moment."""

    town: Town
    member: str
    chance: random.Random
    patience: float
    strikes: Callable[[], object] = lambda: None

    def some_time(self) -> float:
        """How long it lasts: anything from a second to the patience of this story, short or long alike."""
        return float(min(self.patience, 10 ** self.chance.uniform(0, 7)))

    def wire(self) -> Wire | None:
        """The open line of this member, which is about to suffer; None where there is none."""
        found = self.town.wire_of(self.member)
        if found is not None:
            self.strikes()
        return found

    def after(self, seconds: float, mend: Callable[[], object]) -> None:
        """Mend it then."""
        self.town.loop.plan(seconds, mend)


Fault = Callable[[Strike], None]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """This function is the fault of this name."""

    def named(strike: Fault) -> Fault:
        FAULTS[name] = strike
        return strike

    return named


# -- lines ---------------------------------------------------------------------------------------------
@fault("line cut")
def _cut(strike: Strike) -> None:
    if wire := strike.wire():
        wire.cut("fault")


@fault("line dark both ways")
def _dark(strike: Strike) -> None:
    if wire := strike.wire():
        wire.silence(0, 1)


@fault("line dark towards the node")
def _dark_in(strike: Strike) -> None:
    if wire := strike.wire():
        wire.silence(0)


@fault("line dark towards the hub")
def _dark_out(strike: Strike) -> None:
    if wire := strike.wire():
        wire.silence(1)


def _damaging(name: str, damage: Callable[[random.Random, bytes], list[bytes]]) -> None:
    @fault(name)
    def strike_line(strike: Strike) -> None:
        wire = strike.town.wire_of(strike.member)
        if wire is None:
            return
        end = wire.ends[strike.chance.randrange(2)]

        def once(data: bytes) -> list[bytes]:
            end.damage = None
            strike.strikes()
            return damage(strike.chance, data)

        end.damage = once


def _turned(chance: random.Random, data: bytes) -> list[bytes]:
    at = chance.randrange(len(data))
    return [data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]]


_damaging("frame lost", lambda _chance, _data: [])
_damaging("frame doubled", lambda _chance, data: [data, data])
_damaging("frame damaged", _turned)
_damaging("frame cut short", lambda chance, data: [data[: chance.randrange(len(data))]])


@fault("frames swapped")
def _swapped(strike: Strike) -> None:
    wire = strike.town.wire_of(strike.member)
    if wire is None:
        return
    end, kept = wire.ends[strike.chance.randrange(2)], []

    def swap(data: bytes) -> list[bytes]:
        kept.append(data)
        if len(kept) < 2:
            return []
        end.damage = None
        strike.strikes()
        return [kept[1], kept[0]]

    end.damage = swap


@fault("slow reader")
def _slow_reader(strike: Strike) -> None:
    strike.strikes()
    town, usual = strike.town, Weather()
    town.weathers[strike.member] = Weather(bytes_per_second=strike.chance.choice((300.0, 3_000.0, 30_000.0)))
    strike.after(strike.some_time(), lambda: town.weathers.update({strike.member: usual}))


@fault("slow line")
def _slow_line(strike: Strike) -> None:
    strike.strikes()
    town = strike.town
    town.weathers[strike.member] = Weather(0.2, strike.chance.choice((1.0, 4.0)))
    strike.after(strike.some_time(), lambda: town.weathers.update({strike.member: Weather()}))


# -- processes -------------------------------------------------------------------------------------------
def _machine(strike: Strike, *, hub: bool) -> Machine:
    return strike.town.hub if hub else strike.town.nodes[strike.member]


def _on_machines(name: str, work: Callable[[Strike, Machine], None]) -> None:
    FAULTS[f"node {name}"] = lambda strike: work(strike, _machine(strike, hub=False))
    FAULTS[f"hub {name}"] = lambda strike: work(strike, _machine(strike, hub=True))


def _killed(strike: Strike, machine: Machine) -> None:
    if machine.is_up:
        strike.strikes()
    machine.kill()
    strike.after(strike.chance.uniform(0.1, 20), machine.start_again)


def _away(strike: Strike, machine: Machine) -> None:
    strike.strikes()
    machine.is_away = True
    machine.kill()

    def back() -> None:
        machine.is_away = False
        machine.start_again()

    strike.after(strike.some_time(), back)


def _power_lost(strike: Strike, machine: Machine) -> None:
    if machine.is_up:
        strike.strikes()
    machine.kill(silently=True)
    strike.after(strike.some_time(), machine.start_again)


def _dies_before_commit(strike: Strike, machine: Machine) -> None:
    machine.fate.following, machine.fate.strikes = Commit.LOST, strike.strikes


def _dies_after_commit(strike: Strike, machine: Machine) -> None:
    machine.fate.following, machine.fate.strikes = Commit.UNTOLD, strike.strikes


def _disk_full(strike: Strike, machine: Machine) -> None:
    machine.fate.is_full, machine.fate.strikes = True, strike.strikes

    def mend() -> None:
        machine.fate.is_full = False
        machine.start_again()

    strike.after(strike.some_time(), mend)


def _clock_jumps(strike: Strike, machine: Machine) -> None:
    strike.strikes()
    jump = strike.chance.choice((-DAY, -2 * HOUR, -4 * MINUTE, 4 * MINUTE, 2 * HOUR, DAY, 3 * DAY))
    machine.clock_offset += jump
    machine.say(f"clock jumps by {jump:.0f} s")

    def mend() -> None:
        machine.clock_offset = 0.0
        machine.say("clock is right again")

    # Not for longer: a node whose clock is refused asks again every half minute, and learns nothing new by it.
    strike.after(min(HOUR, strike.some_time()), mend)


def _slow_disk(strike: Strike, machine: Machine) -> None:
    strike.strikes()
    machine.commit_seconds = strike.chance.choice((0.05, 0.5, 2.0))
    strike.after(strike.some_time(), lambda: setattr(machine, "commit_seconds", 0.002))


for _name, _work in (
    ("killed", _killed),
    ("away", _away),
    ("loses power", _power_lost),
    ("dies before commit", _dies_before_commit),
    ("dies after commit", _dies_after_commit),
    ("disk full", _disk_full),
    ("clock jumps", _clock_jumps),
    ("disk slow", _slow_disk),
):
    _on_machines(_name, _work)


# -- disks put back ----------------------------------------------------------------------------------------
@fault("node restored")
def _node_restored(strike: Strike) -> None:
    _put_back(strike, is_noticed=True)


@fault("node rolled back unnoticed")
def _node_rolled_back(strike: Strike) -> None:
    _put_back(strike, is_noticed=False)


def _put_back(strike: Strike, *, is_noticed: bool) -> None:
    node = strike.town.nodes[strike.member]
    backup = strike.town.backups.get(strike.member)
    if backup is None:
        return
    strike.strikes()
    node.kill(silently=strike.chance.random() < 0.5)
    node.restore(backup, is_noticed=is_noticed)
    strike.after(strike.chance.uniform(0.1, 20), node.start_again)


@fault("node loses its prekeys")
def _prekeys_lost(strike: Strike) -> None:
    node = strike.town.nodes[strike.member]
    strike.strikes()
    node.kill()
    node.disk.prekeys = {}
    node.say("prekeys are lost")
    strike.after(strike.chance.uniform(0.1, 20), node.start_again)


@fault("hub restored")
def _hub_restored(strike: Strike) -> None:
    hub = strike.town.hub
    if strike.town.hub_backup is not None:
        strike.strikes()
        hub.kill(silently=strike.chance.random() < 0.5)
        hub.restore(strike.town.hub_backup)
        strike.after(strike.chance.uniform(0.1, 20), hub.start_again)


@fault("hub rolled back unnoticed")
def _hub_rolled_back(strike: Strike) -> None:
    hub, backup = strike.town.hub, strike.town.hub_backup
    # An image of before its incarnation would show an older one, and be refused.
    if backup is not None and backup.incarnation == hub.disk.tables.incarnation:
        strike.strikes()
        hub.kill(silently=strike.chance.random() < 0.5)
        hub.roll_back(backup)
        strike.after(strike.chance.uniform(0.1, 20), hub.start_again)


@fault("hub replaced by an empty one")
def _hub_emptied(strike: Strike) -> None:
    strike.strikes()
    hub = strike.town.hub
    hub.kill(silently=strike.chance.random() < 0.5)
    hub.restore(Tables())
    strike.after(strike.chance.uniform(0.1, 20), hub.start_again)


# -- a hub that lies -----------------------------------------------------------------------------------------
def _item(strike: Strike) -> tuple[tuple[str, int], NewItem] | None:
    tables = strike.town.hub.disk.tables
    found = [
        (place, each)
        for place, each in sorted(tables.items.items(), key=lambda pair: pair[0])
        if isinstance(each, NewItem)
    ]
    mine = [pair for pair in found if pair[0][0] == strike.member]
    return strike.chance.choice(mine or found) if found else None


@fault("hub drops an item")
def _dropped(strike: Strike) -> None:
    if found := _item(strike):
        strike.strikes()
        (member, position), _each = found
        store = strike.town.hub.disk.open()
        tx = store.begin_quietly()
        freed = tx.remove_at(member, position)
        account = tx.account(member)
        if freed is not None:
            tx.put_accounts({member: account.without(freed)})
        tx.commit()
        strike.town.hub.say(f"drops position {position} of {member}")


@fault("hub tampers with an item")
def _tampered(strike: Strike) -> None:
    if found := _item(strike):
        (member, position), each = found
        envelope: StoredEnvelope = strike.town.hub.disk.tables.envelopes[each.ref]
        if envelope.content is not None:
            strike.strikes()
            core, ciphertext = envelope.content
            envelope.content = (core, ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]))
            strike.town.hub.say(f"tampers with position {position} of {member}")


@fault("hub replays an item")
def _replayed(strike: Strike) -> None:
    if found := _item(strike):
        (member, _position), each = found
        tx = strike.town.hub.disk.open().begin_quietly()
        account = tx.account(member)
        position = account.last_position + 1
        envelope = strike.town.hub.disk.tables.envelopes[each.ref]
        if envelope.content is not None:
            strike.strikes()
            tx.add_items([replace(each, position=position)])
            tx.put_accounts({member: account.with_slot(position, each.size_bytes, envelope.record.sender)})
        tx.commit()
        strike.town.hub.say(f"replays at position {position} of {member}")
        running = strike.town.hub.running
        if running is not None and member in running.hall.sessions:
            # Else nobody would ever take it, if the mailbox is full by it.
            running.process.call(running.hall.sessions[member].wake)


LIES = frozenset({"hub drops an item", "hub tampers with an item", "hub replays an item"})
RESTORES = frozenset(
    {
        "node restored",
        "node rolled back unnoticed",
        "hub restored",
        "hub rolled back unnoticed",
        "hub replaced by an empty one",
    }
)
OF_THE_HUB = frozenset(name for name in FAULTS if name.startswith("hub "))
