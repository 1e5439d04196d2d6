"""The commands that steer a running hub, and that say who may use its console."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pyotp
import pytest
from click.testing import CliRunner, Result

from hub import diagnosis, doctor
from hub.cli import main
from hub.store import Operator
from keys import passwords
from keys.levels import Level
from tests.support.hub_client import connected
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.world import World

ALBA, BERTA = "ar-mpf", "br-mpf"
PASSWORD = "una frase bastante larga"


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VALIJA")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(passwords, "_PASSES", 1)
    monkeypatch.setattr(passwords, "_MEMORY_BYTES", 8_192)


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world)) as started:
        yield started


async def ask(hub: Running, *arguments: str, typed: str | None = None) -> Result:
    """The command beside the hub that runs on this loop."""

    def run() -> Result:
        return CliRunner().invoke(main, [*arguments, "--home", str(hub.home.folder)], input=typed)

    return await asyncio.to_thread(run)


async def done(hub: Running, *arguments: str) -> dict[str, Any]:
    result = await ask(hub, *arguments, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


async def refused(hub: Running, *arguments: str) -> str:
    result = await ask(hub, *arguments, "--json")
    assert result.exit_code == 1, result.output
    return str(json.loads(result.stdout)["error"]["code"])


async def looked_at(hub: Running) -> dict[str, diagnosis.Row]:
    return {each.name: each for each in await asyncio.to_thread(doctor.examine, hub.home, {})}


async def operators(hub: Running) -> list[Operator]:
    return await hub.core.writer.run(lambda round_: round_.group.tx.operators())


async def acts(hub: Running) -> list[tuple[str, str, str, str]]:
    entries = (await hub.daemon.steering.journal(1 << 40, 100))[::-1]
    return [(entry.who, entry.act, entry.about, entry.detail) for _number, entry, _hashed in entries]


async def test_operators_come_and_go(hub: Running) -> None:
    assert "Nobody yet" in (await ask(hub, "operators", "list")).output
    made = await ask(hub, "operators", "add", "ana", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    (ana,) = await operators(hub)
    assert ana.totp in made.output
    assert passwords.is_password(ana.password, PASSWORD)
    file = hub.home.folder / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    vera = await done(hub, "operators", "add", "vera", "--role", "viewer", "--password-file", str(file))
    assert pyotp.parse_uri(vera["uri"]).secret == vera["totp"]
    listed = await done(hub, "operators", "list")
    assert listed["operators"] == [{"login": "ana", "role": "operator"}, {"login": "vera", "role": "viewer"}]
    assert "viewer" in (await ask(hub, "operators", "list")).output
    assert await refused(hub, "operators", "add", "ana", "--password-file", str(file)) == "already_exists"
    assert await refused(hub, "operators", "add", "A B", "--password-file", str(file)) == "invalid_request"
    # Where there is nobody to ask.
    assert await refused(hub, "operators", "add", "eva") == "invalid_request"
    await done(hub, "operators", "remove", "vera")
    assert await refused(hub, "operators", "remove", "vera") == "invalid_request"
    file.write_text("short\n")
    assert await refused(hub, "operators", "add", "eva", "--password-file", str(file)) == "invalid_request"
    assert [(each.login, each.totp_step) for each in await operators(hub)] == [("ana", 0)]
    assert [each[:3] for each in await acts(hub)] == [
        ("valija-hub", "operator-added", "ana"),
        ("valija-hub", "operator-added", "vera"),
        ("valija-hub", "operator-removed", "vera"),
    ]


async def test_a_hub_is_steered_by_commands(hub: Running, world: World) -> None:
    before = (await hub.core.mailboxes([ALBA]))[ALBA]
    assert "suspended" in (await ask(hub, "suspend", ALBA)).output
    await done(hub, "suspend", ALBA)
    assert (await hub.core.mailboxes([ALBA]))[ALBA].is_suspended
    assert "delivery suspended" in (await ask(hub, "status")).output
    warned = (await looked_at(hub))["suspended"]
    assert (warned.level, ALBA in warned.found) == (Level.WARNING, True)
    assert await done(hub, "resume", ALBA) == {"member": ALBA, "suspended": False}
    assert "7 messages and 64 MiB" in (await ask(hub, "quota", ALBA, "--messages", "7", "--mib", "64")).output
    changed = (await hub.core.mailboxes([ALBA]))[ALBA]
    assert (changed.max_messages, changed.max_bytes) == (7, 64 << 20)
    assert await refused(hub, "quota", ALBA, "--mib", "1") == "invalid_request"
    await done(hub, "quota", ALBA, "--charter")
    assert (await hub.core.mailboxes([ALBA]))[ALBA] == before
    for wrong in (("quota", ALBA), ("quota", ALBA, "--charter", "--mib", "5")):
        assert (await ask(hub, *wrong)).exit_code == 2
    for command in (("suspend",), ("resume",), ("quota", "--messages", "7")):
        assert await refused(hub, command[0], "xx-none", *command[1:]) == "unknown_member"
    assert [each[1:] for each in await acts(hub)] == [
        ("delivery-suspended", ALBA, ""),
        ("delivery-resumed", ALBA, ""),
        ("quota-changed", ALBA, f"messages charter, bytes charter -> messages 7, bytes {64 << 20}"),
        ("quota-changed", ALBA, f"messages 7, bytes {64 << 20} -> messages charter, bytes charter"),
    ]


async def test_draining_and_letting_in_again(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        assert "nobody is let in" in (await ask(hub, "drain")).output
        assert (await alba.ended()).code == "draining"
    async with aiohttp.ClientSession(hub.url) as web, web.get("/readyz") as answer:
        assert answer.status == 503
    assert (await looked_at(hub))["draining"].level is Level.WARNING
    assert await done(hub, "drain", "--undo") == {"draining": False}
    async with connected(hub.url, world, ALBA):
        pass


async def test_what_is_no_request_is_refused(hub: Running) -> None:
    connector = aiohttp.UnixConnector(str(hub.home.socket))
    async with aiohttp.ClientSession(base_url="http://hub", connector=connector) as admin:
        for body in (b"", b"[]", b'{"member": 5}', b'{"member": "ar-mpf", "more": 1}', b"\xff"):
            async with admin.post("/steer/suspend", data=body) as answer:
                assert (answer.status, (await answer.json(content_type=None))["code"]) == (400, "invalid_request")
        async with admin.post(
            "/operators/add", json={"login": "ana", "role": "root", "password": "x", "totp": "y"}
        ) as answer:
            assert answer.status == 400
    assert await acts(hub) == []
    async with aiohttp.ClientSession(hub.url) as web:
        for path in ("/steer/drain", "/operators/add", "/steer/suspend"):
            async with web.post(path, json={}) as answer:
                assert answer.status == 404
