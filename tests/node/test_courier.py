"""The outgoing half: what is taken from authors, what is signed together, and what becomes of the hub's answers."""

from __future__ import annotations

import hashlib

import pytest

from node import acceptance, courier, gathering, handover, recovery, status, upkeep
from node.acceptance import Accepted, Request
from node.model import LinkState
from node.posting import RETRY_SECONDS
from node.status import State
from node.tables import evidence, links, outbox, owed, state
from protocol.errors import (
    ConflictError,
    RecipientSuspendedError,
    StaleError,
    TooLateError,
    UnknownMessageError,
    UnknownNetworkError,
    UnknownRecipientError,
    UsageError,
    ValijaError,
)
from protocol.merkle import verify_inclusion
from protocol.messages.content import Urgency
from protocol.messages.envelope import Core
from protocol.messages.message import Header, Kind, Link, Manifest
from protocol.messages.receipts import Action, Actor, HandedOver, Unopened, VoidReason
from protocol.names import Incarnation, MessageId
from protocol.session.frames import Welcome
from protocol.session.items import Window
from protocol.signing import Label
from protocol.trust.statements import Cause, Opening
from tests.node.lab import DESK, Lab, Node, tampered
from tests.node.test_exchange import deliver, submit
from tests.support.world import DAY


@pytest.fixture
def lab() -> Lab:
    return Lab("ar-mpf", "br-mpf", "co-fgn")


@pytest.fixture
def sender(lab: Lab) -> Node:
    return lab["ar-mpf"]


@pytest.fixture
def reader(lab: Lab) -> Node:
    return lab["co-fgn"]


def manifest_of(node: Node, link: links.LinkRow) -> Manifest:
    return node.run(lambda ctx: evidence.manifest(ctx.tx, link.manifest))


def test_a_receipt_that_is_due_waits_for_no_backlog(
    lab: Lab, sender: Node, reader: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "ENVELOPES_A_RUN", 1)
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    for number in range(3):
        reader.write(f"k{number}", "lento", "ar-mpf", expires_at=lab.second + DAY + number)
    lab.now += 3
    reader.prepare()
    assert [link.kind for link in reader.links()] == [Kind.RECEIPT]
    lab.settle()
    assert len(sender.texts) == 3


def test_among_many_who_are_due_a_notice_those_written_to_come_first(
    lab: Lab, sender: Node, reader: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "NOTICES_A_RUN", 1)
    sender.restore(sender.snapshot())
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_what_comes_later_does_not_overtake_what_still_waits(
    lab: Lab, sender: Node, reader: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = lab.hub.calendars.pop("co-fgn")
    texts = ["uno", "dos", "tres", "cuatro", "cinco"]
    for text in texts[:3]:
        sender.write(text, text, "co-fgn")
    submit(lab, sender)
    monkeypatch.setattr(gathering, "MESSAGES_A_RUN", 2)
    lab.hub.calendars["co-fgn"] = calendar
    for text in texts[3:]:
        sender.write(text, text, "co-fgn")
    for _round in texts:
        submit(lab, sender)
        deliver(lab, reader)
    assert reader.texts == texts


# -- accepting -------------------------------------------------------------------------------------------
def ask(node: Node, **changes: object) -> Accepted:
    given: dict[str, object] = {
        "desk": DESK,
        "key": "k1",
        "content": node.document("uno", "co-fgn"),
        "members": ("co-fgn",),
    }
    request = Request(**given | changes)  # type: ignore[arg-type]
    return node.run(lambda ctx: acceptance.accept(ctx, request))


def test_the_same_request_again_is_the_same_message(sender: Node) -> None:
    first = ask(sender)
    assert first.fresh
    assert ask(sender) == Accepted(first.message_id, fresh=False)
    assert sender.count("outbox") == 1


@pytest.mark.parametrize(
    "change",
    [{"members": ("br-mpf",)}, {"members": ("co-fgn", "br-mpf")}, {"expires_at": 1_795_400_000}],
    ids=["member", "members", "expiry"],
)
def test_another_request_under_the_same_key_is_a_conflict(sender: Node, change: dict[str, object]) -> None:
    ask(sender)
    with pytest.raises(ConflictError):
        ask(sender, **change)
    with pytest.raises(ConflictError):
        ask(sender, content=sender.document("otro", "co-fgn"))
    assert sender.count("outbox") == 1


def test_the_order_of_recipients_is_no_difference(sender: Node) -> None:
    first = ask(sender, members=("co-fgn", "br-mpf"))
    assert ask(sender, members=("br-mpf", "co-fgn")) == Accepted(first.message_id, fresh=False)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"members": ("uy-fgn",)}, UnknownRecipientError),
        ({"members": ()}, UsageError),
        ({"members": ("ar-mpf",)}, UsageError),
        ({"networks": ("nadie",)}, UnknownNetworkError),
        ({"content": b"{}"}, UsageError),
        ({"desk": "otra"}, UsageError),
        ({"desk": "No Desk"}, UsageError),
        ({"key": ""}, UsageError),
        ({"key": "k" * 256}, UsageError),
        ({"expires_at": 1}, UsageError),
        ({"expires_at": 1 << 40}, UsageError),
    ],
)
def test_what_no_recipient_would_take_is_refused(
    sender: Node, change: dict[str, object], error: type[ValijaError]
) -> None:
    with pytest.raises(error):
        ask(sender, **change)
    assert sender.count("outbox") == 0


