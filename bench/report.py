"""The figures for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_WIDTH: Final = 100
_COLUMNS: Final = {
    "work": "work",
    "messages": "messages",
    "messages_per_s": "per s",
    "deliveries_per_s": "deliveries/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "hub_peak_rss_mib": "hub MiB",
    "window": "window",
}


def show(report: Mapping[str, Any]) -> None:
    """Print the runs as a table, where the processors' time went, the floor and the machine."""
    console = Console(highlight=False, soft_wrap=True, width=max(_WIDTH, Console().width))
    table = Table()
    for name, title in _COLUMNS.items():
        table.add_column(title, justify="left" if name == "work" else "right", no_wrap=True)
    for run in report["runs"]:
        table.add_row(*(_shown(run.get(name)) for name in _COLUMNS))
    console.print(table, soft_wrap=False)
    for run in report["runs"]:
        if spent := run.get("cpu_us_per_message"):
            console.print(f"{run['work']}, processor time a message in µs: {_pairs(spent)}")
    console.print(f"floor: {_pairs(report['floor'])}")
    console.print(f"machine: {_pairs(report['machine'])}")


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
