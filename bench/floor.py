"""The floor: what one core of this machine gives to the primitives and the disk, measured in the same run."""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol import sealing
from protocol.sealing import Prekey, generate_prekey
from protocol.signing import Label, PrivateKey

ASSOCIATION = bytes(32)
MESSAGE = bytes(36)
INFO = b"floor"
WRAPPED = bytes(707)


def microseconds(work: Callable[[], Any], rounds: int) -> float:
    """The median time of one call, in microseconds, over `rounds` calls after one to warm up."""
    work()
    times = []
    for _each in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return round(1e6 * statistics.median(times), 1)


def measure(*, quick: bool) -> dict[str, float]:
    """Medians in microseconds: hybrid signature and its check, HPKE wrap opened, commit with fsync, fsync of 4 KiB."""
    rounds = 60 if quick else 400
    key = PrivateKey.generate()
    signature = key.sign(Label.LINKS, ASSOCIATION, MESSAGE)
    return {
        "hybrid_sign_us": microseconds(lambda: key.sign(Label.LINKS, ASSOCIATION, MESSAGE), rounds),
        "hybrid_verify_us": microseconds(
            lambda: key.public.verify(Label.LINKS, ASSOCIATION, MESSAGE, signature), rounds
        ),
        **hpke(rounds),
        **disk(rounds),
    }


def hpke(rounds: int) -> dict[str, float]:
    """Seal and open one wrap of the size that every slot carries."""

    secret, public = generate_prekey()
    prekey = Prekey(secret)
    wrap = sealing._wrap(public, WRAPPED, INFO)
    return {
        "hpke_seal_us": microseconds(lambda: sealing._wrap(public, WRAPPED, INFO), rounds),
        "hpke_open_us": microseconds(lambda: prekey.unwrap(wrap, INFO), rounds),
    }


def disk(rounds: int) -> dict[str, float]:
    """One SQLite commit with `synchronous=FULL`, and one write of 4 KiB with fsync."""
    with tempfile.TemporaryDirectory(prefix="valija-floor-") as folder:
        database = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a BLOB)")
        file = os.open(Path(folder) / "floor", os.O_CREAT | os.O_WRONLY)
        block = bytes(4096)
        try:
            return {
                "sqlite_commit_us": microseconds(
                    lambda: database.execute("INSERT INTO t VALUES (?)", (block,)), rounds
                ),
                "fsync_4k_us": microseconds(lambda: _write_synced(file, block), rounds),
            }
        finally:
            os.close(file)
            database.close()


def _write_synced(file: int, block: bytes) -> None:
    os.pwrite(file, block, 0)
    os.fsync(file)
