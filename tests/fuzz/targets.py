"""Every fuzz target by its name."""

from __future__ import annotations

from typing import Final

from tests.fuzz import asking, browsing, living, passed, reading, sealed, serving, steering, talking, trusting, writing
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for room in (reading, sealed, trusting, talking, writing, passed, living, asking, browsing, serving, steering)
    for target in room.TARGETS
}
