"""What a caller sends without end is read as far as its limit, and no further."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from node.api import body_of
from protocol.errors import LimitError

PIECE, MOST = b"x" * 1_024, 10_000


class Endless:
    """A body of no told length; `given` pieces were taken of it."""

    def __init__(self) -> None:
        self.given = 0

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        while self.given < 100:
            self.given += 1
            yield PIECE


async def test_a_body_of_no_told_length_is_read_up_to_the_limit() -> None:
    body = Endless()
    with pytest.raises(LimitError):
        await body_of(cast("web.Request", _request(None, body)), MOST)
    assert body.given == 10


async def test_a_body_of_a_told_length_over_the_limit_is_not_read() -> None:
    body = Endless()
    with pytest.raises(LimitError):
        await body_of(cast("web.Request", _request(MOST + 1, body)), MOST)
    assert body.given == 0


def _request(length: int | None, content: Endless) -> Any:
    return SimpleNamespace(content_length=length, content=content)
