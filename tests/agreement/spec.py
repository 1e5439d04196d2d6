"""Reads tables out of SPEC.md."""

from __future__ import annotations

import re
from pathlib import Path

SPEC = Path(__file__).parents[2] / "protocol" / "SPEC.md"


def section(number: str) -> str:
    """The text under the heading with this number, up to the next heading of any depth."""
    text = SPEC.read_text(encoding="utf-8")
    match = re.search(rf"^#+ {re.escape(number)}\.? .*?$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, number
    return match[1]


def table(number: str) -> list[list[str]]:
    """The cells of the rows of the first table in that section, without its head."""
    lines = [line for line in section(number).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert all(set(cell) <= {"-"} for cell in rows[1])
    return rows[2:]
