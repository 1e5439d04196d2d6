"""A whole association on disk in about a second: stewards, charter, a hub's home, a home for each member's node.

The papers are made by the functions behind the commands, in this process and with a passphrase that is cheap to try;
what stands in the folder afterwards is what officers and operators would have made.

    association = found(folder, ["ar-mpf", "br-mpf"])
    association.hub_home, association.homes["ar-mpf"]         ready for `valija-hub serve` and `valija-node serve`
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trustme

from hub import config as hub_config
from hub import founding as hub_founding
from keys import drafts
from keys.ceremony import Papers, add_signature
from keys.files import PUBLIC, write_new
from keys.kinds import Kind, OpenKey
from keys.locks import Cost, Passphrase
from keys.papers import read_part, statement_paper
from keys.vault import Vault
from keys.words import headline
from node import config as node_config
from node import desks
from node import founding as node_founding
from node.archive import Archive
from node.store import Transaction
from protocol.trust.statements import Admission, SignedStatement, Statement

NAME: Final = "aiamp"
STEWARDS: Final = ("ana", "bruno", "carmen")
THRESHOLD: Final = 2
PASSPHRASE: Final = Passphrase("only for tests and measurements")
CHEAP: Final = Cost(passes=1, memory_kib=8)
CERTIFICATE_DAYS: Final = 365
_EARLIER_SECONDS: Final = 60
_HOST: Final = "127.0.0.1"
_LOWEST_PORT, _LOWEST_EPHEMERAL_PORT = 20_000, 32_768
_CHANCE: Final = random.SystemRandom()
_given: set[int] = set()


@dataclass(frozen=True)
class Tls:
    """A certificate for loopback, its key, and the authority that vouches for it, as files in PEM form."""

    certificate: Path
    key: Path
    authority: Path


@dataclass
class Association:
    """What `found` made.  `keys` holds every private key of stewards and roots; no real association has such a place."""

    folder: Path
    port: int
    tls: Tls | None
    now: int
    stewards: list[OpenKey] = field(default_factory=list)
    roots: dict[str, OpenKey] = field(default_factory=dict)
    papers: list[SignedStatement] = field(default_factory=list)
    homes: dict[str, node_config.Home] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the hub listens."""
        return f"{'https' if self.tls else 'http'}://{_HOST}:{self.port}"

    @property
    def hub_home(self) -> hub_config.Home:
        """The hub's home."""
        return hub_config.Home(self.folder / "hub")

    @property
    def charter(self) -> SignedStatement:
        """Charter 1, signed."""
        return self.papers[0]

    @property
    def charter_file(self) -> Path:
        """Charter 1 as officers pass it on."""
        return self.folder / "papers" / "charter.txt"

    def keystore(self, holder: str) -> Vault:
        """The keystore of a steward, a member's officers or (the association's name) those of the hub's root."""
        return Vault(self.folder / "keystores" / holder, CHEAP)

    # -- papers ----------------------------------------------------------------------------------------
    def signed_by_stewards(self, statement: Statement) -> SignedStatement:
        """The statement with as many stewards' signatures as it needs."""
        return self._signed(statement, self.stewards[:THRESHOLD])

    def _signed(self, statement: Statement, keys: Sequence[OpenKey]) -> SignedStatement:
        paper, known = drafts.draft(statement), Papers.of(self.papers)
        for key in keys:
            paper = add_signature(paper, key.signing(), known)
        return paper

    def admit(self, member: str) -> list[SignedStatement]:
        """A new home for the member's node; the admission and the certificate to publish, in this order."""
        root = self.roots[member] = self.keystore(member).create(Kind.MEMBER_ROOT, member, PASSPHRASE, self.now)
        titles = (("es", f"Fiscalía {member}"),)
        country = member[:2].upper() if member[:2].isalpha() else ""
        admission = self.signed_by_stewards(
            Admission(self.charter.association, member, titles, country, root.public.key, self.now)
        )
        home = node_config.Home(self.folder / member)
        authority = str(self.tls.authority) if self.tls else ""
        made = node_founding.make_home(home, member, self.charter_file, self.url, {}, self.now, authority)
        self.papers.append(admission)
        certificate = self._signed(
            drafts.certificate(self.charter.association, member, made.public, self.now, CERTIFICATE_DAYS), [root]
        )
        self.papers.append(certificate)
        self.homes[member] = home
        return [admission, certificate]

    def network(self, name: str, members: Sequence[str], version: int = 1) -> SignedStatement:
        """A roster to publish."""
        titles = (("es", f"Red {name}"),)
        roster = self.signed_by_stewards(
            drafts.roster(self.charter.association, name, titles, version, members, self.now)
        )
        self.papers.append(roster)
        return roster

    def token(self, member: str, desk: str = node_config.FIRST_DESK) -> str:
        """A token for this desk of the member, whose node must not be running."""
        fresh = desks.draw_token(desk, "made with the association", self.now)

        def job(tx: Transaction) -> None:
            desks.add_token(tx, fresh)

        custody = node_founding.open_custody(self.homes[member], node_config.load(self.homes[member], {}), {})
        archive = Archive(self.homes[member].archive, custody.archive_key)
        try:
            archive.run(job)
        finally:
            archive.close()
        self.tokens[member] = fresh.text
        return fresh.text


