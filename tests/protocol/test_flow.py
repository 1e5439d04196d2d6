"""The book of what is under way: each rule, and that a refusal changes nothing."""

from __future__ import annotations

import pytest

from protocol.errors import LimitError, MalformedError, PeerError, ReplayError
from protocol.limits import MAX_REQUESTS
from protocol.names import EnvelopeId
from protocol.session.flow import Flow
from protocol.session.frames import (
    Acknowledge,
    Calendars,
    Close,
    Deliver,
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
)
from protocol.session.items import ResultItem, SubmitItem, Window
from tests.protocol.pair import ATTESTED, PEER, delivery, item

SIZE = item(1).size


def result(of: SubmitItem, code: str | None = None) -> ResultItem:
    return ResultItem(of.id, code, () if code else tuple(ATTESTED[: len(of.slots)]))


def book(*frames: Frame) -> Flow:
    flow = Flow()
    for frame in frames:
        flow.book(frame)
    return flow


def state(flow: Flow) -> object:
    return [repr(getattr(flow, name)) for name in Flow.__slots__]


def refused(flow: Flow, frame: Frame, expected: type[PeerError]) -> None:
    before = state(flow)
    with pytest.raises(expected) as caught:
        flow.book(frame)
    assert caught.type is expected
    assert state(flow) == before


def welcome(envelopes: int, max_bytes: int = 1 << 30) -> Welcome:
    return Welcome(0, None, Window(envelopes, max_bytes))


def acknowledge(position: int, envelopes: int = 10, max_bytes: int = 1 << 30) -> Acknowledge:
    return Acknowledge(position, Window(envelopes, max_bytes))


# -- submitting --------------------------------------------------------------------------------------
def test_before_welcome_nothing_is_submitted() -> None:
    refused(Flow(), Submit((item(1),)), LimitError)


def test_the_submit_window_counts_envelopes() -> None:
    flow = book(welcome(3), Submit((item(1), item(2))))
    assert flow.submit_room.envelopes == 1
    refused(flow, Submit((item(3), item(4))), LimitError)
    flow.book(Submit((item(3),)))
    assert flow.submit_room.envelopes == 0


def test_the_submit_window_counts_bytes() -> None:
    flow = book(welcome(9, 2 * SIZE), Submit((item(1),)))
    assert flow.submit_room == Window(8, SIZE)
    refused(flow, Submit((item(2), item(3))), LimitError)
    flow.book(Submit((item(2),)))
    assert flow.submit_room == Window(7, 0)


def test_an_envelope_larger_than_the_window_goes_alone() -> None:
    flow = book(welcome(9, 10), Submit((item(1),)))
    refused(flow, Submit((item(2),)), LimitError)
    flow.book(Results((result(item(1)),)))
    flow.book(Submit((item(2),)))
    assert flow.submit_room == Window(8, 0)


def test_results_give_room_back() -> None:
    flow = book(welcome(2, 2 * SIZE), Submit((item(1), item(2))), Results((result(item(2)),)))
    assert flow.submit_room == Window(1, SIZE)
    flow.book(Results((result(item(1), "conflict"),)))
    assert flow.submit_room == Window(2, 2 * SIZE)


def test_submittable_says_what_the_window_admits() -> None:
    flow = book(welcome(3, 3 * SIZE), Submit((item(1),)))
    assert flow.submittable([item(2), item(3), item(4)]) == 2
    assert flow.submittable([item(2, size=3 * 8192)]) == 0
    assert flow.submittable([item(2)]) == 1
    assert book(welcome(3, 1)).submittable([item(1), item(2)]) == 1


def test_an_envelope_under_way_is_not_submitted_again() -> None:
    flow = book(welcome(9), Submit((item(1),)))
    refused(flow, Submit((item(2), item(1, slots=2))), ReplayError)
    refused(flow, Submit((item(3), item(3))), ReplayError)
    flow.book(Results((result(item(1)),)))
    flow.book(Submit((item(1),)))


def test_a_result_answers_an_envelope_under_way_once() -> None:
    flow = book(welcome(9), Submit((item(1), item(2))))
    refused(flow, Results((result(item(3)),)), ReplayError)
    refused(flow, Results((result(item(1)), result(item(1)))), ReplayError)
    flow.book(Results((result(item(1)),)))
    refused(flow, Results((result(item(2)), result(item(1)))), ReplayError)


def test_a_result_has_an_attestation_for_each_slot() -> None:
    flow = book(welcome(9), Submit((item(1, slots=3),)))
    refused(flow, Results((ResultItem(item(1).id, None, tuple(ATTESTED[:2])),)), MalformedError)
    refused(flow, Results((ResultItem(item(1).id, None, tuple(ATTESTED[:4])),)), MalformedError)
    flow.book(Results((result(item(1, slots=3)),)))


