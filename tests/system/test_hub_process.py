"""The hub as a real process: from an empty folder to messages that survive kill -9, SIGTERM and a broken disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from hub.config import Home, Tls
from protocol.messages.envelope import AttestationData
from protocol.session.items import SubmitItem
from tests.support.hub_client import HubClient, connected
from tests.support.hub_home import make_home, young_world
from tests.support.world import World

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from hub.cli import main; main()"]
ALBA, BERTA = "ar-mpf", "br-mpf"
PATIENCE = 30.0


class Process:
    """`valija-hub serve` on a home, its log read line by line."""

    def __init__(self, home: Home, before: Sequence[str] = (), **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VALIJA")}
        self.home = home
        self.child = subprocess.Popen(
            [*before, *COMMAND, "serve", "--home", str(home.folder)],
            cwd=ROOT,
            env=clean | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """The next line of the log that says this."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.child.stderr is not None
                line = await asyncio.to_thread(self.child.stderr.readline)
                assert line, f"ended with {self.child.wait()} before {event}"
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]

    async def ended(self) -> int:
        """The exit status, when it has ended; its log is read to the end."""
        _, rest = await asyncio.to_thread(self.child.communicate, None, PATIENCE)
        self.lines += [json.loads(line) for line in rest.splitlines()]
        return self.child.returncode


@asynccontextmanager
async def serving(home: Home, scheme: str = "http", **environment: str) -> AsyncIterator[tuple[Process, str]]:
    process = Process(home, **environment)
    try:
        told = await process.until("serving")
        yield process, f"{scheme}://{told['host']}:{told['port']}"
    finally:
        if process.child.poll() is None:
            process.child.kill()
        await process.ended()


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
def home(tmp_path: Path, world: World) -> Home:
    return make_home(tmp_path / "hub", world)


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VALIJA")}
    argv = [*COMMAND, *(str(each) for each in arguments)]
    return subprocess.run(
        argv, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=60, check=False
    )


async def accepted(client: HubClient, *items: SubmitItem) -> None:
    for answer in await client.submit(*items):
        assert [AttestationData.from_bytes(each.data).result for each in answer.attestations] == ["accepted"]


async def test_what_was_answered_survives_kill_9(home: Home, world: World) -> None:
    items = []
    async with (
        serving(home) as (process, url),
        connected(url, world, BERTA) as berta,
        connected(url, world, ALBA) as alba,
    ):
        await berta.publish()
        items += [alba.envelope([BERTA]) for _ in range(5)]
        await accepted(alba, *items)
        await berta.acknowledge(0)
        await berta.deliveries(5)
        await berta.acknowledge(2)
        process.child.send_signal(signal.SIGKILL)
        assert await process.ended() == -signal.SIGKILL
    async with serving(home) as (_, url), connected(url, world, BERTA) as berta, connected(url, world, ALBA) as alba:
        # The acknowledgement was not answered by anything: it may or may not have reached the disk.
        cursor = berta.welcome.cursor if berta.welcome else -1
        assert cursor in {0, 2}
        assert alba.counter == 5
        await accepted(alba, *items)
        await berta.acknowledge(2)
        assert [each.core for each in await berta.deliveries(3)] == [item.core for item in items[2:]]
        late = alba.envelope([BERTA])
        await accepted(alba, late)
        assert [(each.position, each.core) for each in await berta.deliveries(1)] == [(6, late.core)]


@pytest.mark.full
async def test_killed_again_and_again_while_messages_arrive(home: Home, world: World) -> None:
    answered: list[SubmitItem] = []
    for _ in range(3):
        async with (
            serving(home) as (process, url),
            connected(url, world, BERTA) as berta,
            connected(url, world, ALBA) as alba,
        ):
            await berta.publish()
            for _ in range(6):
                item = alba.envelope([BERTA])
                await accepted(alba, item)
                answered.append(item)
            unanswered = alba.envelope([BERTA])
            sending = asyncio.create_task(alba.submit(unanswered))
            await asyncio.sleep(0)
            process.child.send_signal(signal.SIGKILL)
            await asyncio.wait({sending})
            if sending.exception() is None:
                answered.append(unanswered)
    async with serving(home) as (_, url), connected(url, world, BERTA) as berta:
        await berta.acknowledge(0)
        found = [each.core for each in await berta.deliveries(len(answered))]
        assert len(set(found)) == len(found)
        assert [core for core in found if core in {item.core for item in answered}] == [item.core for item in answered]


async def test_sigterm_ends_it_well(home: Home, world: World) -> None:
    async with serving(home) as (process, url), connected(url, world, ALBA) as alba:
        process.child.send_signal(signal.SIGTERM)
        assert (await alba.ended()).code == "draining"
        assert await process.ended() == 0
        assert [line["event"] for line in process.lines[-2:]] == ["session_closed", "stopped"] or (
            process.lines[-1]["event"] == "stopped"
        )


