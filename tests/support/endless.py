"""A request whose body never seems to end: it counts how much of it was taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

PIECES = 1_000


@dataclass
class Endless:
    """So far `given` of its pieces were taken; `content_length` is what its header told, None for nothing."""

    piece: bytes
    content_length: int | None = None
    given: int = 0

    @property
    def content(self) -> Any:
        """The body, as a request of aiohttp has it."""
        return self

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        while self.given < PIECES:
            self.given += 1
            yield self.piece

    def iter_any(self) -> AsyncIterator[bytes]:
        return self.iter_chunked(0)
