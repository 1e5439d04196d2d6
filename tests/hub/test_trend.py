"""What the last day was like: counted by the minute, bounded, and nothing of it grows with the load."""

from __future__ import annotations

from collections import Counter

import pytest

from hub.drafts import Tally
from hub.trend import DAY_MINUTES, HOUR_MINUTES, Rate, Trend


def tally(sent: int, delays: list[float] | None = None) -> Tally:
    given = delays or []
    return Tally(
        accepted=sent,
        refusals=Counter({"mailbox_full": 1}),
        delivery_seconds=given,
        sent=Counter({"alba": sent}),
        taken=Counter({"berta": len(given)}),
    )


def test_a_minute_tells_what_happened_in_it() -> None:
    trend = Trend()
    trend.add(tally(3, [0.01] * 98 + [2.0, 60.0]))
    trend.refused("draining")
    trend.close_minute(60, sessions=2, waiting=7)
    trend.close_minute(120, sessions=0, waiting=7)
    first, second = trend.minutes
    assert (first.at, first.accepted, first.delivered, first.sessions, first.waiting) == (60, 3, 100, 2, 7)
    assert first.refusals == {"mailbox_full": 1, "draining": 1}
    # A class is a quarter wide: the quantile is never below the truth, and at most that much above it.
    assert first.median_seconds is not None
    assert first.slowest_seconds is not None
    assert 0.01 <= first.median_seconds <= 0.01 * 1.26
    assert 2.0 <= first.slowest_seconds <= 2.0 * 1.26
    assert (second.accepted, second.median_seconds, second.slowest_seconds) == (0, None, None)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 14 * 86_400.0])
def test_no_delay_is_too_short_or_too_long(seconds: float) -> None:
    trend = Trend()
    trend.add(tally(0, [seconds]))
    trend.close_minute(60, 0, 0)
    (minute,) = trend.minutes
    assert minute.median_seconds == minute.slowest_seconds
    assert minute.median_seconds is not None
    assert max(seconds, 0.001) <= minute.median_seconds * 1.000001 <= max(seconds, 0.001) * 1.26


def test_a_day_and_an_hour_are_kept() -> None:
    trend = Trend()
    for minute in range(DAY_MINUTES + 5):
        trend.add(tally(1, [0.5]))
        trend.close_minute(minute * 60, 0, 0)
    trend.add(tally(1))
    assert len(trend.minutes) == DAY_MINUTES
    assert trend.minutes[0].at == 5 * 60
    assert trend.rates() == {"alba": Rate(HOUR_MINUTES + 1, 0), "berta": Rate(0, HOUR_MINUTES)}
    assert trend.refusals() == {"mailbox_full": DAY_MINUTES + 1}
    # A day is a day, also where the hub did not run for some of it.
    trend.close_minute(DAY_MINUTES * 60 + 600, 0, 0)
    assert (trend.minutes[0].at, len(trend.minutes)) == (11 * 60, DAY_MINUTES - 5)
