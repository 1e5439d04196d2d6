"""The options that `backup` and `restore` of both programs share; apart from what they need, which takes time to load."""

from __future__ import annotations

from pathlib import Path

import click

from keys.console import FILE, F


def readers_options(command: F) -> F:
    """Let a command be told who shall be able to open the backup: what `Readers` is made of."""
    recipient = click.option("--recipient", "recipients", multiple=True, help="Public key of age, age1…; repeatable.")
    file = click.option("--recipients-file", type=FILE, help="File with a public key of age on each line.")
    passphrase = click.option(
        "--passphrase-file",
        type=FILE,
        help="File whose first line is a passphrase; a key under it is written beside the backup, ending in .key.",
    )
    return recipient(file(passphrase(command)))


def identity_options(command: F) -> F:
    """Let a command be told what opens a backup: the arguments of `identities_of`."""
    identity = click.option("--identity", type=FILE, help="Identity file of age; by default FILE.key.")
    passphrase = click.option("--passphrase-file", type=FILE, help="File with the passphrase of the identity file.")
    return identity(passphrase(command))


def opens_with(key_file: Path | None) -> str:
    """The option of `restore` without which a backup is not opened: `key_file` beside it is under a passphrase."""
    return "--identity FILE" if key_file is None else "--passphrase-file FILE"
