"""Refusals as they travel, and batches as they are split."""

from __future__ import annotations

import pytest

from node import api_requests, paging, problems
from protocol.errors import LimitError, UsageError


def test_every_error_travels_and_comes_back() -> None:
    for code, kind in problems._BY_CODE.items():
        told = problems.read(problems.encode(problems.problem(kind("detail"))), 400)
        assert (type(told), told.code, told.detail) == (kind, code, "detail")


def test_what_is_no_problem_is_told_by_its_status() -> None:
    assert problems.read(b"<html>", 502).detail == "status 502"
    assert problems.error_of("of_tomorrow", "x").detail == "of_tomorrow: x"
    assert problems.error_of("of_tomorrow", "").detail == "of_tomorrow"


def test_every_status_is_of_a_code_that_exists() -> None:
    assert problems.STATUSES.keys() <= problems._BY_CODE.keys()


def test_a_batch_is_split_at_line_ends_alone() -> None:
    assert api_requests.split_batch(b'{"a":"\\u2028"}\r\n\n{}\n') == [b'{"a":"\\u2028"}\r', b"{}"]
    with pytest.raises(LimitError):
        api_requests.split_batch(b"{}\n" * 5000)
    with pytest.raises(UsageError):
        api_requests.split_batch(b"\n")


def test_a_cursor_is_read_as_it_was_written() -> None:
    for row in (0, 1, 255, (1 << 63) - 1):
        assert paging.read_cursor(paging.show_cursor(row)) == row


def test_the_start_of_an_id_names_a_range_around_it() -> None:
    raw = bytes(range(16))
    whole = api_requests.message_id_of
    shown = "msg_aaaqeayeaudaocajbifqydiob4"
    assert whole(shown) == raw
    for count in range(4, 27):
        low, high = api_requests.id_range(shown[: 4 + count])
        assert low <= raw <= high
        assert len(low) == len(high) == 16
    assert api_requests.id_range(shown) == (raw, raw)
    for wrong in ("", "msg_", "msg_aaa", "msg_aaa8", shown + "a"):
        with pytest.raises(UsageError):
            api_requests.id_range(wrong)