def found(
    folder: Path,
    members: Sequence[str],
    networks: Mapping[str, Sequence[str]] | None = None,
    *,
    tls: bool = True,
    port: int = 0,
    now: int | None = None,
) -> Association:
    """An association below `folder`, whose hub will listen on `port` of loopback (0: a free one), all of it installed.

    Certificates begin a minute before `now` (Unix seconds).  Every node has a token for its first desk.
    """
    papers = folder / "papers"
    papers.mkdir(parents=True)
    began = int(time.time() if now is None else now) - _EARLIER_SECONDS
    made = Association(folder, port or free_port(), authority(papers) if tls else None, began)
    made.stewards = [made.keystore(name).create(Kind.STEWARD, name, PASSPHRASE, began) for name in STEWARDS]
    made.roots[""] = made.keystore(NAME).create(Kind.HUB_ROOT, NAME, PASSPHRASE, began)
    _found_hub(made)
    for member in members:
        made.admit(member)
        made.token(member)
    for name, listed in (networks or {}).items():
        made.network(name, listed)
    hub_founding.install(made.hub_home, made.papers, {}, began)
    return made


def _found_hub(made: Association) -> None:
    tls = hub_config.Tls(str(made.tls.certificate), str(made.tls.key)) if made.tls else hub_config.Tls()
    plan = hub_founding.Plan(NAME, _HOST, made.port, tls)
    hub = hub_founding.found(made.hub_home, plan, {}, made.now)
    made.papers.append(_charter(made, hub))
    association = made.charter.association
    certificate = drafts.certificate(association, "", hub.parts[Kind.HUB], made.now, CERTIFICATE_DAYS)
    made.papers.append(made._signed(certificate, [made.roots[""]]))
    write_new(made.charter_file, statement_paper(made.charter, headline(made.charter)), PUBLIC)


def _charter(made: Association, hub: hub_founding.Founded) -> SignedStatement:
    files = {f"{key.public.name}.{key.public.kind}": key.public for key in [*made.stewards, made.roots[""]]}
    plan = drafts.CharterPlan(
        name=NAME,
        threshold=THRESHOLD,
        stewards=tuple(f"{name}.{Kind.STEWARD}" for name in STEWARDS),
        expires="730d",
        hub=drafts.HubPlan(f"{NAME}.{Kind.HUB_ROOT}", str(hub.papers[Kind.LOG]), f"test.invalid/{NAME}", made.url),
    )

    charter = drafts.first_charter(plan, lambda name: files.get(name) or read_part(Path(name)), made.now)
    return made.signed_by_stewards(charter)


def authority(folder: Path) -> Tls:
    """Certificate, key and authority for loopback, written to `folder`."""
    issuer = trustme.CA()
    shown = issuer.issue_cert(_HOST, "localhost")
    tls = Tls(folder / "hub-tls.pem", folder / "hub-tls.key", folder / "authority.pem")
    tls.certificate.write_bytes(b"".join(part.bytes() for part in shown.cert_chain_pems))
    tls.key.touch(mode=0o600)
    tls.key.write_bytes(shown.private_key_pem.bytes())
    tls.authority.write_bytes(issuer.cert_pem.bytes())
    return tls


def free_port() -> int:
    """A port of loopback that nobody uses now; none of those that the system gives to outgoing connections.

    None is given twice by one process, nor the same ones by processes whose random numbers begin alike.
    """
    while True:
        port = _CHANCE.randrange(_LOWEST_PORT, _LOWEST_EPHEMERAL_PORT)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port
