"""Every sentence is there in every language, whole: what is in braces stays in braces, and nothing is left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from node.i18n import LANGUAGES, negotiate, speech
from tests.languages.sentences import ROOT, TRANSLATED, catalogue, sentences

FILLED = re.compile(r"%\((\w+)\)[sd]|\{(\w+)\}")


def key(sentence: str | Sequence[str]) -> str:
    return sentence if isinstance(sentence, str) else sentence[0]


def said(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or [""])


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str) -> None:
    known = {key(each.id): each for each in catalogue(language) if each.id}
    wanted = {key(each) for each in sentences()}
    assert not wanted - known.keys(), "run: python -m tests.languages.sentences, then translate what is empty"
    assert not known.keys() - wanted, "no longer said; run: python -m tests.languages.sentences"
    assert not [name for name, each in known.items() if not all(said(each))]
    assert not [name for name, each in known.items() if each.fuzzy]


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_is_filled_in_stands_in_every_translation(language: str) -> None:
    for each in catalogue(language):
        if not each.id:
            continue
        source = each.id if isinstance(each.id, str) else each.id[-1]
        for one in said(each)[-1:]:
            assert set(FILLED.findall(one)) == set(FILLED.findall(source)), source


@pytest.mark.parametrize(
    ("chosen", "accept", "spoken"),
    [
        ("", "es-AR,es;q=0.9,en;q=0.8", "es"),
        ("", "pt", "pt-BR"),
        ("", "pt-PT", "pt-PT"),
        ("", "pt-br;q=0.3, fr", "pt-BR"),
        ("", "fr-FR", "en"),
        ("", "", "en"),
        ("pt-PT", "es", "pt-PT"),
        ("xx", "es", "es"),
        ("", "es;q=nothing", "es"),
        ("", ";;;,,,\x00é", "en"),
        ("", "en;q=0.1, es;q=0.9", "es"),
    ],
)
def test_the_reader_s_language_is_spoken(chosen: str, accept: str, spoken: str) -> None:
    assert negotiate(chosen, accept) == spoken


@pytest.mark.parametrize("language", LANGUAGES)
def test_times_countries_and_lists_are_told_as_they_are_written_there(language: str) -> None:
    told = speech(language, "America/Bogota")
    at = 1_800_000_000
    assert "2027" in told.date(at)
    assert "-05" in told.moment(at)
    expected = {"es": "Brasil", "pt-BR": "Brasil", "pt-PT": "Brasil", "en": "Brazil"}[language]
    assert told.country("br") == expected
    assert told.listed(["a", "b", "c"]) == {"en": "a, b, and c"}.get(
        language, f"a, b {'y' if language == 'es' else 'e'} c"
    )
    assert told.ago(at - 7_200, at) in {"hace 2 horas", "há 2 horas", "2 hours ago"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (11 * 86_400 + 40_000, "dentro de 11 días"),
        (45 * 86_400, "dentro de 45 días"),
        (2 * 86_400 - 1, "dentro de 47 horas"),
        (5_399, "dentro de 89 minutos"),
        (30, "dentro de 1 minuto"),
        (0, "dentro de 1 minuto"),
        (-(3 * 86_400 + 80_000), "hace 3 días"),
    ],
)
def test_a_deadline_is_never_told_later_than_it_is(seconds: int, told: str) -> None:
    at = 1_800_000_000
    assert speech("es").left(at + seconds, at) == told


# -- details of refusals ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("es", "una persona ve como máximo 256 oficinas"),
        ("pt-BR", "uma pessoa vê no máximo 256 setores"),
        ("pt-PT", "uma pessoa vê no máximo 256 serviços"),
        ("en", "a person sees 256 desks at most"),
    ],
)
def test_a_detail_with_a_number_in_it_is_told_in_the_reader_s_language(language: str, told: str) -> None:
    assert speech(language).detail("a person sees 256 desks at most") == told


def test_what_is_filled_in_is_told_as_it_is() -> None:
    told = speech("es")
    assert told.detail("nobody here logs in as {login} %s\n\\1") == "nadie entra aquí como {login} %s\n\\1"
    assert told.detail("mail.password_file cannot be read") == "no se puede leer mail.password_file"
    assert told.detail("TLP:RED: not for a, b") == "TLP:RED: no para a, b"
    assert told.detail("what no catalogue holds") == "what no catalogue holds"
    assert told.detail("nobody here logs in as " + "x" * 400).startswith("nobody")


# -- commands --------------------------------------------------------------------------------------------
SPEAKING = (
    "cli*.py",
    "terminal.py",
    "housekeeping.py",
    "doctor.py",
    "diagnosis.py",
    "vital_signs.py",
    "speaking.py",
    "console.py",
)
MARKED = {"say", "told", "N_", "count", "option", "argument"}
WORDS = re.compile(r"[a-z]{2,}[,;:]? [a-z]{2,}")
NAMES = {"set aside", "bold red"}
COMMAND = re.compile(r"[\s\d.]*valija-(node|keys) ")


def is_sentence(text: str) -> bool:
    return WORDS.search(text) is not None and COMMAND.match(text) is None and text not in NAMES


def unmarked(path: Path) -> Iterator[str]:
    """Sentences of a module that are neither marked for translation nor documentation."""

    def look(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in MARKED:
            # What is filled in may hold another sentence.
            yield from (each for word in node.keywords if word.arg != "help" for each in look(word.value))
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_sentence(node.value):
            yield f"{path.name}:{node.lineno}: {node.value}"
        for child in ast.iter_child_nodes(node):
            yield from look(child)

    yield from look(ast.parse(path.read_text(encoding="utf-8")))


def test_no_command_says_a_sentence_that_nobody_can_translate() -> None:
    paths = sorted(path for name in SPEAKING for path in (ROOT / "node").glob(name))
    assert len(paths) > 8
    assert [each for path in paths for each in unmarked(path)] == []
