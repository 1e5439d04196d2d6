"""Two session machines joined in memory, over a registry that knows one node and one hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from protocol.batch import BatchSignature
from protocol.bodies import Role
from protocol.errors import StandingError, UnknownMemberError
from protocol.messages import envelope
from protocol.messages.envelope import Attestation, AttestationData, Slot, attest
from protocol.names import AssociationId, EnvelopeId, Incarnation, Party, StatementId
from protocol.session.channel import Ephemeral
from protocol.session.frames import Acknowledge, Welcome
from protocol.session.items import DeliverItem, SubmitItem, Window
from protocol.session.machine import (
    Answer,
    Authenticated,
    Event,
    HubIdentity,
    HubSession,
    NodeIdentity,
    NodeSession,
    Opened,
)
from protocol.signing import PrivateKey
from protocol.trust.standing import CertificateRecord

NOW = 1_800_000_000
ASSOCIATION = AssociationId(bytes([0xA5]) * 32)
NODE = Party(ASSOCIATION, "ar-mpf")
PEER = Party(ASSOCIATION, "co-fgn")
NODE_CERTIFICATE = StatementId(bytes([0x11]) * 32)
PEER_CERTIFICATE = StatementId(bytes([0x12]) * 32)
HUB_CERTIFICATE = StatementId(bytes([0x22]) * 32)
CHARTER = StatementId(bytes([0x77]) * 32)
HUB = Party(ASSOCIATION, "")
LIFE = Incarnation(1, 7)
HUB_LIFE = Incarnation(1, 3)


def key(number: int) -> PrivateKey:
    return PrivateKey(bytes([number]) * 32, bytes([number + 100]) * 32)


NODE_KEY, PEER_KEY, HUB_KEY = key(1), key(2), key(3)
NODE_DRAW = Ephemeral(bytes([0x31]) * 32, bytes([0x41]) * 32)
HUB_DRAW = Ephemeral(bytes([0x32]) * 32, bytes([0x42]) * 32)


def record(certificate: StatementId, role: Role, party: Party, holder: PrivateKey) -> CertificateRecord:
    span = (NOW - 1000, NOW + 1000)
    return CertificateRecord(certificate, role, party, holder.public, *span, key(9).public, 1, NOW - 1000)


@dataclass
class FakeRegistry:
    """A registry of certificates that are in standing for a thousand seconds around NOW, and of two members."""

    charter_id: StatementId = CHARTER
    size: int = 12
    root: bytes = bytes([0x55]) * 32
    names: set[str] = field(default_factory=lambda: {"ar-mpf", "co-fgn"})
    records: dict[StatementId, CertificateRecord] = field(
        default_factory=lambda: {
            NODE_CERTIFICATE: record(NODE_CERTIFICATE, Role.NODE, NODE, NODE_KEY),
            PEER_CERTIFICATE: record(PEER_CERTIFICATE, Role.NODE, PEER, PEER_KEY),
            HUB_CERTIFICATE: record(HUB_CERTIFICATE, Role.HUB, HUB, HUB_KEY),
        }
    )

    def member(self, name: str) -> object:
        if name not in self.names:
            raise UnknownMemberError(name)
        return name

    def certificate_standing(self, statement_id: StatementId, at: int) -> CertificateRecord:
        found = self.records.get(statement_id)
        if found is None or not found.not_before <= at <= found.not_after:
            raise StandingError("certificate")
        return found


NODE_IDENTITY = NodeIdentity(NODE, NODE_CERTIFICATE, LIFE, NODE_KEY.sign)
HUB_IDENTITY = HubIdentity(ASSOCIATION, HUB_CERTIFICATE, HUB_LIFE, HUB_KEY.sign)
WIDE = Window(100, 4_000_000)
WELCOME = Welcome(5, None, WIDE)


def node_session(**changes: Any) -> NodeSession:
    registry = changes.pop("registry", None) or FakeRegistry()
    draw = changes.pop("draw", NODE_DRAW)
    return NodeSession(replace(NODE_IDENTITY, **changes), draw, registry)


def hub_session(**changes: Any) -> HubSession:
    registry = changes.pop("registry", None) or FakeRegistry()
    draw = changes.pop("draw", HUB_DRAW)
    return HubSession(replace(HUB_IDENTITY, **changes), draw, registry)


def answer(events: Sequence[Event]) -> bytes:
    """The bytes of the one event there is."""
    (event,) = events
    assert isinstance(event, Answer)
    return event.data


def opened(welcome: Welcome = WELCOME) -> tuple[NodeSession, HubSession]:
    """Both ends of a session that is open."""
    node, hub = node_session(), hub_session()
    finish = answer(node.receive(answer(hub.receive(node.start(NOW), NOW)), NOW))
    (authenticated,) = hub.receive(finish, NOW)
    assert isinstance(authenticated, Authenticated)
    (event,) = node.receive(hub.send(welcome), NOW)
    assert isinstance(event, Opened)
    return node, hub


def reading(position: int = 0, window: Window = WIDE) -> tuple[NodeSession, HubSession]:
    """The same, and the node reads its mailbox from `position` on."""
    node, hub = opened()
    hub.receive(node.send(Acknowledge(position, window)), NOW)
    return node, hub


# -- what frames carry -------------------------------------------------------------------------------
def attestations(count: int, batch: int = 0) -> list[Attestation]:
    """So many of one batch."""
    slot = Slot.build(PEER, 20_000, bytes(32), bytes([batch]) * 32, bytes(1843))
    envelope_id = EnvelopeId(bytes([batch]) * 32)
    data = [
        AttestationData.build(envelope.Event.ACCEPTED, HUB_CERTIFICATE, envelope_id, slot, "accepted", NOW + index)
        for index in range(count)
    ]
    return attest(HUB_KEY, ASSOCIATION, data, [bytes([index]) * 32 for index in range(count)])


_TWO = [attestations(5, batch) for batch in range(2)]
ATTESTED: list[Attestation] = [*_TWO[0], *_TWO[1]]
BATCHES: list[BatchSignature] = [each[0].batch for each in _TWO]


def item(number: int, slots: int = 1, size: int = 8192) -> SubmitItem:
    """An envelope as the session sees it; what is inside is not its business."""
    return SubmitItem(b"core %d" % number, bytes(size), tuple(b"slot %d" % each for each in range(slots)))


def delivery(position: int, size: int = 8192) -> DeliverItem:
    return DeliverItem(position, b"core", bytes(size), b"slot", ATTESTED[0])
