"""Commands on desks and on the tokens with which their systems speak."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from node import terminal
from node.client import NodeClient, segment
from node.console import answer, strong, with_client
from node.scopes import Scope
from node.speaking import N_, Spoken, say

_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([dh])")
_SPANS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1)}
_KEEP: Final = N_("Keep it where only that system reads it: it is shown this once, and `desk revoke` ends it.")


@click.group(cls=Spoken)
def desk() -> None:
    """Desks of this member, and the tokens of their systems."""


@desk.command("add")
@click.argument("name")
@with_client
def add(client: NodeClient, name: str) -> None:
    """Make the desk NAME."""
    answer(client.post("desks", {"name": name}), [say("Made the desk %(name)s.", name=terminal.plain(name))])


@desk.command("list")
@with_client
def list_desks(client: NodeClient) -> None:
    """List the desks and their tokens."""
    found = client.get("desks")
    answer(found, [line for each in found["desks"] for line in _lines(each)])


def _lines(told: dict[str, Any]) -> list[Any]:
    return [strong(told["name"]), *map(_token, told["tokens"])]


def _token(told: dict[str, Any]) -> str:
    ends = say("until %(when)s", when=told["expires_at"]) if told["expires_at"] else say("in force")
    state = say("revoked %(when)s", when=told["revoked_at"]) if told["revoked_at"] else ends
    scopes = ",".join(told["scopes"])
    return f"  {told['handle']}  {told['created_at']}  {state}  {scopes}  {terminal.plain(told['label'])}".rstrip()


def _until(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The time that is so far from now; None for none."""
    if value is None:
        return None
    found = _SPAN.fullmatch(value)
    if found is None:
        raise click.BadParameter(say("a number of days or hours, such as 90d or 12h"))
    return (datetime.now(UTC) + int(found[1]) * _SPANS[found[2]]).strftime("%Y-%m-%dT%H:%M:%SZ")


@desk.command("token")
@click.argument("name")
@click.option("--label", default="", help="What it is for, at most 64 characters.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([each.value for each in Scope]),
    multiple=True,
    help="What it is good for; by default everything.",
)
@click.option(
    "--expires", default=None, callback=_until, help="How long it is good for: 90d, 12h; by default for ever."
)
@with_client
def make_token(client: NodeClient, name: str, *, label: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Make a token for the desk NAME, and show it this once."""
    wanted = list(scopes or Scope)
    made = client.post("tokens", {"desk": name, "label": label, "scopes": wanted, "expires_at": expires})
    named = say("The token %(handle)s of the desk %(desk)s.", handle=made["handle"], desk=made["desk"])
    answer(made, [made["token"], f"{named}  {say(_KEEP)}"])


@desk.command("revoke")
@click.argument("handle")
@with_client
def revoke(client: NodeClient, handle: str) -> None:
    """End the token whose HANDLE `desk list` shows."""
    ended = client.delete(f"tokens/{segment(handle)}")
    named = {"handle": ended["handle"], "desk": ended["desk"]}
    answer(ended, [say("The token %(handle)s of the desk %(desk)s is not valid any more.", **named)])
