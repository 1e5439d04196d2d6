"""Every sentence that people read in their language: in templates, marked in the source, and told by refusals."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import click
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from node.cli import main
from node.i18n import LANGUAGES, SOURCE
from protocol.errors import ValijaError

ROOT = Path(__file__).parents[2]
LOCALE = ROOT / "node" / "locale"
TRANSLATED = tuple(each for each in LANGUAGES if each != SOURCE)
SPOKEN = ("node/web", "node/people", "node/nudging/words.py", "node/i18n.py", "node/speaking.py", "node/cli*.py",
          "node/terminal.py", "node/fields.py", "node/housekeeping.py", "node/doctor.py",
          "node/diagnosis.py", "node/vital_signs.py")  # fmt: skip
REFUSING = (*SPOKEN, "node/api_requests.py", "node/api_people.py", "node/api_nudges.py", "node/desks.py", "node/paging.py", "node/search.py",
            "node/service.py", "node/walls.py", "node/handling.py", "node/acceptance.py", "node/api.py", "node/config.py",
            "node/withdrawal.py", "node/handover.py", "node/nudging/*.py", "node/webhooks/book.py", "keys/console.py", "keys/guard.py", "keys/passwords.py", "keys/turns.py",
            "protocol/messages/content.py")  # fmt: skip
FAULTS = {"field", "header", "parameter"}
"""Of `node.faults`: what they are about, and what is wrong with it."""
WORDS = re.compile(r"[a-z]{2,} [a-z]{2,}|[a-z] [a-z]")
KEYWORDS = {"N_": 1, "say": 1, "told": 1, "count": 2, "_": 1}
"""Who is given sentences, and how many: an f-string may hold such a call, too."""

Sentence = str | tuple[str, str]


@cache
def sentences() -> frozenset[Sentence]:
    """All sentences; a pair where there is one for one thing and one for many."""
    return frozenset({*_of_templates(), *_of_source(), *_of_refusals(), *_of_alarms(), *_of_help(main)})


def _of_templates() -> Iterator[Sentence]:
    for path in sorted((ROOT / "node" / "web" / "templates").glob("*.html")):
        options = {"newstyle_gettext": "true", "trimmed": "false"}
        with path.open("rb") as source:
            for _line, function, message, _comments in babel_extract(source, ("_", "gettext", "ngettext"), (), options):
                found = message if isinstance(message, tuple) else (message,)
                words = tuple(each for each in found if each)
                if words:
                    yield (words[0], words[1]) if function == "ngettext" else words[0]


def _of_source() -> Iterator[Sentence]:
    for path in _modules(SPOKEN):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (wanted := KEYWORDS.get(getattr(node.func, "attr", "") or _name(node))):
                given = [each.value for each in node.args[:wanted] if isinstance(each, ast.Constant)]
                words = [each for each in given if isinstance(each, str)]
                if len(words) == wanted:
                    yield (words[0], words[1]) if wanted > 1 else words[0]


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _of_refusals() -> Iterator[Sentence]:
    yield from (_sentence(kind) for kind in _kinds(ValijaError) if kind.__module__ == ValijaError.__module__)
    for path in _modules(REFUSING):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from filter(None, map(_detail, _details(node)))


def _of_alarms() -> Iterator[str]:
    """What alarms tell beside their code, which the page of the node's state shows."""
    for path in _modules(("node",)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "alarm":
                yield from filter(None, map(_detail, node.args[3:4]))


def _details(call: ast.Call) -> list[ast.expr]:
    """What this call gives an error to tell beside its sentence."""
    if _name(call).endswith("Error"):
        return call.args[:1]
    return call.args[1:2] if getattr(call.func, "attr", "") in FAULTS else []


def _detail(told: ast.expr) -> str | None:
    """The sentence, with `{name}` for whatever is filled in; None for what is none."""
    if isinstance(told, ast.Constant) and isinstance(told.value, str):
        return told.value
    if not isinstance(told, ast.JoinedStr):
        return None
    parts: list[str] = []
    for each in told.values:
        if isinstance(each, ast.FormattedValue):
            name = _called(each.value)
            parts.append(f"{{{name if f'{{{name}}}' not in parts else name + '_too'}}}")
        elif isinstance(each, ast.Constant):
            parts.append(str(each.value))
    sentence = "".join(parts)
    return sentence if WORDS.search(re.sub(r"\{\w+\}", "", sentence)) else None


def _called(value: ast.expr) -> str:
    """What is filled in, by the last name in the expression: `MAX_DESKS`, `error.detail`, `len(found)`."""
    names = [
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(value)
        if isinstance(each, ast.Name | ast.Attribute)
    ]
    return (
        max((each for each in names if each not in {"len", "join", "sorted"}), key=len, default="value")
        .strip("_")
        .lower()
    )


def _modules(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        for path in sorted(ROOT.glob(name)):
            yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def _of_help(command: click.Command) -> Iterator[str]:
    """What a command says of itself and of its options, and each command below it."""
    yield inspect.cleandoc(command.help or "")
    yield from (each.help for each in command.params if isinstance(each, click.Option) and each.help)
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _of_help(each)


def _kinds(kind: type[ValijaError]) -> Iterator[type[ValijaError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def _sentence(kind: type[ValijaError]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


# -- catalogues ------------------------------------------------------------------------------------------
def catalogue(language: str) -> Catalog:
    """The catalogue of this language as it is written."""
    return read_po(BytesIO((LOCALE / f"{language}.po").read_bytes()), locale=language.replace("-", "_"))


def update(language: str) -> None:
    """Afterwards the catalogue holds every sentence, what was translated kept, and no other."""
    old = catalogue(language)
    fresh = Catalog(
        locale=language.replace("-", "_"),
        charset="utf-8",
        header_comment="# Sentences of Valija's pages, calls and commands.",
        fuzzy=False,
    )
    for each in sorted(sentences(), key=lambda one: one if isinstance(one, str) else one[0]):
        known = old.get(each[0] if isinstance(each, tuple) else each)
        fresh.add(each, known.string if known is not None else None)
    written = BytesIO()
    write_po(written, fresh, omit_header=False, sort_output=True, width=110, include_lineno=False)
    lines = [line for line in written.getvalue().decode().splitlines() if not line.startswith(_PERSONAL)]
    (LOCALE / f"{language}.po").write_text("\n".join(lines) + "\n", encoding="utf-8")


_PERSONAL = ('"POT-Creation-Date', '"PO-Revision-Date', '"Last-Translator', '"Language-Team', '"Generated-By',
             '"Project-Id-Version', '"Report-Msgid-Bugs-To')  # fmt: skip


if __name__ == "__main__":
    for tag in TRANSLATED:
        update(tag)
