"""From an empty folder to a hub that may serve: init and install, whatever order and however often."""

from __future__ import annotations

import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from hub.config import Home, load
from hub.core import Core, load_log
from hub.founding import Plan, found, in_order, install
from hub.identity import HubKeys
from hub.sqlite_store import SqliteStore
from keys.kinds import Kind
from keys.lock import is_locked, locked
from keys.papers import read_part
from keys.vault import Secret
from protocol.errors import (
    ConfigError,
    ExistsError,
    HomeLockedError,
    HomeMissingError,
    KeyAccessError,
    StandingError,
    StoreError,
    UsageError,
    WrongAssociationError,
    WrongHubError,
)
from protocol.trust.statements import Cause, Role
from tests.support.hub_home import make_home, statements, young_world
from tests.support.world import World

NOW = int(time.time())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "hub")


@pytest.fixture(scope="module")
def world() -> World:
    return young_world()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def opened(home: Home, keys: HubKeys) -> Core:
    return Core(load(home, {}), SqliteStore(home.database), keys, fatal=_never)


def _never(error: BaseException) -> None:
    raise AssertionError(error)


# -- init ------------------------------------------------------------------------------------------------
def test_a_new_home(home: Home) -> None:
    made = found(home, Plan("aiamp"), {}, NOW)
    assert load(home, {}).association.name == "aiamp"
    for kind, path in made.papers.items():
        assert read_part(path) == made.parts[kind]
        assert path.parent == home.public
    private = [home.secret, home.config, *home.keys.iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    keys = HubKeys.load(home, load(home, {}), {})
    assert keys.hub.public == made.parts[Kind.HUB].key


def test_nothing_is_overwritten(home: Home) -> None:
    found(home, Plan("aiamp"), {}, NOW)
    before = everything(home.folder)
    with pytest.raises(ExistsError):
        found(home, Plan("aiamp"), {}, NOW)
    assert everything(home.folder) == before


def test_an_interrupted_init_is_taken_up(home: Home) -> None:
    first = found(home, Plan("aiamp"), {}, NOW)
    home.config.unlink()
    first.papers[Kind.LOG].unlink()
    again = found(home, Plan("aiamp"), {}, NOW)
    assert again.parts == first.parts
    assert read_part(again.papers[Kind.LOG]) == first.parts[Kind.LOG]


def test_the_secret_may_be_elsewhere(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    environment = {"VALIJA_SECRET_FILE": str(secret)}
    with pytest.raises(KeyAccessError):
        found(home, Plan("aiamp"), environment, NOW)
    assert not home.folder.exists()
    Secret.create(secret)
    assert found(home, Plan("aiamp"), environment, NOW).secret == secret
    assert not home.secret.exists()
    HubKeys.load(home, load(home, {}), environment)
    with pytest.raises(KeyAccessError):
        HubKeys.load(home, load(home, {}), {})


def test_a_name_that_is_none(home: Home) -> None:
    with pytest.raises(UsageError, match="name of an association"):
        found(home, Plan("AIAMP"), {}, NOW)
    assert not home.folder.exists()


# -- install ---------------------------------------------------------------------------------------------
def test_papers_in_any_order(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    done = install(home, statements(world)[::-1], {}, world.now)
    assert (done.size, done.added) == (len(world.statements), len(world.statements))
    assert done.incarnation is not None
    store = SqliteStore(home.database)
    log = load_log(store, HubKeys.load(home, load(home, {}), {}))
    store.close()
    assert log is not None
    assert log.registry.association == world.association
    assert log.registry.incarnations(Role.HUB, "") == [done.incarnation]
    opening = log.registry.last_opening(Role.HUB, "")
    assert opening is not None
    assert opening.cause is Cause.FIRST
    again = install(home, statements(world), {}, world.now + 1)
    assert (again.size, again.added, again.incarnation) == (done.size, 0, done.incarnation)


def test_charter_first_and_the_certificate_later(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    charter, certificate, *_ = statements(world)
    with pytest.raises(UsageError):
        install(home, [certificate], {}, world.now)
    assert install(home, [charter], {}, world.now).incarnation is None
    with pytest.raises(StandingError):
        opened_now(home)
    done = install(home, [certificate], {}, world.now)
    assert (done.size, done.added) == (3, 2)
    opened_now(home)


def opened_now(home: Home) -> Core:
    core = opened(home, HubKeys.load(home, load(home, {}), {}))
    core.close()
    return core


def test_a_restored_home_begins_a_new_life(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    first = install(home, [], {}, world.now).incarnation
    done = install(home, [], {}, world.now + 5, restored=True)
    assert first is not None
    assert done.incarnation is not None
    assert done.incarnation > first
    core = opened_now(home)
    assert core.incarnation == done.incarnation
    opening = core.log.registry.last_opening(Role.HUB, "")
    assert opening is not None
    assert opening.cause is Cause.RESTORED


def test_papers_of_somebody_else(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    with pytest.raises(WrongAssociationError):
        install(home, statements(young_world(name="otra")), {}, NOW)
    strange = young_world()
    strange.log_seed = bytes(32)
    other = make_home(tmp_path / "other", strange, install=False)
    with pytest.raises(WrongHubError):
        install(other, statements(world), {}, world.now)


def test_what_does_not_apply_stops_there(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    charter, certificate, *_ = statements(world)
    stranger = world.certify("pt-pgr")
    with pytest.raises(StandingError):
        install(home, [charter, certificate, stranger], {}, world.now)
    assert install(home, [certificate], {}, world.now).size == 3


def test_no_home_and_nothing_made(home: Home, world: World) -> None:
    with pytest.raises(HomeMissingError):
        install(home, statements(world), {}, NOW)
    assert not home.folder.exists()


def test_not_while_the_hub_runs(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    assert not is_locked(home.lock)
    with locked(home.lock):
        assert is_locked(home.lock)
        with pytest.raises(HomeLockedError):
            install(home, [], {}, NOW)
    assert not is_locked(home.lock)


def test_a_home_that_cannot_be_written(home: Home) -> None:
    with pytest.raises(StoreError), locked(home.lock):
        raise AssertionError
    assert not is_locked(home.lock)


def test_order_of_papers(world: World) -> None:
    kinds = [int(each.statement.type) for each in in_order(reversed(world.statements))]
    assert kinds == sorted(kinds)


# -- opening a hub ---------------------------------------------------------------------------------------
def test_before_install_there_is_nothing_to_serve(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world, install=False)
    with pytest.raises(ConfigError, match="install"):
        opened_now(home)


def test_a_log_without_an_incarnation(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    with closing(sqlite3.connect(home.database)) as database:
        database.execute("DELETE FROM incarnation")
        database.commit()
    with pytest.raises(ConfigError, match="install"):
        opened_now(home)
