"""The simulator itself: what it drives is whole, and a seed is the same in every run."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from node.model import LinkState
from node.status import State
from node.tables import links
from tests.simulator.judge import NEWEST_NUMBER, BrokenError
from tests.simulator.network import End
from tests.simulator.people import Asked
from tests.simulator.stage import R, S, Stage, stage
from tests.simulator.story import Outcome, Plan, Story
from tests.simulator.town import town
from tests.support.world import DAY


def _day(seed: int, *, real: bool = False) -> str:
    with town(seed, real=real) as here:
        here.start()
        here.run(30)
        for number in range(5):
            here.people.write("ar-mpf", f"k{number}", "co-fgn")
        here.people.write("br-mpf", "to the network")
        here.run(30)
        assert here.judge.unsettled() == []
        here.judge.check()
        return here.trace.digest


def test_a_quiet_day_ends_with_everything_delivered_receipted_and_forgotten_by_the_hub() -> None:
    assert _day(1) == _day(1)
    assert _day(1) != _day(2)


def test_the_doubles_of_the_cryptography_change_nothing_that_happens() -> None:
    assert _day(3) == _day(3, real=True)


def test_a_node_that_lost_its_prekeys_begins_a_new_life_and_is_reached_again() -> None:
    with town(4, ("ar-mpf", "br-mpf")) as here:
        here.start()
        here.run(5)
        node = here["br-mpf"]
        node.kill()
        node.disk.prekeys = {}
        node.start()
        here.people.write("ar-mpf", "k", "br-mpf")
        here.run(120)
        assert here.judge.unsettled() == []
        here.judge.check()


def test_what_a_hub_with_a_wrong_clock_refuses_is_not_sent_again_every_few_seconds() -> None:
    with town(5, ("ar-mpf", "br-mpf")) as here:
        here.start()
        here.run(5)
        assert here.hub.running is not None
        # It does not notice that its clock is set: else it would end its sessions.
        here.hub.running.hall._steady = here.hub.now
        here.hub.running.hall._clock_began = 0.0
        here.hub.clock_offset = 2 * DAY
        here.people.write("ar-mpf", "k", "br-mpf")
        here.run(3_600)
        refused = sum("refused 1" in line for line in here.trace.lines)
        assert 5 < refused < 60
        here.hub.clock_offset = 0.0
        here.run(3 * 3_600)
        assert here.judge.unsettled() == []


def test_what_a_withdrawn_message_travelled_with_arrives_although_nobody_heard_that_the_hub_dropped_it() -> None:
    with stage() as at:
        at.off(at.r)
        asked = [at.write(f"k{number}") for number in range(3)]
        at.until(lambda: at.mailbox(R))
        at.run(1)
        carried = at.mailbox(R)[0].ref
        at.town.people.withdraw(asked[1])
        at.until(lambda: all(each.ref != carried for each in at.mailbox(R)))
        at.s.kill()
        at.s.start()
        at.run(60)
        at.on(at.r)
        at.ends_well()


def test_what_expires_in_a_restored_node_is_not_told_expired_if_its_recipient_has_it() -> None:
    with stage() as at:
        backup = at.s.backup()
        at.write(expires_at=int(at.s.now() + 90))
        at.run(15)
        at.hub.is_away = True
        at.hub.kill()
        at.restore(at.s, backup)
        at.run(120)
        at.hub.is_away = False
        at.hub.start_again()
        at.ends_well()


def _withdrawn_while_away(at: Stage) -> None:
    at.off(at.r)
    asked = at.write()
    at.run(5)
    at.town.people.withdraw(asked)
    at.run(5)
    at.on(at.r)
    at.ends_well()


def test_what_ended_under_a_number_and_keeps_no_receipt_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    settle, settle_number = links.settle, links.settle_number

    def unproven(tx: Any, link: int, place: int, to: LinkState, receipt: Any) -> None:
        settle_number(tx, link, place, to, (None, None) if to is LinkState.VOID else receipt)  # type: ignore[arg-type]

    def settled(tx: Any, row: int, to: LinkState, receipt: Any = None) -> None:
        settle(tx, row, to, None if to is LinkState.VOID else receipt)

    with stage() as at:
        _withdrawn_while_away(at)
    monkeypatch.setattr(links, "settle_number", unproven)
    monkeypatch.setattr(links, "settle", settled)
    with stage() as at, pytest.raises(BrokenError, match="without a receipt for a number"):
        _withdrawn_while_away(at)


def test_an_expiry_before_its_time_and_a_receipt_for_another_number_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with stage() as at:
        at.off(at.r)
        asked = at.write(expires_at=int(at.s.now()) + 90)
        at.run(120)
        at.on(at.r)
        at.ends_well()
        (told,) = at.town.judge._deliveries(asked).values()
        assert told.state is State.EXPIRED
        assert told.receipt is not None
        with pytest.raises(BrokenError, match="receipt that says void"):
            at.town.judge._check_receipt(
                asked, R, msgspec.structs.replace(told, state=State.DELIVERED), *_number(at, asked)
            )
        incarnation, seq, digest = _number(at, asked)
        with pytest.raises(BrokenError, match="another number"):
            at.town.judge._check_receipt(asked, R, told, incarnation, seq + 1, digest)
        later = msgspec.structs.replace(asked.request, expires_at=int(at.s.now()) + 9_000)
        with pytest.raises(BrokenError, match="before its time"):
            at.town.judge._check_told(replace(asked, request=later), R, told)


def _number(at: Stage, asked: Asked) -> tuple[bytes, int, bytes]:
    (found,) = at.s.tx.all(NEWEST_NUMBER, (asked.message, R))
    return found


@pytest.mark.parametrize(("member", "end"), [(S, 0), (S, 1), (R, 1)])
def test_the_last_frame_before_a_silence_is_missed_within_minutes(member: str, end: int) -> None:
    # The question for a calendar, its answer, and the delivery: nothing follows by which the session would notice.
    with stage() as at:
        wire = at.town.wire_of(member)
        assert wire is not None
        at.write()
        _loses_one(wire.ends[end])
        at.until(lambda: wire.ends[end].damage is None)
        at.ends_well()


def _loses_one(end: End) -> None:
    def once(_data: bytes) -> list[bytes]:
        end.damage = None
        return []

    end.damage = once


def test_no_fault_of_a_line_is_left_once_everything_is_mended() -> None:
    with town(6, (S, R)) as here:
        here.start()
        here.run(5)
        story = Story(here, Plan.of(random.Random(0)), Outcome(0))
        story.plan = replace(story.plan, members=(S, R))
        ends = [end for wire in here.wires for end in wire.ends]
        for end in ends:
            _loses_one(end)
        story._heal()
        assert [end.damage for end in ends] == [None] * 4


def test_what_was_planned_by_a_clock_far_ahead_is_done_once_the_clock_is_right() -> None:
    with stage() as at:
        at.r.clock_offset = 3_000.0
        at.until(lambda: at.r.running is not None and at.r.running.engine._upkeep_at < at.r.now(), 4_000)
        at.run(4_000)
        at.write()
        at.until(lambda: at.r.tx.all("SELECT 1 FROM owed"))
        at.r.clock_offset = 0.0
        at.ends_well()
        assert at.r.running is not None
        at.write("later")
        at.ends_well()
        assert at.r.running.engine._upkeep_at <= at.r.now() + 3_600
