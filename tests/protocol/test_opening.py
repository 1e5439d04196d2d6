"""What a recipient checks (SPEC 9.6): one fault a case, and the exact error that it gives."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as altered

from protocol.batch import Verified
from protocol.codec import decode, encode
from protocol.errors import (
    AudienceError,
    ForkedViewError,
    LimitError,
    MalformedError,
    NonCanonicalError,
    OpenError,
    PeerError,
    ProofError,
    SignatureError,
    StandingError,
    VerificationError,
    VersionError,
    ViewAheadError,
    WrongAssociationError,
    WrongRecipientError,
)
from protocol.messages.content import to_json
from protocol.messages.envelope import AttestationData, Core, Event, Slot, attest
from protocol.messages.message import Attachment, Body, Header, Kind, Link, Manifest, View
from protocol.messages.receipts import Void, VoidReason
from protocol.names import Digest, EnvelopeId, MessageId
from protocol.opening import receive, verify
from protocol.padding import pad
from protocol.sealing import open_envelope
from protocol.signing import Label, PublicKey, fresh_salts
from protocol.trust.checkpoint import Cosignature, LogPrivateKey
from protocol.trust.statements import Role
from tests.support.letters import RECIPIENT, SENDER, content, letter, log_key, message, prekey, view
from tests.support.mangling import flip
from tests.support.world import DAY, World, private_key, seed

OTHER = "br-mpf"


@pytest.fixture(scope="module")
def world() -> Any:
    """Shared by the tests that leave it as it is."""
    return World()


@pytest.fixture
def own_world() -> Any:
    return World()


def test_a_letter_as_it_should_be_is_received(world: Any) -> None:
    sent = letter(world, ["uno", "dos"])
    received = sent.received(world.registry)
    assert received.sender == world.party(SENDER)
    assert received.certificate.id == world.certificates[SENDER]
    assert (received.manifest, received.link, received.proof) == (sent.manifest, sent.link, sent.proof)
    assert [body.content and body.content.body.text for body in received.bodies] == ["uno", "dos"]
    assert (received.accepted_at, received.attestation, received.negatives) == (world.now, sent.attestation, ())


# -- 1 to 3: before it is opened -----------------------------------------------------------------------
def test_a_malformed_core_or_slot_is_refused(world: Any) -> None:
    sent = letter(world)
    for change in [{"core": sent.core[:-1]}, {"slot": sent.slot + b"\0"}]:
        with pytest.raises(MalformedError):
            sent.received(world.registry, **change)


def test_an_envelope_of_another_version_is_refused(world: Any) -> None:
    sent = letter(world)
    with pytest.raises(VersionError):
        sent.received(world.registry, core=sent.core[:1] + b"\x01" + sent.core[2:])


def test_another_ciphertext_is_refused(world: Any) -> None:
    sent = letter(world)
    for ciphertext in (flip(sent.ciphertext, 70_000), bytes(8192), sent.ciphertext[:-1]):
        with pytest.raises(MalformedError):
            sent.received(world.registry, ciphertext=ciphertext)
    with pytest.raises(LimitError):
        sent.received(world.registry, ciphertext=bytes(2**21))


def test_an_envelope_of_another_association_is_refused(world: Any) -> None:
    foreign = World(name="iap")
    sent = letter(foreign)
    with pytest.raises(WrongAssociationError):
        sent.received(world.registry, me=world.party(RECIPIENT))


def changed_data(**places: Any) -> Any:
    def change(data: Any) -> Any:
        value: Any = decode(data.raw, 512)
        for place, item in places.items():
            value[int(place[1:])] = item
        return AttestationData.from_bytes(encode(value))

    return change


@pytest.mark.parametrize(
    "change",
    [
        {"event": Event.REJECTED, "result": "mailbox_full"},
        {"event": Event.FAILED, "result": "expired"},
        {"attestation_data": changed_data(_3=bytes(32))},
        {"attestation_data": changed_data(_5=bytes(32))},
    ],
)
def test_an_attestation_of_something_else_is_refused(world: Any, change: Any) -> None:
    with pytest.raises(VerificationError) as caught:
        letter(world, **change).received(world.registry)
    assert type(caught.value) is VerificationError


def test_an_attestation_for_another_recipient_is_refused(world: Any) -> None:
    other = changed_data(_4=list(world.party(OTHER).value()))
    with pytest.raises(VerificationError) as caught:
        letter(world, attestation_data=other).received(world.registry)
    assert type(caught.value) is VerificationError


def test_an_attestation_that_no_hub_signed_is_refused(world: Any) -> None:
    with pytest.raises(SignatureError):
        letter(world, hub_key=private_key("thief")).received(world.registry)


def test_an_attestation_with_a_wrong_path_is_refused(world: Any) -> None:
    with pytest.raises(ProofError):
        letter(world, attestation=lambda it: replace(it, proof=replace(it.proof, salt=bytes(32)))).received(
            world.registry
        )


def test_a_slot_of_another_member_is_refused(world: Any) -> None:
    sent = letter(world)
    with pytest.raises(WrongRecipientError):
        sent.received(world.registry, me=world.party(OTHER))


# -- 4: opening ----------------------------------------------------------------------------------------
def test_without_the_prekey_it_does_not_open(world: Any) -> None:
    sent = letter(world)

    def missing(_hash: Any) -> Any:
        raise OpenError

    with pytest.raises(OpenError):
        receive(sent.core, sent.ciphertext, sent.slot, sent.attestation, world.registry, sent.me, missing)
    with pytest.raises(OpenError):
        sent.received(world.registry, prekey=prekey(world, OTHER))


def test_the_prekey_is_asked_for_by_its_hash(world: Any) -> None:
    sent = letter(world)
    asked = []

    def find(prekey_hash: Any) -> Any:
        asked.append(prekey_hash)
        return sent.prekey

    receive(sent.core, sent.ciphertext, sent.slot, sent.attestation, world.registry, sent.me, find)
    assert asked == [Slot.from_bytes(sent.slot).prekey_hash]


@pytest.mark.parametrize("place", range(8))
def test_a_wrap_bound_to_something_else_does_not_open(world: Any, place: Any) -> None:
    def change(info: Any) -> Any:
        other = ["valija/1 wrap", bytes(32), bytes(32), [bytes(32), "xx"], [bytes(32), "xx"], 1, bytes(32), bytes(32)]
        return [*info[:place], other[place], *info[place + 1 :]]

    with pytest.raises(OpenError):
        letter(world, info=change).received(world.registry)


@pytest.mark.parametrize("place", [0, 31])
def test_a_wrap_with_another_content_key_does_not_open(world: Any, place: Any) -> None:
    with pytest.raises(OpenError):
        letter(world, wrapped=lambda it: flip(it, 8 * place)).received(world.registry)


# -- 5: form -------------------------------------------------------------------------------------------
LINK_AT, INDEX_AT, PATH_AT = 66, 320, 323


def patched(at: Any, data: Any) -> Any:
    return lambda it: it[:at] + data + it[at + len(data) :]


@pytest.mark.parametrize(
    "change",
    [
        patched(LINK_AT - 2, b"\xff\xff"),
        patched(LINK_AT - 2, (255).to_bytes(2, "big")),
        patched(INDEX_AT - 1, b"\1"),
        patched(INDEX_AT, b"\x10\x00"),
        patched(INDEX_AT + 2, b"\x0d"),
        patched(INDEX_AT + 2, b"\x01"),
        patched(706, b"\1"),
        lambda it: it[:-1] + b"\1",
    ],
)
def test_a_wrap_out_of_form_is_refused(world: Any, change: Any) -> None:
    with pytest.raises(MalformedError):
        letter(world, wrapped=change).received(world.registry)


def test_a_wrap_of_another_size_is_refused(world: Any) -> None:
    # Such a slot is not even one: the size of the wrap says so before anything is opened.
    with pytest.raises(MalformedError):
        letter(world, wrapped=lambda it: it + b"\0")


def test_padding_that_is_not_zero_is_refused(world: Any) -> None:
    with pytest.raises(MalformedError):
        letter(world, padded=lambda it: it[:-1] + b"\1").received(world.registry)


def test_more_padding_than_needed_is_refused(world: Any) -> None:
    def doubled(padded: Any) -> Any:
        whole = pad(bytes(9_000))
        return padded + bytes(len(whole) - len(padded))

    with pytest.raises(NonCanonicalError):
        letter(world, padded=doubled).received(world.registry)


def test_a_payload_in_another_encoding_is_refused(world: Any) -> None:
    with pytest.raises(NonCanonicalError):
        letter(world, payload=lambda it: b"\xdc\x00\x04" + it[1:]).received(world.registry)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda it: it[:3], MalformedError),
        (lambda it: [None, *it[1:]], MalformedError),
        (lambda it: [it[0], b"", *it[2:]], MalformedError),
        (lambda it: [it[0], it[1], [], it[3]], MalformedError),
        (lambda it: [it[0], it[1], it[2] * 2, it[3]], MalformedError),
        (lambda it: [it[0], it[1], it[2] * 257, it[3]], LimitError),
        (lambda it: [it[0], it[1], [it[2][0][:3]], it[3]], MalformedError),
        (lambda it: [it[0], it[1], [[*it[2][0][:3], [bytes(32)]]], it[3]], MalformedError),
        (lambda it: [it[0], it[1], [[*it[2][0][:2], b"{}", []]], it[3]], MalformedError),
        (lambda it: [*it[:3], [None]], MalformedError),
        (lambda it: [*it[:3], [None] * 129], LimitError),
    ],
)
def test_a_payload_out_of_form_is_refused(world: Any, change: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        letter(world, values=change).received(world.registry)
    assert type(caught.value) is error


def test_a_missing_file_key_is_refused(world: Any) -> None:
    body = message(world, "uno")
    header = Header.from_bytes(body.signed_part)
    attached = Header.build(
        header.message_id, 1, header.content_digest, [Attachment(Digest(bytes(32)), Digest(bytes(32)), 1)]
    )
    with pytest.raises(MalformedError):
        letter(world, bodies=lambda _: [altered(body, signed_part=attached.raw)]).received(world.registry)
    complete = altered(body, signed_part=attached.raw, file_keys=(bytes(32),))
    assert letter(world, bodies=lambda _: [complete]).received(world.registry).bodies[0].part == attached


VOID = Body(bytes(32), Void(MessageId(bytes(16)), VoidReason.EXPIRED).encode())


def test_a_void_is_received(world: Any) -> None:
    received = letter(world, kind=Kind.VOID, bodies=lambda _: [VOID]).received(world.registry)
    assert [each.part for each in received.bodies] == [Void(MessageId(bytes(16)), VoidReason.EXPIRED)]


@pytest.mark.parametrize("extra", [{"content": b"x"}, {"file_keys": (bytes(32),)}])
def test_only_messages_have_contents(world: Any, extra: Any) -> None:
    with pytest.raises(MalformedError):
        letter(world, kind=Kind.VOID, bodies=lambda _: [altered(VOID, **extra)]).received(world.registry)


# -- 6: the view ---------------------------------------------------------------------------------------
def test_a_larger_view_than_the_mirror_holds_the_envelope_until_it_caught_up(own_world: Any) -> None:
    mirror = own_world.mirror()
    own_world.log(own_world.roster("rfai", [SENDER, RECIPIENT]))
    sent = letter(own_world)
    with pytest.raises(ViewAheadError):
        sent.received(mirror)
    mirror.append(own_world.entries[-1], own_world.statements[-1])
    assert sent.received(mirror).manifest.view.size == mirror.size


def test_a_held_envelope_is_verified_later_without_its_prekey(own_world: Any) -> None:
    mirror = own_world.mirror()
    own_world.log(own_world.roster("rfai", [SENDER, RECIPIENT]))
    sent = letter(own_world)
    core, slot = Core.from_bytes(sent.core), Slot.from_bytes(sent.slot)
    opened = open_envelope(core, sent.ciphertext, slot, sent.prekey, sent.me)
    with pytest.raises(ViewAheadError):
        verify(opened, sent.attestation, mirror, sent.me)
    mirror.append(own_world.entries[-1], own_world.statements[-1])
    assert verify(opened, sent.attestation, mirror, sent.me) == sent.received(mirror)
    with pytest.raises(WrongRecipientError):
        verify(opened, sent.attestation, mirror, own_world.party(OTHER))


def test_a_certificate_that_the_mirror_has_not_got_yet_holds_the_envelope(own_world: Any) -> None:
    mirror = own_world.mirror()
    renewed = own_world.certify(SENDER, key=private_key("renewed"))
    own_world.log(renewed)
    own_world.certificates[SENDER] = renewed.id
    with pytest.raises(ViewAheadError):
        letter(own_world, key=private_key("renewed")).received(mirror)
    letter(own_world, key=private_key("renewed")).received(own_world.registry)


def test_another_root_at_a_size_held_is_a_fork(world: Any) -> None:
    def forked(views: Any) -> Any:
        signed = log_key(world).sign(5, bytes(32), world.now)
        return [replace(views[0], size=5, root=bytes(32), cosignature=signed.cosignature)]

    with pytest.raises(ForkedViewError):
        letter(world, views=forked).received(world.registry)


def test_an_older_view_is_fine(own_world: Any) -> None:
    before = own_world.mirror()
    own_world.log(own_world.roster("rfai", [SENDER, RECIPIENT]))
    received = letter(own_world, views=lambda _: [view(own_world, before)]).received(own_world.registry)
    assert [each.size for each in received.manifest.views] == [before.size]
    assert before.size < own_world.registry.size


@pytest.mark.parametrize("change", [{"size": 10**6}, {"root": bytes(32)}, {"cosignature": Cosignature(9, bytes(2420))}])
def test_a_view_that_the_log_did_not_sign_holds_nothing_up(world: Any, change: Any) -> None:
    with pytest.raises(SignatureError):
        letter(world, views=lambda views: [replace(views[0], **change)]).received(world.registry)


def test_a_view_signed_by_the_log_of_a_replaced_hub_is_still_good(own_world: Any) -> None:
    old = view(own_world)
    successor = LogPrivateKey("hub2.aiamp.example/registry", seed("new log"), seed("new log ed25519"))
    charter = own_world.next_charter().statement
    hub = replace(
        charter.hub,
        origin=successor.public.origin,
        log_key=successor.public.mldsa44,
        log_ed25519=successor.public.ed25519,
    )
    assert own_world.log(own_world.sign(replace(charter, hub=hub), own_world.stewards)).applied
    registry = own_world.registry
    signed = successor.sign(registry.size, registry.root, own_world.now)
    new = View(own_world.association, registry.size, registry.root, signed.cosignature)
    assert letter(own_world, views=lambda _: [old]).received(registry).manifest.view == old
    assert letter(own_world, views=lambda _: [new]).received(registry).manifest.view == new


def test_negatives_are_handed_over_for_the_registry_to_judge(own_world: Any) -> None:
    revocation = own_world.revoke(own_world.certificates[OTHER], own_world.now)
    received = letter(own_world, views=lambda _: [view(own_world, negatives=[revocation.raw])]).received(
        own_world.registry
    )
    assert received.negatives == (revocation,)
    assert own_world.registry.apply_on_sight(received.negatives[0])


@pytest.mark.parametrize("which", ["roster", "junk"])
def test_what_is_no_negative_has_no_place_in_a_view(world: Any, which: Any) -> None:
    raw = world.roster("rfai", [SENDER]).raw if which == "roster" else b"junk"
    with pytest.raises(MalformedError):
        letter(world, views=lambda _: [view(world, negatives=[raw])]).received(world.registry)


# -- 7: the signature ----------------------------------------------------------------------------------
def test_a_link_that_is_not_its_leaf_is_refused(world: Any) -> None:
    with pytest.raises(ProofError):
        letter(world, link_leaf=lambda _: bytes(32)).received(world.registry)


def test_another_link_than_the_batch_holds_is_refused(world: Any) -> None:
    sent = letter(world)
    other = Link.build(sent.manifest, sent.me, sent.link.incarnation, 2)
    number = next(at for at in range(len(other.raw)) if other.raw[at] != sent.link.raw[at])
    with pytest.raises(ProofError):
        letter(world, wrapped=patched(LINK_AT + number, b"\2")).received(world.registry)


@pytest.mark.parametrize("change", [{"index": 0}, {"path": ()}, {"path": (bytes(32),)}, {"path": (bytes(32),) * 2}])
def test_a_path_that_leads_elsewhere_is_refused(world: Any, change: Any) -> None:
    with pytest.raises(ProofError):
        letter(world, proof=lambda proof: replace(proof, **change)).received(world.registry)


def test_a_batch_root_or_signature_of_another_is_refused(world: Any) -> None:
    with pytest.raises(ProofError):
        letter(world, batch=lambda batch: replace(batch, root=bytes(32))).received(world.registry)
    with pytest.raises(SignatureError):
        letter(world, key=private_key("thief")).received(world.registry)


def test_links_are_not_signed_under_another_label(world: Any) -> None:
    def relabelled(batch: Any) -> Any:
        signature = world.key(SENDER).sign(
            Label.ACCEPTANCES, world.association, batch.root + batch.count.to_bytes(4, "big")
        )
        return replace(batch, signature=signature)

    with pytest.raises(SignatureError):
        letter(world, batch=relabelled).received(world.registry)


def certified(certificate: Any) -> Any:
    def change(manifest: Any) -> Any:
        value: Any = decode(manifest.raw, 65536)
        value[5] = certificate
        return Manifest.from_bytes(encode(value))

    return change


def test_a_certificate_of_another_member_or_of_the_hub_signs_nothing_here(world: Any) -> None:
    for certificate, key in [(world.certificates[OTHER], world.key(OTHER)), (world.hub_certificate, world.hub_key)]:
        with pytest.raises(VerificationError) as caught:
            letter(world, manifest=certified(certificate), key=key).received(world.registry)
        assert type(caught.value) is VerificationError


def test_an_unknown_certificate_is_refused(world: Any) -> None:
    with pytest.raises(StandingError):
        letter(world, manifest=certified(bytes(32))).received(world.registry)


def test_a_manifest_of_another_sender_than_the_envelope_is_refused(world: Any) -> None:
    def resealed(core: Any) -> Any:
        value: Any = decode(core.raw, 8192)
        value[2] = list(world.party(OTHER).value())
        return Core.from_bytes(encode(value))

    def info(value: Any) -> Any:
        return [*value[:3], world.party(OTHER).value(), *value[4:]]

    with pytest.raises(VerificationError) as caught:
        letter(world, core=resealed, info=info).received(world.registry)
    assert type(caught.value) is VerificationError


def test_a_revoked_certificate_signs_nothing_accepted_later(own_world: Any) -> None:
    assert own_world.log(own_world.revoke(own_world.certificates[SENDER], own_world.now - 1)).applied
    with pytest.raises(StandingError):
        letter(own_world).received(own_world.registry)


def sealed_again(
    world: Any,
    days: Any,
    first_at: Any,
    recipient: Any = RECIPIENT,
    event: Any = Event.ACCEPTED,
    key: Any = None,
    copies: Any = 1,
) -> Any:
    """A letter accepted at `first_at`, and sealed again with that acceptance `days` later."""
    bodies = [message(world, "uno")]
    first = letter(world, bodies=lambda _: bodies)
    slot = Slot.from_bytes(first.slot)
    slot = Slot.build(world.party(recipient), slot.epoch, slot.prekey_hash, slot.link_leaf, slot.wrap)
    result = "accepted" if event is Event.ACCEPTED else "expired"
    data = AttestationData.build(event, world.hub_certificate, EnvelopeId(bytes(32)), slot, result, first_at)
    acceptances = attest(key or world.hub_key, world.association, [data], fresh_salts(1)) * copies
    world.now += days * DAY
    return letter(
        world,
        manifest=lambda _: first.manifest,
        link=lambda _: first.link,
        bodies=lambda _: bodies,
        values=lambda values: [*values[:3], [acceptance.value() for acceptance in acceptances]],
    )


def test_a_certificate_is_judged_at_the_first_acceptance(own_world: Any) -> None:
    first_at = own_world.now
    sent = sealed_again(own_world, 5, first_at)
    assert own_world.log(own_world.revoke(own_world.certificates[SENDER], own_world.now - DAY)).applied
    assert sent.received(own_world.registry).accepted_at == first_at


def test_a_later_acceptance_does_not_stand_for_the_first(own_world: Any) -> None:
    sent = sealed_again(own_world, 5, own_world.now + 9 * DAY)
    assert sent.received(own_world.registry).accepted_at == own_world.now


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"recipient": OTHER}, VerificationError),
        ({"event": Event.FAILED}, VerificationError),
        ({"key": private_key("thief")}, SignatureError),
    ],
)
def test_a_first_acceptance_that_is_none_is_refused(own_world: Any, change: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        sealed_again(own_world, 5, own_world.now, **change).received(own_world.registry)
    assert type(caught.value) is error


def test_the_first_acceptances_of_others_are_passed_over(world: Any) -> None:
    foreign = letter(world, ["otra"], hub_key=private_key("thief"), link_leaf=lambda _: bytes(32)).attestation
    sent = letter(world, values=lambda values: [*values[:3], [foreign.value()]])
    assert sent.received(world.registry).accepted_at == world.now


# -- 8: the link ---------------------------------------------------------------------------------------
def relinked(**places: Any) -> Any:
    def change(link: Any) -> Any:
        value: Any = decode(link.raw, 254)
        for place, item in places.items():
            value[int(place[1:])] = item
        return Link.from_bytes(encode(value))

    return change


@pytest.mark.parametrize("change", [{"_1": 3}, {"_2": bytes(32)}, {"_4": [1, 999]}, {"_6": 2}])
def test_a_link_of_something_else_is_refused(world: Any, change: Any) -> None:
    with pytest.raises(VerificationError) as caught:
        letter(world, link=relinked(**change)).received(world.registry)
    assert type(caught.value) is VerificationError


def test_a_link_to_another_recipient_is_refused(world: Any) -> None:
    with pytest.raises(VerificationError) as caught:
        letter(world, link=relinked(_3=list(world.party(OTHER).value()))).received(world.registry)
    assert type(caught.value) is VerificationError


def test_an_incarnation_of_another_is_refused(world: Any) -> None:
    other = world.incarnations[OTHER]
    with pytest.raises(VerificationError) as caught:
        letter(world, link=relinked(_4=list(other.value()))).received(world.registry)
    assert type(caught.value) is VerificationError


def test_an_older_incarnation_of_the_sender_is_fine(own_world: Any) -> None:
    assert own_world.log(own_world.open(SENDER), own_world.now).applied
    assert (
        letter(own_world).received(own_world.registry).link.incarnation
        < own_world.registry.incarnations(Role.NODE, SENDER)[-1]
    )


# -- 9: the bodies -------------------------------------------------------------------------------------
def test_bodies_that_the_manifest_does_not_stand_for_are_refused(world: Any) -> None:
    for change in [lambda it: [altered(it[0], salt=bytes(32)), it[1]], lambda it: it[::-1]]:
        with pytest.raises(ProofError):
            letter(world, ["uno", "dos"], signed_bodies=change).received(world.registry)


def test_a_content_that_its_header_does_not_stand_for_is_refused(world: Any) -> None:
    other = to_json(content("otra"))
    with pytest.raises(ProofError):
        letter(world, bodies=lambda it: [altered(it[0], content=other)]).received(world.registry)


def test_a_content_in_the_name_of_another_member_is_refused(world: Any) -> None:
    with pytest.raises(VerificationError) as caught:
        letter(world, bodies=lambda _: [message(world, "uno", OTHER)]).received(world.registry)
    assert type(caught.value) is VerificationError


# -- 10: the audience ----------------------------------------------------------------------------------
def test_who_is_not_in_the_audience_is_refused(world: Any) -> None:
    with pytest.raises(AudienceError):
        letter(world, audience=[OTHER]).received(world.registry)


@pytest.fixture
def networked(own_world: Any) -> Any:
    assert own_world.log(own_world.roster("rfai", [SENDER, RECIPIENT, OTHER])).applied
    return own_world


def test_a_network_s_audience_is_its_roster_less_the_sender(networked: Any) -> None:
    received = letter(networked, audience=[RECIPIENT, OTHER], network="rfai").received(networked.registry)
    assert [party.member for party in received.manifest.audience] == sorted([RECIPIENT, OTHER])


@pytest.mark.parametrize(
    ("audience", "network"),
    [([RECIPIENT], "rfai"), ([RECIPIENT, OTHER, "es-fge"], "rfai"), ([RECIPIENT, OTHER], "other")],
)
def test_another_audience_than_the_network_s_is_refused(networked: Any, audience: Any, network: Any) -> None:
    with pytest.raises(AudienceError):
        letter(networked, audience=audience, network=network).received(networked.registry)


def test_a_roster_is_judged_at_the_size_of_the_view(networked: Any) -> None:
    before = networked.mirror()
    assert networked.log(networked.roster("rfai", [SENDER, RECIPIENT], version=2)).applied
    old = letter(networked, audience=[RECIPIENT, OTHER], network="rfai", views=lambda _: [view(networked, before)])
    old.received(networked.registry)
    with pytest.raises(AudienceError):
        letter(networked, audience=[RECIPIENT, OTHER], network="rfai").received(networked.registry)


# -- all of it -----------------------------------------------------------------------------------------
def test_signatures_are_computed_once(world: Any, monkeypatch: Any) -> None:
    calls = []
    compute = PublicKey.verify

    def counted(key: Any, label: Any, *rest: Any) -> Any:
        calls.append(label)
        compute(key, label, *rest)

    sent = letter(world)
    monkeypatch.setattr(PublicKey, "verify", counted)
    verified = Verified()
    for _each in range(3):
        receive(
            sent.core,
            sent.ciphertext,
            sent.slot,
            sent.attestation,
            world.registry,
            sent.me,
            lambda _: sent.prekey,
            verified,
        )
    assert calls == [Label.ACCEPTANCES, Label.LINKS]


@cache  # no fixture: Hypothesis would print all of it
def delivered() -> Any:
    world = World()
    return letter(world), world.registry


@given(st.sampled_from(["core", "ciphertext", "slot"]), st.integers(0, 2**16 - 1))
def test_no_flipped_bit_is_received(part: Any, bit: Any) -> None:
    sent, registry = delivered()
    with pytest.raises((PeerError, OpenError)):
        sent.received(registry, **{part: flip(getattr(sent, part), bit)})


@given(st.integers(0, 8 * 512))
def test_no_flipped_bit_of_an_attestation_is_received(bit: Any) -> None:
    sent, registry = delivered()
    with pytest.raises((PeerError, StandingError)):
        sent.received(registry, attestation=replace(sent.attestation, data=flip(sent.attestation.data, bit)))


@given(st.sampled_from(["core", "ciphertext", "slot"]), st.integers(0, 2**16))
def test_nothing_that_was_cut_is_received(part: Any, size: Any) -> None:
    sent, registry = delivered()
    whole = getattr(sent, part)
    with pytest.raises((PeerError, OpenError)):
        sent.received(registry, **{part: whole[: size % len(whole)]})
