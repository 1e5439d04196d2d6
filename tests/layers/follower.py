"""Who imports whom, read from the source: every import statement counts, wherever it stands."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: what it imports of ours, and what from elsewhere, each by its full dotted name."""

    name: str
    tree: ast.Module
    ours: frozenset[str] = field(default_factory=frozenset)
    foreign: frozenset[str] = field(default_factory=frozenset)


def read(root: Path, packages: Iterable[str]) -> dict[str, Module]:
    """Read all modules of these packages under `root`, by dotted name."""
    trees = {
        dotted(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8"), str(path))
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }
    return {name: module(name, tree, trees.keys()) for name, tree in trees.items()}


def dotted(path: Path) -> str:
    """The import name of a source file: `a/b/__init__.py` is `a.b`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module(name: str, tree: ast.Module, known: Iterable[str]) -> Module:
    """Sort the imports of one module into ours and foreign."""
    known = set(known)
    wanted = set(imports(name, tree))
    # `from a import b` names a module or a value of one: only the source tree tells which.
    ours = {part for want in wanted for part in chain(want) if part in known} - {name}
    foreign = {want for want in wanted if not any(part in known for part in chain(want))}
    return Module(name, tree, frozenset(ours), frozenset(foreign))


def chain(name: str) -> Iterator[str]:
    """A dotted name and all packages around it, since importing one runs the others."""
    parts = name.split(".")
    return (".".join(parts[: size + 1]) for size in range(len(parts)))


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Every dotted name that an import statement of this module mentions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = ".".join(name.split(".")[: -node.level]) if node.level else ""
            base = ".".join(part for part in (around, node.module) if part)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def reach(modules: dict[str, Module], start: str) -> dict[str, list[str]]:
    """All modules of ours that importing `start` runs, each with the shortest path that leads there."""
    paths, queue = {start: [start]}, [start]
    for here in queue:
        for there in sorted(modules[here].ours - paths.keys()):
            paths[there] = [*paths[here], there]
            queue.append(there)
    return paths


def calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every call: `open(…)` gives `open`, `x.y.generate()` gives `.generate`; what the module defines itself is left out."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute):
            yield node.lineno, f".{node.func.attr}"
        elif isinstance(node.func, ast.Name) and node.func.id not in own:
            yield node.lineno, node.func.id


def cycles(modules: dict[str, Module]) -> list[list[str]]:
    """Each cycle of imports once, starting from its first module by name; packages' own `__init__` left out."""
    found = []
    for name, start in sorted(modules.items()):
        for there in sorted(start.ours):
            back = reach(modules, there).get(name)
            if back and name == min(back):
                found.append([name, *back])
    return found
