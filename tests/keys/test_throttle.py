"""Guessing is slowed: for whom, for how long, and within which memory."""

from __future__ import annotations

import pytest

from keys import throttle
from keys.throttle import FIRST_SECONDS, FORGET_SECONDS, FREE_FAILURES, LONGEST_SECONDS, Throttle


def test_who_fails_often_waits_ever_longer_and_is_forgiven_by_success() -> None:
    doors = Throttle()
    for _each in range(FREE_FAILURES):
        assert doors.wait_seconds(["ana"], 0.0) == 0
        doors.failed(["ana", "10.0.0.1"], 0.0)
    assert doors.wait_seconds(["ana"], 0.0) == FIRST_SECONDS
    doors.failed(["ana"], 0.0)
    assert doors.wait_seconds(["ana", "luis"], 0.0) == 2 * FIRST_SECONDS
    for _each in range(60):
        doors.failed(["ana"], 0.0)
    assert doors.wait_seconds(["ana"], 0.0) == LONGEST_SECONDS
    doors.succeeded(["ana"])
    assert (doors.wait_seconds(["ana"], 0.0), doors.wait_seconds(["10.0.0.1"], 0.0)) == (0, FIRST_SECONDS)


def test_what_is_long_ago_counts_no_more() -> None:
    doors = Throttle()
    for _each in range(FREE_FAILURES):
        doors.failed(["ana"], 0.0)
    doors.failed(["ana"], FORGET_SECONDS + 1.0)
    assert doors.wait_seconds(["ana"], FORGET_SECONDS + 1.0) == 0


def test_no_crowd_of_names_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_NAMES", 2)
    doors = Throttle()
    for name in ("ana", "luis", "caro"):
        for _each in range(FREE_FAILURES):
            doors.failed([name], 0.0)
    assert [doors.wait_seconds([name], 0.0) for name in ("ana", "luis", "caro")] == [0, FIRST_SECONDS, FIRST_SECONDS]
