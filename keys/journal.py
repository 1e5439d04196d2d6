"""A log in which tampering shows: each hash covers the one before it, so changing an entry changes every later one.

Whoever can write the file can also write a whole new chain: that shows against a head noted elsewhere, which is why
the daemons tell heads in their own logs: a hub with each act (`operator_act`), a node every few seconds at most
(`journal_head`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.codec import encode

START: Final = bytes(32)
_LABEL: Final = b"valija/0 journal\0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One act: when (Unix seconds), by whom, what, on what, and what else there is to say; never what a message says."""

    at: int
    who: str
    act: str
    about: str
    detail: str = ""


def chain(previous: bytes, entry: Entry) -> bytes:
    """The hash of `entry` behind the entry whose hash is `previous` (`START` for the first): SHA-256, 32 bytes."""
    body = encode([entry.at, entry.who, entry.act, entry.about, entry.detail])
    return hashlib.sha256(_LABEL + previous + body).digest()


def first_broken(entries: Iterable[tuple[Entry, bytes]], previous: bytes = START) -> int | None:
    """The place of the first entry whose hash does not follow from all before it; None if every one does."""
    for place, (entry, recorded) in enumerate(entries):
        previous = chain(previous, entry)
        if previous != recorded:
            return place
    return None
