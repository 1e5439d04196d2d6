"""A disk dies, and yesterday's backup is put back: peers send again, callers hand in again, and nothing is missing.

Real processes, kill -9; the backup is made while messages are on their way.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pyrage import x25519

from hub.sqlite_check import looking
from keys.files import write_new
from protocol.trust.registry import Entry
from tests.system.forked import run
from tests.system.house import House, eventually

AR, BR, CO = "ar-mpf", "br-mpf", "co-fgn"
OWNER = x25519.Identity.generate()
READERS = ("--recipient", str(OWNER.to_public()))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path, (AR, BR, CO), {"rfai": (AR, BR, CO)}) as made:
        yield made


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    write_new(path, str(OWNER).encode())
    return path


class Callers:
    """Case systems that keep what they handed in, with its key, and what their nodes showed them."""

    def __init__(self, house: House) -> None:
        """Nothing was handed in."""
        self.house = house
        self.handed: dict[str, tuple[str, str]] = {}

    def hand_in(self, sender: str, recipient: str, key: str) -> str:
        """The id of a message, handed in the first time or again."""
        sent = self.house.api(sender).send(recipient, body=f"cuerpo de {key}", key=key, urgency="urgent")
        before = self.handed.setdefault(key, (sender, sent))
        assert before == (sender, sent), "the same key gives the same message"
        return sent

    def again(self, sender: str) -> None:
        """Everything that was handed in at this node is handed in again."""
        for key, (who, _sent) in list(self.handed.items()):
            if who == sender:
                self.hand_in(sender, self.recipient(key), key)

    @staticmethod
    def recipient(key: str) -> str:
        """The key says whom the message is for."""
        return key.rpartition(" ")[2]

    def check(self) -> None:
        """Everything was signed for, and stands once in the archive of its recipient."""
        for key, (sender, sent) in self.handed.items():
            self.house.api(sender).settled(sent)
            assert self.house.api(self.recipient(key)).received(sent)["content"]["body"]["text"] == f"cuerpo de {key}"
        for member in self.house.daemons.nodes:
            shown = [each["id"] for each in self.house.api(member).inbox()]
            assert len(shown) == len(set(shown)), f"{member} was handed a message twice"


def test_a_nodes_disk_dies_and_yesterdays_backup_is_put_back(house: House, identity: Path, tmp_path: Path) -> None:
    house.start()
    callers, ar, home = Callers(house), house.api(AR), house.folder(AR)
    for number in range(3):
        callers.hand_in(AR, CO, f"before {number} {CO}")
        callers.hand_in(CO, AR, f"before {number} {AR}")
    callers.check()

    made = threading.Event()
    traffic = threading.Thread(target=_send_until, args=(callers, made))
    traffic.start()
    done = run("node", "backup", tmp_path / "yesterday.age", "--home", home, *READERS)
    made.set()
    traffic.join()
    assert (done.status, done.told["kind"], done.told["name"]) == (0, "node", AR), done

    for number in range(3):
        callers.hand_in(AR, BR, f"after {number} {BR}")
        callers.hand_in(CO, AR, f"after {number} {AR}")
    callers.check()
    waiting = callers.hand_in(AR, BR, f"on its way {BR}")
    house.daemons.nodes[AR].kill()
    shutil.rmtree(home)
    sent = callers.hand_in(BR, AR, f"while it was dead {AR}")
    house.api(BR).reaches(sent, {AR: "relayed"})

    done = run("node", "restore", tmp_path / "yesterday.age", "--home", home, "--identity", identity)
    assert (done.status, done.told["restored"]) == (0, True), done
    house.daemons.nodes[AR].start()
    house.daemons.ready()
    callers.again(AR)
    callers.check()
    assert ar.received(callers.handed[f"after 2 {AR}"][1])
    assert waiting in [each["id"] for each in house.api(BR).inbox()]
    told = [(each["code"], each["detail"]) for each in ar.status()["alarms"] if each["code"] == "new_incarnation"]
    assert told == [("new_incarnation", "restored")]
    _doctor_knows_of_it(house)

    house.daemons.nodes[AR].kill()
    house.daemons.nodes[AR].start()
    house.daemons.ready()
    callers.hand_in(AR, CO, f"a life later {CO}")
    callers.check()
    incarnations = [each for each in ar.status()["alarms"] if each["code"] == "new_incarnation"]
    assert len(incarnations) == 1, "the mark is used once"


def _send_until(callers: Callers, made: threading.Event) -> None:
    number = 0
    while not made.is_set():
        callers.hand_in(AR, CO, f"meanwhile {number} {CO}")
        callers.hand_in(CO, AR, f"meanwhile {number} {AR}")
        number += 1


def _doctor_knows_of_it(house: House) -> None:
    rows = {each["name"]: each for each in run("node", "doctor", "--home", house.folder(AR)).told["rows"]}
    assert rows["backup"]["level"] == "ok"
    assert rows["archive"]["found"] == f"version {house.api(AR).status()['schema']}, intact"


def test_the_hubs_disk_dies_and_yesterdays_backup_is_put_back(house: House, identity: Path, tmp_path: Path) -> None:
    house.hub(VALIJA_HUB_RESTORE_QUIET_SECONDS="4")
    for member in (AR, BR):
        house.node(member)
    house.daemons.ready()
    callers, home = Callers(house), house.association.hub_home
    callers.hand_in(AR, BR, f"before 1 {BR}")
    callers.check()
    yesterday = tmp_path / "yesterday.age"
    done = run("hub", "backup", yesterday, "--home", home.folder, *READERS)
    assert (done.status, done.told["kind"]) == (0, "hub"), done

    # A day of life that the backup knows nothing of: a node's first incarnation, a new member, a new network.
    house.node(CO)
    house.daemons.ready()
    house.association.admit("es-fge")
    house.association.network("antes", (AR, CO))
    papers = [each for each in house.association.papers if each.raw not in _logged(house)]
    house.publish(*papers)
    size = house.state_of_hub()[0]
    for member in (AR, BR, CO):
        eventually(f"{member} mirrors it", partial(_mirrors, house, member, size))
    callers.hand_in(CO, AR, f"after 1 {AR}")
    callers.hand_in(AR, CO, f"after 2 {CO}")
    callers.check()

    (hub,) = house.daemons.hubs.values()
    house.daemons.nodes[CO].kill()
    callers.hand_in(BR, CO, f"in the mailbox {CO}")
    house.api(BR).reaches(callers.handed[f"in the mailbox {CO}"][1], {CO: "relayed"})
    hub.kill()
    shutil.rmtree(home.folder)
    done = run("hub", "restore", yesterday, "--home", home.folder, "--identity", identity)
    assert (done.status, done.told["restored"]) == (0, True), done
    hub.start()
    house.daemons.nodes[CO].start()
    house.daemons.ready()

    told = hub.get("/status")[1]
    assert told["registry_size"] >= size + 1
    for member in (AR, BR, CO):
        status = house.api(member).status()
        assert status["messages"]["forks"] == 0
        assert status["registry"]["size"] >= size + 1
    assert {each["network"] for each in house.api(BR).get("networks")["networks"]} >= {"#antes"}
    callers.hand_in(CO, BR, f"a life later {BR}")
    callers.check()
    rows = {each["name"]: each for each in run("hub", "doctor", "--home", home.folder).told["rows"]}
    assert (rows["backup"]["level"], rows["log"]["level"], rows["store"]["level"]) == ("ok", "ok", "ok")


def _mirrors(house: House, member: str, size: int) -> bool:
    return bool(house.api(member).status()["registry"]["size"] == size)


def _logged(house: House) -> set[bytes]:
    with looking(house.association.hub_home.database) as tx:
        hashes = [Entry.parse(each).hash for each in tx.entries(0, tx.log_size())]
        return {tx.statement(each) or b"" for each in hashes}
