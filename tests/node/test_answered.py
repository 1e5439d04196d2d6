"""Whose word about which envelope counts: a hub's answer to one says nothing of another, nor a stranger of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node import answers
from node.model import DAY, EventKind, LinkState
from node.status import State
from node.tables import inbox, owed
from protocol.messages.envelope import Core, Event, Slot
from protocol.messages.message import Kind
from protocol.messages.receipts import Action, HandedOver
from protocol.names import EnvelopeId
from protocol.session.items import DeliverItem, ResultItem, SubmitItem
from protocol.trust.statements import Role
from tests.node.lab import Lab, Node
from tests.node.test_engine import engine_of
from tests.node.test_exchange import deliver, submit
from tests.support.world import private_key

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


def attested(lab: Lab, item: SubmitItem, recipient: str) -> ResultItem:
    """What a hub answers that names somebody else than the slot does, and lets the envelope fall."""
    slot = Slot.from_bytes(item.slots[0])
    other = replace(slot, recipient=lab.world.party(recipient))
    return ResultItem(item.id, None, (lab.hub.attest(Event.ACCEPTED, item.id, other, "accepted"),))


def test_an_acceptance_for_somebody_else_is_none_and_stops_no_message() -> None:
    lab = Lab(AR, BR, CO)
    sender, reader = lab[AR], lab[CO]
    message = sender.write("a", "uno", CO)
    (item,) = sender.prepare().items
    lab.frames.clear()
    lie = attested(lab, item, BR)
    sender.run(lambda ctx: sender.courier.answered(ctx, [lie]))
    assert sender.count("attestation") == 0
    assert sender.told(message) == {CO: State.SEALED}
    assert "unverifiable" in sender.alarms
    lab.pass_time(15 * DAY)  # the hub is honest again, and the envelope has expired
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {CO: State.DELIVERED}


def test_a_notice_about_an_envelope_that_is_none_of_ours_counts_for_nothing() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    sender.write("a", "uno", CO)
    (item,) = sender.prepare().items
    strange = lab.hub.attest(Event.FAILED, EnvelopeId(bytes(32)), Slot.from_bytes(item.slots[0]), "expired")
    sender.take([DeliverItem(1, None, b"", None, strange)])
    assert sender.count("attestation") == 0


def test_an_acceptance_by_a_hub_that_was_revoked_since_stops_no_message() -> None:
    lab = Lab(AR, CO)
    sender, reader, world = lab[AR], lab[CO], lab.world
    message = sender.write("a", "uno", CO)
    submit(lab, sender)
    lab.hub.memory.mailboxes[CO].items.clear()
    stolen, world.hub_key = world.certificates[""], private_key("another hub")
    renewal = world.certify("", role=Role.HUB, not_before=lab.second)
    lab.log(renewal)
    world.certificates[""] = renewal.id
    lab.log(world.revoke(stolen, lab.second - 100))
    lab.pass_time(15 * DAY)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {CO: State.DELIVERED}


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


def test_a_restored_node_that_meets_a_restored_hub_begins_one_life_and_not_two() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    lab.settle()
    backup, image = sender.snapshot(), lab.hub.memory_copy()
    sender.cut()
    lab.hub.restart_from(image)
    sender.restore(backup)
    lab.settle()
    assert len(lab.world.registry.incarnations(Role.NODE, AR)) == 2
    sender.cut()
    lab.hub.restart_from(lab.hub.memory_copy())  # of what comes later it is one more
    lab.settle()
    assert len(lab.world.registry.incarnations(Role.NODE, AR)) == 3


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


# -- a certificate of the hub that is not seen here yet -------------------------------------------------------------
def renewed_unseen(lab: Lab) -> None:
    """From here on the hub answers by a certificate that no mirror holds until it looks again."""
    for node in lab.nodes.values():
        node.blind = True
    renewal = lab.world.certify("", role=Role.HUB, not_after=lab.second + 300 * DAY)
    lab.log(renewal)
    lab.world.certificates[""] = renewal.id


def look_again(node: Node) -> None:
    node.blind = False
    node.mirror_now()
    node.retry_held()


def test_an_acceptance_by_a_renewed_hub_waits_until_the_mirror_holds_its_certificate() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    renewed_unseen(lab)
    message = sender.write("a", "uno", CO)
    submit(lab, sender)
    assert (sender.count("attestation"), sender.run(lambda ctx: inbox.held_answers(ctx.tx))) == (0, 1)
    assert sender.run(lambda ctx: inbox.held_codes(ctx.tx)) == {}  # no envelope that came in waits
    assert sender.alarms == {"view_ahead"}
    sender.retry_held()
    assert sender.count("held") == 1
    look_again(sender)
    assert (sender.count("attestation"), sender.count("held")) == (1, 0)
    assert sender.told(message) == {CO: State.RELAYED}


def test_a_refusal_by_a_renewed_hub_is_followed_once_its_certificate_is_seen() -> None:
    lab = Lab(AR, CO)
    sender, reader = lab[AR], lab[CO]
    lab.hub.full.add(CO)
    renewed_unseen(lab)
    message = sender.write("a", "uno", CO)
    submit(lab, sender)
    look_again(sender)
    assert sender.told(message) == {CO: State.HELD}
    lab.hub.full.clear()
    reader.blind = False
    lab.settle()
    assert reader.texts == ["uno"]


def test_a_notice_and_an_answer_to_a_recall_wait_too() -> None:
    lab = Lab(AR, BR, CO)
    sender = lab[AR]
    sender.write("a", "uno", CO, BR)
    (item,) = sender.prepare().items
    result = lab.hub.submit(AR, item)
    sender.run(lambda ctx: sender.courier.answered(ctx, [result]))
    assert sender.count("attestation") == 2
    renewed_unseen(lab)
    expired = lab.hub.drop(result.envelope_id, CO, "expired")
    recalled = lab.hub.drop(result.envelope_id, BR, "recalled")
    assert expired is not None
    sender.take([DeliverItem(1, None, b"", None, expired)])
    sender.recalled(recalled)
    assert (sender.count("attestation"), sender.count("held")) == (2, 2)
    look_again(sender)
    assert (sender.count("attestation"), sender.count("held")) == (4, 0)


def test_so_many_answers_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_HELD", 1)
    lab = Lab(AR, BR, CO)
    sender = lab[AR]
    renewed_unseen(lab)
    sender.write("a", "uno", CO, BR)
    submit(lab, sender)
    assert sender.count("held") == 1
    assert sender.alarms == {"view_ahead", "not_in_standing"}


def test_an_answer_that_waited_still_has_to_prove_itself() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    renewed_unseen(lab)
    sender.write("a", "uno", CO)
    (item,) = sender.prepare().items
    (slot,) = item.slots
    result = lab.hub.submit(AR, item)
    forged = lab.hub.attest(
        Event.ACCEPTED, result.envelope_id, Slot.from_bytes(slot), "accepted", key=private_key("another")
    )
    sender.run(lambda ctx: sender.courier.answered(ctx, [ResultItem(result.envelope_id, None, (forged,))]))
    look_again(sender)
    assert (sender.count("attestation"), sender.count("held")) == (0, 0)
    assert "bad_signature" in sender.alarms


def test_an_answer_that_waits_asks_for_the_newest_view() -> None:
    lab = Lab(AR, CO)
    sender = lab[AR]
    engine = engine_of(lab, sender, lab.world.statements[0])
    engine._courier = sender.courier
    engine._upkeep_at = lab.now + DAY
    renewed_unseen(lab)
    sender.write("a", "uno", CO)
    (item,) = sender.prepare().items
    result = lab.hub.submit(AR, item)
    assert not sender.run(engine.turn).outcome.refresh
    sender.run(lambda ctx: engine.answered(ctx, [result]))
    assert sender.run(engine.turn).outcome.refresh
