"""Rounds: deliveries in the transaction that filled the mailbox, and demands that are answered once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from hub.memory_store import MemoryStore
from hub.rounds import Delivery, Demand, Desk, Round
from hub.store import transaction
from protocol.errors import StoreError
from protocol.session.items import Window
from tests.hub.house import ALBA, BERTA, CARLA, House

WIDE = Window(100, 1 << 20)


@dataclass
class Reading:
    """A reader that only remembers."""

    got: list[Delivery] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> None:
        self.got.append(delivery)

    def wake(self) -> None:
        raise AssertionError


@pytest.fixture
def house() -> House:
    return House(MemoryStore())


def run(house: House, desk: Desk, *jobs: Callable[[Round], Any]) -> Round:
    with transaction(house.store) as tx:
        round_ = Round(house.relay, house.registry, tx, house.now, desk)
        for job in jobs:
            with round_.job():
                job(round_)
        round_.close()
    return round_


def submitting(house: House, *recipients: str) -> Callable[[Round], Any]:
    item = house.envelope(ALBA, recipients)
    return lambda round_: round_.group.submit(house.sender(ALBA), [item])


def test_who_is_left_when_a_round_carries_enough_is_read_for_in_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.rounds.MAX_ROUND_BYTES", 1)
    desk = Desk(demands={each: Demand(Reading(), 0, WIDE) for each in (BERTA, CARLA)})
    first = run(house, desk, submitting(house, BERTA, CARLA))
    assert [len(each.items) for each in first.deliveries] == [1]
    assert (first.unread, list(desk.demands)) == ([CARLA], [CARLA])
    second = run(house, desk, lambda round_: round_.read(CARLA))
    assert [len(each.items) for each in second.deliveries] == [1]
    assert (second.unread, desk.demands) == ([], {})


def test_what_a_round_accepts_it_delivers_at_once(house: House) -> None:
    desk = Desk()
    demand = desk.demands[BERTA] = Demand(Reading(), 0, WIDE)
    round_ = run(house, desk, submitting(house, BERTA, CARLA))
    (delivery,) = round_.deliveries
    assert (delivery.demand, [each.position for each in delivery.items], delivery.more) == (demand, [1], False)
    assert round_.unread == [CARLA]
    assert desk.demands == {}
    # It counts as handed over: what is handed over can be acknowledged.
    house.run(lambda group: group.acknowledge(BERTA, 1))


def test_a_demand_is_answered_once(house: House) -> None:
    desk = Desk()
    desk.demands[BERTA] = Demand(Reading(), 0, WIDE)
    run(house, desk, submitting(house, BERTA))
    again = run(house, desk, submitting(house, BERTA))
    assert (again.deliveries, again.unread) == ([], [BERTA])


def test_whoever_asks_is_read_even_if_nothing_came(house: House) -> None:
    house.send(ALBA, BERTA)
    desk = Desk()
    desk.demands[BERTA] = Demand(Reading(), 0, WIDE)
    (delivery,) = run(house, desk, lambda round_: round_.read(BERTA)).deliveries
    assert [each.position for each in delivery.items] == [1]
    desk.demands[BERTA] = Demand(Reading(), 1, WIDE)
    (empty,) = run(house, desk, lambda round_: round_.read(BERTA)).deliveries
    assert (empty.items, empty.more) == ([], False)


def test_it_says_when_there_is_more(house: House) -> None:
    for _ in range(3):
        house.send(ALBA, BERTA)
    desk = Desk()
    desk.demands[BERTA] = Demand(Reading(), 0, Window(2, 1 << 20))
    (delivery,) = run(house, desk, lambda round_: round_.read(BERTA)).deliveries
    assert (len(delivery.items), delivery.more) == (2, True)


def test_a_round_that_is_undone_gives_demands_back(house: House) -> None:
    desk = Desk()
    old = desk.demands[BERTA] = Demand(Reading(), 0, WIDE)
    desk.demands[CARLA] = Demand(Reading(), 0, WIDE)
    with pytest.raises(StoreError), transaction(house.store) as tx:
        round_ = Round(house.relay, house.registry, tx, house.now, desk)
        submitting_job = house.envelope_in(tx, ALBA, [BERTA, CARLA])
        round_.group.submit(house.sender(ALBA), [submitting_job])
        round_.close()
        assert desk.demands == {}
        newer = desk.demands[CARLA] = Demand(Reading(), 5, WIDE)
        round_.abandon()
        raise StoreError
    # What a reader said meanwhile is newer than what is given back.
    assert desk.demands == {BERTA: old, CARLA: newer}
    assert round_.deliveries == []
