"""A daemon tells the service manager that it lives, and only while what must not hang answers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.notify import keep_alive, notify, watchdog_seconds
from protocol.errors import StoreError

QUICK = "3000"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", QUICK)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listening


async def said(manager: socket.socket) -> bytes:
    async with asyncio.timeout(30):
        return await asyncio.get_running_loop().sock_recv(manager, 64)


@pytest.mark.parametrize(
    ("told", "process", "seconds"),
    [
        ("60000000", "", 60.0),
        ("60000000", "own", 60.0),
        ("60000000", "1", None),
        ("", "", None),
        ("0", "", None),
        ("-5", "", None),
        ("soon", "", None),
    ],
)
def test_how_long_silence_is_borne(
    told: str, process: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", told)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "own" else process)
    assert watchdog_seconds() == seconds


async def test_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    await keep_alive(_unasked)


async def _unasked() -> None:
    raise AssertionError("asked although nobody watches")


async def test_a_sign_of_life_waits_for_the_proof(manager: socket.socket) -> None:
    hangs, asked = asyncio.Event(), asyncio.Event()

    async def prove() -> None:
        asked.set()
        await hangs.wait()

    beating = asyncio.create_task(keep_alive(prove))
    await asked.wait()
    for _turn in range(100):
        await asyncio.sleep(0)
    with pytest.raises(BlockingIOError):
        manager.recv(64)
    hangs.set()
    assert [await said(manager) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    beating.cancel()
    await asyncio.wait([beating])


async def test_a_manager_that_does_not_read_stops_nobody(manager: socket.socket) -> None:
    for _beat in range(2_000):
        notify("WATCHDOG=1")
    assert manager.recv(64) == b"WATCHDOG=1"


async def test_who_refuses_does_not_hang(manager: socket.socket) -> None:
    async def prove() -> None:
        raise StoreError("the disk is full")

    beating = asyncio.create_task(keep_alive(prove))
    assert await said(manager) == b"WATCHDOG=1"
    beating.cancel()
    await asyncio.wait([beating])


async def test_what_nobody_foresaw_ends_the_signs(manager: socket.socket) -> None:
    with pytest.raises(AssertionError, match="although"):
        await keep_alive(_unasked)
    with pytest.raises(BlockingIOError):
        manager.recv(64)
