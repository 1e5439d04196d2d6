"""The incoming half: what becomes of each number, of what cannot be believed, and of what comes too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from node import linking, posting, reception, refusing, status, upkeep
from node.acceptance import Request, accept_all
from node.context import Identity
from node.gathering import LASTING_SECONDS
from node.linking import Draft, Part
from node.model import EventKind, LinkState, Mark
from node.reach import Audience, Reach, Target
from node.status import State
from node.tables import inbox, links, outbox, peers, state
from protocol.codec import encode
from protocol.messages.envelope import Attestation, Core, Event, Slot
from protocol.messages.message import Ack, Header, Kind
from protocol.messages.receipts import (
    Consigned,
    Exceptional,
    LinkRef,
    Notice,
    Outcome,
    Rejected,
    Unopened,
    Void,
    VoidReason,
    read_receipt,
)
from protocol.names import Digest, EnvelopeId, Incarnation, MessageId, Party
from protocol.sealing import Prekey
from protocol.session.items import DeliverItem
from protocol.trust.statements import Cause
from tests.node.lab import DESK, Lab, Node, digest, tampered
from tests.node.test_exchange import deliver, submit
from tests.support.world import DAY, private_key


@pytest.fixture
def lab() -> Lab:
    return Lab("ar-mpf", "br-mpf", "co-fgn")


@pytest.fixture
def sender(lab: Lab) -> Node:
    return lab["ar-mpf"]


@pytest.fixture
def reader(lab: Lab) -> Node:
    return lab["co-fgn"]


# -- links by hand ---------------------------------------------------------------------------------------------
@dataclass
class Hand:
    """Signs for one node whatever number and body the test wants, rules or no rules."""

    lab: Lab
    node: Node
    to: str

    def send(self, kind: Kind, first: int, parts: Sequence[Part], incarnation: Incarnation | None = None) -> None:
        """Put a link of these bodies, numbered from `first`, into the mailbox."""
        lab, node = self.lab, self.node

        def work(ctx: object) -> object:
            context = ctx
            target = Reach(context, lab.hub.calendars).target(Party(lab.world.association, self.to))  # type: ignore[arg-type]
            assert isinstance(target, Target)
            alone = Audience((target.peer.party,), None)
            number = (incarnation or node_incarnation, first)
            draft = Draft(kind, alone, [target], lab.second + LASTING_SECONDS, list(parts), numbered=number)
            signed = linking.sign(context, number[0], context.mirror.view(), [draft])  # type: ignore[attr-defined,arg-type]
            return posting.post(context, number[0], signed)[0]  # type: ignore[arg-type]

        node_incarnation = node.incarnation
        envelope = node.run(work)
        core, slots = envelope.core, envelope.slots  # type: ignore[attr-defined]
        attestation = lab.hub.attest(Event.ACCEPTED, core.id, slots[0], "accepted")
        box = lab.hub.memory.mailboxes[self.to]
        box.put(core.raw, envelope.ciphertext, slots[0].raw, attestation)  # type: ignore[attr-defined]

    def message(self, text: str, key: str | None = None) -> Part:
        document = self.node.document(text, self.to)
        identifier = MessageId(digest((key or text).encode())[:16])
        return Part(Header.build(identifier, self.lab.second, digest(document)).raw, document)

    def void(self, key: str) -> Part:
        return Part(Void(MessageId(digest(key.encode())[:16]), VoidReason.WITHDRAWN).encode())


@pytest.fixture
def hand(lab: Lab, sender: Node) -> Hand:
    return Hand(lab, sender, "co-fgn")


def outcomes(reader: Node) -> list[list[tuple[int, Outcome]]]:
    """What the reader owes receipts for, link by link: each number with its outcome."""
    rows = reader.run(lambda ctx: ctx.tx.all("SELECT body FROM owed ORDER BY id"))
    receipts = [read_receipt(row[0]) for row in rows]
    return [[(seq, each.outcome(seq)) for seq in each.link.numbers] for each in receipts if isinstance(each, Consigned)]


def marks(reader: Node) -> list[Mark]:
    return [Mark(row[0]) for row in reader.run(lambda ctx: ctx.tx.all("SELECT mark FROM inbox ORDER BY id"))]


def owed_kinds(reader: Node) -> list[type]:
    return [
        type(read_receipt(row[0])) for row in reader.run(lambda ctx: ctx.tx.all("SELECT body FROM owed ORDER BY id"))
    ]


# -- numbers: the table of SPEC 10.2 -----------------------------------------------------------------------------
def test_unknown_number_unknown_message(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno"), hand.message("dos")])
    deliver(lab, reader)
    assert reader.texts == ["uno", "dos"]
    assert outcomes(reader) == [[(1, Outcome.DELIVERED), (2, Outcome.DELIVERED)]]


def test_unknown_number_message_held(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")])
    hand.send(Kind.MESSAGE, 2, [hand.message("uno"), hand.message("dos")])
    deliver(lab, reader)
    assert reader.texts == ["uno", "dos"]
    assert outcomes(reader)[1] == [(2, Outcome.DELIVERED), (3, Outcome.DELIVERED)]


def test_unknown_number_message_held_with_another_content(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno", key="k")])
    hand.send(Kind.MESSAGE, 2, [hand.message("otro", key="k")])
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert outcomes(reader) == [[(1, Outcome.DELIVERED)], [(2, Outcome.REFUSED)]]


def test_one_link_with_a_message_twice(lab: Lab, reader: Node, hand: Hand) -> None:
    twice = [hand.message("uno", key="k"), hand.message("uno", key="k"), hand.message("otro", key="k")]
    hand.send(Kind.MESSAGE, 1, twice)
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert outcomes(reader) == [[(1, Outcome.DELIVERED), (2, Outcome.DELIVERED), (3, Outcome.REFUSED)]]


def test_unknown_number_message_voided_elsewhere(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.VOID, 1, [hand.void("uno")])
    hand.send(Kind.MESSAGE, 2, [hand.message("uno")])
    deliver(lab, reader)
    assert reader.texts == []
    assert outcomes(reader) == [[(1, Outcome.VOID)], [(2, Outcome.VOID)]]


def test_a_void_of_what_is_held_tells_the_truth(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")])
    hand.send(Kind.VOID, 2, [hand.void("uno"), hand.void("dos")])
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert outcomes(reader)[1] == [(2, Outcome.DELIVERED), (3, Outcome.VOID)]


def test_known_number_the_same_message_or_its_void(lab: Lab, reader: Node, hand: Hand) -> None:
    for _time in range(2):
        hand.send(Kind.MESSAGE, 1, [hand.message("uno")])
        hand.send(Kind.VOID, 1, [hand.void("uno")])
    hand.send(Kind.VOID, 2, [hand.void("dos")])
    hand.send(Kind.MESSAGE, 2, [hand.message("dos")])
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert outcomes(reader) == [[(1, Outcome.DELIVERED)]] * 4 + [[(2, Outcome.VOID)]] * 2


def test_known_number_another_message(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno", key="a")])
    hand.send(Kind.MESSAGE, 1, [hand.message("dos", key="b")])
    hand.send(Kind.MESSAGE, 1, [hand.message("tres", key="a")])
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert outcomes(reader) == [[(1, Outcome.DELIVERED)], [(1, Outcome.TAKEN)], [(1, Outcome.REFUSED)]]


def test_a_receipt_of_two_kinds_of_link_is_owed_once_for_each(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")])
    item = lab.hub.queue("co-fgn")[0]
    lab.hub.memory.mailboxes["co-fgn"].put(item.core, item.ciphertext, item.slot, item.attestation)
    deliver(lab, reader)
    assert outcomes(reader) == [[(1, Outcome.DELIVERED)]]


def test_gaps_are_marked_and_so_is_what_comes_late(lab: Lab, reader: Node, hand: Hand) -> None:
    for first, text in ((1, "uno"), (4, "cuatro"), (2, "dos"), (6, "seis"), (5, "cinco")):
        hand.send(Kind.MESSAGE, first, [hand.message(text)])
    deliver(lab, reader)
    assert reader.texts == ["uno", "cuatro", "dos", "seis", "cinco"]
    assert marks(reader) == [Mark.NONE, Mark.GAP_BEFORE, Mark.LATE, Mark.GAP_BEFORE, Mark.LATE]
    (series,) = reader.run(lambda ctx: peers.all_series(ctx.tx, 1))
    assert (series.contiguous, series.highest) == (2, 6)
    hand.send(Kind.MESSAGE, 3, [hand.message("tres")])
    deliver(lab, reader)
    assert reader.run(lambda ctx: peers.all_series(ctx.tx, 1))[0].contiguous == 6


def test_an_empty_link_shows_what_is_missing(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")])
    hand.send(Kind.EMPTY, 2, [])
    deliver(lab, reader)
    assert reader.alarms == set()
    hand.send(Kind.EMPTY, 4, [])
    deliver(lab, reader)
    assert reader.alarms == {"gap"}
    assert len(outcomes(reader)) == 1  # nobody answers an empty link


def test_messages_of_one_id_from_two_peers_are_two(lab: Lab, sender: Node, reader: Node, hand: Hand) -> None:
    other = Hand(lab, lab["br-mpf"], "co-fgn")
    hand.send(Kind.MESSAGE, 1, [hand.message("uno", key="k")])
    other.send(Kind.MESSAGE, 1, [other.message("dos", key="k")])
    deliver(lab, reader)
    assert reader.texts == ["uno", "dos"]
    identifier = MessageId(digest(b"k")[:16])
    assert [row.id for row in reader.run(lambda ctx: inbox.by_message(ctx.tx, identifier))] == [1, 2]
    assert reader.run(lambda ctx: inbox.find(ctx.tx, 3)) is None


# -- what arrives becomes events, desks and positions ---------------------------------------------------------------
def test_a_run_says_what_is_new_and_what_to_acknowledge(lab: Lab, sender: Node, reader: Node) -> None:
    asked = [Request(DESK, str(at), sender.document(str(at), "co-fgn"), ("co-fgn",)) for at in range(5)]
    sender.run(lambda ctx: accept_all(ctx, asked))
    submit(lab, sender)
    items = list(lab.hub.queue("co-fgn"))
    done = reader.run(lambda ctx: reception.receive(ctx, items, reader.find_prekey))
    assert (done, reader.run(lambda ctx: inbox.last_id(ctx.tx))) == (1, 5)
    opened: list[Digest] = []

    def find_prekey(prekey_hash: Digest) -> Prekey:
        opened.append(prekey_hash)
        return reader.find_prekey(prekey_hash)

    again = reader.run(lambda ctx: reception.receive(ctx, items, find_prekey))
    assert (again, reader.run(lambda ctx: inbox.last_id(ctx.tx))) == (1, 5)
    assert (opened, reader.count("inlink")) == ([], 1)  # a known position is not even opened
    (event,) = reader.run(lambda ctx: state.events(ctx.tx, 0))
    assert (event.kind, event.subject, event.place) == (EventKind.RECEIVED, 1, 5)


# -- what cannot be believed ------------------------------------------------------------------------------------------
def set_aside(reader: Node) -> list[str]:
    return [item.code for item in reader.run(lambda ctx: inbox.quarantined(ctx.tx))]


def deliver_changed(lab: Lab, sender: Node, reader: Node, **changes: object) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.items = [replace(box.items[0], **changes)]  # type: ignore[arg-type]
    deliver(lab, reader)
    while lab.frames:
        lab.arrive()
    assert reader.cursor == 1
    assert reader.texts == []


@pytest.mark.parametrize("core", [b"", b"\x90", encode([0, 1])])
def test_what_names_no_envelope_is_set_aside_and_answered_to_nobody(
    lab: Lab, sender: Node, reader: Node, core: bytes
) -> None:
    deliver_changed(lab, sender, reader, core=core)
    assert set_aside(reader) == ["malformed"]
    assert reader.count("owed") == 0
    lab.pass_time(15 * DAY)  # nobody can be told: the sender's own clock heals it
    lab.settle()
    assert reader.texts == ["uno"]


def test_a_hub_that_swaps_ciphertexts_is_refused_by_name_of_the_envelope(lab: Lab, sender: Node, reader: Node) -> None:
    deliver_changed(lab, sender, reader, ciphertext=bytes(8_192))
    assert owed_kinds(reader) == [Rejected]
    assert set_aside(reader) == ["malformed"]


def test_an_attestation_by_another_is_refused(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    item = lab.hub.queue("co-fgn")[0]
    slot = Slot.from_bytes(item.slot or b"")
    forged = lab.hub.attest(Event.ACCEPTED, sender_core(item), slot, "accepted", key=lab.world.key("br-mpf"))
    reader.take([replace(item, attestation=forged)])
    assert set_aside(reader) == ["bad_signature"]
    assert owed_kinds(reader) == [Rejected]


def sender_core(item: DeliverItem) -> EnvelopeId:
    return Core.from_bytes(item.core or b"").id


def test_data_that_is_none_is_refused(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    item = lab.hub.queue("co-fgn")[0]
    broken = Attestation(b"\x90", item.attestation.proof, item.attestation.batch)
    reader.take([replace(item, attestation=broken)])
    assert set_aside(reader) == ["malformed"]
    assert reader.count("owed") == 0


def test_what_does_not_open_asks_for_another_sealing(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    reader.life = 5  # the keys of the day are gone
    deliver(lab, reader)
    assert owed_kinds(reader) == [Unopened]
    assert set_aside(reader) == []
    reader.publish()
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


ENVELOPE = EnvelopeId(bytes(32))


def test_nobody_is_answered_who_is_no_member(lab: Lab, sender: Node, reader: Node) -> None:
    assert refusing.claimed_sender(b"") == ""
    reader.run(lambda ctx: refusing._owe_if_member(ctx, lab.world.party("uy-fgn"), ENVELOPE, b"x"))
    reader.run(lambda ctx: refusing._owe_if_member(ctx, lab.world.party("co-fgn"), ENVELOPE, b"x"))
    assert reader.count("owed") == 0
    reader.run(lambda ctx: refusing._owe_if_member(ctx, lab.world.party("ar-mpf"), ENVELOPE, b"x"))
    assert reader.count("owed") == 1


def test_an_incarnation_that_begins_without_notice_is_refused(lab: Lab, sender: Node, reader: Node, hand: Hand) -> None:
    sender.run(lambda ctx: ctx.tx.run("SELECT 1"))
    lab.log(lab.world.open("ar-mpf", cause=Cause.RESTORED))
    lab.mirror_all()
    newer = lab.world.registry.incarnations(1, "ar-mpf")[-1]  # type: ignore[arg-type]
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")], newer)
    deliver(lab, reader)
    assert set_aside(reader) == ["unverifiable"]
    hand.send(Kind.NOTICE, 1, [Part(Notice(()).encode())], newer)
    hand.send(Kind.MESSAGE, 1, [hand.message("antes")], lab.world.incarnations["ar-mpf"])
    hand.send(Kind.MESSAGE, 2, [hand.message("dos")], newer)
    hand.send(Kind.MESSAGE, 2, [hand.message("tres")], lab.world.incarnations["ar-mpf"])
    deliver(lab, reader)
    assert reader.texts == ["antes", "dos", "tres"]  # messages of an older life are messages all the same
    assert marks(reader) == [Mark.NONE, Mark.NONE, Mark.LATE]  # but what a newer one overtook is late
    assert reader.peer("ar-mpf").newest == newer


def test_an_incarnation_that_was_never_opened_is_refused(lab: Lab, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")], Incarnation(1, 77))
    deliver(lab, reader)
    assert set_aside(reader) == ["unverifiable"]


# -- what comes too early -----------------------------------------------------------------------------------------------
def test_a_newer_view_is_held_until_the_mirror_has_caught_up(lab: Lab, sender: Node, reader: Node) -> None:
    reader.blind = True
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"]))
    sender.mirror_now()
    sender.write("a", "a la red", networks=("rfai",))
    submit(lab, sender)
    deliver(lab, reader)
    assert reader.texts == []
    assert reader.cursor == 1  # it is stored here: the hub may forget it
    assert reader.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"view_ahead": 1}
    assert reader.alarms == {"view_ahead"}
    reader.retry_held()
    assert reader.count("held") == 1
    reader.crash()
    reader.blind = False
    lab.settle()
    assert reader.texts == ["a la red"]
    assert reader.count("held") == 0


def renewed_unseen(lab: Lab, sender: Node, reader: Node) -> MessageId:
    """A message that a hub attested by a certificate which the reader's mirror lacks, delivered to it."""
    reader.blind = True
    role = lab.world.registry.certificate(lab.world.hub_certificate).role
    renewal = lab.world.certify("", role=role, not_after=lab.second + 300 * DAY)
    lab.log(renewal)
    lab.world.certificates[""] = renewal.id
    sender.mirror_now()
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    return message


