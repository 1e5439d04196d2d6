"""Who takes part: two who write to each other, and as many more as the association of the design has."""

from __future__ import annotations

from typing import Final

SENDER: Final = "ar-mpf"
RECIPIENT: Final = "br-mpf"
MEMBERS: Final = (SENDER, RECIPIENT, *(f"member-{number:02}" for number in range(2, 22)))
