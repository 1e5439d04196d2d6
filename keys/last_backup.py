"""The newest backup that a home knows of, and whether it is time for another."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from keys.files import PRIVATE, read_public, replace
from keys.times import show_time
from protocol.errors import ValijaError
from protocol.limits import DAY_SECONDS

LAST: Final = "last-backup.json"
WARN_DAYS: Final = 7
"""A home whose newest backup is older than this is warned about."""


class Last(msgspec.Struct, frozen=True):
    """The newest backup of a home: when it was made, in Unix seconds, and where it was written."""

    at: int
    file: str


def record(home: Path, at: int, out: Path) -> None:
    """Afterwards `home`, and the daemon that it belongs to, knows of the backup that was made of it at `at`."""
    replace(home / LAST, msgspec.json.encode(Last(at, str(out.absolute()))) + b"\n", PRIVATE, like=home)


def last(home: Path) -> Last | None:
    """The newest backup that `home` knows of; None for none, or a record that cannot be read."""
    try:
        return msgspec.json.decode(read_public(home / LAST), type=Last)
    except (ValijaError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def overdue(home: Path, now: int) -> tuple[str, bool]:
    """What to tell of the newest backup, and whether it is time for another."""
    known = last(home)
    if known is None:
        return "none was made yet", True
    days = max(0, now - known.at) // DAY_SECONDS
    return f"made at {show_time(known.at)}, {days} days ago: {known.file}", days >= WARN_DAYS
