"""Where everything stands at the moment at which a fault strikes: the columns of the coverage table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.model import LinkState
from node.tables import state
from node.uplink import Phase
from protocol.messages.message import Kind

if TYPE_CHECKING:
    from tests.simulator.town import NodeMachine, Town

SESSIONS = ("off", "connecting", "opening", "open", "no hub")
OUTBOX = ("queued", "held", "sealed", "relayed", "refused", "closing", "owed", "receipt out", "unmirrored", "idle")
MAILBOX = ("empty", "waiting", "handed over", "notice", "full")
COLUMNS = tuple(f"{of}:{what}" for of, all_of in (("s", SESSIONS), ("o", OUTBOX), ("m", MAILBOX)) for what in all_of)

_OF_A_LINE = ("line cut", "line dark", "frame")


def cannot_be(fault: str, column: str) -> bool:
    """Whether this fault finds nothing to break in this state, whoever waits for it."""
    if column == "s:connecting":
        return fault.startswith(_OF_A_LINE)  # there is no line yet
    # What does not run is not killed, and is not started on a disk that is full.
    return column == "s:no hub" and fault in {"hub killed", "hub loses power", "hub disk full"}


_LINKS = "SELECT count(*) FROM link WHERE kind = ? AND state = ? AND "


def cells(town: Town, member: str) -> set[str]:
    """The columns that hold for this member now."""
    node = town.nodes[member]
    return {f"s:{_session(town, node)}", *(f"o:{each}" for each in _outbox(node)), f"m:{_mailbox(town, member)}"}


def _session(town: Town, node: NodeMachine) -> str:
    if node.running is None or node.running.uplink is None:
        return "off"
    if town.hub.running is None:
        return "no hub"
    if node.running.uplink.state.phase is Phase.CONNECTED:
        return "open"
    return "opening" if town.wire_of(node.name) is not None else "connecting"


def _outbox(node: NodeMachine) -> set[str]:
    tx, found = node.tx, set()

    def is_any(sql: str, *parameters: int) -> bool:
        return bool(tx.all(sql, parameters)[0][0])

    message, receipt, opened = int(Kind.MESSAGE), int(Kind.RECEIPT), int(LinkState.OPEN)
    if is_any("SELECT count(*) FROM outbox WHERE id > ?", state.placed_upto(tx)):
        found.add("queued")
    if is_any("SELECT count(*) FROM waiting"):
        found.add("held")
    if is_any(_LINKS + "relayed = 0 AND hold IS NULL", message, opened):
        found.add("sealed")
    if is_any(_LINKS + "relayed = 1", message, opened):
        found.add("relayed")
    if is_any(_LINKS + "hold IS NOT NULL", message, opened):
        found.add("refused")
    if is_any("SELECT count(*) FROM number_out WHERE state = ?", int(LinkState.VOIDING)):
        found.add("closing")
    if is_any("SELECT count(*) FROM owed"):
        found.add("owed")
    if is_any(_LINKS + "1", receipt, opened):
        found.add("receipt out")
    if state.get(tx, "opening") is not None:
        found.add("unmirrored")
    return found or {"idle"}


def _mailbox(town: Town, member: str) -> str:
    tables = town.hub.disk.tables
    account = tables.accounts.get(member)
    if account is None or not tables.places.get(member):
        return "empty"
    # Who has as much in it as is free gets no more: for one sender a mailbox is full by half.
    if 2 * account.messages >= town.papers.world.registry.charter.limits.mailbox_messages:
        return "full"
    if account.messages == 0:
        return "notice"
    return "handed over" if account.handed_over > account.acknowledged else "waiting"
