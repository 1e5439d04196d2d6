"""What all seeds share, made once in a process: an association, its hub's empty disk, a node's empty disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hub import memory_store as hub_memory
from hub.log import Log
from hub.store import transaction
from node.founding import Anchor
from node.memory_store import MemoryStore
from protocol.trust.registry import Entry
from protocol.trust.statements import Charter, Limits, Role, SignedStatement
from tests.simulator.hub_side import Keys
from tests.support.world import DAY, World

MEMBERS = ("ar-mpf", "br-mpf", "co-fgn", "es-fge")
NETWORK = "rfai"
MAILBOX_MESSAGES = 24
MAILBOX_BYTES = 1 << 22


@dataclass(frozen=True)
class Papers:
    """The association, and disks on which nothing happened yet."""

    world: World
    keys: Keys
    anchor: Anchor
    hub: hub_memory._Tables
    node: MemoryStore


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
def papers(*, cheap: bool, mailbox_messages: int = 100_000) -> Papers:
    """The association of all seeds; made while the doubles of `cheap` stand, or while they do not.

    `mailbox_messages` is what the charter lets wait for a member.
    """
    limits = Limits(14 * DAY, 1 << 30, mailbox_messages, DAY, 3 * DAY)
    world = _Founding(members=MEMBERS, limits=limits)
    world._logged(world.roster(NETWORK, MEMBERS))
    keys = Keys.of(world.hub_key.seeds(), (world.log_seed, world.log_ed25519_seed), world.name)
    signed = world.statements[0]
    if not isinstance(signed.statement, Charter):
        raise TypeError("leaf 0 is the charter")
    return Papers(world, keys, Anchor(signed, signed.statement), _hub_disk(world, keys), MemoryStore())


def _hub_disk(world: World, keys: Keys) -> hub_memory._Tables:
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
