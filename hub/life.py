"""The hub's own incarnations: the first, and the next one of a store that was put back from a backup."""

from __future__ import annotations

import os
from typing import Final

from hub.identity import HubKeys
from hub.log import HUB, Log
from hub.store import Store, transaction
from protocol.names import Incarnation
from protocol.trust.statements import Cause, Role

_NONCE_BYTES: Final = 16


def is_put_back(store: Store, log: Log) -> bool:
    """Whether this store came from a backup: it knows of no incarnation, and its log does."""
    with transaction(store) as tx:
        return tx.incarnation() is None and bool(log.registry.incarnations(Role.HUB, HUB))


def put_back(store: Store) -> None:
    """Afterwards the store is marked as one that came from a backup."""
    with transaction(store) as tx:
        tx.forget_incarnation()


def open_life(store: Store, keys: HubKeys, log: Log, now: int) -> Incarnation | None:
    """The hub's next incarnation, begun durably at `now` (Unix seconds); None without a certificate in standing."""
    own = keys.certificates(log.registry, now)
    if not own:
        return None
    cause = Cause.RESTORED if log.registry.incarnations(Role.HUB, HUB) else Cause.FIRST
    with transaction(store) as tx:
        opened = log.open_incarnation(tx, keys.hub.key, own[0].id, cause, os.urandom(_NONCE_BYTES), now)
    log.apply(opened)
    return Incarnation(log.registry.charter.version, opened.index)
