"""What goes out goes once and in good time: receipts that are owed no more, envelopes that a slow hub takes too."""

from __future__ import annotations

from protocol.limits import CLOCK_REFUSE_SECONDS, ENVELOPE_LIFETIME_SECONDS
from protocol.messages.envelope import Core
from protocol.messages.message import Kind
from tests.node.lab import Lab
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


def test_a_hub_whose_clock_is_an_hour_behind_takes_our_envelopes() -> None:
    lab = Lab(AR, CO)
    lab[AR].write("a", "uno", CO)
    (item,) = lab[AR].prepare().items
    slowest = lab.second - CLOCK_REFUSE_SECONDS
    assert lab.second < Core.from_bytes(item.core).expires_at <= slowest + ENVELOPE_LIFETIME_SECONDS
