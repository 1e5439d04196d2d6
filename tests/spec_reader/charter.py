"""SPEC 6.2: the charter, which is most of the forms of the registry."""

import re
from typing import NamedTuple

from tests.spec_reader.notes import MLDSA44
from tests.spec_reader.notes import Key as LogKey
from tests.spec_reader.refusal import require
from tests.spec_reader.shape import array, ascending, binary, digest, many, name, optional, text, uint
from tests.spec_reader.signing import Key, ed25519_key, mldsa65_key, public_key
from tests.spec_reader.wire import Wire

NOBODY = bytes(32)
_ORIGIN = re.compile(r"[^\s+\x00-\x1f]+")
_URL = re.compile(r"[\x21-\x7e]+")


class Hub(NamedTuple):
    root: Key
    log: LogKey
    ed25519: bytes
    url: str


class Charter(NamedTuple):
    association: bytes
    name: str
    version: int
    previous: bytes | None
    threshold: int
    stewards: list[Key]
    hub: Hub
    continues: tuple[int, bytes] | None
    limits: list[int]
    expires_at: int


def read_charter(association: bytes, fields: list[Wire]) -> Charter:
    titled, number, before, k, stewards, hub, witnesses, continues, limits, created_at, expires_at = fields
    version = uint(number, 1)
    previous = optional(before, digest)
    require((version == 1) == (previous is None) == (association == NOBODY), "malformed", "version 1 and only it")
    keys = _stewards(stewards)
    continued = optional(continues, _head)
    require(version > 1 or continued is None, "malformed", "nothing is before version 1")
    _check_witnesses(witnesses)
    expiry = uint(expires_at, uint(created_at) + 1)
    threshold = uint(k, 1, len(keys))
    return Charter(
        association, name(titled), version, previous, threshold, keys, _hub(hub), continued, _limits(limits), expiry
    )


def _stewards(value: Wire) -> list[Key]:
    read = many(value, _steward, 1, 32)
    ascending([who for who, _ in read])
    for half in (0, 1):
        require(len({key[half] for _, key in read}) == len(read), "malformed", "a key twice")
    return [key for _, key in read]


def _steward(value: Wire) -> tuple[str, Key]:
    who, ed25519, mldsa65 = array(value, 3)
    return name(who), (ed25519_key(ed25519), mldsa65_key(mldsa65))


def _hub(value: Wire) -> Hub:
    root, origin, log_key, log_ed25519, url = array(value, 5)
    called, address = text(origin, 128), text(url, 255)
    require(_ORIGIN.fullmatch(called), "malformed", "origin")
    require(_URL.fullmatch(address), "malformed", "url")
    log = LogKey(called, MLDSA44, binary(log_key, 1312))
    return Hub(public_key(root), log, ed25519_key(log_ed25519), address)


def _check_witnesses(value: Wire) -> None:
    quorum, faulty, witnesses = array(value, 3)
    q, f = uint(quorum), uint(faulty)
    read = many(witnesses, _witness, most=32)
    if not read:
        require(q == 0 and f == 0, "malformed", "a quorum of nobody")
        return
    n = len(read)
    require(n >= 3 and 2 * q - n > f and n - q >= max(f, 1), "malformed", "quorum")
    ascending([who for who, _ in read])
    require(len({key for _, key in read}) == n, "malformed", "a key twice")


def _witness(value: Wire) -> tuple[str, bytes]:
    who, key = array(value, 2)
    return name(who), binary(key, 1312)


def _head(value: Wire) -> tuple[int, bytes]:
    size, root = array(value, 2)
    return uint(size), digest(root)


def _limits(value: Wire) -> list[int]:
    lifetime, size, messages, alarm, stop = array(value, 5)
    return [uint(lifetime, 3_600, 1_209_600), uint(size), uint(messages), uint(alarm), uint(stop, uint(alarm))]