def test_a_suspended_recipient_is_refused_at_once(lab: Lab, sender: Node) -> None:
    lab.log(lab.world.suspend("co-fgn", lab.second - 1))
    sender.mirror_now()
    with pytest.raises(RecipientSuspendedError):
        ask(sender)


def test_one_refused_of_many_harms_no_other(sender: Node) -> None:
    def request(key: str, member: str) -> Request:
        return Request(DESK, key, sender.document("uno", member), (member,))

    asked = [request("a", "co-fgn"), request("b", "uy-fgn"), request("", "co-fgn"), request("a", "co-fgn")]
    answers = sender.run(lambda ctx: acceptance.accept_all(ctx, asked))
    assert [type(answer) for answer in answers] == [Accepted, UnknownRecipientError, UsageError, Accepted]
    assert [answer.fresh for answer in answers if isinstance(answer, Accepted)] == [True, False]
    assert sender.count("outbox") == 1


def test_expiry_is_ninety_days_to_the_hour_unless_the_author_says(lab: Lab, sender: Node) -> None:
    for key, expires_at in (("a", None), ("b", lab.second + 60)):
        ask(sender, key=key, expires_at=expires_at)
    rows = sender.run(lambda ctx: outbox.unplaced(ctx.tx, 10))
    assert rows[0].expires_at % 3_600 == 0
    assert 0 <= rows[0].expires_at - (lab.second + 90 * DAY) < 3_600
    assert rows[1].expires_at == lab.second + 60


# -- signing ---------------------------------------------------------------------------------------------
def test_one_audience_shares_a_manifest_and_one_run_a_signature(lab: Lab, sender: Node) -> None:
    for number in range(3):
        sender.write(f"a{number}", f"a{number}", "co-fgn")
    for number in range(3):
        sender.write(f"b{number}", f"b{number}", "br-mpf", "co-fgn")
    submit(lab, sender)
    signed = sender.links()
    assert sorted((link.peer, link.first_seq, link.count) for link in signed) == sorted(
        [(signed[0].peer, 1, 3), (signed[1].peer, 1, 3), (signed[0].peer, 4, 3)]
    )
    assert len({link.manifest for link in signed}) == 2
    assert len({link.batch for link in signed}) == 1
    assert sender.count("envelope") == 2


def test_a_recipient_gets_messages_in_the_order_of_acceptance_whatever_their_audience(
    lab: Lab, sender: Node, reader: Node
) -> None:
    for number in range(3):
        sender.write(f"a{number}", f"a{number}", "co-fgn")
        sender.write(f"b{number}", f"b{number}", "br-mpf", "co-fgn")
    lab.settle()
    assert reader.texts == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_no_recipient_gets_a_later_message_before_an_earlier(lab: Lab, sender: Node, reader: Node) -> None:
    for number in range(6):
        to = ("co-fgn", "br-mpf") if number % 2 else ("co-fgn",)
        sender.write(f"k{number}", f"t{number}", *to)
    lab.settle()
    assert reader.texts == [f"t{number}" for number in range(6)]
    assert lab["br-mpf"].texts == ["t1", "t3", "t5"]


def test_every_link_proves_itself(lab: Lab, sender: Node) -> None:
    sender.write("a", "uno", "co-fgn", "br-mpf")
    submit(lab, sender)
    key = lab.world.key("ar-mpf").public
    for row in sender.links():
        link, proof = Link.from_bytes(row.raw), evidence.read_proof(row.proof)
        batch = sender.run(lambda ctx, at=row.batch: evidence.batch(ctx.tx, at))  # type: ignore[misc]
        assert link.leaf(proof.salt) == row.leaf
        verify_inclusion(row.leaf, proof.index, batch.count, proof.path, batch.root)
        batch.verify(key, Label.LINKS, lab.world.association)


def test_a_manifest_holds_256_and_an_envelope_what_fits(lab: Lab, sender: Node, reader: Node) -> None:
    documents = [sender.document(f"t{number}", "co-fgn") for number in range(300)]
    big = [sender.document(f"g{number}".ljust(400_000, "x"), "co-fgn") for number in range(3)]
    asked = [Request(DESK, str(at), document, ("co-fgn",)) for at, document in enumerate(documents + big)]
    sender.run(lambda ctx: acceptance.accept_all(ctx, asked))
    lab.settle()
    counts = [link.count for link in sender.links(Kind.MESSAGE)]
    assert (counts[0], sum(counts)) == (256, 303)
    assert len(counts) > 2  # three such documents do not fit beside the others
    assert len(reader.texts) == 303
    assert reader.texts[:300] == [f"t{number}" for number in range(300)]


def test_a_network_is_resolved_when_it_is_signed_and_named_in_the_manifest(lab: Lab, sender: Node) -> None:
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"]))
    sender.mirror_now()
    sender.write("n", "a la red", networks=("rfai",))
    lab.log(lab.world.roster("rfai", ["ar-mpf", "br-mpf", "co-fgn"], version=2))
    lab.settle()
    manifest = manifest_of(sender, sender.links(Kind.MESSAGE)[0])
    assert manifest.network == "rfai"
    assert [party.member for party in manifest.audience] == ["br-mpf", "co-fgn"]
    assert lab["br-mpf"].texts == lab["co-fgn"].texts == ["a la red"]


