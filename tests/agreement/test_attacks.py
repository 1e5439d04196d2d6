"""Every attack on pages and API that is known by a name is tried by a test that carries it: `pytest -m attack`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
_MARK = re.compile(r'^@pytest\.mark\.attack\("([^"]+)"\)$', re.MULTILINE)


def carried() -> set[str]:
    return {name for each in TESTS.rglob("test_*.py") for name in _MARK.findall(each.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(
    "name",
    [
        "XSS",
        "CSRF",
        "IDOR",
        "path traversal",
        "header injection",
        "SSRF",
        "session fixation",
        "brute force",
        "oversized body",
    ],
)
def test_it_is_tried(name: str) -> None:
    assert name in carried()
