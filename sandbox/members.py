"""Members that answer by themselves, as long as somebody develops a case system against them.

What they do with a message is told by words of its subject, in English, Spanish or Portuguese.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from valija_client import Client, Draft, MessageEvent, Patience, Received, ValijaClientError

SECONDS: Final = 1.0
RESPONSES: Final = {"mla-request": "mla-response"}
DECLINE: Final = ("decline", "rechaz", "recus")
ASK: Final = ("more", "aclar", "esclare")
SILENT: Final = ("silent", "silencio", "silêncio")
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {"declined": DECLINE, "needs-information": ASK, "": SILENT}
_NOTES: Final = {
    "accepted": "Recibido; en trámite.",
    "declined": "No es competencia de esta fiscalía.",
    "needs-information": "Falta indicar el período y los titulares.",
}
_BODIES: Final = {
    "accepted": "Se da curso a lo solicitado.",
    "declined": "No se puede dar curso a lo solicitado.",
    "needs-information": "Se solicita indicar el período y los titulares.",
}
_PATIENCE: Final = Patience(tries=20, first_seconds=0.2, longest_seconds=5)


def action_for(subject: str) -> str:
    """What a member does with a message of this subject; empty for nothing at all."""
    words = subject.lower()
    return next((action for action, marks in _WORDS.items() if any(each in words for each in marks)), "accepted")


async def answer(address: str, token: str) -> None:
    """Answer every message that others begin a thread with, until cancelled; from the very first one on."""
    async with (
        Client(address, token, patience=_PATIENCE) as node,
        asyncio.TaskGroup() as tasks,
        aclosing(node.events("0-0")) as events,
    ):
        async for event in events:
            if isinstance(event, MessageEvent) and event.data.thread is None:
                tasks.create_task(_answer(node, event.data.id))


async def _answer(node: Client, message_id: str) -> None:
    try:
        message = await node.message(message_id)
        if isinstance(message, Received):
            await _respond(node, message)
    except ValijaClientError as error:
        # One message that cannot be answered ends nobody's sandbox; its sender sees that nothing came back.
        print(f"{message_id}: not answered: {error}", flush=True)


async def _respond(node: Client, message: Received) -> None:
    content = message.content
    action = action_for(content.subject)
    if not action:
        return
    await asyncio.sleep(SECONDS)
    await node.acknowledge(message.id, sender=message.sender.member)
    await asyncio.sleep(SECONDS)
    await node.acknowledge(message.id, action, _NOTES[action], sender=message.sender.member)
    await node.send(
        Draft(
            to=(f"{content.origin.member}/{content.origin.desk}",),
            type=RESPONSES.get(content.type, content.type),
            subject=f"Re: {content.subject}"[:300],
            body=_BODIES[action],
            thread=message.id,
            in_reply_to=message.id,
            case_reference=content.case_reference,
            handling=content.handling,
            idempotency_key=f"answer-{message.id}",
        )
    )
