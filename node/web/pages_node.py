"""How this node is, for administrators: what `doctor` finds while it runs, and the newest alarms."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Final

from aiohttp import web

from keys.levels import Level
from node import doctor
from node.desks import Operator
from node.i18n import Speech
from node.people.roles import Power
from node.speaking import Told
from node.web import words
from node.web.parts import PARTS
from node.web.render import page, reason, rfc3339, speech_of
from node.web.requests import require

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SHOWN_BELOW: Final = "alarms"
_WORST_FIRST: Final = (Level.PROBLEM, Level.WARNING, Level.OK)


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [web.get("/node", node)]


async def node(request: web.Request) -> web.Response:
    """How the node is; nothing of what was written."""
    require(request).require(Power.ADMINISTER)
    parts = request.config_dict[PARTS]
    vitals = await parts.service.status(Operator())
    found = await asyncio.to_thread(doctor.glance, parts.home, vitals)
    rows = [row for row in found if row.name != _SHOWN_BELOW]
    values = {
        "vitals": vitals,
        "rows": sorted(rows, key=lambda row: _WORST_FIRST.index(row.level)),
        "alarms": vitals["alarms"][::-1],
        "tell": partial(tell, speech_of(request)),
        "alarm_name": lambda code: words.ALARMS.get(code) or reason(code),
    }
    return page(request, "node.html", values)


def tell(speech: Speech, text: object) -> str:
    """The same in the reader's language: a sentence of ours with whatever is filled in, a time, a detail; else as it is."""
    if isinstance(text, Told):
        filled = {name: value if isinstance(value, int) else tell(speech, value) for name, value in text.values.items()}
        return speech.say(text.sentence, **filled)
    written = str(text)
    return speech.moment(rfc3339(written)) if _TIME.fullmatch(written) else speech.detail(written)
