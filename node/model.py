"""Words that courier, reception and their tables share: the states of a number, and how an incarnation is stored."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from protocol.names import Incarnation

INCARNATION_BYTES: Final = 16
DAY: Final = 86_400


class Record(msgspec.Struct, frozen=True, gc=False):
    """A row or a view of one, made by the thousand: as a dataclass with slots, at a fraction of the cost.

    It holds plain values alone, so that nothing can refer back to it, and shows none of them.
    """

    def __repr__(self) -> str:
        """The kind alone; what is in it may be confidential."""
        return f"{type(self).__name__}(…)"


class LinkState(IntEnum):
    """The state of a link, which is that of each of its numbers that has no row of its own (SPEC 10.1)."""

    OPEN = 1
    VOIDING = 2
    DELIVERED = 3
    VOID = 4
    SUPERSEDED = 5
    REFUSED = 6
    RELEASED = 7


class EventKind(IntEnum):
    """What an event row tells; its subject is the row id of an inlink, a link, an outbox message."""

    RECEIVED = 1
    LINK = 2
    MESSAGE = 3
    HANDED_OVER = 4


class Mark(IntEnum):
    """What is said of the place of a message in its series (SPEC 10.2)."""

    NONE = 0
    GAP_BEFORE = 1
    LATE = 2


def pack(incarnation: Incarnation) -> bytes:
    """The 16 bytes that stand for an incarnation in the tables; their order is that of incarnations."""
    return incarnation.charter_version.to_bytes(8, "big") + incarnation.leaf_index.to_bytes(8, "big")


def unpack(packed: bytes) -> Incarnation:
    """The incarnation that `pack` wrote."""
    return Incarnation(int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:INCARNATION_BYTES], "big"))
