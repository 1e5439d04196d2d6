"""Each rule of delivery and recovery, by its name in `tests.models.delivery.RULES`, as a story that must end well.

Rules of the hub alone (`hub_persist`, `dedupe_hub`) are told where the hub is tested.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from node import reception, recovery, search
from node.context import Context
from node.model import LinkState
from node.status import Delivery, State
from node.tables import finding, inbox, links, peers, state
from protocol.errors import ConflictError, TooLateError
from protocol.messages.message import Ack, Kind, Link
from protocol.names import MessageId
from protocol.trust.statements import Cause
from tests.models.delivery import RULES
from tests.node.lab import HubMemory, Lab, Node, tampered
from tests.support.world import DAY

OF_THE_HUB = {"hub_persist", "dedupe_hub"}


class PowerCutError(Exception):
    """The machine stops here."""


@pytest.fixture
def lab() -> Lab:
    return Lab("ar-mpf", "co-fgn")


@pytest.fixture
def sender(lab: Lab) -> Node:
    return lab["ar-mpf"]


@pytest.fixture
def reader(lab: Lab) -> Node:
    return lab["co-fgn"]


def deliver(lab: Lab, node: Node) -> None:
    """What lies in the node's mailbox arrives, and nothing else happens."""
    for item in list(lab.hub.queue(node.member)):
        node.take([item])


def submit(lab: Lab, node: Node) -> None:
    """What the node has ready reaches the hub, and the answers come back."""
    node.prepare()
    while lab.frames:
        lab.arrive()


def cut_power(node: Node, work: object = None) -> None:
    """A transaction dies before its commit."""

    def dying(ctx: Context) -> None:
        if callable(work):
            work(ctx)
        raise PowerCutError

    with pytest.raises(PowerCutError):
        node.run(dying)
    node.crash()


def test_every_rule_has_its_story() -> None:
    told = {name.removeprefix("test_").split("__")[0] for name in globals() if name.startswith("test_")}
    assert set(RULES) - OF_THE_HUB <= told


