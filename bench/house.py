"""Running daemons of one association, the case systems that speak to them, and what all of them use."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.client import CaseSystem
from tests.support.association import Association
from tests.support.processes import Daemon, Daemons

READY_SECONDS: Final = 120.0
DRIVER: Final = "driver"


class House:
    """The hub of an association, and the nodes that were started so far."""

    def __init__(self, association: Association, daemons: Daemons) -> None:
        self.association, self.daemons = association, daemons
        self.hub: Daemon = daemons.hub(association)

    def start(self, members: Sequence[str]) -> None:
        """Return once these members' nodes have a session, besides those that had one."""
        for member in members:
            if member not in self.daemons.nodes:
                self.daemons.node(self.association, member)
        self.daemons.ready(READY_SECONDS)

    def system(self, member: str, *, listens: bool = True) -> CaseSystem:
        """A case system for this member's node."""
        return CaseSystem(member, self.daemons.apis[member], self.association.tokens[member], listens=listens)

    @asynccontextmanager
    async def systems(self, members: Sequence[str]) -> AsyncIterator[dict[str, CaseSystem]]:
        """One case system at each of these members."""
        async with AsyncExitStack() as stack:
            yield {member: await stack.enter_async_context(self.system(member)) for member in members}


class Meter:
    """Counts from its making on: the hub's memory anew, and the processor time of every process."""

    def __init__(self, house: House) -> None:
        self._house = house
        house.hub.forget_peak()
        self._before = self._used()

    def _used(self) -> dict[str, float]:
        used = {daemon.name: daemon.cpu_seconds() for daemon in self._house.daemons.all if daemon.is_running()}
        return used | {DRIVER: time.process_time()}

    def shares(self, groups: Mapping[str, Sequence[str]], messages: int) -> dict[str, float]:
        """Microseconds a message for the hub, each group of members, and the driver; a new process counts from 0."""
        used = self._used()
        spent = {name: seconds - self._before.get(name, 0.0) for name, seconds in used.items()}
        named = {"hub": ["hub"], **groups, DRIVER: [DRIVER]}
        return {
            name: round(1e6 * sum(spent[member] for member in members) / messages, 1) for name, members in named.items()
        }

    @property
    def hub_peak_mib(self) -> float:
        """The most memory that the hub held."""
        return self._house.hub.peak_rss_mib()
