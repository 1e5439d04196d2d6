"""What a running node watches over: the keys that anything held still needs, and the charter that it was given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from keys.prekeys import PrekeyStore
from node.context import Context
from node.engine import Engine
from node.founding import Anchor
from node.tables import inbox, state
from protocol.errors import WrongHubError
from tests.node.lab import Lab, Node
from tests.node.test_exchange import submit

AR, CO = "ar-mpf", "co-fgn"


def engine_of(lab: Lab, node: Node, signed: Any) -> Engine:
    """An engine over this node's mirror, which was given that charter."""
    anchor = SimpleNamespace(association=lab.world.association, signed=signed)
    prekeys = SimpleNamespace(prekey=node.find_prekey)
    me = node.identity.me
    engine = Engine(me, node.identity.key, cast("Anchor", anchor), cast("PrekeyStore", prekeys), lambda: lab.now)
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
