"""What a handling code forbids: passing a message on beyond those whom its originator chose.

    TLP:RED             for the eyes of its recipients alone
    TLP:AMBER+STRICT    for the organisations of its recipients alone
    H2                  no dissemination without the originator's permission

A message may always go to somebody who could read it before, its author included.  Sources: TLP 2.0 (FIRST), Europol
handling codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.errors import HandlingError
from protocol.messages.content import EuropolCode, Handling, Tlp
from protocol.names import MessageId, Party

_BOUND: Final = frozenset({Tlp.RED, Tlp.AMBER_STRICT})
_STRICTNESS: Final = {None: 0, Tlp.CLEAR: 0, Tlp.GREEN: 1, Tlp.AMBER: 2, Tlp.AMBER_STRICT: 3, Tlp.RED: 4}


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Which message is passed on, and the handling code that it shall have then."""

    message_id: MessageId
    handling: Handling | None


def check_forward(
    original: Handling | None, given: Handling | None, readers: Iterable[Party], wanted: Iterable[Party]
) -> None:
    """Return if a message under `original`, so far open to `readers`, may go to `wanted` under `given`.

    Raises `HandlingError` naming the code, also for a code that is weaker than the original's.
    """
    if original is None:
        return
    beyond = sorted(set(wanted) - set(readers))
    if beyond and original.tlp in _BOUND:
        raise HandlingError(f"{original.tlp}: not for {_names(beyond)}")
    if beyond and EuropolCode.H2 in original.europol:
        raise HandlingError(f"H2: not for {_names(beyond)}")
    tlp = given.tlp if given else None
    if _STRICTNESS[tlp] < _STRICTNESS[original.tlp]:
        raise HandlingError(f"it is passed on under {original.tlp}, or a stricter code")
    dropped = set(original.europol) - set(given.europol if given else ())
    if dropped:
        raise HandlingError(f"it is passed on under {', '.join(sorted(dropped))} too")


def _names(parties: Iterable[Party]) -> str:
    return ", ".join(party.member for party in parties)
