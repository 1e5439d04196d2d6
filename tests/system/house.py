"""A whole association with real daemons, and everything that the tests of the system ask of it.

with House(tmp_path, ["ar-mpf", "br-mpf"]) as house:
    house.start()
    ar = house.api("ar-mpf")
    sent = ar.send("br-mpf", subject="Prueba", body="Buenos días")
    ar.settled(sent)
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlencode

from node.client import NodeClient
from node.sockets import connected
from protocol.errors import ValijaError
from protocol.trust.statements import SignedStatement
from tests.support.association import Association, found
from tests.support.processes import Daemon, Daemons
from tests.system.forked import COMMAND_SECONDS, PROGRAMS, ForkedDaemon

T = TypeVar("T")
PATIENCE: Final = 30.0
POLL_SECONDS: Final = 0.03
_JSON: Final = frozenset({"application/json", "application/problem+json"})
SIGNED: Final = frozenset({"delivered", "acknowledged"})


class NotInTimeError(AssertionError):
    """What was waited for did not come about."""


def eventually(what: str, ready: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true answer of `ready`; `NotInTimeError` with the last false one if there is none in this time.

    A daemon that does not answer (any more, or yet) is no answer.
    """
    deadline, last = time.monotonic() + seconds, "nothing answered"
    while time.monotonic() < deadline:
        try:
            answer = ready()
        except (OSError, http.client.HTTPException, ValueError) as error:
            last = repr(error)
        else:
            if answer:
                return answer
            last = repr(answer)
        time.sleep(POLL_SECONDS)
    raise NotInTimeError(f"{what}: not within {seconds:.0f} s, last: {last}")


# -- asking a node ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Answer:
    """What a daemon answered over HTTP."""

    status: int
    kind: str
    body: Any


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("node", timeout=seconds)
        self._path, self._seconds = path, seconds

    def connect(self) -> None:
        self.sock = connected(self._path, self._seconds)


