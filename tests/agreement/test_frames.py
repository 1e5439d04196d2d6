"""The table of frames in SPEC 11.2 and the one in the code say the same, both ways."""

from __future__ import annotations

import re

from protocol.session.frames import SHAPES
from tests.agreement.spec import table

# Fields that the table gives by reference ("above"), and how many each has (SPEC 11.1).
ABOVE = {"Finish": 2, "Welcome": 4}


def width(fields: str) -> int:
    """How many fields stand beside each other, not counting those inside brackets."""
    listed = re.match(r"`(.*?)`", fields)
    assert listed, fields
    flat = listed[1]
    while (inner := re.sub(r"\[[^\[\]]*\]", "list", flat)) != flat:
        flat = inner
    return len(flat.split(","))


def in_spec() -> dict[int, tuple[str, str, int]]:
    found = {}
    for number, name, direction, fields in table("11.2"):
        assert int(number) not in found
        found[int(number)] = (name, direction, ABOVE[name] if fields == "above" else width(fields))
    return found


def in_code() -> dict[int, tuple[str, str, int]]:
    return {shape.type: (kind.__name__, shape.direction.value, shape.width) for kind, shape in SHAPES.items()}


def test_types_names_directions_and_numbers_of_fields_agree() -> None:
    assert in_spec() == in_code()
    assert len(in_code()) == len(SHAPES)


def test_fields_have_the_names_of_the_table() -> None:
    """`request, [member…]` and `request, members` are the same words."""
    for _number, name, _direction, fields in table("11.2"):
        kind = next(kind for kind in SHAPES if kind.__name__ == name)
        first = re.match(r"`(\w+)", fields)
        if first and first[1] in {"request", "position", "size", "code"}:
            assert kind.__dataclass_fields__.keys() >= {first[1]}, name
