"""What the durability tests kill: `python -m tests.node.durability_child <archive>`."""

from __future__ import annotations

import sys
from pathlib import Path

from node.archive import Archive
from tests.node.test_store_contract import adding

KEY = b"k" * 32


def commit_for_ever(path: Path) -> None:
    """Say each number once its commit returned."""
    store = Archive(path, KEY)
    number = 0
    while True:
        number += 1
        store.run(adding(f"desk-{number}"))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    commit_for_ever(Path(sys.argv[1]))