def test_a_network_and_others_is_a_list_of_members(lab: Lab, sender: Node) -> None:
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"]))
    sender.mirror_now()
    document = sender.document("a todos", "br-mpf")
    sender.write("n", "", "br-mpf", networks=("rfai",), document=document)
    lab.settle()
    manifest = manifest_of(sender, sender.links(Kind.MESSAGE)[0])
    assert (manifest.network, len(manifest.audience)) == (None, 2)
    assert lab["br-mpf"].texts == lab["co-fgn"].texts == ["a todos"]


def test_a_network_dissolved_before_it_went_is_told(lab: Lab, sender: Node) -> None:
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"]))
    sender.mirror_now()
    message = sender.write("n", "a la red", networks=("rfai",))
    lab.log(lab.world.roster("rfai", [], version=2))
    lab.settle()
    assert sender.told(message) == {None: State.REFUSED}
    assert sender.alarms == {"audience_mismatch"}


# -- held ------------------------------------------------------------------------------------------------
def test_who_has_no_prekey_waits_while_the_others_go(lab: Lab, sender: Node, reader: Node) -> None:
    calendar = lab.hub.calendars.pop("co-fgn")
    message = sender.write("a", "uno", "br-mpf", "co-fgn")
    prepared = sender.prepare()
    assert prepared.wanted == {"co-fgn"}
    lab.settle()
    assert sender.told(message) == {"br-mpf": State.DELIVERED, "co-fgn": State.HELD}
    assert [each.reason for each in sender.deliveries(message)] == [None, "no_prekey"]
    assert [party.member for party in sender.run(lambda ctx: status.readers(ctx.tx, message))] == ["br-mpf", "co-fgn"]
    lab.hub.calendars["co-fgn"] = calendar
    lab.settle()
    assert sender.told(message) == {"br-mpf": State.DELIVERED, "co-fgn": State.DELIVERED}
    assert reader.texts == lab["br-mpf"].texts == ["uno"]


def test_who_is_suspended_meanwhile_waits(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    suspension = lab.world.suspend("co-fgn", lab.second - 1)
    lab.log(suspension)
    sender.mirror_now()
    submit(lab, sender)
    assert [(each.state, each.reason) for each in sender.deliveries(message)] == [(State.HELD, "recipient_suspended")]
    lab.now += 100
    lab.log(lab.world.lift(suspension.id))
    lab.now += 100
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert reader.texts == ["uno"]


def test_a_network_that_changed_while_somebody_waited_is_named_no_more(lab: Lab, sender: Node) -> None:
    lab.log(lab.world.roster("rfai", ["ar-mpf", "br-mpf", "co-fgn"]))
    sender.mirror_now()
    calendar = lab.hub.calendars.pop("co-fgn")
    sender.write("n", "a la red", networks=("rfai",))
    submit(lab, sender)
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"], version=2))
    lab.hub.calendars["co-fgn"] = calendar
    lab.settle()
    early, late = sender.links(Kind.MESSAGE)
    assert [manifest_of(sender, link).network for link in (early, late)] == ["rfai", None]
    assert manifest_of(sender, early).audience == manifest_of(sender, late).audience
    assert lab["co-fgn"].texts == ["a la red"]


def test_what_waits_past_its_expiry_has_ended(lab: Lab, sender: Node) -> None:
    del lab.hub.calendars["co-fgn"]
    messages = [sender.write(key, key, "co-fgn", expires_at=lab.second + 3_600) for key in ("a", "b")]
    submit(lab, sender)
    lab.now += 4_000
    sender.run(sender.courier.tick)
    assert [sender.told(each) for each in messages] == [{"co-fgn": State.EXPIRED}] * 2
    unplaced = sender.write("c", "c", "co-fgn", expires_at=lab.second + 60)
    lab.now += 100
    assert sender.told(unplaced) == {None: State.EXPIRED}
    lab.settle()
    assert sender.told(unplaced) == {None: State.EXPIRED}
    assert sender.links() == []


def test_what_waits_is_withdrawn_at_once(lab: Lab, sender: Node) -> None:
    calendar = lab.hub.calendars.pop("co-fgn")
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    sender.withdraw(message)
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}
    lab.hub.calendars["co-fgn"] = calendar
    lab.settle()
    assert lab["co-fgn"].texts == []
    with pytest.raises(UnknownMessageError):
        sender.withdraw(MessageId(b"?" * 16))


def test_what_expires_unreceipted_is_voided_and_the_recipient_signs(lab: Lab, sender: Node, reader: Node) -> None:
    reader.cut()
    message = sender.write("a", "uno", "co-fgn", expires_at=lab.second + 20 * DAY)
    lab.flow()
    lab.hub.memory.mailboxes["co-fgn"].items.clear()
    lab.now += 21 * DAY
    lab.mirror_all()
    for node in lab.nodes.values():
        node.publish()
    submit(lab, sender)
    submit(lab, sender)
    (delivery,) = sender.deliveries(message)
    assert delivery.closing is VoidReason.EXPIRED
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.EXPIRED}
    assert reader.texts == []
    with pytest.raises(TooLateError):
        sender.withdraw(message)


