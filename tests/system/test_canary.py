"""No central access, as a fact about bytes: nothing that anybody wrote, nor any key or token, is ever at the hub.

Every node speaks with the hub through a recorder.  What was written is looked for in each byte that the hub received
or sent, in each of its files (also right after kill -9, with everything still in its mailboxes and write-ahead log),
in its log, its figures and its answers to anybody; and beside the nodes in their logs and files at rest.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.system.canary import Canaries, files, find, keep_secrets_of_node
from tests.system.forked import run
from tests.system.house import Api, House, eventually, get
from tests.system.recorder import Recorder

MEMBERS = ("ar-mpf", "br-mpf", "co-fgn")


@dataclass
class Exchange:
    """What was written, and where it was looked for: each place with its bytes."""

    canaries: Canaries = field(default_factory=Canaries)
    hub: dict[str, bytes] = field(default_factory=dict)
    nodes: dict[str, bytes] = field(default_factory=dict)
    wire: bytes = b""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    """A whole exchange, killed twice on its way, and everything that is left of it."""
    exchange = Exchange()
    with House(tmp_path_factory.mktemp("c"), MEMBERS, {"rfai": MEMBERS}) as house:
        with Recorder(house.association.port) as recorder:
            act(exchange, house, recorder)
            exchange.wire = recorder.bytes_seen()
        house.daemons.__exit__(None, None, None)
        look_at_nodes(exchange, house)
        look_at_hub(exchange, house, "at the end")
    return exchange


def act(exchange: Exchange, house: House, recorder: Recorder) -> None:
    """The exchange itself."""
    house.hub(VALIJA_HUB_LOG_LEVEL="debug")
    for member in MEMBERS:
        house.node(member, VALIJA_NODE_HUB_URL=recorder.url, VALIJA_NODE_LOG_LEVEL="debug")
    house.daemons.ready()
    (hub,), nodes = house.daemons.hubs.values(), house.daemons.nodes
    canaries, (ar, br, co) = exchange.canaries, (house.api(member) for member in MEMBERS)
    desk = house.desk("ar-mpf", keep_token(canaries, ar))
    letters = [desk.send(*to, **letter(canaries, n)) for n, to in enumerate((["br-mpf"], ["#rfai"], ["br-mpf/mesa"]))]
    for each in letters:
        desk.settled(each)
    note = canaries.word("note")
    author = {"name": canaries.word("answering author"), "role": canaries.word("answering role"), "login_method": "x"}
    assert br.post(f"messages/{letters[0]}/acknowledge", {"note": note, "author": author}).status == 202
    reply = run(
        "node", "reply", "--home", house.folder("br-mpf"), letters[0], "--body", "-", text=canaries.word("reply")
    )
    br.settled(reply.told["id"])
    desk.reaches(letters[0], {"br-mpf": "acknowledged"})
    nodes["co-fgn"].kill()
    waiting = [ar.send("co-fgn", **letter(canaries, n)) for n in range(10, 20)]
    taken_back = ar.send("co-fgn", **letter(canaries, 20))
    ar.reaches(taken_back, {"co-fgn": "relayed"})
    hub.kill()
    look_at_hub(exchange, house, "after kill -9")
    hub.start()
    hub.wait()
    eventually("a session again", ar.is_connected)
    assert ar.post(f"messages/{taken_back}/withdraw").status == 202
    eventually("the recall", lambda: hub.get("/status")[1]["totals"]["recalled"])
    ask_hub(exchange, house, "while it waits")
    nodes["ar-mpf"].kill()
    nodes["ar-mpf"].start()
    nodes["co-fgn"].start()
    house.daemons.ready()
    for each in waiting:
        ar.settled(each)
    ar.reaches(taken_back, {"co-fgn": "withdrawn"})
    assert len(co.inbox()) == len(waiting) + 1
    ask_hub(exchange, house, "at the end")
    for member in MEMBERS:
        keep_secrets_of_node(canaries, house.association.homes[member], member, house.association.charter.association)
        canaries.keep(f"{member} token", house.association.tokens[member].encode())


def keep_token(canaries: Canaries, api: Api) -> str:
    """A token of a desk whose name must not be found, as the token itself."""
    name = canaries.word("desk")
    assert api.post("desks", {"name": name}).status == 201
    made = api.post("tokens", {"desk": name, "label": canaries.word("label")}).body
    canaries.keep("token", made["token"].encode())
    return str(made["token"])


def letter(canaries: Canaries, number: int) -> dict[str, Any]:
    """A message every word of which is a canary."""
    said = {name: canaries.word(f"{name} {number}") for name in ("subject", "body", "case_reference", "use_limits")}
    names = {"name": f"Ñ {canaries.word(f'author {number}')}", "role": canaries.word(f"role {number}")}
    official = {"kind": "formal", "official_reference": canaries.word(f"official {number}")}
    said["body"] = f"á {said['body']} {'relleno ' * 50 * number}"
    return said | {"author": names | {"login_method": "x"}, "formality": official, "urgency": "urgent"}


# -- where is looked -------------------------------------------------------------------------------------
def look_at_hub(exchange: Exchange, house: House, when: str) -> None:
    """Every file of the hub's home, and its log."""
    places = files(house.association.hub_home.folder, house.daemons.logs / "hub.log")
    exchange.hub |= {f"{path.name} {when}": data for path, data in places}