# -- delivering --------------------------------------------------------------------------------------
def test_before_the_first_acknowledge_nothing_is_delivered() -> None:
    assert Flow().delivery_room == Window(0, 0)
    refused(Flow(), Deliver((delivery(1),)), LimitError)


def test_positions_ascend_from_the_cursor() -> None:
    flow = book(acknowledge(5))
    refused(flow, Deliver((delivery(5),)), ReplayError)
    flow.book(Deliver((delivery(6), delivery(8))))
    refused(flow, Deliver((delivery(8),)), ReplayError)
    refused(flow, Deliver((delivery(10), delivery(9))), ReplayError)
    refused(flow, Deliver((delivery(9), delivery(9))), ReplayError)
    flow.book(Deliver((delivery(9),)))


def test_the_delivery_window_counts_what_is_beyond_the_last_acknowledged() -> None:
    size = delivery(1).size
    flow = book(acknowledge(0, 3, 3 * size), Deliver((delivery(1), delivery(2))))
    assert flow.delivery_room == Window(1, size)
    assert flow.deliverable([delivery(3), delivery(4)]) == 1
    refused(flow, Deliver((delivery(3), delivery(4))), LimitError)
    flow.book(acknowledge(1, 3, 3 * size))
    flow.book(Deliver((delivery(3), delivery(4))))
    assert flow.delivery_room == Window(0, 0)
    refused(flow, Deliver((delivery(5),)), LimitError)
    flow.book(acknowledge(4, 3, 3 * size))
    assert flow.delivery_room == Window(3, 3 * size)


def test_the_delivery_window_counts_bytes() -> None:
    flow = book(acknowledge(0, 9, delivery(1).size), Deliver((delivery(1),)))
    refused(flow, Deliver((delivery(2),)), LimitError)


def test_a_smaller_window_takes_nothing_back() -> None:
    flow = book(acknowledge(0, 5, 100), acknowledge(0, 2, 1 << 20))
    assert flow.delivery_room == Window(5, 1 << 20)


def test_an_acknowledgement_never_goes_back_nor_ahead() -> None:
    flow = book(acknowledge(7))
    refused(flow, acknowledge(6), ReplayError)
    refused(flow, acknowledge(8), ReplayError)
    flow.book(Deliver((delivery(8), delivery(12))))
    flow.book(acknowledge(10))
    refused(flow, acknowledge(9), ReplayError)
    refused(flow, acknowledge(13), ReplayError)
    flow.book(acknowledge(10))
    flow.book(acknowledge(12))


# -- requests ----------------------------------------------------------------------------------------
ENVELOPE = EnvelopeId(bytes(32))
ASKED: list[tuple[Frame, Frame]] = [
    (Recall(1, ENVELOPE, PEER), Recalled(1, None)),
    (Publish(1, b"calendar"), Published(1, None)),
    (Lookup(1, ("ar-mpf", "co-fgn")), Calendars(1, (("ar-mpf", b"calendar"), ("co-fgn", None)))),
]


@pytest.mark.parametrize(("request_frame", "answer"), ASKED)
def test_a_request_is_answered_once_and_by_its_own_answer(request_frame: Frame, answer: Frame) -> None:
    refused(Flow(), answer, ReplayError)
    flow = book(request_frame)
    refused(flow, request_frame, ReplayError)
    for _, other in ASKED:
        if other is not answer:
            refused(flow, other, ReplayError)
    flow.book(answer)
    refused(flow, answer, ReplayError)
    flow.book(request_frame)


@pytest.mark.parametrize(
    "calendars",
    [(("ar-mpf", None),), (("co-fgn", None), ("ar-mpf", None)), (("ar-mpf", None), ("br-mpf", None))],
)
def test_calendars_are_those_asked_for(calendars: tuple[tuple[str, None], ...]) -> None:
    refused(book(ASKED[2][0]), Calendars(1, calendars), MalformedError)


def test_requests_unanswered_are_bounded() -> None:
    flow = book(*(Publish(number, b"") for number in range(MAX_REQUESTS)))
    refused(flow, Publish(MAX_REQUESTS, b""), LimitError)
    flow.book(Published(3, None))
    flow.book(Publish(MAX_REQUESTS, b""))


@pytest.mark.parametrize("frame", [Registry(12), Close("draining", "")])
def test_what_takes_no_room_is_always_in_turn(frame: Frame) -> None:
    flow = Flow()
    before = state(flow)
    flow.book(frame)
    assert state(flow) == before
