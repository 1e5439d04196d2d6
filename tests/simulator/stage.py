"""A stage for short stories: two nodes and a hub, with hands that let exactly one thing go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hub.memory_base import Tables
from hub.store import NewItem
from tests.simulator.disks import Commit
from tests.simulator.judge import BrokenError
from tests.simulator.people import Asked
from tests.simulator.town import Backup, NodeMachine, Town, town
from tests.support.world import DAY

S, R = "ar-mpf", "co-fgn"
SOON = 1_200.0
AT_ONCE = 100.0
"""For what goes round in a circle for ever once its rule is gone."""

AFTER_EXPIRY = 17 * DAY
_STEPS = (60.0, 300.0)


@dataclass(frozen=True)
class Kept:
    """An item of a mailbox as the hub could keep it for ever: the slot, with core and ciphertext."""

    item: NewItem
    content: tuple[bytes, bytes]


class Stage:
    """S writes to R; both are connected when the story begins."""

    def __init__(self, here: Town) -> None:
        """Nobody wrote anything."""
        self.town, self.hub = here, here.hub
        self.s, self.r = here[S], here[R]

    # -- people ----------------------------------------------------------------------------------------
    def write(self, key: str = "k", sender: str = S, to: str = R, **how: Any) -> Asked:
        """A message is handed in."""
        return self.town.people.write(sender, key, to, **how)

    def crossed(self, key: str = "k", sender: str = S, to: str = R) -> Asked:
        """A message crosses, and all that follows from it is done."""
        asked = self.write(key, sender, to)
        self.run(10)
        return asked

    def run(self, seconds: float) -> None:
        """Time passes."""
        self.town.run(seconds)

    def until(self, what: Callable[[], object], seconds: float = 60.0) -> None:
        """Time passes until `what` is so."""
        end = self.town.loop.time() + seconds
        while not what():
            if self.town.loop.time() > end:
                raise AssertionError("the story took another course")
            self.town.run(0.001)

    # -- machines --------------------------------------------------------------------------------------
    def off(self, node: NodeMachine) -> None:
        """Nobody is there until `on`."""
        node.is_away = True
        node.kill()
        self.run(1)

    def on(self, node: NodeMachine) -> None:
        """Back again."""
        node.is_away = False
        node.start_again()

    def power_fails_at_commit(self, machine: Any, of: str = "SELECT 1") -> None:
        """The machine stops at its next commit in which this query (of a node) finds something, and starts again.

        Where commits are not synced (`stories.unsynced`), it goes on for a moment, and then what it wrote is gone.
        """
        machine.fate.following = Commit.LOST
        machine.fate.is_due = lambda: machine is self.hub or machine.tx.all(of)
        before = machine.disk.backup()

        def gone() -> None:
            machine.kill(silently=True)
            if machine is self.hub:
                machine.disk.tables = before
            else:
                machine.disk.archive = before
                # What it handed over before it forgot was handed over: there is no other archive that holds it.
                self.town.judge.seen[machine.name].upto = machine.tx.all("SELECT coalesce(max(id), 0) FROM inbox")[0][0]
            self.town.loop.plan(3, machine.start_again)

        machine.fate.on_lost = lambda: self.town.loop.plan(0.3, gone)

    def restore(self, node: NodeMachine, backup: Backup, *, is_noticed: bool = True) -> None:
        """A backup is put back."""
        node.kill()
        node.restore(backup, is_noticed=is_noticed)
        self.on(node)

    def empty_hub(self) -> None:
        """The hub is replaced by one that remembers nothing but the log and the calendars."""
        before = self.hub.disk.tables
        self.hub.kill()
        self.hub.restore(Tables(calendars=dict(before.calendars)))
        self.hub.start_again()

    # -- a hub that lies ---------------------------------------------------------------------------------
    def mailbox(self, member: str) -> list[NewItem]:
        """What waits for this member, in order."""
        tables = self.hub.disk.tables
        found = [tables.items[member, position] for position in tables.places.get(member, [])]
        return [each for each in found if isinstance(each, NewItem)]

    def keep(self, member: str) -> list[Kept]:
        """Copies of what waits."""
        envelopes = self.hub.disk.tables.envelopes
        return [Kept(each, envelopes[each.ref].content or (b"", b"")) for each in self.mailbox(member)]

    def drop(self, item: NewItem) -> None:
        """The hub forgets this item and says nothing."""
        tx = self.hub.disk.open().begin_quietly()
        freed = tx.remove_at(item.member, item.position)
        if freed is None:
            raise AssertionError("it is gone already")
        tx.put_accounts({item.member: tx.account(item.member).without(freed)})
        tx.commit()

    def show_again(self, kept: Kept) -> None:
        """The hub puts this into the mailbox once more, and says so to who is there."""
        tables = self.hub.disk.tables
        tx = self.hub.disk.open().begin_quietly()
        account, member = tx.account(kept.item.member), kept.item.member
        position = account.last_position + 1
        sender = tables.envelopes[kept.item.ref].record.sender
        tx.keep_content(kept.item.ref, *kept.content)
        tx.add_items([replace(kept.item, position=position)])
        tx.put_accounts({member: account.with_slot(position, kept.item.size_bytes, sender)})
        tx.commit()
        running = self.hub.running
        if running is not None and member in running.hall.sessions:
            running.process.call(running.hall.sessions[member].wake)

    def tamper(self, item: NewItem) -> None:
        """One bit of its ciphertext is turned round."""
        envelope = self.hub.disk.tables.envelopes[item.ref]
        core, ciphertext = envelope.content or (b"", b"")
        envelope.content = (core, ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]))

    # -- the end -----------------------------------------------------------------------------------------
    def ends_well(self, within: float = SOON) -> None:
        """Raise `BrokenError` unless all is settled within so many seconds, and told truly."""
        end, steps = self.town.loop.time() + within, iter(_STEPS)
        open_things = ["everything"]
        while open_things and self.town.loop.time() < end:
            self.run(min(within / 4, next(steps, DAY / 2)))
            open_things = self.town.judge.unsettled()
        if open_things:
            raise BrokenError(f"never settled: {'; '.join(open_things)}")
        self.town.judge.check()


@contextmanager
def stage(seed: int = 0, show: Callable[[str], None] | None = None) -> Iterator[Stage]:
    """A stage on which both nodes and the hub are connected and at rest."""
    with town(seed, (S, R), show=show) as here:
        here.start()
        here.run(5)
        yield Stage(here)
