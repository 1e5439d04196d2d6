"""A small association, the same in every run: keys from named seeds, a charter, members, certificates, a registry.

world = World()                      three stewards (k = 2), a hub, four members, all certified and opened
world.log(world.admit("pt-pgr"))     one more leaf
world.registry                       the replay of world.entries and world.statements
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from nacl.bindings import crypto_sign_seed_keypair

from protocol.names import AssociationId, Incarnation, Party, StatementId
from protocol.signing import PrivateKey
from protocol.trust.registry import Outcome, Registry, entry_bytes
from protocol.trust.statements import (
    NO_ASSOCIATION,
    Admission,
    Body,
    Cause,
    Certificate,
    Charter,
    CharterHub,
    Continues,
    Expulsion,
    Lift,
    Limits,
    Opening,
    Revocation,
    Role,
    Roster,
    SignedStatement,
    Steward,
    Suspension,
    Witnesses,
    association_id,
    sign_statement,
)

DAY = 86_400
START = 1_795_305_600  # 2026-11-22T00:00:00Z
YEAR = 365 * DAY
MEMBERS = ("ar-mpf", "br-mpf", "co-fgn", "es-fge")
LIMITS = Limits(14 * DAY, 1 << 30, 100_000, DAY, 3 * DAY)
ORIGIN = "hub.aiamp.example/registry"


def seed(*names: str) -> bytes:
    """32 bytes that these names always give."""
    return hashlib.sha256("/".join(("valija test world", *names)).encode()).digest()


@cache
def private_key(*names: str) -> PrivateKey:
    """The hybrid key that these names always give."""
    return PrivateKey(seed(*names, "ed25519"), seed(*names, "ml-dsa-65"))


@lru_cache(maxsize=4096)
def signed_once(body: bytes, association: AssociationId, signers: tuple[PrivateKey, ...]) -> SignedStatement:
    """What `sign_statement` gives, made once: most worlds of a run say the same of the same members."""
    return sign_statement(body, association, signers)


class World:
    """Everything that is secret in an association, in one hand; nothing that a real one would do."""

    def __init__(
        self,
        n_stewards: int = 3,
        k: int = 2,
        members: Sequence[str] = MEMBERS,
        witnesses: Witnesses | None = None,
        limits: Limits = LIMITS,
        url: str = "http://127.0.0.1:1",
        name: str = "aiamp",
        start: int = START,
    ) -> None:
        """Found the association at `start`, admit and certify everybody, open all incarnations."""
        self.name, self.start, self.now, self.k = name, start, start, k
        self.stewards = [private_key(name, "steward", str(number)) for number in range(n_stewards)]
        self.hub_root = private_key(name, "hub root")
        self.hub_key = private_key(name, "hub")
        self.log_seed = seed(name, "log ml-dsa-44")
        self.log_ed25519_seed = seed(name, "log ed25519")
        self.log_key = MLDSA44PrivateKey.from_seed_bytes(self.log_seed)
        self.entries: list[bytes] = []
        self.statements: list[SignedStatement] = []
        self.certificates: dict[str, StatementId] = {}
        self.incarnations: dict[str, Incarnation] = {}
        body = self.charter_body(witnesses=witnesses or Witnesses(), limits=limits, url=url)
        self.association: AssociationId = association_id(body)
        self.registry = Registry(self.association)
        self.log(signed_once(body, self.association, tuple(self.stewards[:k])))
        self._set_up("", Role.HUB)
        for member in members:
            self.join(member)

    # -- keys ------------------------------------------------------------------------------------------
    def root(self, member: str) -> PrivateKey:
        """The member's offline root key."""
        return private_key(self.name, "root", member)

    def key(self, member: str) -> PrivateKey:
        """The operating key of the member's node; of the hub for the empty name."""
        return private_key(self.name, "node", member) if member else self.hub_key

    def party(self, member: str) -> Party:
        """The member as signed bytes name it."""
        return Party(self.association, member)

    @property
    def hub_certificate(self) -> StatementId:
        """The statement id of the hub's certificate."""
        return self.certificates[""]

    @property
    def hub_incarnation(self) -> Incarnation:
        """The hub's incarnation."""
        return self.incarnations[""]

    # -- the log ---------------------------------------------------------------------------------------
    def log(self, signed: SignedStatement, at: int | None = None) -> Outcome:
        """Append a leaf, by default at `now`, which then is that time."""
        self.now = self.now if at is None else at
        entry = entry_bytes(signed.statement.type, self.now, signed.hash)
        outcome = self.registry.append(entry, signed)
        self.entries.append(entry)
        self.statements.append(signed)
        return outcome

    def join(self, member: str) -> None:
        """Admit a member, certify its node, open its first incarnation: three leaves."""
        self._logged(self.admit(member))
        self._set_up(member, Role.NODE)

    def _set_up(self, member: str, role: Role) -> None:
        certificate = self.certify(member, role=role)
        self._logged(certificate)
        self.certificates[member] = certificate.id
        self._logged(self.open(member, role=role))
        self.incarnations[member] = self.registry.incarnations(role, member)[-1]

    def _logged(self, signed: SignedStatement) -> None:
        outcome = self.log(signed)
        assert outcome.applied, (signed.statement.type.name, outcome.code)

    def mirror(self) -> Registry:
        """A second registry that replayed the same leaves."""
        registry = Registry(self.association)
        for entry, signed in zip(self.entries, self.statements, strict=True):
            registry.append(entry, signed.raw)
        return registry

    # -- statements: signed, not logged --------------------------------------------------------------------
    def sign(self, statement: Body, keys: Iterable[PrivateKey] | None = None) -> SignedStatement:
        """The statement, signed by the first k stewards or by these keys."""
        signers = tuple(self.stewards[: self.k] if keys is None else keys)
        return signed_once(statement.body(), self.association, signers)

    def charter_body(
        self,
        witnesses: Witnesses | None = None,
        limits: Limits = LIMITS,
        url: str = "http://127.0.0.1:1",
    ) -> bytes:
        """The body of charter 1."""
        return Charter(
            association=NO_ASSOCIATION,
            name=self.name,
            version=1,
            previous=None,
            threshold=self.k,
            stewards=self._officers(self.stewards),
            hub=self.charter_hub(url),
            witnesses=witnesses or Witnesses(),
            continues=None,
            limits=limits,
            created_at=self.start,
            expires_at=self.start + 2 * YEAR,
        ).body()

    def charter_hub(self, url: str = "http://127.0.0.1:1", root: PrivateKey | None = None) -> CharterHub:
        """The hub as the charter names it."""
        return CharterHub(
            (root or self.hub_root).public,
            ORIGIN,
            self.log_key.public_key().public_bytes_raw(),
            crypto_sign_seed_keypair(self.log_ed25519_seed)[0],
            url,
        )

    def next_charter(
        self,
        stewards: Sequence[PrivateKey] | None = None,
        k: int | None = None,
        keys: Iterable[PrivateKey] | None = None,
        hub_root: PrivateKey | None = None,
        continues: Continues | None = None,
        expires_at: int | None = None,
        witnesses: Witnesses | None = None,
    ) -> SignedStatement:
        """The next charter, by default with the same stewards and signed by all old and new ones."""
        old, following = self.registry.charter, list(stewards or self.stewards)
        charter = Charter(
            association=self.association,
            name=self.name,
            version=old.version + 1,
            previous=self.registry.charter_id,
            threshold=k or self.k,
            stewards=self._officers(following),
            hub=self.charter_hub(old.hub.url, hub_root),
            witnesses=witnesses or old.witnesses,
            continues=continues,
            limits=old.limits,
            created_at=self.now,
            expires_at=expires_at or self.now + 2 * YEAR,
        )
        return self.sign(charter, [*self.stewards, *following] if keys is None else keys)

    def _officers(self, keys: Sequence[PrivateKey]) -> tuple[Steward, ...]:
        return tuple(Steward(f"steward-{number:02}", key.public) for number, key in enumerate(keys))

    def admit(
        self,
        member: str,
        root: PrivateKey | None = None,
        admitted_at: int | None = None,
        keys: Iterable[PrivateKey] | None = None,
    ) -> SignedStatement:
        """An admission, by default at `now` with the member's own root."""
        titles = (("es", f"Fiscalía {member}"), ("pt", f"Ministério Público {member}"))
        at = self.now if admitted_at is None else admitted_at
        country = member[:2].upper() if member[:2].isalpha() else ""
        return self.sign(
            Admission(self.association, member, titles, country, (root or self.root(member)).public, at), keys
        )

    def certify(
        self,
        member: str,
        role: Role = Role.NODE,
        key: PrivateKey | None = None,
        root: PrivateKey | None = None,
        not_before: int | None = None,
        not_after: int | None = None,
    ) -> SignedStatement:
        """A certificate of a year from `start`, by default for the member's own key; the hub has the empty name."""
        signer = root or (self.root(member) if role is Role.NODE else self.hub_root)
        begin = self.start if not_before is None else not_before
        end = begin + YEAR if not_after is None else not_after
        return self.sign(
            Certificate(self.association, role, member, (key or self.key(member)).public, begin, end), [signer]
        )

    def open(
        self,
        member: str,
        role: Role = Role.NODE,
        certificate: StatementId | None = None,
        cause: Cause = Cause.FIRST,
        opened_at: int | None = None,
        key: PrivateKey | None = None,
    ) -> SignedStatement:
        """An incarnation under the member's certificate, by default a second later than the one before."""
        before = self.registry.last_opening(role, member)
        at = max(self.now, before.opened_at + 1 if before else 0) if opened_at is None else opened_at
        under = certificate or self.certificates[member]
        nonce = seed(self.name, "nonce", member, str(at))[:16]
        return self.sign(Opening(self.association, role, member, under, cause, nonce, at), [key or self.key(member)])

    def roster(
        self, network: str, members: Iterable[str], version: int = 1, keys: Iterable[PrivateKey] | None = None
    ) -> SignedStatement:
        """A roster of these members."""
        parties = tuple(sorted(self.party(member) for member in members))
        return self.sign(Roster(self.association, network, (("es", network),), version, parties, self.now), keys)

    def revoke(
        self, certificate: StatementId, after: int, keys: Iterable[PrivateKey] | None = None, reason: str = "lost"
    ) -> SignedStatement:
        """A revocation of this certificate."""
        return self.sign(Revocation(self.association, certificate, after, reason), keys)

    def suspend(
        self, member: str, after: int, keys: Iterable[PrivateKey] | None = None, reason: str = "inquiry"
    ) -> SignedStatement:
        """A suspension of this member."""
        return self.sign(Suspension(self.association, member, after, reason), keys)

    def lift(
        self, suspension: StatementId, lifted_at: int | None = None, keys: Iterable[PrivateKey] | None = None
    ) -> SignedStatement:
        """A lift of this suspension."""
        return self.sign(Lift(self.association, suspension, self.now if lifted_at is None else lifted_at), keys)

    def expel(
        self,
        member: str,
        after: int,
        expelled_at: int | None = None,
        keys: Iterable[PrivateKey] | None = None,
        reason: str = "left",
    ) -> SignedStatement:
        """An expulsion of this member."""
        at = self.now if expelled_at is None else expelled_at
        return self.sign(Expulsion(self.association, member, after, reason, at), keys)
