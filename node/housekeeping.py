"""What commands do in a home without its daemon: make it, run it, publish, examine.

A room of its own, because whoever only sends or reads a message should not wait until all of a node is loaded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from rich.text import Text

from keys.console import now
from keys.kinds import hex_groups, spoken
from keys.levels import Level
from keys.papers import read_statement
from keys.words import lines_of, plain
from node import config, daemon, diagnosis, doctor, founding
from node.config import Home
from node.console import strong
from node.diagnosis import Row
from node.founding import Founded
from node.hubline import HubLine
from node.speaking import N_, say, told
from node.speaking import spoken as said
from protocol.errors import StoreError
from protocol.names import show_id

_NAMED: Final = "%(name)s: %(what)s"

Told: TypeAlias = tuple[dict[str, Any], list[str | Text]]


def serve(home: Home) -> None:
    """Run the node of this home until SIGTERM or SIGINT; raises what `daemon.serve` does."""
    with naming(home.archive):
        daemon.serve(home, os.environ)


@contextmanager
def naming(archive: Path) -> Iterator[None]:
    """A `StoreError` that ends a daemon meanwhile names the archive, or the file beside it that it is about, and what to do."""
    try:
        yield
    except StoreError as error:
        is_named = str(archive.parent) in str(error.detail)
        why = told(error.detail) if is_named else told(_NAMED, name=archive, what=error.detail)
        raise type(error)(
            told("%(why)s; `valija-node doctor` tells what is damaged and what to do", why=why)
        ) from error


# -- beginning -----------------------------------------------------------------------------------------
def init(home: Home, member: str, charter: Path, url: str, ca_file: str) -> Told:
    """Make a home, and tell what to compare and what comes next; raises what `founding.make_home` does."""
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
    return told, _next_steps(made, member)


def _next_steps(made: Founded, member: str) -> list[str | Text]:
    home, signed, name = made.home, made.anchor.signed, plain(made.anchor.charter.name)
    key = home.public.name
    return [
        strong(say("Made the home of the node of %(member)s in %(home)s.", member=member, home=home.folder)),
        *lines_of(
            {
                say("settings"): str(home.config),
                say("node key"): hex_groups(made.public.fingerprint),
                say("first desk"): config.FIRST_DESK,
            }
        ),
        "",
        strong(say("Compare the charter of %(name)s with another member, by telephone:", name=name)),
        f"  {hex_groups(signed.id)}",
        f"  {spoken(signed.id)}",
        "",
        say("Next:"),
        f"  1. {say('Whoever keeps the root key of %(member)s certifies %(key)s, on another machine:', member=member, key=key)}",
        f"       valija-keys certify node {member} --node-key {key} --root-key {member} --charter …",
        f"  2. {say('Admission and certificate go into the log of the hub:')}",
        f"       valija-node publish --home {home.folder} ADMISSION CERTIFICATE",
        f"  3. {say('Start the node, and look at it:')}",
        f"       valija-node serve --home {home.folder}",
        f"       valija-node doctor --home {home.folder}",
    ]


# -- publishing ----------------------------------------------------------------------------------------
def publish(home: Home, files: tuple[Path, ...]) -> Told:
    """Post signed statements to the hub of this home, in order; raises the error that the hub names."""
    settings = config.load(home, os.environ)
    url = settings.hub.url or founding.read_anchor(home.charter).charter.hub.url
    papers = [read_statement(path) for path in files]
    line = daemon.hub_line(home, settings, url, os.environ)
    leaves = asyncio.run(_publish(line, [paper.raw for paper in papers]))
    logged = [
        {"statement": show_id("stm", paper.id), "type": paper.statement.type.name.lower(), "index": index}
        for paper, index in zip(papers, leaves, strict=True)
    ]
    return {"logged": logged}, [
        f"  {say('entry')} {each['index']:<6} {each['type']:<12} {each['statement']}" for each in logged
    ]


async def _publish(line: HubLine, raws: list[bytes]) -> list[int]:
    async with line:
        return [await line.post_statement(raw) for raw in raws]


# -- examining -----------------------------------------------------------------------------------------
def examine(home: Home, *, deep: bool = False) -> tuple[bool, Told]:
    """Whether this node is healthy, and every row that was looked at; raises what `doctor.examine` does."""
    rows = doctor.examine(home, os.environ, deep=deep)
    healthy = diagnosis.is_healthy(rows)
    told = {"healthy": healthy, "rows": [row.value() for row in rows]}
    return healthy, (told, [line for row in rows for line in _lines(row)])


_LEVELS: Final = {Level.OK: N_("ok"), Level.WARNING: N_("warning"), Level.PROBLEM: N_("problem")}
_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def _lines(row: Row) -> list[Text | str]:
    level, name = say(_LEVELS[row.level]), said(row.title)
    head = Text.assemble((f"{level:<8}", _STYLES[row.level]), f" {name:<12} {plain(said(row.found))}")
    if row.level is Level.OK:
        return [head]
    code = f" [{row.code}]" if row.code else ""
    effect, remedy = say("effect: %(what)s", what=said(row.effect)), say("remedy: %(what)s", what=said(row.remedy))
    return [head, f"{'':22}{effect}{code}", f"{'':22}{remedy}"]
