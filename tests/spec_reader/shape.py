"""What a decoded value must be; anything else is `malformed`, what passes a limit `limit_exceeded`."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.wire import Wire, decode

T = TypeVar("T")
Party = tuple[bytes, str]
Incarnation = tuple[int, int]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")


def array(value: Wire, count: int | None = None) -> list[Wire]:
    if not isinstance(value, list):
        refuse("malformed", "no array")
    require(count is None or len(value) == count, "malformed", f"{len(value)} elements, not {count}")
    return value


def many(value: Wire, read: Callable[[Wire], T], least: int = 0, most: int = 16_384) -> list[T]:
    items = array(value)
    require(len(items) <= most, "limit_exceeded", f"{len(items)} items, {most} allowed")
    require(len(items) >= least, "malformed", f"{len(items)} items, {least} needed")
    return [read(item) for item in items]


def structure(data: bytes, limit: int, count: int) -> list[Wire]:
    """An array that begins with the protocol version, without it."""
    value = array(decode(data, limit))
    version(value)
    return array(value, count)[1:]


def version(value: list[Wire]) -> None:
    require(value, "malformed", "an empty array")
    require(uint(value[0]) == 0, "unsupported_version")


def uint(value: Wire, least: int = 0, most: int = (1 << 63) - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        refuse("malformed", "no number")
    require(least <= value <= most, "malformed", f"{value} is not in {least} to {most}")
    return value


def binary(value: Wire, size: int | None = None, most: int | None = None) -> bytes:
    if not isinstance(value, bytes):
        refuse("malformed", "no byte string")
    require(most is None or len(value) <= most, "limit_exceeded", f"{len(value)} bytes")
    require(size is None or len(value) == size, "malformed", f"{len(value)} bytes, not {size}")
    return value


def digest(value: Wire) -> bytes:
    return binary(value, 32)


def text(value: Wire, most: int) -> str:
    if not isinstance(value, str):
        refuse("malformed", "no text")
    require(len(value.encode()) <= most, "limit_exceeded", f"text over {most} bytes")
    return value


def name(value: Wire) -> str:
    if not isinstance(value, str):
        refuse("malformed", "no text")
    require(2 <= len(value) <= 32 and _NAME.fullmatch(value), "malformed", f"no name: {value!r}")
    return value


def code(value: Wire) -> str:
    if not isinstance(value, str):
        refuse("malformed", "no text")
    require(len(value) <= 64, "limit_exceeded", "code")
    require(_CODE.fullmatch(value), "malformed", f"no code: {value!r}")
    return value


def party(value: Wire) -> Party:
    association, member = array(value, 2)
    return digest(association), name(member)


def incarnation(value: Wire) -> Incarnation:
    charter, leaf = array(value, 2)
    return uint(charter, 1), uint(leaf)


def optional(value: Wire, read: Callable[[Wire], T]) -> T | None:
    return None if value is None else read(value)


def ascending(keys: Sequence[int] | Sequence[str] | Sequence[bytes] | Sequence[Party] | Sequence[Incarnation]) -> None:
    """Strictly. Texts are compared as text: code points are in the order of their UTF-8 bytes."""
    require(all(one < two for one, two in pairwise(keys)), "malformed", "order")  # type: ignore[operator]
