"""A node as a process: killed, started again, doubled, stopped; what it acknowledged is never lost nor delivered twice."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.client import NodeClient
from node.sockets import connected
from protocol.errors import NotRunningError, ValijaError
from tests.support.association import Association, found
from tests.support.processes import ROOT, Daemon, Daemons, command

AR, BR = "ar-mpf", "br-mpf"
SECRET_WORDS = "PALABRA-QUE-NADIE-MAS-LEE"
PATIENCE = 60.0


def eventually(what: str, ready: Callable[[], Any]) -> Any:
    deadline, answer = time.monotonic() + PATIENCE, None
    while time.monotonic() < deadline:
        try:
            answer = ready()
        except ValijaError as error:
            answer = None if isinstance(error, NotRunningError) else error.code
            if answer is not None:
                raise
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: last {answer!r}")


@pytest.fixture
def association(tmp_path: Path) -> Association:
    return found(tmp_path / "x", [AR, BR], tls=True)


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    with Daemons(tmp_path / "logs") as running:
        yield running


def client(association: Association, member: str) -> NodeClient:
    return NodeClient(association.homes[member].socket)


def hand_in(node: NodeClient, key: str, **changes: Any) -> str:
    asked = {"to": [BR], "subject": f"{SECRET_WORDS} {key}", "body": f"{SECRET_WORDS} {key}"} | changes
    return str(node.post("messages", asked, key)["id"])


def post_batch(socket: Path, lines: list[bytes]) -> list[bytes]:
    line = http.client.HTTPConnection("node")
    line.sock = connected(socket, PATIENCE)
    line.request("POST", "/api/v1/messages:batch", b"\n".join(lines), {"Content-Type": "application/x-ndjson"})
    answer = line.getresponse().read().splitlines()
    line.close()
    return answer


def received(node: NodeClient) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        page = node.get("messages", limit=500, after=after)
        found += [each["id"] for each in page["items"]]
        if not page["items"]:
            return found
        after = page["next"]


def has(node: NodeClient, ids: list[str]) -> bool:
    return set(ids) <= set(received(node))


def delivered(node: NodeClient, ids: list[str]) -> bool:
    return all(node.get(f"messages/{each}")["deliveries"][0]["state"] == "delivered" for each in ids)


# -- killed --------------------------------------------------------------------------------------------
def test_what_was_acknowledged_survives_kill_9_on_either_side(association: Association, daemons: Daemons) -> None:
    daemons.hub(association)
    sender, recipient = daemons.node(association, AR), daemons.node(association, BR)
    daemons.ready()
    ar, br = client(association, AR), client(association, BR)
    ids = [hand_in(ar, f"before {number}") for number in range(10)]
    sender.kill()
    sender.start()
    sender.wait()
    ids += [hand_in(ar, f"between {number}") for number in range(10)]
    recipient.kill()
    ids += [hand_in(ar, f"while away {number}") for number in range(10)]
    sender.kill()
    sender.start()
    recipient.start()
    daemons.ready()
    assert [hand_in(ar, f"before {number}") for number in range(10)] == ids[:10], "asked again is the same message"
    eventually("everything at the recipient", lambda: has(br, ids))
    eventually("everything receipted", lambda: delivered(ar, ids))
    held = received(br)
    assert sorted(held) == sorted(ids)
    assert ar.get("status")["incarnation"] is not None


def test_a_batch_is_whole_after_kill_9(association: Association, daemons: Daemons) -> None:
    daemons.hub(association)
    sender, recipient = daemons.node(association, AR), daemons.node(association, BR)
    daemons.ready()
    lines = [
        json.dumps({"to": [BR], "body": "x" * 900, "idempotency_key": f"batch {number}"}).encode()
        for number in range(400)
    ]
    ids = [json.loads(line)["id"] for line in post_batch(association.homes[AR].socket, lines)]
    assert len(set(ids)) == 400
    sender.kill()
    recipient.kill()
    sender.start()
    recipient.start()
    daemons.ready()
    eventually("the whole batch", lambda: has(client(association, BR), ids))
    assert sorted(received(client(association, BR))) == sorted(ids)


# -- doubled -------------------------------------------------------------------------------------------
def test_a_second_daemon_on_the_same_home_is_refused(association: Association, daemons: Daemons) -> None:
    daemons.hub(association)
    daemons.node(association, AR)
    daemons.ready()
    home = association.homes[AR]
    before = home.config.read_bytes(), home.charter.read_bytes()
    second = subprocess.run(
        command("node", "serve", "--home", str(home.folder), "--json"), cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (second.returncode, json.loads(second.stdout)["error"]["code"]) == (1, "home_locked")
    assert client(association, AR).get("status")["session"] == "open"
    assert (home.config.read_bytes(), home.charter.read_bytes()) == before


# -- stopped -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(association: Association, daemons: Daemons, number: int) -> None:
    daemons.hub(association)
    node: Daemon = daemons.node(association, AR)
    daemons.ready()
    ids = [hand_in(client(association, AR), f"drain {each}") for each in range(5)]
    os.kill(node.pid, number)
    assert node.process
    assert node.process.wait(20) == 0
    assert not association.homes[AR].socket.exists()
    log = [json.loads(line) for line in node.log.read_text().splitlines()]
    assert log[-1]["event"] == "stopped"
    assert {"critical", "error"}.isdisjoint(line["level"] for line in log)
    node.start()
    node.wait()
    sent = [each["id"] for each in client(association, AR).get("outbox")["items"]]
    assert sent == ids


# -- said ----------------------------------------------------------------------------------------------
def test_logs_hold_no_content_subject_key_or_token(association: Association, daemons: Daemons) -> None:
    daemons.hub(association)
    nodes = [daemons.node(association, member) for member in (AR, BR)]
    daemons.ready()
    ar, br = client(association, AR), client(association, BR)
    token = ar.post("tokens", {"desk": "central"})["token"]
    ids = [hand_in(ar, "log", desk="central")]
    with pytest.raises(ValijaError):
        hand_in(ar, "log", body="other")
    with pytest.raises(ValijaError):
        hand_in(ar, "bad", to=["nobody-here"])
    eventually("delivery", lambda: has(br, ids))
    br.post(f"messages/{ids[0]}/acknowledge", {"note": SECRET_WORDS})
    eventually("the answer", lambda: ar.get(f"messages/{ids[0]}")["deliveries"][0]["state"] == "acknowledged")
    for node in nodes:
        node.stop()
    secret = association.homes[AR].secret.read_text().strip()
    written = "".join(path.read_text() for path in daemons.logs.iterdir())
    assert "hub_connected" in written
    for word in (SECRET_WORDS, token, secret, association.tokens[AR]):
        assert word not in written
