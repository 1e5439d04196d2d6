"""A backup of a node's home, made while it runs or not, and a home put back from one.

Kept are settings, charter, keys, archive and what the settings name inside the home; prekeys are left out, so that a
stolen backup opens nothing that was recorded on the way.  A home that was put back begins a new incarnation before it
signs anything (SPEC 10.3): the mark stands in its archive, and goes when that incarnation has begun.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keys import backup, last_backup
from keys.age import Identity
from keys.backup import Source, Subject
from keys.cli_backup import Readers, one_at_a_time, progress_bar
from keys.files import PART, sweep
from keys.home import resolve
from keys.lock import locked
from keys.manifest import Manifest
from keys.program import program_version
from node import archive, recovery
from node import config as settings
from node.client import NodeClient
from node.config import Home, NodeConfig
from node.founding import open_custody
from node.sql import SqlTransaction
from protocol.errors import BackupError, HomeLockedError, NewerHomeError

KIND: Final = "node"
_SNAPSHOT_SECONDS: Final = 3_600
_NEEDED: Final = frozenset(("node.toml", "charter.txt", "archive.key", "archive.db"))


# -- making ----------------------------------------------------------------------------------------------
def make(
    home: Home, out: Path, readers: Readers, environment: Mapping[str, str], now: int
) -> tuple[Manifest, Path | None]:
    """Afterwards `out` is a backup of this home as it was at one moment, and the home knows of it.

    Also told is the file with the identity that a passphrase protects, if that was asked for.  Raises `ExistsError`,
    `StoreError`, `UsageError`, `KeyAccessError` and its kinds, `ConfigError`, `HomeMissingError`.
    """
    config = settings.load(home, environment)
    with one_at_a_time(home.folder), _snapshot(home, config, environment) as (taken, version):
        sources = [*_files(home, config), Source(home.archive.name, taken)]
        subject = Subject(KIND, config.member.name, version, program_version(), now)
        made = readers.make(out, subject, sources)
        last_backup.record(home.folder, now, out)
    return made


@contextmanager
def _snapshot(home: Home, config: NodeConfig, environment: Mapping[str, str]) -> Iterator[tuple[Path, int]]:
    """A copy of the archive at one moment, encrypted as it is, and the version of its tables; gone afterwards."""
    sweep(home.folder)
    target = snapshot_place(home)
    try:
        try:
            with locked(home.lock):
                key = open_custody(home, config, environment).archive_key
                version = archive.snapshot(home.archive, key, target)
        except HomeLockedError:
            told = NodeClient(home.socket, _SNAPSHOT_SECONDS).post("snapshot")
            target, version = home.folder / Path(told["file"]).name, int(told["schema"])
        yield target, version
    finally:
        target.unlink(missing_ok=True)


def snapshot_place(home: Home) -> Path:
    """A new name for a copy of the archive; `sweep` finds it if it is left behind."""
    return home.folder / f".{home.archive.name}.{secrets.token_hex(8)}{PART}"


def _files(home: Home, config: NodeConfig) -> list[Source]:
    always = [home.config, home.charter, home.public, home.archive_key, home.secret, *sorted(home.keys.glob("*.key"))]
    named = [config.keys.secret_file, config.hub.ca_file, config.api.tls_certificate, config.api.tls_key]
    named += [config.web.tls_certificate, config.web.tls_key]
    named += [config.nudges.signing_secret_file, config.mail.password_file, config.mail.ca_file]
    paths = [*always, *(resolve(home, each) for each in named if each)]
    inside = {str(path.relative_to(home.folder)): path for path in paths if path.is_relative_to(home.folder)}
    return [Source(name, path) for name, path in inside.items() if path.is_file()]


# -- putting back ----------------------------------------------------------------------------------------
def verify(source: Path, identities: Sequence[Identity]) -> Manifest:
    """The manifest of a backup of a node, which was read whole; raises what `keys.backup.verify` does."""
    with progress_bar("verifying") as progress:
        return backup.verify(source, identities, _check, progress)


def put_back(
    source: Path, home: Home, identities: Sequence[Identity], environment: Mapping[str, str], now: int
) -> Manifest:
    """Afterwards `home` is that of the backup, and will begin a new incarnation when it is started.

    Raises what `keys.backup.restore` does, and `KeyAccessError` and its kinds if the secret does not open the keys.
    """

    def mark(folder: Path, manifest: Manifest) -> None:
        part = Home(folder)
        custody = open_custody(part, settings.load(part, environment), environment)
        with archive.opened(part.archive, custody.archive_key) as connection:
            tx = SqlTransaction(connection)
            tx.run("BEGIN IMMEDIATE")
            recovery.mark_restored(tx, now)
            tx.run("COMMIT")
        last_backup.record(folder, backup.made_at(manifest), source)

    with progress_bar("restoring") as progress:
        return backup.restore(source, home.folder, identities, _check, mark, progress)


def _check(manifest: Manifest) -> None:
    missing = _NEEDED - {each.name for each in manifest.files}
    if manifest.kind != KIND or missing:
        raise BackupError(f"a backup of a {manifest.kind}" if manifest.kind != KIND else f"without {min(missing)}")
    if manifest.schema > (known := len(archive.schema(b"").names)):
        raise NewerHomeError(f"the backup has version {manifest.schema}, this program knows up to {known}")