# -- the hub's answers -------------------------------------------------------------------------------------
def test_a_full_mailbox_holds_and_passes(lab: Lab, sender: Node, reader: Node) -> None:
    lab.hub.full.add("co-fgn")
    message = sender.write("a", "uno", "br-mpf", "co-fgn")
    submit(lab, sender)
    assert [(each.state, each.reason) for each in sender.deliveries(message)] == [
        (State.RELAYED, None),
        (State.HELD, "mailbox_full"),
    ]
    envelopes = sender.count("envelope")
    submit(lab, sender)
    assert sender.count("envelope") == envelopes  # nothing is tried before its time
    lab.hub.full.clear()
    lab.now += RETRY_SECONDS
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"br-mpf": State.DELIVERED, "co-fgn": State.DELIVERED}


def test_an_unknown_prekey_is_asked_for_anew(lab: Lab, sender: Node, reader: Node) -> None:
    stale = dict(lab.hub.calendars)
    reader.life = 7
    reader.publish()
    message = sender.write("a", "uno", "co-fgn")
    sealed = sender.run(lambda ctx: sender.courier.prepare(ctx, stale))
    answers = [lab.hub.submit("ar-mpf", item) for item in sealed.items]
    sender.run(lambda ctx: sender.courier.answered(ctx, answers))
    assert sender.deliveries(message)[0].reason == "prekey_unknown"
    lab.now += 6
    again = sender.run(lambda ctx: sender.courier.prepare(ctx, stale))
    assert not again.items
    assert again.wanted == {"co-fgn"}  # the calendar that failed is not used again
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_any_other_refusal_closes_the_number(lab: Lab, sender: Node, reader: Node) -> None:
    lab.hub.refusing["co-fgn"] = "unknown_recipient"
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    submit(lab, sender)
    (delivery,) = sender.deliveries(message)
    assert (delivery.reason, delivery.closing) == ("unknown_recipient", VoidReason.REFUSED)
    lab.hub.refusing.clear()
    lab.now += 2 * DAY
    lab.mirror_all()
    for node in lab.nodes.values():
        node.publish()
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.REFUSED}
    assert reader.texts == []


