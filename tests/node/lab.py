"""Nodes and a hub in one process: the real cores over memory stores, a clock that is turned by hand, and a line that
can be cut, delayed, doubled and put out of order.

lab = Lab("ar-mpf", "co-fgn")
lab["ar-mpf"].write("k1", "Se solicita el legajo.", "co-fgn")
lab.settle()                                               everything that can happen without a fault, receipts included
"""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from node import acceptance, reception, recovery, status, withdrawal
from node.acceptance import Request
from node.context import Context, Identity
from node.courier import Courier, Prepared
from node.memory_store import MemoryStore
from node.mirror import Leaves, Mirror
from node.status import Delivery, State
from node.store import Transaction
from node.tables import links, peers, state
from node.tables.links import LinkRow
from protocol.batch import Verified
from protocol.errors import OpenError
from protocol.messages.content import to_json
from protocol.messages.envelope import Attestation, AttestationData, Core, Event, Slot, Submission, attest
from protocol.messages.message import Kind
from protocol.names import Digest, Incarnation, MessageId, Party
from protocol.sealing import Prekey
from protocol.session.frames import Welcome
from protocol.session.items import DeliverItem, ResultItem, SubmitItem, Window
from protocol.signing import PrivateKey, fresh_salts
from protocol.trust.prekeys import PrekeyCalendar, epoch_at, prekey_hash
from protocol.trust.registry import Registry
from protocol.trust.statements import Cause, Role
from tests.support.letters import content, log_key
from tests.support.world import DAY, World, seed

T = TypeVar("T")
DESK = "antidrogas"
NONCE = b"n" * 16
WIDE = Window(1_000, 1 << 30)


# -- the hub ---------------------------------------------------------------------------------------------
@dataclass
class Mailbox:
    items: list[DeliverItem] = field(default_factory=list)
    top: int = 0
    cursor: int = 0

    def put(self, core: bytes | None, ciphertext: bytes, slot: bytes | None, attestation: Attestation) -> None:
        self.top += 1
        self.items.append(DeliverItem(self.top, core, ciphertext, slot, attestation))


@dataclass
class HubMemory:
    """What a backup of the hub holds."""

    mailboxes: dict[str, Mailbox] = field(default_factory=lambda: defaultdict(Mailbox))
    answers: dict[tuple[bytes, str], Attestation] = field(default_factory=dict)
    cores: dict[Submission, bytes] = field(default_factory=dict)
    highest: dict[str, Submission] = field(default_factory=dict)


