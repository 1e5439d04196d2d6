"""Commands on desks and on the tokens with which their systems speak."""

from __future__ import annotations

from typing import Any, Final

import click

from node import terminal
from node.client import NodeClient, segment
from node.console import answer, strong, with_client

_KEEP: Final = "Keep it where only that system reads it: it is shown this once, and `desk revoke` ends it."


@click.group()
def desk() -> None:
    """Desks of this member, and the tokens of their systems."""


@desk.command("add")
@click.argument("name")
@with_client
def add(client: NodeClient, name: str) -> None:
    """Make the desk NAME."""
    answer(client.post("desks", {"name": name}), [f"Made the desk {terminal.plain(name)}."])


@desk.command("list")
@with_client
def list_desks(client: NodeClient) -> None:
    """List the desks and their tokens."""
    found = client.get("desks")
    answer(found, [line for each in found["desks"] for line in _lines(each)])


def _lines(told: dict[str, Any]) -> list[Any]:
    return [strong(told["name"]), *map(_token, told["tokens"])]


def _token(told: dict[str, Any]) -> str:
    state = f"revoked {told['revoked_at']}" if told["revoked_at"] else "in force"
    return f"  {told['handle']}  {told['created_at']}  {state}  {terminal.plain(told['label'])}".rstrip()


@desk.command("token")
@click.argument("name")
@click.option("--label", default="", help="What it is for, at most 64 characters.")
@with_client
def make_token(client: NodeClient, name: str, *, label: str) -> None:
    """Make a token for the desk NAME, and show it this once."""
    made = client.post("tokens", {"desk": name, "label": label})
    answer(made, [made["token"], f"The token {made['handle']} of the desk {made['desk']}.  {_KEEP}"])


@desk.command("revoke")
@click.argument("handle")
@with_client
def revoke(client: NodeClient, handle: str) -> None:
    """End the token whose HANDLE `desk list` shows."""
    ended = client.delete(f"tokens/{segment(handle)}")
    answer(ended, [f"The token {ended['handle']} of the desk {ended['desk']} is not valid any more."])
