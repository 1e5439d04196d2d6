"""The three READMEs say the same: the same headings, commands, code, tables and links in the same order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "README.md"
TRANSLATIONS = ("README.es.md", "README.pt.md")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s+#\s.*$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)]+)\)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    return _FENCE.sub("", text(name))


def headings(name: str) -> list[int]:
    return [len(each) for each in re.findall(r"^(#+) ", prose(name), re.MULTILINE)]


def blocks(name: str) -> list[tuple[str, str]]:
    """The code, without the comments, which are for people."""
    return [(kind, _COMMENT.sub("", code)) for kind, code in _FENCE.findall(text(name))]


def spans(name: str) -> list[str]:
    """What is code within a sentence; word order differs by language."""
    return sorted(" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose(name)))


def links(name: str) -> list[str]:
    return sorted(each for each in _LINK.findall(text(name)) if not each.startswith("README"))


def rows(name: str) -> list[int]:
    return [line.count("|") for line in text(name).splitlines() if line.startswith("|")]


def paragraphs(name: str) -> int:
    return len([each for each in prose(name).split("\n\n") if each.strip()])


@pytest.mark.parametrize("name", TRANSLATIONS)
@pytest.mark.parametrize("part", [headings, blocks, spans, links, rows, paragraphs], ids=lambda each: each.__name__)
def test_a_translation_has_every_part(name: str, part: Callable[[str], object]) -> None:
    assert part(SOURCE)
    assert part(name) == part(SOURCE), f"{name} does not say what {SOURCE} says: translate what changed"


@pytest.mark.parametrize("name", [SOURCE, *TRANSLATIONS])
def test_each_leads_to_the_others_on_its_first_lines(name: str) -> None:
    top = "\n".join(text(name).splitlines()[:4])
    for other in {SOURCE, *TRANSLATIONS} - {name}:
        assert f"]({other})" in top


@pytest.mark.parametrize("name", [SOURCE, *TRANSLATIONS])
def test_what_a_link_names_is_there(name: str) -> None:
    for target in _LINK.findall(text(name)):
        if "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target
