"""The commands that keep a node's home and put it back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from keys.backup_options import identity_options, opens_with, readers_options
from keys.console import FILE, now
from node.config import Home
from node.console import answer, home_option, json_option, strong
from node.speaking import command, say

if TYPE_CHECKING:
    from keys.manifest import Manifest


@command()
@click.argument("out", type=FILE)
@home_option
@readers_options
@json_option
def backup(
    *, out: Path, home: Home, recipients: tuple[str, ...], recipients_file: Path | None, passphrase_file: Path | None
) -> None:
    """Write a backup of this node to the new file OUT, encrypted in the age format; the node may be running.

    It holds archive, keys, charter and settings, but no prekeys.  Whoever can open it, and the file `secret` if that is
    in the home, can read the archive and sign as this node: keep it as you keep these.
    """
    from keys.cli_backup import Readers, facts_of  # noqa: PLC0415 - who only reads a message need not wait for it
    from node import backup as room  # noqa: PLC0415 - as above

    readers = Readers(recipients, recipients_file, passphrase_file)
    manifest, key_file = room.make(home, out.absolute(), readers, os.environ, now())
    told = {"file": str(out), "key_file": str(key_file) if key_file else None, **facts_of(manifest)}
    answer(told, _made(home, out, manifest, key_file))


def _made(home: Home, out: Path, manifest: Manifest, key_file: Path | None) -> list[str | Text]:
    lines: list[str | Text] = [
        strong(
            say(
                "Backup of %(name)s in %(file)s: %(files)d files, %(bytes)d bytes.",
                name=manifest.name,
                file=out,
                files=len(manifest.files),
                bytes=manifest.total_bytes,
            )
        ),
        *(
            [_indented(say("%(file)s opens it, with your passphrase: keep both, in different places.", file=key_file))]
            if key_file
            else []
        ),
    ]
    if not any(each.name == home.secret.name for each in manifest.files):
        lines.append(
            _indented(say("The secret that opens the keys is kept elsewhere and not in it: keep a copy of that too."))
        )
    return [
        *lines,
        _indented(
            say("Try it: %(command)s", command=f"valija-node restore {out} --home NEW {opens_with(key_file)} --dry-run")
        ),
    ]


def _indented(line: str) -> str:
    return f"  {line}"


@command()
@click.argument("file", type=FILE)
@home_option
@identity_options
@click.option("--dry-run", is_flag=True, help="Read the backup to its end and say what it holds; write nothing.")
@json_option
def restore(*, file: Path, home: Home, identity: Path | None, passphrase_file: Path | None, dry_run: bool) -> None:
    """Put the backup FILE back into a new folder, the --home.

    The node then begins a new incarnation at its first start: its peers send again what it lacks, and callers should
    hand in again what they handed in since the backup, with the same idempotency keys.
    """
    from keys.cli_backup import facts_of, identities_of  # noqa: PLC0415 - as above
    from node import backup as room  # noqa: PLC0415 - as above

    identities = identities_of(file, identity, passphrase_file)
    if dry_run:
        manifest = room.verify(file, identities)
        answer(
            {"restored": False, **facts_of(manifest)},
            [strong(say("%(file)s is whole: %(what)s.", file=file, what=_says(manifest)))],
        )
        return
    manifest = room.put_back(file, home, identities, os.environ, now())
    answer({"restored": True, "home": str(home.folder), **facts_of(manifest)}, _next_steps(home, manifest))


def _says(manifest: Manifest) -> str:
    facts = {"name": manifest.name, "when": manifest.created_at, "bytes": manifest.total_bytes}
    return say("the node of %(name)s at %(when)s, %(bytes)d bytes", **facts)


def _next_steps(home: Home, manifest: Manifest) -> list[str | Text]:
    return [
        strong(say("Put back into %(home)s: %(what)s.", home=home.folder, what=_says(manifest))),
        "",
        say("Next:"),
        f"  1. {say('Make sure that the node that this one replaces does not run and never will again.')}",
        f"  2. valija-node serve --home {home.folder}",
        f"     {say('It begins a new incarnation; its peers send again what they know that it lacks.')}",
        f"  3. {_hand_in_again(manifest)}",
        f"  4. valija-node doctor --home {home.folder}",
    ]


def _hand_in_again(manifest: Manifest) -> str:
    return say(
        "Have every caller hand in again what it handed in after %(when)s, with the same idempotency keys: nothing is"
        " sent twice.  What nobody hands in again is lost.",
        when=manifest.created_at,
    )