async def test_a_disk_that_fails_ends_it_at_once(home: Home, world: World, tmp_path: Path) -> None:
    async with serving(home) as (process, url):
        async with connected(url, world, BERTA) as berta, connected(url, world, ALBA) as alba:
            await berta.publish()
            # Another process holds the database: within SQLite's patience no commit can begin, and then none is safe.
            with sqlite3.connect(home.database, isolation_level=None) as thief:
                thief.execute("BEGIN IMMEDIATE")
                item = alba.envelope([BERTA])
                sending = asyncio.create_task(alba.submit(item))
                assert await process.ended() == 1
                thief.execute("ROLLBACK")
            thief.close()
            await asyncio.wait({sending})
            assert sending.exception() is not None
        (said,) = [line for line in process.lines if line["event"] == "fail_stop"]
        assert said["code"] == "store"


async def test_a_second_process_on_the_home(home: Home) -> None:
    async with serving(home):
        second = command("serve", "--home", home.folder, "--json")
        assert (second.returncode, json.loads(second.stdout)["error"]["code"]) == (1, "home_locked")


@pytest.mark.full
async def test_the_commands_of_the_container(home: Home, world: World) -> None:
    async with serving(home) as (process, url):
        port = url.rsplit(":", 1)[1]
        async with connected(url, world, ALBA) as alba:
            await alba.publish()
            healthy = await asyncio.to_thread(
                command, "doctor", "--home", home.folder, "--json", VALIJA_HUB_LISTEN_PORT=port
            )
            assert (healthy.returncode, json.loads(healthy.stdout)["healthy"]) == (0, True), healthy.stdout
            shown = await asyncio.to_thread(command, "status", "--home", home.folder, "--json")
            assert json.loads(shown.stdout)["sessions"] == 1
        process.child.send_signal(signal.SIGTERM)
        assert await process.ended() == 0
    down = command("doctor", "--home", home.folder, "--json")
    assert down.returncode == 1


async def test_over_tls(tmp_path: Path, world: World) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    home = make_home(tmp_path / "hub", world, tls=Tls(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")))
    async with (
        serving(home, "https") as (_, url),
        connected(url, world, BERTA, tls=context) as berta,
        connected(url, world, ALBA, tls=context) as alba,
    ):
        await berta.publish()
        await berta.acknowledge(0)
        item = alba.envelope([BERTA], size=1 << 20)
        await accepted(alba, item)
        assert [each.core for each in await berta.deliveries(1)] == [item.core]


async def test_nothing_of_a_message_is_in_the_log(home: Home, world: World) -> None:
    async with serving(home) as (process, url):
        async with connected(url, world, BERTA) as berta, connected(url, world, ALBA) as alba:
            await berta.publish()
            item = alba.envelope([BERTA])
            await accepted(alba, item)
            await alba.socket.send_bytes(b"SECRETO" * 10)
            assert (await alba.ended()).code == "bad_frame"
        process.child.send_signal(signal.SIGTERM)
        await process.ended()
        written = json.dumps(process.lines)
        assert item.id.hex() not in written
        assert "SECRETO" not in written
        assert {line["event"] for line in process.lines} <= {
            "serving", "session_opened", "session_closed", "draining", "stopped",
        }  # fmt: skip


@pytest.mark.full
def test_from_nothing_with_real_keys(tmp_path: Path) -> None:
    """init, the stewards' ceremony with the real command, install: then the hub is ready to serve."""
    folder, keys = tmp_path / "hub", [sys.executable, "-c", "from keys.cli import main; main()"]
    made = json.loads(command("init", "--home", folder, "--association", "aiamp", "--port", "0", "--json").stdout)
    (tmp_path / "passphrase").write_text("cuatro palabras muy largas\n")
    (tmp_path / "passphrase").chmod(0o600)

    def key(*arguments: str) -> None:
        argv = [*keys, "--keystore", str(tmp_path / "keys"), *arguments]
        environment = os.environ | {"VALIJA_PASSPHRASE_FILE": str(tmp_path / "passphrase"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)

    weak = ("--memory-kib", "64", "--passes", "1")
    for kind, name in (("steward", "ana"), ("hub-root", "aiamp")):
        key("new", kind, name, *weak, "--out", f"{name}.{kind}.public")
    hub, log = made["public_files"]["hub"], made["public_files"]["log"]
    key(
        "charter", "draft", "--name", "aiamp", "--threshold", "1", "--steward", "ana.steward.public", "--hub-root",
        "aiamp.hub-root.public", "--log", log, "--origin", "hub.example/aiamp", "--url", "http://127.0.0.1:1",
        "--expires", "730d", "--out", "draft.valija",
    )  # fmt: skip
    key("sign", "draft.valija", "--key", "ana", "--yes", "--out", "charter.valija")
    key("certify", "hub", "--charter", "charter.valija", "--hub-key", hub, "--root-key", "aiamp", "--out", "hub.valija")
    done = command("install", "--home", folder, tmp_path / "hub.valija", tmp_path / "charter.valija", "--json")
    assert json.loads(done.stdout)["incarnation"] == [1, 2], done.stdout
    started = time.monotonic()
    asyncio.run(_serves(Home(folder)))
    assert time.monotonic() - started < PATIENCE


async def _serves(home: Home) -> None:
    async with serving(home) as (process, _):
        process.child.send_signal(signal.SIGTERM)
        assert await process.ended() == 0
