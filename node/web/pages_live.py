"""News for pages that are open: a stream that says that something changed, and how much is new."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from node.event_views import Place, Rendered
from node.tables import reading
from node.web.guard import HEADERS
from node.web.pages_mail import colleague, look_of, parts_of, read
from node.web.requests import LIVE, require

SLOW_SECONDS: Final = 30
LONGEST_SECONDS: Final = 300
AT_MOST_EVERY_SECONDS: Final = 1.0
MAX_STREAMS: Final = 32
"""Of one person: a browser opens one, whatever the number of its tabs."""
_PRESSING: Final = (b'"urgency":"urgent"', b'"urgency":"emergency"')


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [web.get(LIVE, live)]


async def live(request: web.Request) -> web.StreamResponse:
    """Server-sent events `news` {new, pressing}: how many messages are new, and whether an urgent one just came.

    They begin behind the event that the page, or the last one that the browser heard, names.  A page that names none
    knows no number either: it is told one at once, as `count` {new}.  Where a person has too many, the oldest ends.
    """
    parts, visitor, look = parts_of(request), require(request), look_of(request)
    service, caller = parts.service, colleague(visitor)
    named = request.headers.get("Last-Event-ID") or request.query.get("after")
    after = Place.read(named) if named else await service.feed.now()
    async with sse_response(request, headers=HEADERS) as response:
        try:
            if not named:
                await _tell(
                    response, after, await read(request, lambda tx: reading.unopened(tx, look.person, look.seen))
                )
            # Whoever asks again is judged again: a session that ended meanwhile, or sees other desks, is told nothing more.
            async with (
                asyncio.timeout(LONGEST_SECONDS) as lasting,
                _among(parts.streams[look.person], lasting),
                aclosing(service.feed.follow(after, caller)) as batches,
            ):
                async for batch in batches:
                    if not parts.register.is_open(visitor):
                        break
                    seen = [each for each in batch if each.is_for(caller, service.writer.desk)]
                    new = await read(request, lambda tx: reading.unopened(tx, look.person, look.seen))
                    await _tell(response, batch[-1].place, new, is_pressing=any(map(_is_pressing, seen)))
                    # One look at the page costs more than many events: a burst is told once a second.
                    await asyncio.sleep(AT_MOST_EVERY_SECONDS)
        except (TimeoutError, ConnectionResetError):
            # Its time is over, or the browser left: either asks again when it wants to.
            parts.log.debug("stream_ended")
    return response


@asynccontextmanager
async def _among(streams: deque[asyncio.Timeout], lasting: asyncio.Timeout) -> AsyncIterator[None]:
    """This stream is one of its person's, of which the oldest ends where there are too many."""
    if len(streams) >= MAX_STREAMS and not (oldest := streams.popleft()).expired():
        oldest.reschedule(0)
    streams.append(lasting)
    try:
        yield
    finally:
        if lasting in streams:
            streams.remove(lasting)


async def _tell(response: EventSourceResponse, place: Place, new: int, *, is_pressing: bool | None = None) -> None:
    told = {"new": new} if is_pressing is None else {"new": new, "pressing": is_pressing}
    async with asyncio.timeout(SLOW_SECONDS):
        await response.send(
            msgspec.json.encode(told).decode(), id=str(place), event="count" if is_pressing is None else "news"
        )


def _is_pressing(event: Rendered) -> bool:
    return b"event: message\n" in event.data and any(each in event.data for each in _PRESSING)
