"""What is about to be sent: it waits ten seconds for a change of mind, then is handed to the node like any message.

What waits is in the archive, and goes after a restart too.  The idempotency key belongs to the draft, so that a crash
between the two makes no second message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from structlog.typing import FilteringBoundLogger

from node import problems
from node.api_requests import Asked, message_of
from node.api_views import show_message_id
from node.desks import Colleague
from node.i18n import speech
from node.people.acts import Act
from node.people.register import Register
from node.people.roles import DENIED, POWERS, Power
from node.service import Service
from node.store import Transaction
from node.tables import drafts
from node.tables.drafts import Draft
from node.tables.people import Person
from node.web.settings import Web
from node.web.writing import Typed, read_typed, request_of
from protocol.errors import ForbiddenError, StoreError, ValijaError
from protocol.messages.content import Author, FormalityKind

_LONGEST_SLEEP_SECONDS: Final = 60


class Outgoing:
    """Sends drafts when their time has come; used on the loop's thread."""

    def __init__(
        self,
        service: Service,
        register: Register,
        settings: Web,
        now: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        """Nothing is sent until `run`."""
        self._service, self._register, self._now, self._log = service, register, now, log
        self._zone, self.undo_seconds = settings.time_zone, settings.undo_seconds
        self._news = asyncio.Event()

    def judge(self, person: Person, typed: Typed, key: str) -> Asked:
        """The message that this person may send; `UsageError`, `ForbiddenError` if it is none of theirs to send."""
        asked = request_of(typed, speech("en", self._zone).zone)
        powers = POWERS[person.role]
        if Power.WRITE not in powers or (asked.desk is not None and asked.desk not in person.desks):
            raise ForbiddenError(DENIED[Power.WRITE])
        if asked.formality and asked.formality.kind is FormalityKind.FORMAL and Power.FORMAL not in powers:
            raise ForbiddenError(DENIED[Power.FORMAL])
        return message_of(asked, key, _colleague(person, typed), self._service.writer)

    async def check(self, person: Person, typed: Typed, key: str) -> None:
        """Return if this person's message would go now; raises whatever would be told when its time comes."""
        await self._service.check(self.judge(person, typed, key), _colleague(person, typed))

    def notify(self) -> None:
        """A draft is about to go."""
        self._news.set()

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            self._news.clear()
            for draft in await self._service.read(partial(drafts.due, now=int(self._now()))):
                await self._send(draft)
            after = await self._service.read(drafts.next_due)
            wait = _LONGEST_SLEEP_SECONDS if after is None else max(0.0, after - self._now())
            try:
                async with asyncio.timeout(min(wait, _LONGEST_SLEEP_SECONDS)):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _send(self, draft: Draft) -> None:
        person = self._register.with_id(draft.person)
        try:
            if person is None:
                raise ForbiddenError(DENIED[Power.WRITE])
            typed = read_typed(draft.form)
            asked = self.judge(person, typed, draft.key)
            handed = await self._service.send(asked, _colleague(person, typed))
        except StoreError:
            raise
        except ValijaError as error:
            failure = f"{error.code}\n{error.detail}"
            await self._service.write(lambda tx: drafts.fail(tx, draft.id, failure))
            self._log.info("draft_refused", code=error.code)
            return
        sent_by, shown = person, show_message_id(handed.message_id)

        def job(tx: Transaction) -> None:
            # Even where its author threw it away in this very moment: it went.
            drafts.drop(tx, draft.key, sent_by.id)
            self._register.note(tx, sent_by.login, Act.SENT, shown)

        await self._service.write(job)


def _colleague(person: Person, typed: Typed) -> Colleague:
    return Colleague(person.desks, Author(name=person.name, role=person.role.value, login_method=typed.method))


def failure_of(draft: Draft) -> ValijaError | None:
    """Why the draft did not go, if it was tried."""
    if draft.failure is None:
        return None
    code, _, detail = draft.failure.partition("\n")
    return problems.error_of(code, detail)
