"""The valija-node command: make a node's home, run it, and write and read through it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from keys.console import FILE, Commands, now
from keys.kinds import hex_groups, spoken
from keys.papers import read_statement
from keys.words import lines_of, plain
from node import config, daemon, doctor, founding, terminal
from node.cli_desks import desk
from node.cli_messages import MESSAGES
from node.client import NodeClient
from node.config import Home
from node.console import answer, home_option, json_option, strong, with_client
from node.doctor import Level, Row
from node.founding import Founded
from node.hubline import HubLine
from protocol.names import show_id

_REFUSED: Final = 1


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="valija")
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
    made = founding.make_home(home, member, charter, url, os.environ, now(), ca_file)
    told = {
        "home": str(home.folder),
        "member": member,
        "node_key_file": str(home.public),
        "node_key_fingerprint": made.public.fingerprint.hex(),
        "association": made.anchor.charter.name,
        "charter_version": made.anchor.charter.version,
        "charter_fingerprint": made.anchor.signed.id.hex(),
        "hub": made.url,
        "desk": config.FIRST_DESK,
    }
    answer(told, _next_steps(made, member))


def _next_steps(made: Founded, member: str) -> list[str | Text]:
    home, signed = made.home, made.anchor.signed
    return [
        strong(f"Made the home of the node of {member} in {home.folder}."),
        f"  settings    {home.config}",
        f"  node key    {hex_groups(made.public.fingerprint)}",
        f"  first desk  {config.FIRST_DESK}",
        "",
        strong(f"Compare the charter of {plain(made.anchor.charter.name)} with another member, by telephone:"),
        f"  {hex_groups(signed.id)}",
        f"  {spoken(signed.id)}",
        "",
        "Next:",
        f"  1. Whoever keeps the root key of {member} certifies {home.public.name}, on another machine:",
        f"       valija-keys certify node {member} --node-key {home.public.name} --root-key {member} --charter …",
        "  2. Admission and certificate go into the hub's log:",
        f"       valija-node publish --home {home.folder} ADMISSION CERTIFICATE",
        "  3. Start the node:",
        f"       valija-node serve --home {home.folder}",
        f"     and look at it: valija-node doctor --home {home.folder}",
    ]


@main.command()
@home_option
@json_option
def serve(*, home: Home) -> None:
    """Run the node until SIGTERM or Ctrl-C; what is on its way then goes on at the next start."""
    daemon.serve(home, os.environ)


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@home_option
@json_option
def publish(*, files: tuple[Path, ...], home: Home) -> None:
    """Put signed statements into the hub's log, in the order of FILES; repeating it does no harm.

    Anybody may: what counts is who signed.
    """
    settings = config.load(home, os.environ)
    url = settings.hub.url or founding.read_anchor(home.charter).charter.hub.url
    papers = [read_statement(path) for path in files]
    line = daemon.hub_line(home, settings, url, os.environ)
    leaves = asyncio.run(_publish(line, [paper.raw for paper in papers]))
    logged = [
        {"statement": show_id("stm", paper.id), "type": paper.statement.type.name.lower(), "index": index}
        for paper, index in zip(papers, leaves, strict=True)
    ]
    answer(
        {"logged": logged}, [f"  entry {each['index']:<6} {each['type']:<12} {each['statement']}" for each in logged]
    )


async def _publish(line: HubLine, raws: list[bytes]) -> list[int]:
    async with line:
        return [await line.post_statement(raw) for raw in raws]


# -- looking -------------------------------------------------------------------------------------------
@main.command("status")
@with_client
def show_status(client: NodeClient) -> None:
    """Show how this node is: its line to the hub, its certificate, what waits."""
    told = client.get("status")
    answer(told, lines_of(_readable(told), ""))


def _readable(told: Mapping[str, Any]) -> dict[str, Any]:
    """The same, flat enough for aligned lines; nothing that others wrote keeps its control characters."""
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.replace("_seconds", ""): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_line(each) for each in value]
    return plain(str(value)) if value is not None else None


def _line(value: Any) -> str:
    return plain("  ".join(map(str, value.values())) if isinstance(value, dict) else str(value))


@main.command()
@with_client
def networks(client: NodeClient) -> None:
    """List the networks and the members: everybody who can be written to."""
    rosters, members = client.get("networks")["networks"], client.get("members")["members"]
    lines: list[str | Text] = []
    for each in rosters:
        lines += [strong(f"{each['network']}  {terminal.title(each)}"), *map(terminal.reader_line, each["members"])]
    lines += [strong("Members"), *(_member(each) for each in members)]
    answer({"networks": rosters, "members": members}, lines if members else ["The registry is still empty."])


def _member(told: Mapping[str, Any]) -> str:
    note = "  (this node)" if told["is_this_node"] else "" if told["in_standing"] else "  (not in standing)"
    return terminal.reader_line(dict(told)) + note


@main.command("doctor")
@home_option
@json_option
@click.pass_context
def show_doctor(ctx: click.Context, *, home: Home) -> None:
    """Look for what is wrong: exit 0 if nothing needs somebody now, 1 if something does."""
    rows = doctor.examine(home, os.environ)
    healthy = doctor.is_healthy(rows)
    answer({"healthy": healthy, "rows": [row.value() for row in rows]}, [line for row in rows for line in _lines(row)])
    ctx.exit(0 if healthy else _REFUSED)


_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def _lines(row: Row) -> list[Text | str]:
    head = Text.assemble((f"{row.level:<8}", _STYLES[row.level]), f" {row.name:<12} {plain(row.found)}")
    if row.level is Level.OK:
        return [head]
    code = f" [{row.code}]" if row.code else ""
    return [head, f"{'':22}effect: {row.effect}{code}", f"{'':22}remedy: {row.remedy}"]


for command in (*MESSAGES, desk):
    main.add_command(command)
