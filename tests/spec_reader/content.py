"""SPEC 8.1: a content document, read strictly and held against `content.schema.json`."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from tests.spec_reader.refusal import refuse, require

BYTES, DEPTH = 524_288, 16
_SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "protocol" / "content.schema.json").read_text(encoding="utf-8")
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "null": lambda value: value is None,
    "any": lambda _: True,
}


def read_content(document: bytes) -> dict[str, Any]:
    require(len(document) <= BYTES, "limit_exceeded", "content")
    try:
        text = document.decode()
    except UnicodeDecodeError:
        refuse("malformed", "not UTF-8")
    require(not text.startswith("\ufeff"), "malformed", "byte order mark")
    _check_depth(text)
    value = _parse(text)
    _check_text(value)
    require(_fits(value, _SCHEMA), "malformed", "not by the schema")
    if value.get("due_at") is not None:
        _check_date(value["due_at"])
    codes = (value.get("handling") or {}).get("europol", [])
    require(len(set(codes)) == len(codes), "malformed", "a Europol code twice")
    assert isinstance(value, dict)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        require(depth <= DEPTH, "limit_exceeded", "nesting")


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer)
    except ValueError:
        refuse("malformed", "no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    require(len(dict(pairs)) == len(pairs), "malformed", "a field twice")
    return dict(pairs)


def _no_number(text: str) -> NoReturn:
    refuse("malformed", text)


def _integer(text: str) -> int | float:
    """Numbers of any length are JSON; only small ones are asked for."""
    return int(text) if len(text) < 20 else float(text)


def _check_text(value: Any) -> None:
    """No unpaired surrogate, in no name and no value."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
    elif isinstance(value, str):
        require(not any("\ud800" <= one <= "\udfff" for one in value), "malformed", "surrogate")


def _check_date(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        refuse("malformed", "no date")


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "$ref" in schema:
        return _fits(value, _SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema:
        return any(_fits(value, choice) for choice in schema["anyOf"])
    if value not in schema.get("enum", [value]) or not _TYPES[schema.get("type", "any")](value):
        return False
    if isinstance(value, dict):
        return _fits_object(value, schema)
    if isinstance(value, list):
        return _fits_length(value, schema, "Items") and all(_fits(item, schema.get("items", {})) for item in value)
    if isinstance(value, str):
        return _fits_length(value, schema, "Length") and bool(re.search(schema.get("pattern", ""), value))
    return value is None or bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _fits_object(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    fields = schema.get("properties", {})
    present = all(name in value for name in schema.get("required", []))
    return present and all(_fits(value[name], fields[name]) for name in fields.keys() & value.keys())


def _fits_length(value: str | list[Any], schema: dict[str, Any], what: str) -> bool:
    return bool(schema.get("min" + what, 0) <= len(value) <= schema.get("max" + what, BYTES))
