"""What streams tell of messages that went in one link: of each where it stands, and not where its neighbour does."""

from __future__ import annotations

import json

from node import recovery
from node.acceptance import Request, accept_all
from node.context import Context
from node.event_views import Manifests, render
from node.model import LinkState
from node.status import State
from node.tables import links, peers, state
from protocol.errors import ValijaError
from protocol.messages.message import Kind
from protocol.messages.receipts import Notice
from protocol.names import MessageId
from tests.node.lab import DESK, Lab, Node
from tests.node.test_exchange import submit

AR, CO = "ar-mpf", "co-fgn"


def _written(node: Node, *texts: str) -> list[MessageId]:
    """Messages that go in one link."""
    asked = [Request(DESK, text, node.document(text, CO), (CO,)) for text in texts]
    accepted = node.run(lambda ctx: accept_all(ctx, asked))
    return [each.message_id for each in accepted if not isinstance(each, ValijaError)]


def _told(node: Node) -> list[str]:
    """The state of each message as the newest event tells it."""

    def read(ctx: Context) -> list[bytes]:
        events = state.events(ctx.tx, 0, 1_000)
        rendered = render(ctx.tx, ctx.registry, events, ctx.second, Manifests())
        return [each.data for each in rendered if each.place.row == events[-1].id]

    lines = [data.partition(b"\ndata: ")[2] for data in node.run(read)]
    return [json.loads(line)["deliveries"][0]["state"] for line in lines]


def test_what_was_signed_for_alone_is_told_alone_when_its_recipient_lost_it() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    first, second = _written(sender, "uno", "dos")
    submit(lab, sender)
    (link,) = sender.links(Kind.MESSAGE)
    assert link.count == 2

    def lose_the_first(ctx: Context) -> None:
        links.settle_number(ctx.tx, link.id, 0, LinkState.DELIVERED, (1, 0))
        recovery.answer_notice(ctx, peers.meet(ctx.tx, lab.world.party(CO)), Notice(()))

    sender.run(lose_the_first)
    assert sender.run(lambda ctx: links.numbers(ctx.tx, link.id)) == {}
    own = [sender.told(each)[CO] for each in (first, second)]
    assert own == [State.DELIVERED, State.SEALED]
    assert _told(sender) == own
