"""SPEC 7: signed calendars of prekeys."""

from typing import NamedTuple

from tests.spec_reader.digests import prekey_hash
from tests.spec_reader.refusal import require
from tests.spec_reader.shape import Party, array, binary, digest, many, name, structure, uint
from tests.spec_reader.signing import Key, signature, verify
from tests.spec_reader.wire import Wire, decode

DAY = 86_400


class Calendar(NamedTuple):
    owner: Party
    certificate: bytes
    issued_at: int
    epochs: list[tuple[int, bytes]]

    def hashes(self) -> list[bytes]:
        return [prekey_hash(self.owner, epoch, public) for epoch, public in self.epochs]


def read_calendar(signed: bytes, key: Key) -> Calendar:
    encoded, ed25519, mldsa65 = array(decode(signed, 32_768), 3)
    calendar = _calendar(binary(encoded))
    verify(key, "valija/0 calendar", calendar.owner[0], binary(encoded), signature(ed25519, mldsa65))
    return calendar


def _calendar(encoded: bytes) -> Calendar:
    association, member, certificate, issued_at, epochs = structure(encoded, 32_768, 6)
    read = many(epochs, _epoch, 1, 15)
    issued, first = uint(issued_at), read[0][0]
    require([epoch for epoch, _ in read] == list(range(first, first + len(read))), "malformed", "epochs")
    require(first + 1 >= issued // DAY, "malformed", "an epoch long past")
    return Calendar((digest(association), name(member)), digest(certificate), issued, read)


def _epoch(value: Wire) -> tuple[int, bytes]:
    epoch, public = array(value, 2)
    return uint(epoch), binary(public, 1216)
