"""What all seeds share, made once in a process: an association, its hub's empty disk, a node's empty disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hub import memory_store as hub_memory
from hub.log import Log
from hub.memory_base import Tables
from hub.store import transaction
from keys.prekeys import _Held
from node.founding import Anchor
from node.memory_store import MemoryStore
from protocol.signing import PrivateKey
from protocol.trust.registry import Entry
from protocol.trust.statements import Charter, Limits, Role, SignedStatement
from tests.simulator.hub_side import Keys
from tests.support.world import DAY, World

MEMBERS = ("ar-mpf", "br-mpf", "co-fgn", "es-fge")
NETWORK = "rfai"


@dataclass(frozen=True, eq=False)
class Disks:
    """What the disks of a town hold."""

    hub: Tables
    archives: dict[str, MemoryStore]
    prekeys: dict[str, dict[bytes, _Held]]


@dataclass(frozen=True, eq=False)
class Papers:
    """The association of these members, and disks on which nothing happened yet."""

    members: tuple[str, ...]
    world: World
    keys: Keys
    anchor: Anchor
    disks: Disks
    signers: dict[str, PrivateKey]


class _Founding(World):
    """A world whose nodes have opened no incarnation yet: the simulated ones open their own."""

    def _set_up(self, member: str, role: Role) -> None:
        if role is Role.HUB:
            super()._set_up(member, role)
            return
        certificate = self.certify(member, role=role)
        self._logged(certificate)
        self.certificates[member] = certificate.id


@cache
def papers(members: tuple[str, ...], mailbox_messages: int, *, cheap: bool) -> Papers:
    """The association of many seeds; made while the doubles of `cheap` stand, or while they do not.

    `mailbox_messages` is what the charter lets wait for a member.
    """
    limits = Limits(14 * DAY, 1 << 30, mailbox_messages, DAY, 3 * DAY)
    world = _Founding(members=members, limits=limits)
    world._logged(world.roster(NETWORK, members))
    keys = Keys.of(world.hub_key.seeds(), (world.log_seed, world.log_ed25519_seed), world.name)
    signed = world.statements[0]
    if not isinstance(signed.statement, Charter):
        raise TypeError("leaf 0 is the charter")
    disks = Disks(_hub_disk(world, keys), {each: MemoryStore() for each in members}, {each: {} for each in members})
    signers = {each: world.key(each) for each in members}
    return Papers(members, world, keys, Anchor(signed, signed.statement), disks, signers)


def _hub_disk(world: World, keys: Keys) -> Tables:
    store = hub_memory.MemoryStore()
    log = Log(world.association, keys.log(_charter(world.statements[0])))
    for entry, signed in zip(world.entries, world.statements, strict=True):
        log.record(store, signed.raw, Entry.parse(entry).logged_at)
    with transaction(store) as tx:
        tx.put_incarnation(world.hub_incarnation)
    if log.registry.root != world.registry.root:
        raise ValueError("the hub's log is not the world's")
    return store._tables


def _charter(signed: SignedStatement) -> Charter:
    if not isinstance(signed.statement, Charter):
        raise TypeError("no charter")
    return signed.statement
