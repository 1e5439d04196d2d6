"""The command that prints what happens, one JSON object a line, for scripts and for whoever looks on."""

from __future__ import annotations

import json
from typing import Final

import click

from node.config import Home
from node.console import home_option, json_option
from node.listening import listen as heard_at
from node.speaking import command, say

TYPES: Final = ("message", "delivery", "handover")


def _types(_ctx: click.Context, _parameter: click.Parameter, value: str) -> frozenset[str]:
    chosen = frozenset(each.strip() for each in value.split(","))
    if not chosen <= frozenset(TYPES):
        raise click.BadParameter(say("some of %(these)s", these=",".join(TYPES)))
    return chosen


@command()
@click.option(
    "--after", default=None, help="A cursor, the `id` of an event: what came behind it; 0-0 for all there is."
)
@click.option("--types", default=",".join(TYPES), show_default=True, callback=_types, help="Which kinds of events.")
@home_option
@json_option
def listen(*, home: Home, after: str | None, types: frozenset[str]) -> None:
    """Print what happens, one JSON object a line, until Ctrl-C; it goes on over a restart of the node.

    Each line has `id`, `type` and `data`.  The `id` of the last line is the cursor with which to go on later.
    """
    home.require()
    is_told = False
    try:
        for heard in heard_at(home.socket, after):
            if heard.data and heard.kind in types:
                line = {"id": heard.cursor, "type": heard.kind, "data": json.loads(heard.data)}
                # ASCII alone: what others wrote moves no cursor of a terminal.
                click.echo(json.dumps(line))
            elif not heard.data and not is_told:
                click.echo(say("Listening behind %(cursor)s; Ctrl-C ends it.", cursor=heard.cursor), err=True)
                is_told = True
    except KeyboardInterrupt:
        return
