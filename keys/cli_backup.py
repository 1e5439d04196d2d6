"""What `backup` and `restore` of both programs share: who can open a backup, the bar on long work, the last one made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from keys.age import Identity, Recipient, protected_identity, read_identities, read_recipients
from keys.backup import Source, Subject, silent, write
from keys.console import read_passphrase, wants_json
from keys.files import destroy, read_public, write_new
from keys.lock import locked
from keys.manifest import Manifest
from keys.untar import Progress
from protocol.errors import HomeLockedError, UsageError

KEY_SUFFIX: Final = ".key"
_LOCK: Final = "backup.lock"


# -- who can open it -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Readers:
    """Who shall be able to open a backup."""

    recipients: tuple[str, ...]
    recipients_file: Path | None
    passphrase_file: Path | None

    def make(self, out: Path, subject: Subject, sources: list[Source]) -> tuple[Manifest, Path | None]:
        """Afterwards `out` is a backup of these files; also the file with its identity, if a passphrase protects it.

        Raises what `keys.backup.write` does, `UsageError` for what is no public key or too short a passphrase.
        """
        recipients = read_recipients([*self.recipients, *self._listed()])
        key_file = out.with_name(out.name + KEY_SUFFIX) if self.passphrase_file is not None else None
        if self.passphrase_file is None or key_file is None:
            return self._write(out, subject, sources, recipients), None
        own, protected = protected_identity(read_passphrase(self.passphrase_file))
        write_new(key_file, protected)
        try:
            return self._write(out, subject, sources, [own, *recipients]), key_file
        except BaseException:
            destroy(key_file)
            raise

    def _write(self, out: Path, subject: Subject, sources: list[Source], recipients: list[Recipient]) -> Manifest:
        with progress_bar("backing up") as progress:
            return write(out, subject, sources, recipients, progress)

    def _listed(self) -> list[str]:
        if self.recipients_file is None:
            return []
        lines = read_public(self.recipients_file).decode("utf-8", "replace").splitlines()
        return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def identities_of(backup: Path, identity: Path | None, passphrase_file: Path | None) -> list[Identity]:
    """What opens `backup`: the identity file that was named, else the one beside it; raises what reading it does."""
    named = identity or backup.with_name(backup.name + KEY_SUFFIX)
    if identity is None and not named.exists():
        raise UsageError("say --identity FILE: the identity of age that opens the backup")
    return read_identities(named, read_passphrase(passphrase_file) if passphrase_file else None)


def facts_of(manifest: Manifest) -> dict[str, Any]:
    """What a program is told of a backup."""
    return {
        "kind": manifest.kind,
        "name": manifest.name,
        "created_at": manifest.created_at,
        "schema": manifest.schema,
        "total_bytes": manifest.total_bytes,
        "files": [each.name for each in manifest.files],
    }


# -- long work -------------------------------------------------------------------------------------------
@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Something to tell of progress: a bar on a terminal, nothing for a program."""
    if wants_json(click.get_current_context()) or not sys.stderr.isatty():
        yield silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield told


@contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Nobody else makes a backup of `home` meanwhile; `UsageError` if somebody does."""
    try:
        with locked(home / _LOCK):
            yield
    except HomeLockedError:
        raise UsageError("another backup of this home is being made; wait until it is done") from None
