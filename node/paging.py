"""A page of a list: which one is asked for, and its rows, read until there are enough of them or enough bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from node import faults
from node.tables.finding import FOREVER
from protocol.errors import UsageError

MAX_PAGE: Final = 500
DEFAULT_PAGE: Final = 50
_CURSOR_BYTES: Final = 8
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_PAGE_BYTES: Final = 4 * 1024 * 1024
_ROWS_A_READ: Final = 32


# -- what is asked ---------------------------------------------------------------------------------------
class Page(msgspec.Struct, frozen=True):
    """Which part of a list is wanted: rows beyond `after`, or the newest ones below `before`."""

    after: int
    before: int | None
    limit: int


def page_of(query: Mapping[str, str]) -> Page:
    """The page that `after`, `before` and `limit` name; `UsageError` for a cursor that is none."""
    before = query.get("before")
    limit = query.get("limit", str(DEFAULT_PAGE))
    if not limit.isascii() or not limit.isdigit() or len(limit) > len("0000") or not 1 <= int(limit) <= MAX_PAGE:
        raise faults.parameter("limit", f"limit is a number from 1 to {MAX_PAGE}")
    if before is not None and "after" in query:
        raise faults.parameter("before", "either after or before")
    low = _cursor(query, "after") if query.get("after") else 0
    return Page(low, None if before is None else _cursor(query, "before") if before else (1 << 63) - 1, int(limit))


def _cursor(query: Mapping[str, str], name: str) -> int:
    try:
        return read_cursor(query[name])
    except UsageError as error:
        raise faults.parameter(name, error.detail) from None


def show_cursor(row: int) -> str:
    """A cursor that stands behind this row; opaque to callers."""
    # As `base64.urlsafe_b64encode` does, in half the time: there is one for every row of a list.
    written = binascii.b2a_base64(row.to_bytes(_CURSOR_BYTES, "big"), newline=False)
    return written.translate(_URL_SAFE).decode("ascii").rstrip("=")


def read_cursor(shown: str) -> int:
    """The row that a cursor stands behind; `UsageError` for anything that `show_cursor` did not write."""
    try:
        raw = base64.urlsafe_b64decode(shown + "=" * (-len(shown) % 4))
    except (binascii.Error, ValueError):
        raise UsageError("no cursor of this node") from None
    row = int.from_bytes(raw, "big")
    if len(raw) != _CURSOR_BYTES or row >> 63 or show_cursor(row) != shown:
        raise UsageError("no cursor of this node")
    return row


# -- rows ------------------------------------------------------------------------------------------------
class Listed(Protocol):
    """A row of a list."""

    @property
    def id(self) -> int:
        """Its place in the archive's order."""

    @property
    def content(self) -> bytes:
        """The document that it shows."""


R = TypeVar("R", bound=Listed)


def gather(page: Page, read: Callable[[int, int, int, bool], list[R]]) -> tuple[list[R], bool]:
    """The rows of a page, read some at a time until there are enough rows or bytes, and whether there may be more."""
    down = page.before is not None
    low, high = page.after, FOREVER if page.before is None else page.before
    found: list[R] = []
    size = 0
    while len(found) < page.limit and size < _PAGE_BYTES:
        count = min(_ROWS_A_READ, page.limit - len(found))
        some = read(low, high, count, down)
        found += some
        size += sum(len(each.content) for each in some)
        if len(some) < count:
            return found, False
        low, high = (low, some[-1].id) if down else (some[-1].id, high)
    return found, True