def test_a_message_crosses_and_is_receipted(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    assert sender.told(message) == {None: State.QUEUED}
    submit(lab, sender)
    assert sender.told(message) == {"co-fgn": State.RELAYED}
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.alarms == sender.alarms == set()


# -- what is durable before what ---------------------------------------------------------------------------
def test_author_persist(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    sender.crash()
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_link_persist(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    cut_power(sender, lambda ctx: sender.courier.prepare(ctx, lab.hub.calendars))
    assert sender.links() == []  # what was not committed never left either
    sender.connect()
    sender.prepare()
    (signed,) = sender.links()
    sender.crash()
    lab.settle()
    assert [link.raw for link in sender.links(Kind.MESSAGE)] == [signed.raw]
    assert reader.run(lambda ctx: inbox.find_link(ctx.tx, 1)).raw == signed.raw
    assert reader.texts == ["uno"]


def test_archive_persist_handover(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    items = list(lab.hub.queue("co-fgn"))
    cut_power(reader, lambda ctx: reception.receive(ctx, items, reader.find_prekey))
    assert reader.texts == []
    lab.settle()
    assert reader.texts == ["uno"]


def test_archive_persist_receipt(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    items = list(lab.hub.queue("co-fgn"))
    cut_power(reader, lambda ctx: reception.receive(ctx, items, reader.find_prekey))
    assert reader.count("owed") == 0
    assert reader.cursor == 0
    assert lab.hub.queue("co-fgn") == items
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_receipt_persist(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    items = list(lab.hub.queue("ar-mpf"))
    cut_power(sender, lambda ctx: reception.receive(ctx, items, sender.find_prekey))
    assert sender.told(message) != {"co-fgn": State.DELIVERED}
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.links(Kind.RECEIPT)[0].state is LinkState.OPEN  # no ack of it has left


def test_answer_of_session(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    sender.prepare()
    lab.arrive(next(at for at, frame in enumerate(lab.frames) if frame[0] == "submit"))
    (late,) = [what for kind, _member, what in lab.frames if kind == "results"]
    sender.cut()
    sender.connect()
    sender.run(lambda ctx: sender.courier.answered(ctx, [late]))
    assert sender.told(message) == {"co-fgn": State.SEALED}
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.texts == ["uno"]


# -- dedupe --------------------------------------------------------------------------------------------------
def test_dedupe_message_id(lab: Lab, sender: Node, reader: Node) -> None:
    backup = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.restore(backup)
    again = sender.write("k1", "uno", "co-fgn")
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(again) == {"co-fgn": State.DELIVERED}
    assert sender.links(Kind.MESSAGE)[0].incarnation > lab.world.incarnations["ar-mpf"]


def test_dedupe_link(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    replayed = lab.hub.queue("co-fgn")[0]
    lab.settle()
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.put(replayed.core, replayed.ciphertext, replayed.slot, replayed.attestation)
    lab.settle()
    assert reader.texts == ["uno"]
    assert reader.cursor == box.top


def test_duplicate_receipted(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    replayed = lab.hub.queue("co-fgn")[0]
    lab.settle()
    receipts = len(reader.links(Kind.RECEIPT))
    lab.hub.memory.mailboxes["co-fgn"].put(replayed.core, replayed.ciphertext, replayed.slot, replayed.attestation)
    lab.settle()
    assert len(reader.links(Kind.RECEIPT)) == receipts + 1


def test_stable_id(lab: Lab, sender: Node) -> None:
    backup = sender.snapshot()
    first = sender.write("k1", "uno", "co-fgn")
    assert sender.write("k1", "uno", "co-fgn") == first
    sender.restore(backup)
    assert sender.write("k1", "uno", "co-fgn") == first
    with pytest.raises(ConflictError):
        sender.write("k1", "otro", "co-fgn")


def test_caller_resubmits(lab: Lab, sender: Node, reader: Node) -> None:
    backup = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    sender.restore(backup)
    lab.settle()
    assert reader.texts == []
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    assert reader.texts == ["uno"]


# -- receipts and acks -------------------------------------------------------------------------------------
def test_ack_releases(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    (receipt,) = reader.links(Kind.RECEIPT)
    assert receipt.state is LinkState.OPEN
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert [link.state for link in reader.links(Kind.RECEIPT)] == [LinkState.RELEASED, LinkState.OPEN]


def test_a_lost_receipt_goes_again(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    lab.hub.memory.mailboxes["ar-mpf"].items.clear()  # the hub loses it and says nothing
    lab.pass_time(15 * DAY)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.texts == ["uno"]


def test_never_receipted(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    assert len(sender.links()) == 1
    assert [link.kind for link in reader.links()] == [Kind.RECEIPT]


def test_stale_receipts(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    backup = reader.snapshot()
    submit(lab, sender)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    (late,) = lab.hub.queue("ar-mpf")
    lab.hub.memory.mailboxes["ar-mpf"].items.clear()
    reader.restore(backup)
    reader.connect()
    submit(lab, reader)  # the notice of the new incarnation
    sender.mirror_now()
    deliver(lab, sender)
    lab.hub.memory.mailboxes["ar-mpf"].put(late.core, late.ciphertext, late.slot, late.attestation)
    deliver(lab, sender)
    assert sender.told(message) != {"co-fgn": State.DELIVERED}
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_stale_acks(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    backup = sender.snapshot()
    before = sender.snapshot()
    sender.write("k2", "dos", "co-fgn")  # carries the ack of the first receipt
    submit(lab, sender)
    (acking,) = lab.hub.queue("co-fgn")
    assert Link.from_bytes(sender.links()[-1].raw).ack == Ack(reader.incarnation, 1)
    lab.hub.memory.mailboxes["co-fgn"].items.clear()
    sender.restore(before)
    lab.settle()
    assert reader.peer("ar-mpf").newest == sender.incarnation
    receipt = reader.links(Kind.RECEIPT)[0].id
    reader.run(lambda ctx: links.reopen(ctx.tx, receipt, lab.second + 9 * DAY))
    lab.hub.memory.mailboxes["co-fgn"].put(acking.core, acking.ciphertext, acking.slot, acking.attestation)
    deliver(lab, reader)
    assert reader.links(Kind.RECEIPT)[0].state is LinkState.OPEN
    assert reader.texts == ["uno", "dos"]
    assert backup.run(state.incarnation) == lab.world.incarnations["ar-mpf"]


def test_ack_downward(lab: Lab, sender: Node, reader: Node) -> None:
    backup = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert reader.links(Kind.RECEIPT)[0].state is LinkState.RELEASED
    sender.restore(backup)
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    # The notice says that nothing of the reader's is held: what was released goes again.
    assert sender.run(lambda ctx: peers.all_series(ctx.tx, 1))[0].contiguous >= 2
    assert sender.count("inlink") >= 3


def test_receipts_archived(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    backup = sender.snapshot()
    lab.settle()
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert reader.links(Kind.RECEIPT)[0].state is LinkState.RELEASED
    sender.restore(backup)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.texts == ["uno", "dos"]


# -- restores ------------------------------------------------------------------------------------------------
def test_new_incarnation(lab: Lab, sender: Node, reader: Node) -> None:
    backup = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.restore(backup)
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]
    assert [(link.kind, link.first_seq) for link in sender.links()] == [(Kind.NOTICE, 1), (Kind.MESSAGE, 2)]
    assert reader.texts == ["uno", "dos"]


def test_resend_after_notice(lab: Lab, sender: Node, reader: Node) -> None:
    backup = reader.snapshot()
    messages = [sender.write(f"k{number}", f"texto {number}", "co-fgn") for number in range(3)]
    lab.settle()
    answer = reader.write("k", "respuesta", "ar-mpf")
    lab.settle()
    reader.restore(backup)  # from before it knew of anybody
    lab.settle()
    assert reader.texts == ["texto 0", "texto 1", "texto 2"]
    reader.write("k", "respuesta", "ar-mpf")  # its caller submits again
    lab.settle()
    assert reader.texts == ["texto 0", "texto 1", "texto 2"]
    assert all(sender.told(message) == {"co-fgn": State.DELIVERED} for message in messages)
    assert reader.told(answer) == {"ar-mpf": State.DELIVERED}
    assert sender.texts == ["respuesta"]


def test_notice_contiguous(lab: Lab, sender: Node, reader: Node) -> None:
    for number in range(3):
        sender.write(f"k{number}", f"texto {number}", "co-fgn")
        submit(lab, sender)
    first, second, third = lab.hub.queue("co-fgn")
    reader.take([replace(first, position=1), replace(third, position=2)])
    backup = reader.snapshot()  # it holds the numbers 1 and 3
    reader.take([replace(second, position=3)])
    lab.settle()
    assert {link.state for link in sender.links(Kind.MESSAGE)} == {LinkState.DELIVERED}
    reader.restore(backup)
    lab.settle()
    assert sorted(reader.texts) == ["texto 0", "texto 1", "texto 2"]
    series = reader.run(lambda ctx: peers.all_series(ctx.tx, 1))
    assert series[0].contiguous == 3


def test_notice_reseals_open(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    backup = reader.snapshot()
    assert reader.count("owed") == 1
    reader.run(lambda ctx: ctx.tx.run("DELETE FROM owed"))
    backup = reader.snapshot()  # it holds the message and has lost the receipt
    reader.restore(backup)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_notice_first(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k0", "cero", "co-fgn")
    lab.settle()
    backup = sender.snapshot()
    sender.restore(backup)
    sender.connect()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    notice, message = lab.hub.queue("co-fgn")
    reader.mirror_now()
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.items = [replace(message, position=notice.position), replace(notice, position=message.position)]
    reader.take([box.items[0]])
    assert reader.texts == ["cero"]
    assert reader.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"notice_first": 1}
    reader.take([box.items[1]])
    assert reader.texts == ["cero", "uno"]
    assert reader.count("held") == 0


def test_two_who_lost_their_prekeys_at_one_time_and_whose_notices_crossed_find_each_other(
    lab: Lab, sender: Node, reader: Node
) -> None:
    """Neither opens the notice of the other, and what says so is of an incarnation whose notice is missing."""
    sender.write("k0", "cero", "co-fgn")
    lab.settle()
    before = dict(lab.hub.calendars)
    for node, other in ((sender, "co-fgn"), (reader, "ar-mpf")):
        node.restore(node.snapshot())
        node.write("k1", "uno", other)
    after, lab.hub.calendars = lab.hub.calendars, before
    for node in (sender, reader):
        node.connect()
    for node in (sender, reader):
        submit(lab, node)
    lab.hub.calendars = after
    lab.settle()
    assert "uno" in sender.texts
    assert "uno" in reader.texts
    assert (sender.count("held"), reader.count("held")) == (0, 0)


def test_what_comes_before_the_mirror_and_before_its_notice_is_judged_until_all_is_in(
    lab: Lab, sender: Node, reader: Node
) -> None:
    sender.write("k0", "cero", "co-fgn")
    lab.settle()
    sender.restore(sender.snapshot())
    sender.connect()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    notice, message = lab.hub.queue("co-fgn")
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.items = [replace(message, position=notice.position), replace(notice, position=message.position)]
    reader.take(box.items)
    assert reader.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"view_ahead": 2}
    assert reader.texts == ["cero"]
    # The message is judged first, and waits for the notice behind it; then it is judged once more.
    reader.mirror_now()
    assert reader.texts == ["cero", "uno"]
    assert reader.count("held") == 0


def test_restored_reseals(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    backup = sender.snapshot()
    (before,) = lab.hub.queue("co-fgn")
    lab.hub.memory.mailboxes["co-fgn"].items.clear()
    sender.restore(backup)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert before.core not in {row[0] for row in reader.run(lambda ctx: ctx.tx.all("SELECT core FROM inlink"))}


def test_high_water__of_the_hub(lab: Lab, sender: Node, reader: Node) -> None:
    image = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.restore(image, noticed=False)
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]
    assert reader.texts == ["uno", "dos"]
    assert "new_incarnation" in sender.alarms


def test_high_water__of_the_hub_alone(lab: Lab, sender: Node) -> None:
    image = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    sender.restore(image, noticed=False)
    shown = lab.hub.welcome("ar-mpf")
    start = sender.run(lambda ctx: sender.courier.session_opened(ctx, shown, lab.hub.incarnation))
    assert start.cause is Cause.ROLLED_BACK  # nothing was delivered to it: only its own submission tells


def test_high_water__of_a_peer(lab: Lab, sender: Node, reader: Node) -> None:
    image = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    lab.hub.memory.highest.clear()  # this hub has nothing to show
    sender.restore(image, noticed=False)
    lab.settle()
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]


def test_high_water(lab: Lab, sender: Node, reader: Node) -> None:
    """A number that was spent on something else is taken, and its message is linked again in a new incarnation."""
    image = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    lab.hub.memory.highest.clear()
    lab.hub.memory.cores.clear()
    sender.restore(image, noticed=False)
    message = sender.write("k2", "dos", "co-fgn")
    sender.connect()
    submit(lab, sender)
    lab.settle()
    assert reader.texts == ["uno", "dos"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]


def taken_back_under_a_spent_number(lab: Lab, sender: Node, reader: Node, *texts: str) -> MessageId:
    """The sender forgot that it sent these texts, and spent their numbers again; the last one it then took back.

    That the number of that one is taken, it hears before its void has left.
    """
    image = sender.snapshot()
    for text in texts:
        sender.write(text, text, "co-fgn")
        submit(lab, sender)
    deliver(lab, reader)
    lab.hub.memory.highest.clear()
    lab.hub.memory.cores.clear()
    sender.restore(image, noticed=False)
    message = sender.write("dos", "dos", "co-fgn")
    sender.connect()
    submit(lab, sender)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    sender.withdraw(message)
    deliver(lab, sender)
    return message


def test_taken_waits(lab: Lab, sender: Node, reader: Node) -> None:
    """What is being taken back is not linked again because its number was spent: the recipient answers the void."""
    message = taken_back_under_a_spent_number(lab, sender, reader, "uno")
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]


def test_taken_waits__and_the_recipient_says_what_it_has_under_another_number(
    lab: Lab, sender: Node, reader: Node
) -> None:
    message = taken_back_under_a_spent_number(lab, sender, reader, "uno", "dos")
    lab.settle()
    assert reader.texts == ["uno", "dos"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_cursor_shown(lab: Lab, sender: Node, reader: Node) -> None:
    image = reader.snapshot()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    while lab.frames:
        lab.arrive()
    reader.restore(image, noticed=False)  # nothing was submitted by it: only its cursor tells
    lab.settle()
    assert reader.incarnation > lab.world.incarnations["co-fgn"]
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert sorted(reader.texts) == ["dos", "uno"]


# -- a lying or restored hub -----------------------------------------------------------------------------------
def test_quarantine_acks(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.items = [tampered(box.items[0])]
    deliver(lab, reader)
    assert reader.cursor == 1
    assert reader.count("quarantine") == 1
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_refusal_by_envelope(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.items = [tampered(box.items[0])]
    deliver(lab, reader)
    assert reader.count("number_in") == 0  # no number was closed by it
    lab.settle()
    assert [link.state for link in sender.links(Kind.MESSAGE)] == [LinkState.DELIVERED]
    assert sender.count("envelope") == 2


def test_reseal_once(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    box = lab.hub.memory.mailboxes["co-fgn"]
    broken = tampered(box.items[0])
    box.items = [broken]
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    box.put(broken.core, broken.ciphertext, broken.slot, broken.attestation)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    assert len(reader.links(Kind.RECEIPT)) == 2  # it complained twice of one envelope
    deliver(lab, sender)
    submit(lab, sender)
    assert sender.links(Kind.MESSAGE)[0].reseals == 1
    assert sender.count("envelope") == 2


def test_own_clock(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    lab.hub.memory.mailboxes["co-fgn"].items.clear()  # the hub said that it had it, and dropped it
    lab.pass_time(13 * DAY)
    assert reader.texts == []
    assert sender.told(message) == {"co-fgn": State.LATE}
    lab.pass_time(2 * DAY)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_hub_resubmit(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    lab.hub.restart_from(type(lab.hub.memory)())
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_hub_incarnation(lab: Lab, sender: Node, reader: Node) -> None:
    for number in range(3):
        sender.write(f"k{number}", f"texto {number}", "co-fgn")
        lab.settle()
    assert reader.cursor == 3
    lab.hub.restart_from(type(lab.hub.memory)())
    sender.write("k3", "texto 3", "co-fgn")
    lab.settle()
    # Positions begin anew, and none of them is taken for one of the former hub's.
    assert reader.texts == [f"texto {number}" for number in range(4)]


def rolled_back(lab: Lab, memory: HubMemory) -> None:
    """The hub goes on from an older memory of its own, and nobody told it."""
    lab.hub.memory = copy.deepcopy(memory)
    for node in lab.nodes.values():
        node.cut()


def test_hub_forgets(lab: Lab, sender: Node, reader: Node) -> None:
    memory = lab.hub.memory_copy()
    for number in range(3):
        sender.write(f"k{number}", f"texto {number}", "co-fgn")
        lab.settle()
    message = sender.write("k3", "texto 3", "co-fgn")
    submit(lab, sender)
    assert reader.cursor == 3
    rolled_back(lab, memory)
    lab.settle()
    # Its positions begin anew, and what it had accepted goes again, although it had said that it holds it.
    assert reader.texts == [f"texto {number}" for number in range(4)]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert {"stale", "new_incarnation"} <= sender.alarms


def test_hub_forgets__what_a_node_had_taken_comes_again_and_is_handed_over_once(
    lab: Lab, sender: Node, reader: Node
) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    memory = lab.hub.memory_copy()
    deliver(lab, reader)
    rolled_back(lab, memory)
    lab.settle()
    assert reader.texts == ["uno"]
    assert "new_incarnation" not in reader.alarms  # nothing that it sent is gone


def test_hub_forgets__three_new_lives_a_day_and_the_rest_tomorrow(lab: Lab, sender: Node) -> None:
    memory = lab.hub.memory_copy()
    sender.write("k1", "uno", "co-fgn")
    lives = []
    for _time in range(5):
        lab.settle()
        sender.write(f"again {_time}", "otra vez", "co-fgn")
        lab.settle()
        rolled_back(lab, memory)
        sender.connect()
        lives.append(sender.incarnation)
    assert len(set(lives)) == 3
    assert "reseal_limit" in sender.alarms


def test_an_acknowledgement_that_was_lost_is_no_alarm_in_whatever_order_hubs_show_it(
    lab: Lab, sender: Node, reader: Node
) -> None:
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    before = lab.hub.memory_copy()
    deliver(lab, reader)
    while lab.frames:
        lab.arrive()
    after = lab.hub.memory_copy()
    for memory in (before, after, before, after):
        rolled_back(lab, memory)
        reader.connect()
    assert reader.alarms == set()
    lab.settle()
    assert reader.texts == ["uno"]


def test_new_hub(lab: Lab, sender: Node, reader: Node) -> None:
    image = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    lab.hub.restart_from(type(lab.hub.memory)())  # it has nothing to show
    sender.restore(image, noticed=False)
    sender.write("k2", "dos", "co-fgn")
    lab.settle()
    assert reader.texts == ["uno", "dos"]
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]


# -- withdrawals -----------------------------------------------------------------------------------------------
def test_withdrawn_before_it_was_numbered(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    sender.withdraw(message)
    assert sender.told(message) == {None: State.WITHDRAWN}
    lab.settle()
    assert reader.texts == []
    assert sender.links() == []


def test_withdrawn_under_way_the_recipient_signs_for_it(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    sender.withdraw(message)
    sender.withdraw(message)
    assert lab.hub.queue("co-fgn") == []  # the hub recalled it
    (delivery,) = sender.deliveries(message)
    assert delivery.closing is not None
    lab.settle()
    assert reader.texts == []
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}


def test_too_late_to_withdraw(lab: Lab, sender: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    lab.settle()
    with pytest.raises(TooLateError):
        sender.withdraw(message)
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_void_closes(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    (late,) = lab.hub.queue("co-fgn")
    sender.withdraw(message)
    lab.settle()
    lab.hub.memory.mailboxes["co-fgn"].put(late.core, late.ciphertext, late.slot, late.attestation)
    lab.settle()
    assert reader.texts == []
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}


def test_void_truth(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    sender.withdraw(message)  # the author does not know yet that it arrived
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def lost_since(lab: Lab, sender: Node, reader: Node, **how: Any) -> MessageId:
    """A message was delivered, and its recipient is put back from a backup of before; nothing has moved since."""
    reader.write("k0", "cero", "ar-mpf")
    lab.settle()
    backup = reader.snapshot()
    message = sender.write("k1", "uno", "co-fgn", **how)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    reader.restore(backup)
    assert reader.texts == []
    return message


def test_delivered_stays(lab: Lab, sender: Node, reader: Node) -> None:
    """Its author's expiry passed before it could go again: it goes no more, its number is closed, and it was delivered."""
    message = lost_since(lab, sender, reader, expires_at=lab.second + 90)
    (proof,) = sender.deliveries(message)
    lab.now += 120
    reader.connect()
    submit(lab, reader)  # the notice of its new life
    sender.mirror_now()
    for _step in range(40):
        lab.flow()
        lab.now += 2.5
        assert sender.deliveries(message) == [proof]
    lab.settle()
    assert reader.texts == []
    assert [link.state for link in sender.links(Kind.VOID)] == [LinkState.VOID]
    assert reader.run(lambda ctx: peers.all_series(ctx.tx, 1))[0].contiguous >= 1  # nothing is missing in its series
    assert sender.deliveries(message) == [proof]


def test_delivered_stays__while_it_goes_again(lab: Lab, sender: Node, reader: Node) -> None:
    message = lost_since(lab, sender, reader)
    (proof,) = sender.deliveries(message)
    reader.connect()
    submit(lab, reader)
    sender.mirror_now()
    deliver(lab, sender)
    assert sender.links(Kind.MESSAGE)[0].state is LinkState.OPEN
    assert sender.deliveries(message) == [proof]
    with pytest.raises(TooLateError):
        sender.withdraw(message)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def too_late(sender: Node, message: MessageId, proof: Delivery) -> None:
    with pytest.raises(TooLateError):
        sender.withdraw(message)
    assert sender.deliveries(message) == [proof]


def test_signed_is_late(lab: Lab, sender: Node, reader: Node) -> None:
    """Its number is taken when it goes again, by what its node forgot: it goes under another, and is taken back no more."""
    image = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    (forgotten,) = lab.hub.queue("co-fgn")
    lab.hub.memory = HubMemory()
    sender.restore(image, noticed=False)
    before = reader.snapshot()
    message = sender.write("k2", "dos", "co-fgn")
    sender.connect()
    lab.settle()
    (proof,) = sender.deliveries(message)
    assert proof.state is State.DELIVERED
    reader.restore(before, noticed=False)
    reader.connect()
    submit(lab, reader)  # the notice of its new life
    sender.mirror_now()
    deliver(lab, sender)
    lab.hub.memory.mailboxes["co-fgn"].put(forgotten.core, forgotten.ciphertext, forgotten.slot, forgotten.attestation)
    deliver(lab, reader)
    submit(lab, sender)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)  # the receipt that says `taken`
    deliver(lab, sender)
    assert sender.count("waiting") == 1
    too_late(sender, message, proof)
    sender.begin_if_needed()
    submit(lab, sender)
    assert len(sender.links(Kind.MESSAGE)) == 2  # it goes under another number
    too_late(sender, message, proof)
    lab.settle()
    assert reader.texts == ["uno", "dos"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_delivered_stays__though_only_a_void_was_answered(lab: Lab, sender: Node, reader: Node) -> None:
    """A node in a new life asked for a message that it had forgotten, and heard that it was there; then it was lost."""
    before, backup = sender.snapshot(), reader.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.restore(before)
    sender.connect()
    message = sender.write("k1", "uno", "co-fgn")
    sender.withdraw(message)
    lab.settle()
    (proof,) = sender.deliveries(message)
    assert proof.state is State.DELIVERED
    reader.restore(backup)
    lab.settle()
    assert reader.texts == []
    assert sender.deliveries(message) == [proof]


def test_notice_voids(lab: Lab, sender: Node, reader: Node) -> None:
    """It was delivered before its author could take it back; the recipient lost it, and does not get it again."""
    backup = reader.snapshot()
    message = sender.write("k1", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    sender.withdraw(message)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    reader.restore(backup)
    lab.settle()
    assert reader.texts == []
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_void_by_message(lab: Lab, sender: Node, reader: Node) -> None:
    backup = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.restore(backup)
    message = sender.write("k1", "uno", "co-fgn")
    sender.connect()
    sender.prepare()  # numbered anew, in the new incarnation
    sender.cut()
    sender.withdraw(message)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_restored_void(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("k0", "cero", "co-fgn")
    lab.settle()
    backup = sender.snapshot()
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.restore(backup)
    sender.connect()
    message = sender.write("k1", "uno", "co-fgn")
    sender.withdraw(message)  # it looks unsent, and was delivered before the restore
    assert sender.told(message) != {"co-fgn": State.WITHDRAWN}
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    other = sender.write("k2", "dos", "co-fgn")
    sender.withdraw(other)
    lab.settle()
    assert sender.told(other) == {"co-fgn": State.WITHDRAWN}
    assert reader.texts == ["cero", "uno"]


def test_what_a_restored_node_asks_of_a_message_taken_back_is_counted_until_it_is_answered(
    lab: Lab, sender: Node, reader: Node
) -> None:
    sender.write("k0", "cero", "co-fgn")
    lab.settle()
    sender.restore(sender.snapshot())
    sender.connect()
    lab.settle()
    message = sender.write("k1", "uno", "co-fgn")
    sender.withdraw(message)
    seen = []
    for _step in range(3):
        lab.flow()
        seen.append(sender.store.run(finding.counts)["under_way"])
        open_ = sender.told(message) != {"co-fgn": State.WITHDRAWN}
        assert (seen[-1] + sender.store.run(finding.counts)["waiting"] > 0) == open_, seen
        lab.now += 2.5
    lab.settle()
    assert 1 in seen
    assert sender.store.run(finding.counts)["under_way"] == 0


def test_compared_void(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("k1", "uno", "co-fgn")
    image = sender.snapshot()
    lab.settle()
    sender.restore(image, noticed=False)
    sender.withdraw(message)  # it looks unsent, and nobody asked the hub yet
    assert sender.told(message) != {"co-fgn": State.WITHDRAWN}
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.texts == ["uno"]


def test_what_was_taken_back_before_the_first_session_is_so_once_numbers_were_compared(lab: Lab, sender: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.crash()
    message = sender.write("k2", "dos", "co-fgn")
    sender.withdraw(message)
    assert sender.told(message) == {"co-fgn": State.HELD}
    sender.connect()
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}
    lab.settle()
    assert lab["co-fgn"].texts == ["uno"]
    assert sender.count("link") == 1  # nobody had to be asked


def test_what_expired_before_the_first_session_is_told_once_numbers_were_compared(lab: Lab, sender: Node) -> None:
    sender.write("k1", "uno", "co-fgn")
    lab.settle()
    sender.crash()
    message = sender.write("k2", "dos", "co-fgn", expires_at=lab.second + 60)
    lab.now += 61
    assert sender.told(message) != {"": State.EXPIRED}
    sender.connect()
    lab.settle()
    assert set(sender.told(message).values()) == {State.EXPIRED}


def test_what_comes_after_a_restore_lies_behind_every_cursor_that_was_told(lab: Lab) -> None:
    sender, reader = lab["ar-mpf"], lab["co-fgn"]
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    reader.run(lambda ctx: search.follow(ctx.tx, 99))
    told = reader.run(lambda ctx: (inbox.last_id(ctx.tx), finding.last_event(ctx.tx)))
    reader.run(lambda ctx: recovery.mark_restored(ctx.tx, ctx.second))
    assert reader.run(lambda ctx: (finding.counts(ctx.tx)["received"], search.behind(ctx.tx))) == (1, 0)
    sender.write("b", "dos", "co-fgn")
    lab.settle()
    assert reader.texts == ["uno", "dos"]
    newest = reader.run(lambda ctx: (inbox.last_id(ctx.tx), finding.last_event(ctx.tx)))
    assert all(new > old + 1_000_000_000 for new, old in zip(newest, told, strict=True))
    assert reader.run(lambda ctx: (finding.counts(ctx.tx)["received"], search.behind(ctx.tx))) == (2, 1)
    written = reader.write("c", "tres", "ar-mpf")
    lab.settle()
    assert reader.told(written) == {"ar-mpf": State.DELIVERED}
    assert reader.run(lambda ctx: finding.counts(ctx.tx)["sent"]) == 1
