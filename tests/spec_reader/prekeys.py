"""SPEC 7: signed calendars of prekeys, and what senders and hubs check of them."""

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tests.spec_reader.digests import prekey_hash
from tests.spec_reader.facts import NODE
from tests.spec_reader.handshake import Certified
from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.shape import Party, array, binary, digest, many, name, structure, uint
from tests.spec_reader.signing import Key, Signature, signature, verify
from tests.spec_reader.wire import Wire, decode

DAY, SKEW = 86_400, 3_600
COEFFICIENTS, Q = 768, 3_329


class Calendar(NamedTuple):
    encoded: bytes
    owner: Party
    certificate: bytes
    issued_at: int
    epochs: list[tuple[int, bytes]]

    def hashes(self) -> list[bytes]:
        return [prekey_hash(self.owner, epoch, public) for epoch, public in self.epochs]


class Signed(NamedTuple):
    calendar: Calendar
    signature: Signature

    def check(self, key: Key) -> None:
        verify(key, "valija/0 calendar", self.calendar.owner[0], self.calendar.encoded, self.signature)


class Known(NamedTuple):
    """Certificates in standing; the clock; of the member the calendar held, and when its newest incarnation was opened."""

    certificates: dict[bytes, Certified]
    now: int
    held: Signed | None
    opened_at: int


def read_signed(signed: bytes) -> Signed:
    encoded, ed25519, mldsa65 = array(decode(signed, 32_768), 3)
    return Signed(read_calendar(binary(encoded)), signature(ed25519, mldsa65))


def read_calendar(encoded: bytes) -> Calendar:
    association, member, certificate, issued_at, epochs = structure(encoded, 32_768, 6)
    read = many(epochs, _epoch, 1, 15)
    issued, first = uint(issued_at), read[0][0]
    require([epoch for epoch, _ in read] == list(range(first, first + len(read))), "malformed", "epochs")
    require(first + 1 >= issued // DAY, "malformed", "an epoch long past")
    return Calendar(encoded, (digest(association), name(member)), digest(certificate), issued, read)


def _epoch(value: Wire) -> tuple[int, bytes]:
    epoch, public = array(value, 2)
    return uint(epoch), binary(public, 1216)


def check_published(raw: bytes, me: Party, known: Known) -> None:
    signed = read_signed(raw)
    calendar = signed.calendar
    require(calendar.owner == me, "wrong_sender")
    held = known.certificates.get(calendar.certificate)
    if held is None or (held.role, held.member) != (NODE, me[1]):
        refuse("not_in_standing", "certificate")
    signed.check(held.key)
    require(calendar.issued_at <= known.now + SKEW, "clock_skew")
    _check_next(calendar, known)


def check_shown(raw: bytes, asked: Party, known: Known) -> None:
    signed = read_signed(raw)
    calendar = signed.calendar
    held = known.certificates.get(calendar.certificate)
    if held is None:
        refuse("not_in_standing", "certificate")
    belongs = (held.role, held.member) == (NODE, calendar.owner[1])
    require(belongs and calendar.owner == asked, "unverifiable", "another's")
    signed.check(held.key)
    for _, public in calendar.epochs:
        check_sealable(public)
    _check_next(calendar, known)


def _check_next(new: Calendar, known: Known) -> None:
    if known.held is None:
        return
    held = known.held.calendar
    require(new.issued_at >= held.issued_at, "stale")
    require(new.issued_at > held.issued_at or new.encoded == held.encoded, "conflict", "two of one second")
    if known.opened_at <= held.issued_at:
        keys = dict(held.epochs)
        require(all(keys.get(epoch, key) == key for epoch, key in new.epochs), "conflict", "a key replaced")


def check_sealable(public: bytes) -> None:
    """SPEC 4.3: ML-KEM's modulus check, and X25519 that does not come to nothing."""
    packed = int.from_bytes(public[: COEFFICIENTS * 12 // 8], "little")
    require(all(packed >> 12 * at & 0xFFF < Q for at in range(COEFFICIENTS)), "malformed", "coefficient")
    try:
        X25519PrivateKey.from_private_bytes(bytes(32)).exchange(X25519PublicKey.from_public_bytes(public[1184:]))
    except ValueError:
        refuse("malformed", "an all-zero result")
