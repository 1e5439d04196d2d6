"""The figures for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_WIDTH: Final = 120
_COLUMNS: Final = {
    "work": "work",
    "messages": "messages",
    "messages_per_s": "per s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "p999_ms": "p99.9 ms",
    "max_ms": "max ms",
    "hub_peak_rss_mib": "hub MiB",
    "window": "window",
}
_BELOW: Final = {
    "deliveries_per_s": "deliveries a second",
    "stored_per_s": "stored a second",
    "drained_per_s": "drained a second",
    "search_lag_s": "seconds until search had caught up",
    "kib_per_session": "KiB of the hub for each idle session",
    "kib_per_session_after": "KiB each after all of them spoke",
    "hub_empty_rss_mib": "MiB of the hub without sessions",
    "hub_idle_rss_mib": "MiB with all of them idle",
    "opened_per_s": "sessions opened a second",
    "queued": "queued at the hub",
    "archived": "archived at both nodes",
    "cost_us": "µs of processor time a message at hub and nodes",
    "cost_ratio": "of it at the first level",
    "start_s": "seconds to start all of them",
    "batch": "messages a batch",
    "nodes": "nodes",
}


def show(report: Mapping[str, Any]) -> None:
    """Print the runs as a table, what each has of its own, where the processors' time went, the floor and the machine."""
    console = Console(highlight=False, soft_wrap=True, width=max(_WIDTH, Console().width))
    table = Table()
    for name, title in _COLUMNS.items():
        table.add_column(title, justify="left" if name == "work" else "right", no_wrap=True)
    for run in report["runs"]:
        table.add_row(*(_shown(run.get(name)) for name in _COLUMNS))
    console.print(table, soft_wrap=False)
    for run in report["runs"]:
        own = [f"{title} {_shown(run[name])}" for name, title in _BELOW.items() if name in run]
        own.append(f"processor time a message in µs: {_pairs(run['cpu_us_per_message'])}")
        console.print(f"{run['work']}: {'; '.join(own)}")
    console.print(f"floor: {_pairs(report['floor'])}")
    console.print(f"machine: {_pairs(report['machine'])}")


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
