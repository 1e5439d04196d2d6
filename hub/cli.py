"""The valija-hub command: make a hub's home, install what the stewards signed, run it, and look after it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hub import cli_steering, daemon, doctor, founding, status
from hub.cli_backup import backup, restore
from hub.client import Hub
from hub.config import DEFAULT_PORT, Home, Tls
from hub.console import home_option
from hub.diagnosis import Row
from hub.founding import Founded, Installed, Plan
from keys.console import FILE, Commands, answer, json_option, now, strong, wants_json
from keys.kinds import Kind, hex_groups
from keys.levels import Level
from keys.papers import read_statement
from protocol.names import show_id
from protocol.trust.statements import SignedStatement

_REFUSED: Final = 1
_WATCH_SECONDS: Final = 2.0
_FILE_WIDTH: Final = 140


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="valija")
def main() -> None:
    """Run the relay of an association: it carries what members seal, and can read none of it.

    Begin with `init`, let the stewards sign, then `install` and `serve`.  The file that opens the hub's keys is
    `secret` in its home, or the one that VALIJA_SECRET_FILE names.
    """


# -- beginning -------------------------------------------------------------------------------------------
@main.command()
@home_option
@click.option("--association", required=True, help="Short name of the association, for example aiamp.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option("--tls-certificate", default="", help="File in PEM form; needed for any address but loopback.")
@click.option("--tls-key", default="", help="File in PEM form.")
@json_option
def init(*, folder: Path, association: str, host: str, port: int, tls_certificate: str, tls_key: str) -> None:
    """Make the home of a new hub: its keys, its settings, and the public key files that the stewards need."""
    plan = Plan(association, host, port, Tls(_found_from_anywhere(tls_certificate), _found_from_anywhere(tls_key)))
    made = founding.found(Home(folder), plan, os.environ, now())
    told = {
        "home": str(folder),
        "secret_file": str(made.secret),
        "public_files": {str(kind): str(path) for kind, path in made.papers.items()},
        "fingerprints": {str(kind): part.fingerprint.hex() for kind, part in made.parts.items()},
    }
    answer(told, _next_steps(made, association, port))


def _found_from_anywhere(path: str) -> str:
    # In the settings a relative path starts in the home; on a command line it starts where one is.
    return str(Path(path).absolute()) if path else ""


def _next_steps(made: Founded, association: str, port: int) -> list[str | Text]:
    hub, log = made.papers[Kind.HUB], made.papers[Kind.LOG]
    charter, root = f"charter-{association}-1.valija", f"{association}.hub-root.public"
    place = f"--origin HOST/{association} --url https://HOST:{port}"
    return [
        strong(f"Made the home of a hub of {association} in {made.home.folder}."),
        f"  operating key  {hex_groups(made.parts[Kind.HUB].fingerprint)}",
        f"  log key        {hex_groups(made.parts[Kind.LOG].fingerprint)}",
        f"  settings       {made.home.config}",
        f"  secret         {made.secret}  (whoever has it and the key files is this hub)",
        "",
        "Next, on machines that are not this one (valija-keys COMMAND --help says more):",
        "  1. The hub's root, kept offline, and the stewards' keys are made:",
        f"       valija-keys new hub-root {association} --out {root}",
        f"  2. The stewards draft and sign the charter, with {log.name}:",
        f"       valija-keys charter draft --name {association} --log {log.name} --hub-root {root} {place} …",
        f"  3. The hub's root certifies {hub.name}:",
        f"       valija-keys certify hub --charter {charter} --hub-key {hub.name} --root-key {association}",
        "  4. Both come back here:",
        f"       valija-hub install --home {made.home.folder} {charter} certificate-hub.valija",
        f"       valija-hub serve --home {made.home.folder}",
    ]


@main.command()
@home_option
@click.argument("files", type=FILE, nargs=-1)
@click.option("--restored", is_flag=True, help="This home was copied back: take in the registry from the nodes.")
@click.option("--at-once", is_flag=True, help="Restored, and nobody holds more: begin the new incarnation now.")
@json_option
def install(*, folder: Path, files: tuple[Path, ...], restored: bool, at_once: bool) -> None:
    """Put signed statements into the log of a hub that is not running: first of all charter and certificate.

    The order of FILES does not matter.  What is in the log already stays as it is.
    """
    if not files and not restored and not at_once:
        raise click.UsageError("Missing FILES: the signed charter and the hub's certificate.")
    if restored and not at_once:
        founding.mark_restored(Home(folder), os.environ)
    done = founding.install(Home(folder), _papers(files), os.environ, now(), restored=at_once)
    told = {
        "size": done.size,
        "added": done.added,
        "incarnation": None if done.incarnation is None else list(done.incarnation.value()),
        "will_refill": done.will_refill,
    }
    answer(told, _installed(done, folder))


def _installed(done: Installed, folder: Path) -> list[str | Text]:
    entries = "1 entry" if done.size == 1 else f"{done.size} entries"
    lines: list[str | Text] = [strong(f"The log has {entries}, of which {done.added} new.")]
    if done.will_refill:
        return [*lines, f"It takes in what the nodes hold when it is started: valija-hub serve --home {folder}"]
    if done.incarnation is None:
        return [*lines, "The hub's certificate is still missing: have its public key certified, and install that too."]
    return [*lines, f"The hub is ready: valija-hub serve --home {folder}"]


def _papers(files: Sequence[Path]) -> list[SignedStatement]:
    return [read_statement(path) for path in files]


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--hub", "url", help="Address of the hub, as the charter gives it.")
@click.option(
    "--home", "folder", type=click.Path(file_okay=False, path_type=Path), envvar="VALIJA_HUB_HOME",
    help="The folder of the hub, on its own machine.",
)  # fmt: skip
@click.option("--ca-file", type=FILE, help="Authority of the hub's TLS certificate, if your system does not know it.")
@json_option
def publish(*, files: tuple[Path, ...], url: str | None, folder: Path | None, ca_file: Path | None) -> None:
    """Put signed statements into the log of a running hub: admissions, certificates, networks, revocations.

    Anybody may: what counts is who signed.  Repeating it does no harm.
    """
    hub = _hub(url, folder, ca_file)
    logged = []
    for signed in founding.in_order(_papers(files)):
        index, size = hub.publish(signed.raw)
        logged.append({"statement": show_id("stm", signed.id), "type": signed.statement.type.name.lower(),
                       "index": index, "size": size})  # fmt: skip
    answer({"logged": logged}, [f"{each['type']:<14} {each['statement']}  entry {each['index']}" for each in logged])


def _hub(url: str | None, folder: Path | None, ca_file: Path | None) -> Hub:
    if url:
        return Hub.at_url(url, ca_file)
    if folder:
        return Hub.at_home(Home(folder))
    raise click.UsageError("Say --hub URL, or --home FOLDER on the hub's own machine.")


# -- running ---------------------------------------------------------------------------------------------
@main.command()
@home_option
@json_option
def serve(*, folder: Path) -> None:
    """Run the hub until SIGTERM; then it answers what was asked, says farewell, and ends.

    It logs one JSON object a line on standard error.  SIGHUP makes it read a renewed TLS certificate.
    """
    daemon.serve(Home(folder), os.environ)


@main.command("status")
@home_option
@click.option("--watch", is_flag=True, help="Stay, and show it anew every two seconds.")
@json_option
@click.pass_context
def show_status(ctx: click.Context, *, folder: Path, watch: bool) -> None:
    """Show how the running hub and each of its members stand."""
    hub = Hub.at_home(Home(folder))
    told = hub.get("/status")
    if not watch:
        answer(status.for_programs(told), [status.head(told), *status.totals_lines(told)])
        if not wants_json(ctx):
            Console(width=None if sys.stdout.isatty() else _FILE_WIDTH).print(status.table(told))
        return
    # Ctrl-C is how a watch ends.
    with suppress(KeyboardInterrupt):
        _watch(hub, told, as_json=wants_json(ctx))


def _watch(hub: Hub, told: status.Status, *, as_json: bool) -> None:
    if as_json:
        while True:
            answer(status.for_programs(told), [])
            time.sleep(_WATCH_SECONDS)
            told = hub.get("/status")
    with Live(_shown(told), auto_refresh=False) as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(_shown(hub.get("/status")), refresh=True)


def _shown(told: status.Status) -> Group:
    return Group(status.head(told), *status.totals_lines(told), "", status.table(told))


@main.command("doctor")
@home_option
@click.option("--deep", is_flag=True, help="Read a large database through, however long it takes.")
@click.option(
    "--journal-head", default="", help="A `head` of an old line operator_act: the journal must still hold it."
)
@json_option
@click.pass_context
def show_doctor(ctx: click.Context, *, folder: Path, deep: bool, journal_head: str) -> None:
    """Look for what is wrong: exit 0 if nothing needs somebody now, 1 if something does."""
    rows = doctor.examine(Home(folder), os.environ, deep=deep, journal_head=journal_head)
    healthy = doctor.is_healthy(rows)
    answer({"healthy": healthy, "rows": [row.value() for row in rows]}, [line for row in rows for line in _lines(row)])
    ctx.exit(0 if healthy else _REFUSED)


_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def _lines(row: Row) -> list[Text | str]:
    head = Text.assemble((f"{row.level:<8}", _STYLES[row.level]), f" {row.name:<12} {row.found}")
    if row.level is Level.OK:
        return [head]
    return [head, f"{'':22}effect: {row.effect}", f"{'':22}remedy: {row.remedy}"]


for command in (backup, restore, *cli_steering.COMMANDS):
    main.add_command(command)
