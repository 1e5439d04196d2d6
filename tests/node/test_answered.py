"""Whose word about which envelope counts: a hub's answer to one says nothing of another, nor a stranger of ours."""

from __future__ import annotations

from node.model import EventKind
from node.tables import owed
from protocol.messages.receipts import Action, HandedOver
from protocol.session.items import ResultItem
from tests.node.lab import Lab

AR, BR, CO = "ar-mpf", "br-mpf", "co-fgn"


def test_an_answer_says_nothing_of_another_envelope() -> None:
    lab = Lab(AR, BR, CO)
    sender = lab[AR]
    sender.write("a", "uno", CO)
    sender.write("b", "dos", BR)
    first, second = (lab.hub.submit(AR, item) for item in sender.prepare().items)
    swapped = ResultItem(first.envelope_id, None, second.attestations)
    sender.run(lambda ctx: sender.courier.answered(ctx, [swapped]))
    assert sender.count("attestation") == 0
    sender.run(lambda ctx: sender.courier.answered(ctx, [second]))
    assert sender.count("attestation") == 1


def test_only_a_recipient_takes_a_message_in_hand() -> None:
    lab = Lab(AR, BR, CO)
    sender = lab[AR]
    message = sender.write("a", "uno", CO)
    lab.settle()
    claim = HandedOver(lab.second, message, "antidrogas", None, Action.REFUSED).encode()

    def told(member: str) -> int:
        node = lab[member]
        peer = node.peer(AR).id
        node.run(lambda ctx: owed.owe(ctx.tx, peer, claim[-16:], claim, 1, lab.now))
        lab.settle()
        kinds = sender.run(lambda ctx: ctx.tx.all("SELECT kind FROM event"))
        return sum(row[0] == int(EventKind.HANDED_OVER) for row in kinds)

    assert told(BR) == 0
    assert told(CO) == 1
