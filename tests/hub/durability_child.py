"""What the durability tests kill: `python -m tests.hub.durability_child <what> <database>`."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from hub.sqlite_store import SqliteStore
from hub.store import transaction
from hub.writer import Writer
from tests.hub.test_writer import Jobs


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def commit_for_ever(path: Path) -> None:
    """Say each number once its commit returned."""
    store = SqliteStore(path)
    number = 0
    while True:
        number += 1
        with transaction(store) as tx:
            tx.append_entry(number - 1, b"entry %d" % number, b"hash %d" % number, bytes(5_000))
        say(str(number))


def stop_before_the_commit(path: Path) -> None:
    """Write, and wait for the end with the transaction open."""
    store = SqliteStore(path)
    with transaction(store) as tx:
        tx.put_calendar("alba", b"committed")
    tx = store.begin()
    tx.put_calendar("alba", b"not committed")
    for number in range(2_000):
        tx.put_calendar(f"member-{number}", bytes(30_000))
    say("written")
    sys.stdin.read()


async def commit_on_a_failing_disk(path: Path) -> None:
    """Have the kernel refuse to write more, and say whether anybody got an answer."""
    writer = Writer(
        SqliteStore(path),
        lambda tx: Jobs(tx, lambda: None),
        committed=lambda _group, _jobs: say("committed"),
        fatal=lambda _error: os._exit(70),
    )
    writer.start()
    await writer.run(lambda group: group.tx.put_calendar("alba", b"first"))
    say("answered")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    written = path.with_name(f"{path.name}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (written + 100, written + 100))
    await writer.run(lambda group: group.tx.put_calendar("alba", b"second"))
    say("answered")


if __name__ == "__main__":
    what, database = sys.argv[1], Path(sys.argv[2])
    if what == "for ever":
        commit_for_ever(database)
    elif what == "before":
        stop_before_the_commit(database)
    else:
        asyncio.run(commit_on_a_failing_disk(database))
