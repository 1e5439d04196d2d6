"""The targets of a node that lives: what a proven peer signs, and what its hub says, against its rules and its archive.

Both know the keys that they speak with, so that every input gets as far as the rules go.  Whatever they say, nothing is
raised, no message is archived twice, what stands in the archive can be told, and another member's letter still arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, Final

from node import reception, recovery
from node.calendars import Calendars
from node.courier import Courier
from node.mirror import Leaves
from node.status import State
from protocol.codec import encode, uint
from protocol.errors import StaleError, ValijaError
from protocol.messages.envelope import Attestation, AttestationData, Core, Slot, Submission, attest, read_code
from protocol.messages.message import Ack, Body, Header, Kind, Link
from protocol.messages.receipts import (
    Action,
    Consigned,
    Exceptional,
    HandedOver,
    LinkRef,
    Notice,
    Outcome,
    Rejected,
    Unopened,
    Void,
    VoidReason,
)
from protocol.names import Digest, EnvelopeId, Incarnation, MessageId, read_name
from protocol.sealing import Prekey
from protocol.session.frames import Welcome
from protocol.session.items import DeliverItem, ResultItem, Window
from protocol.trust.prekeys import PrekeyCalendar, epoch_at, sign_calendar
from protocol.trust.statements import Cause, Role
from tests.fuzz.mutate import blob, unpack
from tests.fuzz.reading import WORDS
from tests.fuzz.target import Target, refused_or, require
from tests.node.lab import Lab, Node, digest
from tests.node.test_exchange import submit
from tests.support.letters import letter, log_key, view
from tests.support.world import seed

PEER, OTHER, READER = "ar-mpf", "br-mpf", "co-fgn"
MAX_STEPS: Final = 6
MAX_PARTS: Final = 8
LAST: Final = 1 << 40
WIDE: Final = Window(1_000, 1 << 30)
_SIGNED_FOR: Final = {State.DELIVERED, State.ACKNOWLEDGED}
_UNREADABLE: Final = (ValijaError, ValueError, TypeError, LookupError, AttributeError, OverflowError)


class Scene:
    """A reader with letters to its peer, signed for, relayed and under way; and another member's letter, yet to come."""

    def __init__(self) -> None:
        self.lab = Lab(PEER, OTHER, READER)
        self.node: Node = self.lab[READER]
        self.sent = [self.node.write("k0", "recibido", PEER)]
        self.lab.settle(10)
        for _life in range(2):
            self.lab.log(self.lab.world.open(PEER, cause=Cause.RESTORED))
        self.lab.mirror_all()
        self.sent += [self.node.write(f"k{number}", f"abierto {number}", PEER) for number in (1, 2)]
        submit(self.lab, self.node)
        self.lab[OTHER].write("k4", "de otro miembro", READER)
        submit(self.lab, self.lab[OTHER])
        self.honest = self.lab.hub.queue(READER)[-1]
        self.view = view(self.lab.world)
        self.own = self.node.incarnation
        self.lives = self.lab.world.registry.incarnations(Role.NODE, PEER)
        rows = self.node.links(Kind.MESSAGE)
        self.links = [Link.from_bytes(each.raw) for each in rows]
        self.leaves = [Digest(each.leaf) for each in rows][-2:]
        cores = self.node.run(lambda ctx: ctx.tx.all("SELECT core FROM envelope ORDER BY id"))
        self.envelopes = [Core.from_bytes(row[0]).id for row in cores][-2:]
        self.calendars = Calendars()
        self.kept, self.checkpoint = self.node.store.snapshot(), self.node.mirror.checkpoint

    def afresh(self) -> Node:
        """The reader as it stood, its process started and its session open."""
        self.node.store.close()
        self.node.store, self.node.courier = self.kept.snapshot(), Courier()
        if self.node.mirror.checkpoint is not self.checkpoint:
            self.node.revive()
            self.checkpoint = self.node.mirror.checkpoint
        self.calendars = Calendars()
        self.node.run(lambda ctx: recovery.started(ctx.tx))
        self.open(self.lab.hub.welcome(READER), self.lab.hub.incarnation)
        return self.node

    def submit(self) -> None:
        """A letter goes to the hub, which has not answered: it is the last of the envelopes."""
        self.node.write("k5", "en camino", PEER)
        (item,) = self.node.run(lambda ctx: self.node.courier.prepare(ctx, self.lab.hub.calendars)).items
        self.envelopes[2:], self.leaves[2:] = [item.id], [Slot.from_bytes(item.slots[0]).link_leaf]

    def open(self, welcome: Welcome, hub: Incarnation) -> None:
        refused_or(lambda: self.node.run(lambda ctx: self.node.courier.session_opened(ctx, welcome, hub)), StaleError)

    def deliver(self, item: DeliverItem, find: Callable[[Digest], Prekey]) -> None:
        self.node.run(lambda ctx: reception.receive(ctx, [item], find))

    def go_on(self) -> None:
        """What the rules do of themselves, now and a while later."""
        for later in (0.0, 5.0, 7_200.0):
            self.lab.now += later
            self.node.run(self.node.courier.tick)
            self.node.run(lambda ctx: self.node.courier.prepare(ctx, self.lab.hub.calendars))
        self.lab.now -= 7_205.0


