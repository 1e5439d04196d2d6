"""The commands that keep a hub's home and put it back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from hub.config import Home
from hub.console import home_option
from keys.backup_options import identity_options, opens_with, readers_options
from keys.console import FILE, answer, json_option, now, strong

if TYPE_CHECKING:
    from keys.manifest import Manifest


@click.command()
@click.argument("out", type=FILE)
@home_option
@readers_options
@json_option
def backup(
    *, out: Path, folder: Path, recipients: tuple[str, ...], recipients_file: Path | None, passphrase_file: Path | None
) -> None:
    """Write a backup of this hub to the new file OUT, encrypted in the age format; the hub may be running.

    It holds keys, settings, the registry and what waits in the mailboxes, still sealed.  Whoever can open it, and the
    file `secret` if that is in the home, can pass for this hub: keep it as you keep these.
    """
    from hub import backup as room  # noqa: PLC0415 - a hub that serves need not hold what this loads
    from keys.cli_backup import Readers, facts_of  # noqa: PLC0415 - as above

    home = Home(folder.absolute())
    readers = Readers(recipients, recipients_file, passphrase_file)
    manifest, key_file = room.make(home, out.absolute(), readers, os.environ, now())
    told = {"file": str(out), "key_file": str(key_file) if key_file else None, **facts_of(manifest)}
    lines: list[str | Text] = [
        strong(
            f"Backup of the hub of {manifest.name} in {out}: {len(manifest.files)} files, {manifest.total_bytes} bytes."
        ),
        *([f"  {key_file} opens it, with your passphrase: keep both, in different places."] if key_file else []),
    ]
    if not any(each.name == home.secret.name for each in manifest.files):
        lines.append("  The secret that opens the keys is kept elsewhere and not in it: keep a copy of that too.")
    answer(told, [*lines, f"  Try it: valija-hub restore {out} --home NEW {opens_with(key_file)} --dry-run"])


@click.command()
@click.argument("file", type=FILE)
@home_option
@identity_options
@click.option("--dry-run", is_flag=True, help="Read the backup to its end and say what it holds; write nothing.")
@json_option
def restore(*, file: Path, folder: Path, identity: Path | None, passphrase_file: Path | None, dry_run: bool) -> None:
    """Put the backup FILE back into a new folder, the --home.

    When it is started, the hub first takes in what its members' nodes hold of the registry, then begins a new
    incarnation: the nodes submit again what is not receipted yet.
    """
    from hub import backup as room  # noqa: PLC0415 - as above
    from keys.cli_backup import facts_of, identities_of  # noqa: PLC0415 - as above

    home = Home(folder.absolute())
    identities = identities_of(file, identity, passphrase_file)
    if dry_run:
        manifest = room.verify(file, identities)
        answer({"restored": False, **facts_of(manifest)}, [strong(f"{file} is whole: {_says(manifest)}.")])
        return
    manifest = room.put_back(file, home, identities, os.environ)
    answer({"restored": True, "home": str(home.folder), **facts_of(manifest)}, _next_steps(home, manifest))


def _says(manifest: Manifest) -> str:
    return f"the hub of {manifest.name} at {manifest.created_at}, {manifest.total_bytes} bytes"


def _next_steps(home: Home, manifest: Manifest) -> list[str | Text]:
    return [
        strong(f"Put back into {home.folder}: {_says(manifest)}."),
        "",
        "Next:",
        "  1. Make sure that the hub that this one replaces does not run and never will again.",
        f"  2. valija-hub serve --home {home.folder}",
        "     It takes in what the nodes hold of the registry, lets nobody in meanwhile, and begins a new incarnation",
        "     once none offered more for [restore] quiet_seconds, counted from the first node that came.  No message is",
        "     lost: the nodes submit again.",
        "  3. Publish again what was published in the last moments before the disk died; repeating it does no harm.",
        f"  4. valija-hub doctor --home {home.folder}",
    ]
