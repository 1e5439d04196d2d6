"""`python -m bench.peers FILE`: our figures beside those of others, as a table for people.

The file is what `make -s bench JSON=1` printed.  The others were measured once, on the same kind of machine (two cores
shared by all processes), at the same works, each durable; two of them carry plaintext.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PEERS: Final = ("NATS JetStream, sync always", "RabbitMQ, quorum queue", "Synapse, encrypting clients")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: of which work, what it counts, what is to be reached, and the others' in the order of `PEERS`."""

    work: str
    figure: str
    title: str
    mark: str
    peers: tuple[float | None, float | None, float | None]


ROWS: Final = (
    Row("one_to_one", "messages_per_s", "one_to_one, messages/s", "≥ 6,000", (3_060, 4_490, 61)),
    Row("mesh_22", "messages_per_s", "mesh_22, messages/s", "≥ 2,000", (2_600, 3_600, 34)),
    Row("fan_out_21", "deliveries_per_s", "fan_out_21, deliveries/s", "≥ 8,000", (9_800, 4_700, 290)),
    Row("latency", "p50_ms", "latency at 20/s, p50 ms", "≤ 8", (1.0, 1.6, 41)),
    Row("latency", "p99_ms", "latency at 20/s, p99 ms", "≤ 30", (2.2, 5.5, 75)),
    Row("backlog", "stored_per_s", "backlog, stored/s", "≥ 6,000", (None, None, None)),
    Row("backlog", "drained_per_s", "backlog, drained/s", "≥ 6,000", (4_700, 5_500, 1_200)),
    Row("sessions_500", "kib_per_session", "sessions_500, KiB for each idle one", "≤ 80", (50, 102, 78)),
)


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """The rows of which these runs hold the figure, in Markdown; after each peer's figure ours divided by it."""
    by_work = {run["work"]: run for run in runs}
    lines = [f"| | to reach | Valija | {' | '.join(PEERS)} |", "|---" * (3 + len(PEERS)) + "|"]
    for row in ROWS:
        ours = by_work.get(row.work, {}).get(row.figure)
        if ours is not None:
            cells = [_beside(ours, peer) for peer in row.peers]
            lines.append(f"| {row.title} | {row.mark} | {ours:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _beside(ours: float, peer: float | None) -> str:
    return "" if peer is None else f"{peer:,} ({ours / peer:.2f} ×)"


def main() -> int:
    """Print the table; 2 without a file."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["runs"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
