"""Quota is counted in the bytes that are kept for a member, to the last one: core, ciphertext and its own slot."""

from __future__ import annotations

from hub.memory_store import MemoryStore
from protocol.limits import DAY_SECONDS
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
