"""Calendars of other members: verified, compared with the one held, and kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.calendars import Calendars
from node.context import Context, Identity
from node.memory_store import MemoryStore
from node.mirror import Mirror
from node.store import Transaction
from node.tables import calendars as table
from node.tables import state
from protocol.batch import Verified
from protocol.names import StatementId
from protocol.sealing import generate_prekey
from protocol.trust.prekeys import PrekeyCalendar, epoch_at, sign_calendar
from protocol.trust.statements import Cause
from tests.support.world import DAY, World

ME, PEER, OTHER = "ar-mpf", "co-fgn", "br-mpf"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def ctx(world: World) -> Context:
    mirror = Mirror(world.association)
    mirror.registry = world.mirror()
    identity = Identity(world.party(ME), world.certificates[ME], world.key(ME))
    store = MemoryStore()
    made: list[Transaction] = []
    store.run(made.append)
    return Context(made[0], float(world.now + 100), identity, mirror, Verified())


_KEYS = [generate_prekey()[1] for _number in range(3)]


def signed(
    world: World,
    member: str = PEER,
    issued_at: int = 10,
    keys: int = 0,
    by: str = "",
    certificate: StatementId | None = None,
) -> bytes:
    epochs = [(epoch_at(world.now), _KEYS[keys])]
    under = certificate or world.certificates[member]
    calendar = PrekeyCalendar.build(world.association, member, under, world.now + issued_at, epochs)
    return sign_calendar(world.key(by or member), calendar).raw


def codes(ctx: Context) -> list[str]:
    return [alarm.code for alarm in state.alarms(ctx.tx)]


def test_a_calendar_is_held_and_kept(world: World, ctx: Context) -> None:
    calendars = Calendars()
    assert not calendars.take(ctx, PEER, None)
    raw = signed(world)
    assert calendars.take(ctx, PEER, raw)
    assert calendars.take(ctx, PEER, raw), "the same again can be sealed to"
    assert calendars.held[PEER].issued_at == world.now + 10
    assert table.stored(ctx.tx) == [(PEER, raw)]
    again = Calendars()
    again.load(ctx)
    assert again.held == calendars.held
    assert codes(ctx) == []


def test_a_newer_one_takes_its_place(world: World, ctx: Context) -> None:
    calendars = Calendars()
    calendars.take(ctx, PEER, signed(world, issued_at=10))
    assert calendars.take(ctx, PEER, signed(world, issued_at=11))
    assert calendars.held[PEER].issued_at == world.now + 11


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ({"by": OTHER}, "bad_signature"),
        ({"member": OTHER}, "unverifiable"),
        ({"issued_at": 9}, "stale"),
        ({"keys": 1}, "conflict"),
        ({"issued_at": 11, "keys": 1}, "conflict"),
        ({"certificate": StatementId(bytes(32))}, "not_in_standing"),
    ],
)
def test_what_does_not_prove_itself_alarms_and_changes_nothing(
    world: World, ctx: Context, spoil: dict, code: str
) -> None:
    calendars = Calendars()
    calendars.take(ctx, PEER, signed(world))
    before = dict(calendars.held)
    raw = signed(world, **{"issued_at": 10} | spoil)
    assert not calendars.take(ctx, PEER, raw)
    assert calendars.held == before
    assert codes(ctx) == [code]


def test_the_hubs_certificate_and_garbage_are_no_members(world: World, ctx: Context) -> None:
    calendars = Calendars()
    assert not calendars.take(ctx, PEER, signed(world, by="", certificate=world.hub_certificate))
    assert not calendars.take(ctx, PEER, b"\xc0")
    assert calendars.held == {}
    assert len(codes(ctx)) == 2


def test_a_restored_peer_has_other_keys(ctx: Context) -> None:
    world = World()
    mirror = Mirror(world.association)
    mirror.registry = world.registry
    given = replace(ctx, mirror=mirror)
    calendars = Calendars()
    assert calendars.take(given, PEER, signed(world))
    world.log(world.open(PEER, cause=Cause.RESTORED, opened_at=world.now + 50), at=world.now + 50)
    assert calendars.take(given, PEER, signed(world, issued_at=60, keys=1))


def test_what_verifies_no_more_is_forgotten(world: World, ctx: Context) -> None:
    Calendars().take(ctx, PEER, signed(world))
    later = replace(ctx, now=float(world.now + 800 * DAY))
    calendars = Calendars()
    calendars.load(later)
    assert calendars.held == {}
    assert table.stored(ctx.tx) == []
