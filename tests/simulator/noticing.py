"""How much of what `tests.models.delivery` leaves out happens in a seed: each is noticed where the real cores do it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from unittest import mock

from hub.drafts import Tally
from hub.memory_store import MemoryTransaction
from node.tables import peers
from protocol.errors import MailboxFullError
from protocol.session.items import Window

if TYPE_CHECKING:
    from tests.simulator.town import NodeMachine, Town

LEFT_OUT: Final = (
    "batches",
    "windows",
    "quota",
    "purge",
    "clocks",
    "unnoticed rollback of a recipient",
    "forgotten numbers",
)

_admits, _purge = Window.admits, MemoryTransaction.purge


@contextmanager
def noticing(met: set[str]) -> Iterator[None]:
    """Meanwhile full windows and what the hub purges are added to `met`."""

    def admits(self: Window, envelopes: int, size: int) -> bool:
        found = _admits(self, envelopes, size)
        # A session that is not open yet admits nothing.
        if not found and self.envelopes:
            met.add("windows")
        return found

    def purge(self: MemoryTransaction, now: int) -> None:
        tables = self._tables
        before = len(tables.batches) + len(tables.items)
        _purge(self, now)
        if len(tables.batches) + len(tables.items) < before:
            met.add("purge")

    with mock.patch.object(Window, "admits", admits), mock.patch.object(MemoryTransaction, "purge", purge):
        yield


def committed(met: set[str], tally: Tally) -> None:
    """The hub has committed what this tells of."""
    if tally.refusals.get(MailboxFullError.code):
        met.add("quota")


def left_behind(met: set[str], town: Town, faults: set[str]) -> None:
    """At the end: what nodes have kept of it, and which of these `faults` struck."""
    if any(node.tx.all("SELECT 1 FROM link WHERE kind = 1 AND count > 1 LIMIT 1") for node in town.nodes.values()):
        met.add("batches")
    if any(_holds_more(reader, sender) for reader in town.nodes.values() for sender in town.nodes.values()):
        met.add("forgotten numbers")
    if faults & {"node clock jumps", "hub clock jumps"}:
        met.add("clocks")
    if "node rolled back unnoticed" in faults:
        met.add("unnoticed rollback of a recipient")


def _holds_more(reader: NodeMachine, sender: NodeMachine) -> bool:
    """Whether the reader holds a number that its sender has forgotten."""
    known, own = (_peer(reader, sender.name), _peer(sender, reader.name))
    return any(
        series.highest >= (peers.next_seq(sender.tx, own, series.incarnation) if own else 1)
        for series in (peers.all_series(reader.tx, known) if known else ())
    )


def _peer(node: NodeMachine, member: str) -> int:
    found = node.tx.all("SELECT id FROM peer WHERE member = ?", (member,))
    return int(found[0][0]) if found else 0
