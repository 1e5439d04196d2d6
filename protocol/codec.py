"""The wire's one alphabet: canonical MessagePack of nil, bool, uint, bin, str and array (SPEC section 3).

`decode` bounds size, array length and depth, admits these six kinds only, and asks that encoding the
value again gives the same bytes: so a value has one encoding, and what was hashed or signed is what was
read.  The readers below it turn a decoded value into a typed one, and refuse everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import chain
from typing import Any, Final, TypeAlias, TypeVar

import msgpack
import msgspec

from protocol.errors import LimitError, MalformedError, NonCanonicalError, UsageError, VersionError
from protocol.limits import MAX_ARRAY_ITEMS, MAX_DEPTH

Value: TypeAlias = "bool | int | bytes | str | Sequence[Value] | None"
T = TypeVar("T")
K = TypeVar("K", bound=IntEnum)

VERSION: Final = 0

_SCALARS: Final = frozenset({type(None), bool, bytes, str})
_SHORT_ARRAY_ITEMS: Final = 64
# Of the two libraries this one writes faster, and the other can bound what it reads.
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(value: Value) -> bytes:
    """The one MessagePack encoding of `value`, in the smallest forms; `decode` gives it back, tuples as lists.

    Raises `UsageError` for any other type (subclasses too), a negative or too large integer, lone
    surrogates, an array of more than `MAX_ARRAY_ITEMS`, or arrays nested deeper than `MAX_DEPTH`.
    """
    try:
        _check(value)
        return _ENCODER.encode(value)
    except (MalformedError, LimitError) as error:
        raise UsageError(error.detail) from None
    except (OverflowError, UnicodeEncodeError):
        raise UsageError("an integer or a text has no encoding") from None


def decode(data: bytes, max_bytes: int) -> Value:
    """The value that `data` encodes: None, bool, int (0 to 2**64 - 1), bytes, str or a list of such.

    Raises `LimitError` for more than `max_bytes`, an array of more than `MAX_ARRAY_ITEMS` or arrays
    nested deeper than `MAX_DEPTH`; `NonCanonicalError` if the value has another, shorter encoding;
    `MalformedError` for everything else that is not exactly one value of the six kinds.
    """
    if len(data) > max_bytes:
        raise LimitError(f"{len(data)} bytes, at most {max_bytes}")
    value = _unpack(data)
    _check(value)
    if _ENCODER.encode(value) != data:
        raise NonCanonicalError
    return value


def _unpack(data: bytes) -> Value:
    # The decoder reserves room for what an array header announces, at each of a thousand depths, before the first
    # missing byte is noticed.  So it meets short arrays alone, until it is known that the long ones are all there.
    try:
        return _unpacked(data, _SHORT_ARRAY_ITEMS)
    except LimitError:
        _check_complete(data)
        return _unpacked(data, MAX_ARRAY_ITEMS)


def _unpacked(data: bytes, max_items: int) -> Value:
    try:
        value: Value = msgpack.unpackb(data, max_array_len=max_items, max_map_len=0)
    except msgpack.StackError:
        raise LimitError(f"arrays nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        if "max_array_len" in str(error):
            raise LimitError(f"an array of more than {max_items} items") from None
        raise MalformedError("not one MessagePack value") from None
    return value


def _check_complete(data: bytes) -> None:
    """Return if everything that a header announces is there; this builds nothing, so it reserves nothing either."""
    reader = msgpack.Unpacker(max_buffer_size=len(data))
    reader.feed(data)
    try:
        reader.skip()
    except msgpack.StackError:
        raise LimitError(f"arrays nested deeper than {MAX_DEPTH}") from None
    except (msgpack.OutOfData, ValueError):
        _check_announced(data)
        raise MalformedError("not one MessagePack value") from None


def _check_announced(data: bytes) -> None:
    # An array that is too long is that, whether or not all of it came.
    width = {0xDC: 2, 0xDD: 4}.get(data[0], 0)
    if int.from_bytes(data[1 : 1 + width], "big") > MAX_ARRAY_ITEMS:
        raise LimitError(f"an array of more than {MAX_ARRAY_ITEMS} items")


def _check(value: Value) -> None:
    # One depth at a time and not one array at a time: a frame may hold a million small ones.
    items: Sequence[Any] = (value,)
    for _depth in range(MAX_DEPTH + 1):
        arrays: list[Sequence[Any]] = []
        for item in items:
            kind = type(item)
            if kind is int:
                if item < 0:
                    raise MalformedError("a negative integer")
            elif kind is list or kind is tuple:
                if len(item) > MAX_ARRAY_ITEMS:
                    raise LimitError(f"an array of more than {MAX_ARRAY_ITEMS} items")
                arrays.append(item)
            elif kind not in _SCALARS:
                raise MalformedError("a type that does not travel")
        if not arrays:
            return
        # Most values are one array of scalars, or of one more: it is its own next depth.
        items = arrays[0] if len(arrays) == 1 else list(chain.from_iterable(arrays))
    raise LimitError(f"arrays nested deeper than {MAX_DEPTH}")


# -- readers: a decoded value in, a typed one out ----------------------------------------------------


def fields(value: Value, count: int) -> list[Value]:
    """The items of an array of exactly `count`; else `MalformedError`."""
    if not isinstance(value, list) or len(value) != count:
        raise MalformedError(f"not an array of {count}")
    return value


def versioned(value: Value, count: int | range) -> list[Value]:
    """The items after the protocol version in an array: exactly `count` of them, or a number within `range`.

    Raises `VersionError` for another version, and `MalformedError` for anything but an array that starts
    with an integer below 2**63 and has that many items more.
    """
    if not isinstance(value, list) or not value:
        raise MalformedError("not a versioned array")
    if (version := uint(value[0], 63)) != VERSION:
        raise VersionError(f"version {version}")
    if len(value) - 1 not in (range(count, count + 1) if isinstance(count, int) else count):
        raise MalformedError(f"a versioned array of {len(value)}")
    return value[1:]


def array(value: Value, max_count: int) -> list[Value]:
    """The items of an array; `MalformedError` if it is none, `LimitError` over `max_count` items."""
    if not isinstance(value, list):
        raise MalformedError("not an array")
    if len(value) > max_count:
        raise LimitError(f"{len(value)} items, at most {max_count}")
    return value


def uint(value: Value, bits: int = 64) -> int:
    """An integer from 0 to 2**bits - 1; else `MalformedError`."""
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise MalformedError(f"not an unsigned integer of {bits} bits")
    return value


def positive(value: Value, bits: int = 64) -> int:
    """An integer from 1 to 2**bits - 1; else `MalformedError`."""
    if (number := uint(value, bits)) == 0:
        raise MalformedError("zero where numbers start at one")
    return number


def one_of(kinds: type[K], value: Value) -> K:
    """The member of the enumeration `kinds` that has this number; else `MalformedError`."""
    try:
        return kinds(uint(value))
    except ValueError:
        raise MalformedError(f"no {kinds.__name__} has this number") from None


def flag(value: Value) -> bool:
    """True or False; else `MalformedError`."""
    if not isinstance(value, bool):
        raise MalformedError("not a boolean")
    return value


def binary(value: Value, size: int | None = None) -> bytes:
    """Bytes: exactly `size` of them, or any number; else `MalformedError`."""
    if not isinstance(value, bytes):
        raise MalformedError("not a byte string")
    if size is not None and len(value) != size:
        raise MalformedError(f"a byte string of {len(value)}")
    return value


def bounded(value: Value, max_bytes: int) -> bytes:
    """Bytes; `MalformedError` if it is none, `LimitError` over `max_bytes` of them."""
    if len(data := binary(value)) > max_bytes:
        raise LimitError(f"a byte string of {len(data)}, at most {max_bytes}")
    return data


def text(value: Value, max_bytes: int | None = None) -> str:
    """A string; `MalformedError` if it is none, `LimitError` over `max_bytes` of UTF-8."""
    if not isinstance(value, str):
        raise MalformedError("not a text")
    if max_bytes is not None and len(value.encode()) > max_bytes:
        raise LimitError(f"a text of more than {max_bytes} bytes")
    return value


def optional(value: Value, reader: Callable[[Value], T]) -> T | None:
    """None for nil, else what `reader` makes of it."""
    return None if value is None else reader(value)
