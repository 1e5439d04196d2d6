"""Every sentence is there in every language, whole: what is in braces stays in braces, and nothing is left over."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from babel.messages.catalog import Message

from node.i18n import LANGUAGES, negotiate, speech
from tests.languages.sentences import TRANSLATED, catalogue, sentences

FILLED = re.compile(r"%\((\w+)\)[sd]")


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