def ask_hub(exchange: Exchange, house: House, when: str) -> None:
    """What the hub tells whoever asks."""
    (hub,) = house.daemons.hubs.values()
    for path in ("/metrics", "/log/checkpoint", "/livez", "/readyz", "/nothing"):
        exchange.hub[f"{path} {when}"] = get(house.association.url, path)
    exchange.hub[f"/status {when}"] = json.dumps(hub.get("/status")).encode()


def look_at_nodes(exchange: Exchange, house: House) -> None:
    """The logs of the nodes, and their files at rest but for the secret itself."""
    for member, home in house.association.homes.items():
        logs = house.daemons.logs / f"{member}.log"
        places = ((path, data) for path, data in files(home.folder, logs) if path != home.secret)
        exchange.nodes |= {f"{member} {path.name}": data for path, data in places}


# -- what is found ---------------------------------------------------------------------------------------
def test_nothing_that_was_written_is_at_the_hub(exchange: Exchange) -> None:
    assert {
        "hub.db after kill -9",
        "hub.db-wal after kill -9",
        "hub.log at the end",
        "/metrics at the end",
    } <= exchange.hub.keys()
    assert find(exchange.canaries, exchange.hub) == set()


def test_nothing_that_was_written_went_over_the_wire(exchange: Exchange) -> None:
    assert find(exchange.canaries, {"wire": exchange.wire}) == set()


def test_nothing_that_was_written_is_in_the_logs_and_files_of_nodes(exchange: Exchange) -> None:
    assert {"ar-mpf archive.db", "ar-mpf ar-mpf.log", "co-fgn archive.db"} <= exchange.nodes.keys()
    assert find(exchange.canaries, exchange.nodes) == set()


def test_archives_look_like_noise(exchange: Exchange) -> None:
    archives = {name: data for name, data in exchange.nodes.items() if name.endswith("archive.db")}
    assert len(archives) == len(MEMBERS)
    for data in archives.values():
        assert b"SQLite format" not in data
        assert b"CREATE TABLE" not in data


# -- the search itself can find --------------------------------------------------------------------------
def test_what_the_hub_may_know_is_where_the_search_looks(exchange: Exchange) -> None:
    """The recorder and the files do hold the exchange: who talks to whom is in them, as SPEC says."""
    known = Canaries(words={"member": "co-fgn"})
    found = find(known, exchange.hub | {"wire": exchange.wire})
    places = {place for place, _name in found}
    assert {
        "wire",
        "hub.db after kill -9",
        "hub.log at the end",
        "/metrics while it waits",
        "/status at the end",
    } <= places
    assert len(exchange.wire) > 100_000


@pytest.mark.parametrize(
    "disguise",
    [
        lambda word: word.encode(),
        lambda word: word.upper().encode(),
        lambda word: word.encode("utf-16-le"),
        lambda word: word.encode().hex().encode(),
        lambda word: base64.b64encode(b"x" + word.encode() + b"yz"),
        lambda word: base64.urlsafe_b64encode(b"xy" + word.encode()),
        lambda word: base64.b64encode(word.encode()),
    ],
)
def test_a_planted_canary_is_found_in_a_file_in_each_disguise(tmp_path: Path, disguise: Callable[[str], bytes]) -> None:
    canaries = Canaries()
    word = canaries.word("subject")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "hub.db").write_bytes(b"\x00\xff" * 100 + disguise(word) + b"\x01" * 9)
    places: Mapping[str, bytes] = {path.name: data for path, data in files(tmp_path)}
    assert find(canaries, places) == {("hub.db", "subject")}


async def test_a_planted_canary_is_found_behind_the_mask_of_a_frame(tmp_path: Path) -> None:
    canaries = Canaries()
    with House(tmp_path, []) as house:
        house.hub().wait()
        with Recorder(house.association.port) as recorder:
            async with aiohttp.ClientSession() as client, client.ws_connect(f"{recorder.url}/session") as line:
                for padding in (1, 400, 3_000):
                    await line.send_bytes(b"\x00" * padding + canaries.word(f"frame {padding}").encode())
                await line.receive()
            await asyncio.to_thread(
                eventually, "all on record", lambda: canaries.found_in(recorder.bytes_seen()) == canaries.words.keys()
            )
        raw = b"".join(bytes(each.asked) for each in recorder.connections)
        assert canaries.found_in(raw) == set(), "the mask does hide it from a plain search"