@dataclass(frozen=True)
class Api:
    """The API of one node: as its operator over the Unix socket, or with a desk's token over TCP."""

    member: str
    socket: Path
    address: str = ""
    token: str = field(default="", repr=False)

    def connection(self, seconds: float = COMMAND_SECONDS) -> http.client.HTTPConnection:
        """A connection of its own, not open yet, on which nothing takes longer than so many seconds."""
        if self.address:
            return http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=seconds)
        return _SocketConnection(self.socket, seconds)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """The answer to one request; `OSError` while the node does not listen."""
        connection = self.connection()
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            shown["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, f"/api/v1/{path}", body, shown)
            response = connection.getresponse()
            data, kind = response.read(), response.headers.get_content_type()
        except ValijaError as error:
            raise ConnectionError(error.code) from error
        finally:
            connection.close()
        return Answer(response.status, kind, json.loads(data) if data and kind in _JSON else data)

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON of a successful GET."""
        answer = self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))
        assert answer.status == 200, (path, answer)
        return answer.body

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """The answer to a POST of JSON."""
        data = None if body is None else json.dumps(body).encode()
        return self.ask("POST", path, data, Content_Type="application/json", **headers)

    # -- messages --------------------------------------------------------------------------------------
    def hand_in(self, *to: str, key: str | None = None, **content: Any) -> Answer:
        """The answer to one message handed in; an idempotency key is drawn if none is given."""
        return self.post("messages", {"to": list(to), **content}, Idempotency_Key=key or os.urandom(8).hex())

    def send(self, *to: str, key: str | None = None, **content: Any) -> str:
        """The id of a message that the node accepted."""
        answer = self.hand_in(*to, key=key, **content)
        assert answer.status == 202, answer
        return str(answer.body["id"])

    def message(self, message_id: str) -> Any:
        """The message in full."""
        return self.get(f"messages/{quote(message_id)}")

    def states(self, message_id: str) -> dict[str, str]:
        """Where a message of ours stands, by recipient; the empty name while it is not placed."""
        return {
            (each["recipient"] or {"member": ""})["member"]: each["state"]
            for each in self.message(message_id)["deliveries"]
        }

    def reaches(self, message_id: str, wanted: Mapping[str, str], seconds: float = PATIENCE) -> Any:
        """The message in full, once it stands so with each of these recipients and no other."""
        return self._once(message_id, lambda: self.states(message_id) == wanted, f"is {wanted}", seconds)

    def settled(self, message_id: str, seconds: float = PATIENCE) -> Any:
        """The message in full, once every recipient has signed for it."""
        return self._once(message_id, lambda: set(self.states(message_id).values()) <= SIGNED, "settled", seconds)

    def _once(self, message_id: str, ready: Callable[[], bool], what: str, seconds: float) -> Any:
        try:
            eventually(f"{message_id} {what}", ready, seconds)
        except NotInTimeError as error:
            told = self.message(message_id)["deliveries"], self.status()
            raise NotInTimeError(f"{error}; it stands {told}") from None
        return self.message(message_id)

    def received(self, message_id: str, seconds: float = PATIENCE) -> Any:
        """The message that another node sent, in full, once it is here."""

        def look() -> Any:
            answer = self.ask("GET", f"messages/{quote(message_id)}")
            return answer.body if answer.status == 200 else None

        return eventually(f"{message_id} at {self.member}", look, seconds)

    def pages(self, path: str) -> Iterator[Any]:
        """Every item of a list, page after page."""
        after = ""
        while True:
            page = self.get(path, limit=500, **({"after": after} if after else {}))
            yield from page["items"]
            if not page["items"]:
                return
            after = page["next"]

    def inbox(self) -> list[Any]:
        """Everything received, in archive order."""
        return list(self.pages("messages"))

    def outbox(self) -> list[Any]:
        """Everything sent, oldest first."""
        return list(self.pages("outbox"))

    # -- the node --------------------------------------------------------------------------------------
    def status(self) -> Any:
        """How the node is."""
        return self.get("status")

    def line_error(self) -> tuple[str, str]:
        """Code and message of what went wrong last with the line to the hub; empty if nothing."""
        error = self.status()["hub"]["error"]
        return (error["code"], error["message"]) if error else ("", "")

    def is_connected(self) -> bool:
        """Whether it has a session."""
        return bool(self.status()["hub"]["phase"] == "connected")

    def standing(self) -> Any:
        """What must not change when something is refused: everything sent, received and known."""
        told = self.status()
        return self.outbox(), self.inbox(), told["registry"]["size"], told["incarnation"], told["messages"]


# -- the house -------------------------------------------------------------------------------------------
class House:
    """An association below `folder`, its daemons stopped at the end whatever happens."""

    def __init__(
        self,
        folder: Path,
        members: Sequence[str],
        networks: Mapping[str, Sequence[str]] | None = None,
        *,
        now: int | None = None,
    ) -> None:
        """Founded, nothing runs."""
        self.association: Association = found(folder / "a", members, networks, tls=False, now=now)
        self.daemons = Daemons(folder / "logs", forked=PROGRAMS)

    def hub(self, *, ahead: int = 0, **environment: str) -> Daemon:
        """The hub, starting; its clock is `ahead` seconds ahead."""
        daemon, hubs = self.daemons.hub(self.association, **environment), self.daemons.hubs
        return self._under_clock(hubs, str(self.association.hub_home.folder), ahead) if ahead else daemon

    def node(self, member: str, *, ahead: int = 0, **environment: str) -> Daemon:
        """The member's node, starting; its clock is `ahead` seconds ahead."""
        daemon = self.daemons.node(self.association, member, **environment)
        return self._under_clock(self.daemons.nodes, member, ahead) if ahead else daemon

    def _under_clock(self, daemons: dict[str, Daemon], name: str, ahead: int) -> Daemon:
        daemons[name] = ForkedDaemon.like(daemons[name], ahead)
        daemons[name].start()
        return daemons[name]

    def start(self, *members: str, ahead: int = 0, **environment: str) -> None:
        """The hub and these nodes (all, if none is named) run, each with a session."""
        self.hub(ahead=ahead)
        for member in members or self.association.homes:
            self.node(member, ahead=ahead, **environment)
        self.daemons.ready()

    def folder(self, member: str) -> Path:
        """The home of a member's node."""
        return self.association.homes[member].folder

    def api(self, member: str) -> Api:
        """The node of a member, asked as its operator."""
        return Api(member, self.association.homes[member].socket)

    def desk(self, member: str, token: str = "") -> Api:
        """The node of a member over TCP, asked with a token (that of its first desk)."""
        address, token = self.daemons.apis[member], token or self.association.tokens[member]
        return Api(member, self.association.homes[member].socket, address, token)

    def client(self, member: str) -> NodeClient:
        """What the commands use."""
        return NodeClient(self.association.homes[member].socket)

    def publish(self, *papers: SignedStatement) -> None:
        """Put statements into the log of the running hub."""
        for signed in papers:
            answer = post(self.association.url, "/log/statements", signed.raw)
            assert answer.status == 200, answer

    def state_of_hub(self) -> Any:
        """What must not change when the hub refuses something: its log, its mailboxes, what it accepted."""
        (hub,) = self.daemons.hubs.values()
        told = hub.get("/status")[1]
        queues = [(each["member"], each["queued"], each["queued_bytes"]) for each in told["members"]]
        return told["registry_size"], queues, told["totals"]["accepted"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.daemons.__exit__(kind, error, trace)


def post(url: str, path: str, body: bytes) -> Answer:
    """The answer of a hub to a POST of bytes."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=COMMAND_SECONDS)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return Answer(response.status, response.headers.get_content_type(), json.loads(response.read()))
    finally:
        connection.close()


def get(url: str, path: str) -> bytes:
    """The body that a hub answers a GET with."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=COMMAND_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
