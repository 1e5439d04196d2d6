"""Frames: one encoding for each, everything else refused with its own error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.errors import (
    ClockSkewError,
    LimitError,
    MalformedError,
    NonCanonicalError,
    PeerError,
    UsageError,
    ValijaError,
)
from protocol.limits import MAX_DETAIL_BYTES, MAX_ENVELOPES_PER_FRAME
from protocol.messages.envelope import Submission
from protocol.names import EnvelopeId, Incarnation
from protocol.session.frames import (
    SHAPES,
    Acknowledge,
    Calendars,
    Close,
    Deliver,
    Finish,
    Frame,
    Lookup,
    Publish,
    Published,
    Recall,
    Recalled,
    Registry,
    Results,
    Submit,
    Welcome,
    decode_frame,
    encode_frame,
)
from protocol.session.items import MAX_PLAINTEXT_BYTES, DeliverItem, ResultItem, SubmitItem, Window, fitting
from protocol.signing import Signature
from tests.protocol.pair import ATTESTED, PEER, attestations, delivery, item
from tests.protocol.vectors_primitives import FOLDER, from_json, load, render
from tests.protocol.vectors_session import FAULTS, FRAMES, ID, attestation, batch
from tests.protocol.vectors_session import frames as frame_vectors

# -- every frame -------------------------------------------------------------------------------------
uints = st.integers(0, 2**63 - 1)
blobs = st.binary(max_size=40)
ids = st.binary(min_size=32, max_size=32).map(EnvelopeId)
codes = st.sampled_from(["mailbox_full", "conflict", "internal"])
names = st.sampled_from(["ar-mpf", "br-mpf", "co-fgn"])
windows = st.builds(Window, st.integers(0, 2**32 - 1), uints)
attested = st.sampled_from(ATTESTED)
signatures = st.builds(
    Signature, st.binary(min_size=64, max_size=64), st.binary(max_size=5).map(lambda b: b.ljust(3309))
)
positions = st.integers(1, 2**63 - 1)
submissions = st.builds(Submission, st.builds(Incarnation, positions, uints), positions)
submitted = st.builds(SubmitItem, blobs, blobs, st.lists(blobs, min_size=1, max_size=3).map(tuple))
results = st.builds(ResultItem, ids, codes, st.just(())) | st.builds(
    ResultItem, ids, st.none(), st.lists(attested, min_size=1, max_size=4).map(tuple)
)
delivered = st.builds(DeliverItem, positions, blobs, blobs, blobs, attested) | st.builds(
    DeliverItem, positions, st.none(), st.just(b""), st.none(), attested
)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, min_size=1, max_size=5).map(tuple)


BY_CLASS: dict[type[Frame], st.SearchStrategy[Frame]] = {
    Finish: st.builds(Finish, signatures),
    Welcome: st.builds(Welcome, uints, st.none() | submissions, windows),
    Submit: st.builds(Submit, some(submitted)),
    Results: st.builds(Results, some(results)),
    Deliver: st.builds(Deliver, some(delivered)),
    Acknowledge: st.builds(Acknowledge, uints, windows),
    Recall: st.builds(Recall, uints, ids, st.just(PEER)),
    Recalled: st.builds(Recalled, uints, st.none() | attested),
    Publish: st.builds(Publish, uints, blobs),
    Published: st.builds(Published, uints, st.none() | codes),
    Lookup: st.builds(Lookup, uints, some(names)),
    Calendars: st.builds(Calendars, uints, some(st.tuples(names, st.none() | blobs))),
    Registry: st.builds(Registry, uints),
    Close: st.builds(Close, codes, st.text(st.characters(exclude_categories=["Cs"]), max_size=60)),
}
frames = st.one_of(*BY_CLASS.values())


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_encoded_is_decoded(kind: type[Frame], data: st.DataObject) -> None:
    frame = data.draw(BY_CLASS[kind])
    assert decode_frame(encode_frame(frame)) == frame


@given(frames, st.data())
def test_every_truncation_is_refused(frame: Frame, data: st.DataObject) -> None:
    encoded = encode_frame(frame)
    with pytest.raises(MalformedError):
        decode_frame(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(frames, st.data())
def test_a_flipped_bit_is_refused_or_another_frame(frame: Frame, data: st.DataObject) -> None:
    encoded = bytearray(encode_frame(frame))
    at = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[at // 8] ^= 1 << at % 8
    try:
        other = decode_frame(bytes(encoded))
    except (MalformedError, NonCanonicalError, LimitError):
        return
    assert other != frame
    assert encode_frame(other) == encoded


def test_payloads_and_keys_are_not_shown() -> None:
    secret = b"what nobody should read in a log"
    shown = repr([SubmitItem(secret, secret, (secret,)), DeliverItem(1, secret, secret, secret, ATTESTED[0])])
    shown += repr([Publish(1, secret), Calendars(1, (("ar-mpf", secret),))])
    assert "nobody" not in shown


# -- one fault each ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_one_error(name: str) -> None:
    value, expected = FAULTS[name]
    with pytest.raises(expected) as caught:
        decode_frame(encode(value))
    assert caught.type is expected


# -- vectors -----------------------------------------------------------------------------------------
VECTORS = load("frames")


def test_vectors_come_out_the_same() -> None:
    assert render(frame_vectors()) == (FOLDER / "frames.json").read_text(encoding="utf-8")
    assert {type(frame) for frame in FRAMES} == set(SHAPES)


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["name"])
def test_valid_vectors_are_read_and_written(case: dict[str, Any]) -> None:
    encoded = bytes.fromhex(case["encoded"])
    frame = decode_frame(encoded)
    assert type(frame).__name__ == case["name"]
    assert encode_frame(frame) == encode(from_json(case["value"])) == encoded


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors_give_their_error(case: dict[str, Any]) -> None:
    with pytest.raises(PeerError) as caught:
        decode_frame(bytes.fromhex(case["encoded"]))
    assert caught.value.code == case["error"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Submit(()), MalformedError),
        (lambda: Results(()), MalformedError),
        (lambda: Deliver(()), MalformedError),
        (lambda: Lookup(1, ()), MalformedError),
        (lambda: Calendars(1, ()), MalformedError),
        (lambda: Submit((item(1),) * 257), LimitError),
        (lambda: SubmitItem(b"", b"", ()), MalformedError),
    ],
)
def test_no_frame_is_made_that_the_peer_would_refuse(make: Callable[[], object], expected: type[ValijaError]) -> None:
    with pytest.raises(expected):
        make()


# -- sizes -------------------------------------------------------------------------------------------
def test_the_largest_frame_passes_and_one_byte_more_does_not() -> None:
    room = MAX_PLAINTEXT_BYTES - len(encode_frame(Submit((SubmitItem(b"", bytes(65_536), (b"",)),)))) + 65_536
    largest = encode_frame(Submit((SubmitItem(b"", bytes(room), (b"",)),)))
    assert len(largest) == MAX_PLAINTEXT_BYTES
    assert encode_frame(decode_frame(largest)) == largest
    with pytest.raises(UsageError):
        encode_frame(Submit((SubmitItem(b"", bytes(room + 1), (b"",)),)))


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=20), st.sampled_from(["submit", "deliver"]))
@example([400_000] * 11, "submit")
@example([400_000] * 11, "deliver")
def test_what_fits_is_encoded(sizes: list[int], kind: str) -> None:
    if kind == "submit":
        mine = [item(at, slots=2, size=size) for at, size in enumerate(sizes)]
        count = fitting(mine)
        encoded = encode_frame(Submit(tuple(mine[:count])))
    else:
        items = [delivery(at + 1, size) for at, size in enumerate(sizes)]
        count = fitting(items)
        encoded = encode_frame(Deliver(tuple(items[:count])))
    # No frame is left emptier than the next item and the estimate's slack explain.
    assert count == len(sizes) or len(encoded) + sizes[count] > MAX_PLAINTEXT_BYTES - 5_000


def test_shared_signatures_cost_once() -> None:
    shared = [ResultItem(EnvelopeId(bytes([at]) * 32), None, (ATTESTED[at % 5],)) for at in range(200)]
    assert fitting(shared) == 200
    own = ResultItem(ID, None, tuple(attestations(1, batch)[0] for batch in range(3)))
    assert fitting([own]) == 1
    assert len(encode_frame(Results((own,)))) > 3 * 3_373


def test_signatures_of_many_batches_count_towards_a_frame() -> None:
    own = [tuple(attestation(each, batch(f"{at} {each}")) for each in range(6)) for at in range(256)]
    answers = [ResultItem(EnvelopeId(bytes([at]) * 32), None, proofs) for at, proofs in enumerate(own)]
    count = fitting(answers)
    assert 100 < count < 256
    assert len(encode_frame(Results(tuple(answers[:count])))) > MAX_PLAINTEXT_BYTES * 0.9
    with pytest.raises(UsageError):
        encode_frame(Results(tuple(answers)))


def test_no_more_than_256_fit() -> None:
    assert fitting([item(at, size=1) for at in range(300)]) == MAX_ENVELOPES_PER_FRAME
    assert fitting([]) == 0


@pytest.mark.parametrize(
    ("envelopes", "size", "admitted"),
    [(1, 50, True), (2, 100, True), (3, 3, False), (2, 101, False), (1, 101, True), (0, 0, True)],
)
def test_a_window_admits_one_large_envelope_alone(envelopes: int, size: int, admitted: bool) -> None:
    assert Window(2, 100).admits(envelopes, size) is admitted


def test_a_closed_window_admits_nothing() -> None:
    assert not Window(0, 100).admits(1, 1)


def test_a_long_detail_is_cut_between_characters() -> None:
    close = Close.of(ClockSkewError("x" + "á" * 200))
    assert close == Close("clock_skew", "x" + "á" * 127)
    assert len(close.detail.encode()) == MAX_DETAIL_BYTES
    assert decode_frame(encode_frame(close)) == close


def test_a_detail_that_is_no_text_still_travels() -> None:
    assert Close.of(MalformedError("\ud800")) == Close("malformed", "?")
