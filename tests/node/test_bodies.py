"""What a caller sends without end is read as far as its limit, and no further."""

from __future__ import annotations

from typing import cast

import pytest
from aiohttp import web

from node.api import body_of
from protocol.errors import LimitError
from tests.support.endless import Endless

PIECE, MOST = b"x" * 1_024, 10_000


async def test_a_body_of_no_told_length_is_read_up_to_the_limit() -> None:
    body = Endless(PIECE)
    with pytest.raises(LimitError):
        await body_of(cast("web.Request", body), MOST)
    assert body.given == 10


async def test_a_body_of_a_told_length_over_the_limit_is_not_read() -> None:
    body = Endless(PIECE, content_length=MOST + 1)
    with pytest.raises(LimitError):
        await body_of(cast("web.Request", body), MOST)
    assert body.given == 0
