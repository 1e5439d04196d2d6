"""Commands on webhooks: where desks want to be told what happens."""

from __future__ import annotations

from typing import Any

import click

from node import terminal
from node.client import NodeClient, segment
from node.console import answer, strong, with_client
from node.speaking import N_, Spoken, count, say

_KEEP = N_("Give it to that system alone: it is shown this once, and `webhook rotate` makes another.")


@click.group(cls=Spoken)
def webhook() -> None:
    """Webhooks of desks: their systems are told what happens, by the Standard Webhooks specification."""


@webhook.command("add")
@click.argument("url")
@click.option("--desk", default=None, help="Whose events; by default those of this node's first desk.")
@with_client
def add(client: NodeClient, url: str, *, desk: str | None) -> None:
    """Tell URL what happens from now on."""
    made = client.post("webhooks", {"url": url, "desk": desk})
    named = say("The secret of the webhook %(name)s of the desk %(desk)s.", name=made["name"], desk=made["desk"])
    answer(made, [made["secret"], f"{named}  {say(_KEEP)}"])


@webhook.command("list")
@with_client
def list_webhooks(client: NodeClient) -> None:
    """List the webhooks, and how each fares."""
    found = client.get("webhooks")
    answer(found, [line for each in found["webhooks"] for line in (strong(_head(each)), f"  {_state(each)}")])


def _head(told: dict[str, Any]) -> str:
    return f"{told['name']}  {told['desk']}  {terminal.plain(told['url'])}"


def _state(told: dict[str, Any]) -> str:
    if told["disabled_at"]:
        return say("disabled %(when)s: %(why)s", when=told["disabled_at"], why=told["disabled_why"])
    return say("failing since %(when)s", when=told["failing_since"]) if told["failing_since"] else say("in force")


@webhook.command("remove")
@click.argument("name")
@with_client
def remove(client: NodeClient, name: str) -> None:
    """Forget the webhook NAME and its log."""
    told = client.delete(f"webhooks/{segment(name)}")
    answer(told, [say("The webhook %(name)s is no more.", name=told["name"])])


def _act(name: str, about: str) -> None:
    @webhook.command(name, help=about)
    @click.argument("which", metavar="NAME")
    @with_client
    def act(client: NodeClient, which: str) -> None:
        told = client.post(f"webhooks/{segment(which)}/{name}")
        answer(told, [f"{_head(told)}: {_state(told)}"])


_act("disable", N_("Send nothing to the webhook NAME any more."))
_act("enable", N_("Go on telling the webhook NAME, from where it stood."))
_act("test", N_("Send the webhook NAME a notice that tells of nothing; `webhook log` says what became of it."))


@webhook.command("rotate")
@click.argument("name")
@with_client
def rotate(client: NodeClient, name: str) -> None:
    """Give the webhook NAME a fresh secret; for a day the old one signs too."""
    made = client.post(f"webhooks/{segment(name)}/rotate")
    named = say("The new secret of the webhook %(name)s.", name=made["name"])
    answer(made, [made["secret"], f"{named}  {say(_KEEP)}"])


@webhook.command("log")
@click.argument("name")
@click.option("--after", default=None, help="Continue behind this cursor.")
@click.option("--limit", default=50, help="How many at most.")
@with_client
def log(client: NodeClient, name: str, *, after: str | None, limit: int) -> None:
    """Show what the webhook NAME was told, and what it is still to be told."""
    found = client.get(f"webhooks/{segment(name)}/notices", after=after, limit=limit)
    answer(found, [_notice(each) for each in found["items"]])


def _notice(told: dict[str, Any]) -> str:
    fate = say("again at %(when)s", when=told["next_at"]) if told["next_at"] else say("done")
    outcome = f"{told['status'] or '-'} {told['outcome'] or say('waiting')}"
    times = count("%(num)d time", "%(num)d times", told["attempts"])
    return f"{told['number']}  {told['type']}  {told['event']}  {times}, {outcome}, {fate}"


@webhook.command("redeliver")
@click.argument("name")
@click.argument("number", type=int)
@with_client
def redeliver(client: NodeClient, name: str, number: int) -> None:
    """Send the webhook NAME the notice NUMBER of its log once more."""
    told = client.post(f"webhooks/{segment(name)}/notices/{number}/redeliver")
    answer(told, [say("The notice %(number)d goes to %(name)s once more.", number=number, name=told["name"])])
