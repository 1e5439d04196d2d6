"""Files that people pass on: a few lines to read, then the bytes between two marks.

    anything at all, for the eye
    -----BEGIN VALIJA STATEMENT-----
    base64, 64 characters a line
    -----END VALIJA STATEMENT-----

What stands above the first mark is ignored by every reader: whoever handles the file could have written
it, so `review` says everything anew from the bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum
from typing import Final

from protocol.errors import MalformedError

_LINE: Final = 64
_BLOCK: Final = re.compile(
    r"^-----BEGIN (VALIJA [A-Z ]+)-----\n((?:[A-Za-z0-9+/=]{1,64}\n)+)-----END \1-----$", re.MULTILINE
)


class Mark(StrEnum):
    """What stands between the marks."""

    STATEMENT = "VALIJA STATEMENT"
    PUBLIC_KEY = "VALIJA PUBLIC KEY"
    KEY = "VALIJA PRIVATE KEY"


def armour(mark: Mark, data: bytes, summary: str) -> bytes:
    """The file that shows `summary` to people and gives `data` to `read_armour`."""
    encoded = base64.b64encode(data).decode("ascii")
    lines = [encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]
    # A mark inside the summary would be read in place of the real one.
    above = summary.replace("-----", "- - -").rstrip("\n")
    return "\n".join([above, f"-----BEGIN {mark}-----", *lines, f"-----END {mark}-----", ""]).encode()


def read_armour(data: bytes, *marks: Mark) -> tuple[Mark, bytes]:
    """The one block of `data` and its mark, which is one of `marks`; `MalformedError` otherwise.

    Line ends of other systems are accepted; two blocks in one file are not.
    """
    blocks = _BLOCK.findall(data.decode("utf-8", errors="replace").replace("\r\n", "\n"))
    if len(blocks) != 1:
        raise MalformedError(f"{len(blocks)} blocks -----BEGIN VALIJA …-----, not one")
    found, encoded = blocks[0]
    if found not in marks:
        raise MalformedError(f"a {found.title()} file; needed: {' or '.join(mark.title() for mark in marks)}")
    try:
        return Mark(found), base64.b64decode(encoded.replace("\n", ""), validate=True)
    except binascii.Error:
        raise MalformedError("base64") from None
