"""Guessing is slowed, by name; what is remembered of it is bounded."""

from __future__ import annotations

import pytest

from keys import throttle
from keys.throttle import FIRST_SECONDS, FORGET_SECONDS, FREE_FAILURES, LONGEST_SECONDS, Throttle


def failed(often: int, name: str = "ana", now: float = 0.0) -> Throttle:
    slowed = Throttle()
    for _ in range(often):
        slowed.failed([name], now)
    return slowed


def test_a_few_failures_are_free_and_then_each_waits_twice_as_long() -> None:
    waits = [failed(often).wait_seconds(["ana"], 0) for often in range(FREE_FAILURES - 1, FREE_FAILURES + 4)]
    assert waits == [0, *(FIRST_SECONDS << doubled for doubled in range(4))]
    assert failed(1_000).wait_seconds(["ana"], 0) == LONGEST_SECONDS
    assert failed(1_000).wait_seconds(["bea", "ana"], LONGEST_SECONDS) == 0


def test_success_and_a_day_forget() -> None:
    slowed = failed(FREE_FAILURES)
    slowed.succeeded(["ana", "nobody"])
    assert slowed.wait_seconds(["ana"], 0) == 0
    old = failed(FREE_FAILURES)
    old.failed(["ana"], FORGET_SECONDS + 1.0)
    assert old.wait_seconds(["ana"], FORGET_SECONDS + 1.0) == 0


def test_of_too_many_names_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_NAMES", 2)
    slowed = failed(FREE_FAILURES)
    slowed.failed(["bea"], 0)
    assert slowed.wait_seconds(["ana"], 0) > 0
    slowed.failed(["eva"], 0)
    assert slowed.wait_seconds(["ana"], 0) == 0
