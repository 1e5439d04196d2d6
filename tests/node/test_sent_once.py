"""What goes out goes once, in good time, and only to whom it may: receipts, envelopes and the keys they are sealed to."""

from __future__ import annotations

import pytest

from node.acceptance import Request, accept_all
from node.status import State
from node.upkeep import FULL_RECEIPT, MANY_RECEIPTS
from protocol.limits import CLOCK_REFUSE_SECONDS, ENVELOPE_LIFETIME_SECONDS
from protocol.messages.envelope import Core
from protocol.messages.message import Kind
from tests.node.lab import DESK, Lab
from tests.node.test_exchange import deliver, submit

AR, CO = "ar-mpf", "co-fgn"


def test_a_receipt_that_went_is_owed_no_more() -> None:
    lab = Lab(AR, CO)
    lab[AR].write("a", "uno", CO)
    submit(lab, lab[AR])
    deliver(lab, lab[CO])
    assert lab[CO].count("owed") == 1
    for _each in range(3):
        lab.now += 3
        submit(lab, lab[CO])
    assert lab[CO].count("owed") == 0
    assert len(lab[CO].links(Kind.RECEIPT)) == 1


def test_many_receipts_are_due_before_their_time() -> None:
    lab = Lab(AR, CO)
    for number in range(MANY_RECEIPTS):
        # Each in a link of its own, and nothing of CO's goes that could take a receipt along.
        assert lab[CO].links(Kind.RECEIPT) == []
        lab[AR].write(f"k{number}", "uno", CO)
        submit(lab, lab[AR])
        deliver(lab, lab[CO])
        submit(lab, lab[CO])
    assert lab[CO].count("owed") == 0
    assert len(lab[CO].links(Kind.RECEIPT)) == 1


@pytest.mark.parametrize(("count", "sent"), [(FULL_RECEIPT - 1, 0), (FULL_RECEIPT, 1)])
def test_a_receipt_of_as_many_numbers_as_a_link_has_is_due_at_once(count: int, sent: int) -> None:
    lab = Lab(AR, CO)
    asked = [Request(DESK, str(each), lab[AR].document(str(each), CO), (CO,)) for each in range(count)]
    lab[AR].run(lambda ctx: accept_all(ctx, asked))
    submit(lab, lab[AR])
    deliver(lab, lab[CO])
    assert len(lab[AR].links()) == 1
    submit(lab, lab[CO])
    assert len(lab[CO].links(Kind.RECEIPT)) == sent


def test_a_hub_whose_clock_is_an_hour_behind_takes_our_envelopes() -> None:
    lab = Lab(AR, CO)
    lab[AR].write("a", "uno", CO)
    (item,) = lab[AR].prepare().items
    slowest = lab.second - CLOCK_REFUSE_SECONDS
    assert lab.second < Core.from_bytes(item.core).expires_at <= slowest + ENVELOPE_LIFETIME_SECONDS


def test_nothing_is_sealed_to_prekeys_that_a_revoked_certificate_vouches_for() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    lab.log(lab.world.revoke(lab.world.certificates[CO], lab.second - 1))
    lab.mirror_all()
    message = sender.write("a", "uno", CO)
    prepared = sender.prepare()
    assert prepared.items == ()
    assert prepared.wanted == {CO}
    assert sender.told(message) == {CO: State.HELD}