def test_what_a_renewed_hub_attests_is_held_until_the_mirror_holds_its_certificate(
    lab: Lab, sender: Node, reader: Node
) -> None:
    message = renewed_unseen(lab, sender, reader)
    assert (reader.texts, set_aside(reader)) == ([], [])
    assert reader.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"view_ahead": 1}
    assert reader.alarms == {"view_ahead"}
    reader.blind = False
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert [link.reseals for link in sender.links(Kind.MESSAGE)] == [0]


def test_of_what_no_certificate_in_the_mirror_attests_so_much_is_held_and_no_more(
    lab: Lab, sender: Node, reader: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "MAX_HELD_EARLY", 0)
    renewed_unseen(lab, sender, reader)
    assert set_aside(reader) == ["not_in_standing"]
    assert reader.count("held") == 0


def test_a_held_envelope_whose_key_dies_is_sealed_again(lab: Lab, sender: Node, reader: Node) -> None:
    reader.blind = True
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"]))
    sender.mirror_now()
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    reader.life = 3
    reader.publish()
    reader.blind = False
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_negatives_that_a_peer_shows_count_at_once(lab: Lab, sender: Node, reader: Node) -> None:
    suspension = lab.world.suspend("br-mpf", lab.second - 1)
    sender.run(lambda ctx: ctx.mirror.see(ctx.tx, suspension))
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert reader.mirror.view().negatives == (suspension.raw,)
    held = reader.write("b", "dos", "ar-mpf")
    submit(lab, reader)
    assert reader.links(Kind.MESSAGE)
    assert reader.told(held) == {"ar-mpf": State.RELAYED}


