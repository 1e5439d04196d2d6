"""Wrong clocks, papers that ran out, keys that ran out, and a hub that is not ours: told, refused, and waited for."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from hub import founding as hub_founding
from keys import drafts
from keys.files import PUBLIC, write_new
from keys.kinds import Kind
from keys.papers import read_part, statement_paper
from keys.words import headline
from protocol.trust.statements import SignedStatement
from tests.support.processes import Daemon
from tests.system.forked import ForkedDaemon, run
from tests.system.house import Api, House, eventually
from tests.system.refusals import check_answer, check_command, check_sentence, contents

HOUR, DAY = 3_600, 86_400
YEAR: Final = 366 * DAY
RIGHT: Final = "br-mpf"
# Each of these members has a machine whose clock is so many seconds ahead.
CLOCKS: Final = {"hour-ahead": HOUR + 120, "hour-behind": -HOUR - 120, "year-ahead": YEAR, "year-behind": -YEAR}
TOLERATED: Final = {"six-minutes": 360}


def under_clock(house: House, member: str, ahead: int) -> Daemon:
    """The member's node, starting again under another clock."""
    daemon = ForkedDaemon.like(house.daemons.nodes[member], ahead)
    house.daemons.nodes[member] = daemon
    daemon.start()
    return daemon


# -- clocks ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub with the right time, one node with the right time, and one for each wrong clock."""
    wrong = CLOCKS | TOLERATED
    with House(tmp_path_factory.mktemp("t"), [RIGHT, *wrong]) as house:
        house.hub()
        for member, ahead in (wrong | {RIGHT: 0}).items():
            house.node(member, ahead=ahead)
        for member in (*TOLERATED, RIGHT):
            house.daemons.nodes[member].wait()
        yield house


@pytest.mark.parametrize("member", CLOCKS)
def test_a_clock_that_is_off_is_told_with_the_offset_and_put_right_all_goes(clocks: House, member: str) -> None:
    api, ahead = clocks.api(member), CLOCKS[member]
    eventually("told", lambda: api.line_error()[0] == "clock_skew")
    check_sentence(*api.line_error())
    offset = re.search(r"the node is (\d+) s (ahead|behind)", api.line_error()[1])
    assert offset, api.line_error()
    assert offset[2] == ("ahead" if ahead > 0 else "behind")
    assert abs(int(offset[1]) - abs(ahead)) < 60
    assert not api.is_connected()
    found = run("node", "doctor", "--home", clocks.folder(member), ahead=ahead)
    assert found.status == 1
    assert [row for row in found.told["rows"] if row["code"] == "clock_skew"], found.told
    under_clock(clocks, member, 0).wait()
    sent = api.send(RIGHT, body="a la hora", urgency="urgent")
    api.settled(sent)
    answer = clocks.api(RIGHT).send(member, body="y de vuelta", urgency="urgent")
    clocks.api(RIGHT).settled(answer)


def test_some_minutes_are_told_and_change_nothing(clocks: House) -> None:
    (member, ahead), right = next(iter(TOLERATED.items())), clocks.api(RIGHT)
    api = clocks.api(member)
    told = api.status()
    assert abs(told["hub"]["clock_ahead_seconds"] + ahead) < 60
    assert [each for each in told["alarms"] if each["code"] == "clock_skew"]
    sent = api.send(RIGHT, body="unos minutos", urgency="urgent")
    api.settled(sent)
    assert right.received(sent)["content"]["body"]["text"] == "unos minutos"


# -- certificates ----------------------------------------------------------------------------------------
def certified_anew(house: House, member: str, begins: int) -> SignedStatement:
    """A certificate of a year for the key that the hub (the empty name) or a node has already."""
    association = house.association
    name = association.hub_home.public / f"aiamp.{Kind.HUB}.public"
    part = read_part(association.homes[member].public if member else name)
    draft = drafts.certificate(association.charter.association, member, part, begins, 365)
    return association._signed(draft, [association.roots[member]])


def test_an_expired_certificate_of_the_hub_keeps_it_from_starting(tmp_path: Path) -> None:
    with House(tmp_path, [], now=int(time.time()) - YEAR) as house:
        home = house.association.hub_home.folder
        before = contents(home)
        check_command(run("hub", "serve", "--home", home), "not_in_standing")
        # A database that was opened is as it was, whatever SQLite did with its log.
        left = contents(home)
        assert {path for path in before if not path.endswith(("-wal", "-shm"))} <= left.keys()
        found = run("hub", "doctor", "--home", home)
        assert found.status == 1
        assert [row["level"] for row in found.told["rows"] if row["name"] == "certificate"] == ["problem"]


def test_an_expired_certificate_of_a_node_is_told_and_renewed_all_goes(tmp_path: Path) -> None:
    now = int(time.time())
    with House(tmp_path, ["ar-mpf", "br-mpf"], now=now - YEAR) as house:
        fresh = [certified_anew(house, member, now - 60) for member in ("", "br-mpf")]
        hub_founding.install(house.association.hub_home, fresh, {}, now - 60)
        house.hub()
        node = house.node("ar-mpf")
        house.node("br-mpf").wait()
        api = house.api("ar-mpf")
        eventually("told", lambda: api.line_error()[0] == "not_in_standing")
        check_sentence(*api.line_error())
        before = api.status()["messages"]
        check_answer(api.hand_in("br-mpf", body="sin certificado"), 422, "not_in_standing")
        # The log itself may have grown meanwhile: the other node publishes its calendar.
        assert (api.outbox(), api.inbox(), api.status()["messages"]) == ([], [], before)
        house.publish(certified_anew(house, "ar-mpf", now - 60))
        node.wait()
        api.settled(api.send("br-mpf", body="con certificado", urgency="urgent"))


