"""A new home: key, archive, first desk and settings, each made once, the settings last.

A crash on the way leaves no home; the next `init` goes on where it stopped and throws no key away.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.ceremony import Papers
from keys.files import PRIVATE, PUBLIC, private_folder, read_private, read_public, write_new
from keys.home import secret_file
from keys.kinds import Kind, PublicPart
from keys.locks import Box, naming
from keys.papers import public_paper, read_statement, statement_paper
from keys.prekeys import PrekeyStore
from keys.signer import Signer
from keys.vault import Secret, Vault
from keys.words import headline
from node import desks
from node.archive import KEY_BYTES, Archive
from node.config import FIRST_DESK, Home, NodeConfig, hub_url, template
from node.store import Transaction
from protocol.errors import ConfigError, ExistsError, KeyDamagedError, MalformedError, UsageError
from protocol.names import AssociationId, Party, check_name
from protocol.trust.statements import Charter, SignedStatement

_ARCHIVE_HEADER: Final = b"valija node archive"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The charter that this node was given by hand, signed by its own stewards: what it trusts first."""

    signed: SignedStatement = field(repr=False)
    charter: Charter

    @property
    def association(self) -> AssociationId:
        """The 32-byte id of the association."""
        return self.signed.association


@dataclass(frozen=True, slots=True)
class Founded:
    """A home that is ready to be certified."""

    home: Home
    anchor: Anchor
    public: PublicPart
    url: str


@dataclass(frozen=True, slots=True)
class Custody:
    """What the secret of a home opens."""

    signer: Signer = field(repr=False)
    archive_key: bytes = field(repr=False)
    secret: Secret = field(repr=False)

    def prekeys(self, home: Home, party: Party) -> PrekeyStore:
        """The prekeys of this home; raises what `PrekeyStore` does."""
        return PrekeyStore(home.prekeys, self.secret, party)


# -- making --------------------------------------------------------------------------------------------
def make_home(
    home: Home, member: str, charter: Path, url: str, environment: Mapping[str, str], now: int, ca_file: str = ""
) -> Founded:
    """Make a home for the node of `member`, at `now` (Unix seconds); an empty `url` means the charter's.

    Raises `ExistsError` if there is one, `UsageError` for a name that is none, `ConfigError` for a bad address,
    what `read_anchor` does, `KeyAccessError` for a secret that cannot be read, `StoreError`.
    """
    if home.config.exists():
        raise ExistsError(str(home.folder))
    try:
        check_name(member)
    except MalformedError:
        raise UsageError("a name has 2 to 32 lower-case letters, digits and single hyphens") from None
    anchor = read_anchor(charter)
    address = hub_url(url or anchor.charter.hub.url)
    if ca_file:
        _check_authorities(Path(ca_file))
    private_folder(home.folder)
    public = _make_parts(home, member, anchor, environment, now)
    settings = template(member, address, str(Path(ca_file).resolve()) if ca_file else "")
    write_new(home.config, settings.encode())
    return Founded(home, anchor, public, address)


def _make_parts(home: Home, member: str, anchor: Anchor, environment: Mapping[str, str], now: int) -> PublicPart:
    secret = _secret(home, environment)
    vault = Vault(home.keys)
    if not vault.path(Kind.NODE, member).exists():
        vault.create(Kind.NODE, member, secret, now)
    signer = Signer.load(vault, Kind.NODE, member, secret)
    if not home.archive_key.exists():
        write_new(home.archive_key, Box.seal(_ARCHIVE_HEADER, secrets.token_bytes(KEY_BYTES), secret).encode())
    private_folder(home.prekeys)
    _make_archive(home, read_archive_key(home, secret), now)
    _write_once(home.charter, statement_paper(anchor.signed, headline(anchor.signed)))
    _write_once(home.public, public_paper(signer.part))
    return signer.part


def _secret(home: Home, environment: Mapping[str, str]) -> Secret:
    path = secret_file(home, "", environment)
    if path == home.secret and not path.exists():
        return Secret.create(path)
    return Secret.read(path)


def _make_archive(home: Home, key: bytes, now: int) -> None:
    def job(tx: Transaction) -> None:
        if not desks.listed(tx):
            desks.add(tx, FIRST_DESK, now)

    # SQLite gives its log and journal the mode of the archive.
    home.archive.touch(mode=PRIVATE)
    archive = Archive(home.archive, key)
    try:
        archive.run(job)
    finally:
        archive.close()


def _write_once(path: Path, data: bytes) -> None:
    if path.exists() and read_public(path) == data:
        return
    write_new(path, data, PUBLIC)


def _check_authorities(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"hub.ca_file {path} is not there")


# -- opening -------------------------------------------------------------------------------------------
def read_anchor(path: Path) -> Anchor:
    """The charter in this file; `MalformedError` if it is none, `ThresholdError` if its own stewards did not sign it."""
    signed = read_statement(path)
    charter = signed.statement
    if not isinstance(charter, Charter):
        raise MalformedError(f"{path}: no charter")
    Papers.of([signed])
    return Anchor(signed, charter)


def open_custody(home: Home, config: NodeConfig, environment: Mapping[str, str]) -> Custody:
    """The keys of this home; `KeyAccessError` and its kinds if the secret does not open them."""
    secret = Secret.read(secret_file(home, config.keys.secret_file, environment))
    signer = Signer.load(Vault(home.keys), Kind.NODE, config.member.name, secret)
    return Custody(signer, read_archive_key(home, secret), secret)


def read_archive_key(home: Home, secret: Secret) -> bytes:
    """The 32 bytes that open the archive; `KeyAccessError` and its kinds."""
    with naming(home.archive_key):
        box = Box.decode(read_private(home.archive_key))
        key = box.open(secret)
    if box.header != _ARCHIVE_HEADER or len(key) != KEY_BYTES:
        raise KeyDamagedError(f"{home.archive_key} opens no archive")
    return key