def test_negatives_that_do_not_hold_are_an_alarm_and_no_more(lab: Lab, sender: Node, reader: Node) -> None:
    unsigned = lab.world.suspend("br-mpf", lab.second - 1, lab.world.stewards[:1])
    view = sender.mirror.view
    sender.mirror.__class__ = type(
        "Lying",
        (type(sender.mirror),),
        {"__slots__": (), "view": lambda self: replace(view(), negatives=(unsigned.raw,))},
    )
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    assert reader.texts == ["uno"]
    assert reader.mirror.view().negatives == ()
    assert reader.alarms == {"threshold_not_met"}


# -- what it says of our own links ------------------------------------------------------------------------------------------
def test_one_number_of_many_moves_alone(lab: Lab, sender: Node, reader: Node) -> None:
    asked = [Request(DESK, str(at), sender.document(f"t{at}", "co-fgn"), ("co-fgn",)) for at in range(4)]
    accepted = sender.run(lambda ctx: accept_all(ctx, asked))
    ids = [each.message_id for each in accepted]  # type: ignore[union-attr]
    reader.cut()
    lab.flow()
    sender.withdraw(ids[1])
    sender.withdraw(ids[2])
    lab.settle()
    assert reader.texts == ["t0", "t3"]
    told = [sender.told(each)["co-fgn"] for each in ids]
    assert told == [State.DELIVERED, State.WITHDRAWN, State.WITHDRAWN, State.DELIVERED]
    (void,) = sender.links(Kind.VOID)
    assert (void.first_seq, void.count, void.state) == (2, 2, LinkState.VOID)


