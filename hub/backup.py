"""A backup of a hub's home, made while it runs or not, and a home put back from one.

Kept are settings, keys, public halves, the store, and what the settings name inside the home.  A home that was put back
takes in, before it signs anything, what its members' nodes hold of the registry (`hub.refill`).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from hub.config import Home, HubConfig, load
from hub.core import NOT_INSTALLED
from hub.identity import HubKeys
from hub.sqlite_store import SCHEMA, beside
from keys import backup, last_backup
from keys.age import Identity
from keys.backup import Source, Subject
from keys.cli_backup import Readers, one_at_a_time, progress_bar
from keys.files import PART, PRIVATE, sweep, sync
from keys.home import resolve
from keys.manifest import Manifest
from keys.migrating import taken
from keys.program import program_version
from keys.wal import check_log
from protocol.errors import BackupError, ConfigError, NewerHomeError, StoreError

KIND: Final = "hub"
_NEEDED: Final = frozenset(("hub.toml", "hub.db"))
_PAGES: Final = 1_024


# -- making ----------------------------------------------------------------------------------------------
def make(
    home: Home, out: Path, readers: Readers, environment: Mapping[str, str], now: int
) -> tuple[Manifest, Path | None]:
    """Afterwards `out` is a backup of this home as it was at one moment, and the home knows of it.

    Also told is the file with the identity that a passphrase protects, if that was asked for.  Raises `ExistsError`,
    `StoreError`, `UsageError`, `KeyAccessError` and its kinds, `ConfigError`, `HomeMissingError`.
    """
    config = load(home, environment)
    if not home.database.exists():
        raise ConfigError(NOT_INSTALLED)
    with one_at_a_time(home.folder), _snapshot(home) as (copy, version):
        sources = [*_files(home, config), Source(home.database.name, copy)]
        subject = Subject(KIND, config.association.name, version, program_version(), now)
        made = readers.make(out, subject, sources)
        last_backup.record(home.folder, now, out)
    return made


@contextmanager
def _snapshot(home: Home) -> Iterator[tuple[Path, int]]:
    """A copy of the store at one moment, and the version of its tables; gone afterwards.  Nobody who writes waits."""
    sweep(home.folder)
    target = home.folder / f".{home.database.name}.{secrets.token_hex(8)}{PART}"
    check_log(home.database)
    try:
        with _store_errors(home), closing(beside(home.database)) as source:
            # Its own transaction keeps this one moment in view: else every commit would make the copy begin anew.
            source.execute("BEGIN")
            version = taken(source, SCHEMA.steps)[1]
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                copy.execute("PRAGMA synchronous = OFF")
                source.backup(copy, pages=_PAGES)
            source.execute("ROLLBACK")
            sync(target)
        yield target, version
    finally:
        target.unlink(missing_ok=True)


@contextmanager
def _store_errors(home: Home) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{home.database}: {error}") from error


def _files(home: Home, config: HubConfig) -> list[Source]:
    always = [home.config, home.secret, *sorted(home.keys.glob("*.key")), *sorted(home.public.glob("*.public"))]
    named = [config.keys.secret_file, config.tls.certificate, config.tls.key]
    named += [config.console.tls_certificate, config.console.tls_key]
    paths = [*always, *(resolve(home, each) for each in named if each)]
    inside = {str(path.relative_to(home.folder)): path for path in paths if path.is_relative_to(home.folder)}
    return [Source(name, path) for name, path in inside.items() if path.is_file()]


# -- putting back ----------------------------------------------------------------------------------------
def verify(source: Path, identities: Sequence[Identity]) -> Manifest:
    """The manifest of a backup of a hub, which was read whole; raises what `keys.backup.verify` does."""
    with progress_bar("verifying") as progress:
        return backup.verify(source, identities, _check, progress)


def put_back(source: Path, home: Home, identities: Sequence[Identity], environment: Mapping[str, str]) -> Manifest:
    """Afterwards `home` is that of the backup, and will refill its registry before anything else when it is started.

    Raises what `keys.backup.restore` does, and `KeyAccessError` and its kinds if the secret does not open the keys.
    """

    def mark(folder: Path, manifest: Manifest) -> None:
        part = Home(folder)
        HubKeys.load(part, load(part, environment), environment)
        # Not through the store, which would bring it up to date: that is for the start.
        with _store_errors(part), closing(sqlite3.connect(part.database, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")
            database.execute("DELETE FROM incarnation")
        last_backup.record(folder, backup.made_at(manifest), source)

    with progress_bar("restoring") as progress:
        return backup.restore(source, home.folder, identities, _check, mark, progress)


def _check(manifest: Manifest) -> None:
    missing = _NEEDED - {each.name for each in manifest.files}
    if manifest.kind != KIND or missing:
        raise BackupError(f"a backup of a {manifest.kind}" if manifest.kind != KIND else f"without {min(missing)}")
    if manifest.schema > (known := len(SCHEMA.names)):
        raise NewerHomeError(f"the backup has version {manifest.schema}, this program knows up to {known}")
