"""Targets behind the encryption: chunk streams, padding, wraps, and all that a recipient checks of what it opened.

Nobody gets there with random bytes.  So the target itself seals what the input says with keys that never change, and
on request repairs what hangs together (root, digests, counts, signature), so that one fault stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from protocol.batch import SALT_BYTES, sign_batch
from protocol.codec import encode
from protocol.errors import OpenError, UsageError
from protocol.limits import MAX_LINK_BYTES
from protocol.messages.envelope import Attestation, AttestationData, Core, Event, Slot, Submission, attest
from protocol.messages.message import Body, Kind, Link, Manifest, body_root
from protocol.messages.receipts import Consigned, LinkRef, Notice, Void, VoidReason
from protocol.names import Digest, MessageId
from protocol.opening import Received, receive
from protocol.padding import pad, padme, unpad
from protocol.sealing import CONTEXT, decrypt, encrypt
from protocol.signing import HashLabel, Label
from protocol.trust.prekeys import epoch_at, prekey_hash
from tests.fuzz.mutate import Shape, blob, pack, unpack
from tests.fuzz.reading import WORDS, one_of
from tests.fuzz.target import RECEIVING, Target, refused_or, require
from tests.protocol.vectors_primitives import seed
from tests.support.letters import RECIPIENT, SENDER, SUITE, Letter, hybrid_key, letter, message, prekey
from tests.support.world import DAY, World

KEY: Final = seed("fuzz content key")
CHUNK: Final = 16_384


# -- chunk streams ---------------------------------------------------------------------------------------
def stream(data: bytes) -> None:
    """A ciphertext that nobody made."""
    require(refused_or(lambda: decrypt(KEY, CONTEXT, data), OpenError) is None, "junk was opened")


def damaged(data: bytes) -> None:
    """[size, [[place, change]…], cut]: a true stream, changed."""
    try:
        size, edits, cut = unpack(data)
        size, edits = size % (3 * CHUNK), [(int(at), int(change)) for at, change in edits][:16]
        cut = int(cut)
    except (ValueError, TypeError, OverflowError):
        return
    plaintext = seed("plaintext", 64) * (size // 64 + 1)
    whole = _stream(plaintext[:size])
    changed = bytearray(whole)
    for at, change in edits:
        changed[at % len(whole)] ^= change & 0xFF
    end = len(whole) - cut % len(whole)
    given = bytes(changed[:end])
    opened = refused_or(lambda: decrypt(KEY, CONTEXT, given), OpenError)
    require((opened == plaintext[:size]) is (given == whole), "a stream that was changed was opened")


@cache
def _streams() -> dict[int, bytes]:
    return {}


def _stream(plaintext: bytes) -> bytes:
    held = _streams()
    if len(held) > 64:
        held.clear()
    return held.setdefault(len(plaintext), encrypt(KEY, CONTEXT, plaintext))


def padding(data: bytes) -> None:
    body = refused_or(lambda: unpad(data))
    if body is not None:
        require(pad(body) == data, "a padding that the sender would not make")
    require(unpad(pad(data)) == data, "padding lost something")
    size = int.from_bytes(data[:7], "big")
    require(size <= padme(size) <= size + size * 12 // 100 + 1, "PADMÉ of another size")


def chunk_seeds() -> Iterator[bytes]:
    for text in (b"", b"x", bytes(100)):
        yield b"\x00" + encrypt(KEY, b"another context", text)
        yield b"\x02" + pad(text)[:8_000]
    for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK):
        yield b"\x01" + encode([size, [], 0])
        yield b"\x01" + encode([size, [[0, 1], [24, 128]], 0])
        yield b"\x01" + encode([size, [], 16])


# -- a whole opening -------------------------------------------------------------------------------------
class Repair:
    """What the target puts right before it seals, one bit each."""

    ROOT, LINK, SIGNATURE, SALTED = 1, 2, 4, 8


@dataclass(frozen=True)
class Scene:
    """A world, and the links that its sender truly signed."""

    world: World
    signed: frozenset[bytes]


@cache
def scene() -> Scene:
    return Scene(_world(), frozenset(each.link.raw for each, _values in letters()))


@cache
def _world() -> World:
    world = World(members=(SENDER, RECIPIENT))
    world.log(world.roster("rfai", [SENDER, RECIPIENT]))
    return world


@cache
def letters() -> tuple[tuple[Letter, list[Any]], ...]:
    """Letters of every kind, with the values inside."""
    world = _world()
    number, link = MessageId(seed("m", 16)), letter(world).link
    consigned = Consigned(world.now, LinkRef.of(link))

    def of(part: bytes) -> dict[str, Any]:
        body = [Body(seed("salt"), part)]
        return {"bodies": lambda _bodies: body, "signed_bodies": lambda _bodies: body}

    made = []
    options: list[dict[str, Any]] = [
        {"texts": ("Se solicita el legajo.", "Segundo.")},
        {"network": "rfai"},
        {"kind": Kind.RECEIPT, **of(consigned.encode())},
        {"kind": Kind.VOID, **of(Void(number, VoidReason.EXPIRED).encode())},
        {"kind": Kind.NOTICE, **of(Notice(((world.incarnations[RECIPIENT], 4),)).encode())},
        {"kind": Kind.EMPTY, "bodies": lambda _bodies: [], "signed_bodies": lambda _bodies: []},
    ]
    for each in options:
        caught: list[Any] = []
        made.append((letter(world, values=partial(_caught, caught), **each), caught[0]))
    return tuple(made)


def _caught(caught: list[Any], values: Any) -> Any:
    caught.append(values)
    return values


def opening(data: bytes) -> None:
    """[repairs, values, link, [salt, index, path], event]: sealed by the sender, accepted by the hub, then received."""
    try:
        repairs, values, link, (salt, index, path), event = unpack(data)
        told, repairs = Event(int(event) % 3 + 1), int(repairs) & 0xF
        values, link = _repaired(repairs, values, link)
        if repairs & Repair.SIGNATURE:
            values, (salt, index, path) = _signed(values, link)
        wrapped = _wrapped(blob(link), blob(salt), int(index), [blob(each) for each in path])
        padded = pad(pack(values))
        leaf = Digest(Link.from_bytes(link).leaf(salt) if repairs & Repair.SALTED else seed("leaf"))
    except _UNREADABLE:
        return
    received = refused_or(lambda: _receive(padded, wrapped, leaf, told), RECEIVING)
    if received is not None:
        _check(received, link, resigned=bool(repairs & Repair.SIGNATURE))


_UNREADABLE: Final[tuple[type[Exception], ...]] = (
    *RECEIVING,
    UsageError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)


def _repaired(repairs: int, values: Any, link: Any) -> tuple[Any, Any]:
    if repairs & Repair.ROOT:
        manifest, bodies = unpack(values[1]), [Body.parse(each) for each in values[2]]
        manifest[10:12] = [len(bodies), body_root(bodies)]
        values = [values[0], pack(manifest), *values[2:]]
    if repairs & Repair.LINK:
        manifest, fields = Manifest.from_bytes(values[1]), unpack(link)
        fields[1:3] = [int(manifest.kind), manifest.digest]
        fields[6] = manifest.count
        link = pack(fields)
    return values, link


def _signed(values: Any, link: bytes) -> tuple[Any, tuple[bytes, int, tuple[bytes, ...]]]:
    it, salts = scene().world, [seed("one"), seed("two"), seed("three")]
    batch, proofs = sign_batch(
        it.key(SENDER), Label.LINKS, HashLabel.LINK_LEAF, it.association, [b"1", link, b"2"], salts
    )
    return [batch.value(), *values[1:]], proofs[1].value()


def _wrapped(link: bytes, salt: bytes, index: int, path: list[bytes]) -> bytes:
    if len(link) > MAX_LINK_BYTES or len(salt) != SALT_BYTES:
        raise ValueError
    joined = b"".join(path).ljust(384, b"\0")[:384]
    numbers = len(link).to_bytes(2, "big") + link.ljust(MAX_LINK_BYTES, b"\0") + index.to_bytes(2, "big")
    return KEY + salt + numbers + bytes([len(path)]) + joined


def _receive(padded: bytes, wrapped: bytes, leaf: Digest, event: Event) -> Received:
    it, me = scene().world, scene().world.party(RECIPIENT)
    author, mine = it.party(SENDER), prekey(it, RECIPIENT)
    ciphertext = encrypt(KEY, CONTEXT, padded)
    core = Core.build(author, Submission(it.incarnations[SENDER], 7), it.now + 14 * DAY, ciphertext)
    epoch = epoch_at(it.now)
    name = prekey_hash(it.association, RECIPIENT, epoch, mine.public)
    info: list[Any] = ["valija/0 wrap", it.association, core.id, author.value(), me.value(), epoch, name, leaf]
    wrap = SUITE.encrypt(wrapped, hybrid_key(mine.public), encode(info))
    slot = Slot.build(me, epoch, name, leaf, wrap)
    result = {Event.ACCEPTED: "accepted", Event.FAILED: "expired"}.get(event, "mailbox_full")
    data = AttestationData.build(event, it.hub_certificate, core.id, slot, result, it.now)
    attestation: Attestation = attest(it.hub_key, it.association, [data], [seed("attestation")])[0]
    return receive(core.raw, ciphertext, slot.raw, attestation, it.registry, me, lambda _hash: mine)


def _check(received: Received, link: bytes, *, resigned: bool) -> None:
    it = scene().world
    require(resigned or link in scene().signed, "a link that its sender never signed")
    require(received.sender == it.party(SENDER), "another sender")
    require(received.link.recipient == it.party(RECIPIENT), "another recipient")
    require(it.party(RECIPIENT) in received.manifest.audience, "outside the audience")
    require(len(received.bodies) == received.link.count == received.manifest.count, "another count")
    require(body_root([each.body for each in received.bodies]) == received.manifest.root, "bodies of another root")
    for each in received.bodies:
        content = each.content
        require(content is None or content.origin.member == SENDER, "a content in another's name")


def opening_seeds() -> Iterator[bytes]:
    for each, values in letters():
        place: list[Any] = [each.proof.salt, each.proof.index, list(each.proof.path)]
        for repairs in (Repair.SALTED, 0xF, Repair.SALTED | Repair.SIGNATURE):
            yield encode([repairs, values, each.link.raw, place, 0])
    world = _world()
    foreign = letter(world, ["x"], bodies=lambda _bodies: [message(world, "x", RECIPIENT)])
    yield encode([0xF, letters()[0][1], foreign.link.raw, [foreign.proof.salt, 1, list(foreign.proof.path)], 0])


TARGETS: Final = (
    Target("chunks", one_of(stream, damaged, padding), chunk_seeds, Shape.RAW, head=1, max_bytes=20_000),
    Target("opening", opening, opening_seeds, words=WORDS, max_bytes=32_768),
)