def test_a_restored_reader_gets_back_what_was_delivered_and_what_was_void(lab: Lab, sender: Node, reader: Node) -> None:
    backup = reader.snapshot()
    asked = [Request(DESK, str(at), sender.document(f"t{at}", "co-fgn"), ("co-fgn",)) for at in range(3)]
    accepted = sender.run(lambda ctx: accept_all(ctx, asked))
    ids = [each.message_id for each in accepted]  # type: ignore[union-attr]
    reader.cut()
    lab.flow()
    sender.withdraw(ids[1])
    lab.settle()
    reader.restore(backup)
    lab.settle()
    assert reader.texts == ["t0", "t2"]
    assert [sender.told(each)["co-fgn"] for each in ids] == [State.DELIVERED, State.WITHDRAWN, State.DELIVERED]


def test_a_receipt_that_names_nothing_of_ours_changes_nothing(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    (link,) = sender.links()
    ref = LinkRef(link.incarnation, 1, 1, digest(b"another manifest"), Kind.MESSAGE)  # type: ignore[arg-type]
    other = LinkRef(Incarnation(1, 900), 1, 1, digest(b"another manifest"), Kind.MESSAGE)  # type: ignore[arg-type]
    back = Hand(lab, reader, "ar-mpf")
    back.send(Kind.RECEIPT, 1, [Part(Consigned(lab.second, each).encode()) for each in (ref, other)])
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": State.RELAYED}
    assert (sender.count("inlink"), sender.count("quarantine")) == (1, 0)


def proven(sender: Node, message: MessageId, seq: int) -> Outcome:
    """What the receipt says that is kept as the proof of the state of this message, of which there is one delivery."""
    (told,) = sender.run(lambda ctx: status.deliveries(ctx.tx, message, ctx.second))
    assert told.receipt is not None
    receipt = sender.run(lambda ctx: status.said(ctx.tx, told.receipt).receipt)  # type: ignore[arg-type]
    assert isinstance(receipt, Consigned)
    return receipt.outcome(seq)


def test_delivered_once_is_delivered_for_ever(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    (link,) = sender.links()
    manifest_digest = sender.run(lambda ctx: links.manifest_digest(ctx.tx, link.id))
    ref = LinkRef(link.incarnation, 1, 1, manifest_digest, Kind.MESSAGE)  # type: ignore[arg-type]
    back = Hand(lab, reader, "ar-mpf")
    for seq, outcome in ((2, Outcome.VOID), (3, Outcome.TAKEN), (4, Outcome.REFUSED)):
        receipt = Consigned(lab.second, ref, (Exceptional(1, outcome, message),))
        back.send(Kind.RECEIPT, seq, [Part(receipt.encode())])
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert proven(sender, message, 1) is Outcome.DELIVERED


@pytest.mark.parametrize(("outcome", "told"), [(Outcome.REFUSED, State.REFUSED), (Outcome.VOID, State.WITHDRAWN)])
def test_an_exception_for_the_only_number(lab: Lab, sender: Node, reader: Node, outcome: Outcome, told: State) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    (link,) = sender.links()
    manifest_digest = sender.run(lambda ctx: links.manifest_digest(ctx.tx, link.id))
    ref = LinkRef(link.incarnation, 1, 1, manifest_digest, Kind.MESSAGE)  # type: ignore[arg-type]
    receipt = Consigned(lab.second, ref, (Exceptional(1, outcome, message),))
    Hand(lab, reader, "ar-mpf").send(Kind.RECEIPT, 1, [Part(receipt.encode())])
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": told}
    assert sender.links()[0].wake_at is None


def test_a_number_that_is_taken_goes_again_once(lab: Lab, sender: Node, reader: Node, hand: Hand) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    reader.run(lambda ctx: inbox.record(ctx.tx, peers.series(ctx.tx, 1, lab.world.incarnations["ar-mpf"]).id, []))
    item = lab.hub.queue("co-fgn")[0]
    lab.hub.memory.mailboxes["co-fgn"].items.clear()
    hand.send(Kind.MESSAGE, 1, [hand.message("otro")])  # somebody with our memory spent the number
    deliver(lab, reader)
    lab.hub.memory.mailboxes["co-fgn"].put(item.core, item.ciphertext, item.slot, item.attestation)
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    receipts = list(lab.hub.queue("ar-mpf"))
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": State.HELD}
    for each in receipts:
        lab.hub.memory.mailboxes["ar-mpf"].put(each.core, each.ciphertext, each.slot, each.attestation)
    lab.settle()
    assert reader.texts == ["otro", "uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert sum(link.kind is Kind.MESSAGE for link in sender.links()) == 3
    assert sender.run(lambda ctx: outbox.waits_of(ctx.tx, [1])) == []


def test_a_peer_that_counts_higher_than_we_do_shows_that_we_were_rolled_back(
    lab: Lab, sender: Node, reader: Node
) -> None:
    held = Notice(((lab.world.incarnations["ar-mpf"], 5),))
    lab.log(lab.world.open("co-fgn", cause=Cause.RESTORED))
    lab.mirror_all()
    newer = lab.world.registry.incarnations(1, "co-fgn")[-1]  # type: ignore[arg-type]
    Hand(lab, reader, "ar-mpf").send(Kind.NOTICE, 1, [Part(held.encode())], newer)
    deliver(lab, sender)
    assert "new_incarnation" in sender.alarms
    lab.settle()
    assert sender.incarnation > lab.world.incarnations["ar-mpf"]


def test_a_notice_of_an_older_life_does_nothing(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    lab.log(lab.world.open("co-fgn", cause=Cause.RESTORED))
    older = lab.world.registry.incarnations(1, "co-fgn")[-1]  # type: ignore[arg-type]
    lab.log(lab.world.open("co-fgn", cause=Cause.RESTORED))
    newest = lab.world.registry.incarnations(1, "co-fgn")[-1]  # type: ignore[arg-type]
    lab.mirror_all()
    back = Hand(lab, reader, "ar-mpf")
    held = Notice(((lab.world.incarnations["ar-mpf"], 1),))
    back.send(Kind.NOTICE, 1, [Part(held.encode())], newest)
    back.send(Kind.NOTICE, 1, [Part(Notice(()).encode())], older)
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert sender.links(Kind.MESSAGE)[0].state is LinkState.DELIVERED
    assert sender.peer("co-fgn").newest == newest


def test_a_notice_lists_the_newest_lives_where_there_are_too_many(
    lab: Lab, sender: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MAX_NOTICE_INCARNATIONS", 2)
    peer = sender.peer("co-fgn")
    for leaf in (5, 6, 7):
        sender.run(lambda ctx, at=leaf: peers.series(ctx.tx, peer.id, Incarnation(1, at)))  # type: ignore[misc]
    target = sender.run(lambda ctx: Reach(ctx, lab.hub.calendars).target(lab.world.party("co-fgn")))
    assert isinstance(target, Target)
    (part,) = sender.run(lambda ctx: upkeep.notice(ctx, target)).parts
    assert part.signed_part == Notice(((Incarnation(1, 6), 0), (Incarnation(1, 7), 0))).encode()


def test_tampering_never_shows_a_message(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    box = lab.hub.memory.mailboxes["co-fgn"]
    box.items = [tampered(box.items[0])]
    deliver(lab, reader)
    assert reader.texts == []
    assert reader.count("inlink") == 0


def test_the_ack_stops_at_the_first_gap(lab: Lab, sender: Node, reader: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, 1, [hand.message("uno")])
    hand.send(Kind.MESSAGE, 3, [hand.message("tres")])
    deliver(lab, reader)
    ack = reader.run(lambda ctx: linking.ack_for(ctx, peers.find(ctx.tx, 1)))
    assert ack == Ack(lab.world.incarnations["ar-mpf"], 1)
    assert sender.run(lambda ctx: linking.ack_for(ctx, peers.meet(ctx.tx, lab.world.party("br-mpf")))) is None


def test_a_void_answered_after_the_message_was_delivered_changes_nothing(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    lab.hub.memory.mailboxes["co-fgn"].items.clear()
    sender.withdraw(message)
    submit(lab, sender)
    (link,), (void,) = sender.links(Kind.MESSAGE), sender.links(Kind.VOID)
    refs = [
        LinkRef(row.incarnation, 1, 1, sender.run(lambda ctx, at=row.id: links.manifest_digest(ctx.tx, at)), row.kind)  # type: ignore[misc,arg-type]
        for row in (link, void)
    ]
    back = Hand(lab, reader, "ar-mpf")
    back.send(Kind.RECEIPT, 1, [Part(Consigned(lab.second, each).encode()) for each in refs])
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert proven(sender, message, 1) is Outcome.DELIVERED


def test_what_goes_again_is_judged_at_its_first_acceptance(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    lab.hub.memory.mailboxes["co-fgn"].items.clear()
    old, world = sender.identity, lab.world
    renewed = world.certify("ar-mpf", key=private_key("renewed"), not_before=lab.second)
    lab.log(renewed)
    lab.log(world.revoke(old.certificate, lab.second + 10))
    sender.identity = Identity(old.me, renewed.id, private_key("renewed"))
    lab.pass_time(15 * DAY)
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    accepted_at = reader.run(lambda ctx: inbox.find_link(ctx.tx, 1)).accepted_at
    assert accepted_at < lab.second - 14 * DAY


# -- what repeats itself -----------------------------------------------------------------------------------
KEPT = ("inlink", "manifest", "attestation", "batch")


def kept(node: Node) -> list[int]:
    return [node.count(table) for table in KEPT]


def test_what_a_peer_says_again_leaves_no_rows(lab: Lab, reader: Node, hand: Hand) -> None:
    """It may seal the same numbers again for ever, with what they held or with something else."""
    one, void, other = hand.message("uno"), hand.void("nadie"), hand.message("otra cosa")
    counted = []
    for _time in range(3):
        hand.send(Kind.MESSAGE, 1, [one])
        hand.send(Kind.VOID, 2, [void])
        deliver(lab, reader)
        counted.append(kept(reader))
    before = counted[0]
    assert counted == [before] * 3
    hand.send(Kind.MESSAGE, 1, [other])
    deliver(lab, reader)
    assert kept(reader) == before
    assert outcomes(reader)[-1] == [(1, Outcome.TAKEN)]
    assert reader.texts == ["uno"]


def test_of_links_that_decide_nothing_no_evidence_is_kept(lab: Lab, sender: Node, reader: Node) -> None:
    """A lying peer may send notices under every number, and links of nothing: neither closes nor proves anything."""
    lab.log(lab.world.open("ar-mpf", cause=Cause.RESTORED))
    lab.mirror_all()
    newest = lab.world.registry.incarnations(1, "ar-mpf")[-1]  # type: ignore[arg-type]
    hand = Hand(lab, sender, "co-fgn")
    hand.send(Kind.NOTICE, 1, [Part(Notice(()).encode())], newest)
    deliver(lab, reader)
    before = kept(reader)
    assert before[0] == 1
    for number in (1, 2, 3):
        hand.send(Kind.NOTICE, number, [Part(Notice(((newest, number),)).encode())], newest)
        hand.send(Kind.EMPTY, number, [], newest)
    deliver(lab, reader)
    assert kept(reader) == before
    known = reader.peer("ar-mpf").id
    series = reader.run(lambda ctx: peers.series(ctx.tx, known, newest))
    assert (series.contiguous, series.highest) == (3, 3)
