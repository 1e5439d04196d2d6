"""What must hold whatever happens; looked at after every commit, and at the end.

handed over once      a surviving archive holds a message once, from an author who wrote it to this member
in order              below the highest number of its series only what is marked late
one number            a number of a (sender, incarnation, recipient) names one message for ever
told truly            delivered is in the recipient's archive; withdrawn, expired, refused are not
proven                delivered, and whatever ended under a number, by a receipt that verifies and says so of that number
in its time           nothing expired before its author's hour, by the clocks as they were
empty                 when all is acknowledged the hub holds nothing
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node import status
from node.model import LinkState, Mark, pack
from node.status import Delivery, State
from node.store import Transaction
from protocol.batch import check_leaf
from protocol.errors import UnknownMessageError
from protocol.messages.message import Kind, body_root
from protocol.messages.receipts import Consigned, Outcome
from protocol.signing import Label
from tests.simulator.people import Asked

if TYPE_CHECKING:
    from tests.simulator.town import NodeMachine, Town

NEW_ROWS = (
    "SELECT i.id, i.message_id, i.mark, p.member, l.incarnation, l.first_seq + i.place FROM inbox i "
    "JOIN inlink l ON l.id = i.inlink JOIN peer p ON p.id = l.peer WHERE i.id > ? ORDER BY i.id"
)
OPEN_LINKS = (
    "SELECT l.id FROM link l WHERE l.kind IN (1, 3) AND l.state = ? "
    "AND l.count > (SELECT count(*) FROM number_out n WHERE n.link = l.id)"
)
NEWEST_NUMBER = (
    "SELECT l.incarnation, l.first_seq + p.place, m.digest FROM placement p JOIN outbox o ON o.id = p.message "
    "JOIN link l ON l.manifest = p.manifest JOIN manifest m ON m.id = l.manifest JOIN peer r ON r.id = l.peer "
    "WHERE o.message_id = ? AND r.member = ? ORDER BY l.id DESC LIMIT 1"
)
FORGOTTEN = Delivery(None, State.WITHDRAWN)
DONE = {State.DELIVERED, State.ACKNOWLEDGED, State.WITHDRAWN, State.EXPIRED, State.REFUSED}


class BrokenError(AssertionError):
    """An invariant does not hold; the first word names it."""


@dataclass
class Seen:
    """What an archive handed over: up to which row, which messages, and how far each series went."""

    upto: int = 0
    messages: set[tuple[str, bytes]] = field(default_factory=set)
    highest: dict[tuple[str, bytes], int] = field(default_factory=dict)


class Judge:
    """Watches one town."""

    def __init__(self, town: Town) -> None:
        """Nothing seen yet."""
        self.town = town
        self.seen: dict[str, Seen] = {}
        self.numbers: dict[tuple[str, str, bytes, int], bytes] = {}
        self.handed: dict[tuple[str, str, bytes], int] = {}

    # -- after every commit ------------------------------------------------------------------------------
    def look(self, node: NodeMachine) -> None:
        """A commit of this node is durable."""
        seen = self.seen.setdefault(node.name, Seen())
        for row, message, mark, sender, incarnation, seq in node.tx.all(NEW_ROWS, (seen.upto,)):
            self._arrived(node, seen, (message, Mark(mark), sender, incarnation, seq))
            seen.upto = row

    def _arrived(self, node: NodeMachine, seen: Seen, row: tuple[bytes, Mark, str, bytes, int]) -> None:
        message, mark, sender, incarnation, seq = row
        asked = self.town.people.by_message.get((sender, message))
        known = "?" if asked is None else self.town.people.name(asked)
        node.say(f"hands over {known} of {sender}, number {seq} {mark.name.lower()}")
        if asked is None or node.name not in asked.recipients:
            raise BrokenError(f"stranger: {known} was never written to {node.name}")
        if (sender, message) in seen.messages:
            raise BrokenError(f"twice: {known} at {node.name}")
        number = (node.name, sender, incarnation, seq)
        if self.numbers.setdefault(number, message) != message:
            raise BrokenError(f"number: {sender} used {seq} for {node.name} twice, the second time for {known}")
        series = (sender, incarnation)
        if seq <= seen.highest.get(series, 0) and mark is not Mark.LATE:
            raise BrokenError(f"order: {known} at {node.name} has number {seq} and no mark")
        seen.highest[series] = max(seq, seen.highest.get(series, 0))
        seen.messages.add((sender, message))
        self.handed[node.name, sender, message] = self.handed.get((node.name, sender, message), 0) + 1

    def went_back(self, node: NodeMachine) -> None:
        """The archive is an older one: what it does not hold was not handed over by it."""
        seen = self.seen[node.name] = Seen()
        for row, message, _mark, sender, incarnation, seq in node.tx.all(NEW_ROWS, (0,)):
            seen.messages.add((sender, message))
            seen.highest[sender, incarnation] = max(seq, seen.highest.get((sender, incarnation), 0))
            seen.upto = row

    # -- at the end --------------------------------------------------------------------------------------
    def unsettled(self) -> list[str]:
        """What is not closed yet."""
        found = [f"{self.town.people.name(each)} was never safe" for each in self._unsafe()]
        for asked in self._safe():
            deliveries = self._deliveries(asked)
            for recipient in asked.recipients:
                told = deliveries.get(recipient, deliveries.get(""))
                if told is None or told.state not in DONE:
                    state = "unknown" if told is None else f"{told.state} {told.reason or ''}".strip()
                    found.append(f"{self.town.people.name(asked)} for {recipient} is {state}")
        for name, node in self.town.nodes.items():
            owed = node.tx.all("SELECT count(*) FROM owed")[0][0]
            held = node.tx.all("SELECT code, count(*) FROM held GROUP BY code")
            voiding = node.tx.all("SELECT count(*) FROM number_out WHERE state = ?", (int(LinkState.VOIDING),))[0][0]
            # What goes again to a recipient that lost it is told as delivered all the while.
            unsigned = len(node.tx.all(OPEN_LINKS, (int(LinkState.OPEN),)))
            for what, count in (("owed", owed), ("voiding", voiding), ("open", unsigned), *held):
                if count:
                    found.append(f"{name}: {count} {what}")
        tables = self.town.hub.disk.tables
        if tables.items:
            waiting = sorted({member for member, _position in tables.items})
            found.append(f"the hub holds {len(tables.items)} items for {', '.join(waiting)}")
        return found

    def check(self) -> None:
        """Raise `BrokenError` for what is told wrongly, or not proven; call it once nothing is unsettled."""
        for asked in self._safe():
            deliveries = self._deliveries(asked)
            for recipient in asked.recipients:
                self._check_told(asked, recipient, deliveries.get(recipient) or deliveries[""])
        for envelope in self.town.hub.disk.tables.envelopes.values():
            if envelope.content is not None:
                raise BrokenError("hub: it keeps a ciphertext for which nobody waits")
        for member, account in self.town.hub.disk.tables.accounts.items():
            if account.messages or account.waiting_bytes:
                raise BrokenError(f"hub: it counts {account.messages} messages for {member}")

    def _safe(self) -> list[Asked]:
        return [each for each in self.town.people.asked.values() if each.is_safe]

    def _unsafe(self) -> list[Asked]:
        return [each for each in self.town.people.asked.values() if not each.is_safe and not each.refused]

    def _deliveries(self, asked: Asked) -> dict[str, Delivery]:
        node = self.town.nodes[asked.sender]
        try:
            told = status.deliveries(node.tx, asked.message, int(node.now()))
        except UnknownMessageError:
            told = []
        if not told and (asked.refused or not asked.asks_again):
            # A restored node forgot it, and its author did not ask again, or asked past its expiry.
            return {"": FORGOTTEN}
        return {each.party.member if each.party else "": each for each in told}

    def _check_told(self, asked: Asked, recipient: str, told: Delivery) -> None:
        if told is FORGOTTEN:
            return
        name = self.town.people.name(asked)
        has_it = bool(self.town.nodes[recipient].tx.all("SELECT 1 FROM inbox WHERE message_id = ?", (asked.message,)))
        is_delivered = told.state in {State.DELIVERED, State.ACKNOWLEDGED}
        if is_delivered and not has_it and not self._is_closed(asked, recipient):
            raise BrokenError(f"lost: {name} was told delivered, {recipient} does not have it")
        if has_it and not is_delivered:
            raise BrokenError(f"untrue: {name} was told {told.state}, {recipient} has it")
        if told.state is State.WITHDRAWN and not asked.is_withdrawn:
            raise BrokenError(f"untrue: {name} was told withdrawn, and nobody asked for it")
        if told.state is State.EXPIRED and (asked.request.expires_at is None):
            raise BrokenError(f"lost: {name} expired before its time")
        if told.state is State.REFUSED:
            raise BrokenError(f"lost: {name} was refused by {recipient}")
        numbered = self.town.nodes[asked.sender].tx.all(NEWEST_NUMBER, (asked.message, recipient))
        if told.receipt is not None and numbered:
            self._check_receipt(asked, recipient, told, *numbered[0])
        elif is_delivered or numbered or told.receipt is not None:
            raise BrokenError(f"unproven: {name} was told {told.state} without a receipt for a number")
        if told.state is State.EXPIRED:
            self._check_time(asked, recipient, told)

    def _is_closed(self, asked: Asked, recipient: str) -> bool:
        """Whether a recipient that forgot it has closed it since, for an author who wants it no more and has the receipt."""
        tx, sender = self.town.nodes[recipient].tx, self.town.nodes[asked.sender]
        closed = tx.all("SELECT 1 FROM received WHERE message_id = ? AND inbox IS NULL", (asked.message,))
        expires_at = asked.request.expires_at
        is_over = expires_at is not None and expires_at <= sender.now() + sender.most_wrong
        return (asked.is_withdrawn or is_over) and bool(closed)

    def _check_time(self, asked: Asked, recipient: str, told: Delivery) -> None:
        node, wrong = self.town.nodes[asked.sender], self.town.nodes[recipient].most_wrong
        at = status.said(node.tx, told.receipt).receipt.at if told.receipt else int(node.now())
        if at + node.most_wrong + wrong < (asked.request.expires_at or 0):
            raise BrokenError(f"untrue: {self.town.people.name(asked)} was told expired before its time")

    def _check_receipt(
        self, asked: Asked, recipient: str, told: Delivery, incarnation: bytes, seq: int, digest: bytes
    ) -> None:
        tx, world = self.town.nodes[asked.sender].tx, self.town.papers.world
        proof = status.signed_receipt(tx, told.receipt or (0, 0))
        proof.batch.verify(self.town.papers.signers[recipient].public, Label.LINKS, world.association)
        check_leaf(proof.link.leaf(proof.proof.salt), proof.proof, proof.batch)
        if proof.link.manifest_digest != proof.manifest.digest or proof.manifest.sender.member != recipient:
            raise BrokenError("unproven: a receipt whose link is of another manifest")
        if not isinstance(proof.receipt, Consigned):
            raise BrokenError("unproven: another receipt than one for a link")
        _check_number(proof.receipt, told, asked, (incarnation, seq, digest))
        _check_body(tx, told.receipt or (0, 0), proof)


def _check_number(receipt: Consigned, told: Delivery, asked: Asked, number: tuple[bytes, int, bytes]) -> None:
    """The receipt says of this number of ours what the author was told."""
    ref, (incarnation, seq, digest) = receipt.link, number
    name = f"{told.state} of number {seq}"
    if pack(ref.incarnation) != incarnation or seq not in ref.numbers:
        raise BrokenError(f"unproven: {name} by a receipt for another number")
    if ref.kind is Kind.MESSAGE and ref.manifest_digest != digest:
        raise BrokenError(f"unproven: {name} by a receipt for another link")
    delivered = told.state in {State.DELIVERED, State.ACKNOWLEDGED}
    if receipt.outcome(seq) is not (Outcome.DELIVERED if delivered else Outcome.VOID):
        raise BrokenError(f"unproven: {name} by a receipt that says {receipt.outcome(seq).name.lower()}")
    named = [each.message_id for each in receipt.exceptions if each.seq == seq]
    if named not in ([], [asked.message]):
        raise BrokenError(f"unproven: {name} by a receipt for another message")


def _check_body(tx: Transaction, where: tuple[int, int], proof: status.SignedReceipt) -> None:
    count = proof.manifest.count
    bodies = [status.signed_receipt(tx, (where[0], place)).body for place in range(count)]
    if body_root(bodies) != proof.manifest.root:
        raise BrokenError("unproven: a receipt that is not in its manifest")
