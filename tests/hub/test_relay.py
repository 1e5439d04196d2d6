"""The relay's rules one by one, on both stores: SPEC 9.4 in its order, delivery, recall, expiry, prekeys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.attesting import Attestor, Promise
from hub.memory_store import MemoryStore
from hub.relay import EXPIRE_AT_ONCE, Group, Result
from hub.sqlite_store import SqliteStore
from hub.store import Queue, Store, transaction
from protocol.codec import decode, encode
from protocol.errors import (
    ClockSkewError,
    ConflictError,
    ReplayError,
    SignatureError,
    StaleError,
    StandingError,
    StoreError,
    UsageError,
    WrongSenderError,
)
from protocol.messages.envelope import Attestation, AttestationData, Core, Event, Slot, Submission
from protocol.names import AssociationId, EnvelopeId, Incarnation, Party
from protocol.session.items import DeliverItem, SubmitItem, Window
from protocol.signing import fresh_salts
from protocol.trust.prekeys import epoch_at
from protocol.trust.statements import Cause, Limits
from tests.hub.house import ALBA, BERTA, CARLA, DORA, SMALLEST, House, calendar, noise, world
from tests.support.world import DAY, World

WIDE = Window(1_000, 1 << 30)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = SqliteStore(tmp_path / "hub.db")
    if request.param == "memory":
        opened = MemoryStore()
    yield opened
    opened.close()


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def read(house: House, member: str, after: int = 0, room: Window = WIDE) -> list[DeliverItem]:
    return house.run(lambda group: group.deliveries(member, after, room))


def acknowledge(house: House, member: str, position: int) -> None:
    house.run(lambda group: group.acknowledge(member, position))


def positions(items: list[DeliverItem]) -> list[int]:
    return [item.position for item in items]


def attested(result: Result) -> list[tuple[Event, str, str]]:
    """What was answered for each recipient."""
    datas = [AttestationData.from_bytes(each.data) for each in result.item.attestations]
    return [(data.event, data.recipient.member, data.result) for data in datas]


def one(house: House, item: SubmitItem, sender: str = ALBA) -> Result:
    (result,) = house.submit(sender, item)
    return result


def codes(house: House, item: SubmitItem, sender: str = ALBA) -> list[str]:
    """The one code that refuses the whole, or what became of each slot."""
    result = one(house, item, sender)
    return [result.code] if result.code else [each for _event, _member, each in attested(result)]


def queues(house: House) -> list[Queue]:
    return house.run(lambda group: group.queues())


def waits(house: House) -> dict[str, int]:
    return {queue.member: queue.items for queue in queues(house)}


# -- accepting -----------------------------------------------------------------------------------------
def test_an_envelope_reaches_each_recipient_with_its_own_slot(house: House) -> None:
    item = house.envelope(ALBA, [BERTA, CARLA])
    result = one(house, item)
    assert result.envelope_id == item.id
    assert attested(result) == [(Event.ACCEPTED, BERTA, "accepted"), (Event.ACCEPTED, CARLA, "accepted")]
    for number, member in enumerate((BERTA, CARLA)):
        (delivered,) = read(house, member)
        assert (delivered.core, delivered.ciphertext, delivered.slot) == (
            item.core,
            item.ciphertext,
            item.slots[number],
        )
        assert delivered.attestation == result.item.attestations[number]
    assert read(house, DORA) == []


def test_every_attestation_verifies_and_names_what_it_is_of(house: House) -> None:
    item = house.envelope(ALBA, [BERTA])
    (attestation,) = one(house, item).item.attestations
    data = attestation.verify(house.registry)
    slot = Slot.from_bytes(item.slots[0])
    assert (
        data.raw
        == AttestationData.build(
            Event.ACCEPTED, house.world.hub_certificate, item.id, slot, "accepted", int(house.now)
        ).raw
    )


@pytest.mark.parametrize("at", [0, 127, 128, 65_535, 65_536, 2**32, 2**62])
@pytest.mark.parametrize("event", [Event.REJECTED, Event.FAILED])
def test_statements_are_put_together_as_protocol_encodes_them(at: int, event: Event) -> None:
    home = world()
    attestor = Attestor(home.association, home.hub_key, home.hub_certificate, fresh_salts)
    slot = Slot.build(home.party(ALBA), 1, noise(32, 1), noise(32, 2), bytes(1_843))
    envelope_id = EnvelopeId(noise(32, 3))
    built = AttestationData.build(event, home.hub_certificate, envelope_id, slot, "expired", at)
    assert attestor.data(event, envelope_id, slot.recipient, slot.link_leaf, "expired", at) == built.raw


def test_one_signature_for_a_whole_group(house: House) -> None:
    items = [house.envelope(ALBA, [BERTA, CARLA]) for _ in range(3)]
    other = house.envelope(BERTA, [ALBA])
    answers = house.together(
        lambda group: group.submit(house.sender(ALBA), items), lambda group: group.submit(house.sender(BERTA), [other])
    )
    signed = [each for results in answers for result in results for each in result.item.attestations]
    assert len(signed) == 7
    assert len({each.batch for each in signed}) == 1
    assert [each.verify(house.registry).result for each in signed] == ["accepted"] * 7


def test_a_batch_holds_4096_leaves_at_most(house: House) -> None:
    attestor = house.relay.attestor
    signed = attestor.sign([b"%d" % number for number in range(4_097)])
    assert [each.batch.count for each in (signed[0], signed[-2], signed[-1])] == [4_096, 4_096, 1]
    assert signed[0].data == b"0"
    assert signed[-1].data == b"4096"
    assert attestor.sign([]) == []


def test_nothing_is_answered_before_its_group_closed(house: House, store: Store) -> None:
    tx = store.begin()
    group = house.relay.group(tx, house.registry, house.now)
    (result,) = group.submit(house.sender(ALBA), [house.envelope_in(tx, ALBA, [BERTA])])
    with pytest.raises(UsageError):
        _ = result.item
    (answer,) = result.answers
    assert isinstance(answer, Promise)
    with pytest.raises(UsageError):
        _ = answer.row
    tx.rollback()
    group.abandon()


def test_positions_ascend_without_gap(house: House) -> None:
    for _ in range(3):
        house.send(ALBA, BERTA)
    house.send(CARLA, BERTA, ALBA)
    assert positions(read(house, BERTA)) == [1, 2, 3, 4]
    assert positions(read(house, ALBA)) == [1]
    acknowledge(house, BERTA, 4)
    house.send(ALBA, BERTA)
    assert positions(read(house, BERTA)) == [5]


def test_the_group_says_whom_to_wake(house: House) -> None:
    house.send(ALBA, BERTA, CARLA)
    assert house.last.woken == {BERTA, CARLA}
    assert (house.last.tally.accepted, house.last.next_expiry) == (2, int(house.now) + DAY)
    read(house, BERTA)
    assert house.last.woken == frozenset()


# -- refusing the whole --------------------------------------------------------------------------------
def changed_core(house: House, item: SubmitItem, place: int, value: object) -> SubmitItem:
    values = decode(item.core, 8_192)
    assert isinstance(values, list)
    return replace(item, core=encode([*values[:place], value, *values[place + 1 :]]))  # type: ignore[list-item]


Fault = Callable[[House, SubmitItem], SubmitItem]
FAULTS: dict[str, tuple[str, Fault]] = {
    "core cut": ("malformed", lambda house, item: replace(item, core=item.core[:-1])),
    "core not canonical": ("non_canonical", lambda house, item: replace(item, core=b"\xdc\x00\x07" + item.core[1:])),
    "core of another version": ("unsupported_version", lambda house, item: changed_core(house, item, 0, 1)),
    "core too large": ("limit_exceeded", lambda house, item: replace(item, core=item.core + bytes(8_192))),
    "ciphertext too small": ("malformed", lambda house, item: replace(item, ciphertext=item.ciphertext[:4_096])),
    "ciphertext too large": ("limit_exceeded", lambda house, item: replace(item, ciphertext=bytes(1 << 21))),
    "ciphertext of another size": ("malformed", lambda house, item: replace(item, ciphertext=bytes(8_193))),
    "slot cut": ("malformed", lambda house, item: replace(item, slots=(item.slots[0][:-1],))),
    "slot too large": ("limit_exceeded", lambda house, item: replace(item, slots=(item.slots[0] + bytes(500),))),
    "a recipient twice": ("malformed", lambda house, item: replace(item, slots=item.slots * 2)),
    "another member": ("wrong_sender", lambda house, item: house.envelope(BERTA, [CARLA])),
    "expired now": ("bad_expiry", lambda house, item: house.envelope(ALBA, [BERTA], lifetime=0)),
    "too long a life": ("bad_expiry", lambda house, item: house.envelope(ALBA, [BERTA], lifetime=14 * DAY + 1)),
    "another ciphertext": ("malformed", lambda house, item: replace(item, ciphertext=bytes(SMALLEST))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_refuses_the_whole_and_leaves_no_trace(house: House, name: str) -> None:
    code, fault = FAULTS[name]
    item = fault(house, house.envelope(ALBA, [BERTA]))
    result = one(house, item)
    assert (result.code, result.item.envelope_id, result.item.attestations) == (code, item.id, ())
    assert house.last.tally.refusals == {code: 1}
    assert waits(house) == {}
    assert house.run(lambda group: group.welcome(ALBA)) == (0, None)


def test_a_longest_and_a_shortest_life_are_accepted(house: House) -> None:
    house.send(ALBA, BERTA, lifetime=1)
    house.send(ALBA, BERTA, lifetime=14 * DAY)


def test_a_sender_of_another_association(house: House) -> None:
    item = house.envelope(ALBA, [BERTA])
    other = World(name="other", members=[ALBA])
    core = Core.build(other.party(ALBA), Submission(Incarnation(1, 5), 1), int(house.now) + 9, item.ciphertext)
    assert codes(house, replace(item, core=core.raw)) == ["wrong_sender"]


def test_a_certificate_out_of_standing(store: Store) -> None:
    home = World()
    house = House(store, home)
    item = house.envelope(ALBA, [BERTA])
    house.now += 10
    home.log(home.revoke(home.certificates[ALBA], int(house.now) - 5))
    assert codes(house, item) == ["not_in_standing"]
    assert codes(house, house.envelope(BERTA, [CARLA]), BERTA) == ["accepted"]


@pytest.mark.parametrize("n_faults", range(1, 6))
def test_the_first_failure_in_order_is_the_answer(store: Store, n_faults: int) -> None:
    """All five faults at once, then without the first, and so on."""
    home = World()
    house = House(store, home)
    assert codes(house, house.envelope(ALBA, [BERTA], counter=7)) == ["accepted"]
    sender, member = (BERTA if n_faults > 4 else ALBA), ALBA
    if n_faults > 3:
        home.log(home.revoke(home.certificates[member], int(house.now) - 1))
    lifetime = 0 if n_faults > 2 else 60
    item = house.envelope(sender, [BERTA], counter=7, lifetime=lifetime)
    if n_faults > 1:
        item = replace(item, ciphertext=bytes(SMALLEST))
    expected = ["conflict", "malformed", "bad_expiry", "not_in_standing", "wrong_sender"][n_faults - 1]
    assert codes(house, item, member) == [expected]


def test_two_cores_under_one_submission(house: House) -> None:
    first, second = house.envelope(ALBA, [BERTA], counter=1), house.envelope(ALBA, [BERTA], counter=1, lifetime=99)
    assert [result.code for result in house.submit(ALBA, first, second)] == [None, "conflict"]
    assert codes(house, second) == ["conflict"]
    assert codes(house, house.envelope(BERTA, [ALBA], counter=1), BERTA) == ["accepted"], "another's submission"


def test_a_submission_may_name_another_core_once_the_first_expired(house: House) -> None:
    house.submit(ALBA, house.envelope(ALBA, [BERTA], counter=1, lifetime=10))
    house.now += 10
    house.run(lambda group: group.expire())
    assert codes(house, house.envelope(ALBA, [BERTA], counter=1)) == ["accepted"]


# -- refusing a slot -----------------------------------------------------------------------------------
def test_an_unknown_recipient(house: House) -> None:
    item = house.envelope(ALBA, [BERTA, "pt-pgr"])
    assert codes(house, item) == ["accepted", "unknown_recipient"]
    assert attested(one(house, item))[1] == (Event.REJECTED, "pt-pgr", "unknown_recipient")
    assert waits(house) == {BERTA: 1}


def test_a_recipient_of_another_association(house: House) -> None:
    item = house.envelope(ALBA, [BERTA])
    foreign = house.slot(BERTA, party=Party(AssociationId(bytes(32)), BERTA)).raw
    both = replace(item, slots=(*item.slots, foreign))
    assert codes(house, both) == ["accepted", "unknown_recipient"]
    assert codes(house, both) == ["accepted", "unknown_recipient"]
    assert waits(house) == {BERTA: 1}


def test_a_suspended_recipient(store: Store) -> None:
    home = World()
    house = House(store, home)
    home.log(home.suspend(BERTA, int(house.now) - 1))
    assert codes(house, house.envelope(ALBA, [BERTA, CARLA])) == ["recipient_suspended", "accepted"]


def with_slot(house: House, item: SubmitItem, slot: Slot) -> SubmitItem:
    return replace(item, slots=(slot.raw,))


def test_prekeys_within_their_hours(house: House) -> None:
    today = epoch_at(int(house.now))
    house.now = (today + 1) * DAY + 3_600.0
    item = house.envelope(ALBA, [BERTA])
    assert codes(house, with_slot(house, item, house.slot(BERTA, epoch=today))) == ["accepted"]
    house.now += 1
    item = house.envelope(ALBA, [BERTA])
    assert codes(house, with_slot(house, item, house.slot(BERTA, epoch=today))) == ["prekey_expired"]
    tomorrow = (today + 2) * DAY - 3_601
    house.now = float(tomorrow)
    item = house.envelope(ALBA, [BERTA])
    assert codes(house, with_slot(house, item, house.slot(BERTA, epoch=today + 2))) == ["prekey_unknown"]
    house.now += 1
    item = house.envelope(ALBA, [BERTA])
    assert codes(house, with_slot(house, item, house.slot(BERTA, epoch=today + 2))) == ["accepted"]


def test_a_prekey_that_no_calendar_holds(store: Store) -> None:
    house = House(store, members=[BERTA])
    assert codes(house, house.envelope(ALBA, [BERTA, CARLA])) == ["accepted", "prekey_unknown"]
    slot = Slot.build(house.world.party(BERTA), epoch_at(int(house.now)), bytes(32), bytes(32), bytes(1_843))
    assert codes(house, with_slot(house, house.envelope(ALBA, [BERTA]), slot)) == ["prekey_unknown"]


def test_prekeys_under_a_revoked_certificate(store: Store) -> None:
    home = World()
    house = House(store, home)
    assert codes(house, house.envelope(ALBA, [BERTA, CARLA])) == ["accepted", "accepted"]
    waits_still, revoked = house.envelope(ALBA, [BERTA, CARLA]), home.certificates[BERTA]
    house.now += 10
    home.log(home.revoke(revoked, int(house.now) - 5))
    assert codes(house, waits_still) == ["prekey_unknown", "accepted"], "not what was read before the revocation"
    house.restart()
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["prekey_unknown"]
    with pytest.raises(StandingError):
        house.publish(BERTA)
    renewed = home.certify(BERTA, not_before=home.start + 1)
    home.log(renewed, at=int(house.now))
    home.certificates[BERTA] = renewed.id
    house.now += 1
    house.publish(BERTA)
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["accepted"]


@pytest.mark.parametrize("limit", ["messages", "bytes"])
def test_a_full_mailbox_refuses_its_own_slots_alone(store: Store, limit: str) -> None:
    measured = House(MemoryStore())
    one(measured, measured.envelope(ALBA, [BERTA]))
    (queue,) = queues(measured)
    most_bytes = 2 * queue.waiting_bytes if limit == "bytes" else 1 << 30
    house = House(store, world(Limits(14 * DAY, most_bytes, 2 if limit == "messages" else 99, DAY, DAY)))
    house.send(ALBA, BERTA)
    house.send(DORA, BERTA)
    item = house.envelope(ALBA, [BERTA, CARLA])
    assert codes(house, item) == ["mailbox_full", "accepted"]
    read(house, BERTA)
    assert codes(house, item) == ["mailbox_full", "accepted"]
    acknowledge(house, BERTA, 1)
    assert codes(house, item) == ["accepted", "accepted"], "a refused slot is judged anew"
    assert codes(house, house.envelope(CARLA, [BERTA]), CARLA) == ["mailbox_full"]


def most(house: House, sender: str, recipient: str, tries: int = 40) -> int:
    """How many of so many envelopes the hub takes."""
    answers = [codes(house, house.envelope(sender, [recipient]), sender) for _ in range(tries)]
    assert {code for each in answers for code in each} <= {"accepted", "mailbox_full"}
    return answers.count(["accepted"])


@pytest.mark.parametrize("limit", ["messages", "bytes"])
def test_no_sender_and_no_two_together_fill_a_mailbox(store: Store, limit: str) -> None:
    measured = House(MemoryStore())
    one(measured, measured.envelope(ALBA, [BERTA]))
    size = queues(measured)[0].waiting_bytes
    limits = (
        Limits(14 * DAY, 1 << 30, 12, DAY, DAY) if limit == "messages" else Limits(14 * DAY, 12 * size, 99, DAY, DAY)
    )
    house = House(store, world(limits))
    assert most(house, ALBA, BERTA) == 6, "half of it"
    house.restart()
    assert most(house, ALBA, BERTA) == 0
    assert most(house, CARLA, BERTA) == 3, "half of what was free"
    assert codes(house, house.envelope(DORA, [BERTA]), DORA) == ["accepted"], "who has nothing in it finds room"
    assert codes(house, house.envelope(ALBA, [CARLA])) == ["accepted"], "another mailbox is another matter"
    read(house, BERTA)
    acknowledge(house, BERTA, 6)
    assert most(house, ALBA, BERTA) == 4, "what was fetched is free again"


def test_what_was_recalled_or_expired_is_no_longer_a_share(store: Store) -> None:
    house = House(store, world(Limits(14 * DAY, 1 << 30, 4, DAY, DAY)))
    berta = house.world.party(BERTA)
    items = [house.envelope(ALBA, [BERTA], lifetime=50) for _ in range(3)]

    def submit_and_recall(group: Group) -> list[str | None]:
        (first,) = group.submit(house.sender(ALBA), items[:1])
        group.recall(ALBA, items[0].id, berta)
        return [first.code]

    assert house.run(submit_and_recall) == [None]
    assert [codes(house, item) for item in items[1:]] == [["accepted"]] * 2
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["mailbox_full"]
    house.run(lambda group: group.recall(ALBA, items[1].id, berta))
    assert house.run(lambda group: dict(group.tx.account(BERTA).shares)) == {ALBA: (1, queues(house)[0].waiting_bytes)}
    house.now += 50
    house.run(lambda group: group.expire())
    assert house.run(lambda group: dict(group.tx.account(BERTA).shares)) == {}


@pytest.mark.parametrize("again", ["same group", "later"])
def test_a_refused_slot_alone_keeps_nothing(store: Store, again: str) -> None:
    house = House(store, members=[])
    item = house.envelope(ALBA, [BERTA])
    if again == "same group":
        results = house.submit(ALBA, item, item)
        assert [attested(each) for each in results] == [[(Event.REJECTED, BERTA, "prekey_unknown")]] * 2
    else:
        assert codes(house, item) == ["prekey_unknown"]
    assert waits(house) == {}
    with transaction(store) as tx:
        assert tx.envelope(item.id) is None
        assert tx.next_expiry() is None, "an idle hub has nothing to wake for"
        with pytest.raises(StoreError):
            tx.batch(1)
    assert house.run(lambda group: group.welcome(ALBA))[1] == Submission(Incarnation(1, 5), house.counter)


def test_a_refused_slot_leaves_what_was_accepted_of_its_envelope(store: Store) -> None:
    house = House(store, members=[BERTA])
    item = house.envelope(ALBA, [BERTA, CARLA])
    part = replace(item, slots=item.slots[:1])
    assert codes(house, part) == ["accepted"]
    assert codes(house, replace(item, slots=item.slots[1:])) == ["prekey_unknown"]
    assert [each.core for each in read(house, BERTA)] == [item.core]


# -- retries -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("moment", ["same group", "waiting", "handed over", "acknowledged", "another process"])
def test_a_retry_gets_the_first_answer_and_delivers_nothing_twice(house: House, moment: str) -> None:
    item = house.envelope(ALBA, [BERTA])
    if moment == "same group":
        results = [each for (each,) in house.together(*[lambda group: group.submit(house.sender(ALBA), [item])] * 2)]
    else:
        results = [one(house, item)]
        if moment != "waiting":
            read(house, BERTA)
        if moment == "acknowledged":
            acknowledge(house, BERTA, 1)
        if moment == "another process":
            house.restart()
        house.now += 5
        results.append(one(house, item))
    first, again = (result.item for result in results)
    assert first == again
    assert again.attestations[0].verify(house.registry).at < house.now + 1
    assert positions(read(house, BERTA)) == ([] if moment == "acknowledged" else [1])


def test_a_retry_may_carry_any_subset_and_more(house: House) -> None:
    item = house.envelope(ALBA, [BERTA, CARLA, DORA])
    part = replace(item, slots=item.slots[:1])
    first = one(house, part)
    second = one(house, item)
    assert attested(second) == [(Event.ACCEPTED, member, "accepted") for member in (BERTA, CARLA, DORA)]
    assert second.item.attestations[0] == first.item.attestations[0]
    assert waits(house) == {BERTA: 1, CARLA: 1, DORA: 1}


@pytest.mark.parametrize("moment", ["same group", "waiting", "acknowledged"])
def test_another_slot_for_what_was_accepted_is_a_conflict(house: House, moment: str) -> None:
    item = house.envelope(ALBA, [BERTA])
    other = with_slot(house, item, house.slot(BERTA, "another wrap"))
    if moment == "same group":
        answers = [attested(each)[0][2] for each in house.submit(ALBA, item, other)]
    else:
        answers = codes(house, item)
        if moment == "acknowledged":
            read(house, BERTA)
            acknowledge(house, BERTA, 1)
        answers += codes(house, other)
    assert answers == ["accepted", "conflict"]
    assert codes(house, item) == ["accepted"]


def test_content_comes_back_with_a_slot_after_all_others_were_erased(house: House) -> None:
    item = house.envelope(ALBA, [BERTA, CARLA])
    one(house, replace(item, slots=item.slots[:1]))
    read(house, BERTA)
    acknowledge(house, BERTA, 1)
    assert codes(house, item) == ["accepted", "accepted"]
    assert read(house, BERTA, 1) == []
    assert [each.ciphertext for each in read(house, CARLA)] == [item.ciphertext]


# -- delivering ----------------------------------------------------------------------------------------
def test_delivery_stays_within_the_room(house: House) -> None:
    for _ in range(4):
        house.send(ALBA, BERTA)
    size = read(house, BERTA, room=Window(1, 1 << 30))[0].size
    assert positions(read(house, BERTA, room=Window(3, 1 << 30))) == [1, 2, 3]
    assert positions(read(house, BERTA, after=1, room=Window(9, 2 * size))) == [2, 3]
    assert positions(read(house, BERTA, after=1, room=Window(9, size - 1))) == []
    assert positions(read(house, BERTA, room=Window(0, 1 << 30))) == []


def test_a_large_item_passes_alone(house: House) -> None:
    one(house, house.envelope(ALBA, [BERTA], size=1 << 20))
    house.send(ALBA, BERTA)
    narrow = Window(5, 20_000)
    assert positions(read(house, BERTA, room=narrow)) == [1]
    assert positions(read(house, BERTA, after=1, room=narrow)) == [2]
    acknowledge(house, BERTA, 1)
    assert positions(read(house, BERTA, after=1, room=narrow)) == [2]


def test_acknowledging_erases_and_frees(house: House) -> None:
    for _ in range(3):
        house.send(ALBA, BERTA, CARLA)
    read(house, BERTA)
    house.now += 2.5
    acknowledge(house, BERTA, 2)
    assert house.last.tally.delivery_seconds == [2.5, 2.5]
    assert positions(read(house, BERTA)) == [3]
    assert waits(house) == {BERTA: 1, CARLA: 3}
    sizes = {queue.member: queue.waiting_bytes for queue in queues(house)}
    assert sizes[CARLA] == 3 * sizes[BERTA] > 0
    assert house.run(lambda group: group.welcome(BERTA)) == (2, None)
    acknowledge(house, BERTA, 1)
    assert house.run(lambda group: group.welcome(BERTA)) == (2, None)


def test_what_was_never_handed_over_is_not_acknowledged(house: House) -> None:
    house.send(ALBA, BERTA)
    house.send(ALBA, BERTA)
    read(house, BERTA, room=Window(1, 1 << 30))
    with pytest.raises(ReplayError):
        acknowledge(house, BERTA, 2)
    with pytest.raises(ReplayError):
        acknowledge(house, DORA, 1)
    assert waits(house) == {BERTA: 2}


def test_what_was_handed_over_counts_after_a_restart(house: House) -> None:
    house.send(ALBA, BERTA)
    read(house, BERTA)
    house.restart()
    acknowledge(house, BERTA, 1)
    assert waits(house) == {}


def test_the_highest_submission(house: House) -> None:
    for counter in (3, 300, 7):
        one(house, house.envelope(ALBA, [BERTA], counter=counter))
    assert house.run(lambda group: group.welcome(ALBA)) == (0, Submission(Incarnation(1, 5), 300))


# -- taking back ---------------------------------------------------------------------------------------
def recall(house: House, envelope_id: EnvelopeId, member: str = BERTA, sender: str = ALBA) -> Attestation | None:
    party = house.world.party(member)
    promise = house.run(lambda group: group.recall(sender, envelope_id, party))
    return None if promise is None else promise.attestation


def test_recalling_what_waits(house: House) -> None:
    item = house.envelope(ALBA, [BERTA, CARLA])
    first = one(house, item)
    attestation = recall(house, item.id)
    assert attestation is not None
    data = attestation.verify(house.registry)
    slot = Slot.from_bytes(item.slots[0])
    assert (data.event, data.result, data.recipient, data.link_leaf, data.envelope_id) == (
        Event.FAILED,
        "recalled",
        house.world.party(BERTA),
        slot.link_leaf,
        item.id,
    )
    assert waits(house) == {CARLA: 1}
    assert house.run(lambda group: group.tx.account(BERTA)).waiting_bytes == 0
    assert recall(house, item.id) is None, "gone"
    assert one(house, item).item == first.item, "a retry gets the first answer, and nothing waits anew"
    assert waits(house) == {CARLA: 1}


def test_recalling_in_the_group_that_accepted(house: House) -> None:
    item, party = house.envelope(ALBA, [BERTA]), house.world.party(BERTA)
    answers = house.together(
        lambda group: group.submit(house.sender(ALBA), [item]),
        lambda group: group.recall(ALBA, item.id, party),
        lambda group: group.recall(ALBA, item.id, party),
    )
    assert isinstance(answers[1], Promise)
    assert answers[1].attestation.verify(house.registry).result == "recalled"
    assert answers[2] is None
    assert house.last.woken == frozenset()
    assert waits(house) == {}
    assert house.run(lambda group: group.tx.account(BERTA)).waiting_bytes == 0
    house.now += DAY
    assert house.run(lambda group: group.expire()) is False


@pytest.mark.parametrize("reason", ["handed over", "acknowledged", "unknown", "another's", "no recipient", "foreign"])
def test_recalling_in_vain(house: House, reason: str) -> None:
    envelope_id = house.send(ALBA, BERTA)
    if reason in {"handed over", "acknowledged"}:
        read(house, BERTA)
        house.restart()
    if reason == "acknowledged":
        acknowledge(house, BERTA, 1)
    asked = EnvelopeId(bytes(32)) if reason == "unknown" else envelope_id
    party = house.world.party(CARLA if reason == "no recipient" else BERTA)
    if reason == "foreign":
        party = Party(AssociationId(bytes(32)), BERTA)
    sender = CARLA if reason == "another's" else ALBA
    assert house.run(lambda group: group.recall(sender, asked, party)) is None
    assert waits(house) == ({} if reason == "acknowledged" else {BERTA: 1})


# -- expiry --------------------------------------------------------------------------------------------
def test_what_expires_is_erased_with_a_notice_to_its_sender(house: House) -> None:
    item = house.envelope(ALBA, [BERTA, CARLA], lifetime=50)
    one(house, item)
    read(house, CARLA)
    acknowledge(house, CARLA, 1)
    house.now += 49
    assert house.run(lambda group: group.expire()) is False
    assert waits(house) == {BERTA: 1}
    house.now += 1
    house.run(lambda group: group.expire())
    assert house.last.woken == {ALBA}
    assert house.last.tally.expired == 1
    (notice,) = read(house, ALBA)
    assert (notice.position, notice.core, notice.ciphertext, notice.slot) == (1, None, b"", None)
    data = notice.attestation.verify(house.registry)
    assert (data.event, data.result, data.recipient.member, data.envelope_id) == (
        Event.FAILED,
        "expired",
        BERTA,
        item.id,
    )
    assert waits(house) == {ALBA: 1}
    assert house.run(lambda group: group.tx.account(BERTA)).waiting_bytes == 0
    acknowledge(house, ALBA, 1)
    assert waits(house) == {}
    assert house.last.next_expiry is not None, "the batch signature of the notice"


def test_notices_are_beyond_quota(store: Store) -> None:
    house = House(store, world(Limits(14 * DAY, 1 << 30, 1, DAY, DAY)))
    house.send(CARLA, ALBA)
    assert codes(house, house.envelope(CARLA, [ALBA]), CARLA) == ["mailbox_full"]
    house.send(ALBA, BERTA, lifetime=5)
    house.now += 5
    house.run(lambda group: group.expire())
    assert [each.core is None for each in read(house, ALBA)] == [False, True]
    assert house.run(lambda group: group.tx.account(ALBA)).messages == 1


def test_a_notice_that_nobody_fetches_goes_after_one_lifetime(house: House) -> None:
    house.send(ALBA, BERTA, lifetime=5)
    house.now += 5
    house.run(lambda group: group.expire())
    assert house.last.next_expiry == int(house.now) + 14 * DAY
    house.now += 14 * DAY
    house.run(lambda group: group.expire())
    assert waits(house) == {}
    assert house.last.next_expiry is None, "an idle hub has nothing to wake for"


def test_expiry_goes_in_portions(house: House) -> None:
    items = [house.envelope(ALBA, [BERTA], lifetime=5) for _ in range(EXPIRE_AT_ONCE + 1)]
    house.submit(ALBA, *items)
    house.now += 5
    assert house.run(lambda group: group.expire()) is True
    assert house.run(lambda group: group.expire()) is False
    assert waits(house) == {ALBA: EXPIRE_AT_ONCE + 1}
    assert positions(read(house, ALBA)) == list(range(1, EXPIRE_AT_ONCE + 2))


def test_what_is_overdue_and_not_in_the_portion_can_still_be_read(house: House) -> None:
    for _ in range(EXPIRE_AT_ONCE + 2):
        house.send(ALBA, BERTA, lifetime=5)
    house.now += 5
    assert house.run(lambda group: group.expire()) is True
    assert len(read(house, BERTA)) == 2
    assert house.run(lambda group: group.expire()) is False
    assert read(house, BERTA) == []


def test_ids_are_remembered_until_expiry_and_no_longer(house: House, store: Store) -> None:
    item = house.envelope(ALBA, [BERTA], lifetime=5)
    one(house, item)
    read(house, BERTA)
    acknowledge(house, BERTA, 1)
    house.now += 5
    house.run(lambda group: group.expire())
    with transaction(store) as tx:
        assert tx.envelope(item.id) is None
        assert tx.next_expiry() is None
    assert codes(house, item) == ["bad_expiry"]


# -- jobs ----------------------------------------------------------------------------------------------
def test_a_job_that_raises_leaves_no_trace(house: House) -> None:
    kept, lost = house.envelope(ALBA, [BERTA]), house.envelope(ALBA, [BERTA])
    fresh = calendar(house.world, BERTA, int(house.now) + 5, epoch_at(int(house.now)), 3)

    def fail(group: Group) -> list[Result]:
        group.submit(house.sender(ALBA), [lost])
        group.publish(house.world.party(BERTA), fresh.raw)
        group.recall(ALBA, kept.id, house.world.party(BERTA))
        raise KeyError

    with pytest.raises(KeyError):
        house.together(lambda group: group.submit(house.sender(ALBA), [kept]), fail)
    assert house.last.tally.accepted == 1
    assert [each.core for each in read(house, BERTA)] == [kept.core]
    assert house.store_calendar(BERTA) != fresh.raw
    assert codes(house, lost) == ["accepted"]
    assert positions(read(house, BERTA)) == [1, 2]


# -- prekeys -------------------------------------------------------------------------------------------
def test_calendars_are_looked_up(house: House) -> None:
    found = house.run(lambda group: group.lookup([ALBA, "pt-pgr"]))
    assert found == [(ALBA, house.store_calendar(ALBA)), ("pt-pgr", None)]


def test_a_newer_calendar_counts_at_once(house: House) -> None:
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["accepted"]
    old = house.envelope(ALBA, [BERTA])
    house.now += 14 * DAY
    house.publish(BERTA)
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["accepted"]
    assert house.store_calendar(BERTA) != house.store_calendar(CARLA)
    assert codes(house, old) == ["bad_expiry"]


def publish(house: House, raw: bytes, member: str = BERTA) -> None:
    house.run(lambda group: group.publish(house.world.party(member), raw))


def test_the_same_calendar_again_is_fine(house: House) -> None:
    raw = house.store_calendar(BERTA)
    assert raw is not None
    publish(house, raw)


def test_calendars_that_are_refused(house: House) -> None:
    at, today = int(house.now), epoch_at(int(house.now))
    home, held = house.world, house.store_calendar(BERTA)
    assert held is not None
    cases: list[tuple[type[Exception], bytes]] = [
        (WrongSenderError, calendar(home, CARLA, at, today).raw),
        (StaleError, calendar(home, BERTA, at - 1, today).raw),
        (ConflictError, calendar(home, BERTA, at, today, breed="other").raw),
        (ConflictError, calendar(home, BERTA, at + 1, today, breed="other").raw),
        (ClockSkewError, calendar(home, BERTA, at + 3_601, today).raw),
        (SignatureError, held[:-1] + bytes([held[-1] ^ 1])),
    ]
    for error, raw in cases:
        with pytest.raises(error):
            publish(house, raw)
    assert house.store_calendar(BERTA) == held


def test_a_calendar_under_anothers_certificate(store: Store) -> None:
    home = World()
    home.certificates[BERTA] = home.certificates[CARLA]
    house = House(store, home, members=[])
    with pytest.raises(StandingError):
        house.publish(BERTA)


def test_a_restored_node_may_replace_its_keys(store: Store) -> None:
    home = World()
    house = House(store, home)
    house.now += 10
    home.log(home.open(BERTA, cause=Cause.RESTORED, opened_at=int(house.now)), at=int(house.now))
    house.publish(BERTA, breed="after the restore")
    assert codes(house, house.envelope(ALBA, [BERTA])) == ["accepted"]
