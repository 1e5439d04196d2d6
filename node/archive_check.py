"""Reading an archive through: whether every page of it is what was written.

Each page carries the authentication of its own bytes, so a bit that turned round on the disk is found here, and not
only when somebody asks for that page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from protocol.limits import MIB

SHALLOW_BYTES: Final = 256 * MIB
"""So much is read through without being asked to: a second or two."""


def is_shallow(path: Path) -> bool:
    """Whether the archive at `path` is small enough to be read through at any time."""
    return path.stat().st_size <= SHALLOW_BYTES


def damage(connection: Any) -> str | None:
    """What is damaged in the archive of this connection, for people; None if nothing is."""
    found = _damaged_pages(connection)
    if found:
        # A page that is just being written, by a daemon that runs, looks damaged for that moment.
        found &= _damaged_pages(connection)
    if found:
        return f"{len(found)} pages are not what was written: {min(found)}"
    told = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return None if told == "ok" else told


def _damaged_pages(connection: Any) -> set[str]:
    return {str(row[0]) for row in connection.execute("PRAGMA cipher_integrity_check").fetchall()}
