"""The life of the process, as far as it can be seen from inside: sockets, signals, chores, what is written to the log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
import trustme

from hub.config import Tls
from hub.core import SETTLED_SECONDS
from hub.daemon import fail_stop
from hub.sites import listener_at
from keys.home import Level
from keys.logs import configure
from keys.notify import notify
from protocol.errors import ConfigError, StoreError
from protocol.session.frames import Calendars, Lookup, Submit
from protocol.trust.checkpoint import LogKey
from protocol.trust.notes import Note
from tests.support.hub_client import connected
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.world import YEAR, World


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world)) as started:
        yield started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


# -- sockets ---------------------------------------------------------------------------------------------
async def test_the_admin_socket_is_the_owners_alone(hub: Running) -> None:
    assert stat.S_IMODE(hub.home.socket.stat().st_mode) == 0o600


async def test_an_operators_address(tmp_path: Path, world: World) -> None:
    port = free_port()
    async with (
        running(make_home(tmp_path / "hub", world, extra=f"[operator]\nport = {port}\n")),
        aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for path, status in (("/metrics", 200), ("/readyz", 200), ("/log/checkpoint", 404), ("/session", 404)):
            async with client.get(path) as response:
                assert response.status == status


async def test_a_port_that_is_taken(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home = make_home(tmp_path / "hub", world)
        home.config.write_text(home.config.read_text().replace("port = 0", f"port = {port}"))
        with pytest.raises(ConfigError, match=f"port {port}"):
            async with running(home):
                raise AssertionError


async def test_a_home_too_deep_for_a_socket(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / ("x" * 100), world)
    with pytest.raises(ConfigError, match=r"admin\.sock"):
        async with running(home):
            raise AssertionError


async def test_a_socket_left_behind_is_no_obstacle(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home.socket))
    async with running(home):
        reader, writer = await asyncio.open_unix_connection(str(home.socket))
        writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()


# -- signals ---------------------------------------------------------------------------------------------
async def test_sigterm_drains(tmp_path: Path, world: World) -> None:
    async with running(make_home(tmp_path / "hub", world)) as hub, connected(hub.url, world, "ar-mpf") as alba:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await alba.ended()).code == "draining"
        await hub.task


async def test_sighup_shows_a_renewed_certificate(tmp_path: Path, world: World) -> None:
    tls = Tls(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))

    def issue(days: int) -> bytes:
        issued = trustme.CA().issue_cert("127.0.0.1", not_after=datetime(2040, 1, 1, tzinfo=UTC) + timedelta(days))
        issued.private_key_pem.write_to_path(tls.key)
        issued.cert_chain_pems[0].write_to_path(tls.certificate)
        return issued.cert_chain_pems[0].bytes()

    def told(hub: Running) -> float:
        (line,) = re.findall(rb"^valija_hub_tls_end_seconds (.*)$", hub.core.metrics.render([], 0), re.MULTILINE)
        return float(line)

    issue(0)
    async with running(make_home(tmp_path / "hub", world, tls=tls)) as hub:
        first = told(hub)
        renewed = issue(30)
        # It stands in the file, and is not shown yet.
        assert told(hub) == first
        os.kill(os.getpid(), signal.SIGHUP)
        await shown(hub, renewed)
        assert told(hub) == first + 30 * 86_400
        spoil(tls)
        hub.daemon.reload()
        await shown(hub, renewed)
        assert told(hub) == first + 30 * 86_400


def spoil(tls: Tls) -> None:
    Path(tls.key).write_text("nothing")


async def shown(hub: Running, pem: bytes) -> None:
    """The hub shows this certificate, now or after its next turn."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(ssl.get_server_certificate, hub.daemon.address or ("", 0)) != pem.decode():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_sighup_without_tls_changes_nothing(hub: Running) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    hub.daemon.reload()
    assert not hub.task.done()


# -- chores ----------------------------------------------------------------------------------------------
async def test_the_checkpoint_stays_young(tmp_path: Path, world: World) -> None:
    ahead = 0.0
    async with running(make_home(tmp_path / "hub", world), clock=lambda: time.time() + ahead) as hub:
        log = world.registry.charter.hub
        key = LogKey(log.origin, log.log_key, log.log_ed25519)
        before = key.open(Note.parse(hub.core.checkpoint))
        ahead = 7_200.0
        await hub.core.refresh()
        after = key.open(Note.parse(hub.core.checkpoint))
        assert after.checkpoint == before.checkpoint
        assert after.cosignature.timestamp >= before.cosignature.timestamp + 7_200
        assert hub.core.refresh_at > time.time() + 7_200


