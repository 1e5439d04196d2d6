"""One life of a node: from lock to drain, and what ends it."""

from __future__ import annotations

import asyncio
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import trustme

from keys.levels import Level
from keys.lock import is_locked, locked
from keys.vault import Secret
from node import config, doctor, events
from node.config import Home
from node.context import Context
from node.daemon import _listen, serve
from node.desks import AtDesk, Operator
from node.event_views import Place, Rendered
from node.founding import make_home, open_custody, read_anchor
from node.rounds import Rounds, Turn
from node.sockets import connected as connect
from node.sockets import unix_socket
from node.store import Transaction
from node.tables import state
from node.tls import client_context
from protocol.errors import (
    ConfigError,
    ConflictError,
    DamagedError,
    ExistsError,
    HomeLockedError,
    HomeMissingError,
    KeyAccessError,
    KeyDamagedError,
    MalformedError,
    NotRunningError,
    PassphraseError,
    StoreError,
    ThresholdError,
    UsageError,
)
from protocol.names import Party
from tests.support.association import Association, found
from tests.support.hub_home import running as hub
from tests.support.node_home import connected, eventually, node, operator

AR, BR = "ar-mpf", "br-mpf"


@pytest.fixture
def association(tmp_path: Path) -> Association:
    return found(tmp_path / "x", [AR, BR], tls=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- making a home -------------------------------------------------------------------------------------
def test_a_home_is_made_for_its_owner_alone(association: Association) -> None:
    home = association.homes[AR]
    assert home.folder.stat().st_mode & 0o077 == 0
    for path in (home.secret, home.archive_key, home.archive, *home.keys.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    assert read_anchor(home.charter).signed.id == association.charter.id
    assert open_custody(home, config.load(home, {}), {}).archive_key not in home.archive.read_bytes()


def test_a_home_is_never_made_over_another(association: Association) -> None:
    home = association.homes[AR]
    before = contents(home.folder)
    with pytest.raises(ExistsError):
        make_home(home, AR, association.charter_file, association.url, {}, association.now)
    assert contents(home.folder) == before


def test_an_interrupted_init_goes_on_where_it_stopped(association: Association) -> None:
    home = association.homes[AR]
    home.config.unlink()
    before = contents(home.folder)
    made = make_home(home, AR, association.charter_file, association.url, {}, association.now)
    after = contents(home.folder)
    assert after.keys() - before.keys() == {"node.toml"}
    assert {name for name in before if after.get(name) != before[name]} <= {"archive.db"}
    assert made.public.fingerprint == open_custody(home, config.load(home, {}), {}).signer.part.fingerprint


@pytest.mark.parametrize(
    ("member", "url", "error"), [("AR", "", UsageError), (AR, "http://hub.example.org", ConfigError)]
)
def test_what_no_home_can_be_made_of(
    association: Association, tmp_path: Path, member: str, url: str, error: type
) -> None:
    with pytest.raises(error):
        make_home(Home(tmp_path / "new"), member, association.charter_file, url, {}, association.now)
    assert not (tmp_path / "new").exists()


def test_a_charter_that_is_none_makes_no_home(association: Association, tmp_path: Path) -> None:
    unsigned = tmp_path / "unsigned.txt"
    from keys.papers import statement_paper
    from protocol.codec import encode
    from protocol.trust.statements import SignedStatement

    draft = SignedStatement.from_bytes(encode([association.charter.body, []]))
    unsigned.write_bytes(statement_paper(draft, "nobody signed"))
    other = tmp_path / "other.txt"
    other.write_bytes(statement_paper(association.papers[1], "no charter"))
    for path, error in ((unsigned, ThresholdError), (other, MalformedError), (tmp_path / "none", UsageError)):
        with pytest.raises(error):
            make_home(Home(tmp_path / "new"), AR, path, "", {}, association.now)
    with pytest.raises(ConfigError):
        make_home(
            Home(tmp_path / "new"), AR, association.charter_file, "", {}, association.now, str(tmp_path / "no-ca")
        )
    assert not (tmp_path / "new").exists()


# -- opening it ----------------------------------------------------------------------------------------
def test_serve_without_a_home_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(HomeMissingError):
        serve(Home(tmp_path / "none"), {})
    assert list(tmp_path.iterdir()) == []


def test_another_secret_opens_nothing(association: Association, tmp_path: Path) -> None:
    home = association.homes[AR]
    other = tmp_path / "secret"
    Secret.create(other)
    for named, error in ((other, PassphraseError), (tmp_path / "none", KeyAccessError)):
        with pytest.raises(error):
            serve(home, {"VALIJA_SECRET_FILE": str(named)})
    home.secret.chmod(0o644)
    with pytest.raises(KeyAccessError, match="chmod 600"):
        serve(home, {})
    home.secret.chmod(0o600)
    home.archive_key.chmod(0o600)
    home.archive_key.write_bytes(b"x")
    with pytest.raises(KeyDamagedError):
        serve(home, {})


async def test_an_archive_under_another_key_is_refused(association: Association) -> None:
    home = association.homes[AR]
    home.archive.write_bytes(association.homes[BR].archive.read_bytes())
    with pytest.raises(StoreError):
        async with node(home):
            raise AssertionError("it opened")


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_home_whose_archive_is_gone_is_not_served_with_an_empty_one(
    association: Association, is_there: bool
) -> None:
    home = association.homes[AR]
    home.archive.unlink()
    if is_there:
        home.archive.touch()
    with pytest.raises(DamagedError, match="is not there, or empty"):
        async with node(home):
            raise AssertionError("it opened")
    told = {each.name: each for each in doctor.examine(home, {})}["archive"]
    assert (told.level, told.code) == ("problem", "damaged")
    assert "restore" in told.remedy
    assert home.archive.exists() is is_there
    assert not is_there or home.archive.stat().st_size == 0


async def test_a_damaged_prekey_is_set_aside_and_doctor_says_so(association: Association) -> None:
    home = association.homes[AR]
    prekeys = open_custody(home, config.load(home, {}), {}).prekeys(home, Party(association.charter.association, AR))
    prekeys.ensure(association.now, 2)
    damaged = sorted(home.prekeys.iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert "prekeys" not in {each.name for each in doctor.examine(home, {})}
    async with node(home):
        pass
    told = {each.name: each for each in doctor.examine(home, {})}["prekeys"]
    assert (told.level, told.code, damaged.name in told.found) == ("warning", "key_damaged", True)


def test_a_second_daemon_is_refused(association: Association) -> None:
    home = association.homes[AR]
    assert not is_locked(home.lock)
    with locked(home.lock):
        assert is_locked(home.lock)
        with pytest.raises(HomeLockedError):
            serve(home, {})
    assert not is_locked(home.lock)


def test_a_lock_where_nobody_may_write(tmp_path: Path) -> None:
    with pytest.raises(StoreError), locked(tmp_path / "none" / "lock"):
        raise AssertionError("locked")


# -- serving -------------------------------------------------------------------------------------------
async def test_the_socket_is_the_owners_alone_and_gone_afterwards(association: Association) -> None:
    home = association.homes[AR]
    home.socket.write_text("left by a crash")
    async with node(home) as running, operator(home) as client:
        assert home.socket.stat().st_mode & 0o777 == 0o600
        async with client.get("/readyz") as answer:
            assert answer.status == 503
        async with client.get("/api/v1/status") as answer:
            told = await answer.json()
        assert told["session"] == "closed"
        assert told["association"] is None
        assert running.address
    assert not home.socket.exists()


async def test_the_api_is_served_over_tls_and_a_renewed_certificate_is_shown(
    association: Association, tmp_path: Path
) -> None:
    authority = trustme.CA()

    def issue(days: int) -> str:
        issued = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days))
        (tmp_path / "c.pem").write_bytes(issued.cert_chain_pems[0].bytes())
        (tmp_path / "k.pem").write_bytes(issued.private_key_pem.bytes())
        return issued.cert_chain_pems[0].bytes().decode()

    issue(7)
    environment = {
        "VALIJA_NODE_API_TLS_CERTIFICATE": str(tmp_path / "c.pem"),
        "VALIJA_NODE_API_TLS_KEY": str(tmp_path / "k.pem"),
    }
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    context = client_context(tmp_path / "ca.pem")
    async with node(association.homes[AR], environment) as running, aiohttp.ClientSession() as client:
        assert running.address
        async with client.get(f"https://127.0.0.1:{running.address[1]}/api/v1/status", ssl=context) as answer:
            assert answer.status == 401

        async def figure() -> float:
            async with operator(association.homes[AR]) as own, own.get("/metrics") as page:
                (line,) = [each for each in (await page.text()).splitlines() if each.startswith("valija_node_tls_end")]
                return float(line.split()[1])

        ends_at = await figure()
        assert 6 * 86_400 < ends_at - time.time() < 8 * 86_400
        renewed = issue(60)
        assert await figure() == ends_at
        running.reload()
        assert await figure() > ends_at + 50 * 86_400
        assert await asyncio.to_thread(ssl.get_server_certificate, running.address) == renewed
        (tmp_path / "k.pem").write_text("nothing")
        running.reload()
        assert await asyncio.to_thread(ssl.get_server_certificate, running.address) == renewed


@pytest.mark.parametrize(("days", "level"), [(60, Level.OK), (7, Level.WARNING), (-1, Level.PROBLEM)])
def test_the_doctor_says_how_long_what_is_shown_holds(
    association: Association, tmp_path: Path, days: int, level: Level
) -> None:
    ends = datetime.now(UTC) + timedelta(days)
    issued = trustme.CA().issue_cert("127.0.0.1", not_before=ends - timedelta(90), not_after=ends)
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both = str(tmp_path / "both.pem")
    listening = {"VALIJA_NODE_WEB_LISTEN": "127.0.0.1:0", "VALIJA_NODE_WEB_TLS_CERTIFICATE": both}
    given = listening | {"VALIJA_NODE_WEB_TLS_KEY": both}
    (row,) = [each for each in doctor.examine(association.homes[AR], given) if each.name == "tls"]
    assert (row.level, "[web]" in row.found) == (level, True)
    (tmp_path / "both.pem").write_text("nothing")
    (row,) = [each for each in doctor.examine(association.homes[AR], given) if each.name == "tls"]
    assert row.level is Level.PROBLEM
    # What is plain has no row.
    assert "tls" not in {each.name for each in doctor.examine(association.homes[AR], {})}


async def test_an_address_that_is_taken_is_told(association: Association, unused_tcp_port: int) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_tcp_port)
    async with server:
        with pytest.raises(ConfigError, match=rf"api\.listen .*:{unused_tcp_port}: Address already in use"):
            async with node(association.homes[AR], {"VALIJA_NODE_API_LISTEN": f"127.0.0.1:{unused_tcp_port}"}):
                raise AssertionError("it serves")


