"""Which events the sources write to the log, with their fields, and which deploy/LOGS.md explains."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.deploy.places import DEPLOY, ROOT

PAGE = DEPLOY / "LOGS.md"
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_ROW = re.compile(r"^\| `([a-z_]+)` \| ([a-z, ]+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def written() -> dict[str, tuple[set[str], set[str]]]:
    """Levels and fields of each event, by its name."""
    found: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for room in ("keys", "hub", "node"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for name, levels, fields in _calls(ast.parse(path.read_text(encoding="utf-8"))):
                found[name][0].update(levels)
                found[name][1].update(fields)
    return dict(found)


def _calls(tree: ast.Module) -> Iterator[tuple[str, set[str], set[str]]]:
    constants = {
        each.target.id: each.value.value
        for each in tree.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and isinstance(each.value, ast.Constant)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and (levels := _levels(call.func)):
            assert len(call.args) == 1, ast.unparse(call)
            said = call.args[0]
            name = said.value if isinstance(said, ast.Constant) else constants.get(ast.unparse(said))
            # A name that is put together cannot be looked for, and might hold anything.
            assert isinstance(name, str), ast.unparse(call)
            fields = {str(each.arg) for each in call.keywords if each.arg != "exc_info"}
            if any(each.arg == "exc_info" for each in call.keywords) or "exception" in levels:
                fields.add("exception")
            yield name, {"error" if each == "exception" else each for each in levels}, fields


def _levels(function: ast.expr) -> set[str]:
    """The levels of a call of a log; empty for any other call."""
    if isinstance(function, ast.IfExp):
        return _levels(function.body) | _levels(function.orelse)
    if not isinstance(function, ast.Attribute) or function.attr not in _LEVELS:
        return set()
    log = function.value
    name = log.attr if isinstance(log, ast.Attribute) else log.id if isinstance(log, ast.Name) else ""
    return {function.attr} if name.lstrip("_") == "log" else set()


def explained() -> dict[str, tuple[set[str], set[str]]]:
    """The same as the page has it."""
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {
        name: (set(levels.split(", ")), set(re.findall(r"`([a-z_]+)`", fields))) for name, levels, fields, _, _ in rows
    }
