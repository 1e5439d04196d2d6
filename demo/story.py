"""The story: a request, an alert, an answer, two servers killed while messages are on their way, and what is left."""

from __future__ import annotations

import json
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import letters
from demo.association import Association
from demo.letters import NETWORK, SERVICES
from demo.stage import CommandError, Stage, choice
from demo.watch import Watcher, ask

UPDATES = 24
SETTLE_SECONDS = 40
PAUSE_SECONDS = 0.1
MAX_TEXT_BYTES = 500_000


@dataclass(frozen=True)
class Letter:
    """A message that was sent, by whom, and when its command or request began."""

    id: str
    sender: str
    subject: str
    to: tuple[str, ...]
    began: float


def own_texts() -> list[tuple[str, str]]:
    """Name and text of each of the user's own files, which `FILES` names; `CommandError` for one that cannot be sent."""
    return [(Path(name).name, _text(Path(name))) for name in choice("FILES").split()]


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text; name a text file in FILES") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}; name a text file in FILES") from None
    if not text.strip():
        raise CommandError(f"{path} is empty; name a file with some text in FILES")
    if len(json.dumps(text, ensure_ascii=False).encode()) > MAX_TEXT_BYTES:
        raise CommandError(f"{path} is too long for a message, which has at most {MAX_TEXT_BYTES:,} bytes")
    return text


@dataclass
class Story:
    """Everything that is sent, and the eyes on every node."""

    stage: Stage
    association: Association
    letters: list[Letter] = field(default_factory=list)
    watchers: dict[str, Watcher] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    own: list[tuple[str, str]] = field(default_factory=list)

    # -- the servers -----------------------------------------------------------------------------------
    def open(self, papers: list[Path]) -> None:
        """Hub and nodes run, the admissions are in the log, and every node can seal to every other."""
        stage, association = self.stage, self.association
        association.start_hub()
        stage.wait("the hub", self._hub_is_ready)
        stage.run("valija-hub", "publish", "--home", association.hub_home, *papers, shown=True)
        stage.say("The log of the registry now holds every admission; each node mirrors and replays it whole.")
        for service in SERVICES:
            association.start_node(service.member)
            self.watchers[service.member] = Watcher(service.member, association.home(service.member))
            self.watchers[service.member].start()
        for service in SERVICES:
            stage.wait(f"the node of {service.spoken}", lambda member=service.member: self._is_connected(member))
            stage.say(f"  {service.member:<8} {service.spoken}: connected")

    def _hub_is_ready(self) -> bool:
        try:
            self.stage.run("valija-hub", "status", "--home", self.association.hub_home)
        except CommandError:
            return False
        return True

    def _is_connected(self, member: str) -> bool:
        status = ask(self.association.home(member), "/api/v1/status")
        return bool(status and status.get("session") == "open")

    # -- letters ---------------------------------------------------------------------------------------
    def send(
        self, sender: str, to: tuple[str, ...], subject: str, body: str, *options: str, shown: bool = True
    ) -> Letter:
        """Hand a message to the sender's node by its command."""
        addressed = [word for each in to for word in ("--to", each)]
        home, began = self.association.home(sender), time.monotonic()
        answer = self.stage.run("valija-node", "send", "--home", home, *addressed, "--subject", subject, "--body", "-",
                                *options, shown=shown, text=body)  # fmt: skip
        letter = Letter(answer["id"], sender, subject, to, began)
        self.letters.append(letter)
        self.written += [subject, body]
        return letter

    def request(self) -> Letter:
        """Argentina asks Colombia and Spain for help; with `FILES`, in the user's own words."""
        texts = self.own or [(letters.REQUEST_SUBJECT, letters.REQUEST)]
        sent = [
            self.send("ar-mpf", ("co-fgn@aiamp", "es-fge@aiamp"), subject, text, "--type", "mla-request",
                      "--urgency", "urgent", "--handling", "TLP:AMBER", "--case", "FRO 4127/2026")
            for subject, text in texts
        ]  # fmt: skip
        return sent[0]

    def alert(self) -> Letter:
        """Spain alerts the network."""
        return self.send("es-fge", (f"#{NETWORK}@aiamp",), letters.ALERT_SUBJECT, letters.ALERT,
                         "--type", "controlled-delivery", "--urgency", "emergency")  # fmt: skip

    def answer(self, request: Letter) -> None:
        """Colombia acknowledges, and answers."""
        home = self.association.home("co-fgn")
        self.stage.run("valija-node", "ack", "--home", home, request.id, "--action", "accepted", shown=True)
        began = time.monotonic()
        answer = self.stage.run("valija-node", "reply", "--home", home, request.id, "--subject", letters.ANSWER_SUBJECT,
                                "--type", "mla-response", "--body", "-", shown=True, text=letters.ANSWER)  # fmt: skip
        self.letters.append(Letter(answer["id"], "co-fgn", letters.ANSWER_SUBJECT, ("ar-mpf@aiamp",), began))
        self.written += [letters.ANSWER_SUBJECT, letters.ANSWER]

    def flood(self) -> None:
        """Brazil's case system sends updates to Colombia; Colombia's node is killed meanwhile, then the hub."""
        hub, node = self.association.start_hub(), self.association.nodes["co-fgn"]
        self.stage.say(
            f"Brazil's case system posts {UPDATES} updates to its own node: POST /api/v1/messages, one by one."
        )
        for number in range(1, UPDATES + 1):
            self.letters.append(self._update(number))
            if number == UPDATES // 3:
                node.end(signal.SIGKILL)
                self.stage.say(f"[bold red]kill -9[/] of Colombia's node after update {number}; Brazil goes on posting")
            if number == 2 * UPDATES // 3:
                hub.end(signal.SIGKILL)
                self.stage.say(f"[bold red]kill -9[/] of the hub after update {number}; Brazil goes on posting")
            threading.Event().wait(PAUSE_SECONDS)
        self.stage.say("The hub starts again, then Colombia's node. Nobody sends anything again by hand.")
        self.association.start_hub()
        self.association.start_node("co-fgn")

    def _update(self, number: int) -> Letter:
        subject, body = f"{letters.UPDATE_SUBJECT} {number}", letters.UPDATE.format(number=number)
        message = {"to": ["co-fgn@aiamp"], "subject": subject, "body": body}
        began = time.monotonic()
        home = self.association.home("br-mpf")
        answer = self.stage.wait("Brazil's node", lambda: ask(home, "/api/v1/messages", message, f"update-{number}"))
        self.written += [subject, body]
        return Letter(answer["id"], "br-mpf", subject, ("co-fgn@aiamp",), began)

    # -- waiting ---------------------------------------------------------------------------------------
    def settled(self, letter: Letter) -> dict[str, Any] | None:
        """The message as its sender's node tells it, once every recipient's signed receipt is there; else None."""
        told = ask(self.association.home(letter.sender), f"/api/v1/messages/{letter.id}")
        if told and all(each["state"] in {"delivered", "acknowledged"} for each in told["deliveries"]):
            return dict(told)
        return None

    def wait_all(self) -> list[dict[str, Any]]:
        """Every message with all of its receipts."""
        return [
            self.stage.wait(f"the receipts of {letter.subject}", lambda each=letter: self.settled(each), SETTLE_SECONDS)
            for letter in self.letters
        ]

    def close(self) -> None:
        """Look away."""
        for watcher in self.watchers.values():
            watcher.stop()
