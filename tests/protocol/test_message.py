"""Headers, manifests and links: what they hold comes back, what they cannot hold is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.errors import LimitError, MalformedError, NonCanonicalError, PeerError, VersionError
from protocol.messages.message import (
    Ack,
    Attachment,
    Body,
    Header,
    Kind,
    Link,
    Manifest,
    View,
    body_root,
    message_id_of,
)
from protocol.names import Incarnation, MessageId, Party
from protocol.trust.checkpoint import Cosignature
from tests.support.mangling import check_reader, mangled

A: Any = bytes([1]) * 32
B: Any = bytes([2]) * 32
ME, YOU, THIRD = Party(A, "ar-mpf"), Party(A, "co-fgn"), Party(A, "br-mpf")
DIGEST: Any = bytes([7]) * 32
LAST = 2**63 - 1
VIEW = View(A, 9, DIGEST, Cosignature(5, bytes(2420)))
FOREIGN = View(B, 9, DIGEST, Cosignature(5, bytes(2420)))

numbers = st.integers(0, LAST)
positives = st.integers(1, LAST)
digests = st.binary(min_size=32, max_size=32)
incarnations = st.builds(Incarnation, positives, numbers)
attachments = st.lists(st.builds(Attachment, digests, digests, numbers), max_size=3)
bodies = st.lists(st.builds(Body, digests, st.binary(max_size=9), st.binary(max_size=9), st.just(())), max_size=4)


def manifest(
    kind: Any = Kind.MESSAGE, audience: Any = (YOU,), network: Any = None, views: Any = (VIEW,), bodies: Any = None
) -> Any:
    units = (Body(DIGEST, b"part"),) if bodies is None else bodies
    return Manifest.build(kind, ME, DIGEST, audience, network, views, 99, units)


# -- header --------------------------------------------------------------------------------------------
@given(st.binary(min_size=16, max_size=16), numbers, digests, attachments)
def test_headers_come_back(message_id: Any, created_at: Any, digest: Any, files: Any) -> None:
    header = Header.build(message_id, created_at, digest, files)
    assert Header.from_bytes(header.raw) == header
    assert (header.message_id, header.created_at, header.content_digest) == (message_id, created_at, digest)
    assert header.attachments == tuple(files)
    assert message_id_of(header.raw) == message_id


def test_what_cannot_be_a_header_has_no_message_id() -> None:
    with pytest.raises(MalformedError):
        message_id_of(encode([0, bytes(15), 5, DIGEST, []]))


@pytest.mark.parametrize(
    ("message_id", "created_at", "digest", "files", "error"),
    [
        (bytes(15), 5, DIGEST, 0, MalformedError),
        (bytes(16), 2**63, DIGEST, 0, MalformedError),
        (bytes(16), 5, bytes(31), 0, MalformedError),
        (bytes(16), 5, DIGEST, 65, LimitError),
    ],
)
def test_no_header_is_built_that_nobody_would_read(
    message_id: Any, created_at: Any, digest: Any, files: Any, error: Any
) -> None:
    with pytest.raises(error):
        Header.build(message_id, created_at, digest, [Attachment(DIGEST, DIGEST, 1)] * files)


def test_a_damaged_header_is_refused_or_another() -> None:
    raw = Header.build(MessageId(bytes(16)), 5, DIGEST, [Attachment(DIGEST, DIGEST, 10)]).raw
    check_reader(Header.from_bytes, lambda header: header.raw, raw)


@pytest.mark.parametrize("created_at", [0, 2**16 - 1, 2**16, 1_795_000_000, 2**32 - 1, 2**32])
def test_a_header_without_files_is_written_and_read_as_the_codec_does(created_at: int) -> None:
    written = Header.build(MessageId(bytes(range(16))), created_at, DIGEST).raw
    assert written == encode([0, bytes(range(16)), created_at, DIGEST, []])
    for raw in (written, *mangled(written)):
        try:
            header = Header.from_bytes(raw)
        except PeerError:
            continue
        assert encode([0, header.message_id, header.created_at, header.content_digest, []]) == raw


def test_a_time_of_32_bits_that_16_could_hold_is_refused() -> None:
    with pytest.raises(NonCanonicalError):
        Header.from_bytes(encode([0, bytes(16), 2**16, DIGEST, []]).replace(b"\xce\0\1\0\0", b"\xce\0\0\xff\xff"))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([1, bytes(16), 5, DIGEST, []], VersionError),
        ([0, bytes(15), 5, DIGEST, []], MalformedError),
        ([0, bytes(16), 2**63, DIGEST, []], MalformedError),
        ([0, bytes(16), 5, bytes(31), []], MalformedError),
        ([0, bytes(16), 5, DIGEST, [[DIGEST, DIGEST]]], MalformedError),
        ([0, bytes(16), 5, DIGEST, [[DIGEST, DIGEST, 2**63]]], MalformedError),
        ([0, bytes(16), 5, DIGEST, [[DIGEST, DIGEST, 1]] * 65], LimitError),
        ([0, bytes(16), 5, DIGEST], MalformedError),
        ([], MalformedError),
        (["0"], MalformedError),
    ],
)
def test_what_is_no_header_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        Header.from_bytes(encode(value))
    assert type(caught.value) is error


# -- bodies --------------------------------------------------------------------------------------------
@given(digests, st.binary(max_size=99), st.binary(max_size=99), st.lists(digests, max_size=3))
def test_bodies_come_back_and_take_no_more_than_they_say(salt: Any, part: Any, content: Any, keys: Any) -> None:
    body = Body(salt, part, content, tuple(keys))
    raw = encode(body.value())
    assert Body.parse(decode(raw, 8192)) == body
    assert len(raw) <= body.size


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([bytes(31), b"", b"", []], MalformedError),
        ([DIGEST, "", b"", []], MalformedError),
        ([DIGEST, bytes(65537), b"", []], LimitError),
        ([DIGEST, b"", bytes(524_289), []], LimitError),
        ([DIGEST, b"", b"", [bytes(31)]], MalformedError),
        ([DIGEST, b"", b"", [DIGEST] * 65], LimitError),
        ([DIGEST, b"", b""], MalformedError),
    ],
)
def test_what_is_no_body_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error):
        Body.parse(value)


def test_the_root_is_of_salted_leaves_and_of_nothing_without_bodies() -> None:
    def leaf(salt: Any, part: Any) -> Any:
        return hashlib.sha256(b"\0" + bytes([18]) + b"valija/0 body leaf" + salt + part).digest()

    left, right = leaf(A, b"one"), leaf(B, b"two")
    assert body_root([]) == hashlib.sha256(b"").digest()
    assert body_root([Body(A, b"one")]) == left
    assert repr(Body(A, b"one", b"el testigo")) == "Body(10 bytes)"
    assert body_root([Body(A, b"one"), Body(B, b"two")]) == hashlib.sha256(b"\1" + left + right).digest()


# -- manifest ------------------------------------------------------------------------------------------
@given(bodies, st.sampled_from([(YOU,), (THIRD, YOU), (YOU, Party(B, "xx"))]), numbers)
def test_manifests_come_back(units: Any, audience: Any, expires_at: Any) -> None:
    kind = Kind.MESSAGE if units else Kind.EMPTY
    addressed = audience if units else (YOU,)
    views = [VIEW, FOREIGN] if any(party.association == B for party in addressed) else [VIEW]
    built = Manifest.build(kind, ME, DIGEST, addressed, None, views, expires_at, units)
    assert Manifest.from_bytes(built.raw) == built
    assert (built.count, built.root, built.audience) == (len(units), body_root(units), tuple(sorted(addressed)))
    assert (built.view, built.association, built.expires_at) == (VIEW, A, expires_at)


def test_a_damaged_manifest_is_refused_or_another() -> None:
    check_reader(Manifest.from_bytes, lambda read: read.raw, manifest(network="rfai").raw, step=7)


def test_manifest_and_link_digests_are_labelled() -> None:
    raw = manifest().raw
    assert manifest().digest == hashlib.sha256(bytes([17]) + b"valija/0 manifest" + raw).digest()


FIELDS: Any = [0, 1, 1, A, ME.value(), DIGEST, [YOU.value()], None, [VIEW.value()], 99, 1, DIGEST]


def changed(**places: Any) -> Any:
    value = list(FIELDS)
    for place, item in places.items():
        value[int(place[1:])] = item
    return value


def test_the_unchanged_fields_are_a_manifest() -> None:
    assert Manifest.from_bytes(encode(FIELDS)).kind is Kind.MESSAGE


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (changed(_0=1), VersionError),
        (changed(_1=2), VersionError),
        (changed(_2=0), MalformedError),
        (changed(_2=6), MalformedError),
        (changed(_3=B), MalformedError),
        (changed(_5=bytes(31)), MalformedError),
        (changed(_6=[]), MalformedError),
        (changed(_6=[ME.value()]), MalformedError),
        (changed(_6=[YOU.value(), THIRD.value()]), MalformedError),
        (changed(_6=[YOU.value(), YOU.value()]), MalformedError),
        (changed(_6=[Party(A, f"m{number:03}").value() for number in range(129)]), LimitError),
        (changed(_7="X"), MalformedError),
        (changed(_8=[]), MalformedError),
        (changed(_8=[FOREIGN.value()]), MalformedError),
        (changed(_8=[VIEW.value(), VIEW.value()]), MalformedError),
        (changed(_8=[[A, 0, DIGEST, 5, bytes(2420), []]]), MalformedError),
        (changed(_8=[[A, 1, DIGEST, 5, bytes(2419), []]]), MalformedError),
        (changed(_8=[[A, 1, DIGEST, 5, bytes(2420), [b""]]]), MalformedError),
        (changed(_8=[[A, 1, DIGEST, 5, bytes(2420), [b"x"] * 17]]), LimitError),
        (changed(_8=[[A, 1, DIGEST, 5, bytes(2420), [bytes(262_145)]]]), LimitError),
        (changed(_8=[None] * 130), LimitError),
        (changed(_9=2**63), MalformedError),
        (changed(_10=0), MalformedError),
        (changed(_2=5), MalformedError),
        (changed(_10=257), MalformedError),
        (changed(_2=2, _6=[THIRD.value(), YOU.value()]), MalformedError),
        (changed(_2=2, _7="rfai"), MalformedError),
        (FIELDS[:-1], MalformedError),
    ],
)
def test_what_is_no_manifest_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        Manifest.from_bytes(encode(value))
    assert type(caught.value) is error


@pytest.mark.parametrize("kind", [Kind.RECEIPT, Kind.VOID, Kind.NOTICE])
def test_kinds_of_one_reader_have_one(kind: Any) -> None:
    assert manifest(kind).audience == (YOU,)
    with pytest.raises(MalformedError):
        manifest(kind, audience=(YOU, THIRD))


# -- link ----------------------------------------------------------------------------------------------
@given(incarnations, positives, st.none() | st.builds(Ack, incarnations, numbers))
def test_links_come_back_and_fit(incarnation: Any, first_seq: Any, ack: Any) -> None:
    link = Link.build(manifest(), Party(A, "a" * 32), incarnation, first_seq, ack)
    assert Link.from_bytes(link.raw) == link
    assert (link.incarnation, link.first_seq, link.count, link.ack) == (incarnation, first_seq, 1, ack)
    assert list(link.numbers) == [first_seq]
    assert len(link.raw) <= 254


def test_an_empty_link_takes_no_number() -> None:
    link = Link.build(manifest(Kind.EMPTY, bodies=()), YOU, Incarnation(1, 2), 5)
    assert (link.kind, link.count, list(link.numbers)) == (Kind.EMPTY, 0, [])


def test_a_link_leaf_is_salted_and_labelled() -> None:
    link = Link.build(manifest(), YOU, Incarnation(1, 2), 1)
    expected = hashlib.sha256(b"\0" + bytes([18]) + b"valija/0 link leaf" + A + link.raw).digest()
    assert link.leaf(A) == expected


def test_a_damaged_link_is_refused_or_another() -> None:
    raw = Link.build(manifest(), YOU, Incarnation(1, 2), 300, Ack(Incarnation(1, 3), 70_000)).raw
    check_reader(Link.from_bytes, lambda link: link.raw, raw)


LINK: Any = [0, 1, DIGEST, YOU.value(), [1, 2], 1, 1, None]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([1, *LINK[1:]], VersionError),
        ([0, 9, *LINK[2:]], MalformedError),
        ([0, "1", *LINK[2:]], MalformedError),
        ([*LINK[:5], 0, 1, None], MalformedError),
        ([*LINK[:5], 2**63, 1, None], MalformedError),
        ([*LINK[:5], LAST, 2, None], MalformedError),
        ([*LINK[:5], 1, 0, None], MalformedError),
        ([*LINK[:5], 1, 257, None], MalformedError),
        ([0, 5, *LINK[2:]], MalformedError),
        ([*LINK[:7], [[1, 2]]], MalformedError),
        ([*LINK[:7], [[1, 2], 2**63]], MalformedError),
        (LINK[:7], MalformedError),
        ([*LINK[:7], bytes(254)], LimitError),
    ],
)
def test_what_is_no_link_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        Link.from_bytes(encode(value))
    assert type(caught.value) is error


def test_a_link_in_another_encoding_is_refused() -> None:
    raw = encode(LINK)
    with pytest.raises(NonCanonicalError):
        Link.from_bytes(raw[:1] + b"\xcc\x00" + raw[2:])
