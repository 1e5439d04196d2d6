"""A look into the hub's database from outside, while the hub may be running: read only, and never in its way."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hub.attesting import recall_attestation
from hub.schema import POSITION_BITS
from hub.sqlite_store import SqliteTransaction, beside
from hub.store import StoredAttestation
from protocol.batch import Verified
from protocol.errors import StoreError, ValijaError
from protocol.merkle import HASH_BYTES
from protocol.messages.envelope import Core, Slot
from protocol.signing import HashLabel, digest
from protocol.trust.registry import Registry

_SLOT_DIGEST_BYTES: Final = 32


@contextmanager
def looking(path: Path) -> Iterator[SqliteTransaction]:
    """One consistent view of the database at `path`; `StoreError` if it cannot be read."""
    try:
        with closing(beside(path)) as connection:
            connection.execute("BEGIN")
            yield SqliteTransaction(connection, {})
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def damage(path: Path) -> str | None:
    """What SQLite's quick check finds first; None if it finds nothing.  `StoreError` if the file cannot be read."""
    try:
        with closing(beside(path)) as connection:
            found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found


# -- what a disk changed without SQLite's noticing --------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Altered:
    """An item that is not what was stored: which part of it, the 32-byte envelope id, and between whom it goes."""

    part: str
    envelope_id: bytes
    sender: str
    recipient: str


_ITEMS: Final = (
    "SELECT e.id, e.sender, m.name, c.core, c.ciphertext, i.slot, a.slot_digest, a.data, a.salt, a.leaf, a.path, a.batch "
    "FROM item i JOIN member m ON m.id = i.place >> ? JOIN envelope e ON e.ref = i.ref "
    "LEFT JOIN content c ON c.ref = i.ref LEFT JOIN acceptance a ON a.ref = i.ref AND a.recipient = m.name"
)


def altered(tx: SqliteTransaction, registry: Registry) -> Iterator[Altered]:
    """Every waiting item of which a part is not what was stored, by digests and by the hub's own signatures.

    SQLite keeps no sum of what it stores: a bit that turned round in a value is found by nothing else.  Raises
    `StoreError` for a database that cannot be read.
    """
    verified = Verified()
    for row in tx.rows(_ITEMS, POSITION_BITS):
        envelope_id, sender, recipient, *parts = row
        part = _altered_part(tx, registry, verified, envelope_id, *parts)
        if part is not None:
            yield Altered(part, envelope_id, sender, recipient)


def _altered_part(
    tx: SqliteTransaction, registry: Registry, verified: Verified, envelope_id: bytes, *columns: Any
) -> str | None:
    core, ciphertext, slot, slot_digest, data, salt, leaf, path, batch = columns

    def check_acceptance() -> bool:
        steps = tuple([path[start : start + HASH_BYTES] for start in range(0, len(path), HASH_BYTES)])
        told = recall_attestation(StoredAttestation(data, salt, leaf, steps, batch), tx).verify(registry, verified)
        return told.envelope_id == envelope_id and told.link_leaf == Slot.from_bytes(slot).link_leaf

    checks: dict[str, Callable[[], bool]] = {
        "core": lambda: digest(HashLabel.ENVELOPE, core) == envelope_id,
        "ciphertext": lambda: hashlib.sha256(ciphertext).digest() == Core.from_bytes(core).ciphertext_digest,
        "slot": lambda: hashlib.blake2b(slot, digest_size=_SLOT_DIGEST_BYTES).digest() == slot_digest,
        "acceptance": check_acceptance,
    }
    return next((part for part, check in checks.items() if not _holds(check)), None)


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (ValijaError, TypeError):  # a part that is missing altogether is NULL
        return False
