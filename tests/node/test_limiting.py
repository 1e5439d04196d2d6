"""How fast a token may ask."""

from __future__ import annotations

from node.limiting import Buckets, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_emptied_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(Pace(3, 2), clock)
    assert [buckets.take("a").wait_seconds for _each in range(5)] == [0, 0, 0, 1, 1]
    assert buckets.take("b").wait_seconds == 0
    clock.now += 0.5
    assert [buckets.take("a").wait_seconds for _each in range(2)] == [0, 1]
    clock.now += 60
    assert [buckets.take("a").requests for _each in range(3)] == [2, 1, 0]


def test_what_is_left_is_told_in_headers() -> None:
    buckets = Buckets(Pace(1, 1), Clock())
    assert buckets.take("a").headers == {"RateLimit-Policy": '"token";q=1;w=1', "RateLimit": '"token";r=0;t=1'}