class Hub:
    """The rules of SPEC 9.4 that nodes can see, and a hand that makes it lie."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.memory = HubMemory()
        self.incarnation = lab.world.hub_incarnation
        self.calendars: dict[str, PrekeyCalendar] = {}
        self.full: set[str] = set()
        self.refusing: dict[str, str] = {}
        self.whole: str | None = None
        self.window = WIDE

    def welcome(self, member: str) -> Welcome:
        return Welcome(self.memory.mailboxes[member].cursor, self.memory.highest.get(member), self.window)

    def submit(self, member: str, item: SubmitItem) -> ResultItem:
        core = Core.from_bytes(item.core)
        assert core.sender.member == member
        assert self.lab.second < core.expires_at <= self.lab.second + 14 * DAY
        if self.whole is not None:
            return ResultItem(core.id, self.whole, ())
        if self.memory.cores.setdefault(core.submission, core.raw) != core.raw:
            return ResultItem(core.id, "conflict", ())
        known = self.memory.highest.get(member)
        self.memory.highest[member] = max(known, core.submission) if known else core.submission
        return ResultItem(core.id, None, tuple(self._slot(core, item, Slot.from_bytes(raw)) for raw in item.slots))

    def _slot(self, core: Core, item: SubmitItem, slot: Slot) -> Attestation:
        member = slot.recipient.member
        before = self.memory.answers.get((core.id, member))
        if before is not None:
            return before
        code = self._refusal(slot)
        event = Event.ACCEPTED if code is None else Event.REJECTED
        attestation = self.attest(event, core.id, slot, code or "accepted")
        if code is None:
            self.memory.answers[core.id, member] = attestation
            self.memory.mailboxes[member].put(core.raw, item.ciphertext, slot.raw, attestation)
        return attestation

    def _refusal(self, slot: Slot) -> str | None:
        member = slot.recipient.member
        if member in self.refusing:
            return self.refusing[member]
        if member in self.full:
            return "mailbox_full"
        calendar = self.calendars.get(member)
        return None if calendar and calendar.hash(slot.epoch) == slot.prekey_hash else "prekey_unknown"

    def attest(
        self, event: Event, envelope_id: Any, slot: Slot, result: str, key: PrivateKey | None = None
    ) -> Attestation:
        world = self.lab.world
        data = AttestationData.build(event, world.hub_certificate, envelope_id, slot, result, self.lab.second)
        return attest(key or world.hub_key, world.association, [data], fresh_salts(1))[0]

    def queue(self, member: str) -> list[DeliverItem]:
        return self.memory.mailboxes[member].items

    def acknowledge(self, member: str, position: int) -> None:
        box = self.memory.mailboxes[member]
        box.cursor = max(box.cursor, position)
        box.items = [item for item in box.items if item.position > position]

    def drop(self, envelope_id: bytes, member: str, result: str) -> Attestation | None:
        box = self.memory.mailboxes[member]
        for item in box.items:
            if item.core is not None and item.slot is not None and Core.from_bytes(item.core).id == envelope_id:
                box.items.remove(item)
                return self.attest(Event.FAILED, Core.from_bytes(item.core).id, Slot.from_bytes(item.slot), result)
        return None

    def expire(self) -> None:
        """Drop what expired, with a notice to its sender."""
        for member, box in list(self.memory.mailboxes.items()):
            for item in [each for each in box.items if each.core is not None]:
                core = Core.from_bytes(item.core or b"")
                if core.expires_at <= self.lab.second:
                    attestation = self.drop(core.id, member, "expired")
                    assert attestation is not None
                    self.memory.mailboxes[core.sender.member].put(None, b"", None, attestation)

    def memory_copy(self) -> HubMemory:
        """A backup."""
        return copy.deepcopy(self.memory)

    def restart_from(self, memory: HubMemory) -> None:
        """Go back to a backup, or to nothing, in a new incarnation."""
        self.memory = copy.deepcopy(memory)
        self.lab.log(self.lab.world.open("", Role.HUB, cause=Cause.RESTORED))
        self.incarnation = self.lab.world.registry.incarnations(Role.HUB, "")[-1]
        for node in self.lab.nodes.values():
            node.cut()


# -- a node ------------------------------------------------------------------------------------------------
class Node:
    """One member's node: its store, its cores, its prekeys, and whether its line is up."""

    def __init__(self, lab: Lab, member: str) -> None:
        self.lab, self.member = lab, member
        world = lab.world
        self.identity = Identity(world.party(member), world.certificates[member], world.key(member))
        self.store = MemoryStore()
        self.life = 0
        self.verified = Verified()
        self.deaf: set[bytes] = set()
        self.blind = False
        self.revive()
        self.mirror_now()
        # The world opened the first incarnation already, under a statement of its own.
        self.run(lambda ctx: state.begin_incarnation(ctx.tx, world.incarnations[member]))
        self.publish()

    # -- the process -------------------------------------------------------------------------------------
    def run(self, work: Callable[[Context], T]) -> T:
        return self.store.run(lambda tx: work(self.context(tx)))

    def context(self, tx: Transaction) -> Context:
        return Context(tx, self.lab.now, self.identity, self.mirror, self.verified)

    def revive(self) -> None:
        """Start the process: what is not in the store is gone."""
        self.courier = Courier()
        self.store.run(recovery.started)
        self.mirror = self.store.run(lambda tx: Mirror.load(tx, self.lab.world.association))
        self.is_up = False

    def crash(self) -> None:
        self.cut()
        self.revive()

    def snapshot(self) -> MemoryStore:
        return self.store.snapshot()

    def restore(self, backup: MemoryStore, *, noticed: bool = True) -> None:
        """Go back to a backup; the prekeys are in none.  Unnoticed, nobody tells the node."""
        self.cut()
        self.store = backup.snapshot()
        self.life += noticed
        self.revive()
        if noticed:
            self.run(recovery.restored)
            self.publish()

    def mirror_now(self) -> None:
        if not self.blind:
            note, leaves, by_hand = self.lab.note(), self.lab.leaves(self), self.lab.world.registry.charters[0]
            done = self.run(lambda ctx: ctx.mirror.extend(ctx.tx, self.lab.second, note, leaves, by_hand))
            if done.added:
                self.retry_held()

    # -- keys ----------------------------------------------------------------------------------------------
    def prekey(self, epoch: int) -> Prekey:
        return _prekey(self.member, epoch, self.life)

    def publish(self) -> None:
        today = epoch_at(self.lab.second)
        epochs = [(epoch, self.prekey(epoch).public) for epoch in range(today, today + 2)]
        me = self.identity.me
        self.lab.hub.calendars[self.member] = PrekeyCalendar.build(
            me.association, me.member, self.identity.certificate, self.lab.second, epochs
        )

    def find_prekey(self, wanted: Digest) -> Prekey:
        today = epoch_at(self.lab.second)
        for epoch in range(today - 15, today + 2):
            if wanted not in self.deaf and self._hash(epoch) == wanted:
                return self.prekey(epoch)
        raise OpenError

    def _hash(self, epoch: int) -> bytes:
        return _prekey_hash(self.identity.me, epoch, self.prekey(epoch).public)

    # -- the line ------------------------------------------------------------------------------------------
    def connect(self) -> None:
        """Open a session, and a new incarnation if one is needed."""
        self.mirror_now()
        self.begin_if_needed()
        welcome = self.lab.hub.welcome(self.member)
        self.run(lambda ctx: self.courier.session_opened(ctx, welcome, self.lab.hub.incarnation))
        self.is_up = True
        self.begin_if_needed()
        self.lab.send("ack", self.member, self.cursor)

    def begin_if_needed(self) -> None:
        statement = self.run(lambda ctx: recovery.statement(ctx, NONCE))
        if statement is None or self.blind:
            return
        if self.mirror.registry.index_of(statement.id) is None:
            self.lab.log(statement)
        self.mirror_now()
        self.run(self.courier.incarnation_begun)

    def cut(self) -> None:
        """The line breaks: what is under way on it is lost."""
        self.is_up = False
        self.courier.session_closed()
        self.lab.frames = [frame for frame in self.lab.frames if frame[1] != self.member]

    @property
    def cursor(self) -> int:
        return self.run(lambda ctx: state.cursor(ctx.tx))

    def prepare(self) -> Prepared:
        prepared = self.run(lambda ctx: self.courier.prepare(ctx, self.lab.hub.calendars))
        for item in prepared.items:
            self.lab.send("submit", self.member, item)
        for member in prepared.wanted:
            self.run(partial(self._calendar_changed, member))
        return prepared

    def _calendar_changed(self, member: str, ctx: Context) -> None:
        self.courier.calendar_shown(ctx, member, is_new=True)

    def take(self, items: Sequence[DeliverItem]) -> None:
        done = self.run(lambda ctx: reception.receive(ctx, items, self.find_prekey))
        self.lab.send("ack", self.member, done)

    def retry_held(self) -> None:
        self.run(lambda ctx: reception.retry_held(ctx, self.find_prekey))

    # -- people --------------------------------------------------------------------------------------------
    def write(self, key: str, text: str, *members: str, **how: Any) -> MessageId:
        document = how.pop("document", None) or self.document(text, *members, **how.pop("fields", {}))
        request = Request(DESK, key, document, members, **how)
        return self.run(lambda ctx: acceptance.accept(ctx, request)).message_id

    def document(self, text: str, *members: str, **fields: Any) -> bytes:
        to = tuple(f"{member}@aiamp" for member in members) or ("#rfai@aiamp",)
        return to_json(content(text, self.member, to=to, **fields))

    def withdraw(self, message_id: MessageId) -> None:
        for each in self.run(lambda ctx: withdrawal.withdraw(ctx, message_id)):
            if self.is_up:
                dropped = self.lab.hub.drop(each.envelope_id, each.recipient.member, "recalled")
                self.recalled(dropped)

    def recalled(self, answer: Attestation | None) -> None:
        self.run(lambda ctx: self.courier.recalled(ctx, answer))

    def told(self, message_id: MessageId) -> dict[str | None, State]:
        """The state for each recipient."""
        return {each.party.member if each.party else None: each.state for each in self.deliveries(message_id)}

    def deliveries(self, message_id: MessageId) -> list[Delivery]:
        return self.run(lambda ctx: status.deliveries(ctx.tx, message_id, self.lab.second))

    @property
    def texts(self) -> list[str]:
        """What is in the inbox, in archive order."""
        rows = self.run(lambda ctx: ctx.tx.all("SELECT content FROM inbox ORDER BY id"))
        return [text_of(row[0]) for row in rows]

    @property
    def alarms(self) -> set[str]:
        return {alarm.code for alarm in self.run(lambda ctx: state.alarms(ctx.tx))}

    def links(self, *kinds: Kind) -> list[LinkRow]:
        """The links that this node signed, of these kinds or of all, oldest first."""
        wanted = kinds or tuple(Kind)
        rows = self.run(lambda ctx: [row[0] for row in ctx.tx.all("SELECT id FROM link ORDER BY id")])
        found = self.run(lambda ctx: [links.find(ctx.tx, row) for row in rows])
        return [link for link in found if link.kind in wanted]

    def count(self, table: str) -> int:
        return int(self.run(lambda ctx: ctx.tx.all(f"SELECT count(*) FROM {table}"))[0][0])  # noqa: S608

    def peer(self, member: str) -> peers.Peer:
        return self.run(lambda ctx: peers.meet(ctx.tx, self.lab.world.party(member)))

    @property
    def incarnation(self) -> Incarnation:
        current = self.run(lambda ctx: state.incarnation(ctx.tx))
        assert current is not None
        return current