# -- charters --------------------------------------------------------------------------------------------
def test_under_an_expired_charter_nothing_can_be_changed(tmp_path: Path) -> None:
    now = int(time.time())
    with House(tmp_path, ["ar-mpf"], now=now - 731 * DAY) as house:
        association = house.association
        late = [certified_anew(house, member, now - 30 * DAY) for member in ("", "ar-mpf")]
        hub_founding.install(association.hub_home, late, {}, now - 30 * DAY)
        house.hub().wait()
        house.node("ar-mpf")
        api = house.api("ar-mpf")
        eventually("told", lambda: api.line_error()[0] == "charter_expired")
        check_sentence(*api.line_error())
        (hub,) = house.daemons.hubs.values()
        before = hub.get("/status")[1]["registry_size"]
        roster = association.network("casos", ["ar-mpf"])
        paper = tmp_path / "roster.txt"
        write_new(paper, statement_paper(roster, headline(roster)), PUBLIC)
        check_command(run("hub", "publish", "--home", association.hub_home.folder, paper), "charter_expired")
        check_command(run("node", "publish", "--home", house.folder("ar-mpf"), paper), "charter_expired")
        assert hub.get("/status")[1]["registry_size"] == before


@pytest.mark.full
def test_under_an_expired_charter_messages_go_for_ninety_days(tmp_path: Path) -> None:
    with House(tmp_path, ["ar-mpf", "br-mpf"]) as house:
        now, members = house.association.now, ("ar-mpf", "br-mpf")
        late = [certified_anew(house, member, now + 700 * DAY) for member in ("", *members)]
        hub_founding.install(house.association.hub_home, late, {}, now + 700 * DAY)
        ar = house.api("ar-mpf")
        for day in (701, 731, 819):
            house.start(ahead=day * DAY)
            ar.settled(ar.send("br-mpf", body=f"día {day}", urgency="urgent"))
            house.daemons.__exit__(None, None, None)
        house.start(ahead=822 * DAY)
        sent = ar.send("br-mpf", body="demasiado tarde")
        eventually("the alarm", lambda: [x for x in ar.status()["alarms"] if x["code"] == "charter_expired"])
        assert ar.states(sent) == {"": "queued"}


# -- prekeys ---------------------------------------------------------------------------------------------
def test_who_was_away_past_its_prekeys_is_waited_for(tmp_path: Path) -> None:
    with House(tmp_path, ["ar-mpf", "br-mpf", "co-fgn"]) as house:
        house.start()
        ar = house.api("ar-mpf")
        ar.settled(ar.send("br-mpf", "co-fgn", body="hoy", urgency="urgent"))
        house.daemons.__exit__(None, None, None)
        ahead = 16 * DAY
        del house.daemons.nodes["br-mpf"]  # away
        house.start("ar-mpf", "co-fgn", ahead=ahead)
        sent = ar.send("br-mpf", "co-fgn", body="dentro de dos semanas", urgency="urgent")
        told = ar.reaches(sent, {"br-mpf": "held", "co-fgn": "delivered"})
        reasons = {each["recipient"]["member"]: each["reason"] for each in told["deliveries"]}
        assert reasons == {"br-mpf": "no_prekey", "co-fgn": None}
        house.node("br-mpf", ahead=ahead).wait()
        ar.settled(sent)
        assert house.api("br-mpf").received(sent)["content"]["body"]["text"] == "dentro de dos semanas"


# -- another hub -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, House]]:
    """Two associations, each with its hub: ours with two nodes that know it, and a third that never met it."""
    folder = tmp_path_factory.mktemp("h")
    with House(folder / "1", ["ar-mpf", "br-mpf", "co-fgn"]) as ours, House(folder / "2", []) as theirs:
        ours.start("ar-mpf", "br-mpf")
        theirs.hub().wait()
        yield ours, theirs


@pytest.mark.parametrize("member", ["ar-mpf", "co-fgn"])
def test_a_hub_with_another_identity_gets_nothing(hubs: tuple[House, House], member: str) -> None:
    ours, theirs = hubs
    known = ours.daemons.nodes.get(member)
    if known is not None:
        known.stop()
    (foreign,) = theirs.daemons.hubs.values()
    before = foreign.get("/status")[1]["registry_size"]
    size = len(ours.association.papers) if known is None else ours.api("br-mpf").status()["registry"]["size"]
    node = ours.node(member, VALIJA_NODE_HUB_URL=theirs.association.url)
    api = ours.api(member)
    eventually("told", lambda: api.line_error()[0] == "wrong_hub")
    check_sentence(*api.line_error())
    assert api.status()["registry"]["size"] == (0 if known is None else size)
    if known is not None:
        sent = api.send("br-mpf", body="no por aquí", urgency="urgent")
        assert api.states(sent) == {"": "queued"}
    assert_nothing_left(foreign, before)
    node.stop()
    ours.node(member).wait()
    if known is not None:
        api.settled(sent)


def assert_nothing_left(foreign: Daemon, size: int) -> None:
    told: Any = foreign.get("/status")[1]
    assert (told["registry_size"], told["sessions"], told["totals"]["accepted"]) == (size, 0, 0)


def test_the_offset_is_no_part_of_every_refusal(clocks: House) -> None:
    """What the tests of clocks look for is not there when the clock is right."""
    api: Api = clocks.api(RIGHT)
    assert api.line_error() == ("", "")
    assert not [each for each in api.status()["alarms"] if each["code"] == "clock_skew"]
