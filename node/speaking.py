"""What commands say to a person, in their language; what a program reads stays as it is.

The language is that of `--language`, else of VALIJA_LANGUAGE, else of LC_ALL, LC_MESSAGES or LANG.  A sentence that is
made where the reader is not known (`Told`) is a string in English, and remembers how to be said otherwise.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

import click

from keys.console import Commands, wants_json
from node.languages import Language
from protocol.errors import ValijaError

_KEY: Final = "node.language"
_SOURCE: Final = "en"
_MARGIN: Final = 6
_DETAILED: Final = "%(sentence)s (%(detail)s)"
_OPTION: Final = "--language"
_VARIABLES: Final = ("VALIJA_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_TAGS: Final[Mapping[str, str]] = {each.lower(): each for each in get_args(Language)} | {"pt": "pt-BR"}


# -- which language --------------------------------------------------------------------------------------
def chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language that these arguments of a command, or else these variables, ask for; English otherwise."""
    for place, each in enumerate(arguments):
        if each == "--":
            break
        if each == _OPTION and place + 1 < len(arguments):
            return match(arguments[place + 1])
        if each.startswith(f"{_OPTION}="):
            return match(each.partition("=")[2])
    return next((match(environment[name]) for name in _VARIABLES if environment.get(name)), _SOURCE)


def match(written: str) -> str:
    """The language of ours that a tag or a locale such as `es_AR.UTF-8` means best; English for any other."""
    tag = written.partition(".")[0].partition("@")[0].replace("_", "-").lower()
    return _TAGS.get(tag) or _TAGS.get(tag.partition("-")[0], _SOURCE)


def language() -> str:
    """The language of whoever runs the command; English for a program, which asks for JSON."""
    ctx = click.get_current_context(silent=True)
    return _SOURCE if ctx is None or wants_json(ctx) else str(ctx.meta.get(_KEY, _SOURCE))


# -- sentences -------------------------------------------------------------------------------------------
def N_(sentence: str) -> str:  # noqa: N802 - the customary mark for extraction
    """The same: it is translated where it is shown."""
    return sentence


def say(sentence: str, /, **values: object) -> str:
    """The sentence in the reader's language, with `%(name)s` filled in."""
    spoken = language()
    if spoken != _SOURCE:
        # Who is spoken to in English need not wait until catalogues can be read.
        from node.i18n import catalogue  # noqa: PLC0415

        sentence = catalogue(spoken).gettext(sentence)
    return sentence % values if values else sentence


def count(one: str, many: str, number: int, /, **values: object) -> str:
    """The sentence for this number of things, with `%(num)d` and more filled in."""
    spoken = language()
    if spoken == _SOURCE:
        return (one if number == 1 else many) % ({"num": number} | values)
    from node.i18n import catalogue  # noqa: PLC0415 - as above

    return catalogue(spoken).ngettext(one, many, number) % ({"num": number} | values)


class Told(str):
    """A sentence in English that remembers how it was made."""

    __slots__ = ("sentence", "values")

    sentence: str
    values: dict[str, object]


def told(sentence: str, /, **values: object) -> Told:
    """The sentence with `%(name)s` filled in, to be said to whoever reads it later; a value may be such a one too."""
    made = Told(sentence % values if values else sentence)
    made.sentence, made.values = sentence, values
    return made


def told_error(error: ValijaError) -> Told:
    """The sentence of an error, with its detail as it is."""
    sentence = told((type(error).__doc__ or "").strip().splitlines()[0])
    return told(_DETAILED, sentence=sentence, detail=error.detail) if error.detail else sentence


def spoken(text: object) -> str:
    """The same in the reader's language, if it is a sentence of ours; as it is otherwise."""
    if not isinstance(text, Told):
        return str(text)
    values = {name: spoken(value) if isinstance(value, Told) else value for name, value in text.values.items()}
    return say(text.sentence, **values)


def refusal(error: ValijaError) -> str:
    """What is wrong and what to do, in the reader's language; its detail too where it is a sentence of ours."""
    sentence = say((type(error).__doc__ or "").strip().splitlines()[0])
    return f"{sentence} ({_detail(error.detail)})" if error.detail else sentence


def _detail(text: str) -> str:
    if isinstance(text, Told) or (tongue := language()) == _SOURCE:
        return spoken(text)
    from node.i18n import speech  # noqa: PLC0415 - as above

    return speech(tongue).detail(text)


# -- commands --------------------------------------------------------------------------------------------
def _choose(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_KEY] = value


def language_option(command: Any) -> Any:
    """Let a command be told which language to speak."""
    return click.option(
        _OPTION,
        type=click.Choice(get_args(Language)),
        expose_value=False,
        callback=_choose,
        help="Language to speak; by default that of VALIJA_LANGUAGE, LC_ALL or LANG.",
    )(command)


class _Helpful(click.Command):
    """A command whose help is in the reader's language."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), f"{say('Usage:')} ")

    def format_help_text(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.help:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(say(inspect.cleandoc(self.help)))

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, as far as it fits."""
        return _shortened(say(inspect.cleandoc(self.help or "")), limit)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [_row(each, ctx) for each in self.get_params(ctx)]
        with formatter.section(say("Options")):
            formatter.write_dl([row for row in rows if row is not None])


def _shortened(text: str, limit: int) -> str:
    first = " ".join(text.split("\n\n")[0].split())
    head = first.partition(". ")[0].partition("; ")[0].removesuffix(".")
    return head if len(head) <= limit else head[: limit - 1].rpartition(" ")[0] + "…"


_OF_CLICK: Final = N_("Show this message and exit.")
"""What click says of its own option, in its words."""


def _row(parameter: click.Parameter, ctx: click.Context) -> tuple[str, str] | None:
    row = parameter.get_help_record(ctx)
    written = getattr(parameter, "help", None)
    if row is None or not written:
        return row
    return row[0], row[1].replace(written, say(written), 1)


class SpokenCommand(_Helpful):
    """A command of the node."""


class Spoken(_Helpful, Commands):
    """A group of them: help and refusals are in the reader's language."""

    command_class = SpokenCommand
    group_class = type

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As of click, once the language is known: even help that is asked for first is in it."""
        ctx.meta.setdefault(_KEY, chosen(args, os.environ))
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options, then commands."""
        _Helpful.format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with what it does, as far as a line goes."""
        known = {name: found for name in self.list_commands(ctx) if (found := self.get_command(ctx, name))}
        limit = formatter.width - _MARGIN - max(map(len, known), default=0)
        with formatter.section(say("Commands")):
            formatter.write_dl([(name, found.get_short_help_str(limit)) for name, found in known.items()])

    def sentence(self, error: ValijaError) -> str:
        """What is wrong and what to do, in the reader's language."""
        return refusal(error)


def command(name: str | None = None) -> Callable[[Callable[..., None]], SpokenCommand]:
    """Make a command of a function."""
    return click.command(name, cls=SpokenCommand)
