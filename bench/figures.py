"""What a run tells: its rate, its delays, and where the processors' time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bench.machine import cores

Run = dict[str, Any]
_MS: Final = 1e3


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which `percent` of 100 of these lie, in milliseconds; they are in seconds and in order."""
    return round(_MS * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 2)


def run(
    work: str,
    *,
    messages: int,
    seconds: float,
    delays: Sequence[float],
    window: int | None,
    hub_peak_mib: float,
    **own: Any,
) -> Run:
    """What every run carries, in this order, and then its own; `delays` are in seconds."""
    ordered = sorted(delays)
    return {
        "work": work,
        "messages": messages,
        "messages_per_s": round(messages / seconds, 1),
        "p50_ms": percentile(ordered, 50),
        "p99_ms": percentile(ordered, 99),
        "p999_ms": percentile(ordered, 99.9),
        "max_ms": percentile(ordered, 100),
        "hub_peak_rss_mib": round(hub_peak_mib, 1),
        "window": window,
        "cores": cores(),
        "seconds": round(seconds, 2),
        **own,
    }
