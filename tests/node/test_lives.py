"""Several lives of one peer: what counts is said in the newest, and whatever an older one still says is evidence."""

from __future__ import annotations

import pytest

from node.linking import Part
from node.model import LinkState
from node.status import State
from protocol.messages.message import Kind, Link
from protocol.messages.receipts import Consigned, LinkRef, Notice
from protocol.names import Incarnation
from protocol.trust.statements import Cause, Role
from tests.node.lab import Lab, Node
from tests.node.test_exchange import deliver, submit
from tests.node.test_reception import Hand

AR, CO = "ar-mpf", "co-fgn"


@pytest.fixture
def lab() -> Lab:
    return Lab(AR, CO)


def another_life(lab: Lab) -> Incarnation:
    """A newer incarnation of the reader stands in the registry, which everybody holds."""
    lab.log(lab.world.open(CO, cause=Cause.RESTORED))
    lab.mirror_all()
    return lab.world.registry.incarnations(Role.NODE, CO)[-1]


def began(lab: Lab, sender: Node, back: Hand, life: Incarnation) -> None:
    """The sender has the notice with which that life begins."""
    back.send(Kind.NOTICE, 1, [Part(Notice(()).encode())], life)
    deliver(lab, sender)
    assert sender.peer(CO).newest == life


def test_a_receipt_in_an_older_life_closes_nothing(lab: Lab) -> None:
    sender, back = lab[AR], Hand(lab, lab[CO], AR)
    message = sender.write("a", "uno", CO)
    submit(lab, sender)
    older, newest = lab.world.incarnations[CO], another_life(lab)
    began(lab, sender, back, newest)
    ref = LinkRef.of(Link.from_bytes(sender.links(Kind.MESSAGE)[0].raw))
    receipt = [Part(Consigned(lab.second, ref).encode())]
    back.send(Kind.RECEIPT, 1, receipt, older)
    deliver(lab, sender)
    assert sender.told(message)[CO] is not State.DELIVERED
    assert sender.links(Kind.MESSAGE)[0].state is LinkState.OPEN
    back.send(Kind.RECEIPT, 2, receipt, newest)
    deliver(lab, sender)
    assert sender.told(message) == {CO: State.DELIVERED}


def test_an_ack_in_an_older_life_releases_nothing(lab: Lab) -> None:
    sender, reader = lab[AR], lab[CO]
    back = Hand(lab, reader, AR)
    back.send(Kind.MESSAGE, 1, [back.message("uno")])
    deliver(lab, sender)
    older, newest = lab.world.incarnations[CO], another_life(lab)
    began(lab, sender, back, newest)
    lab.now += 3
    submit(lab, sender)
    deliver(lab, reader)
    receipts = sender.links(Kind.RECEIPT)
    assert [each.state for each in receipts] == [LinkState.OPEN]
    back.send(Kind.MESSAGE, 2, [back.message("dos")], older)
    deliver(lab, sender)
    assert sender.links(Kind.RECEIPT)[0].state is LinkState.OPEN
    back.send(Kind.MESSAGE, 2, [back.message("tres")], newest)
    deliver(lab, sender)
    assert sender.links(Kind.RECEIPT)[0].state is LinkState.RELEASED