@cache
def scene() -> Scene:
    return Scene()


def _check(it: Scene) -> None:
    """What holds of the reader, whoever lied."""
    it.go_on()
    told = [it.node.deliveries(each) for each in it.sent]
    require(all(told), "a message of which nothing is told")
    require(told[0][0].state in _SIGNED_FOR, "delivered once, and not for ever")
    rows = it.node.run(lambda ctx: ctx.tx.all("SELECT count(*), count(DISTINCT message_id) FROM inbox"))
    require(rows[0][0] == rows[0][1], "a message that was archived twice")


def _other_arrives(it: Scene) -> None:
    """Whoever lied: what another member sealed is taken."""
    item = DeliverItem(LAST, it.honest.core, it.honest.ciphertext, it.honest.slot, it.honest.attestation)
    it.deliver(item, it.node.find_prekey)
    require("de otro miembro" in it.node.texts, "another member's letter was not taken")


# -- a peer ------------------------------------------------------------------------------------------------
def peer(data: bytes) -> None:
    """[[kind, life, first, ack, [[signed part, document]…]]…]: links that the peer signs and the hub hands on, in order."""
    try:
        steps = [_link(*each) for each in unpack(data)[:MAX_STEPS]]
    except _UNREADABLE:
        return
    it = scene()
    it.afresh()
    for number, (item, key) in enumerate(steps):
        it.deliver(DeliverItem(it.honest.position + number, *item), lambda _hash, key=key: key)  # type: ignore[misc]
    _check(it)
    _other_arrives(it)


Sealed = tuple[tuple[bytes, bytes, bytes, Attestation], Prekey]


def _link(kind: Any, life: Any, first: Any, ack: Any, parts: Any) -> Sealed:
    pairs = tuple((blob(part), blob(document)) for part, document in parts[:MAX_PARTS])
    said = None if ack is None else Ack.parse([list(scene().own.value()), ack] if isinstance(ack, int) else ack)
    return _sealed(Kind(kind), int(life), int(first), said, pairs)


@lru_cache(maxsize=256)
def _sealed(kind: Kind, life: int, first: int, ack: Ack | None, parts: tuple[tuple[bytes, bytes], ...]) -> Sealed:
    # The seeds and what is left of them in their neighbours come again and again.
    it = scene()
    bodies = [Body(seed("salt", str(number)), *each) for number, each in enumerate(parts)]

    def link(built: Link) -> Link:
        return _renumbered(built, it.lives[life % len(it.lives)], first, ack)

    made = letter(
        it.lab.world,
        (),
        sender=PEER,
        recipient=READER,
        kind=kind,
        audience=(READER,),
        views=lambda _views: [it.view],
        bodies=lambda _bodies: bodies,
        link=link,
    )
    return (made.core, made.ciphertext, made.slot, made.attestation), made.prekey


def _renumbered(built: Link, life: Incarnation, first: int, ack: Ack | None) -> Link:
    fields = list(unpack(built.raw))
    fields[4], fields[5], fields[7] = life.value(), first, None if ack is None else ack.value()
    return Link.from_bytes(encode(fields))


def _message(text: str, key: str) -> list[bytes]:
    it = scene()
    document = it.lab[PEER].document(text, READER)
    header = Header.build(MessageId(digest(key.encode())[:16]), it.lab.second, digest(document))
    return [header.raw, document]


