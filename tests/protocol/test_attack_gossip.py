"""A member that withholds what others should hear: its own statements must not crowd out those of the stewards."""

from __future__ import annotations

from protocol.limits import MAX_VIEW_NEGATIVES
from protocol.trust.statements import Role
from tests.support.world import World, private_key


def test_what_stewards_say_goes_first_however_much_a_member_revokes_of_its_own() -> None:
    world = World(members=("ar-mpf", "br-mpf"))
    mine = [
        world.certify("ar-mpf", key=private_key("spare", str(number)), role=Role.NODE)
        for number in range(MAX_VIEW_NEGATIVES + 2)
    ]
    for certificate in mine:
        assert world.log(certificate).applied
    registry = world.mirror()
    flood = [world.revoke(each.id, world.now, [world.root("ar-mpf")]) for each in mine]
    for revocation in flood:
        assert registry.apply_on_sight(revocation)
    said = [world.suspend("ar-mpf", world.now - 1), world.revoke(world.certificates["br-mpf"], world.now)]
    for negative in said:
        assert registry.apply_on_sight(negative)
    carried = registry.unlogged_negatives()
    assert carried[:2] == tuple(each.raw for each in said)
    assert carried[2:] == tuple(each.raw for each in flood[: MAX_VIEW_NEGATIVES - 2])
