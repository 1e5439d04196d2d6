"""SPEC 4.1 and 5.3: labelled digests, and the identifiers made of them."""

import hashlib

from tests.spec_reader.shape import Party
from tests.spec_reader.wire import encode


def labelled(label: str, data: bytes) -> bytes:
    return hashlib.sha256(prefixed(label) + data).digest()


def prefixed(label: str) -> bytes:
    raw = label.encode("ascii")
    return bytes([len(raw)]) + raw


def message_id(association: bytes, member: str, desk: str, key: str) -> bytes:
    return labelled("valija/0 message id", encode([association, member, desk, key]))[:16]


def prekey_hash(owner: Party, epoch: int, public: bytes) -> bytes:
    return labelled("valija/0 prekey", encode([*owner, epoch, public]))


def envelope_id(core: bytes) -> bytes:
    return labelled("valija/0 envelope", core)
