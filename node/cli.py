"""The valija-node command: make a node's home, run it, and write and read through it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from keys.console import FILE
from keys.words import lines_of, plain
from node import terminal
from node.cli_backup import backup, restore
from node.cli_desks import desk
from node.cli_listen import listen
from node.cli_messages import MESSAGES
from node.cli_nudges import nudge
from node.cli_people import people
from node.cli_webhooks import webhook
from node.client import NodeClient
from node.config import Home
from node.console import answer, home_option, json_option, strong, with_client
from node.fields import label, length
from node.speaking import Spoken, language_option, say

_REFUSED: Final = 1


@click.group(cls=Spoken, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="valija")
@language_option
def main() -> None:
    """Exchange sealed and signed messages with the other members of an association.

    Begin with `init`, have the node certified, then `serve`; everything else speaks with the running node.  The file
    that opens its keys is `secret` in its home, or the one that VALIJA_SECRET_FILE names.
    """
    # Nothing that this process makes is open to others.
    os.umask(0o077)


# -- beginning -----------------------------------------------------------------------------------------
@main.command()
@home_option
@click.option("--member", required=True, help="The name under which the stewards admit this member: ar-mpf.")
@click.option("--charter", type=FILE, required=True, help="The association's charter, as it was given to you by hand.")
@click.option("--hub", "url", default="", help="Address of the hub; by default the charter's.")
@click.option("--ca-file", default="", help="Authority of the hub's TLS certificate, if your system does not know it.")
@json_option
def init(*, home: Home, member: str, charter: Path, url: str, ca_file: str) -> None:
    """Make the home of a new node: its key, its archive, its settings and a first desk."""
    from node import housekeeping  # noqa: PLC0415 - see there

    answer(*housekeeping.init(home, member, charter, url, ca_file))


@main.command()
@home_option
@json_option
def serve(*, home: Home) -> None:
    """Run the node until SIGTERM or Ctrl-C; what is on its way then goes on at the next start."""
    from node import housekeeping  # noqa: PLC0415 - see there

    housekeeping.serve(home)


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@home_option
@json_option
def publish(*, files: tuple[Path, ...], home: Home) -> None:
    """Put signed statements into the hub's log, in the order of FILES; repeating it does no harm.

    Anybody may: what counts is who signed.
    """
    from node import housekeeping  # noqa: PLC0415 - see there

    answer(*housekeeping.publish(home, files))


# -- looking -------------------------------------------------------------------------------------------
@main.command("status")
@with_client
def show_status(client: NodeClient) -> None:
    """Show how this node is: its line to the hub, its certificate, what waits."""
    told = client.get("status")
    answer(told, lines_of(_readable(told), ""))


def _readable(told: Mapping[str, Any]) -> dict[str, Any]:
    """The same, flat enough for aligned lines; nothing that others wrote keeps its control characters."""
    return {label(name): length(name, value) or _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _readable(value)
    if isinstance(value, list):
        return [_line(each) for each in value]
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    return plain(str(value)) if value is not None else None


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return plain(str(value))
    # As the lines around it, on one.
    return "; ".join(f"{name}: {each}" for name, each in _readable(value).items() if each is not None)


@main.command()
@with_client
def networks(client: NodeClient) -> None:
    """List the networks and the members: everybody who can be written to."""
    rosters, members = client.get("networks")["networks"], client.get("members")["members"]
    lines: list[str | Text] = []
    for each in rosters:
        lines += [strong(f"{each['network']}  {terminal.title(each)}"), *map(terminal.reader_line, each["members"])]
    lines += [strong(say("Members")), *(_member(each) for each in members)]
    answer({"networks": rosters, "members": members}, lines if members else [say("The registry is still empty.")])


def _member(told: Mapping[str, Any]) -> str:
    note = say("(this node)") if told["is_this_node"] else "" if told["in_standing"] else say("(not in standing)")
    return f"{terminal.reader_line(dict(told))}  {note}".rstrip()


@main.command("doctor")
@home_option
@click.option("--deep", is_flag=True, help="Read a large archive through, however long it takes.")
@json_option
@click.pass_context
def show_doctor(ctx: click.Context, *, home: Home, deep: bool) -> None:
    """Look for what is wrong: exit 0 if nothing needs somebody now, 1 if something does."""
    from node import housekeeping  # noqa: PLC0415 - see there

    healthy, told = housekeeping.examine(home, deep=deep)
    answer(*told)
    ctx.exit(0 if healthy else _REFUSED)


for command in (*MESSAGES, listen, backup, restore, desk, people, webhook, nudge):
    main.add_command(command)
