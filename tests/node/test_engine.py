"""What a running node watches over: the keys that anything held still needs, and the charter that it was given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from keys.prekeys import PrekeyStore
from node.context import Context
from node.engine import Engine
from node.founding import Anchor
from node.status import State
from node.tables import inbox, state
from protocol.errors import ClockSkewError, WrongHubError
from protocol.trust.prekeys import SignedCalendar
from tests.node.lab import Lab, Node
from tests.node.test_exchange import submit
from tests.simulator.disks import Drawer

DAY = 86_400
AR, CO = "ar-mpf", "co-fgn"


def engine_of(lab: Lab, node: Node, signed: Any, steady: Callable[[], float] | None = None) -> Engine:
    """An engine over this node's mirror, which was given that charter."""
    anchor = cast("Anchor", SimpleNamespace(association=lab.world.association, signed=signed))
    prekeys = cast("PrekeyStore", SimpleNamespace(prekey=node.find_prekey))
    me = node.identity.me
    engine = Engine(me, node.identity.key, anchor, prekeys, lambda: lab.now, steady or (lambda: lab.now))
    engine.mirror = node.mirror
    engine._hub_ahead = 0
    return engine


def drained(node: Node) -> Any:
    return node.run(lambda ctx: state.get(ctx.tx, "drained"))


def test_a_key_that_something_held_needs_is_not_said_to_be_done() -> None:
    lab = Lab(AR, CO)
    sender, reader = lab[AR], lab[CO]
    engine = engine_of(lab, reader, lab.world.statements[0])
    reader.blind = True
    lab.log(lab.world.roster("rfai", [AR, CO]))
    sender.mirror_now()
    sender.write("a", "uno", CO)
    submit(lab, sender)
    items = list(lab.hub.queue(CO))
    reader.run(lambda ctx: engine.deliver(ctx, items))
    assert reader.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"view_ahead": 1}
    assert drained(reader) is None
    reader.blind = False
    reader.mirror_now()
    assert reader.texts == ["uno"]
    reader.run(lambda ctx: engine.deliver(ctx, items))
    assert drained(reader) == lab.second


def test_the_hub_s_log_holds_the_charter_that_was_given_by_hand() -> None:
    lab = Lab(AR, CO)
    engine_of(lab, lab[AR], lab.world.statements[0]).check_hub()
    with pytest.raises(WrongHubError):
        engine_of(lab, lab[AR], lab.world.next_charter()).check_hub()


def test_no_key_dies_before_what_it_opened_is_durable() -> None:
    lab = Lab(AR, CO)
    sender, reader = lab[AR], lab[CO]
    engine = engine_of(lab, reader, lab.world.statements[0])
    engine.certificate = lab.world.registry.certificate(reader.identity.certificate)
    said: list[int] = []
    engine._prekeys = cast(
        "PrekeyStore",
        SimpleNamespace(
            prekey=reader.find_prekey,
            ensure=lambda *_when, **_life: False,
            destroy=lambda _now, _hub_now, drained: said.append(drained),
        ),
    )
    sender.write("a", "uno", CO)
    submit(lab, sender)
    items = list(lab.hub.queue(CO))

    def round_with_a_delivery(ctx: Context) -> None:
        engine._upkeep_at = 0.0
        engine.deliver(ctx, items)
        engine.turn(ctx)

    def later(ctx: Context) -> None:
        engine._upkeep_at = 0.0
        engine.turn(ctx)

    reader.run(round_with_a_delivery)
    assert drained(reader) == lab.second
    reader.run(later)
    assert said == [0, lab.second]


def test_a_clock_that_is_set_while_a_session_lasts_destroys_no_key_and_ends_no_message() -> None:
    lab = Lab(AR, CO)
    node, began = lab[AR], lab.now
    engine = engine_of(lab, node, lab.world.statements[0], steady=lambda: began)
    engine.certificate = lab.world.registry.certificate(node.identity.certificate)
    drawer = engine._prekeys = Drawer({}, node.identity.me)
    hello: Any = SimpleNamespace(clock=lab.second, incarnation=lab.hub.incarnation)
    welcome = lab.hub.welcome(AR)
    node.run(lambda ctx: engine.session_opened(ctx, hello, welcome, 1))
    node.write("a", "uno", CO)
    assert node.run(engine.turn).outcome.blocked is None
    held = drawer.runway(lab.second).oldest
    lab.now += 100 * DAY
    assert node.run(engine.turn).outcome.blocked == ClockSkewError.code
    assert drawer.runway(lab.second).oldest == held
    assert node.count("ended") == 0
    # Nor does a hello of before it count that is taken in after it.
    with pytest.raises(ClockSkewError):
        node.run(lambda ctx: engine.session_opened(ctx, hello, welcome, 2))
    lab.now = began
    assert node.run(engine.turn).outcome.blocked is None


