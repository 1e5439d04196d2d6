"""The valija-keys command: keys, and the papers that stewards and members sign with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from keys.cli_charter import charter
from keys.cli_drafts import DRAFTS
from keys.cli_statements import STATEMENTS
from keys.console import (
    Commands,
    Unlocking,
    answer,
    dry_run_option,
    json_option,
    now,
    out_option,
    strong,
    unlocking_options,
)
from keys.files import PUBLIC, require_room, write_new
from keys.home import expanded
from keys.kinds import Kind, PublicPart
from keys.locks import MODERATE, Cost
from keys.papers import public_paper
from keys.times import show_time
from keys.vault import Vault, read_entry
from keys.words import Facts, lines_of, part_facts
from protocol.errors import ExistsError, KeyAccessError

_KEYSTORE: Final = Path("~/.valija/keys")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--keystore",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="VALIJA_KEYSTORE",
    default=_KEYSTORE,
    show_default=True,
    help="Folder of your private keys.",
)
@click.version_option(package_name="valija")
@click.pass_context
def main(ctx: click.Context, keystore: Path) -> None:
    """Make keys, and sign what governs an association.

    Nothing here uses a network.  Papers are small text files that you pass on by any means; look at each with
    `explain` before you sign it, and compare fingerprints by telephone or in person.
    """
    ctx.obj = Vault(expanded(keystore))


@main.command(short_help="Make a private key.")
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("name")
@unlocking_options
@click.option("--passes", type=click.IntRange(1, 32), default=MODERATE.passes, show_default=True, hidden=True)
@click.option(
    "--memory-kib",
    type=click.IntRange(8, 1 << 21),
    default=MODERATE.memory_kib,
    show_default=True,
    help="Memory that one guess at the passphrase costs, in KiB; less only where a machine has less.",
)
@out_option
@dry_run_option
@json_option
@click.pass_obj
def new(
    vault: Vault,
    *,
    kind: str,
    name: str,
    passphrase_file: Path | None,
    secret_file: Path | None,
    passes: int,
    memory_kib: int,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Make a new private key of this KIND, called NAME.

    A steward or a root chooses a passphrase.  For a daemon (node, hub, log, witness) name a --secret-file; it is
    made if there is none.  With --out the public half goes to a file that you can pass on.
    """
    path = vault.path(Kind(kind), name)
    if path.exists():
        raise ExistsError(str(path))
    if out:
        require_room(out)
    told: Facts = {"file": str(path), "public_file": str(out) if out else None, "dry_run": dry_run}
    if dry_run:
        answer(told | {"kind": kind, "name": name}, [f"Would make a {kind} key called {name} in {path}."])
        return
    unlock = Unlocking(passphrase_file, secret_file).fresh(path.stem)
    public = Vault(vault.folder, Cost(passes, memory_kib)).create(Kind(kind), name, unlock, now()).public
    if out:
        write_new(out, public_paper(public), PUBLIC)
    keep = "Keep a copy of the file in a safe place, and the passphrase in another: nobody can restore them for you."
    made = strong(f"Made the {kind} key {name}.")
    answer(told | part_facts(public), [made, *lines_of(part_facts(public) | {"file": str(path)}), keep])


@main.command("list", short_help="List your private keys.")
@json_option
@click.pass_obj
def list_keys(vault: Vault) -> None:
    """List the private keys in the keystore; no passphrase is needed."""
    entries = [_listed(path) for path in vault.paths()]
    lines = [f"{each['key']:<40}  {each.get('fingerprint') or each['problem']}" for each in entries]
    answer({"keystore": str(vault.folder), "keys": entries}, lines or [f"No keys in {vault.folder}."])


def _listed(path: Path) -> Facts:
    try:
        entry = read_entry(path)
    except KeyAccessError as error:
        return {"key": path.stem, "problem": str(error), "code": error.code}
    opened = {"created_at": show_time(entry.created_at), "opens_with": entry.opens_with}
    return {"key": path.stem} | part_facts(entry.public) | opened


@main.command(short_help="Show or export the public half of a key.")
@click.argument("name")
@out_option
@dry_run_option
@json_option
@click.pass_obj
def show(vault: Vault, *, name: str, out: Path | None, dry_run: bool) -> None:
    """Show the public half of the key NAME, or of NAME.KIND; with --out write it to a file to pass on."""
    public: PublicPart = vault.find(name).public
    written = public_paper(public)
    if out:
        require_room(out)
    if out and not dry_run:
        write_new(out, written, PUBLIC)
    told = {"public_file": str(out) if out else None, "dry_run": dry_run, "paper": written.decode()}
    lines = lines_of(part_facts(public) | {"file": str(out)}) if out else written.decode().splitlines()
    answer(part_facts(public) | told, lines)


for command in (*STATEMENTS, charter, *DRAFTS):
    main.add_command(command)
