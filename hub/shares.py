"""How much of a mailbox each sender has taken: what keeps one member from filling another's mailbox alone.

The rule is that of buffers shared by dynamic thresholds: who has as much in it as is free gets no more.  One sender
stops at half, two at a third each, and however many act together, something is free for whoever has nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec


class Share(NamedTuple):
    """What one sender has waiting in one mailbox, in messages and bytes."""

    messages: int = 0
    size_bytes: int = 0


Shares: TypeAlias = Mapping[str, Share]
NOTHING: Final = Share()
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(dict[str, Share])


def encode_shares(shares: Shares) -> bytes:
    """The shares as the store keeps them; no bytes for none."""
    return _encoder.encode(shares) if shares else b""


def decode_shares(raw: bytes) -> Shares:
    """What `encode_shares` gave."""
    return _decoder.decode(raw) if raw else {}


def with_slot(shares: Shares, sender: str, size_bytes: int) -> Shares:
    """The shares after one more slot of `sender`."""
    held = shares.get(sender, NOTHING)
    return {**shares, sender: Share(held.messages + 1, held.size_bytes + size_bytes)}


def fullness(shares: Shares, used: Share, most: Share) -> float:
    """How near a mailbox that holds `used` of `most` is to refusing the sender that has most in it; at 1 it does."""
    messages = max((each.messages for each in shares.values()), default=0)
    size_bytes = max((each.size_bytes for each in shares.values()), default=0)
    return max(
        (used.messages + messages) / max(1, most.messages), (used.size_bytes + size_bytes) / max(1, most.size_bytes)
    )


def without_slots(shares: Shares, removed: Iterable[tuple[str, int]]) -> Shares:
    """The shares after slots of these senders and sizes left; who has nothing left stands there no more."""
    left = dict(shares)
    for sender, size_bytes in removed:
        held = left.get(sender, NOTHING)
        left[sender] = Share(held.messages - 1, held.size_bytes - size_bytes)
    return {sender: share for sender, share in left.items() if share.messages > 0}
