"""Settings of a daemon: one TOML file, environment variables over it, and every mistake told at once.

A model is a `msgspec.Struct` whose fields are sections, each again a Struct of plain values.  The variable
`VALIJA_HUB_TLS_KEY` overrides `key` in section `[tls]` for the prefix `VALIJA_HUB`.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from protocol.errors import ConfigError, HomeMissingError

T = TypeVar("T", bound=msgspec.Struct)

Sections = dict[str, dict[str, Any]]


def load(path: Path, model: type[T], prefix: str, environment: Mapping[str, str]) -> T:
    """The settings in `path`, overridden by the variables of `environment` that start with `prefix`.

    Raises `HomeMissingError` if there is no such file, `ConfigError` naming every mistake that it holds.
    """
    sections, mistakes = _read(path)
    values = {}
    for name, section in get_type_hints(model).items():
        given, variables = sections.pop(name, {}), _overrides(section, f"{prefix}_{name}".upper(), environment)
        given |= {key: environment[variable] for key, variable in variables.items()}
        values[name] = _section(name, section, given, variables, mistakes)
    mistakes += [f"[{name}] is no section{meant(name, get_type_hints(model))}" for name in sections]
    if mistakes:
        raise ConfigError(f"{path}: " + "; ".join(mistakes))
    return model(**values)


def _read(path: Path) -> tuple[Sections, list[str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HomeMissingError(str(path)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    loose = [name for name, value in document.items() if not isinstance(value, dict)]
    return {n: v for n, v in document.items() if n not in loose}, [f"{name} stands outside a section" for name in loose]


def _overrides(section: type, prefix: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that override settings of this section, by setting."""
    names = {name: f"{prefix}_{name}".upper() for name in get_type_hints(section)}
    return {name: variable for name, variable in names.items() if variable in environment}


def _section(name: str, section: type, given: dict[str, Any], variables: Mapping[str, str], mistakes: list[str]) -> Any:
    """The section from what is given; each mistake is added to `mistakes`, and None comes back if there was one.

    What a variable says wrong is told under its name: nobody finds it in the file.
    """
    before = len(mistakes)
    hints = get_type_hints(section)
    values = {
        key: _value(variables.get(key, f"{name}.{key}"), hints[key], raw, mistakes)
        for key, raw in given.items()
        if key in hints
    }
    mistakes += [f"{name}.{key} is no setting{meant(key, hints)}" for key in given if key not in hints]
    required = [f.name for f in msgspec.structs.fields(section) if f.required and f.name not in given]
    mistakes += [f"{name}.{key} is missing" for key in required]
    return None if len(mistakes) > before else section(**values)


def _value(where: str, hint: Any, raw: Any, mistakes: list[str]) -> Any:
    if isinstance(raw, str) and "\0" in raw:
        mistakes.append(f"{where}: holds a zero character, as no name does")
        return None
    try:
        return msgspec.convert(raw, hint, strict=not isinstance(raw, str))
    except msgspec.ValidationError as error:
        mistakes.append(f"{where}: {error}".replace("`", ""))
        return None


def quoted(text: str) -> str:
    """`text` as a string of TOML, whatever it holds."""
    # A string of JSON is one of TOML too, but for this one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def meant(word: str, known: Mapping[str, Any]) -> str:
    """A question whether a known word was meant, if one is like it; else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""
