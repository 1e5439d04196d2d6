"""A stream of messages while daemons are killed, and the check of what is left, by a journal kept outside our code."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tests.system.house import SIGNED, House, eventually

REFUSED_FOR_A_WHILE: Final = frozenset({503})
RETRY_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Accepted:
    """One line of the journal: what a node said 202 to."""

    id: str
    sender: str
    recipients: tuple[str, ...]
    text: str


@dataclass
class Stream:
    """One author for each sender, who hands in one message after the other and asks again until it is accepted."""

    house: House
    roads: Mapping[str, Sequence[str]]
    pause: float
    journal: list[Accepted] = field(default_factory=list)
    asked_again: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nobody writes yet."""
        self._stop = threading.Event()
        self._authors = [threading.Thread(target=self._write, args=(each,), daemon=True) for each in self.roads]

    def __enter__(self) -> Self:
        for author in self._authors:
            author.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for author in self._authors:
            author.join(60)
        assert not any(author.is_alive() for author in self._authors), "an author still waits for its answer"

    def _write(self, sender: str) -> None:
        others, number = list(self.roads[sender]), 0
        try:
            while not self._stop.is_set():
                number += 1
                to = tuple(others if number % 3 == 0 else [others[number % len(others)]])
                self._hand_in(sender, to, f"{sender} {number}")
                self._stop.wait(self.pause)
        except BaseException as error:  # noqa: BLE001 - told by `check`, on the thread of the test
            self.errors.append(error)

    def _hand_in(self, sender: str, to: tuple[str, ...], text: str) -> None:
        # What was not answered may have been accepted: it is asked again under the same key until it is answered.
        key, api, deadline = os.urandom(8).hex(), self.house.api(sender), time.monotonic() + 50
        while time.monotonic() < deadline:
            try:
                answer = api.hand_in(*to, key=key, body=text)
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is not None and answer.status not in REFUSED_FOR_A_WHILE:
                assert answer.status == 202, answer
                self.journal.append(Accepted(answer.body["id"], sender, to, text))
                return
            self.asked_again += 1
            time.sleep(RETRY_SECONDS)
        raise AssertionError(f"{sender} never accepted {text}")

    # -- the check -------------------------------------------------------------------------------------
    def check(self, seconds: float = 60) -> None:
        """Everything accepted is in each recipient's inbox exactly once, receipted, in order; and nothing else is."""
        assert not self.errors, self.errors
        assert len(self.journal) == len({each.id for each in self.journal}) > len(self.roads)
        eventually("every receipt", lambda: not self._unsigned(), seconds)
        self._check_outboxes()
        self._check_inboxes()

    def _unsigned(self) -> list[str]:
        return [
            each["id"]
            for sender in self.roads
            for each in self.house.api(sender).outbox()
            if {delivery["state"] for delivery in each["deliveries"]} - SIGNED
        ]

    def _check_outboxes(self) -> None:
        for sender in self.roads:
            api, written = self.house.api(sender), [each for each in self.journal if each.sender == sender]
            assert [each["id"] for each in api.outbox()] == [each.id for each in written]
            for each in written[:: max(1, len(written) // 20)]:
                told = api.message(each.id)["deliveries"]
                signed = {one["recipient"]["member"]: one["receipt"]["signed_by"] for one in told}
                assert signed == {member: member for member in each.recipients}

    def _check_inboxes(self) -> None:
        wanted: defaultdict[str, Counter[tuple[str, str, str]]] = defaultdict(Counter)
        for each in self.journal:
            for member in each.recipients:
                wanted[member][each.id, each.sender, each.text] += 1
        for member in self.house.association.homes:
            arrived = self.house.api(member).inbox()
            found = Counter((x["id"], x["sender"]["member"], x["content"]["body"]["text"]) for x in arrived)
            assert found == wanted[member], (member, found - wanted[member], wanted[member] - found)
            self._check_order(member, arrived)

    def _check_order(self, member: str, arrived: Sequence[Any]) -> None:
        for sender in self.roads:
            written = [each.id for each in self.journal if each.sender == sender and member in each.recipients]
            # A message that was sealed again keeps its number and is marked `late`: the others keep their order.
            late = {each["id"] for each in arrived if each["mark"] == "late"}
            inbox = [each["id"] for each in arrived if each["sender"]["member"] == sender]
            marks = [(written.index(x["id"]), x["mark"]) for x in arrived if x["sender"]["member"] == sender]
            assert [x for x in inbox if x not in late] == [x for x in written if x not in late], (sender, member, marks)


class Killing:
    """Kills daemons with SIGKILL at random moments and starts them again; all run again at the end."""

    def __init__(self, house: House, seed: int) -> None:
        """Nobody killed yet; the seed is in the failure's traceback."""
        self._house, self._random, self.seed = house, random.Random(seed), seed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for daemon in self._house.daemons.all:
                if not daemon.is_running():
                    daemon.start()
            self._house.daemons.ready()

    def rounds(self, names: Sequence[str]) -> None:
        """Kill each of these once, let it lie for a moment, and wait until it is ready again before the next."""
        for name in names:
            self._wait(0.2, 0.8)
            daemon = self._daemon(name)
            daemon.kill()
            self._wait(0.0, 0.5)
            daemon.start()
            daemon.wait()
        self._wait(0.2, 0.5)

    def rain(self, names: Sequence[str], kills: int) -> None:
        """Kill one of these so often, whether the one before is back or not; also while it starts."""
        for _ in range(kills):
            self._wait(0.0, 1.5)
            daemon = self._daemon(self._random.choice(names))
            daemon.kill()
            self._wait(0.0, 0.3)
            daemon.start()

    def _daemon(self, name: str) -> Any:
        daemons = self._house.daemons
        return next(iter(daemons.hubs.values())) if name == "hub" else daemons.nodes[name]

    def _wait(self, least: float, most: float) -> None:
        # The moment is what varies here; nothing is waited for.
        time.sleep(self._random.uniform(least, most))
