"""The opening of a session: two hellos, one transcript, two keys (SPEC section 11.1).

    ClientHello    node, certificate, share of X25519, clock, what it knows of the registry        plain
    ServerHello    the same of the hub, and its signature of both hellos                           plain
    transcript   = H("valija/0 session", ClientHello || ServerHello)
    keys         = HKDF-SHA256(X25519 result, salt = transcript, 64 bytes) = k_node || k_hub

The hub has proved itself with its hello, before the node sends anything under the keys; the node proves itself
by a signature of the transcript, as the first message under them.  So a hello that is replayed or altered, or a
share that is exchanged on the way, ends with keys that differ or a signature that does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from protocol.bodies import Role
from protocol.codec import VERSION, Value, binary, decode, encode, fields, optional, uint, versioned
from protocol.errors import (
    ClockSkewError,
    SignatureError,
    StandingError,
    VersionError,
    WrongAssociationError,
    WrongHubError,
)
from protocol.limits import CLOCK_REFUSE_SECONDS, MAX_HELLO_BYTES
from protocol.names import AssociationId, Incarnation, Party, StatementId, read_digest, read_name
from protocol.session.channel import NONCE_BYTES, SHARE_BYTES, Ephemeral
from protocol.signing import HashLabel, Label, PublicKey, Signature, digest
from protocol.trust.standing import CertificateRecord


class Part(IntEnum):
    """As what somebody opens a session; version 0 hubs know members alone."""

    MEMBER = 1
    WITNESS = 2
    HANDOVER = 3
    HUB = 4


class Sign(Protocol):
    """Signs with the key of a certificate, wherever that key is kept."""

    def __call__(self, label: Label, association: bytes, message: bytes) -> Signature:
        """The signature; `KeyAccessError` if the key can not be used."""
        ...


class KnownRegistry(Protocol):
    """The registry as one side holds it (`protocol.trust.registry.Registry`)."""

    @property
    def charter_id(self) -> StatementId:
        """The newest charter."""
        ...

    @property
    def size(self) -> int:
        """How many entries it holds."""
        ...

    @property
    def root(self) -> bytes:
        """The Merkle root over them."""
        ...

    def member(self, name: str) -> object:
        """The member of this name; `UnknownMemberError` if none was ever admitted."""
        ...

    def certificate_standing(self, statement_id: StatementId, at: int) -> CertificateRecord:
        """The certificate, if it is in standing at `at` (Unix seconds); else `StandingError`."""
        ...


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """How far somebody's mirror of the registry has come: newest charter, size and root."""

    charter: StatementId
    size: int
    root: bytes

    @classmethod
    def of(cls, registry: KnownRegistry) -> RegistryFacts:
        """Those of `registry` now."""
        return cls(registry.charter_id, registry.size, registry.root)


