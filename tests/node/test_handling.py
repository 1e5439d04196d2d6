"""What a handling code forbids when a message is passed on."""

from __future__ import annotations

import pytest

from node.handling import check_forward
from protocol.errors import HandlingError
from protocol.messages.content import EuropolCode, Handling, Tlp
from protocol.names import AssociationId, Party

AR, BR, CO = (Party(AssociationId(bytes(32)), name) for name in ("ar-mpf", "br-mpf", "co-fgn"))
H1, H2 = EuropolCode.H1, EuropolCode.H2


def forward(original: Handling | None, given: Handling | None, *wanted: Party) -> None:
    check_forward(original, given, [AR, BR], wanted)


def may(original: Handling | None, given: Handling | None, *wanted: Party) -> bool:
    try:
        forward(original, given, *wanted)
    except HandlingError:
        return False
    return True


@pytest.mark.parametrize("tlp", [Tlp.RED, Tlp.AMBER_STRICT])
def test_the_strict_codes_go_to_nobody_new(tlp: Tlp) -> None:
    code = Handling(tlp=tlp)
    with pytest.raises(HandlingError, match="co-fgn"):
        forward(code, code, AR, CO)
    assert may(code, code, AR, BR)


@pytest.mark.parametrize("tlp", [Tlp.AMBER, Tlp.GREEN, Tlp.CLEAR])
def test_the_wider_codes_go_on(tlp: Tlp) -> None:
    assert may(Handling(tlp=tlp), Handling(tlp=tlp), CO)


def test_no_dissemination_means_nobody_new() -> None:
    with pytest.raises(HandlingError, match="H2"):
        forward(Handling(europol=(H2,)), Handling(europol=(H2,)), CO)
    assert may(Handling(europol=(H2,)), Handling(europol=(H2,)), BR)


def test_a_code_is_never_dropped_on_the_way() -> None:
    for given in (None, Handling(), Handling(tlp=Tlp.GREEN)):
        with pytest.raises(HandlingError, match="TLP:AMBER"):
            forward(Handling(tlp=Tlp.AMBER), given, CO)
    with pytest.raises(HandlingError, match="H1"):
        forward(Handling(europol=(H1,)), Handling(tlp=Tlp.RED), CO)
    assert may(Handling(tlp=Tlp.AMBER), Handling(tlp=Tlp.RED, europol=(H1,)), CO)


def test_without_a_code_everything_goes() -> None:
    assert may(None, None, CO)
    assert may(Handling(), None, CO)
    assert not may(Handling(tlp=Tlp.RED), Handling(tlp=Tlp.RED), CO), "and with one it does not"
