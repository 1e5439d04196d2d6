"""A hub and members that answer, for developing a case system: `make sandbox`; ONCE=1 shows one exchange and ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from demo.stage import CommandError, Stage, choice
from sandbox.house import NETWORK, OTHERS, YOURS, Place, open_house
from sandbox.members import answer
from valija_client import Client, DeliveryEvent, Draft, Event, MessageEvent

ONCE_SECONDS: Final = 30
SUBJECT: Final = "Cuentas y titulares, causa FRO 4127/2026"

_WELCOME: Final = """\
A hub and three members run on this machine alone: {yours} is yours, {others} answer; #{network} is all of them.

export VALIJA={address}
export TOKEN={token}

Write to them; each acknowledges after a second, and answers after two:
  curl -sS $VALIJA/api/v1/messages -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: record-1" \\
    --json '{{"to": ["{first}"], "type": "mla-request", "subject": "{subject}", "body": "…"}}'
A subject with "decline" is declined, with "more" they ask for more, with "silent" nothing comes back.

Follow what happens, and read what came:
  curl -sSN "$VALIJA/api/v1/events?after=0-0" -H "Authorization: Bearer $TOKEN"
  curl -sS $VALIJA/api/v1/messages -H "Authorization: Bearer $TOKEN"

Be told by a webhook; http and this machine's own addresses are allowed here, unlike at a real node:
  curl -sS $VALIJA/api/v1/webhooks -H "Authorization: Bearer $TOKEN" --json '{{"url": "http://127.0.0.1:9000/hook"}}'

Everything that there is: $VALIJA/api/v1/docs in a browser, docs/api.md, clients/python.
"""


def welcome(place: Place) -> str:
    """What a developer needs."""
    return _WELCOME.format(
        yours=YOURS,
        others=" and ".join(OTHERS),
        network=NETWORK,
        address=place.address,
        token=place.token,
        first=OTHERS[0],
        subject=SUBJECT,
    )


async def run(places: Mapping[str, Place], *, once: bool) -> None:
    """The members answer, until it is ended or, if `once`, one request was answered by all of them."""
    async with asyncio.TaskGroup() as tasks:
        answering = [tasks.create_task(answer(places[each].address, places[each].token)) for each in OTHERS]
        if once:
            async with asyncio.timeout(ONCE_SECONDS):
                await exchange(places[YOURS])
            for each in answering:
                each.cancel()


async def exchange(place: Place) -> None:
    """One request to all others, and what comes back, told event by event."""
    async with Client(place.address, place.token) as node, aclosing(node.events("0-0")) as events:
        sent = await node.send(Draft(to=OTHERS, type="mla-request", subject=SUBJECT, body="Señora Fiscal: …"))
        print(f"sent       {sent.id}, to be read by {', '.join(each.member for each in sent.readers)}", flush=True)
        missing = set(OTHERS)
        async for event in events:
            print(*_line(event), flush=True)
            if isinstance(event, MessageEvent) and event.data.thread == sent.id:
                missing.discard(event.data.sender.member)
            if not missing:
                return


def _line(event: Event) -> tuple[str, ...]:
    match event:
        case MessageEvent(_, news):
            return ("message   ", news.id, "from", news.sender.member, news.subject)
        case DeliveryEvent(_, changed):
            marks = [f"{each.recipient.member} {each.state}" for each in changed.deliveries if each.recipient]
            return ("delivery  ", changed.id, ", ".join(marks) or "queued")
        case _:
            return ("event     ", event.id)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Open, say what is there, answer, and clean up whatever happens."""
    signal.signal(signal.SIGTERM, _interrupt)
    # Whoever started it in the background had Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stage, once = Stage(), bool(choice("ONCE"))
    try:
        places = open_house(stage)
        print(welcome(places[YOURS]), flush=True)
        if not once:
            print("Ctrl-C ends it and removes everything.", flush=True)
        asyncio.run(run(places, once=once))
    except KeyboardInterrupt:
        print("Cleaning up …", flush=True)
        return 0
    except (CommandError, OSError, ExceptionGroup) as error:
        causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        print("The sandbox failed:", *(f"{type(each).__name__} {each}" for each in causes), file=sys.stderr)
        return 1
    finally:
        stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