# -- hellos ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a node says first; made by `build` or `from_bytes`."""

    association: AssociationId
    member: str
    certificate: StatementId
    incarnation: Incarnation | None
    nonce: bytes
    share: bytes
    clock: int
    facts: RegistryFacts
    raw: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> ClientHello:
        """The hello in `raw`; raises what `decode` does, `VersionError` also for another part than a member's."""
        association, part, member, certificate, incarnation, *rest = versioned(decode(raw, MAX_HELLO_BYTES), 11)
        nonce, share, clock, *facts = rest
        if uint(part, 63) != Part.MEMBER:
            raise VersionError("the part that the other side would play")
        return cls(
            AssociationId(read_digest(association)),
            read_name(member),
            StatementId(read_digest(certificate)),
            optional(incarnation, Incarnation.parse),
            binary(nonce, NONCE_BYTES),
            binary(share, SHARE_BYTES),
            uint(clock, 63),
            _read_facts(facts),
            raw,
        )

    @classmethod
    def build(
        cls,
        party: Party,
        certificate: StatementId,
        incarnation: Incarnation | None,
        ephemeral: Ephemeral,
        clock: int,
        facts: RegistryFacts,
    ) -> ClientHello:
        """The hello of a member's node at `clock`, Unix seconds."""
        life = None if incarnation is None else incarnation.value()
        start = (VERSION, party.association, int(Part.MEMBER), party.member, certificate, life)
        known = (facts.charter, facts.size, facts.root)
        return cls.from_bytes(encode([*start, ephemeral.nonce, ephemeral.share, clock, *known]))

    @property
    def party(self) -> Party:
        """Who claims to speak."""
        return Party(self.association, self.member)


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a hub answers; made by `build` or `from_bytes`.  `signed` is the part that `signature` covers."""

    association: AssociationId
    certificate: StatementId
    incarnation: Incarnation
    nonce: bytes
    share: bytes
    clock: int
    facts: RegistryFacts
    signed: bytes = field(repr=False)
    signature: Signature = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> ServerHello:
        """The hello in `raw`, nothing of it verified; raises what `decode` does, and `VersionError`."""
        inner, *halves = fields(decode(raw, MAX_HELLO_BYTES), 3)
        signed = binary(inner)
        values = versioned(decode(signed, MAX_HELLO_BYTES), 9)
        association, certificate, incarnation, nonce, share, clock, *facts = values
        return cls(
            AssociationId(read_digest(association)),
            StatementId(read_digest(certificate)),
            Incarnation.parse(incarnation),
            binary(nonce, NONCE_BYTES),
            binary(share, SHARE_BYTES),
            uint(clock, 63),
            _read_facts(facts),
            signed,
            Signature.parse(halves),
            raw,
        )

    @classmethod
    def build(
        cls,
        client: ClientHello,
        certificate: StatementId,
        incarnation: Incarnation,
        ephemeral: Ephemeral,
        clock: int,
        facts: RegistryFacts,
        sign: Sign,
    ) -> ServerHello:
        """The hub's answer to `client` at `clock`, signed."""
        start = (VERSION, client.association, certificate, incarnation.value())
        known = (facts.charter, facts.size, facts.root)
        signed = encode([*start, ephemeral.nonce, ephemeral.share, clock, *known])
        signature = sign(Label.SESSION, client.association, digest(HashLabel.SESSION, client.raw) + signed)
        return cls.from_bytes(encode([signed, *signature.value()]))


def _read_facts(values: list[Value]) -> RegistryFacts:
    charter, size, root = values
    return RegistryFacts(StatementId(read_digest(charter)), uint(size, 63), read_digest(root))


# -- judgement ---------------------------------------------------------------------------------------
def check_client(hello: ClientHello, association: AssociationId, registry: KnownRegistry, now: int) -> PublicKey:
    """The key that must sign the transcript, if this member of this association may speak at `now`.

    Raises `WrongAssociationError`, `ClockSkewError` (before standing: a wrong clock explains the rest) and
    `StandingError`, also for a certificate that is not this member's node's.
    """
    if hello.association != association:
        raise WrongAssociationError
    _check_clocks(hello.clock, now)
    registry.member(hello.member)
    record = registry.certificate_standing(hello.certificate, now)
    if record.role != Role.NODE or record.party != hello.party:
        raise StandingError("the certificate is not one of this member's node")
    return record.key


def check_server(hello: ServerHello, client: ClientHello, registry: KnownRegistry, now: int) -> None:
    """Return if this is the association's hub, and it answers `client`.

    Raises `WrongAssociationError`, `ClockSkewError`, and `WrongHubError` for everything that should prove it.
    """
    if hello.association != client.association:
        raise WrongAssociationError
    _check_clocks(now, hello.clock)
    try:
        record = registry.certificate_standing(hello.certificate, now)
        if record.role != Role.HUB:
            raise WrongHubError("the certificate is no hub's")
        message = digest(HashLabel.SESSION, client.raw) + hello.signed
        record.key.verify(Label.SESSION, hello.association, message, hello.signature)
    except (StandingError, SignatureError) as error:
        raise WrongHubError(error.code) from None


def _check_clocks(node: int, hub: int) -> None:
    if abs(ahead := node - hub) > CLOCK_REFUSE_SECONDS:
        raise ClockSkewError(f"hub time {hub}, the node is {abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}")


def transcript(client: ClientHello, server: ServerHello) -> bytes:
    """The digest of all that was said in plain, 32 bytes."""
    return digest(HashLabel.SESSION, client.raw, server.raw)
