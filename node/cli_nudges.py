"""The command that tries whether those on duty can be called."""

from __future__ import annotations

from typing import Any, Final

import click

from node import terminal
from node.client import NodeClient, segment
from node.console import answer, with_client
from node.speaking import N_, command, say

_REFUSED: Final = 1
_STEPS: Final = {"duty": N_("duty"), "escalation": N_("escalation")}


@command()
@click.argument("desk")
@with_client
def nudge(client: NodeClient, desk: str) -> None:
    """Call those on duty at DESK by way of trial: exit 0 if every address was reached, 1 if one was not."""
    done = client.post(f"nudges/{segment(desk)}/test")
    lines = [_line(each) for each in done["calls"]]
    answer(done, lines or [say("Nobody is called for this desk: set [nudges] duty in node.toml.")])
    click.get_current_context().exit(_REFUSED if any(each["failure"] for each in done["calls"]) or not lines else 0)


def _line(call: dict[str, Any]) -> str:
    step = say(_STEPS.get(call["step"], call["step"]))
    if call["failure"]:
        return say("%(step)s: the call did not go through: %(why)s", step=step, why=terminal.plain(call["failure"]))
    return say("%(step)s: the call went through", step=step)
