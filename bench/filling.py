"""A hub's store with much in it: envelopes that wait for members who never came, by the store's own write operations.

What the relay writes for an accepted envelope is written here, row for row; only its rules are left out, because there
is nobody to judge, and what is sealed in it is noise.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hub.sqlite_store import SqliteStore
from hub.store import Acceptance, NewItem, StoredAttestation, Transaction, transaction
from protocol.limits import ENVELOPE_LIFETIME_SECONDS, KIB

ENVELOPES_A_COMMIT: Final = 200
# As large as the parts of a small message to everybody are.
CIPHERTEXT_BYTES: Final = 8 * KIB
_CORE_BYTES: Final = 220
_SLOT_BYTES: Final = 2_000
_DATA_BYTES: Final = 250
_SIGNATURE_BYTES: Final = 3_400
_HASH_BYTES: Final = 32
_PATH: Final = 12


def fill(database: Path, sender: str, absent: Sequence[str], slots: int) -> int:
    """Afterwards so many slots more wait for the `absent` in this stopped hub's store, an envelope for all of them.

    Gives how many: full envelopes alone are written.
    """
    store = SqliteStore(database)
    try:
        left = envelopes = slots // len(absent)
        while left:
            count = min(left, ENVELOPES_A_COMMIT)
            with transaction(store) as tx:
                _commit(tx, sender, absent, count)
            left -= count
    finally:
        store.close()
    return envelopes * len(absent)


def _commit(tx: Transaction, sender: str, absent: Sequence[str], count: int) -> None:
    now = time.time()
    expires_at = int(now) + ENVELOPE_LIFETIME_SECONDS
    batch = tx.add_batch(os.urandom(_SIGNATURE_BYTES), expires_at)
    accounts = {member: tx.account(member) for member in absent}
    acceptances: list[Acceptance] = []
    items: list[NewItem] = []
    for _each in range(count):
        core, ciphertext = os.urandom(_CORE_BYTES), os.urandom(CIPHERTEXT_BYTES)
        ref = tx.add_envelope(hashlib.sha256(core).digest(), sender, os.urandom(24), expires_at)
        tx.keep_content(ref, core, ciphertext)
        for member in absent:
            slot = os.urandom(_SLOT_BYTES)
            size, account = len(core) + len(ciphertext) + len(slot), accounts[member]
            accounts[member] = account = account.with_slot(account.last_position + 1, size, sender)
            position, digest = account.last_position, slot[:_HASH_BYTES]
            acceptances.append(Acceptance(ref, member, position, digest, _attestation(len(items), batch)))
            items.append(NewItem(member, position, ref, slot, size, int(now * 1_000)))
    tx.add_acceptances(acceptances)
    tx.add_items(items)
    tx.put_accounts(accounts)


def _attestation(index: int, batch: int) -> StoredAttestation:
    noise = os.urandom((_PATH + 1) * _HASH_BYTES + _DATA_BYTES)
    salt, *path = [noise[at : at + _HASH_BYTES] for at in range(0, (_PATH + 1) * _HASH_BYTES, _HASH_BYTES)]
    return StoredAttestation(noise[-_DATA_BYTES:], salt, index, tuple(path), batch)
