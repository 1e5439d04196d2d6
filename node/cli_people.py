"""Commands on the people who open this node's pages; the first administrator is made here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from node import terminal
from node.client import NodeClient, segment
from node.console import answer, strong, with_client
from node.speaking import N_, Spoken, say

_ROLES: Final = {
    "prosecutor": N_("prosecutor"),
    "clerk": N_("clerk"),
    "auditor": N_("auditor"),
    "administrator": N_("administrator"),
}
ROLES: Final = tuple(_ROLES)
_GIVE: Final = N_(
    "Give this address to the person yourself.  It works once, for three days, and is shown this once: whoever opens "
    "it first becomes this person here."
)


@click.group(cls=Spoken)
def people() -> None:
    """People who open this node's pages in a browser."""


@people.command("add")
@click.argument("login")
@click.option("--name", required=True, help="The person's name, as others read it.")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--desk", "desks", multiple=True, help="A desk whose mail the person sees; may be given again.")
@with_client
def add(client: NodeClient, login: str, *, name: str, role: str, desks: Sequence[str]) -> None:
    """Make somebody who logs in as LOGIN, and show their invitation once.

    The first one: valija-node people add ana.perez --name "Ana Pérez" --role administrator
    """
    _invited(client.post("people", {"login": login, "name": name, "role": role, "desks": list(desks)}))


@people.command("list")
@with_client
def list_people(client: NodeClient) -> None:
    """List everybody."""
    found = client.get("people")
    lines = [_line(each) for each in found["people"]]
    answer(found, lines or [say('Nobody yet.  Begin with: people add LOGIN --name "…" --role administrator')])


def _line(told: dict[str, Any]) -> Any:
    state = say("shut out %(when)s", when=told["disabled_at"]) if told["disabled_at"] else say("active")
    desks, role = ", ".join(told["desks"]) or say("no desk"), say(_ROLES.get(told["role"], told["role"]))
    return strong(f"{told['login']}  {terminal.plain(told['name'])}  {role}  {desks}  {state}")


@people.command("invite")
@click.argument("login")
@with_client
def invite(client: NodeClient, login: str) -> None:
    """A fresh invitation for LOGIN; using it ends every earlier way in."""
    _invited(client.post(f"people/{segment(login)}/invite"))


@people.command("enable")
@click.argument("login")
@with_client
def enable(client: NodeClient, login: str) -> None:
    """Let LOGIN in again, by a fresh invitation."""
    _invited(client.post(f"people/{segment(login)}/enable"))


@people.command("disable")
@click.argument("login")
@with_client
def disable(client: NodeClient, login: str) -> None:
    """Log LOGIN out everywhere, and let nobody in so any more."""
    told = client.post(f"people/{segment(login)}/disable")
    answer(
        told, [say("%(login)s is shut out; `people enable` lets them in again.", login=terminal.plain(told["login"]))]
    )


def _invited(told: dict[str, Any]) -> None:
    answer(told, [told["invitation"], say(_GIVE)])
