"""The writing thread: what forms a group, what one failure costs, and that nothing is answered on a doubtful commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.memory_store import MemoryStore, MemoryTransaction
from hub.sqlite_store import SqliteStore
from hub.store import Store, Transaction, transaction
from hub.writer import MAX_GROUP_JOBS, Writer
from protocol.errors import ConflictError, DrainingError, KeyAccessError, StoreError

PATIENCE = 30


@dataclass
class Jobs:
    """A group that only remembers what became of it."""

    tx: Transaction
    closing: Callable[[], None]
    is_abandoned: bool = False

    @contextmanager
    def job(self) -> Iterator[None]:
        with self.tx.savepoint():
            yield

    def close(self) -> None:
        self.closing()

    def abandon(self) -> None:
        self.is_abandoned = True


class Bench:
    """A writer with everything that happened to it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.events: list[object] = []
        self.groups: list[Jobs] = []
        self.fatal = asyncio.Event()
        self.closing: Callable[[], None] = lambda: None
        self.loop = asyncio.get_running_loop()
        self.writer: Writer[Jobs] = Writer(
            store,
            self.open_group,
            committed=lambda _group, jobs: self.events.append(jobs),
            fatal=self.end,
        )

    def open_group(self, tx: Transaction) -> Jobs:
        self.groups.append(Jobs(tx, self.closing))
        return self.groups[-1]

    def end(self, error: BaseException) -> None:
        self.events.append(error)
        self.loop.call_soon_threadsafe(self.fatal.set)

    async def busy(self) -> Callable[[], None]:
        """Hold the thread in a job until the function returned is called."""
        reached, released = asyncio.Event(), threading.Event()

        def wait(_group: Jobs) -> None:
            self.loop.call_soon_threadsafe(reached.set)
            released.wait()

        self.holding = asyncio.create_task(self.writer.run(wait))
        await reached.wait()
        return released.set

    def start(self, *jobs: Callable[[Jobs], object]) -> list[asyncio.Task[object]]:
        return [asyncio.create_task(self.writer.run(job)) for job in jobs]


