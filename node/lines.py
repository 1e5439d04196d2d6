"""Texts of one line: subjects, case references, names.  Readers show whatever came; writers here send no broken ones."""

from __future__ import annotations

import re
from typing import Final

_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def is_line(text: str) -> bool:
    """Whether the text holds no line break and no other control character (SPEC 8.1)."""
    return _BREAKS.search(text) is None


def as_line(text: str) -> str:
    """The text with a space for whatever would break the line: what others wrote, before it is sent on."""
    return _BREAKS.sub(" ", text)
