"""The operator's way to try the calls to those on duty, over the Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from node.api import ROOT, SERVICE, answer, caller_of
from protocol.errors import ConfigError

if TYPE_CHECKING:
    # What words the calls is in memory only where somebody is called.
    from node.nudging.nudger import Nudger


def routes(nudger: Callable[[], Nudger | None]) -> list[web.RouteDef]:
    """The route of this room, over what calls people once it does."""

    async def try_out(request: web.Request) -> web.Response:
        """Call each address of a desk, to say that it is a trial."""
        request.app[SERVICE].require_operator(caller_of(request))
        found = nudger()
        if found is None:
            raise ConfigError("[nudges] duty is empty: this node calls nobody")
        done = await found.try_out(request.match_info["desk"])
        return answer({"calls": [{"step": step.value, "failure": why} for step, why in done.items()]})

    return [web.post(f"{ROOT}/nudges/{{desk}}/test", try_out)]
