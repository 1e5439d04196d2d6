"""Commands that draft a charter and its successors."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from keys.ceremony import Papers
from keys.cli_drafts import SUFFIX, Charters, drafting
from keys.cli_statements import explain, issue
from keys.console import FILE, F, now
from keys.drafts import CharterPlan, ReadPart, change_charter, draft, first_charter, next_charter, read_plan
from keys.files import read_public
from keys.kinds import PublicPart
from keys.papers import read_part
from protocol.errors import ConfigError, MalformedError, UsageError
from protocol.names import read_digest


@click.group(short_help="Draft and review charters.")
def charter() -> None:
    """Draft and review charters: who governs an association, and where its hub is."""


def _reader(folder: Path) -> ReadPart:
    def read(name: str) -> PublicPart:
        return read_part(folder / name)

    return read


def _plan(path: Path) -> CharterPlan:
    try:
        return read_plan(tomllib.loads(read_public(path).decode()))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None


def charter_options(command: F) -> F:
    """Add what a charter says, option by option."""
    options = (
        click.option(
            "--from", "plan", type=FILE, help="A TOML file that says everything; files are looked up beside it."
        ),
        click.option("--threshold", "-k", type=int, help="How many stewards must sign."),
        click.option("--hub-root", help="Public key file of the hub's root."),
        click.option("--log", help="Public key file of the hub's log."),
        click.option("--origin", help="Name of the log, for example hub.example.org/aiamp."),
        click.option("--url", help="Address of the hub."),
        click.option("--expires", help="When it ends: 2028-11-22, or 730d from now."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@charter.command("draft")
@click.option("--name", help="Name of the association.")
@click.option("--steward", multiple=True, help="Public key file of a steward; once for each.")
@charter_options
@drafting
def draft_charter(*, plan: Path | None, out: Path | None, dry_run: bool, **options: Any) -> None:
    """Draft the founding charter of an association, from a TOML file or from options.

    Each steward then looks at it with `explain`, compares its fingerprints and adds a signature with `sign`.
    The file looks like this; [witnesses] and [limits] may be left out:

    \b
        name = "aiamp"
        threshold = 3
        stewards = ["ana.pub", "bruno.pub", "carla.pub", "dora.pub"]
        expires = "2028-11-22"
        [hub]
        root = "hub-root.pub"
        log = "log.pub"
        origin = "hub.example.org/aiamp"
        url = "https://hub.example.org"
        [witnesses]
        quorum = 2
        faulty = 0
        keys = ["w1.pub", "w2.pub", "w3.pub"]
        [limits]
        mailbox_messages = 1000000
    """  # noqa: D301 - the backspace tells click to keep these lines as they are
    if plan:
        if _given(options):
            raise click.UsageError("Either --from or the other options, not both.")
        drafted = first_charter(_plan(plan), _reader(plan.parent), now())
    else:
        drafted = first_charter(read_plan(_tables(options)), _reader(Path()), now())
    issue(draft(drafted), Papers(), out or Path(f"charter-{drafted.name}-1{SUFFIX}"), dry_run=dry_run)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Those that were said, a threshold of 0 among them: it is refused, not left out."""
    return {name: value for name, value in options.items() if value not in (None, "", ())}


def _tables(options: dict[str, Any]) -> dict[str, Any]:
    missing = sorted(options.keys() - _given(options).keys(), key=list(options).index)
    if missing:
        said = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise click.UsageError(f"Missing: {said}; or say everything in a file, with --from.")
    hub = {"root": options["hub_root"], "log": options["log"], "origin": options["origin"], "url": options["url"]}
    tables = {name: options[name] for name in ("name", "threshold", "expires")}
    return {**tables, "stewards": options["steward"], "hub": hub}


@charter.command("next")
@click.argument("previous", type=FILE)
@click.option("--add-steward", multiple=True, help="Public key file of a new steward.")
@click.option("--remove-steward", multiple=True, help="Name of a steward who leaves.")
@click.option("--continues", type=(int, str), help="SIZE ROOT of the log that a replaced hub's log continues.")
@charter_options
@click.option("--older", type=FILE, multiple=True, help="Charters before PREVIOUS, so that its signatures count.")
@drafting
def next_version(
    previous: Path, *, plan: Path | None, older: tuple[Path, ...], out: Path | None, dry_run: bool, **options: Any
) -> None:
    """Draft the charter that follows PREVIOUS, with the changes you name.

    It needs the signatures of enough stewards of the charter in force and of enough of its own.
    """
    in_force = Charters(previous, older)
    read = _reader(plan.parent if plan else Path())
    drafted = next_charter(in_force.signed, _plan(plan) if plan else None, read, now())
    drafted = change_charter(drafted, _with_root(_given(options)), _reader(Path()), now())
    in_force.issue(drafted, f"charter-{drafted.name}-{drafted.version}", out, dry_run=dry_run)


def _with_root(changes: dict[str, Any]) -> dict[str, Any]:
    if "continues" not in changes:
        return changes
    size, root = changes["continues"]
    try:
        return {**changes, "continues": (size, read_digest(bytes.fromhex(root)))}
    except (ValueError, MalformedError):
        raise UsageError("the root of a log is written in 64 hexadecimal digits") from None


charter.add_command(explain, "review")
charter.add_command(explain, "explain")
