"""A page in somebody's browser, a case system at one desk, or a peer's odd times, as attackers of a node's API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from node import search
from node.api_requests import show_time
from node.search import Box, Hit
from node.tables import finding
from protocol.errors import UsageError
from tests.node.lab import Lab
from tests.node.test_search import find, follow, written
from tests.support.association import found
from tests.support.node_home import case_system, node

AR = "ar-mpf"
TOKENS = "/api/v1/status"


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    association = found(tmp_path / "x", [AR], tls=False)
    async with node(association.homes[AR]) as daemon, case_system(daemon, association.tokens[AR]) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:8450"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://[%"},
    ],
)
@pytest.mark.attack("CSRF")
async def test_a_page_of_another_site_is_refused_whatever_it_knows(
    system: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with system.get(TOKENS, headers=headers) as answer:
        assert answer.status == 403
    async with system.get(TOKENS) as answer:
        assert answer.status == 200
    async with system.get(TOKENS, headers={"Host": "localhost:8450", "Origin": "http://localhost:8450"}) as answer:
        assert answer.status == 200


async def test_a_zero_in_a_search_is_no_broken_store(system: aiohttp.ClientSession) -> None:
    for words in ("abc\0def", "\0\0\0abc"):
        async with system.get("/api/v1/search", params={"q": words}) as answer:
            assert answer.status == 200, await answer.text()
    async with system.get("/api/v1/search", params={"q": "\0\0\0"}) as answer:
        assert answer.status == 400


def test_a_desk_that_asks_for_everything_reads_no_more_than_it_is_shown() -> None:
    lab = Lab("ar-mpf", "co-fgn")
    for number in range(6):
        to = "co-fgn/extradiciones@aiamp" if number % 2 else "co-fgn/antidrogas@aiamp"
        written(lab, f"k{number}", "legajo", to=(to,), case_reference=f"FRO {number}")
    lab.settle()
    reader = lab["co-fgn"]
    reader.run(lambda ctx: ctx.tx.run("DELETE FROM inbox_desk WHERE desk = ''"))
    follow(reader)
    ids = {
        desk: [r.id for r in reader.run(lambda ctx, of=desk: finding.arrivals(ctx.tx, 0, finding.FOREVER, 9, [of]))]  # type: ignore[misc]
        for desk in DESKS
    }
    for desk, rows in ids.items():
        newest = [Hit(Box.INBOX, row) for row in reversed(rows)]
        assert find(reader, "legajo", [desk]) == newest
        assert find(reader, "legajo", [desk], 2) == newest[:2]
        assert reader.run(lambda ctx, of=desk: search.find_case(ctx.tx, "FRO", [of], 2)) == newest[:2]  # type: ignore[misc]
    assert find(reader, "legajo", []) == []
    assert find(lab["ar-mpf"], "legajo", ["extradiciones"]) == []
    with pytest.raises(UsageError):
        find(reader, "\0", [])


DESKS = ("antidrogas", "extradiciones")


@pytest.mark.parametrize("at", [253_402_300_799, 253_402_300_800, (1 << 62), (1 << 63) - 1])
def test_a_time_at_the_end_of_the_scale_can_be_shown(at: int) -> None:
    assert show_time(at) == "9999-12-31T23:59:59Z"