async def test_a_renewed_hub_certificate_is_used_once_the_nodes_have_it_and_without_a_restart(
    tmp_path: Path, world: World
) -> None:
    ahead = 0.0
    async with running(make_home(tmp_path / "hub", world), clock=lambda: time.time() + ahead) as hub:
        world.now, role = int(time.time()), world.registry.certificate(world.hub_certificate).role
        renewal = world.certify("", role=role, not_after=world.now + YEAR)
        before = hub.core.certificate.id
        await hub.core.publish(renewal.raw)
        # Whoever is connected may not have it yet.
        assert hub.core.certificate.id == before
        ahead = SETTLED_SECONDS + 1
        await hub.core.queues()
        assert hub.core.certificate.id == renewal.id
        ahead = 0.0
        await hub.core.queues()
        async with connected(hub.url, world, "ar-mpf") as alba:
            assert alba.hello.certificate == renewal.id
            (result,) = await alba.submit(alba.envelope(["br-mpf"]))
            assert result.code is None


async def test_a_revoked_hub_certificate_is_left_at_once(hub: Running, world: World) -> None:
    world.now, old = int(time.time()), hub.core.certificate
    renewal = world.certify("", role=old.role, not_after=world.now + YEAR)
    await hub.core.publish(renewal.raw)
    await hub.core.publish(world.revoke(old.id, world.now - 1).raw)
    assert hub.core.certificate.id == renewal.id


async def test_a_fault_in_a_job_ends_its_session_alone(
    hub: Running, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(hub.url, world, "br-mpf") as berta, connected(hub.url, world, "ar-mpf") as alba:
        monkeypatch.setattr("hub.relay.Group.submit", _fault)
        items = (alba.envelope(["br-mpf"]),)
        await alba.send(Submit(items))
        assert (await alba.ended()).code == "internal"
        await berta.send(Lookup(1, ("ar-mpf",)))
        await berta.expect(Calendars)


def _fault(*_arguments: object) -> Any:
    raise ZeroDivisionError


# -- what is said ----------------------------------------------------------------------------------------
def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert manager.recv(64) == b"READY=1"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0valija-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@valija-test-notify")
        notify("STOPPING=1")
        assert manager.recv(64) == b"STOPPING=1"
    notify("READY=1")


def test_the_log_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        configure(Level.INFO.value)
        structlog.get_logger("hub").debug("unseen")
        structlog.get_logger("hub").info("session_opened", member="ar-mpf")
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert {"event": "session_opened", "member": "ar-mpf", "level": "info"}.items() <= json.loads(line).items()


@pytest.mark.parametrize(("error", "code"), [(StoreError("disk"), "store"), (OSError("I/O"), "internal")])
def test_fail_stop_says_why_and_ends(
    error: BaseException, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("hub.daemon.os._exit", ended.append)
    try:
        configure(Level.INFO.value)
        fail_stop(error)
    finally:
        structlog.reset_defaults()
    assert ended == [1]
    told = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (told["event"], told["code"]) == ("fail_stop", code)


async def test_figures_are_served_on_loopback_alone(tmp_path: Path, world: World) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    tls = Tls(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    issued.private_key_pem.write_to_path(tls.key)
    issued.cert_chain_pems[0].write_to_path(tls.certificate)
    home = make_home(tmp_path / "hub", world, tls=tls)
    home.config.write_text(home.config.read_text().replace("port = 0", 'port = 0\nhost = "0.0.0.0"'))
    async with running(home) as hub, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as client:
        for path, status in (("/metrics", 404), ("/livez", 200)):
            async with client.get(f"{hub.url}{path}") as response:
                assert response.status == status


def test_no_opener_is_loaded_with_the_command() -> None:
    script = (
        "import sys, hub.cli; print(*[n for n in ('protocol.sealing', 'keys.prekeys', 'node') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_address_that_no_name_can_be_is_told() -> None:
    with pytest.raises(ConfigError, match="no such address"):
        listener_at(f"{'a' * 70}.example", 8440)
