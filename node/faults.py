"""Where in a request something is wrong, as callers are told beside the refusal (`errors` of a problem, RFC 9457).

The body's field is named by a JSON pointer (RFC 6901); a parameter of path or query and a header by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import inspect

from protocol.errors import UsageError

_STEPS: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `([^`]*)`")


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong: what, and in which field of the body, parameter of path or query, or header."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class FieldError(UsageError):
    """The request cannot be carried out as given; correct it and try again."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        """Keep the fault; `detail` is said in place of its own where given."""
        super().__init__(detail or fault.detail)
        self.fault = fault


def field(name: str, detail: str) -> FieldError:
    """The error about the field of the body that this pointer without its first slash names."""
    return FieldError(Fault(detail, pointer=f"/{name}"))


def parameter(name: str, detail: str) -> FieldError:
    """The error about a parameter of the path or the query."""
    return FieldError(Fault(detail, parameter=name))


def header(name: str, detail: str) -> FieldError:
    """The error about a header."""
    return FieldError(Fault(detail, header=name))


def misfit(error: msgspec.ValidationError, kind: Any) -> FieldError:
    """What msgspec found in a body read as `kind`, said without any value that was given, which may be confidential."""
    text = str(error)
    # The path stands behind the last such word; a field's name may hold the word, the path alone begins with a dollar.
    message, _, path = text.rpartition(" - at ")
    if not path.startswith("`$"):
        message, path = text, ""
    said = message.split(", got")[0].replace("`", "")
    shown = said if said.startswith(("Expected", "Object missing", "Object contains unknown")) else "not acceptable"
    if message.startswith("Invalid enum value"):
        taken = _taken(inspect.type_info(kind), pointer_of(path.strip("`")).split("/")[1:])
        shown = f"Expected one of {', '.join(map(str, taken))}" if taken else shown
    pointer = pointer_of(path.strip("`")) + "".join(_named(message))
    where = path.replace("`", "")
    return FieldError(Fault(shown, pointer=pointer), f"{shown} at {where}" if where else shown)


def _taken(kind: inspect.Type, steps: Sequence[str]) -> list[object]:
    """The values of the enumeration to which these steps lead."""
    match kind:
        case inspect.UnionType():
            return [value for each in kind.types for value in _taken(each, steps)]
        case inspect.StructType() if steps:
            return [v for each in kind.fields if each.encode_name == steps[0] for v in _taken(each.type, steps[1:])]
        case inspect.VarTupleType() | inspect.ListType() if steps:
            return _taken(kind.item_type, steps[1:])
        case inspect.EnumType() if not steps:
            return [each.value for each in kind.cls]
    return []


def _named(message: str) -> Iterator[str]:
    for pattern in (_UNKNOWN, _MISSING):
        if found := pattern.match(message):
            yield "/" + found[1].replace("~", "~0").replace("/", "~1")


def pointer_of(path: str) -> str:
    """The JSON pointer for a path as msgspec writes it (`$.to[0]`); a key that it does not name ends the pointer."""
    pointer = ""
    for step in _STEPS.finditer(path.removeprefix("$")):
        if step[0] == "[...]":
            break
        pointer += "/" + (step[1] or step[2]).replace("~", "~0").replace("/", "~1")
    return pointer
