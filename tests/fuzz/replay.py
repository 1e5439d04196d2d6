"""`python -m tests.fuzz.replay <target> <file>…`: try inputs again, each allocation counted, with the whole traceback."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.target import attempt_traced
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Try each file; the first that breaks a promise raises."""
    for name in sys.argv[2:]:
        data = Path(name).read_bytes()
        attempt_traced(TARGETS[sys.argv[1]], data)
        print(f"{name}: {len(data)} bytes, nothing found")


if __name__ == "__main__":
    main()
