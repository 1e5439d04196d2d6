"""A member of the association as attacker: what it signs is valid, and must not stop, flood or exhaust another's node."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from node import handover, reception
from node.acceptance import Request, accept_all
from node.calendars import Calendars
from node.linking import Part
from node.model import LinkState
from node.status import State
from node.tables import inbox, owed, peers
from node.tables.links import LinkRow
from node.upkeep import message_ids
from protocol.errors import MalformedError
from protocol.messages.message import Kind, Link, Manifest
from protocol.messages.receipts import Action, Consigned, Exceptional, LinkRef, Notice, Outcome
from protocol.names import Digest, Incarnation, MessageId
from protocol.trust.prekeys import PrekeyCalendar, epoch_at, sign_calendar
from protocol.trust.statements import Cause, Role
from tests.node.lab import DESK, Lab, Node
from tests.node.test_exchange import deliver, submit
from tests.node.test_reception import Hand, set_aside
from tests.support.world import DAY


@pytest.fixture
def lab() -> Lab:
    return Lab("ar-mpf", "br-mpf", "co-fgn")


@pytest.fixture
def attacker(lab: Lab) -> Node:
    return lab["ar-mpf"]


@pytest.fixture
def victim(lab: Lab) -> Node:
    return lab["co-fgn"]


@pytest.fixture
def hand(lab: Lab, attacker: Node) -> Hand:
    return Hand(lab, attacker, "co-fgn")


# -- prekeys that nothing can be sealed to ----------------------------------------------------------------------
def _calendar(lab: Lab, node: Node, public: bytes) -> bytes:
    me, today = node.identity.me, epoch_at(lab.second)
    epochs = [(today, node.prekey(today).public), (today + 1, public)]
    built = PrekeyCalendar.build(me.association, me.member, node.identity.certificate, lab.second, epochs)
    return sign_calendar(node.identity.key, built).raw


@pytest.mark.parametrize("place", ["ml-kem", "x25519"])
def test_a_calendar_with_a_key_that_nothing_can_be_sealed_to_is_not_used(
    lab: Lab, attacker: Node, victim: Node, place: str
) -> None:
    good = attacker.prekey(epoch_at(lab.second) + 1).public
    bad = b"\xff" * 1_184 + good[1_184:] if place == "ml-kem" else good[:1_184] + bytes(32)
    held = Calendars()
    assert not victim.run(lambda ctx: held.take(ctx, "ar-mpf", _calendar(lab, attacker, bad)))
    assert "malformed" in victim.alarms
    assert held.held == {}
    assert victim.run(lambda ctx: held.take(ctx, "ar-mpf", _calendar(lab, attacker, good)))


# -- receipts that together pass an envelope ----------------------------------------------------------------------
def test_receipts_owed_in_any_number_go_in_envelopes_that_can_be_sealed(lab: Lab, attacker: Node, victim: Node) -> None:
    message = attacker.write("k", "uno", "co-fgn")
    lab.settle()
    notes = [f"{number:04}".ljust(4_096, "x") for number in range(300)]
    for note in notes:
        victim.run(lambda ctx, said=note: handover.hand_over(ctx, 1, DESK, None, Action.ACKNOWLEDGED, said))  # type: ignore[misc]
    lab.settle()
    assert victim.count("owed") == 0
    (delivery,) = attacker.deliveries(message)
    assert len(delivery.handovers) == len(notes)


# -- numbers at the end of the scale ------------------------------------------------------------------------------
def test_numbers_past_the_end_of_the_scale_are_no_link(lab: Lab, attacker: Node) -> None:
    attacker.write("k", "uno", "co-fgn")
    submit(lab, attacker)
    raw = attacker.run(lambda ctx: bytes(ctx.tx.all("SELECT raw FROM manifest")[0][0]))
    manifest, me = Manifest.from_bytes(raw), lab.world.party("co-fgn")
    assert Link.build(manifest, me, Incarnation(1, 1), (1 << 63) - 1).numbers[-1] == (1 << 63) - 1
    attacker.run(lambda ctx: accept_all(ctx, _requests(attacker, 2)))
    submit(lab, attacker)
    two = attacker.run(lambda ctx: bytes(ctx.tx.all("SELECT raw FROM manifest ORDER BY id DESC")[0][0]))
    assert Manifest.from_bytes(two).count == 2
    with pytest.raises(MalformedError):
        Link.build(Manifest.from_bytes(two), me, Incarnation(1, 1), (1 << 63) - 1)


def _requests(node: Node, count: int) -> Sequence[Request]:
    texts = [f"n{number}" for number in range(count)]
    return [Request(DESK, text, node.document(text, "co-fgn"), ("co-fgn",)) for text in texts]


def test_the_last_number_of_the_scale_is_a_number(lab: Lab, victim: Node, hand: Hand) -> None:
    hand.send(Kind.MESSAGE, (1 << 63) - 1, [hand.message("uno")])
    hand.send(Kind.MESSAGE, 1, [hand.message("dos")])
    deliver(lab, victim)
    assert victim.texts == ["uno", "dos"]


# -- what waits for a notice ----------------------------------------------------------------------------------------
def _newer(lab: Lab) -> Incarnation:
    lab.log(lab.world.open("ar-mpf", cause=Cause.RESTORED))
    lab.mirror_all()
    return lab.world.registry.incarnations(Role.NODE, "ar-mpf")[-1]


def test_only_so_much_waits_for_a_notice(lab: Lab, victim: Node, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "MAX_HELD_EARLY", 2)
    newer = _newer(lab)
    for number in range(5):
        hand.send(Kind.MESSAGE, 2 + number, [hand.message(str(number))], newer)
    deliver(lab, victim)
    assert victim.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"notice_first": 2}
    assert set_aside(victim) == ["limit_exceeded"] * 3  # its sender is asked to seal it again
    hand.send(Kind.NOTICE, 1, [Part(Notice(()).encode())], newer)
    deliver(lab, victim)
    assert victim.texts == ["0", "1"]
    assert victim.count("held") == 0


def test_only_so_much_is_kept_of_what_is_refused(
    lab: Lab, victim: Node, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_QUARANTINED", 2)
    for number in range(4):
        hand.send(Kind.MESSAGE, 1, [hand.message(str(number))], Incarnation(1, 77))
    deliver(lab, victim)
    assert set_aside(victim) == ["unverifiable"] * 2
    assert victim.count("owed") == 4


# -- lies about our numbers --------------------------------------------------------------------------------------------
def _say_taken(lab: Lab, liar: Node, victim: Node) -> None:
    """The liar answers everything open that the victim sent it: these numbers hold other content."""
    mine = liar.peer("co-fgn").id
    for link in victim.links(Kind.MESSAGE):
        if link.state is LinkState.OPEN:
            read = Link.from_bytes(link.raw)
            pairs = zip(read.numbers, _names(victim, link), strict=True)
            taken = tuple(Exceptional(seq, Outcome.TAKEN, each) for seq, each in pairs)
            _lie(liar, mine, link.raw, Consigned(lab.second, LinkRef.of(read), taken))


def _names(node: Node, link: LinkRow) -> list[MessageId]:
    return node.run(lambda ctx: message_ids(ctx, link.manifest))


def _lie(liar: Node, peer: int, subject: bytes, receipt: Consigned) -> None:
    body = receipt.encode()
    liar.run(lambda ctx: owed.owe(ctx.tx, peer, b"lie" + subject, body, 1, ctx.now))


def test_a_notice_is_the_first_word_of_an_incarnation_and_no_other(
    lab: Lab, attacker: Node, victim: Node, hand: Hand
) -> None:
    """Each has everything that was ever sent to its author sealed again: an envelope holds 256 of them."""
    message = victim.write("k", "uno", "ar-mpf")
    lab.settle()
    (first,) = victim.links(Kind.MESSAGE)
    sent = victim.count("envelope")
    nothing_held = Part(Notice(()).encode())
    peer, series = attacker.peer("co-fgn").id, attacker.incarnation
    used = attacker.run(lambda ctx: peers.next_seq(ctx.tx, peer, series))
    hand.send(Kind.NOTICE, used, [nothing_held])
    deliver(lab, victim)
    assert victim.links(Kind.MESSAGE) == [first]
    assert victim.count("envelope") == sent
    assert victim.told(message) == {"ar-mpf": State.DELIVERED}


@pytest.mark.parametrize("outcome", [Outcome.TAKEN, Outcome.REFUSED, Outcome.VOID, Outcome.DELIVERED])
def test_what_no_void_can_become_closes_nothing(lab: Lab, attacker: Node, victim: Node, outcome: Outcome) -> None:
    """An author is told `withdrawn` when the recipient signed that it will never hand it over, and by nothing else."""
    message = victim.write("k", "uno", "ar-mpf")
    submit(lab, victim)
    attacker.cut()
    victim.withdraw(message)
    submit(lab, victim)
    (void,) = victim.links(Kind.VOID)
    read = Link.from_bytes(void.raw)
    said = () if outcome is Outcome.VOID else (Exceptional(read.first_seq, outcome, message),)
    attacker.connect()
    lab.hub.memory.mailboxes["ar-mpf"].items.clear()
    _lie(attacker, attacker.peer("co-fgn").id, void.raw, Consigned(lab.second, LinkRef.of(read), said))
    submit(lab, attacker)
    deliver(lab, victim)
    told, (after,) = victim.told(message)["ar-mpf"], victim.links(Kind.VOID)
    if outcome in {Outcome.VOID, Outcome.DELIVERED}:
        assert after.state is LinkState.VOID
        assert told is (State.WITHDRAWN if outcome is Outcome.VOID else State.DELIVERED)
    else:
        assert after.state is LinkState.OPEN
        assert told not in {State.WITHDRAWN, State.DELIVERED}
        assert "malformed" in victim.alarms


def test_a_peer_that_calls_every_number_taken_costs_three_incarnations_a_day(
    lab: Lab, attacker: Node, victim: Node
) -> None:
    message = victim.write("k", "uno", "ar-mpf")
    for _round in range(8):
        submit(lab, victim)
        lab.hub.memory.mailboxes["ar-mpf"].items.clear()  # the liar does not even look
        _say_taken(lab, attacker, victim)
        submit(lab, attacker)
        deliver(lab, victim)
        while lab.frames:
            lab.arrive()
        victim.begin_if_needed()
        lab.now += 60
    lives = lab.world.registry.incarnations(Role.NODE, "co-fgn")
    assert len(lives) == 1 + 3
    assert "reseal_limit" in victim.alarms
    link = victim.links(Kind.MESSAGE)[-1]
    assert _names(victim, link) == [message]  # it is tried again tomorrow
    assert (link.hold, link.wake_at) == ("reseal_limit", (lab.second // DAY + 1) * DAY)


def test_a_peer_that_acknowledges_what_was_never_sent_costs_three_incarnations_a_day(
    lab: Lab, attacker: Node, victim: Node
) -> None:
    mine = attacker.peer("co-fgn").id
    for _round in range(8):
        series = victim.incarnation
        unheard = LinkRef(series, 9_999, 1, Digest(bytes(32)), Kind.MESSAGE)
        _lie(attacker, mine, b"", Consigned(lab.second, unheard))
        submit(lab, attacker)
        deliver(lab, victim)
        victim.begin_if_needed()
        lab.now += 60
    assert len(lab.world.registry.incarnations(Role.NODE, "co-fgn")) == 1 + 3
    assert "reseal_limit" in victim.alarms
