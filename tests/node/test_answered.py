"""Whose word about which envelope counts: a hub's answer to one says nothing of another, nor a stranger of ours."""

from __future__ import annotations

from node.model import EventKind, LinkState
from node.status import State
from node.tables import owed
from protocol.messages.envelope import Core
from protocol.messages.message import Kind
from protocol.messages.receipts import Action, HandedOver
from protocol.session.items import ResultItem
from tests.node.lab import Lab
from tests.node.test_exchange import deliver, submit

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


def test_a_restored_node_asks_before_it_takes_back_what_waits() -> None:
    lab = Lab(AR, CO)
    sender, reader = lab[AR], lab[CO]
    sender.write("k0", "cero", CO)
    lab.settle()
    calendar = lab.hub.calendars.pop(CO)
    message = sender.write("k1", "uno", CO)
    sender.prepare()
    backup = sender.snapshot()
    lab.hub.calendars[CO] = calendar
    lab.settle()
    assert reader.texts == ["cero", "uno"]
    sender.restore(backup)
    lab.hub.calendars.pop(CO)
    sender.connect()
    sender.prepare()
    assert sender.told(message) == {CO: State.HELD}
    sender.withdraw(message)  # it waits, as far as this archive knows
    assert sender.told(message) != {CO: State.WITHDRAWN}
    lab.hub.calendars[CO] = calendar
    lab.settle()
    assert sender.told(message) == {CO: State.DELIVERED}
    assert reader.texts == ["cero", "uno"]


def test_no_two_envelopes_have_one_number_nor_after_a_crash() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    numbers = []
    for key in "abc":
        sender.write(key, key, CO)
        numbers += [Core.from_bytes(item.core).submission for item in sender.prepare().items]
    sender.crash()
    sender.connect()
    numbers += [Core.from_bytes(item.core).submission for item in sender.prepare().items]
    assert len(numbers) >= 4
    assert numbers == sorted(set(numbers))


def test_a_receipt_of_an_earlier_life_of_ours_is_open_no_more() -> None:
    lab = Lab(AR, CO)
    sender, reader = lab[AR], lab[CO]
    sender.write("a", "uno", CO)
    submit(lab, sender)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    lab.hub.memory.mailboxes[AR].items.clear()  # the receipt is lost on its way
    assert [each.state for each in reader.links(Kind.RECEIPT)] == [LinkState.OPEN]
    older = reader.incarnation
    reader.restore(reader.snapshot())
    lab.settle()
    states = {each.state for each in reader.links(Kind.RECEIPT) if each.incarnation == older}
    assert states == {LinkState.SUPERSEDED}
    assert sender.told(sender.write("a", "uno", CO)) == {CO: State.DELIVERED}


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
