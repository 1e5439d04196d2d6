"""SPEC 8.2 to 8.4: header, manifest and link."""

from typing import NamedTuple

from tests.spec_reader.digests import labelled
from tests.spec_reader.merkle import root, salted_leaf
from tests.spec_reader.refusal import require
from tests.spec_reader.shape import (
    Incarnation,
    Party,
    array,
    ascending,
    binary,
    digest,
    incarnation,
    many,
    name,
    optional,
    party,
    structure,
    uint,
)
from tests.spec_reader.wire import Wire

MESSAGE, RECEIPT, VOID, NOTICE, EMPTY = 1, 2, 3, 4, 5
BODIES = 256


class Header(NamedTuple):
    message_id: bytes
    content_digest: bytes
    attachments: int


class View(NamedTuple):
    association: bytes
    size: int
    root: bytes
    timestamp: int
    signature: bytes
    negatives: list[bytes]


class Manifest(NamedTuple):
    encoded: bytes
    kind: int
    sender: Party
    certificate: bytes
    audience: list[Party]
    network: str | None
    views: list[View]
    bodies: int
    root: bytes

    def digest(self) -> bytes:
        return labelled("valija/0 manifest", self.encoded)


class Link(NamedTuple):
    encoded: bytes
    kind: int
    manifest: bytes
    recipient: Party
    incarnation: Incarnation
    first_seq: int
    bodies: int


def read_header(encoded: bytes) -> Header:
    message_id, created_at, content, attachments = structure(encoded, 65_536, 5)
    uint(created_at)
    files = many(attachments, _attachment, most=64)
    return Header(binary(message_id, 16), digest(content), len(files))


def _attachment(value: Wire) -> None:
    cipher, plain, size = array(value, 3)
    digest(cipher)
    digest(plain)
    uint(size)


def read_manifest(encoded: bytes) -> Manifest:
    suite, kind, association, sender, certificate, audience, network, views, expires_at, count, top = structure(
        encoded, 1_048_576, 12
    )
    require(uint(suite) == 1, "unsupported_version", "suite")
    uint(expires_at)
    who = party(sender)
    require(digest(association) == who[0], "malformed", "the sender is of another association")
    read = Manifest(
        encoded,
        uint(kind, MESSAGE, EMPTY),
        who,
        digest(certificate),
        many(audience, party, 1, 128),
        optional(network, name),
        many(views, _view, most=129),
        _count(uint(kind), count),
        digest(top),
    )
    _check_audience(read)
    return read


def _check_audience(manifest: Manifest) -> None:
    ascending(manifest.audience)
    require(manifest.sender not in manifest.audience, "malformed", "to itself")
    single = len(manifest.audience) == 1 and manifest.network is None
    require(manifest.kind == MESSAGE or single, "malformed", "one recipient, no network")
    needed = sorted({association for association, _ in [manifest.sender, *manifest.audience]})
    require([view.association for view in manifest.views] == needed, "malformed", "views")


def _count(kind: int, count: Wire) -> int:
    number = uint(count, 0, BODIES)
    require((number == 0) == (kind == EMPTY), "malformed", "bodies")
    return number


def _view(value: Wire) -> View:
    association, size, top, timestamp, signature, negatives = array(value, 6)
    read = many(negatives, lambda item: binary(item, most=262_144), most=16)
    require(all(read), "malformed", "an empty negative")
    return View(digest(association), uint(size, 1), digest(top), uint(timestamp), binary(signature, 2420), read)


def read_link(encoded: bytes) -> Link:
    kind, manifest, recipient, of, first_seq, count, ack = structure(encoded, 254, 8)
    optional(ack, _ack)
    link = Link(
        encoded,
        uint(kind, MESSAGE, EMPTY),
        digest(manifest),
        party(recipient),
        incarnation(of),
        uint(first_seq, 1),
        _count(uint(kind), count),
    )
    require(link.first_seq + max(link.bodies, 1) <= 1 << 63, "malformed", "a number past the last")
    return link


def _ack(value: Wire) -> tuple[Incarnation, int]:
    of, last = array(value, 2)
    return incarnation(of), uint(last)


def link_leaf(salt: bytes, link: bytes) -> bytes:
    return salted_leaf("valija/0 link leaf", salt, link)


def bodies_root(bodies: list[tuple[bytes, bytes]]) -> bytes:
    return root([salted_leaf("valija/0 body leaf", salt, part) for salt, part in bodies])