def test_before_a_first_session_compared_clocks_no_message_ends() -> None:
    """A machine that starts without a line, and with a clock that is far ahead until somebody sets it."""
    lab = Lab(AR, CO)
    node, began = lab[AR], lab.now
    del lab.hub.calendars[CO]
    message = node.write("a", "uno", CO)
    node.prepare()
    assert node.count("waiting") == 1
    node.crash()
    engine = engine_of(lab, node, lab.world.statements[0])
    engine.certificate = lab.world.registry.certificate(node.identity.certificate)
    engine._prekeys = Drawer({}, node.identity.me)
    lab.now += 100 * DAY
    node.run(engine.turn)
    lab.now = began
    lab[CO].publish()
    node.connect()
    lab.settle()
    assert lab[CO].texts == ["uno"]
    assert node.told(message) == {CO: State.DELIVERED}


def test_under_a_clock_that_was_set_no_message_ends_before_its_time_without_a_session_either() -> None:
    lab = Lab(AR, CO)
    node, steady = lab[AR], [lab.now]
    engine = engine_of(lab, node, lab.world.statements[0], steady=lambda: steady[0])
    engine.certificate = lab.world.registry.certificate(node.identity.certificate)
    engine._prekeys = Drawer({}, node.identity.me)
    hello: Any = SimpleNamespace(clock=lab.second, incarnation=lab.hub.incarnation)
    welcome = lab.hub.welcome(AR)
    node.run(lambda ctx: engine.session_opened(ctx, hello, welcome, 1))
    node.write("a", "uno", CO)
    node.run(engine.turn)
    node.run(engine.session_closed)
    lab.now += 100 * DAY
    node.run(engine.turn)
    assert node.count("ended") == 0
    # Time passes nevertheless, by the clock that nobody set.
    lab.now += 100 * DAY
    steady[0] += 100 * DAY
    node.run(engine.turn)
    assert node.count("ended") == 1


@pytest.mark.parametrize(
    ("ahead", "told"), [(700, ["ahead by 700 s"]), (-700, ["behind by 700 s"]), (300, []), (-300, [])]
)
def test_an_alarm_says_on_which_side_the_hub_s_clock_is(ahead: int, told: list[str]) -> None:
    lab = Lab(AR, CO)
    node = lab[AR]
    engine = engine_of(lab, node, lab.world.statements[0])
    hello = cast("Any", SimpleNamespace(clock=lab.second + ahead, incarnation=lab.hub.incarnation))
    node.run(lambda ctx: engine.session_opened(ctx, hello, lab.hub.welcome(AR), 1))
    alarms = node.run(lambda ctx: state.alarms(ctx.tx))
    assert [each.detail.removeprefix("the hub's clock is ") for each in alarms] == told


def test_a_calendar_is_issued_by_the_earlier_clock_unless_that_is_too_old() -> None:
    lab = Lab(AR)
    node = lab[AR]
    engine = engine_of(lab, node, lab.world.statements[0])
    engine.certificate = lab.world.registry.certificate(node.identity.certificate)
    engine._prekeys = Drawer({}, node.identity.me)
    welcome = lab.hub.welcome(AR)

    def published() -> int | None:
        raw = node.run(engine.turn).outcome.calendar
        return None if raw is None else SignedCalendar.from_bytes(raw).claimed.issued_at - lab.second

    for ahead, earlier, later in ((0, 0, 0), (900, 0, 900), (-2, 0, 0), (-3, -3, 0), (-1_800, -1_800, 0)):
        hello: Any = SimpleNamespace(clock=lab.second + ahead, incarnation=lab.hub.incarnation)
        node.run(partial(_opened, engine, hello, welcome))
        assert published() == earlier, ahead
        node.run(lambda ctx: engine.published(ctx, "stale"))
        assert published() == later, ahead
        node.run(lambda ctx: engine.published(ctx, "stale"))
        assert published() is None


def _opened(engine: Engine, hello: Any, welcome: Any, ctx: Context) -> int:
    return engine.session_opened(ctx, hello, welcome, 1)
