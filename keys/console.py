"""What all commands share: how they answer, how they refuse, and how they ask for a passphrase.

An answer is a few lines for a person, or with `--json` one object; a refusal is one sentence with its code
on standard error, or one object `{"error": {"code", "message"}}`.  Exit 0: done; 1: refused; 2: not understood.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import GetPassWarning
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
from rich.console import Console
from rich.text import Text

from keys.files import read_private
from keys.locks import MIN_PASSPHRASE_CHARACTERS, Passphrase, Secret, Unlock
from keys.vault import VaultEntry
from keys.words import Facts
from protocol.errors import KeyAccessError, StoreError, UsageError, ValijaError

_JSON: Final = "keys.json"
_WORDS: Final = "keys.words"
REFUSED: Final = 1
NOT_UNDERSTOOD: Final = 2
_FILE_OPTION: Final = "--passphrase-file FILE"
F = TypeVar("F", bound=Callable[..., Any])
FILE: Final = click.Path(dir_okay=False, path_type=Path)


def now() -> int:
    """The time, in Unix seconds."""
    return int(time.time())


# -- answers -----------------------------------------------------------------------------------------
def wants_json(ctx: click.Context) -> bool:
    """Whether the command was asked for one JSON object."""
    return bool(ctx.meta.get(_JSON))


def _asks_json(ctx: click.Context) -> bool:
    """The same, of a command line too that was not understood or not read to its end."""
    words = ctx.meta.get(_WORDS, ())
    return wants_json(ctx) or "--json" in words[: words.index("--") if "--" in words else None]


def _remember(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's shape
    ctx.meta[_JSON] = wanted


def json_option(command: F) -> F:
    """Let a command answer with one JSON object."""
    return click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=_remember, help="Answer as one JSON object."
    )(command)


def dry_run_option(command: F) -> F:
    """Let a command say what it would do, and do nothing."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")(command)


def out_option(command: F) -> F:
    """Let the user choose where the new file goes."""
    return click.option("--out", type=FILE, help="Where to write the file (never over another).")(command)


def answer(facts: Facts, lines: Iterable[str | Text]) -> None:
    """Say `lines` to a person, or `facts` to a program."""
    if wants_json(click.get_current_context()):
        click.echo(_json(facts))
        return
    # Nothing is wrapped or coloured behind the reader's back: these lines are compared and copied.
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def _json(facts: Facts) -> str:
    # The name of a file may hold what is no text: its bytes stand there escaped.
    return json.dumps(facts, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def strong(line: str) -> Text:
    """A line that stands out, where there is colour."""
    return Text(line, style="bold")


def warned(line: str) -> Text:
    """A line to look at twice."""
    return Text(f"Look twice: {line}", style="yellow")


@contextmanager
def asking(instead: str) -> Iterator[None]:
    """What the block asks is answered by a person; `UsageError` that says what to give `instead`, if nobody is there.

    A passphrase is asked where it is not shown, or not at all.
    """
    nobody = UsageError(f"there is nobody to ask: give {instead}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            yield
    except GetPassWarning:
        raise nobody from None
    except click.Abort as error:
        # Whoever interrupts, or says no, was there.
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo(err=True)
        raise nobody from None


class Commands(click.Group):
    """A group whose commands refuse in one sentence."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program; what the terminal's encoding lacks is shown by its number, and never ends it."""
        for stream in (sys.stdout, sys.stderr):
            # Without an output there is none.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As of click; a program is told as one object what was not understood."""
        ctx.meta.setdefault(_WORDS, tuple(args))
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _not_understood(ctx, error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `SystemExit` with 1 for a refusal, 2 for what was not understood."""
        try:
            return self._invoked(ctx)
        except ValijaError as error:
            _refuse(ctx, error.code, str(error) if _asks_json(ctx) else self.sentence(error), REFUSED)
        except click.UsageError as error:
            _not_understood(ctx, error)

    def _invoked(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UnicodeEncodeError as error:
            # So are bytes of the command line marked that are no text; whatever else does not print is no fault of it.
            wrong = error.object[error.start]
            if not "\udc80" <= wrong <= "\udcff":
                raise
            raise UsageError(f"the byte {ord(wrong) - 0xDC00:#04x} on the command line is not UTF-8 text") from None
        except BrokenPipeError:
            # Whoever read what is said has enough of it: click ends without a word.
            raise
        except OSError as error:
            named = f"{error.filename}: " if error.filename is not None else ""
            raise StoreError(f"{named}{error.strerror or type(error).__name__}") from error

    def sentence(self, error: ValijaError) -> str:
        """What a person is told of this refusal: what is wrong and what to do."""
        return str(error)


def _not_understood(ctx: click.Context, error: click.UsageError) -> NoReturn:
    if not _asks_json(ctx):
        raise error
    _refuse(ctx, UsageError.code, error.format_message(), NOT_UNDERSTOOD)


def _refuse(ctx: click.Context, code: str, message: str, status: int) -> NoReturn:
    if _asks_json(ctx):
        click.echo(_json({"error": {"code": code, "message": message}}))
    else:
        click.echo(f"{message} [{code}]", err=True)
    ctx.exit(status)


# -- keys --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Unlocking:
    """Where the passphrase or the secret comes from; never from the command line itself."""

    passphrase_file: Path | None
    secret_file: Path | None

    def of(self, entry: VaultEntry) -> Unlock:
        """What should open this key; asks for a passphrase if no file was named.  Raises `KeyAccessError`."""
        if entry.opens_with == "secret file":
            if self.secret_file is None:
                raise KeyAccessError(f"{entry.path.name} opens with a secret file; say --secret-file FILE")
            return Secret.read(self.secret_file)
        if self.passphrase_file is not None:
            return read_passphrase(self.passphrase_file)
        return Passphrase(ask_secret(f"Passphrase of {entry.path.stem}", _FILE_OPTION, twice=False))

    def fresh(self, stem: str) -> Unlock:
        """What will open a new key; makes the secret file if there is none yet.

        Raises `UsageError` for a short passphrase, `KeyAccessError` for a file that others may read.
        """
        if self.secret_file is not None:
            return Secret.read(self.secret_file) if self.secret_file.exists() else Secret.create(self.secret_file)
        passphrase = (
            read_passphrase(self.passphrase_file)
            if self.passphrase_file is not None
            else Passphrase(ask_secret(f"New passphrase of {stem}", _FILE_OPTION, twice=True))
        )
        if len(passphrase.text) < MIN_PASSPHRASE_CHARACTERS:
            raise UsageError(f"a passphrase has at least {MIN_PASSPHRASE_CHARACTERS} characters; four words are good")
        return passphrase


def ask_secret(text: str, instead: str, *, twice: bool) -> str:
    """What a person types unseen; `UsageError` that says what to give `instead`, if nobody is there."""
    with asking(instead):
        asked: str = click.prompt(text, hide_input=True, confirmation_prompt=twice, err=True)
    return asked


def read_passphrase(path: Path) -> Passphrase:
    """The first line of a file that only its owner may read; `KeyAccessError` for any other."""
    try:
        text = read_private(path).decode().split("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise KeyAccessError(f"{path} holds no text") from None
    return Passphrase(text)


def unlocking_options(command: F) -> F:
    """Let a command find the passphrase or the secret of a key."""
    passphrase = click.option(
        "--passphrase-file",
        type=FILE,
        envvar="VALIJA_PASSPHRASE_FILE",
        help="File whose first line is the passphrase; without it you are asked.",
    )
    secret = click.option("--secret-file", type=FILE, help="Secret file of a daemon's key, in place of a passphrase.")
    return passphrase(secret(command))