def peer_seeds() -> Iterator[bytes]:
    it = scene()
    newest, number, at = len(it.lives) - 1, MessageId(digest(b"uno")[:16]), it.lab.second
    uno, dos, other = _message("uno", "uno"), _message("dos", "dos"), _message("otro", "uno")
    mine, own = it.sent[1], it.own

    def one(kind: Kind, first: int, *parts: Sequence[bytes], life: int = 0, ack: Any = None) -> list[Any]:
        return [int(kind), life, first, ack, [list(each) for each in parts]]

    def receipt(receipt: Any, first: int = 1) -> list[Any]:
        return one(Kind.RECEIPT, first, [receipt.encode(), b""])

    def void(first: int) -> list[Any]:
        return one(Kind.VOID, first, [Void(number, VoidReason.WITHDRAWN).encode(), b""])

    def notice(held: int, life: int = newest) -> list[Any]:
        return one(Kind.NOTICE, 1, [Notice(((own, held),)).encode(), b""], life=life)

    refs = [LinkRef.of(each) for each in it.links]
    taken = [Exceptional(refs[1].first_seq, Outcome.TAKEN, mine)]
    # Numbers begin behind the receipt that the peer signed before.
    yield encode([one(Kind.MESSAGE, 2, uno, dos), one(Kind.MESSAGE, 4, uno), one(Kind.MESSAGE, 2, other, dos)])
    yield encode([one(Kind.MESSAGE, 2, uno), void(2), one(Kind.MESSAGE, 9, other)])
    yield encode([void(7), one(Kind.MESSAGE, 7, uno), one(Kind.EMPTY, 9)])
    yield encode([one(Kind.MESSAGE, 2, dos, life=newest), notice(0), one(Kind.MESSAGE, 3, uno, life=newest)])
    yield encode([notice(1, 1), notice(0), one(Kind.MESSAGE, 2, uno, life=1), one(Kind.EMPTY, 2, ack=0)])
    yield encode([one(Kind.EMPTY, 2, ack=2), one(Kind.EMPTY, 2, ack=900), one(Kind.EMPTY, 2, ack=[[1, 99], 1])])
    for each in (
        *(Consigned(at, ref) for ref in refs),
        Consigned(at, refs[1], tuple(taken)),
        Consigned(at, LinkRef(own, 90, 1, refs[1].manifest_digest, Kind.MESSAGE)),
        Consigned(at, LinkRef(own, 2, 1, refs[1].manifest_digest, Kind.VOID)),
        Unopened(at, it.envelopes[-1], it.leaves[-1], Digest(seed("prekey")), Digest(seed("c")), "cannot_open"),
        Rejected(at, it.envelopes[-1], it.leaves[-1], "malformed"),
        HandedOver(at, mine, "antidrogas", None, Action.ACCEPTED, "visto"),
    ):
        yield encode([receipt(each, 2), receipt(each, 3), one(Kind.EMPTY, 4, ack=1)])
    yield encode([receipt(Consigned(at, refs[1]), 2), notice(0), receipt(Consigned(at, refs[1]), 4)])


# -- the hub -----------------------------------------------------------------------------------------------
def hub(data: bytes) -> None:
    """[[what, …]…]: words of a hub that holds its own keys and no other; what they are is told by `_WORDS`."""
    it = scene()
    it.afresh()
    it.submit()
    try:
        steps = [_WORDS[int(each[0]) % len(_WORDS)](*each[1:]) for each in unpack(data)[:MAX_STEPS]]
    except _UNREADABLE:
        return
    for step in steps:
        step(it)
    _check(it)
    states = [each.state for message in it.sent[1:] for each in it.node.deliveries(message)]
    require(State.DELIVERED not in states, "delivered by the hub's word")


Step = Callable[[Scene], None]


def _attestation(event: Any, mine: Any, envelope: Any, leaf: Any, member: Any, result: Any, at: Any) -> Attestation:
    """By numbers of what is the reader's, or by any bytes; of any certificate where that is bytes."""
    it = scene()
    own = it.lab.world.hub_certificate if mine is True else blob(mine)
    named = it.envelopes[envelope % len(it.envelopes)] if isinstance(envelope, int) else blob(envelope)
    place = it.leaves[leaf % len(it.leaves)] if isinstance(leaf, int) else blob(leaf)
    party = it.lab.world.party(member).value()
    return _attested(encode([0, int(event), own, named, party, place, result, at]))


@lru_cache(maxsize=256)
def _attested(data: bytes) -> Attestation:
    world = scene().lab.world
    read = AttestationData.from_bytes(data)
    return attest(world.hub_key, world.association, [read], [seed("attestation")])[0]


def _answer(envelope: Any, code: Any, said: Any) -> Step:
    it = scene()
    named = it.envelopes[envelope % len(it.envelopes)] if isinstance(envelope, int) else EnvelopeId(blob(envelope))
    item = ResultItem(named, None if code is None else read_code(code), tuple(_attestation(*each) for each in said[:4]))
    return lambda it: it.node.run(lambda ctx: it.node.courier.answered(ctx, [item]))


def _recalled(said: Any) -> Step:
    attestation = _attestation(*said)
    return lambda it: it.node.run(lambda ctx: it.node.courier.recalled(ctx, attestation))


def _noticed(position: Any, said: Any) -> Step:
    item = DeliverItem(min(uint(position, 63), LAST), None, b"", None, _attestation(*said))
    return lambda it: it.deliver(item, it.node.find_prekey)