@pytest.fixture(params=["memory", "sqlite"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    store: Store = SqliteStore(tmp_path / "hub.db")
    if request.param == "memory":
        store = MemoryStore()
    made = Bench(store)
    made.writer.start()
    yield made
    await made.writer.stop()
    store.close()


def put(member: str) -> Callable[[Jobs], str]:
    """A job that leaves a trace."""

    def job(group: Jobs) -> str:
        group.tx.put_calendar(member, b"calendar")
        return member

    return job


def failing(member: str, error: Exception) -> Callable[[Jobs], str]:
    def job(group: Jobs) -> str:
        put(member)(group)
        raise error

    return job


def traces(store: Store, *members: str) -> list[bool]:
    with transaction(store) as tx:
        return [tx.calendar(member) is not None for member in members]


async def settled() -> None:
    """Let every task that can run reach its next wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_job_is_a_group(bench: Bench) -> None:
    assert await bench.writer.run(put("alba")) == "alba"
    assert bench.events == [1]
    assert traces(bench.store, "alba") == [True]


async def test_what_arrives_while_the_thread_is_busy_is_one_commit(bench: Bench) -> None:
    release = await bench.busy()
    tasks = bench.start(put("alba"), put("berta"), put("carla"))
    await settled()
    assert bench.events == []
    release()
    assert await asyncio.gather(*tasks) == ["alba", "berta", "carla"]
    assert bench.events == [1, 3]


async def test_answers_come_after_the_commit_is_told(bench: Bench) -> None:
    task = bench.start(put("alba"))[0]
    task.add_done_callback(lambda _task: bench.events.append("answered"))
    await task
    await settled()
    assert bench.events == [1, "answered"]


async def test_a_group_has_an_end(bench: Bench) -> None:
    release = await bench.busy()
    tasks = bench.start(*[put("alba")] * (MAX_GROUP_JOBS + 1))
    await settled()
    release()
    await asyncio.gather(*tasks)
    assert bench.events == [1, MAX_GROUP_JOBS, 1]


@pytest.mark.parametrize("error", [ConflictError("taken"), KeyError("a bug")])
async def test_one_failure_costs_the_others_nothing(bench: Bench, error: Exception) -> None:
    release = await bench.busy()
    tasks = bench.start(put("alba"), failing("berta", error), put("carla"))
    await settled()
    release()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers == ["alba", error, "carla"]
    assert traces(bench.store, "alba", "berta", "carla") == [True, False, True]


async def test_a_job_that_wants_to_be_alone_is(bench: Bench) -> None:
    release = await bench.busy()
    order: list[str] = []
    first = bench.start(put("alba"))
    await settled()
    alone = asyncio.create_task(bench.writer.run_alone(put("berta"), order.append))
    await settled()
    last = bench.start(lambda _group: order.append("carla"), put("dora"))
    await settled()
    release()
    await asyncio.gather(*first, alone, *last)
    assert bench.events == [1, 1, 1, 2]
    assert order == ["berta", "carla"], "what follows a durable job is done before the next job runs"


async def test_nothing_follows_a_lonely_job_that_failed(bench: Bench) -> None:
    followed: list[str] = []
    with pytest.raises(ConflictError):
        await bench.writer.run_alone(failing("alba", ConflictError()), followed.append)
    assert followed == []


async def test_if_the_transaction_is_lost_its_jobs_run_one_by_one(bench: Bench) -> None:
    """As on a full disk: SQLite undoes everything, not only the statement that failed."""

    def losing(group: Jobs) -> None:
        put("berta")(group)
        group.tx.rollback()
        raise StoreError("disk full")

    release = await bench.busy()
    tasks = bench.start(put("alba"), losing, put("carla"))
    await settled()
    release()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[0], answers[2]] == ["alba", "carla"]
    assert isinstance(answers[1], StoreError)
    assert traces(bench.store, "alba", "berta", "carla") == [True, False, True]
    assert bench.events == [1, 1, 1]
    assert [group.is_abandoned for group in bench.groups] == [False, True, False, True, False]


async def test_if_a_group_cannot_be_closed_nothing_of_it_stands(bench: Bench) -> None:
    def refuse() -> None:
        raise KeyAccessError

    bench.closing = refuse
    with pytest.raises(StoreError):
        await bench.writer.run(put("alba"))
    bench.closing = lambda: None
    assert traces(bench.store, "alba") == [False]
    assert await bench.writer.run(put("alba")) == "alba"


async def test_who_no_longer_listens_is_not_answered(bench: Bench) -> None:
    release = await bench.busy()
    task = bench.start(put("alba"))[0]
    await settled()
    task.cancel()
    release()
    with suppress(asyncio.CancelledError):
        await task
    assert await bench.writer.run(put("berta")) == "berta"
    assert traces(bench.store, "alba") == [True], "it was asked for, and it is done"


async def test_stopping_finishes_what_was_taken(bench: Bench) -> None:
    release = await bench.busy()
    tasks = bench.start(put("alba"), put("berta"))
    await settled()
    stopping = asyncio.create_task(bench.writer.stop())
    await settled()
    with pytest.raises(DrainingError):
        await bench.writer.run(put("carla"))
    release()
    await stopping
    assert await asyncio.gather(*tasks) == ["alba", "berta"]
    await bench.writer.stop()
    assert traces(bench.store, "alba", "berta", "carla") == [True, True, False]


async def test_stopping_an_idle_writer_and_one_that_never_began(bench: Bench) -> None:
    await bench.writer.stop()
    never = Bench(MemoryStore())
    with pytest.raises(DrainingError):
        await never.writer.run(put("alba"))
    await never.writer.stop()


class DoubtfulTransaction(MemoryTransaction):
    def commit(self) -> None:
        raise OSError("fsync failed")


class DoubtfulStore(MemoryStore):
    def begin(self) -> MemoryTransaction:
        return DoubtfulTransaction(self._tables)


async def test_a_doubtful_commit_ends_the_process_and_answers_nobody() -> None:
    bench = Bench(DoubtfulStore())
    bench.writer.start()
    release = await bench.busy()
    tasks = bench.start(put("alba"))
    release()
    async with asyncio.timeout(PATIENCE):
        await bench.fatal.wait()
    assert [type(event) for event in bench.events] == [OSError]
    await settled()
    assert not bench.holding.done()
    assert not tasks[0].done()
    for task in (bench.holding, *tasks):
        task.cancel()
    await bench.writer.stop()
