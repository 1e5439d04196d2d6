"""Receipts, voids and notices: what they say comes back, what they cannot say is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.errors import LimitError, MalformedError, VersionError
from protocol.messages.message import Kind, Link, Manifest
from protocol.messages.receipts import (
    Action,
    Actor,
    Consigned,
    Exceptional,
    HandedOver,
    LinkRef,
    Notice,
    Outcome,
    Rejected,
    Unopened,
    Void,
    VoidReason,
    read_notice,
    read_receipt,
    read_void,
)
from protocol.names import Incarnation
from tests.protocol.test_message import DIGEST, FIELDS, LAST, YOU
from tests.support.mangling import check_reader

MESSAGE: Any = bytes(16)
FIRST = Incarnation(1, 2)

times = st.integers(0, LAST)
digests = st.binary(min_size=32, max_size=32)
incarnations = st.builds(Incarnation, st.integers(1, LAST), times)
codes = st.from_regex(r"[a-z]{1,9}(_[a-z]{1,9})?", fullmatch=True)
message_ids = st.binary(min_size=16, max_size=16)
kinds = st.sampled_from([Kind.MESSAGE, Kind.RECEIPT, Kind.VOID, Kind.NOTICE])
names = st.from_regex(r"[a-z0-9]{2,32}", fullmatch=True)


@st.composite
def consigned(draw: Any) -> Any:
    link = LinkRef(
        draw(incarnations), draw(st.integers(1, LAST - 300)), draw(st.integers(1, 256)), draw(digests), draw(kinds)
    )
    chosen = sorted(draw(st.sets(st.sampled_from(link.numbers), max_size=5)))
    outcomes = st.sampled_from([each for each in Outcome if each is not link.default])
    excepted = tuple(Exceptional(seq, draw(outcomes), draw(message_ids)) for seq in chosen)
    return Consigned(draw(times), link, excepted)


receipts = st.one_of(
    consigned(),
    st.builds(Unopened, times, digests, digests, digests, digests, codes),
    st.builds(Rejected, times, digests, digests, codes),
    st.builds(
        HandedOver,
        times,
        message_ids,
        names,
        st.none() | st.builds(Actor, *[st.text(max_size=60)] * 3),
        st.sampled_from(Action),
        st.text(max_size=200),
    ),
)


@given(receipts)
def test_receipts_come_back(receipt: Any) -> None:
    assert read_receipt(receipt.encode()) == receipt


@given(message_ids, st.sampled_from(VoidReason))
def test_voids_come_back(message_id: Any, reason: Any) -> None:
    void = Void(message_id, reason)
    assert read_void(void.encode()) == void


@given(st.dictionaries(incarnations, times, max_size=5))
def test_notices_come_back(held: Any) -> None:
    notice = Notice(tuple(sorted(held.items())))
    assert read_notice(notice.encode()) == notice


@given(consigned())
def test_every_number_has_one_outcome(receipt: Any) -> None:
    excepted = {each.seq: each.outcome for each in receipt.exceptions}
    for seq in receipt.link.numbers:
        assert receipt.outcome(seq) is excepted.get(seq, receipt.link.default)


def test_the_default_outcome_depends_on_the_kind() -> None:
    defaults = {kind: LinkRef(FIRST, 1, 1, DIGEST, kind).default for kind in Kind if kind is not Kind.EMPTY}
    assert defaults == {
        Kind.MESSAGE: Outcome.DELIVERED,
        Kind.RECEIPT: Outcome.DELIVERED,
        Kind.VOID: Outcome.VOID,
        Kind.NOTICE: Outcome.DELIVERED,
    }


def test_a_reference_names_the_link() -> None:
    link = Link.build(Manifest.from_bytes(encode(FIELDS)), YOU, FIRST, 7)
    assert LinkRef.of(link) == LinkRef(FIRST, 7, 1, link.manifest_digest, Kind.MESSAGE)


SAMPLES: Any = [
    Consigned(5, LinkRef(FIRST, 3, 4, DIGEST, Kind.MESSAGE), (Exceptional(4, Outcome.VOID, MESSAGE),)),
    Unopened(5, DIGEST, DIGEST, DIGEST, DIGEST, "cannot_open"),
    Rejected(5, DIGEST, DIGEST, "bad_proof"),
    HandedOver(5, MESSAGE, "antidrogas", Actor("Ana", "fiscal", "passkey"), Action.ACCEPTED, "Recibido."),
]


@pytest.mark.parametrize("receipt", SAMPLES, ids=lambda receipt: type(receipt).__name__)
def test_a_damaged_receipt_is_refused_or_another(receipt: Any) -> None:
    check_reader(read_receipt, lambda read: read.encode(), receipt.encode())


def test_damaged_voids_and_notices_are_refused_or_others() -> None:
    check_reader(read_void, lambda read: read.encode(), Void(MESSAGE, VoidReason.EXPIRED).encode())
    check_reader(read_notice, lambda read: read.encode(), Notice(((FIRST, 4), (Incarnation(2, 9), 0))).encode())


LINK: Any = [[1, 2], 3, 4, DIGEST, 1]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([1, 1, 5, LINK, []], VersionError),
        ([0, 0, 5, LINK, []], MalformedError),
        ([0, 5, 5, LINK, []], MalformedError),
        ([0, 1, 2**63, LINK, []], MalformedError),
        ([0, 1], MalformedError),
        ([0, *[1] * 16], MalformedError),
        ([0, 1, 5, LINK], MalformedError),
        ([0, 1, 5, LINK[:4], []], MalformedError),
        ([0, 1, 5, [[1, 2], 0, 4, DIGEST, 1], []], MalformedError),
        ([0, 1, 5, [[1, 2], 3, 0, DIGEST, 1], []], MalformedError),
        ([0, 1, 5, [[1, 2], 3, 257, DIGEST, 1], []], MalformedError),
        ([0, 1, 5, [[1, 2], 3, 4, DIGEST, 5], []], MalformedError),
        ([0, 1, 5, LINK, [[2, 2, MESSAGE]]], MalformedError),
        ([0, 1, 5, LINK, [[7, 2, MESSAGE]]], MalformedError),
        ([0, 1, 5, LINK, [[3, 1, MESSAGE]]], MalformedError),
        ([0, 1, 5, LINK, [[3, 5, MESSAGE]]], MalformedError),
        ([0, 1, 5, LINK, [[3, 2, bytes(15)]]], MalformedError),
        ([0, 1, 5, LINK, [[4, 2, MESSAGE], [3, 2, MESSAGE]]], MalformedError),
        ([0, 1, 5, LINK, [[3, 2, MESSAGE]] * 2], MalformedError),
        ([0, 1, 5, LINK, [[3, 2, MESSAGE]] * 257], LimitError),
        ([0, 2, 5, DIGEST, DIGEST, DIGEST, DIGEST, "No"], MalformedError),
        ([0, 2, 5, DIGEST, DIGEST, DIGEST, DIGEST, "a" * 65], LimitError),
        ([0, 3, 5, DIGEST, DIGEST, "bad proof"], MalformedError),
        ([0, 3, 5, DIGEST, DIGEST, ""], MalformedError),
        ([0, 4, 5, MESSAGE, "", None, 1, ""], MalformedError),
        ([0, 4, 5, MESSAGE, "desk", None, 6, ""], MalformedError),
        ([0, 4, 5, MESSAGE, "desk", None, 1, "x" * 4097], LimitError),
        ([0, 4, 5, MESSAGE, "desk", ["a", "b"], 1, ""], MalformedError),
        ([0, 4, 5, MESSAGE, "desk", ["a" * 256, "b", "c"], 1, ""], LimitError),
    ],
)
def test_what_is_no_receipt_is_refused(value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        read_receipt(encode(value))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("read", "value", "error"),
    [
        (read_void, [1, MESSAGE, 1], VersionError),
        (read_void, [0, MESSAGE, 0], MalformedError),
        (read_void, [0, MESSAGE, 4], MalformedError),
        (read_void, [0, bytes(17), 1], MalformedError),
        (read_notice, [1, []], VersionError),
        (read_notice, [0, [[[1, 2], 3], [[1, 2], 4]]], MalformedError),
        (read_notice, [0, [[[1, 3], 3], [[1, 2], 4]]], MalformedError),
        (read_notice, [0, [[[1, 3], 2**63]]], MalformedError),
        (read_notice, [0, [[[1, 3]]]], MalformedError),
        (read_notice, [0, [[[1, number], 0] for number in range(1025)]], LimitError),
    ],
)
def test_what_is_no_void_or_notice_is_refused(read: Any, value: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        read(encode(value))
    assert type(caught.value) is error
