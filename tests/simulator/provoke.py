"""How a state comes about in which a fault seldom strikes by chance: one way for each column of the coverage table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol.messages.content import Urgency
from tests.simulator.network import Weather

if TYPE_CHECKING:
    from tests.simulator.story import Story

Way = Callable[["Story", str, str], None]


def provoke(story: Story, member: str, column: str) -> None:
    """Do what soon brings `member` into the state of this column."""
    other = next(each for each in story.plan.members if each != member)
    way = WAYS.get(column)
    if way is not None:
        way(story, member, other)


def _slow(story: Story, member: str, _other: str) -> None:
    story.town.weathers[member] = Weather(0.4, 1.0)


def _restart(story: Story, member: str, other: str) -> None:
    _slow(story, member, other)
    node = story.town.nodes[member]
    node.kill()
    node.start_again()


def _answer_is_slow(story: Story, member: str, other: str) -> None:
    _slow(story, member, other)
    story.write(member, other)


def _without_hub(story: Story, member: str, other: str) -> None:
    story.leave(story.town.hub)
    story.write(member, other)


def _other_away(story: Story, member: str, other: str) -> None:
    story.leave(story.town.nodes[other])
    story.write(member, other)


def _taken_back(story: Story, member: str, other: str) -> None:
    _other_away(story, member, other)
    story.town.run(0.3)
    story.town.people.withdraw(story.asked[-1])


def _written_to(story: Story, member: str, other: str) -> None:
    story.write(other, member)


def _written_to_while_away(story: Story, member: str, other: str) -> None:
    story.leave(story.town.nodes[member])
    story.write(other, member)


def _flooded(story: Story, member: str, other: str) -> None:
    story.leave(story.town.nodes[member])
    for _message in range(story.plan.mailbox + 1 if story.plan.mailbox < story.plan.LARGE else 1):
        story.write(other, member)
        story.town.run(0.05)


def _flooding(story: Story, member: str, other: str) -> None:
    _flooded(story, other, member)


def _reader_is_slow(story: Story, member: str, other: str) -> None:
    story.town.weathers[member] = Weather(bytes_per_second=8_000.0)
    story.write(other, member)


def _reborn(story: Story, member: str, _other: str) -> None:
    node = story.town.nodes[member]
    backup = node.backup()
    story.leave(story.town.hub)
    node.kill()
    node.restore(backup, is_noticed=True)
    node.start_again()


def _unknown_prekeys(story: Story, member: str, other: str) -> None:
    story.leave(story.town.nodes[other])
    story.town.hub.disk.tables.calendars.pop(other, None)
    archive = story.town.nodes[member].disk.archive
    node = story.town.nodes[member]
    node.kill()
    archive.run(lambda tx: tx.run("DELETE FROM calendar"))
    node.start_again()
    story.town.run(1)
    story.write(member, other)


def _notice_waits(story: Story, member: str, other: str) -> None:
    story.leave(story.town.nodes[other])
    story.write(member, other, lives=30)
    story.town.run(3)
    story.leave(story.town.nodes[member])
    story.town.run(40)


def _away(story: Story, member: str, _other: str) -> None:
    story.leave(story.town.nodes[member])


WAYS: dict[str, Way] = {
    "s:off": _away,
    "s:connecting": _restart,
    "s:opening": _restart,
    "s:no hub": _without_hub,
    "o:queued": _without_hub,
    "o:held": _unknown_prekeys,
    "o:sealed": _answer_is_slow,
    "o:relayed": _other_away,
    "o:refused": _flooding,
    "o:closing": _taken_back,
    "o:owed": _written_to,
    "o:receipt out": lambda story, member, other: story.write(other, member, urgency=Urgency.URGENT),
    "o:unmirrored": _reborn,
    "m:waiting": _written_to_while_away,
    "m:handed over": _reader_is_slow,
    "m:notice": _notice_waits,
    "m:full": _flooded,
}