_KEYS: dict[tuple[str, int, int], Prekey] = {}
_HASHES: dict[tuple[Party, int, bytes], bytes] = {}


def _prekey(member: str, epoch: int, life: int) -> Prekey:
    key = (member, epoch, life)
    if key not in _KEYS:
        _KEYS[key] = Prekey(b"".join(seed("prekey", *map(str, key), part) for part in "abc"))
    return _KEYS[key]


def _prekey_hash(party: Party, epoch: int, public: bytes) -> bytes:
    key = (party, epoch, public)
    if key not in _HASHES:
        _HASHES[key] = prekey_hash(party.association, party.member, epoch, public)
    return _HASHES[key]


def text_of(document: bytes) -> str:
    return document.split(b'"text":"', 1)[1].split(b'"', 1)[0].decode()


# -- all of them ---------------------------------------------------------------------------------------------
class Lab:
    """An association with its nodes connected; `frames` is what is under way: (kind, member, what)."""

    def __init__(self, *members: str, connected: bool = True) -> None:
        self.world = World(members=members or ("ar-mpf", "co-fgn"))
        self.now: float = self.world.now + 1_000.0
        self.frames: list[tuple[str, str, Any]] = []
        self._notes: dict[tuple[int, bytes, int], bytes] = {}
        self.hub = Hub(self)
        self.nodes = {member: Node(self, member) for member in members or ("ar-mpf", "co-fgn")}
        if connected:
            for node in self.nodes.values():
                node.connect()

    def __getitem__(self, member: str) -> Node:
        return self.nodes[member]

    @property
    def second(self) -> int:
        return int(self.now)

    # -- the registry ----------------------------------------------------------------------------------------
    def log(self, statement: Any) -> None:
        outcome = self.world.log(statement, self.second)
        assert outcome.applied, outcome.code

    def note(self, registry: Registry | None = None) -> bytes:
        seen = registry or self.world.registry
        what = (seen.size, seen.root, self.second)
        if what not in self._notes:
            key = log_key(self.world)
            self._notes[what] = key.note(key.sign(*what)).encode()
        return self._notes[what]

    def leaves(self, node: Node) -> Leaves:
        held = node.mirror.registry.size
        return Leaves(self.world.entries[held:], [each.raw for each in self.world.statements[held:]])

    def mirror_all(self) -> None:
        for node in self.nodes.values():
            node.mirror_now()

    # -- the line ----------------------------------------------------------------------------------------------
    def send(self, kind: str, member: str, what: Any) -> None:
        if self.nodes[member].is_up:
            self.frames.append((kind, member, what))

    def arrive(self, index: int = 0, *, keep: bool = False) -> None:
        """One frame arrives; `keep` leaves a copy of it under way."""
        kind, member, what = self.frames[index] if keep else self.frames.pop(index)
        node = self.nodes[member]
        if kind == "submit":
            self.send("results", member, self.hub.submit(member, what))
        elif kind == "results":
            node.run(lambda ctx: node.courier.answered(ctx, [what]))
        elif kind == "deliver":
            node.take([what])
        else:
            self.hub.acknowledge(member, what)

    def offer(self, member: str) -> None:
        """The hub sends all of a mailbox that is not under way."""
        under_way = {what.position for kind, whose, what in self.frames if (kind, whose) == ("deliver", member)}
        for item in self.hub.queue(member):
            if item.position not in under_way:
                self.send("deliver", member, item)

    def flow(self) -> bool:
        """Everything that can happen at this moment; whether anything did."""
        moved = False
        while True:
            for member, node in self.nodes.items():
                if node.is_up:
                    if node.mirror.registry.size < len(self.world.entries):
                        node.mirror_now()  # the hub tells its sessions that the log has grown
                    node.begin_if_needed()
                    node.prepare()
                    self.offer(member)
            if not self.frames:
                return moved
            moved = True
            while self.frames:
                self.arrive()

    def settle(self, seconds: float = 60.0) -> None:
        """Let time pass until nothing happens for so long, receipts, re-seals and all."""
        for node in self.nodes.values():
            if not node.is_up:
                node.connect()
            node.mirror_now()
        quiet = 0.0
        while quiet < seconds:
            self.now += 2.5
            quiet = 0.0 if self.flow() else quiet + 2.5

    def pass_time(self, seconds: float, step: float = 0.5 * DAY) -> None:
        """Let time pass as a running association does: fresh views and calendars, and whatever falls due."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.hub.expire()
            for node in self.nodes.values():
                node.mirror_now()
                node.publish()
                node.run(node.courier.tick)
            self.flow()


def tampered(item: DeliverItem) -> DeliverItem:
    """The item with one bit of its ciphertext turned round."""
    broken = bytearray(item.ciphertext)
    broken[-1] ^= 1
    return replace(item, ciphertext=bytes(broken))


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
