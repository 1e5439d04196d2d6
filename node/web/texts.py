"""What others wrote, made into pages: text stays text, and CommonMark becomes what it says without reaching outside.

Nothing is fetched: images are shown as their description, HTML as text; links lead on only when the reader follows
them, and tell the site nothing of where they stood.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any, Final
from unicodedata import category

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

from keys.words import plain
from protocol.messages.content import BodyFormat, Text

MAX_READ_CHARS: Final = 64 * 1024
"""Longer CommonMark is shown as it was written: a hostile one takes 25 µs a character, in which the node does nothing else."""
_SCHEMES: Final = ("https:", "http:", "mailto:", "tel:")


def body(text: Text) -> Markup:
    """The text of a message, ready to stand in a page."""
    if text.format is BodyFormat.PLAIN or len(text.text) > MAX_READ_CHARS:
        return Markup('<p class="plain">{}</p>').format(visible(text.text))
    return Markup(_commonmark().render(visible(text.text)))  # noqa: S704 - HTML in it was escaped by the parser


def visible(value: Any) -> Any:
    """A text with whatever would not be seen, or would turn its line round, written as its number; else the same.

    Line ends, tabs and every kind of space stay.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(each if each in "\n\t" or category(each) == "Zs" else plain(each) for each in value)


@cache
def _commonmark() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "linkify": False})
    made.disable("image")
    made.validateLink = _is_link  # type: ignore[method-assign,assignment]
    made.add_render_rule("link_open", _open_link)
    return made


def _is_link(address: str) -> bool:
    return address.strip().lower().startswith(_SCHEMES)


def _open_link(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    tokens[at].attrSet("rel", "noreferrer noopener external")
    tokens[at].attrSet("target", "_blank")
    return renderer.renderToken(tokens, at, options, env)


def flag(country: str) -> Markup:
    """The flag of the country with this code of ISO 3166, which a screen reader passes over: the name stands beside it."""
    if len(country) != 2 or not country.isascii() or not country.isalpha():
        return Markup()
    sign = "".join(chr(0x1F1E6 + ord(letter) - ord("A")) for letter in country.upper())
    return Markup('<span class="flag" aria-hidden="true">{}</span>').format(escape(sign))