def test_a_refused_receipt_is_tried_again_and_no_void(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    lab.hub.refusing["ar-mpf"] = "unknown_recipient"
    deliver(lab, reader)
    lab.now += 3
    submit(lab, reader)
    lab.hub.refusing.clear()
    lab.pass_time(2 * DAY)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    assert Kind.VOID not in {link.kind for link in reader.links()}


def test_an_envelope_refused_as_a_whole_is_held_with_an_alarm(lab: Lab, sender: Node, reader: Node) -> None:
    lab.hub.whole = "bad_expiry"
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    assert [(each.state, each.reason) for each in sender.deliveries(message)] == [(State.HELD, "bad_expiry")]
    assert sender.alarms == {"bad_expiry"}
    lab.hub.whole = None
    lab.now += 1_000
    lab.settle()
    assert reader.texts == ["uno"]


def test_a_submission_spent_by_another_means_rolled_back(lab: Lab, sender: Node) -> None:
    lab.hub.whole = "conflict"
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    assert sender.run(lambda ctx: recovery.pending(ctx.tx)) is Cause.ROLLED_BACK


def test_an_attestation_that_does_not_prove_itself_counts_for_nothing(lab: Lab, sender: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.world.hub_key, right = lab.world.key("br-mpf"), lab.world.hub_key
    submit(lab, sender)
    lab.world.hub_key = right
    assert sender.told(message) == {"co-fgn": State.SEALED}
    assert sender.alarms == {"bad_signature"}


def test_a_notice_of_an_earlier_envelope_changes_nothing(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    core = Core.from_bytes(lab.hub.queue("co-fgn")[0].core or b"")
    dropped = lab.hub.drop(core.id, "co-fgn", "expired")
    assert dropped is not None
    sender.recalled(dropped)
    submit(lab, sender)
    assert sender.count("envelope") == 2
    sender.recalled(dropped)
    sender.recalled(None)
    submit(lab, sender)
    assert sender.count("envelope") == 2
    told = sender.count("attestation")
    for _time in range(3):
        sender.recalled(dropped)  # a lying hub may say so for ever
    assert sender.count("attestation") == told
    lab.settle()
    assert reader.texts == ["uno"]


def test_the_window_of_the_hub_is_kept(lab: Lab, sender: Node, reader: Node) -> None:
    lab.hub.window = Window(2, 1 << 30)
    sender.cut()
    sender.connect()
    lab.frames.clear()
    for number in range(5):
        sender.write(f"k{number}", f"t{number}", "co-fgn", expires_at=lab.second + DAY + number)
    sender.prepare()
    sender.prepare()
    assert [kind for kind, _member, _what in lab.frames] == ["submit", "submit"]
    lab.settle()
    assert reader.texts == [f"t{number}" for number in range(5)]


def test_what_an_older_incarnation_submitted_takes_room_until_its_answer(lab: Lab, sender: Node, reader: Node) -> None:
    lab.hub.window = Window(1, 1 << 30)
    sender.cut()
    sender.connect()
    sender.write("a", "uno", "co-fgn")
    assert len(sender.prepare().items) == 1
    sender.run(recovery.restored)
    sender.begin_if_needed()
    assert sender.prepare().items == ()
    lab.settle()
    assert reader.texts == ["uno"]


def test_what_a_session_did_not_answer_goes_again_byte_for_byte(lab: Lab, sender: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    (first,) = sender.prepare().items
    sender.cut()
    sender.connect()
    assert sender.prepare().items == (first,)
    assert sender.prepare().items == ()


# -- what stops sending --------------------------------------------------------------------------------------
def test_nothing_is_sent_on_a_stale_view(lab: Lab, sender: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.now += 3 * DAY + 10_000
    assert sender.prepare().reason == "stale_view"
    assert sender.told(message) == {None: State.QUEUED}
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.HELD}  # on a fresh view it is placed, and waits for a calendar
    for node in lab.nodes.values():
        node.publish()
    lab.settle()
    assert lab["co-fgn"].texts == ["uno"]


def test_nothing_is_sent_without_standing_or_charter(lab: Lab, sender: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    lab.log(lab.world.revoke(lab.world.certificates["ar-mpf"], lab.second - 10))
    sender.mirror_now()
    assert sender.prepare().reason == "not_in_standing"
    other = lab["br-mpf"]
    other.write("b", "dos", "co-fgn")
    lab.now += 3 * 366 * DAY
    other.mirror_now()
    assert other.prepare().reason == "charter_expired"


def test_nothing_is_signed_while_an_incarnation_is_wanted_and_the_statement_stays_the_same(
    lab: Lab, sender: Node
) -> None:
    sender.write("a", "uno", "co-fgn")
    sender.run(recovery.restored)
    assert sender.prepare().reason == "new_incarnation"
    first = sender.run(lambda ctx: recovery.statement(ctx, b"1" * 16))
    again = sender.run(lambda ctx: recovery.statement(ctx, b"2" * 16))
    assert first is not None
    assert again is not None
    assert first.raw == again.raw
    assert sender.run(sender.courier.incarnation_begun) is None  # the mirror does not hold it yet
    lab.log(lab.world.open("ar-mpf", cause=Cause.ROLLED_BACK, opened_at=lab.second + 5))  # another one came first
    sender.mirror_now()
    third = sender.run(lambda ctx: recovery.statement(ctx, b"3" * 16))
    assert third is not None
    assert third.raw != first.raw


@pytest.mark.parametrize("behind", [0, 1_800, 3_600, 3_601])
def test_an_incarnation_is_opened_no_earlier_than_what_the_log_showed_unless_that_is_too_far_ahead(
    lab: Lab, sender: Node, behind: int
) -> None:
    shown = lab.second
    sender.mirror_now()
    sender.run(recovery.restored)
    lab.now -= behind
    signed = sender.run(lambda ctx: recovery.statement(ctx, b"1" * 16))
    assert signed is not None
    assert isinstance(signed.statement, Opening)
    assert (signed.statement.opened_at == shown) is (behind <= 3_600)


def test_a_home_that_never_lived_asks_for_its_first_incarnation(lab: Lab, sender: Node) -> None:
    fresh = Node(lab, "ar-mpf")
    fresh.run(lambda ctx: state.put(ctx.tx, "incarnation", None))
    with pytest.raises(UsageError):
        fresh.run(recovery.restored)
    fresh.run(recovery.first)
    assert fresh.run(lambda ctx: recovery.pending(ctx.tx)) is Cause.RESTORED  # the registry knows of an earlier life
    assert sender.run(lambda ctx: recovery.statement(ctx, b"n" * 16)) is None


def test_what_expires_in_a_restored_node_is_told_by_its_recipient(lab: Lab, sender: Node, reader: Node) -> None:
    image, expires = sender.snapshot(), lab.second + 90
    sent = sender.write("a", "uno", "co-fgn", expires_at=expires)
    lab.settle()
    sender.restore(image)
    assert sender.write("a", "uno", "co-fgn", expires_at=expires) == sent
    never = sender.write("b", "dos", "co-fgn", expires_at=expires)
    lab.now += 120
    sender.run(sender.courier.tick)
    for message in (sent, never):
        assert [(each.state, each.closing) for each in sender.deliveries(message)] == [
            (State.QUEUED, VoidReason.EXPIRED)
        ]
    lab.settle()
    assert sender.told(sent) == {"co-fgn": State.DELIVERED}
    (told,) = sender.deliveries(never)
    assert told.state is State.EXPIRED
    assert told.receipt is not None
    assert reader.texts == ["uno"]


def test_what_waited_in_a_restored_node_until_it_expired_is_told_by_its_recipient(
    lab: Lab, sender: Node, reader: Node
) -> None:
    image, expires = sender.snapshot(), lab.second + 5_000
    sent = sender.write("a", "uno", "co-fgn", expires_at=expires)
    lab.settle()
    sender.restore(image)
    calendar = lab.hub.calendars.pop("co-fgn")
    sender.write("a", "uno", "co-fgn", expires_at=expires)
    sender.connect()
    sender.prepare()
    assert [(each.state, each.closing) for each in sender.deliveries(sent)] == [(State.HELD, None)]
    lab.now += 6_000
    sender.run(sender.courier.tick)
    assert [(each.state, each.closing) for each in sender.deliveries(sent)] == [(State.HELD, VoidReason.EXPIRED)]
    lab.hub.calendars["co-fgn"] = calendar
    lab.settle()
    assert sender.told(sent) == {"co-fgn": State.DELIVERED}


def test_an_older_hub_than_one_met_is_refused(sender: Node) -> None:
    with pytest.raises(StaleError):
        sender.run(lambda ctx: sender.courier.session_opened(ctx, Welcome(0, None, Window(1, 1)), Incarnation(0, 1)))


# -- receipts ------------------------------------------------------------------------------------------------
def test_a_receipt_waits_two_seconds_for_company_and_an_urgent_one_does_not(
    lab: Lab, sender: Node, reader: Node
) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    assert reader.prepare().items == ()
    assert lab.now < reader.run(reader.courier.tick) <= lab.now + 2
    lab.now += 2
    assert len(reader.prepare().items) == 1
    sender.write("b", "dos", "co-fgn", fields={"urgency": Urgency.EMERGENCY})
    submit(lab, sender)
    deliver(lab, reader)
    assert len(reader.prepare().items) == 1


def test_a_receipt_goes_with_whatever_else_goes_to_the_peer(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    reader.write("b", "dos", "br-mpf")
    assert len(reader.prepare().items) == 1
    reader.write("c", "tres", "ar-mpf")
    assert len(reader.prepare().items) == 2
    assert len({link.batch for link in reader.links()[1:]}) == 1


def test_a_full_manifest_is_receipted_at_once(lab: Lab, sender: Node, reader: Node) -> None:
    asked = [Request(DESK, str(at), sender.document(str(at), "co-fgn"), ("co-fgn",)) for at in range(256)]
    sender.run(lambda ctx: acceptance.accept_all(ctx, asked))
    submit(lab, sender)
    deliver(lab, reader)
    assert len(reader.prepare().items) == 1


def test_it_is_sealed_again_three_times_a_day_and_then_it_waits(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    for _time in range(4):
        box = lab.hub.memory.mailboxes["co-fgn"]
        box.items = [tampered(item) for item in box.items]
        deliver(lab, reader)
        while lab.frames:
            lab.arrive()
        lab.now += 3
        submit(lab, reader)
        deliver(lab, sender)
        submit(lab, sender)
    assert sender.count("envelope") == 4
    assert [(each.state, each.reason) for each in sender.deliveries(message)] == [(State.HELD, "reseal_limit")]
    assert "reseal_limit" in sender.alarms
    lab.pass_time(DAY)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_a_stranger_complains_in_vain(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    item = lab.hub.queue("co-fgn")[0]
    core, (link,) = Core.from_bytes(item.core or b""), sender.links()
    complaint = Unopened(lab.second, core.id, link.leaf, bytes(32), bytes(32), "cannot_open")  # type: ignore[arg-type]
    other = lab["br-mpf"]
    other.run(lambda ctx: owed.owe(ctx.tx, 1, b"x", complaint.encode(), 1, lab.now))
    assert other.peer("ar-mpf").id == 1
    lab.settle()
    assert sender.links()[0].reseals == 0


def test_a_desk_takes_it_in_hand_and_the_sender_holds_its_receipt(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    actor = Actor("Luz Ríos", "fiscal", "token")
    reader.run(lambda ctx: handover.hand_over(ctx, 1, "antidrogas", actor, Action.ACCEPTED, "de acuerdo"))
    reader.run(lambda ctx: handover.hand_over(ctx, 1, "antidrogas", actor, Action.ACCEPTED, "de acuerdo"))
    lab.settle()
    (delivery,) = sender.deliveries(message)
    assert delivery.state is State.ACKNOWLEDGED
    assert [each.action for each in delivery.handovers] == [Action.ACCEPTED]
    assert delivery.receipt is not None
    proven = sender.run(lambda ctx: status.signed_receipt(ctx.tx, delivery.receipt or (0, 0)))
    assert isinstance(proven.receipt, HandedOver)
    assert (proven.receipt.actor, proven.receipt.note) == (actor, "de acuerdo")
    with pytest.raises(UnknownMessageError):
        reader.run(lambda ctx: handover.hand_over(ctx, 9, "antidrogas", None, Action.ACCEPTED))
    for desk, note in (("No Desk", ""), ("antidrogas", "x" * 100_000)):
        with pytest.raises(UsageError):
            reader.run(lambda ctx, at=(desk, note): handover.hand_over(ctx, 1, at[0], None, Action.DECLINED, at[1]))  # type: ignore[misc]


def test_what_a_desk_answered_survives_a_restore_of_its_node(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    reader.run(lambda ctx: handover.hand_over(ctx, 1, "antidrogas", None, Action.ACCEPTED))
    submit(lab, reader)
    lab.hub.memory.mailboxes["ar-mpf"].items.clear()  # the hub loses it
    reader.restore(reader.snapshot())
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.ACKNOWLEDGED}


def test_a_stranger_takes_nothing_in_hand(lab: Lab, sender: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    claim = HandedOver(lab.second, message, "antidrogas", None, Action.REFUSED).encode()
    unknown = HandedOver(lab.second, MessageId(b"?" * 16), "antidrogas", None, Action.REFUSED).encode()
    other = lab["br-mpf"]
    peer = other.peer("ar-mpf").id
    for body in (claim, unknown):
        other.run(lambda ctx, it=body: owed.owe(ctx.tx, peer, it[-16:], it, 1, lab.now))  # type: ignore[misc]
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_every_delivery_shows_the_signed_receipt_behind_it(lab: Lab, sender: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    lab.settle()
    (delivery,) = sender.deliveries(message)
    proven = sender.run(lambda ctx: status.signed_receipt(ctx.tx, delivery.receipt or (0, 0)))
    proven.batch.verify(lab.world.key("co-fgn").public, Label.LINKS, lab.world.association)
    verify_inclusion(
        proven.link.leaf(proven.proof.salt),
        proven.proof.index,
        proven.batch.count,
        proven.proof.path,
        proven.batch.root,
    )
    assert proven.link.manifest_digest == proven.manifest.digest
    assert proven.body.leaf == proven.manifest.root  # one body: its leaf is the root
    with pytest.raises(UnknownMessageError):
        sender.deliveries(MessageId(b"?" * 16))
    with pytest.raises(UnknownMessageError):
        sender.run(lambda ctx: status.readers(ctx.tx, MessageId(b"?" * 16)))


# -- time ------------------------------------------------------------------------------------------------------
def test_an_empty_link_goes_once_a_day_for_a_week_and_then_no_more(lab: Lab, sender: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    lab.settle()
    lab.pass_time(12 * DAY)
    empties = sender.links(Kind.EMPTY)
    assert 6 <= len(empties) <= 8
    assert {(link.count, link.state) for link in empties} == {(0, LinkState.RELEASED)}
    assert {link.first_seq for link in empties} == {2}
    assert {link.peer for link in empties} == {sender.peer("co-fgn").id}


def test_a_peer_that_falls_silent_is_an_alarm_once(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    lab.settle()
    reader.cut()
    for _day in range(5):
        lab.now += DAY
        sender.run(sender.courier.tick)
    told = [alarm for alarm in sender.run(lambda ctx: state.alarms(ctx.tx)) if alarm.code == "silent_peer"]
    assert [alarm.detail for alarm in told] == ["co-fgn"]


def test_the_next_time_is_never_now(lab: Lab, sender: Node) -> None:
    assert sender.run(sender.courier.tick) == lab.now + courier.UPKEEP_SECONDS
    sender.run(lambda ctx: owed.owe(ctx.tx, 1, b"x", b"y", 1, lab.now - 100))
    assert sender.run(sender.courier.tick) == lab.now + courier.OVERDUE_SECONDS


def test_a_damaged_message_is_told_and_harms_no_other(lab: Lab, sender: Node, reader: Node) -> None:
    damaged, whole = sender.write("a", "uno", "co-fgn"), sender.write("b", "dos", "co-fgn")
    sender.run(lambda ctx: ctx.tx.run("UPDATE outbox SET content = x'00' WHERE message_id = ?", (damaged,)))
    lab.settle()
    assert sender.told(damaged) == {None: State.REFUSED}
    assert sender.told(whole) == {"co-fgn": State.DELIVERED}
    assert reader.texts == ["dos"]
    assert "damaged" in sender.alarms


def test_a_damaged_message_is_not_sealed_again(lab: Lab, sender: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    sender.run(lambda ctx: ctx.tx.run("UPDATE outbox SET content = x'00'"))
    sender.crash()
    (link,) = sender.links()
    sender.run(lambda ctx: links.reopen(ctx.tx, link.id, lab.second))
    sender.connect()
    submit(lab, sender)
    assert [each.reason for each in sender.deliveries(message)] == ["damaged"]


def test_headers_are_what_their_contents_are(sender: Node) -> None:
    ask(sender)
    (written,) = sender.run(lambda ctx: outbox.unplaced(ctx.tx, 10))
    header = Header.from_bytes(written.header)
    assert header.content_digest == hashlib.sha256(written.content).digest()
    assert written.is_intact


# -- corners ---------------------------------------------------------------------------------------------------
def test_a_withdrawal_while_a_void_is_under_way_is_the_same_withdrawal(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    lab.settle()
    sender.restore(sender.snapshot())
    sender.connect()
    message = sender.write("b", "dos", "co-fgn")
    del lab.hub.calendars["co-fgn"]
    submit(lab, sender)
    sender.withdraw(message)  # it waits for a prekey, and nobody can be asked yet
    sender.withdraw(message)
    (delivery,) = sender.deliveries(message)
    assert (delivery.state, delivery.closing) == (State.HELD, VoidReason.WITHDRAWN)
    reader.publish()
    submit(lab, sender)
    sender.withdraw(message)
    (delivery,) = sender.deliveries(message)
    assert (delivery.state, delivery.closing) == (State.RELAYED, VoidReason.WITHDRAWN)
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}
    assert reader.texts == ["uno"]


def test_a_void_for_somebody_out_of_reach_waits(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    del lab.hub.calendars["co-fgn"]
    sender.withdraw(message)
    submit(lab, sender)
    assert sender.links(Kind.VOID) == []
    reader.publish()
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.WITHDRAWN}


def test_voids_wait_for_room_too(lab: Lab, sender: Node, reader: Node) -> None:
    for key in ("a", "b"):
        sender.write(key, key, "co-fgn", expires_at=lab.second + 10 * DAY + ord(key))
    reader.cut()
    lab.flow()
    lab.hub.window = Window(1, 1 << 30)
    sender.cut()
    sender.connect()
    lab.frames.clear()
    for key in ("a", "b"):
        message = sender.write(key, key, "co-fgn", expires_at=lab.second + 10 * DAY + ord(key))
        sender.withdraw(message)
    sender.prepare()
    assert len(sender.links(Kind.VOID)) == 1
    lab.settle()
    assert len(sender.links(Kind.VOID)) == 2
    assert reader.texts == []


def test_a_run_that_had_to_stop_says_so(lab: Lab, sender: Node, reader: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "ENVELOPES_A_RUN", 2)
    for number in range(3):
        sender.write(f"k{number}", f"t{number}", "co-fgn", expires_at=lab.second + DAY + number)
    assert sender.prepare().more
    assert not sender.prepare().more
    lab.settle()
    assert reader.texts == ["t0", "t1", "t2"]


def test_what_waits_goes_in_several_runs_where_it_is_much(
    lab: Lab, sender: Node, reader: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    del lab.hub.calendars["co-fgn"]
    ids = [
        sender.write(f"k{number}", f"t{number}", "co-fgn", expires_at=lab.second + DAY + number) for number in range(3)
    ]
    sender.write("late", "tarde", "co-fgn", expires_at=lab.second + 60)
    submit(lab, sender)
    submit(lab, sender)
    assert {sender.told(each)["co-fgn"] for each in ids} == {State.HELD}
    lab.log(lab.world.suspend("br-mpf", lab.second - 1))
    lab.now += 100
    reader.publish()
    monkeypatch.setattr(courier, "ENVELOPES_A_RUN", 2)
    lab.settle()
    assert reader.texts == ["t0", "t1", "t2"]


def test_a_damaged_message_that_waits_is_told(lab: Lab, sender: Node, reader: Node) -> None:
    del lab.hub.calendars["co-fgn"]
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    sender.run(lambda ctx: ctx.tx.run("UPDATE outbox SET content = x'00'"))
    reader.publish()
    lab.settle()
    assert sender.told(message) == {"co-fgn": State.REFUSED}


def test_a_reason_that_changes_is_told(lab: Lab, sender: Node) -> None:
    del lab.hub.calendars["co-fgn"]
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    assert [each.reason for each in sender.deliveries(message)] == ["no_prekey"]
    lab.log(lab.world.suspend("co-fgn", lab.second - 1))
    sender.mirror_now()
    submit(lab, sender)
    assert [each.reason for each in sender.deliveries(message)] == ["recipient_suspended"]
    held = sender.run(lambda ctx: status.readers(ctx.tx, message))
    assert [party.member for party in held] == ["co-fgn"]
    queued = sender.write("b", "dos", "br-mpf")
    assert sender.run(lambda ctx: status.readers(ctx.tx, queued)) == ()


def test_an_attestation_of_a_link_that_is_none_of_ours_is_passed_over(lab: Lab, sender: Node, reader: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    core = Core.from_bytes(lab.hub.queue("co-fgn")[0].core or b"")
    dropped = lab.hub.drop(core.id, "co-fgn", "expired")
    reader.recalled(dropped)
    assert reader.count("attestation") == 0
    lab.hub.memory.mailboxes["ar-mpf"].put(None, b"", None, dropped)  # type: ignore[arg-type]
    lab.settle()
    assert reader.texts == ["uno"]
    assert sender.count("envelope") == 2


def test_a_notice_about_what_was_receipted_meanwhile_changes_nothing(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    item = lab.hub.queue("co-fgn")[0]
    core = Core.from_bytes(item.core or b"")
    lab.settle()
    lab.hub.memory.mailboxes["co-fgn"].items.append(item)
    dropped = lab.hub.drop(core.id, "co-fgn", "expired")
    sender.recalled(dropped)
    submit(lab, sender)
    assert sender.count("envelope") == 1
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def test_an_answer_for_nothing_of_ours_is_passed_over(lab: Lab, sender: Node) -> None:
    sender.write("a", "uno", "co-fgn")
    (item,) = sender.prepare().items
    answer = lab.hub.submit("ar-mpf", item)
    other = lab["br-mpf"]
    other.write("b", "dos", "co-fgn")
    other.prepare()
    other.run(lambda ctx: other.courier.answered(ctx, [answer]))
    assert other.count("attestation") == 0


def test_a_refusal_after_the_receipt_changes_nothing(lab: Lab, sender: Node, reader: Node) -> None:
    message = sender.write("a", "uno", "co-fgn")
    submit(lab, sender)
    deliver(lab, reader)
    sender.crash()
    sender.connect()
    lab.hub.refusing["co-fgn"] = "unknown_recipient"
    sender.prepare()
    lab.now += 3
    submit_only(lab, reader)
    deliver(lab, sender)
    assert sender.told(message) == {"co-fgn": State.DELIVERED}
    while lab.frames:
        lab.arrive()
    lab.hub.refusing.clear()
    assert sender.told(message) == {"co-fgn": State.DELIVERED}


def submit_only(lab: Lab, node: Node) -> None:
    """What the node has ready reaches the hub; the frames of others stay under way."""
    for item in node.prepare().items:
        lab.hub.submit(node.member, item)
    lab.frames = [frame for frame in lab.frames if frame[1] != node.member]
