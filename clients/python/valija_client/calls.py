"""Asking and reading: what goes out as JSON, what comes back as the type that was expected."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from valija_client.errors import AnswerError
from valija_client.types import Page
from valija_client.wire import Asked, Wire

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE: Final = 200
JSON: Final = {"Content-Type": "application/json"}


class Decoder(Protocol[T_co]):
    """Reads one kind of answer."""

    def decode(self, data: bytes, /) -> T_co:
        """The answer; `msgspec.DecodeError` for anything else."""


class Calls:
    """The calls of one client; all of them raise `Problem`, `UnreachableError` and `AnswerError`."""

    def __init__(self, wire: Wire) -> None:
        """Nothing is asked yet."""
        self.wire = wire

    async def get(self, path: str, kind: Decoder[T], query: Mapping[str, str] | None = None) -> T:
        """What GET of this path below `/api/v1/` answers."""
        return await self.read(Asked("GET", path, query or {}), kind)

    async def post(
        self,
        path: str,
        kind: Decoder[T],
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        is_repeatable: bool = True,
    ) -> T:
        """What POST of this as JSON answers; tried again after a broken line only if it `is_repeatable`."""
        data = None if body is None else msgspec.json.encode(body)
        return await self.read(Asked("POST", path, query or {}, JSON if data else {}, data, is_repeatable), kind)

    async def pages(self, path: str, kind: Decoder[Page[T]], after: str | None) -> AsyncGenerator[T]:
        """Every item of a list behind a cursor, oldest first, page after page until there is no more."""
        more = True
        while more:
            page = await self.get(path, kind, {"limit": str(PAGE)} | ({"after": after} if after else {}))
            for item in page.items:
                yield item
            after, more = page.next or after, page.more

    async def read(self, asked: Asked, kind: Decoder[T]) -> T:
        """What this request answers."""
        return read(await self.wire.ask(asked), kind)


def read(data: bytes, kind: Decoder[T]) -> T:
    """What these bytes hold; `AnswerError` if it is something else."""
    try:
        return kind.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnswerError(f"not what a node answers: {type(error).__name__}") from error
