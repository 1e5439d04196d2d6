"""Homes as an earlier release left them: the newest steps of a database's schema undone, so that the next start takes them.

Undone is only what loses nothing that its step does not find again: a step that made a table is undone while the table
is empty, and none below one that stays.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.sqlite_store import SCHEMA as HUB_SCHEMA
from keys.migrating import taken
from node import archive
from node.config import Home
from tests.faults.evidence import key_of


@dataclass(frozen=True)
class Undoing:
    """How one step is undone, as long as no row stands in these tables."""

    step: str
    statements: Sequence[str]
    while_empty: Sequence[str] = ()


def _table(step: str, *names: str) -> Undoing:
    return Undoing(step, [f"DROP TABLE {name}" for name in names], names)


NODE: Final = (
    Undoing("sized", ["ALTER TABLE registry_sight DROP COLUMN size"]),
    _table("signed", "signed"),
    Undoing("handled", ["ALTER TABLE token DROP COLUMN handle"]),
    _table("answered", "answer"),
    _table("reread", "opened_sent"),
    Undoing("enabled", ["ALTER TABLE webhook DROP COLUMN enabled_at"], ["webhook"]),
    Undoing("by_desk", ["DROP INDEX outbox_desk"]),
)
HUB: Final = (
    # Who was seen when, and what each minute was like, begins anew: nothing that is promised stands on it.
    Undoing("watched", ["DROP TABLE presence", "DROP TABLE minute"]),
    _table("operators", "rule", "operator", "journal"),
    Undoing("shares", ["ALTER TABLE member DROP COLUMN shares"]),
)


def undo(database: Path, home: Home | None, dice: random.Random) -> int:
    """Afterwards the database, which nobody has open, lacks some of its newest steps; its version.

    `home` is that of the node; None for a hub's database.  At least one step is undone.
    """
    schema, undoings = (HUB_SCHEMA, HUB) if home is None else (archive.schema(key_of(home)), NODE)
    with closing(schema.open(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        version = taken(connection, schema.steps)[1]
        for undoing in undoings[: dice.randint(1, len(undoings))]:
            if any(connection.execute(f"SELECT 1 FROM {name}").fetchone() for name in undoing.while_empty):  # noqa: S608
                break
            for statement in undoing.statements:
                connection.execute(statement)
            connection.execute("DELETE FROM _sqlite_migrations WHERE name = ?", (undoing.step,))
            version -= 1
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    return version


def kept(database: Path) -> set[Path]:
    """What stands beside a database of its earlier versions."""
    return set(database.parent.glob(f"{database.name}.version-*.backup"))