def test_an_address_that_no_name_can_be_is_told() -> None:
    with pytest.raises(ConfigError, match="no such address"):
        _listen(("ñ" * 70, 8450))


async def test_a_disk_that_fails_ends_the_daemon(association: Association) -> None:
    async with node(association.homes[AR]) as running:

        def broken(_tx: Transaction) -> None:
            raise StoreError("disk")

        with pytest.raises(StoreError):
            await running.service.write(broken)
        await asyncio.wait_for(running.stopping.wait(), 10)
        assert isinstance(running.failure, StoreError)
        with pytest.raises(StoreError):
            await running.service.rounds.ask(lambda ctx: None)


async def test_a_stream_ends_when_the_node_stops(association: Association) -> None:
    home = association.homes[AR]
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(home.socket))) as client:
        async with node(home) as running:
            stream = await client.get("http://node/api/v1/events")
            await eventually("a listener", lambda: running.service.feed._followers == 1)
        async with asyncio.timeout(10):
            assert (await stream.read()).startswith(b"id: ")


async def test_what_was_accepted_without_a_hub_goes_when_it_is_there(association: Association) -> None:
    home = association.homes[AR]
    async with hub(association.hub_home), node(home) as running, node(association.homes[BR]) as other:
        await connected(running)
        await connected(other)
    async with node(home), operator(home) as client:
        headers = {"Idempotency-Key": "offline"}
        asked = {"to": [BR], "subject": "s", "body": "b"}
        async with client.post("/api/v1/messages", json=asked, headers=headers) as answer:
            assert answer.status == 202
            message_id = (await answer.json())["id"]
    async with hub(association.hub_home), node(home), node(association.homes[BR]), operator(home) as client:

        async def delivered() -> Any:
            async with client.get(f"/api/v1/messages/{message_id}") as answer:
                return (await answer.json())["deliveries"][0]["state"] == "delivered"

        await eventually("delivery", delivered)


