"""How a hub begins: a home with fresh keys, then the papers that the stewards signed, and the first incarnation.

    init     keys, settings, public halves to pass on              nothing is known of an association yet
    install  charter as leaf 0, certificate, further statements     then the hub opens its incarnation

Both may be run again: what is there already stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.config import DEFAULT_PORT, Home, HubConfig, Tls, load, template
from hub.core import load_log
from hub.identity import CharterSigner, HubKeys
from hub.life import is_put_back, open_life, put_back
from hub.log import Log
from hub.sqlite_store import SqliteStore
from hub.store import Store, transaction
from keys.files import PUBLIC, private_folder, write_new
from keys.home import SECRET_VARIABLE, is_loopback, resolve
from keys.lock import locked
from keys.papers import public_paper
from keys.vault import Kind, PublicPart, Secret, Vault
from protocol.errors import ExistsError, MalformedError, RefillingError, UsageError, WrongAssociationError
from protocol.names import Incarnation, check_name
from protocol.trust.statements import Charter, SignedStatement, StatementType

KINDS: Final = (Kind.HUB, Kind.LOG)


@dataclass(frozen=True, slots=True)
class Plan:
    """What `init` shall make."""

    association: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True)
class Founded:
    """A new home: where its secret is, and the public key files to pass on."""

    home: Home
    secret: Path
    papers: Mapping[Kind, Path]
    parts: Mapping[Kind, PublicPart]


def found(home: Home, plan: Plan, environment: Mapping[str, str], now: int) -> Founded:
    """A home with keys and settings; `ExistsError` if there is one.  `VALIJA_SECRET_FILE` names an existing secret.

    `UsageError` for an address that others reach without TLS, and for half of what TLS needs.
    """
    if home.config.exists():
        raise ExistsError(str(home.config))
    if bool(plan.tls.certificate) != bool(plan.tls.key):
        raise UsageError("--tls-certificate and --tls-key belong together")
    if not plan.tls.certificate and not is_loopback(plan.host):
        raise UsageError(f"{plan.host} can be reached from elsewhere: give --tls-certificate and --tls-key too")
    try:
        check_name(plan.association)
    except MalformedError:
        raise UsageError(
            "the name of an association has 2 to 32 lower-case letters, digits and single hyphens"
        ) from None
    named = environment.get(SECRET_VARIABLE)
    secret = resolve(home, named) if named else home.secret
    unlock = Secret.read(secret) if secret.exists() or named else None
    private_folder(home.folder)
    private_folder(home.public)
    unlock = unlock or Secret.create(secret)
    vault = Vault(home.keys)
    parts = {kind: _part(vault, kind, plan.association, unlock, now) for kind in KINDS}
    papers = {kind: _export(home, part) for kind, part in parts.items()}
    # Last of all, because it is what makes the folder a home.
    write_new(home.config, template(plan.association, plan.host, plan.port, plan.tls).encode())
    return Founded(home, secret, papers, parts)


def _part(vault: Vault, kind: Kind, name: str, unlock: Secret, now: int) -> PublicPart:
    # An interrupted run left some of them: they serve, if this secret opens them.
    if vault.path(kind, name).exists():
        return vault.open(kind, name, unlock).public
    return vault.create(kind, name, unlock, now).public


def _export(home: Home, part: PublicPart) -> Path:
    path = home.public / f"{part.name}.{part.kind}.public"
    if not path.exists():
        write_new(path, public_paper(part), PUBLIC)
    return path


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` did: how large the log is, which statements are new in it, and the hub's incarnation, if open.

    `will_refill` says that it was put back from a backup, and takes in what its members' nodes hold when it starts.
    """

    size: int
    added: int
    incarnation: Incarnation | None
    will_refill: bool = False


def install(
    home: Home,
    papers: Sequence[SignedStatement],
    environment: Mapping[str, str],
    now: int,
    *,
    restored: bool = False,
) -> Installed:
    """These statements are in the log, in an order that works, and the hub has an incarnation if it has a certificate.

    `restored` opens a new one at once, without what the members' nodes hold beyond a backup.  Raises `HomeLockedError` while the hub runs, and
    for the first statement that does not apply the reason for which replay would ignore it; those before it stay.
    """
    config = load(home, environment)
    keys = HubKeys.load(home, config, environment)
    with locked(home.lock):
        store = SqliteStore(home.database)
        try:
            return _Installation(store, keys, config, now).run(papers, restored=restored)
        finally:
            store.close()


def mark_restored(home: Home, environment: Mapping[str, str]) -> None:
    """Afterwards the hub of this home takes in, when it starts, what its members' nodes hold of the registry.

    Raises `HomeLockedError` while the hub runs, `StoreError`.
    """
    load(home, environment)
    with locked(home.lock), closing(SqliteStore(home.database)) as store:
        put_back(store)


@dataclass(frozen=True, slots=True)
class _Installation:
    store: Store
    keys: HubKeys
    config: HubConfig
    now: int

    def run(self, papers: Sequence[SignedStatement], *, restored: bool) -> Installed:
        ordered = in_order(papers)
        log = load_log(self.store, self.keys) or self._found(ordered)
        before = log.registry.size
        if is_put_back(self.store, log) and not restored:
            # It signs nothing before it has taken in what it signed already; so nothing is appended either.
            if ordered:
                raise RefillingError("start the hub first, or say --at-once")
            return Installed(log.registry.size, 0, None, will_refill=True)
        for signed in ordered:
            log.record(self.store, signed.raw, self.now)
        incarnation = self._open(log, restored=restored)
        return Installed(log.registry.size, log.registry.size - before, incarnation)

    def _found(self, papers: Sequence[SignedStatement]) -> Log:
        first = next((signed for signed in papers if _is_first(signed)), None)
        if first is None or not isinstance(first.statement, Charter):
            raise UsageError("the log is empty: give the signed charter 1 too")
        if first.statement.name != self.config.association.name:
            raise WrongAssociationError(f"a charter of {first.statement.name}")
        signer = CharterSigner(self.keys)
        signer.found(first.statement)
        log = Log(first.association, signer)
        signer.follow(log.registry)
        return log

    def _open(self, log: Log, *, restored: bool) -> Incarnation | None:
        with transaction(self.store) as tx:
            current = tx.incarnation()
        if current is not None and not restored:
            return current
        return open_life(self.store, self.keys, log, self.now) or current


def in_order(papers: Iterable[SignedStatement]) -> list[SignedStatement]:
    """The statements so that what others need comes first: charters by version, admissions, certificates, the rest."""
    return sorted(papers, key=_rank)


def _rank(signed: SignedStatement) -> tuple[StatementType, int]:
    statement = signed.statement
    return (statement.type, getattr(statement, "version", 0))


def _is_first(signed: SignedStatement) -> bool:
    return isinstance(signed.statement, Charter) and signed.statement.version == 1
