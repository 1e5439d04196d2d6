"""Case systems under test: one author and one reader for each member, who keep their journals and never give up.

An author hands in one thing after the other (a message, a batch, a message to the network), and asks again under the
same keys until it is answered.  A reader follows the stream of events behind the last one it saw, and reads the inbox
behind its cursor whenever something came.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.faults.checker import recipient_path, sender_path
from tests.faults.journal import Acked, Asked, Handed, Journal, TakenBack, Told
from tests.system.house import Api

_RETRY_SECONDS: Final = 0.1
_STREAM_SECONDS: Final = 20.0
_PAGE: Final = 200
_AGAIN: Final = 200
_PASSING: Final = frozenset({429, 503})
_NETWORK: Final = "#todos"
_WORDS: Final = "Se remite el informe de la diligencia practicada y se solicita su agregación al legajo. "


class _Ended(Exception):  # noqa: N818 - no error: whoever waits is told to stop
    """The work is over."""


@dataclass
class Clock:
    """How much is done so far, and whether to go on; shared by all threads."""

    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: int = 0
    handed: int = 0
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, acknowledged: int = 0, handed: int = 0) -> None:
        with self.lock:
            self.acknowledged += acknowledged
            self.handed += handed

    def fail(self, who: str, error: BaseException) -> None:
        with self.lock:
            self.errors.append(f"{who}: {type(error).__name__}: {error}")


# -- authors -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Written:
    """One message; what it says follows from its key, so that it can be asked again at any time."""

    key: str
    to: tuple[str, ...]

    def content(self) -> dict[str, Any]:
        dice = random.Random(self.key)
        size = dice.choice((100, 300, 500, 1_000, 3_000, 20_000 if dice.random() < 0.1 else 500))
        urgency = "urgent" if dice.random() < 0.2 else "routine"
        body = (_WORDS * (size // len(_WORDS) + 1))[:size]
        return {"to": [*self.to], "subject": f"Actuación {self.key}", "body": body, "urgency": urgency}


class Author:
    """Writes from one member to the others, `rate` messages a second on average; ages begin with `begin_anew`."""

    def __init__(self, api: Api, others: Sequence[str], rate: float, seed: int, folder: Path, clock: Clock) -> None:
        """Nobody writes yet."""
        self._api, self._others, self._rate, self._clock = api, list(others), rate, clock
        self._random = random.Random(f"{seed} {api.member}")
        self.journal = Journal(sender_path(folder, api.member))
        self._prefix = f"{self._random.getrandbits(48):012x}"
        self._number = self._age = 0
        self._written: list[_Written] = []
        self._acked: set[str] = set()
        self._taken: set[str] = set()
        self._lock = threading.Lock()
        self._again: list[_Written] = []
        self.finished = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True, name=f"author {api.member}")

    def _work(self) -> None:
        try:
            while not self._clock.over.is_set():
                self._submit_again()
                count = self._one()
                self._clock.over.wait(self._random.expovariate(self._rate / count) if self._rate else 0)
            self._submit_again()
        except _Ended:
            pass
        except BaseException as error:  # noqa: BLE001 - told at the end, on the main thread
            self._clock.fail(f"author of {self._api.member}", error)

    def _one(self) -> int:
        """Hand in something; how many messages it was."""
        dice = self._random.random()
        if dice < 0.10:
            return self._batch(self._random.randint(2, 24))
        if dice < 0.25:
            self._single([_NETWORK], self._others)
        elif dice < 0.30:
            self._taken_back()
        else:
            to = self._some()
            self._single(to, to)
        return 1

    def _some(self) -> list[str]:
        return self._random.sample(self._others, min(len(self._others), self._random.choice((1, 1, 1, 2))))

    def _key(self) -> str:
        self._number += 1
        return f"{self._prefix}-{self._number}"

    def _single(self, to: Sequence[str], members: Sequence[str]) -> str:
        written = _Written(self._key(), tuple(to))
        self.journal.add(Asked(written.key, tuple(sorted(members)), self._age))
        self._written.append(written)
        answer = self._ask("messages", json.dumps(written.content()).encode(), Idempotency_Key=written.key)
        told = str(answer["id"])
        self._acknowledged((written.key, told))
        return told

    def _batch(self, count: int) -> int:
        to = self._some()
        lines = [_Written(self._key(), tuple(to)) for _each in range(count)]
        self.journal.add(*(Asked(each.key, tuple(sorted(to)), self._age) for each in lines))
        self._written += lines
        self._hand_in_many(lines)
        return count

    def _hand_in_many(self, lines: Sequence[_Written]) -> dict[str, str]:
        """The ids of these, by key."""
        body = b"\n".join(json.dumps(each.content() | {"idempotency_key": each.key}).encode() for each in lines)
        while True:
            told = [json.loads(line) for line in self._ask("messages:batch", body, "application/x-ndjson").splitlines()]
            refused = [each["error"] for each in told if "error" in each]
            if not refused and len(told) == len(lines):
                ids = {one.key: str(each["id"]) for one, each in zip(lines, told, strict=True)}
                self._acknowledged(*ids.items())
                return ids
            if not all(each["status"] in _PASSING for each in refused):
                raise AssertionError(refused)
            self._wait()

    def _taken_back(self) -> None:
        to = [self._random.choice(self._others)]
        told = self._single(to, to)
        self.journal.add(TakenBack(told))
        self._taken.add(self._written[-1].key)
        self._ask(f"messages/{told}/withdraw", b"", also=frozenset({404, 409}))

    def _acknowledged(self, *pairs: tuple[str, str]) -> None:
        self.journal.add(*(Acked(key, told, self._age) for key, told in pairs))
        fresh = {key for key, _told in pairs} - self._acked
        self._acked |= fresh
        self._clock.count(acknowledged=len(fresh))

    def _ask(
        self,
        path: str,
        body: bytes,
        kind: str = "application/json",
        also: frozenset[int] = frozenset(),
        **headers: str,
    ) -> Any:
        """The body of the answer 202, asked for until there is one; None for one of `also`."""
        while True:
            try:
                answer = self._api.ask("POST", path, body, Content_Type=kind, **headers)
            except (OSError, http.client.HTTPException, ValueError):
                answer = None
            if answer is not None and answer.status in also:
                return None
            if answer is not None and answer.status in {200, 202}:
                return answer.body
            if answer is not None and answer.status not in _PASSING:
                raise AssertionError((path, answer))
            self._wait()

    def _wait(self) -> None:
        if self.finished.wait(_RETRY_SECONDS):
            raise _Ended

    @property
    def acknowledged(self) -> int:
        """How many messages were acknowledged so far."""
        return len(self._acked)

    def api_operator(self) -> Api:
        """The same node, asked as its operator."""
        return Api(self._api.member, self._api.socket)

    # -- a node that came back from a backup
    def begin_anew(self) -> None:
        """A new age, while the node is dead: what was ever acknowledged is submitted again, before anything else new."""
        with self._lock:
            self._age += 1
            self._again = [each for each in self._written if each.key in self._acked]

    def _submit_again(self) -> None:
        while lines := self._next_again():
            told = self._hand_in_many(lines)
            for each in lines:
                if each.key in self._taken:
                    self._ask(f"messages/{told[each.key]}/withdraw", b"", also=frozenset({404, 409}))

    def _next_again(self) -> list[_Written]:
        with self._lock:
            lines, self._again = self._again[:_AGAIN], self._again[_AGAIN:]
        return lines


# -- readers -------------------------------------------------------------------------------------------
class Reader:
    """Follows one member's node until it is told to finish; what it saw stands in its journal."""

    def __init__(self, api: Api, folder: Path, clock: Clock) -> None:
        """Nobody reads yet."""
        self._api, self._clock = api, clock
        self.journal = Journal(recipient_path(folder, api.member))
        self._event = "0-0"
        self._cursor, self._age = "", 0
        self._lock = threading.Lock()
        self.finished = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True, name=f"reader {api.member}")

    def begin_anew(self) -> None:
        """A new age, while the node is dead: another archive's events and cursor begin at the beginning."""
        with self._lock:
            self._age, self._event, self._cursor = self._age + 1, "0-0", ""

    def _work(self) -> None:
        try:
            while not self.finished.is_set():
                try:
                    self._follow()
                except (OSError, http.client.HTTPException, ValueError):
                    self.finished.wait(_RETRY_SECONDS)
        except BaseException as error:  # noqa: BLE001 - told at the end, on the main thread
            self._clock.fail(f"reader of {self._api.member}", error)

    def _follow(self) -> None:
        age = self._age
        self.catch_up(age)
        connection, headers = self._api.connection(_STREAM_SECONDS), {"Last-Event-ID": self._event}
        if self._api.token:
            headers["Authorization"] = f"Bearer {self._api.token}"
        try:
            connection.request("GET", "/api/v1/events", headers=headers)
            response = connection.getresponse()
            if response.status in _PASSING:
                raise ConnectionError(response.status)
            assert response.status == 200, response.status
            for event in _events(response):
                if self.finished.is_set() or age != self._age:
                    return
                self._hear(event, age)
        finally:
            connection.close()

    def _hear(self, event: Mapping[str, str], age: int) -> None:
        is_message = event.get("event") == "message"
        if is_message:
            told = json.loads(event["data"])
            self.journal.add(Told(told["id"], event["id"], age))
        # First of all: whoever has to ask anew goes on behind what is written down.
        with self._lock:
            if age == self._age:
                self._event = event.get("id", self._event)
        if is_message:
            self.catch_up(age)

    @property
    def member(self) -> str:
        """Whose reader it is."""
        return self._api.member

    def is_at_end(self) -> bool:
        """Whether everything is read that the inbox holds now, and the stream told of; False while it cannot be asked."""
        try:
            return not self._page(1)["items"]
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def catch_up(self, age: int) -> None:
        """Read the inbox to its end."""
        while not self.finished.is_set() and age == self._age:
            page = self._page(_PAGE)
            items = page["items"]
            if not items:
                return
            self.journal.add(*(Handed(x["id"], x["sender"]["member"], x["mark"], age) for x in items))
            with self._lock:
                if age == self._age:
                    self._cursor = page["next"]
            self._clock.count(handed=len(items))

    def _page(self, limit: int) -> Any:
        """What stands behind the cursor; `ConnectionError` from a node that asks for patience, as one that ends does."""
        after = f"&after={quote(self._cursor)}" if self._cursor else ""
        answer = self._api.ask("GET", f"messages?limit={limit}{after}")
        if answer.status in _PASSING:
            raise ConnectionError(answer.status)
        assert answer.status == 200, answer
        return answer.body


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    while line := response.readline():
        text = line.decode().rstrip("\r\n")
        if text:
            name, _, value = text.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


