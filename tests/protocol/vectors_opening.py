"""The vectors of opening: whole envelopes as a hub delivers them, with all that a reader needs to judge them (SPEC 9.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as altered

from protocol.codec import decode, encode
from protocol.messages.content import to_json
from protocol.messages.envelope import AttestationData, Core, Event, Slot, attest
from protocol.messages.message import Attachment, Body, Header, Kind, Link, Manifest
from protocol.messages.receipts import Consigned, LinkRef, Notice, Void, VoidReason
from protocol.names import Digest, EnvelopeId, Incarnation, MessageId
from protocol.opening import Received
from protocol.padding import pad
from protocol.signing import PrivateKey
from tests.protocol.vectors_primitives import Vectors, flip, seed
from tests.protocol.vectors_registry import put
from tests.support.letters import RECIPIENT, SENDER, Letter, content, letter, log_key, message, view
from tests.support.world import DAY, World, private_key
from tests.support.world import seed as world_seed

OTHER = "br-mpf"


def secret(world: World, member: str) -> str:
    """The 96 secret bytes of the member's prekey of the day, as `tests.support.letters.prekey` makes them."""
    day = str(world.now // DAY)
    return b"".join(world_seed(world.name, "prekey", member, day, str(part)) for part in range(3)).hex()


def case(name: str, sent: Letter, **more: Any) -> Vectors:
    told = {
        "name": name,
        "core": sent.core.hex(),
        "ciphertext": sent.ciphertext.hex(),
        "slot": sent.slot.hex(),
        "attestation": encode(sent.attestation.value()).hex(),
    }
    return told | more


def opening() -> Vectors:
    world = World()
    world.now += 3_600
    assert world.log(world.roster("rfai", [SENDER, RECIPIENT, OTHER])).applied
    me, first = world.party(RECIPIENT), letter(world)

    def received(name: str, sent: Letter) -> Vectors:
        return case(name, sent, expected=expected(sent.received(world.registry)))

    return {
        "description": "SPEC 9.6. `registry`: [entry, signed statement] of every leaf, replayed before any case; `me`: the recipient's party; "
        "`prekey`: the secret half of its only prekey, ML-KEM-768 seed (64) and X25519 key (32). A case gives what was delivered (what it leaves out is as in "
        "the first of `valid`), and may give `me`, `prekey` (nil: not held) or `leaves` (the registry is held up to so many) anew. Valid: what was received. Invalid: the first check that fails.",
        "registry": [
            [entry.hex(), signed.raw.hex()] for entry, signed in zip(world.entries, world.statements, strict=True)
        ],
        "me": [me.association.hex(), me.member],
        "prekey": secret(world, RECIPIENT),
        "valid": [received(name, sent) for name, sent in [("a message", first), *good(world)]],
        "invalid": [*outside(world, first), *inside(world)],
    }


def expected(received: Received) -> Vectors:
    """What a reader finds: parties by name, digests and bytes in hex."""
    manifest, link = received.manifest, received.link
    return {
        "sender": received.sender.member,
        "certificate": manifest.certificate.hex(),
        "kind": int(manifest.kind),
        "audience": [party.member for party in manifest.audience],
        "network": manifest.network,
        "manifest_digest": manifest.digest.hex(),
        "link": link.raw.hex(),
        "first_seq": link.first_seq,
        "accepted_at": received.accepted_at,
        "negatives": [signed.raw.hex() for signed in received.negatives],
        "bodies": [
            {
                "signed_part": each.body.signed_part.hex(),
                "content": each.body.content.decode(),
                "file_keys": [key.hex() for key in each.body.file_keys],
            }
            for each in received.bodies
        ],
    }


def one(part: Callable[[], Any]) -> Callable[[Any], list[Body]]:
    return lambda _bodies: [Body(seed("body salt"), part().encode())]


def good(world: World) -> list[tuple[str, Letter]]:
    body = message(world, "Con adjunto.")
    header = Header.from_bytes(body.signed_part)
    files = [Attachment(Digest(seed("cipher")), Digest(seed("plain")), 5)]
    attached = Header.build(header.message_id, world.now, header.content_digest, files).raw
    with_file = altered(body, signed_part=attached, file_keys=(seed("file key"),))
    link = LinkRef(world.incarnations[RECIPIENT], 1, 1, Digest(seed("manifest")), Kind.MESSAGE)
    void = Void(MessageId(seed("message", 16)), VoidReason.WITHDRAWN)
    revocation = world.revoke(world.certificates["es-fge"], world.now)
    return [
        ("two messages to a network", letter(world, ["uno", "dos"], audience=[RECIPIENT, OTHER], network="rfai")),
        ("a message with an attachment", letter(world, bodies=lambda _: [with_file])),
        ("a receipt", letter(world, kind=Kind.RECEIPT, bodies=one(lambda: Consigned(world.now, link)))),
        ("a void", letter(world, kind=Kind.VOID, bodies=one(lambda: void))),
        ("a notice", letter(world, kind=Kind.NOTICE, bodies=one(lambda: Notice(((Incarnation(1, 9), 4),))))),
        ("an empty link", letter(world, [], kind=Kind.EMPTY)),
        ("a view that tells of a revocation", letter(world, views=lambda _: [view(world, negatives=[revocation.raw])])),
        ("a message sealed again", sealed_again(world)),
    ]


def sealed_again(world: World, **changes: Any) -> Letter:
    """A letter that carries an acceptance of a minute before, of the same link leaf."""
    bodies = [message(world, "Otra vez.")]
    before = letter(world, bodies=lambda _: bodies)
    slot = Slot.from_bytes(before.slot)
    data = AttestationData.build(
        changes.pop("event", Event.ACCEPTED),
        world.hub_certificate,
        EnvelopeId(seed("first envelope")),
        slot,
        changes.pop("result", "accepted"),
        world.now - 60,
    )
    key = changes.pop("hub_key", world.hub_key)
    (first,) = attest(key, world.association, [data], [seed("first acceptance")])
    return letter(
        world,
        bodies=lambda _: bodies,
        manifest=lambda _: before.manifest,
        link=lambda _: before.link,
        values=lambda values: [*values[:3], [first.value()]],
    )


# -- what goes wrong before an envelope is open --------------------------------------------------------
def outside(world: World, sent: Letter) -> list[Vectors]:
    other = world.party(OTHER)

    def told(name: str, error: str, **changes: Any) -> Vectors:
        return {"name": name, "error": error} | changes

    def attested(name: str, error: str, *places: Any, key: PrivateKey | None = None) -> Vectors:
        value = decode(sent.attestation.data, 512)
        for path, new in places:
            value = put(value, path, new)
        data = AttestationData.from_bytes(encode(value))
        (attestation,) = attest(key or world.hub_key, world.association, [data], [seed("attestation")])
        return told(name, error, attestation=encode(attestation.value()).hex())

    def info(name: str, place: int, new: Any) -> Vectors:
        return case(f"wrap bound to {name}", letter(world, info=lambda it: put(it, (place,), new)), error="cannot_open")

    foreign = letter(World(name="iap"))
    return [
        told("core with a byte more", "malformed", core=sent.core.hex() + "00"),
        told("core of another version", "unsupported_version", core=(sent.core[:1] + b"\1" + sent.core[2:]).hex()),
        told("slot with a byte more", "malformed", slot=sent.slot.hex() + "00"),
        told("a changed ciphertext", "malformed", ciphertext=flip(sent.ciphertext, 100).hex()),
        told("a cut ciphertext", "malformed", ciphertext=sent.ciphertext[:4096].hex()),
        case("of another association", foreign, error="wrong_association"),
        attested("attestation of a rejection", "unverifiable", ((1,), 2), ((6,), "mailbox_full")),
        attested("attestation of another envelope", "unverifiable", ((3,), seed("other"))),
        attested("attestation for another recipient", "unverifiable", ((4,), other.value())),
        attested("attestation of another link leaf", "unverifiable", ((5,), seed("other"))),
        attested("attestation under an unknown certificate", "not_in_standing", ((2,), seed("other"))),
        attested("attestation after the certificate", "not_in_standing", ((7,), world.now + 400 * DAY)),
        attested("attestation by a node", "unverifiable", ((2,), world.certificates[OTHER]), key=world.key(OTHER)),
        attested("attestation by another key", "bad_signature", key=private_key("thief")),
        told(
            "attestation with another salt",
            "bad_proof",
            attestation=encode(put(decode(encode(sent.attestation.value()), 8192), (1,), bytes(32))).hex(),
        ),
        told("slot of another member", "wrong_recipient", me=[other.association.hex(), other.member]),
        told("no prekey held", "cannot_open", prekey=None),
        told("another prekey held", "cannot_open", prekey=secret(world, OTHER)),
        case(
            "a prekey hash that is not the prekey's",
            letter(world, prekey_hash=lambda _: Digest(seed("other"))),
            error="cannot_open",
        ),
        info("another label", 0, "valija/0 slot"),
        info("another association", 1, seed("other")),
        info("another envelope", 2, seed("other")),
        info("another sender", 3, list(other.value())),
        info("another recipient", 4, list(other.value())),
        info("another epoch", 5, 1),
        info("another prekey", 6, seed("other")),
        info("another link leaf", 7, seed("other")),
        case("another content key", letter(world, wrapped=lambda it: flip(it, 0)), error="cannot_open"),
    ]


# -- what goes wrong inside ----------------------------------------------------------------------------
def patched(at: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda it: it[:at] + data + it[at + len(data) :]


def inside(world: World) -> list[Vectors]:
    other = world.party(OTHER)
    after = a_roster(world)
    right = letter(world)
    wrong = Link.build(right.manifest, right.me, right.link.incarnation, 2).raw
    number = 66 + next(at for at in range(len(wrong)) if wrong[at] != right.link.raw[at])

    def told(name: str, error: str, **changes: Any) -> Vectors:
        return case(name, letter(world, **changes), error=error)

    def values(name: str, error: str, change: Callable[[Any], Any]) -> Vectors:
        return told(name, error, values=change)

    def link(name: str, place: int, new: Any) -> Vectors:
        return told(
            name, "unverifiable", link=lambda it: Link.from_bytes(encode(put(decode(it.raw, 254), (place,), new)))
        )

    def certificate(name: str, error: str, new: bytes, **changes: Any) -> Vectors:
        def change(it: Manifest) -> Manifest:
            return Manifest.from_bytes(encode(put(decode(it.raw, 1 << 20), (5,), new)))

        return told(name, error, manifest=change, **changes)

    def core(it: Core) -> Core:
        return Core.from_bytes(encode(put(decode(it.raw, 8192), (2,), other.value())))

    named = {"audience": [RECIPIENT, OTHER], "network": "rfai"}
    void = Body(seed("body salt"), Void(MessageId(bytes(16)), VoidReason.EXPIRED).encode(), b"x")
    return [
        told("link of 255 bytes", "malformed", wrapped=patched(64, b"\x00\xff")),
        told("padding of the link not zero", "malformed", wrapped=patched(319, b"\1")),
        told("index 4,096", "malformed", wrapped=patched(320, b"\x10\x00")),
        told("path of 13 hashes", "malformed", wrapped=patched(322, b"\x0d")),
        told("padding of the path not zero", "malformed", wrapped=patched(706, b"\1")),
        told("padding of the content not zero", "malformed", padded=lambda it: it[:-1] + b"\1"),
        told(
            "padding to twice the size", "non_canonical", padded=lambda it: it + bytes(len(pad(bytes(9_000))) - len(it))
        ),
        told("payload in another encoding", "non_canonical", payload=lambda it: b"\xdc\x00\x04" + it[1:]),
        values("payload of three", "malformed", lambda it: it[:3]),
        values("a body missing", "malformed", lambda it: [*it[:2], [], it[3]]),
        values("a body too many", "malformed", lambda it: [*it[:2], it[2] * 2, it[3]]),
        values("a content that is none", "malformed", lambda it: [*it[:2], [[*it[2][0][:2], b"{}", []]], it[3]]),
        values("a file key without a file", "malformed", lambda it: [*it[:2], [[*it[2][0][:3], [bytes(32)]]], it[3]]),
        told("a void with a content", "malformed", kind=Kind.VOID, bodies=lambda _: [void]),
        case("a view larger than held", letter(world), leaves=len(world.entries) - 1, error="view_ahead"),
        told("a view with another root", "forked_view", views=lambda _: [forked(world)]),
        told("a view that the log did not sign", "bad_signature", views=lambda it: [replace(it[0], size=999)]),
        told("a view with a roster as negative", "malformed", views=lambda _: [view(world, negatives=[after])]),
        told("a leaf that is not in the batch", "bad_proof", link_leaf=lambda _: Digest(seed("other"))),
        told("another link than its leaf", "bad_proof", wrapped=patched(number, b"\2")),
        told("a path that leads elsewhere", "bad_proof", proof=lambda it: replace(it, path=(bytes(32),) * 2)),
        told("another batch root", "bad_proof", batch=lambda it: replace(it, root=bytes(32))),
        told("a batch signed by another key", "bad_signature", key=private_key("thief")),
        certificate("an unknown certificate", "not_in_standing", seed("other")),
        certificate("a certificate of another member", "unverifiable", world.certificates[OTHER], key=world.key(OTHER)),
        certificate("the hub's certificate", "unverifiable", world.hub_certificate, key=world.hub_key),
        told("a core of another sender", "unverifiable", core=core, info=lambda it: put(it, (3,), other.value())),
        case(
            "a first acceptance of a failure",
            sealed_again(world, event=Event.FAILED, result="expired"),
            error="unverifiable",
        ),
        case(
            "a first acceptance by another key",
            sealed_again(world, hub_key=private_key("thief")),
            error="bad_signature",
        ),
        link("a link of another kind", 1, 3),
        link("a link of another manifest", 2, seed("other")),
        link("a link to another member", 3, list(other.value())),
        link("a link of an unregistered incarnation", 4, [1, 999]),
        link("a link of two", 6, 2),
        told("a body with another salt", "bad_proof", signed_bodies=lambda it: [altered(it[0], salt=bytes(32))]),
        told("another content", "bad_proof", bodies=lambda it: [altered(it[0], content=to_json(content("otra")))]),
        told("a content of another member", "unverifiable", bodies=lambda _: [message(world, "uno", OTHER)]),
        told("not in the audience", "audience_mismatch", audience=[OTHER]),
        told("a member of the network missing", "audience_mismatch", audience=[RECIPIENT], network="rfai"),
        told("a network that does not exist", "audience_mismatch", **{**named, "network": "other"}),
        told("a stranger to the network", "audience_mismatch", **{**named, "audience": [RECIPIENT, OTHER, "es-fge"]}),
    ]


def forked(world: World) -> Any:
    signed = log_key(world).sign(5, bytes(32), world.now)
    return replace(view(world), size=5, root=Digest(bytes(32)), cosignature=signed.cosignature)


def a_roster(world: World) -> bytes:
    return world.roster("rfai", [SENDER], version=2).raw
