"""Prekeys: made ahead, durable before they are published, gone when their day is done, and never before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import prekeys
from keys.files import write_new
from keys.locks import Box, Secret
from keys.prekeys import PrekeyStore, Runway, damaged_files
from protocol.codec import decode, encode
from protocol.errors import ClockSkewError, KeyAccessError, KeyDamagedError, OpenError, PassphraseError
from protocol.limits import CALENDAR_EPOCHS, ENVELOPE_LIFETIME_SECONDS, EPOCH_SECONDS
from protocol.names import AssociationId, Incarnation, Party
from protocol.sealing import Prekey
from protocol.signing import PrivateKey
from protocol.trust.prekeys import SignedCalendar, check_successor, epoch_at, prekey_hash

SECRET = Secret(bytes(32))
PARTY = Party(AssociationId(bytes(32)), "ar-mpf")
KEY = PrivateKey(bytes(32), bytes(32))
CERTIFICATE = bytes(32)
DAY = 86_400
HOUR = 3_600
NOW = 1_795_305_600 + 9 * HOUR
TODAY = epoch_at(NOW)
END = (TODAY + 1) * EPOCH_SECONDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prekeys"


@pytest.fixture
def store(folder: Path) -> PrekeyStore:
    return PrekeyStore(folder, SECRET, PARTY)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- making and publishing ---------------------------------------------------------------------------
def test_ensure_makes_today_and_the_days_ahead_once(store: PrekeyStore, folder: Path) -> None:
    assert store.ensure(NOW) == tuple(range(TODAY, TODAY + 15))
    assert names(folder) == [f"{epoch}.prekey" for epoch in range(TODAY, TODAY + 15)]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert store.ensure(NOW) == ()
    assert store.ensure(NOW + 2 * DAY) == (TODAY + 15, TODAY + 16)


def test_a_calendar_lists_what_is_held_and_verifies(store: PrekeyStore) -> None:
    store.ensure(NOW)
    calendar = store.calendar(KEY, CERTIFICATE, NOW).verify(KEY.public)
    assert (calendar.party, calendar.certificate, calendar.issued_at) == (PARTY, CERTIFICATE, NOW)
    assert [epoch for epoch, _public in calendar.epochs] == list(range(TODAY, TODAY + CALENDAR_EPOCHS))
    for epoch, public in calendar.epochs:
        wanted = prekey_hash(*PARTY.value(), epoch, public)
        assert Prekey(store.secret(wanted)).public == public
        assert store.prekey(wanted).public == public


def test_the_next_days_calendar_keeps_yesterday_and_follows_the_one_before(store: PrekeyStore) -> None:
    store.ensure(NOW)
    first = store.calendar(KEY, CERTIFICATE, NOW).claimed
    store.ensure(NOW + DAY)
    second = store.calendar(KEY, CERTIFICATE, NOW + DAY).claimed
    assert [epoch for epoch, _public in second.epochs] == list(range(TODAY, TODAY + CALENDAR_EPOCHS))
    check_successor(first, second, same_incarnation=True)
    third = store.calendar(KEY, CERTIFICATE, NOW + 2 * DAY).claimed
    assert third.epochs[0][0] == TODAY + 1


def test_a_gap_ends_the_calendar(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW)
    (folder / f"{TODAY + 3}.prekey").unlink()
    again = PrekeyStore(folder, SECRET, PARTY)
    assert [epoch for epoch, _ in again.calendar(KEY, CERTIFICATE, NOW).claimed.epochs] == [TODAY, TODAY + 1, TODAY + 2]
    assert again.ensure(NOW) == (TODAY + 3,)


def test_without_a_key_for_today_there_is_no_calendar(store: PrekeyStore) -> None:
    with pytest.raises(KeyAccessError, match="no prekey for today"):
        store.calendar(KEY, CERTIFICATE, NOW)


def test_keys_survive_a_restart(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW)
    before = store.calendar(KEY, CERTIFICATE, NOW).claimed
    again = PrekeyStore(folder, SECRET, PARTY)
    assert again.calendar(KEY, CERTIFICATE, NOW).claimed.raw == before.raw
    wanted = before.hash(TODAY)
    assert wanted is not None
    assert again.secret(wanted) == store.secret(wanted)


def test_a_key_is_durable_before_it_is_known(store: PrekeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PowerCutError(BaseException):
        pass

    def cut(*_: object, **__: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", cut)
        patch.setattr(Path, "unlink", cut)
        with pytest.raises(PowerCutError):
            store.ensure(NOW)
    with pytest.raises(KeyAccessError):
        store.calendar(KEY, CERTIFICATE, NOW)
    assert [name.endswith(".part") for name in names(folder)] == [True]
    again = PrekeyStore(folder, SECRET, PARTY)
    assert names(folder) == []
    assert len(again.ensure(NOW)) == 15


def test_a_restored_nodes_keys_stand_beside_the_lost_ones(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=0)
    lost = (folder / f"{TODAY}.prekey").read_bytes()
    old = store.calendar(KEY, CERTIFICATE, NOW).claimed
    (folder / f"{TODAY}.prekey").unlink()
    restored = PrekeyStore(folder, SECRET, PARTY)
    assert restored.ensure(NOW, 0, Incarnation(1, 44)) == (TODAY,)
    new = restored.calendar(KEY, CERTIFICATE, NOW).claimed
    assert new.public(TODAY) != old.public(TODAY)
    (folder / f"{TODAY}.prekey").write_bytes(lost)
    (folder / f"{TODAY}.prekey").chmod(0o600)
    both = PrekeyStore(folder, SECRET, PARTY)
    assert names(folder) == [f"{TODAY}-1-44.prekey", f"{TODAY}.prekey"]
    assert both.calendar(KEY, CERTIFICATE, NOW).claimed.raw == new.raw
    for calendar in (old, new):
        wanted = calendar.hash(TODAY)
        assert wanted is not None
        assert both.prekey(wanted).public == calendar.public(TODAY)


# -- what does not open ------------------------------------------------------------------------------
def test_an_unknown_prekey_opens_nothing(store: PrekeyStore) -> None:
    store.ensure(NOW)
    with pytest.raises(OpenError):
        store.secret(bytes(32))
    with pytest.raises(OpenError):
        store.prekey(bytes(32))


def test_another_secret_is_refused(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=0)
    with pytest.raises(PassphraseError):
        PrekeyStore(folder, Secret(bytes(31) + b"\1"), PARTY)


def test_a_file_open_to_others_is_refused(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=0)
    (folder / f"{TODAY}.prekey").chmod(0o640)
    with pytest.raises(KeyAccessError, match="chmod 600"):
        PrekeyStore(folder, SECRET, PARTY)


def test_a_file_of_another_day_or_member_is_refused(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=0)
    with pytest.raises(KeyDamagedError, match="another node or day"):
        PrekeyStore(folder, SECRET, Party(PARTY.association, "br-mpf"))
    (folder / f"{TODAY}.prekey").rename(folder / f"{TODAY + 1}.prekey")
    with pytest.raises(KeyDamagedError, match="another node or day"):
        PrekeyStore(folder, SECRET, PARTY)


@pytest.mark.parametrize("fault", ["version", "public", "header", "size"])
def test_a_file_that_says_something_else_is_refused(store: PrekeyStore, folder: Path, fault: str) -> None:
    store.ensure(NOW, days=0)
    path = folder / f"{TODAY}.prekey"
    box = Box.decode(path.read_bytes())
    inside, values = box.open(SECRET), decode(box.header, 4096)
    assert isinstance(values, list)
    values[0] = 1 if fault == "version" else 0
    values[5] = bytes(1216) if fault == "public" else values[5]
    header = b"" if fault == "header" else encode(values)
    path.write_bytes(Box.seal(header, inside[: 95 if fault == "size" else 96], SECRET).encode())
    with pytest.raises(KeyDamagedError):
        PrekeyStore(folder, SECRET, PARTY)


def test_the_secret_is_not_in_the_file_in_clear_nor_in_a_repr(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=0)
    wanted = store.calendar(KEY, CERTIFICATE, NOW).claimed.hash(TODAY)
    assert wanted is not None
    secret = store.secret(wanted)
    assert secret not in (folder / f"{TODAY}.prekey").read_bytes()
    assert secret[:8].hex() not in repr(store._held)
    assert repr(secret)[2:20] not in repr(store._held)


def test_a_file_that_a_disk_changed_is_set_aside_and_its_day_gets_another_key(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=3)
    before = store.calendar(KEY, CERTIFICATE, NOW).claimed
    path = folder / f"{TODAY + 1}.prekey"
    sound = path.read_bytes()
    for place in range(0, len(sound), 97):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 4]) + sound[place + 1 :])
        again = PrekeyStore(folder, SECRET, PARTY)
        assert again.set_aside == (path.name,), place
        assert [each.name for each in damaged_files(folder)] == [path.name + ".damaged"]
        assert not path.exists()
        damaged_files(folder)[0].replace(path)
    path.write_bytes(sound[:-1])
    again = PrekeyStore(folder, SECRET, PARTY)
    assert again.ensure(NOW, days=3) == (TODAY + 1,)
    after = again.calendar(KEY, CERTIFICATE, NOW).claimed
    assert [before.hash(TODAY + day) == after.hash(TODAY + day) for day in range(4)] == [True, False, True, True]
    assert PrekeyStore(folder, SECRET, PARTY).set_aside == ()


def test_a_damaged_file_goes_with_its_day(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW, days=1)
    (folder / f"{TODAY}.prekey").write_bytes(b"x")
    again = PrekeyStore(folder, SECRET, PARTY)
    latest = END + ENVELOPE_LIFETIME_SECONDS
    again.destroy(latest - 1, latest, latest)
    assert len(damaged_files(folder)) == 1
    again.destroy(latest, latest, latest)
    assert damaged_files(folder) == []


def test_a_file_that_is_none_of_ours_and_one_that_alone_does_not_open_are_refused_by_name(
    store: PrekeyStore, folder: Path
) -> None:
    store.ensure(NOW, days=0)
    (folder / f"{TODAY}.prekey").write_bytes(b"x")
    with pytest.raises(KeyDamagedError, match=str(folder / f"{TODAY}")):
        PrekeyStore(folder, SECRET, PARTY)
    write_new(folder / "copy.prekey", b"x")
    with pytest.raises(KeyAccessError, match="is no file of ours"):
        PrekeyStore(folder, SECRET, PARTY)


# -- destruction -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("after_end", "drained_after_end", "gone"),
    [
        (DAY, HOUR, True),
        (DAY - 1, HOUR, False),
        (DAY, HOUR - 1, False),
        (14 * DAY - 1, HOUR - 1, False),
        (14 * DAY, -30 * DAY, True),
        (0, HOUR, False),
        (-HOUR, 30 * DAY, False),
    ],
)
def test_a_key_dies_by_the_rule(
    store: PrekeyStore, folder: Path, after_end: int, drained_after_end: int, gone: bool
) -> None:
    store.ensure(NOW, days=0)
    at = END + after_end
    assert store.destroyable(at, at, END + drained_after_end) == ((TODAY,) if gone else ())
    assert names(folder) == [f"{TODAY}.prekey"]
    assert store.destroy(at, at, END + drained_after_end) == ((TODAY,) if gone else ())
    assert names(folder) == ([] if gone else [f"{TODAY}.prekey"])


def test_a_destroyed_key_is_gone_from_memory_too(store: PrekeyStore, folder: Path) -> None:
    store.ensure(NOW)
    wanted = store.calendar(KEY, CERTIFICATE, NOW).claimed.hash(TODAY)
    assert wanted is not None
    at = END + DAY
    assert store.destroy(at, at, at) == (TODAY,)
    with pytest.raises(OpenError):
        store.secret(wanted)
    assert store.ensure(NOW + 2 * DAY) == (TODAY + 15, TODAY + 16)
    with pytest.raises(OpenError):
        PrekeyStore(folder, SECRET, PARTY).secret(wanted)


def test_both_clocks_must_be_past_the_date(store: PrekeyStore) -> None:
    store.ensure(NOW, days=0)
    at = END + DAY
    assert store.destroy(at, at - 1, at) == ()
    assert store.destroy(at - 1, at, at) == ()
    assert store.destroy(at, at, at) == (TODAY,)


@pytest.mark.parametrize("offset", [HOUR + 1, -HOUR - 1, 365 * DAY, -365 * DAY])
def test_clocks_that_disagree_destroy_nothing(store: PrekeyStore, folder: Path, offset: int) -> None:
    store.ensure(NOW)
    at = END + 400 * DAY
    with pytest.raises(ClockSkewError, match=str(offset)):
        store.destroy(at + offset, at, at)
    with pytest.raises(ClockSkewError):
        store.destroyable(at + offset, at, at)
    assert len(names(folder)) == 15


def test_the_folder_is_synced_after_the_name_is_gone(store: PrekeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ensure(NOW, days=0)
    order: list[str] = []
    real_unlink, real_fsync = Path.unlink, os.fsync

    def unlink(path: Path, missing_ok: bool = False) -> None:
        order.append("unlink")
        real_unlink(path, missing_ok)

    def fsync(handle: int) -> None:
        order.append("fsync")
        real_fsync(handle)

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(os, "fsync", fsync)
    assert store.destroy(END + DAY, END + DAY, END + DAY) == (TODAY,)
    assert order == ["unlink", "fsync"]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-30, 1)), max_size=12))
def test_no_day_in_use_ever_lacks_its_key(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    """Whatever the days that pass, today and tomorrow can be sealed to, and nothing over is kept past 14 days."""
    folder = tmp_path_factory.mktemp("prekeys")
    store, at = PrekeyStore(folder, SECRET, PARTY), NOW
    for days, drained in steps:
        at += days * DAY // 4
        store.ensure(at, days=2)
        store.destroy(at, at, at + drained * DAY)
        held = {int(path.stem) for path in folder.iterdir()}
        assert {epoch_at(at), epoch_at(at) + 1} <= held
        assert all((epoch + 15) * EPOCH_SECONDS > at for epoch in held)
        SignedCalendar.from_bytes(store.calendar(KEY, CERTIFICATE, at).raw).verify(KEY.public)


# -- the doctor's facts ------------------------------------------------------------------------------
def test_the_runway_tells_how_long_keys_last(store: PrekeyStore) -> None:
    assert store.runway(NOW) == Runway(0, None, None, 0, ())
    store.ensure(NOW)
    assert store.runway(NOW) == Runway(15, TODAY, TODAY + 14, 14, ())
    assert store.runway(NOW + 10 * DAY) == Runway(15, TODAY, TODAY + 14, 4, ())
    assert store.runway(NOW + 15 * DAY) == Runway(15, TODAY, TODAY + 14, 0, (TODAY,))


def test_days_ahead_are_those_of_the_calendar() -> None:
    assert prekeys.DAYS_AHEAD + 1 == CALENDAR_EPOCHS
