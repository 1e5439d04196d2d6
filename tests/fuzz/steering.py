"""The target of the operators' console: the real application over a real store, somebody logged in or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

from hub.board.app import application, assemble
from hub.config import load
from hub.core import Core
from hub.daemon import Daemon
from hub.identity import HubKeys
from hub.operators import Role
from hub.rounds import Round
from hub.sqlite_store import SqliteStore
from hub.store import Operator, transaction
from keys import passwords
from keys.logs import configure
from protocol.codec import encode
from tests.fuzz.browsing import FORM, HASH_BYTES, MULTIPART
from tests.fuzz.target import MAX_GROWTH_BYTES, Target
from tests.fuzz.wire import WORDS, Server, check_answer, request_of
from tests.support.hub_home import make_home, young_world

T = TypeVar("T")

ORIGIN: Final = "http://127.0.0.1"
AR: Final = "ar-mpf"
ROLES: Final = (None, *Role)
FOREIGN: Final = 4
"""In the first byte: the request does not say that a page of this site asks."""
TOKEN: Final = "T" * 43
"""In a form it stands for the token of whoever is logged in."""
ROUNDS_KEPT: Final = 2_000


class AtOnce:
    """A writer that waits for no other thread."""

    def __init__(self, core: Core) -> None:
        self.core, self.rounds = core, 0

    async def run(self, job: Callable[[Round], T]) -> T:
        """As `Writer.run`; what a job that failed wrote is undone."""
        self.rounds += 1
        with transaction(self.core._store) as tx:
            round_ = self.core._round(tx)
            with round_.job():
                value = job(round_)
            round_.close()
        return value

    async def run_alone(self, job: Callable[[Round], T], then: Callable[[T], object]) -> T:
        """As `Writer.run_alone`."""
        value = await self.run(job)
        then(value)
        return value


class Board:
    """A hub that serves nobody, with a viewer and an operator who are logged in."""

    def __init__(self) -> None:
        self.folder, world = TemporaryDirectory(prefix="valija-fuzz-"), young_world()
        home = make_home(Path(self.folder.name) / "hub", world)
        configure("critical")
        config = load(home, {})
        self.core = Core(config, SqliteStore(home.database), HubKeys.load(home, config, {}), fatal=lambda _error: None)
        self.core.writer = cast("Any", AtOnce(self.core))
        daemon = Daemon(home, config, self.core, None)
        self.parts = assemble(home, self.core, daemon.hall, daemon.steering, config.console, ORIGIN)
        proof = passwords.hash_password("una frase bastante larga")
        self.people = {role: Operator(role.value, role.value, proof, "A" * 32, 0) for role in Role}
        with transaction(self.core._store) as tx:
            for person in self.people.values():
                tx.put_operator(person)
        self._cookies: dict[Role, str] = {}

    def inside(self, role: Role) -> tuple[str, str]:
        """The cookie and the token of somebody with this role, who is logged in unless they logged out just now."""
        doors = self.parts.doors
        tokens = {each.role: each.token for each in doors.present()}
        if role not in tokens:
            self._cookies[role] = doors._enter(self.people[role], "127.0.0.1")
            tokens = {each.role: each.token for each in doors.present()}
        return self._cookies[role], tokens[role]

    @property
    def rounds(self) -> int:
        """How often something was asked of the store."""
        return cast("AtOnce", self.core.writer).rounds


@cache
def _board() -> tuple[Board, Server]:
    it = Board()
    return it, Server(lambda _faults: application(it.parts))


def hub_console(data: bytes) -> None:
    """First byte: who is logged in, and whether a page of this site asks."""
    if not data:
        return
    it, server = _board()
    role = ROLES[data[0] & 3] if data[0] & 3 < len(ROLES) else None
    said, token = b"" if data[0] & FOREIGN else b"Origin: " + ORIGIN.encode() + b"\r\n", TOKEN
    if role is not None:
        cookie, token = it.inside(role)
        said += b"Cookie: valija-console=" + cookie.encode() + b"\r\n"
    start, end, rest = request_of(data[1:].replace(TOKEN.encode(), token.encode())).partition(b"\r\n")
    check_answer(server, start + end + said + rest)
    if it.rounds > ROUNDS_KEPT:
        server.end()
        it.core.close()
        it.folder.cleanup()
        _board.cache_clear()


# -- seeds -----------------------------------------------------------------------------------------------
def console_seeds() -> Iterator[bytes]:
    looked = (
        "/",
        "/members",
        f"/members/{AR}",
        "/members/zz-zz",
        "/refusals",
        "/sessions",
        "/journal",
        "/journal?before=9",
        "/login",
    )
    for who in range(len(ROLES)):
        yield from (bytes([who]) + encode(["GET", path, [], b""]) for path in looked)
    sure = {"token": TOKEN, "confirm": AR}
    posted: list[tuple[int, str, dict[str, str]]] = [
        (0, "/login", {"login": "operator", "password": "una frase bastante larga", "code": "000000"}),
        (0, "/login", {"login": "nadie", "password": "x", "code": ""}),
        (1, f"/members/{AR}/suspend", sure),
        (2, f"/members/{AR}/suspend", sure),
        (2, f"/members/{AR}/resume", sure),
        (2, f"/members/{AR}/quota", sure | {"messages": "100", "mib": "8"}),
        (2, "/members/zz-zz/suspend", sure | {"confirm": "zz-zz"}),
        (2, "/drain", sure | {"confirm": "drain"}),
        (2, "/reopen", sure | {"confirm": "reopen"}),
        (2, "/logout", {"token": TOKEN}),
        (FOREIGN | 2, "/drain", sure),
    ]
    for who, path, fields in posted:
        yield bytes([who]) + encode(["POST", path, FORM, urlencode(fields).encode()])
    part = b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n' + TOKEN.encode() + b"\r\n--b--\r\n"
    yield b"\x02" + encode(["POST", "/logout", MULTIPART, part])


TARGETS: Final = (
    Target(
        "hub_console",
        hub_console,
        console_seeds,
        head=1,
        words=(*WORDS, TOKEN.encode()),
        growth_bytes=MAX_GROWTH_BYTES + HASH_BYTES,
    ),
)
