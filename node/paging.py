"""A page of a list: rows read some at a time, until there are enough of them or enough bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from node.api_requests import Page
from node.tables.finding import FOREVER

_PAGE_BYTES: Final = 4 * 1024 * 1024
_ROWS_A_READ: Final = 32


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
