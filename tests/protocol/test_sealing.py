"""Sealing and opening: who is meant opens everything, whatever else is tried opens nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.batch import sign_batch
from protocol.codec import encode
from protocol.errors import LimitError, MalformedError, OpenError, PeerError, UsageError
from protocol.messages.envelope import Core, Slot, Submission
from protocol.messages.message import Body, Kind, Link, Manifest
from protocol.messages.receipts import Consigned, LinkRef, Notice, Void, VoidReason
from protocol.names import Digest, Incarnation, MessageId
from protocol.sealing import Prekey, PreparedLink, Recipient, generate_prekey, open_envelope, seal
from protocol.signing import HashLabel, Label, fresh_salts
from protocol.trust.prekeys import epoch_at, prekey_hash
from tests.support.letters import RECIPIENT, SENDER, letter, message, prekey, view
from tests.support.mangling import flip
from tests.support.world import DAY, World

OTHER = "br-mpf"


@pytest.fixture(scope="module")
def world() -> Any:
    return World()


def addressed(world: Any, member: Any, epoch: Any = None) -> Any:
    day = epoch_at(world.now) if epoch is None else epoch
    public = prekey(world, member, day).public
    return Recipient(world.party(member), day, prekey_hash(world.association, member, day, public), public)


def prepared(world: Any, bodies: Any, members: Any = (RECIPIENT,), kind: Any = Kind.MESSAGE) -> Any:
    parties = [world.party(member) for member in members]
    start = (kind, world.party(SENDER), world.certificates[SENDER])
    manifest = Manifest.build(*start, parties, None, [view(world)], world.now + 90 * DAY, bodies)
    links = [Link.build(manifest, party, world.incarnations[SENDER], 1) for party in parties]
    raws = [link.raw for link in links]
    batch, proofs = sign_batch(
        world.key(SENDER), Label.LINKS, HashLabel.LINK_LEAF, world.association, raws, fresh_salts(len(raws))
    )
    return manifest, [PreparedLink(link, proof, batch) for link, proof in zip(links, proofs, strict=True)]


def submit(world: Any, bodies: Any, members: Any = (RECIPIENT,), kind: Any = Kind.MESSAGE, **more: Any) -> Any:
    manifest, links = prepared(world, bodies, members, kind)
    to = [(link, addressed(world, member)) for link, member in zip(links, members, strict=True)]
    return seal(*start(world), manifest, bodies, to, **more)


def start(world: Any) -> tuple[Any, Any, Any]:
    return world.party(SENDER), Submission(world.incarnations[SENDER], 9), world.now + 14 * DAY


def opened(world: Any, envelope: Any, member: Any = RECIPIENT) -> Any:
    (slot,) = [slot for slot in envelope.slots if slot.recipient.member == member]
    return open_envelope(envelope.core, envelope.ciphertext, slot, prekey(world, member), world.party(member))


def test_every_recipient_opens_its_own_slot_and_no_other(world: Any) -> None:
    bodies = [message(world, "uno"), message(world, "dos")]
    envelope = submit(world, bodies, (OTHER, RECIPIENT))
    envelope.core.check_ciphertext(envelope.ciphertext)
    assert (envelope.core.sender, envelope.core.submission.counter) == (world.party(SENDER), 9)
    for member in (OTHER, RECIPIENT):
        inside = opened(world, envelope, member)
        assert [each.body for each in inside.bodies] == bodies
        assert [each.content.body.text for each in inside.bodies] == ["uno", "dos"]
        assert inside.link.recipient == world.party(member)
        assert inside.first_acceptances == ()
    with pytest.raises(OpenError):
        open_envelope(
            envelope.core, envelope.ciphertext, envelope.slots[0], prekey(world, RECIPIENT), world.party(RECIPIENT)
        )


PARTS: Any = {
    Kind.RECEIPT: Consigned(5, LinkRef(Incarnation(1, 3), 1, 1, Digest(bytes(32)), Kind.MESSAGE)),
    Kind.VOID: Void(MessageId(bytes(16)), VoidReason.WITHDRAWN),
    Kind.NOTICE: Notice(((Incarnation(1, 3), 9),)),
}


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.name)
def test_other_kinds_say_what_they_said(world: Any, kind: Any) -> None:
    envelope = submit(world, [Body(bytes(32), PARTS[kind].encode())], kind=kind)
    (body,) = opened(world, envelope).bodies
    assert (body.part, body.content) == (PARTS[kind], None)


def test_an_empty_manifest_has_no_bodies(world: Any) -> None:
    assert opened(world, submit(world, [], kind=Kind.EMPTY)).bodies == ()


def test_first_acceptances_travel_with_what_is_sealed_again(world: Any) -> None:
    acceptance = letter(world).attestation
    envelope = submit(world, [message(world, "uno")], first_acceptances=[acceptance])
    assert opened(world, envelope).first_acceptances == (acceptance,)


def test_every_slot_has_one_size_whatever_it_wraps(world: Any) -> None:
    small = submit(world, [message(world, "uno")])
    large = submit(world, [message(world, "x" * 9_000)], (OTHER, RECIPIENT))
    assert {len(slot.wrap) for slot in (*small.slots, *large.slots)} == {1843}
    assert (len(small.ciphertext), len(large.ciphertext)) == (8192, 16_384)


def test_two_sealings_share_nothing_that_shows(world: Any) -> None:
    manifest, links = prepared(world, [message(world, "uno")])
    to = [(links[0], addressed(world, RECIPIENT))]
    one, two = (seal(*start(world), manifest, [message(world, "uno")], to) for _each in range(2))
    assert one.ciphertext[:24] != two.ciphertext[:24]
    assert one.core.id != two.core.id
    assert one.slots[0].wrap != two.slots[0].wrap
    assert content_key(world, one) != content_key(world, two)


def content_key(world: Any, envelope: Any) -> bytes:
    core, slot = envelope.core, envelope.slots[0]
    names = [core.association, core.id, core.sender.value(), slot.recipient.value()]
    info = encode(["valija/0 wrap", *names, slot.epoch, slot.prekey_hash, slot.link_leaf])
    return prekey(world, slot.recipient.member).unwrap(slot.wrap, info)[:32]


def test_what_does_not_fit_is_refused(world: Any) -> None:
    bodies = [message(world, text * 400_000) for text in "abc"]
    with pytest.raises(LimitError):
        submit(world, bodies)


def test_only_links_of_one_manifest_and_batch_share_an_envelope(world: Any) -> None:
    bodies = [message(world, "uno")]
    manifest, (link, other) = prepared(world, bodies, (RECIPIENT, OTHER))
    _again, (elsewhere, _other) = prepared(world, bodies, (RECIPIENT, OTHER))
    foreign, _links = prepared(world, [message(world, "dos")], (RECIPIENT, OTHER))
    to, to_other = addressed(world, RECIPIENT), addressed(world, OTHER)
    assert len(seal(*start(world), manifest, bodies, [(link, to), (other, to_other)]).slots) == 2
    for stated, links in [
        (manifest, []),
        (manifest, [(elsewhere, to), (other, to_other)]),
        (manifest, [(link, to_other)]),
        (foreign, [(link, to)]),
    ]:
        with pytest.raises(UsageError):
            seal(*start(world), stated, bodies, links)


@pytest.mark.parametrize("public", [bytes(1215), bytes(1217), bytes([255]) * 1216, None])
def test_a_prekey_that_is_none_is_refused(world: Any, public: Any) -> None:
    whole = prekey(world, RECIPIENT).public
    given = whole[:1184] + bytes(32) if public is None else public
    manifest, links = prepared(world, [message(world, "uno")])
    to = replace(addressed(world, RECIPIENT), public=given)
    with pytest.raises(MalformedError):
        seal(*start(world), manifest, [message(world, "uno")], [(links[0], to)])


# -- prekeys -------------------------------------------------------------------------------------------
def test_prekeys_are_fresh_and_come_back_from_their_secret() -> None:
    secret, public = generate_prekey()
    assert (len(secret), len(public)) == (96, 1216)
    assert Prekey(secret).public == public
    assert generate_prekey()[0] != secret


def test_a_prekey_shows_no_secret() -> None:
    secret, public = generate_prekey()
    shown = repr(Prekey(secret))
    assert public[:8].hex() in shown
    assert secret[:8].hex() not in shown


@pytest.mark.parametrize("size", [0, 95, 97])
def test_a_prekey_secret_has_96_bytes(size: Any) -> None:
    with pytest.raises(UsageError):
        Prekey(bytes(size))


def test_the_wrong_prekey_opens_nothing(world: Any) -> None:
    sent = letter(world)
    core, slot = Core.from_bytes(sent.core), Slot.from_bytes(sent.slot)
    tomorrow = prekey(world, RECIPIENT, epoch_at(world.now) + 1)
    for other in (prekey(world, OTHER), tomorrow):
        with pytest.raises(OpenError):
            open_envelope(core, sent.ciphertext, slot, other, sent.me)


def test_a_slot_opens_under_its_own_prekey_hash_alone(world: Any) -> None:
    # The key would open it: the slot just says that it is another one.
    sent = letter(world, prekey_hash=lambda _hash: bytes(32))
    with pytest.raises(OpenError):
        open_envelope(Core.from_bytes(sent.core), sent.ciphertext, Slot.from_bytes(sent.slot), sent.prekey, sent.me)


# -- damage --------------------------------------------------------------------------------------------
@cache  # no fixture: Hypothesis would print all of it
def sent() -> Any:
    return letter(World())


@given(st.sampled_from(["ciphertext", "slot"]), st.integers(0, 2**16 - 1))
def test_no_flipped_bit_opens(part: Any, bit: Any) -> None:
    it = sent()
    # The slot's first bytes say who is meant; whoever opens it knows that of itself.
    at = bit if part == "ciphertext" else max(bit % (8 * len(it.slot)), 8 * 44)
    damaged = replace(it, **{part: flip(getattr(it, part), at)})
    with pytest.raises((OpenError, PeerError)):
        opened_by_hand(damaged)


@given(st.integers(0, 8191))
def test_no_cut_ciphertext_opens(size: Any) -> None:
    with pytest.raises(OpenError):
        opened_by_hand(replace(sent(), ciphertext=sent().ciphertext[:size]))


def test_nothing_else_is_wrong_with_it() -> None:
    assert len(opened_by_hand(sent()).bodies) == 1


def opened_by_hand(given: Any) -> Any:
    return open_envelope(
        Core.from_bytes(given.core), given.ciphertext, Slot.from_bytes(given.slot), given.prekey, given.me
    )
