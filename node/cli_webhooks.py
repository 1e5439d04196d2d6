"""Commands on webhooks: where desks want to be told what happens."""

from __future__ import annotations

from typing import Any

import click

from node import terminal
from node.client import NodeClient, segment
from node.console import answer, strong, with_client

_KEEP = "Give it to that system alone: it is shown this once, and `webhook rotate` makes another."


@click.group()
def webhook() -> None:
    """Webhooks of desks: their systems are told what happens, by the Standard Webhooks specification."""


@webhook.command("add")
@click.argument("url")
@click.option("--desk", default=None, help="Whose events; by default those of this node's first desk.")
@with_client
def add(client: NodeClient, url: str, *, desk: str | None) -> None:
    """Tell URL what happens from now on."""
    made = client.post("webhooks", {"url": url, "desk": desk})
    answer(made, [made["secret"], f"The secret of the webhook {made['name']} of the desk {made['desk']}.  {_KEEP}"])


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
        return f"disabled {told['disabled_at']}: {told['disabled_why']}"
    return f"failing since {told['failing_since']}" if told["failing_since"] else "in force"


def _act(name: str, about: str) -> None:
    @webhook.command(name, help=about)
    @click.argument("which", metavar="NAME")
    @with_client
    def act(client: NodeClient, which: str) -> None:
        told = client.post(f"webhooks/{segment(which)}/{name}")
        answer(told, [f"{_head(told)}: {_state(told)}"])


_act("disable", "Send nothing to the webhook NAME any more.")
_act("enable", "Go on telling the webhook NAME, from where it stood.")
_act("test", "Send the webhook NAME a notice that tells of nothing; `webhook log` says what became of it.")


@webhook.command("rotate")
@click.argument("name")
@with_client
def rotate(client: NodeClient, name: str) -> None:
    """Give the webhook NAME a fresh secret; for a day the old one signs too."""
    made = client.post(f"webhooks/{segment(name)}/rotate")
    answer(made, [made["secret"], f"The new secret of the webhook {made['name']}.  {_KEEP}"])


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
    fate = f"again at {told['next_at']}" if told["next_at"] else "done"
    status = told["status"] or "-"
    outcome = told["outcome"] or "waiting"
    return f"{told['number']}  {told['type']}  {told['event']}  {told['attempts']} times, {status} {outcome}, {fate}"


@webhook.command("redeliver")
@click.argument("name")
@click.argument("number", type=int)
@with_client
def redeliver(client: NodeClient, name: str, number: int) -> None:
    """Send the webhook NAME the notice NUMBER of its log once more."""
    told = client.post(f"webhooks/{segment(name)}/notices/{number}/redeliver")
    answer(told, [f"The notice {number} goes to {told['name']} once more."])