def _delivered(position: Any, core: Any, ciphertext: Any, slot: Any, said: Any) -> Step:
    item = DeliverItem(min(uint(position, 63), LAST), blob(core), blob(ciphertext), blob(slot), _attestation(*said))
    return lambda it: it.deliver(item, it.node.find_prekey)


def _calendar(member: Any, raw: Any) -> Step:
    name, shown = read_name(member), blob(raw)

    def step(it: Scene) -> None:
        it.node.run(lambda ctx: it.calendars.take(ctx, name, shown))

    return step


def _log(size: Any, root: Any, at: Any, added: Any) -> Step:
    it = scene()
    true = it.lab.world.registry.root if root is None else blob(root)
    note = log_key(it.lab.world).note(log_key(it.lab.world).sign(int(size), true, int(at))).encode()
    leaves = Leaves([blob(entry) for entry, _raw in added[:8]], [blob(raw) for _entry, raw in added[:8]])

    def step(it: Scene) -> None:
        by_hand = it.lab.world.registry.charters[0]
        refused_or(lambda: it.node.run(lambda ctx: it.node.mirror.extend(ctx.tx, it.lab.second, note, leaves, by_hand)))

    return step


def _welcome(cursor: Any, highest: Any, life: Any) -> Step:
    known = None if highest is None else Submission.parse(highest)
    welcome, incarnation = Welcome(uint(cursor, 63), known, WIDE), Incarnation.parse(life)
    return lambda it: it.open(welcome, incarnation)


_WORDS: Final[tuple[Callable[..., Step], ...]] = (
    _answer,
    _recalled,
    _noticed,
    _delivered,
    _calendar,
    _log,
    _welcome,
)


def hub_seeds() -> Iterator[bytes]:
    it = scene()
    at, world, honest = it.lab.second, it.lab.world, it.honest
    place, next_place = it.honest.position, it.honest.position + 1

    def said(event: int, result: str, member: str = PEER, certificate: Any = True, which: int = 2) -> list[Any]:
        return [event, certificate, which, which, member, result, at]

    for event, result in (
        (1, "accepted"),
        (2, "mailbox_full"),
        (2, "prekey_unknown"),
        (2, "wrong_sender"),
        (3, "expired"),
    ):
        yield encode([[0, 2, None, [said(event, result)]], [1, said(event, result)], [2, place, said(event, result)]])
        yield encode([[1, said(event, result, which=1)], [2, place, said(event, result, which=1)]])
    yield encode([[0, 2, None, [said(1, "accepted", OTHER)]]])
    yield from (encode([[0, 2, code, []]]) for code in ("conflict", "limit_exceeded"))
    yield encode([[2, place, said(3, "recalled", certificate=seed("unseen"))], [2, next_place, said(3, "expired")]])
    leaf = Slot.from_bytes(honest.slot or b"").link_leaf
    accepted = [1, True, Core.from_bytes(honest.core or b"").id, leaf, READER, "accepted", at]
    whole: list[Any] = [honest.core, honest.ciphertext, honest.slot, accepted]
    yield encode([[3, place, *whole], [3, place, *whole], [3, next_place, *whole]])
    for key in (world.key(PEER), world.key(OTHER)):
        yield encode(
            [[4, PEER, sign_calendar(key, _built(it, at)).raw], [4, PEER, sign_calendar(key, _built(it, at + 9)).raw]]
        )
    size, root = world.registry.size, world.registry.root
    yield encode([[5, size, root, at, []], [5, size, seed("root"), at, []], [5, size - 1, root, at, []]])
    yield encode([[5, size + 1, seed("root"), at, [[world.entries[-1], world.statements[-1].raw]]]])
    yield encode(
        [
            [6, LAST, None, world.hub_incarnation.value()],
            [6, 0, None, [9, 9]],
            [6, 0, None, world.hub_incarnation.value()],
        ]
    )
    own = it.own
    yield encode(
        [[6, place, Submission(own, 900).value(), world.hub_incarnation.value()], [0, 2, None, [said(1, "accepted")]]]
    )


def _built(it: Scene, at: int) -> PrekeyCalendar:
    node, today = it.lab[PEER], epoch_at(it.lab.second)
    epochs = [(today + day, node.prekey(today + day).public) for day in range(2)]
    me = node.identity.me
    return PrekeyCalendar.build(me.association, me.member, node.identity.certificate, at, epochs)


TARGETS: Final = (
    Target("peer_word", peer, peer_seeds, words=WORDS, max_bytes=16_384),
    Target("hub_word", hub, hub_seeds, words=WORDS, max_bytes=32_768),
)
