"""SPEC 11.1: hellos, transcript and keys of a session."""

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.spec_reader.digests import labelled
from tests.spec_reader.facts import HUB, NODE
from tests.spec_reader.frames import FINISH, Frame
from tests.spec_reader.refusal import Refused, refuse, require
from tests.spec_reader.shape import array, binary, digest, incarnation, name, optional, structure, uint
from tests.spec_reader.signing import Key, Signature, signature, verify
from tests.spec_reader.wire import Wire, decode

BYTES, SKEW = 8_192, 3_600
LABEL = "valija/0 session"


class Certified(NamedTuple):
    role: int
    member: str
    key: Key


class World(NamedTuple):
    """What both ends know; every certificate in it is in standing."""

    association: bytes
    members: list[str]
    certificates: dict[bytes, Certified]


class Hello(NamedTuple):
    association: bytes
    member: str
    certificate: bytes
    share: bytes
    clock: int


class Keys(NamedTuple):
    shared: bytes
    transcript: bytes
    node: bytes
    hub: bytes


def read_client_hello(message: bytes) -> Hello:
    association, role, member, certificate, of, nonce, share, clock, *view = structure(message, BYTES, 12)
    require(uint(role) == 1, "unsupported_version", "role")
    optional(of, incarnation)
    _check_rest(nonce, view)
    return Hello(digest(association), name(member), digest(certificate), digest(share), uint(clock))


def hear_client_hello(message: bytes, world: World, now: int, secret: bytes) -> Hello:
    """What the hub checks, but for the signature, which comes with Finish."""
    hello = read_client_hello(message)
    exchange(secret, hello.share)
    _check_place(hello, world, now)
    require(hello.member in world.members, "unknown_member")
    held = world.certificates.get(hello.certificate)
    belongs = held is not None and (held.role, held.member) == (NODE, hello.member)
    require(belongs, "not_in_standing", "certificate")
    return hello


def hear_server_hello(message: bytes, client_hello: bytes, world: World, now: int, secret: bytes) -> Hello:
    encoded, signed, hello = read_server_hello(message)
    exchange(secret, hello.share)
    _check_place(hello, world, now)
    held = world.certificates.get(hello.certificate)
    if held is None or held.role != HUB:
        refuse("wrong_hub", "certificate")
    try:
        verify(held.key, LABEL, world.association, labelled(LABEL, client_hello) + encoded, signed)
    except Refused:
        refuse("wrong_hub", "signature")
    return hello


def read_server_hello(message: bytes) -> tuple[bytes, Signature, Hello]:
    """The bytes that are signed, the signature, and what they say."""
    said, ed25519, mldsa65 = array(decode(message, BYTES), 3)
    encoded = binary(said)
    association, certificate, of, nonce, share, clock, *view = structure(encoded, BYTES, 10)
    incarnation(of)
    _check_rest(nonce, view)
    hello = Hello(digest(association), "", digest(certificate), digest(share), uint(clock))
    return encoded, signature(ed25519, mldsa65), hello


def _check_rest(nonce: Wire, view: list[Wire]) -> None:
    charter, size, root = view
    for value in (nonce, charter, root):
        digest(value)
    uint(size)


def _check_place(hello: Hello, world: World, now: int) -> None:
    require(hello.association == world.association, "wrong_association")
    require(abs(hello.clock - now) <= SKEW, "clock_skew")


def exchange(secret: bytes, share: bytes) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        refuse("malformed", "an all-zero result")


def agree(secret: bytes, share: bytes, client_hello: bytes, server_hello: bytes) -> Keys:
    shared = exchange(secret, share)
    transcript = labelled(LABEL, client_hello + server_hello)
    output = HKDF(SHA256(), 64, transcript, b"valija/0 session keys").derive(shared)
    return Keys(shared, transcript, output[:32], output[32:])


def check_finish(frame: Frame, key: Key, association: bytes, transcript: bytes) -> None:
    require(frame.type == FINISH, "replayed", "a frame before Finish")
    verify(key, LABEL, association, transcript, signature(*frame.fields))
