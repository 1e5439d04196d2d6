"""Quota is counted in the bytes that are kept for a member, to the last one: core, ciphertext and its own slot."""

from __future__ import annotations

from hub.memory_store import MemoryStore
from hub.store import Rule
from protocol.limits import DAY_SECONDS
from protocol.session.items import Window
from protocol.trust.statements import Limits
from tests.hub.house import ALBA, BERTA, CARLA, House, world
from tests.hub.test_relay import codes, queues


def test_a_mailbox_is_full_to_the_byte() -> None:
    measured = House(MemoryStore())
    item = measured.envelope(ALBA, [BERTA, CARLA])
    kept = len(item.core) + len(item.ciphertext) + len(item.slots[0])
    assert codes(measured, item) == ["accepted", "accepted"]
    assert {queue.member: queue.waiting_bytes for queue in queues(measured)} == {BERTA: kept, CARLA: kept}
    for most_bytes, answer in ((kept, "accepted"), (kept - 1, "mailbox_full")):
        house = House(MemoryStore(), world(Limits(14 * DAY_SECONDS, most_bytes, 99, DAY_SECONDS, DAY_SECONDS)))
        assert codes(house, house.envelope(ALBA, [BERTA])) == [answer]


def test_an_operators_limits_stand_in_place_of_the_charters() -> None:
    house = House(MemoryStore(), world(Limits(14 * DAY_SECONDS, 1 << 30, 1, DAY_SECONDS, DAY_SECONDS)))
    items = [house.envelope(ALBA, [BERTA, CARLA]) for _ in range(3)]
    assert codes(house, items[0]) == ["accepted", "accepted"]
    house.relay.rules[BERTA] = Rule(max_messages=9)
    assert codes(house, items[1]) == ["accepted", "mailbox_full"]
    kept = house.run(lambda group: group.mailbox(BERTA))
    assert (kept.messages, kept.max_messages, kept.max_bytes) == (2, 9, 1 << 30)
    house.relay.rules[BERTA] = Rule(max_messages=9, max_bytes=kept.waiting_bytes)
    assert codes(house, items[2]) == ["mailbox_full", "mailbox_full"]
    house.relay.rules.clear()
    assert house.run(lambda group: group.mailbox(BERTA)).max_messages == 1


def test_a_mailbox_is_full_for_one_sender_long_before_it_is_for_all() -> None:
    house = House(MemoryStore(), world(Limits(14 * DAY_SECONDS, 1 << 30, 10, DAY_SECONDS, DAY_SECONDS)))

    def fullness() -> float:
        return house.run(lambda group: group.mailbox(BERTA)).fullness

    assert fullness() == 0
    for sent in range(1, 6):
        house.send(ALBA, BERTA)
        assert fullness() == sent / 5
    # Half of it is taken: who did that is refused, and others are not.
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["mailbox_full"]
    house.send(CARLA, BERTA)
    measured = house.run(lambda group: group.mailbox(BERTA)).waiting_bytes // 6
    house.relay.rules[BERTA] = Rule(max_messages=99, max_bytes=20 * measured)
    assert 0.5 < fullness() < 0.6


def test_a_suspended_mailbox_takes_in_and_hands_out_nothing() -> None:
    house = House(MemoryStore())
    room = Window(9, 1 << 30)
    house.send(ALBA, BERTA)
    second = house.send(ALBA, BERTA)
    assert len(house.run(lambda group: group.deliveries(BERTA, 0, Window(1, 1 << 30)))) == 1
    house.relay.rules[BERTA] = Rule(is_suspended=True)
    house.send(ALBA, BERTA)
    assert house.run(lambda group: group.deliveries(BERTA, 1, room)) == []
    assert house.run(lambda group: group.mailbox(BERTA)).is_suspended
    # What was handed over before may still be acknowledged, and what was not may be recalled.
    house.run(lambda group: group.acknowledge(BERTA, 1))
    assert house.run(lambda group: group.recall(ALBA, second, house.world.party(BERTA))) is not None
    del house.relay.rules[BERTA]
    (left,) = house.run(lambda group: group.deliveries(BERTA, 1, room))
    assert left.position == 3
