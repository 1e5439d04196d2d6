"""Charts of the last day, as what a template draws: lines over ten-minute spans, and the same in rows by the hour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hub.board.render import delay, number
from hub.trend import Minute

WIDTH: Final = 720
HEIGHT: Final = 160
_DAY: Final = 24 * 3_600
_SPAN: Final = 600
_HOUR: Final = 3_600

Value = float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of a chart: what it is called, and its value over some minutes."""

    name: str
    of: Callable[[Sequence[Minute]], Value]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is drawn: unbroken pieces, each as the points of an SVG polyline."""

    name: str
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its lines, how its top is written, and per hour (its beginning in Unix seconds) the values as text."""

    key: str
    title: str
    lines: tuple[Line, ...]
    top: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def day(minutes: Iterable[Minute], now: int) -> list[Chart]:
    """The charts of the day that ends `now` (Unix seconds)."""
    seen = [each for each in minutes if each.at > now - _DAY]
    return [
        _chart("slots", "Slots a minute", (_ACCEPTED, _DELIVERED), seen, now, number),
        _chart("delays", "From acceptance to acknowledgement", (_MEDIAN, _SLOWEST), seen, now, delay),
        _chart("waiting", "Items that wait", (_WAITING,), seen, now, number),
        _chart("sessions", "Sessions", (_SESSIONS,), seen, now, number),
    ]


def _mean(values: Sequence[float]) -> Value:
    return sum(values) / len(values) if values else None


def _worst(values: Iterable[Value]) -> Value:
    return max((each for each in values if each is not None), default=None)


_ACCEPTED: Final = Measure("accepted", lambda minutes: _mean([each.accepted for each in minutes]))
_DELIVERED: Final = Measure("delivered", lambda minutes: _mean([each.delivered for each in minutes]))
_MEDIAN: Final = Measure("half within (worst minute)", lambda minutes: _worst(each.median_seconds for each in minutes))
_SLOWEST: Final = Measure(
    "99 of 100 within (worst minute)", lambda minutes: _worst(each.slowest_seconds for each in minutes)
)
_WAITING: Final = Measure("items", lambda minutes: _worst(each.waiting for each in minutes))
_SESSIONS: Final = Measure("sessions", lambda minutes: _worst(each.sessions for each in minutes))


def _chart(
    key: str,
    title: str,
    measures: Sequence[Measure],
    minutes: Sequence[Minute],
    now: int,
    write: Callable[[float], str],
) -> Chart:
    drawn = [[(at, each.of(some)) for at, some in _spans(minutes, _SPAN)] for each in measures]
    top = max((value for line in drawn for _at, value in line if value is not None), default=0.0)
    lines = tuple(Line(each.name, _pieces(line, now, top or 1.0)) for each, line in zip(measures, drawn, strict=True))
    rows = tuple(
        (at, tuple(_written(each.of(some), write) for each in measures)) for at, some in _spans(minutes, _HOUR)
    )
    return Chart(key, title, lines, write(top), tuple(reversed(rows)))


def _written(value: Value, write: Callable[[float], str]) -> str:
    return "-" if value is None else write(value)


def _spans(minutes: Sequence[Minute], seconds: int) -> list[tuple[int, list[Minute]]]:
    """The minutes by the span in which each lay, which begins at a whole multiple of `seconds`."""
    found: dict[int, list[Minute]] = {}
    for each in minutes:
        # A minute is known by its end, which may be the beginning of the next span.
        found.setdefault((each.at - 1) // seconds * seconds, []).append(each)
    return sorted(found.items())


def _pieces(line: Sequence[tuple[int, Value]], now: int, top: float) -> tuple[str, ...]:
    pieces: list[list[str]] = [[]]
    before = 0
    for at, value in line:
        if value is None or at > before + _SPAN:
            # Nothing happened, or the hub did not run: no line leads over it.
            pieces.append([])
        before = at
        if value is None:
            continue
        x = max(0.0, min(1.0, 1 - (now - at - _SPAN / 2) / _DAY)) * WIDTH
        pieces[-1].append(f"{x:.1f},{HEIGHT - value / top * (HEIGHT - 4) - 2:.1f}")
    # A lone point is drawn as a short stroke.
    return tuple(" ".join(each if len(each) > 1 else [each[0], each[0]]) for each in pieces if each)
