"""New lives of a node at its hub's word: as many a day as anything honest needs, and then nothing is signed until the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node import recovery
from node.status import State
from node.tables import state
from protocol.limits import MAX_HUB_INCARNATIONS_A_DAY as MOST
from protocol.messages.envelope import Submission
from protocol.trust.statements import Cause, Role
from tests.node.lab import Lab, Node
from tests.node.test_engine import engine_of
from tests.node.test_exchange import submit
from tests.support.world import DAY

AR, CO = "ar-mpf", "co-fgn"


@pytest.fixture
def lab() -> Lab:
    made = Lab(AR, CO)
    made.now = float((made.second // DAY + 1) * DAY)
    for node in made.nodes.values():
        node.publish()
    made.settle()
    return made


def _envelope(lab: Lab, node: Node) -> None:
    """Another core stands under this submission, it says."""
    lab.hub.whole = "conflict"
    node.write(f"k{lab.now}", "uno", CO)
    submit(lab, node)
    lab.hub.whole = None


def _calendar(lab: Lab, node: Node) -> None:
    """It holds another key for the same day, it says."""
    engine = engine_of(lab, node, lab.world.statements[0])
    node.run(lambda ctx: engine.published(ctx, "conflict"))


def _submission(lab: Lab, node: Node) -> None:
    """It saw a later submission, it says."""
    lab.hub.memory.highest[AR] = Submission(node.incarnation, 1_000_000)
    node.cut()
    node.connect()


def _cursor(lab: Lab, node: Node) -> None:
    """Its mailbox was read further, it says."""
    box = lab.hub.memory.mailboxes[AR]
    box.cursor = box.top = box.top + 1_000
    node.cut()
    node.connect()


def lives(lab: Lab) -> int:
    return len(lab.world.registry.incarnations(Role.NODE, AR)) - 1


def put_off(node: Node) -> int | None:
    return node.run(lambda ctx: recovery.put_off_until(ctx.tx, ctx.second))


LIES = (_envelope, _calendar, _submission, _cursor)


@pytest.mark.parametrize("lie", LIES)
def test_a_hub_that_lies_has_no_more_lives_begun_than_that(lab: Lab, lie: Callable[[Lab, Node], None]) -> None:
    node = lab[AR]
    for time in range(MOST + 3):
        assert lives(lab) == min(time, MOST)
        lie(lab, node)
        node.begin_if_needed()
        lab.now += 60
    message = node.write("last", "otra", CO)
    # If the hub is right, whatever were signed now would use numbers twice.
    assert node.run(lambda ctx: recovery.pending(ctx.tx)) is Cause.ROLLED_BACK
    assert node.prepare().reason == "new_incarnation"
    assert put_off(node) == (lab.second // DAY + 1) * DAY
    assert "incarnation_limit" in node.alarms
    assert node.told(message) == {None: State.QUEUED}
    lab.now = float((lab.second // DAY + 1) * DAY)
    lab.hub.memory.highest.pop(AR, None)
    assert put_off(node) is None
    for each in lab.nodes.values():
        each.publish()
    lab.settle()
    assert lives(lab) == MOST + 1
    assert node.told(message) == {CO: State.DELIVERED}


def test_whoever_puts_a_backup_back_waits_for_nothing(lab: Lab) -> None:
    node = lab[AR]
    for _time in range(MOST + 1):
        _calendar(lab, node)
        node.begin_if_needed()
        lab.now += 60
    assert put_off(node) is not None
    node.run(recovery.restored)
    assert put_off(node) is None
    node.begin_if_needed()
    assert lives(lab) == MOST + 1


def test_what_is_put_off_is_asked_for_no_more_often_than_it_can_be_had(lab: Lab) -> None:
    node = lab[AR]
    for _time in range(MOST + 1):
        _calendar(lab, node)
        node.begin_if_needed()
        lab.now += 60
    assert node.run(recovery.due) is None
    assert node.run(lambda ctx: recovery.statement(ctx, bytes(16))) is None
    assert node.run(lambda ctx: state.get(ctx.tx, "opening")) is not None
    lab.now += DAY
    assert node.run(recovery.due) is Cause.ROLLED_BACK
