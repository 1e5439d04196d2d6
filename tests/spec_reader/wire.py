"""SPEC 3: the restricted MessagePack, decoded and encoded."""

from typing import TypeAlias

from tests.spec_reader.refusal import refuse, require

Wire: TypeAlias = "bool | int | bytes | str | list[Wire] | None"

DEPTH = 16
ITEMS = 16_384
_CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
_BINARY = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAY = {0xDC: 2, 0xDD: 4}
_UNSIGNED = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_SIGNED = {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}


def decode(data: bytes, limit: int = 65_536) -> Wire:
    require(len(data) <= limit, "limit_exceeded", f"{len(data)} bytes, {limit} allowed")
    reader = _Reader(data)
    value = reader.value(1)
    require(reader.at == len(data), "malformed", "trailing bytes")
    require(encode(value) == data, "non_canonical")
    return value


def encode(value: Wire) -> bytes:
    if value is None or isinstance(value, bool):
        return bytes([next(byte for byte, constant in _CONSTANTS.items() if constant is value)])
    if isinstance(value, int):
        return _encode_number(value)
    if isinstance(value, bytes):
        return _head(len(value), _BINARY) + value
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 + len(raw)]) if len(raw) < 32 else _head(len(raw), _TEXT)) + raw
    head = bytes([0x90 + len(value)]) if len(value) < 16 else _head(len(value), _ARRAY)
    return head + b"".join(map(encode, value))


def _encode_number(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else _head(number, _UNSIGNED)


def _head(number: int, forms: dict[int, int]) -> bytes:
    """The shortest of the forms that holds the number."""
    byte, width = next((byte, width) for byte, width in forms.items() if number < 1 << 8 * width)
    return bytes([byte]) + number.to_bytes(width, "big")


class _Reader:
    """Reads any well-formed value of the kinds permitted; whether its form was the shortest is asked afterwards."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        require(len(piece) == count, "malformed", "truncated")
        self.at += count
        return piece

    def number(self, width: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "big", signed=signed)

    def value(self, depth: int) -> Wire:
        first = self.take(1)[0]
        if first < 0x80:
            return first
        if 0x90 <= first < 0xA0:
            return self.array(first - 0x90, depth)
        if 0xA0 <= first < 0xC0:
            return self.text(first - 0xA0)
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        return self.sized(first, depth)

    def sized(self, first: int, depth: int) -> Wire:
        if first in _UNSIGNED:
            return self.number(_UNSIGNED[first])
        if first in _BINARY:
            return self.take(self.number(_BINARY[first]))
        if first in _TEXT:
            return self.text(self.number(_TEXT[first]))
        if first in _ARRAY:
            return self.array(self.number(_ARRAY[first]), depth)
        require(first in _SIGNED, "malformed", f"byte {first:02x}")
        number = self.number(_SIGNED[first], signed=True)
        require(number >= 0, "malformed", "negative")
        return number

    def text(self, count: int) -> str:
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            refuse("malformed", "not UTF-8")

    def array(self, count: int, depth: int) -> list[Wire]:
        require(depth <= DEPTH, "limit_exceeded", "nesting")
        require(count <= ITEMS, "limit_exceeded", "items")
        return [self.value(depth + 1) for _ in range(count)]
