"""The bench tells the truth: a run that misses, doubles or invents a message is void, and figures are what they say."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import __main__ as main
from bench import figures, filling, peers, pouring, programme, report, serving, wire
from bench.client import BenchError
from bench.letters import BODY_BYTES, Letters
from bench.pouring import Load, Sent
from hub.sqlite_store import SqliteStore
from hub.store import transaction
from tests.bench.fake_node import FakePair, Held, pair

HERE = "br-mpf"


async def poured(held: Held, count: int = 20) -> Sent:
    """What `pour` and the check afterwards make of this inbox."""
    async with pair(FakePair(held)) as system:
        before = await pouring.cursors({HERE: system})
        sent = await pouring.pour(system, Letters.to("t", [HERE]), Load(count, 8, 4))
        await pouring.require_once({HERE: system}, before, sent)
        assert len(sent.delays({HERE: system})) == count
        return sent


# -- exactly once ----------------------------------------------------------------------------------------
async def test_what_arrived_once_counts() -> None:
    sent = await poured(lambda inbox: inbox)
    assert len(sent.began) == 20
    assert sent.expected() == {HERE: set(sent.began)}


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (lambda inbox: inbox[:-1], "1 lost, 0 twice, 0 unknown"),
        (lambda inbox: inbox[:3] + inbox[4:], "1 lost, 0 twice, 0 unknown"),
        (lambda inbox: [*inbox, inbox[0]] if inbox else [], "0 lost, 1 twice, 0 unknown"),
        (lambda inbox: [*inbox, "stranger"] if inbox else [], "0 lost, 0 twice, 1 unknown"),
        (lambda inbox: [*inbox[1:], "stranger"] if inbox else [], "1 lost, 0 twice, 1 unknown"),
    ],
)
async def test_an_inbox_that_differs_makes_the_run_void(held: Held, told: str) -> None:
    with pytest.raises(BenchError, match=told):
        await poured(held)


async def test_a_stream_that_tells_twice_makes_the_run_void() -> None:
    fake = FakePair(lambda inbox: inbox)
    async with pair(fake) as system:
        sent = await pouring.pour(system, Letters.to("t", [HERE]), Load(4, 4, 4))
        fake.tell("message", {"id": fake.inbox[0]})
        await system.until(lambda: system.told.twice == 1, 5)
        with pytest.raises(BenchError, match="0 lost, 1 twice"):
            await pouring.require_once({HERE: system}, {HERE: ""}, sent)


async def test_the_window_is_full_and_never_fuller() -> None:
    fake = FakePair(lambda inbox: inbox, gate=asyncio.Barrier(2))
    async with pair(fake) as system, asyncio.timeout(5):
        sent = await pouring.pour(system, Letters.to("t", [HERE]), Load(16, 8, 4))
    assert (fake.most, fake.calls, len(sent.began)) == (8, [4, 4, 4, 4], 16)
    assert sent.last == "tn000000016"


async def test_a_batch_that_is_refused_makes_the_run_void() -> None:
    async with pair(FakePair(lambda inbox: inbox, refuses=True)) as system:
        with pytest.raises(BenchError, match="refuses a batch: 503"):
            await pouring.pour(system, Letters.to("t", [HERE]), Load(4, 4, 4))


async def test_what_nobody_signs_for_makes_the_run_void() -> None:
    async with pair(FakePair(lambda inbox: inbox)) as system:
        with pytest.raises(BenchError, match="0 receipts"):
            await system.until(lambda: system.told.receipts > 0, 0.05)


@pytest.fixture
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench"])


@pytest.mark.usefixtures("_no_arguments")
def test_a_void_run_is_no_success(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def void(*_given: Any) -> list[figures.Run]:
        raise BenchError("br-mpf: 1 lost, 0 twice, 0 unknown")

    monkeypatch.setattr("bench.floor.measure", lambda *, quick: {})
    monkeypatch.setattr(programme, "measure", void)
    assert main.main() == 1
    assert capsys.readouterr().err == "void: br-mpf: 1 lost, 0 twice, 0 unknown\n"


@pytest.mark.usefixtures("_no_arguments")
def test_a_work_that_there_is_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORKS", "latency fan_in")
    assert main.main() == 2
    assert "no such work: fan_in" in capsys.readouterr().err


# -- what is sent ------------------------------------------------------------------------------------------
def test_messages_have_a_kibibyte_and_a_key_each() -> None:
    letters = Letters.to("run1t2", ["br-mpf", "co-fgn"])
    body, recipients = letters.some(3)
    read = [msgspec.json.decode(line) for line in body.splitlines()]
    assert recipients == [("br-mpf", "co-fgn")] * 3
    assert [each["idempotency_key"] for each in read] == ["run1t2n000000001", "run1t2n000000002", "run1t2n000000003"]
    assert {len(each["body"]) for each in read} == {BODY_BYTES}
    assert all(each["idempotency_key"] in each["body"] and each["to"] == ["br-mpf", "co-fgn"] for each in read)
    assert letters.last_key == "run1t2n000000003"


def test_a_single_message_carries_its_key_in_no_field() -> None:
    letters = Letters.to("run", ["br-mpf"])
    body, recipients = letters.one(letters.key())
    assert recipients == ("br-mpf",)
    assert "idempotency_key" not in msgspec.json.decode(body)


# -- figures -----------------------------------------------------------------------------------------------
def test_percentiles_are_of_the_ordered_delays() -> None:
    delays = [number / 1_000 for number in range(1_000, 0, -1)]
    run = figures.run("w", messages=1_000, seconds=0.5, delays=delays, window=None, hub_peak_mib=70.04, own=1)
    assert (run["p50_ms"], run["p99_ms"], run["p999_ms"], run["max_ms"]) == (501.0, 991.0, 1_000.0, 1_000.0)
    assert (run["messages_per_s"], run["hub_peak_rss_mib"], run["window"], run["own"]) == (2_000.0, 70.0, None, 1)
    assert list(run)[:3] == ["work", "messages", "messages_per_s"]


def test_ours_stand_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"runs": [{"work": "one_to_one", "messages_per_s": 6_120.0}, {"work": "other"}]}))
    monkeypatch.setattr(sys, "argv", ["bench.peers", str(file)])
    assert peers.main() == 0
    head, rule, row = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert row == "| one_to_one, messages/s | ≥ 6,000 | 6,120.0 | 3,060 (2.00 ×) | 4,490 (1.36 ×) | 61 (100.33 ×) |"


def test_the_table_for_people_tells_what_a_run_has_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    run = figures.run("mesh_22", messages=10, seconds=1, delays=[0.1], window=64, hub_peak_mib=80.0, nodes=22)
    report.show({"runs": [run | {"cpu_us_per_message": {"hub": 12.5}}], "floor": {}, "machine": {"cores": 2}})
    told = capsys.readouterr().out
    assert "mesh_22: nodes 22; processor time a message in µs: hub 12.5" in told


def test_a_request_that_failed_makes_the_run_void() -> None:
    visits = serving.Visits()
    visits.delays["read"] += [0.002, 0.004]
    visits.delays["send"] += [0.006]
    run = serving._run(visits, 1.5, 70.0)
    assert (run["messages"], run["messages_per_s"], run["p50_ms"], run["send_p99_ms"]) == (3, 2.0, 4.0, 6.0)
    visits.failed.append("send: 503")
    with pytest.raises(BenchError, match="1 requests failed: send: 503"):
        serving._run(visits, 1.5, 70.0)


async def test_a_stream_counts_deliveries_however_its_bytes_come() -> None:
    told = (
        b'HTTP/1.1 200 OK\r\n\r\ndata: [{"state":"delivered"}]\n\ndata: [{"state":"relayed"},{"state":"delivered"}]\n\n'
    )
    for cut in range(1, len(told)):
        listener = wire.Listener(b"")
        for part in (told[:cut], told[cut:]):
            listener.data_received(part)
        assert listener.delivered == 2


# -- a large hub -------------------------------------------------------------------------------------------
def test_a_filled_store_is_one_that_the_hub_reads(tmp_path: Path) -> None:
    database = tmp_path / "hub.db"
    assert filling.fill(database, "ar-mpf", ["co-fgn", "es-fge"], 11) == 10
    assert filling.fill(database, "ar-mpf", ["co-fgn", "es-fge"], 2) == 2
    store = SqliteStore(database)
    with transaction(store) as tx:
        assert [(queue.member, queue.items) for queue in tx.queues()] == [("co-fgn", 6), ("es-fge", 6)]
        waiting = tx.waiting("es-fge", 0, 100, 1 << 30)
        assert [each.position for each in waiting] == [1, 2, 3, 4, 5, 6]
        assert len(tx.batch(waiting[0].attestation.batch)) > 0
        freed = tx.remove_up_to("co-fgn", 6)
        assert sum(freed.sizes) == sum(each.size_bytes for each in waiting)
    store.close()