# -- sockets -------------------------------------------------------------------------------------------
def test_a_home_with_a_long_path_has_a_socket_too(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    path = deep / "api.sock"
    with pytest.raises(NotRunningError):
        connect(path, 1)
    with unix_socket(path) as listening, connect(path, 1) as line:
        there, _address = listening.accept()
        with there:
            line.sendall(b"x")
            assert there.recv(1) == b"x"
    with pytest.raises(NotRunningError):
        connect(path, 1)
    with pytest.raises(StoreError):
        unix_socket(tmp_path / "none" / "api.sock")


# -- rounds --------------------------------------------------------------------------------------------
class Rules:
    """Rules that only count."""

    def __init__(self) -> None:
        self.turns = 0
        self.refusal: Exception | None = None

    def context(self, tx: Transaction) -> Context:
        if self.refusal:
            raise self.refusal
        return Context(tx, 0.0, None, None, None)  # type: ignore[arg-type]

    def turn(self, _ctx: Context) -> Turn:
        self.turns += 1
        return Turn(self.turns, 1e9)


@pytest.fixture
async def made(tmp_path: Path) -> Any:
    from node.archive import Archive

    store, rules = Archive(tmp_path / "a.db", bytes(32)), Rules()
    seen: list[Any] = []
    failures: list[Exception] = []
    rounds = Rounds(store, rules, lambda: 0.0, seen.append, failures.append)
    yield store, rules, rounds, seen, failures
    await rounds.close()
    store.close()


async def test_what_comes_together_is_one_round(made: Any) -> None:
    _store, _rules, rounds, seen, _failures = made
    answers = await asyncio.gather(*(rounds.ask(lambda ctx, number=number: number) for number in range(50)))
    assert answers == list(range(50))
    assert len(seen) == 1


async def test_nobody_waits_for_ever_where_what_a_round_left_cannot_be_done(made: Any) -> None:
    store, rules, _rounds, _seen, failures = made

    def broken(_outcome: Any) -> None:
        raise ConflictError("this one")

    rounds = Rounds(store, rules, lambda: 0.0, broken, failures.append)
    with pytest.raises(ConflictError):
        await asyncio.wait_for(rounds.ask(lambda _ctx: 1), 10)
    assert [type(each) for each in failures] == [ConflictError]


async def test_a_work_that_fails_harms_no_neighbour(made: Any) -> None:
    store, _rules, rounds, _seen, failures = made

    def writes(ctx: Context) -> None:
        state.put(ctx.tx, "kept", 1)

    def fails(ctx: Context) -> None:
        state.put(ctx.tx, "undone", 1)
        raise ConflictError("this one")

    kept, failed = rounds.ask(writes), rounds.ask(fails)
    await kept
    with pytest.raises(ConflictError):
        await failed
    assert store.read(lambda tx: (state.get(tx, "kept"), state.get(tx, "undone"))) == (1, None)
    assert failures == []


async def test_rules_that_cannot_act_refuse_and_go_on(made: Any) -> None:
    _store, rules, rounds, seen, failures = made
    rules.refusal = UsageError("not yet")
    with pytest.raises(UsageError):
        await rounds.ask(lambda ctx: None)
    assert seen == []
    rules.refusal = None
    assert await rounds.ask(lambda ctx: 7) == 7
    assert failures == []


async def test_rules_that_break_end_the_rounds(made: Any) -> None:
    _store, rules, rounds, _seen, failures = made
    rules.refusal = StoreError("disk")
    with pytest.raises(StoreError):
        await rounds.ask(lambda ctx: None)
    assert len(failures) == 1
    with pytest.raises(StoreError):
        await rounds.ask(lambda ctx: None)
    rounds.wake()
    assert len(failures) == 1


async def test_who_went_away_is_not_waited_for(made: Any) -> None:
    _store, _rules, rounds, _seen, failures = made
    gone = rounds.ask(lambda ctx: 1)
    gone.cancel()
    assert await rounds.ask(lambda ctx: 2) == 2
    assert failures == []


async def test_closed_rounds_take_nothing_more(made: Any) -> None:
    _store, _rules, rounds, _seen, failures = made
    last = rounds.ask(lambda ctx: 3)
    await rounds.close()
    assert last.result() == 3
    with pytest.raises(StoreError):
        await rounds.ask(lambda ctx: 4)
    assert failures == []


# -- the feed ------------------------------------------------------------------------------------------
async def test_a_fault_in_telling_ends_the_streams_and_nothing_else(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = association.homes[AR]
    async with hub(association.hub_home), node(home) as running, operator(home) as client:
        await connected(running)
        async with client.get("/api/v1/events") as stream:
            await eventually("a listener", lambda: running.service.feed._followers == 1)

            def broken(*_given: Any) -> Any:
                raise KeyError("a fault of ours")

            with monkeypatch.context() as patched:
                patched.setattr(events, "render", broken)
                headers = {"Idempotency-Key": "fault"}
                async with client.post("/api/v1/messages", json={"to": [BR]}, headers=headers) as answer:
                    assert answer.status == 202
                async with asyncio.timeout(10):
                    # Where it began, and no event.
                    assert (await stream.read()).rstrip(b"\n").count(b"\n") == 0
        assert running.failure is None
        async with client.get("/api/v1/events?after=0-0") as stream:
            assert (await stream.content.readline()).startswith(b"id: ")


def test_what_a_look_found_from_elsewhere_is_not_told() -> None:
    feed = events.Feed(cast("Any", None), cast("Any", None), lambda: 0.0, cast("Any", None), lambda: None, "")
    # Somebody began to follow at row 0 while a round looked behind row 7, where whoever left had been.
    stale = events.News(7, 9, [Rendered(Place(8), frozenset(), b"")])
    feed.tell(stale)
    assert (feed._upto_row, len(feed._kept)) == (0, 0)
    feed.tell(stale._replace(after=0))
    assert (feed._upto_row, len(feed._kept)) == (9, 1)


def _event(row: int, desk: str) -> Rendered:
    return Rendered(Place(row, 0), frozenset({desk}), b"id: %d-0\n\n" % row)


async def test_a_stream_is_woken_by_what_it_may_see_alone() -> None:
    async def read(_job: object) -> Any:
        return 0

    feed = events.Feed(cast("Any", read), cast("Any", None), lambda: 0.0, cast("Any", None), lambda: None, "central")
    desks = {"first": 0, "second": 0, "ahead": 7}
    told: dict[str, list[bytes]] = {each: [] for each in desks}

    async def follow(name: str, after: int) -> None:
        caller = AtDesk("second" if name == "ahead" else name, frozenset(), "h")
        async for batch in feed.follow(Place(after), caller):
            told[name].append(batch.lines(caller))

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for name, after in desks.items():
            tasks.create_task(follow(name, after))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for row in range(1, 9):
            feed.tell(events.News(row - 1, row, [_event(row, "first" if row in {2, 5} else "second")]))
            still = {each.caller.desk for each in feed._waiting if isinstance(each.caller, AtDesk)}
            assert ("first" in still) == (row not in {2, 5})
            for _pass in range(3):
                await asyncio.sleep(0)
        await feed.close()
    assert told["first"] == [b"id: 2-0\n\n", b"id: 5-0\n\n"]
    assert b"".join(told["second"]) == b"".join(b"id: %d-0\n\n" % row for row in (1, 3, 4, 6, 7, 8))
    # What it had seen already, by the place with which it came, is not told again.
    assert told["ahead"] == [b"id: 8-0\n\n"]


async def test_what_comes_while_the_archive_is_read_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 1)

    async def read(_job: object) -> Any:
        # Nothing stood there when it was read; before that is known, memory begins further on.
        feed.tell(events.News(0, 2, [_event(1, "first"), _event(2, "first")]))
        return [], []

    feed = events.Feed(cast("Any", read), cast("Any", None), lambda: 0.0, cast("Any", None), lambda: None, "first")
    place, batch = await feed._from_archive(Place(0, 0))
    assert feed._behind_row == 1
    assert (place, batch) == (Place(0), [])


async def test_a_stream_far_behind_reads_on_from_the_archive(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEPT", 4)
    monkeypatch.setattr(events, "ROWS_A_READ", 3)
    home = association.homes[AR]
    async with hub(association.hub_home), node(home) as running, operator(home) as client:
        await connected(running)
        feed = running.service.feed
        start = await feed.now()
        first = feed.follow(start, Operator())
        ids = []
        for number in range(12):
            headers = {"Idempotency-Key": f"far {number}"}
            asked = {"to": [BR], "body": "x"}
            async with client.post("/api/v1/messages", json=asked, headers=headers) as answer:
                ids.append((await answer.json())["id"])
            async with client.post(f"/api/v1/messages/{ids[-1]}/withdraw") as answer:
                assert answer.status == 202
        seen: list[bytes] = []
        async with asyncio.timeout(20):
            async for batch in first:
                seen += [each.data for each in batch]
                if ids[-1].encode() in seen[-1]:
                    break
        await first.aclose()
        places = [int(data.split(b"-")[0].removeprefix(b"id: ")) for data in seen]
        assert places == sorted(places)
        assert {each for each in ids if any(each.encode() in data for data in seen)} == set(ids)