@dataclass
class Traffic:
    """All authors and readers of an association, while the block lasts."""

    authors: dict[str, Author]
    readers: dict[str, Reader]
    clock: Clock

    @classmethod
    def between(cls, apis: Mapping[str, Api], rate: float, seed: int, folder: Path) -> Traffic:
        """Everybody writes to everybody; `rate` is messages a second of all together."""
        clock, each = Clock(), rate / len(apis)
        authors = {
            member: Author(api, [other for other in apis if other != member], each, seed, folder, clock)
            for member, api in apis.items()
        }
        return cls(authors, {member: Reader(api, folder, clock) for member, api in apis.items()}, clock)

    def start(self) -> None:
        """Everybody is at work."""
        for worker in self._workers():
            worker.thread.start()

    def wait(self, seconds: float) -> None:
        """Return once something more was acknowledged, or handed over, than now; or after so many seconds."""
        before, deadline = (self.clock.acknowledged, self.clock.handed), time.monotonic() + seconds
        while (self.clock.acknowledged, self.clock.handed) == before and time.monotonic() < deadline:
            time.sleep(0.02)

    def until(self, acknowledged: int, seconds: float = 120) -> None:
        """Return once so many messages were acknowledged; `AssertionError` if they are not after so long."""
        deadline = time.monotonic() + seconds
        while self.clock.acknowledged < acknowledged:
            assert time.monotonic() < deadline, f"{self.clock.acknowledged} of {acknowledged} messages acknowledged"
            time.sleep(0.02)

    def end_writing(self, seconds: float) -> None:
        """Return once every author has its last answer; `AssertionError` if one still waits for it after so long."""
        self.clock.over.set()
        deadline = time.monotonic() + seconds
        for author in self.authors.values():
            author.thread.join(max(0.1, deadline - time.monotonic()))
        waiting = [name for name, author in self.authors.items() if author.thread.is_alive()]
        assert not waiting, f"no answer for authors of {waiting}"

    def end(self) -> None:
        """Nobody is at work any more."""
        self.clock.over.set()
        for worker in self._workers():
            worker.finished.set()
        for worker in self._workers():
            if worker.thread.ident is not None:
                worker.thread.join(_STREAM_SECONDS + 5)
            worker.journal.close()

    def _workers(self) -> list[Author | Reader]:
        return [*self.readers.values(), *self.authors.values()]
