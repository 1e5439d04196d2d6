"""In which language commands speak, and that help and refusals do; English is for programs."""

from __future__ import annotations

from typing import get_args

import click
import pytest
from click.testing import CliRunner

from node.cli import main
from node.i18n import LANGUAGES
from node.languages import Language
from node.speaking import Spoken, chosen, match, refusal, spoken, told, told_error
from protocol.errors import HomeMissingError, UsageError


def run(*words: str, **environment: str) -> tuple[int, str]:
    clean = {"VALIJA_LANGUAGE": None, "LC_ALL": None, "LC_MESSAGES": None, "LANG": None, "COLUMNS": "100"}
    done = CliRunner().invoke(main, list(words), env=clean | environment)
    return done.exit_code, done.output


def test_commands_and_pages_speak_the_same_languages() -> None:
    assert set(get_args(Language)) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        ([], {}, "en"),
        ([], {"LANG": "es_AR.UTF-8"}, "es"),
        ([], {"LANG": "pt_PT.UTF-8@euro"}, "pt-PT"),
        ([], {"LANG": "pt_AO"}, "pt-BR"),
        ([], {"LANG": "es", "LC_MESSAGES": "pt_BR"}, "pt-BR"),
        ([], {"LANG": "es", "LC_ALL": "C"}, "en"),
        ([], {"LC_ALL": "fr_FR", "VALIJA_LANGUAGE": "es"}, "es"),
        ([], {"LANG": ""}, "en"),
        (["inbox", "--language", "pt-PT"], {"VALIJA_LANGUAGE": "es"}, "pt-PT"),
        (["--language=es", "inbox"], {}, "es"),
        (["search", "--", "--language", "es"], {}, "en"),
        (["inbox", "--language"], {"LANG": "es"}, "es"),
    ],
)
def test_who_chooses_the_language(arguments: list[str], environment: dict[str, str], language: str) -> None:
    assert chosen(arguments, environment) == language


def test_a_tag_is_matched_however_it_is_written() -> None:
    assert [match(each) for each in ("ES", "pt", "pt_br", "en_GB", "", "x" * 99)] == [
        "es", "pt-BR", "pt-BR", "en", "en", "en"]  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], ["inbox", "--help"], ["people", "--help"], ["people", "add", "-h"]])
def test_help_is_in_the_reader_s_language(words: list[str]) -> None:
    said = {language: run(*words, VALIJA_LANGUAGE=language) for language in LANGUAGES}
    assert {status for status, _text in said.values()} == {0}
    assert len({text for _status, text in said.values()}) >= 3
    assert run(*words) == said["en"]
    assert run(*words, LANG="es_CO.UTF-8") == said["es"]
    assert "Carpeta de este nodo." in run("inbox", "--help", "--language", "es")[1]
    top = run("--language", "es", "--help")[1]
    for part in ("Uso: ", "Opciones:", "Órdenes:", "Listar lo recibido", "Mostrar este texto y salir."):
        assert part in top


def test_a_refusal_is_in_the_reader_s_language_and_its_code_in_none() -> None:
    spanish, english = (run("inbox", "--home", "/nowhere", VALIJA_LANGUAGE=each) for each in ("es", "en"))
    assert spanish[0] == english[0] == 1
    assert spanish[1] != english[1]
    assert "[home_missing]" in spanish[1]
    assert "[home_missing]" in english[1]
    assert run("inbox", "--home", "/nowhere", "--json", VALIJA_LANGUAGE="es") == run(
        "inbox", "--home", "/nowhere", "--json"
    )


def test_what_is_told_is_english_until_somebody_reads_it() -> None:
    made = told("%(found)s; duty is called in time", found=told("%(hours)d hours old", hours=3))
    assert made == "3 hours old; duty is called in time"
    with click.Context(Spoken("x")) as ctx:
        ctx.meta["node.language"] = "es"
        assert spoken(made) == "de hace 3 horas; a su hora se avisa a la guardia"
        assert spoken("what others wrote") == "what others wrote"
        assert spoken(told_error(HomeMissingError("/x"))).endswith("(/x)")
        assert spoken(told_error(HomeMissingError("/x"))) != str(HomeMissingError("/x"))
    assert str(told_error(UsageError("why"))) == str(UsageError("why"))


def test_a_refusal_s_detail_is_in_the_reader_s_language_with_what_is_filled_in() -> None:
    error = UsageError("a person sees 256 desks at most")
    with click.Context(Spoken("x")) as ctx:
        ctx.meta["node.language"] = "pt-PT"
        assert refusal(error).endswith("(uma pessoa vê no máximo 256 serviços)")
    assert refusal(error).endswith("(a person sees 256 desks at most)")
