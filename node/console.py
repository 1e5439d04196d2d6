"""What the commands of a node share: which home they are about, and how they reach its daemon.

How they answer and refuse is that of all our commands (`keys.console`).
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from keys.console import answer, json_option, strong, wants_json
from keys.home import expanded
from node.client import NodeClient
from node.config import DEFAULT_HOME, HOME_VARIABLE, Home
from node.speaking import language_option

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["answer", "author", "client_of", "home_option", "json_option", "strong", "wants_json", "with_client"]


def home_option(command: F) -> F:
    """Let a command be told which home it is about, of which it is given a `Home`, and which language it speaks."""

    def convert(_ctx: click.Context, _parameter: click.Parameter, value: Path) -> Home:
        return Home(expanded(value).absolute())

    home = click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        envvar=HOME_VARIABLE,
        default=DEFAULT_HOME,
        show_default=True,
        callback=convert,
        help="Folder of this node.",
    )
    return home(language_option(command))  # type: ignore[no-any-return]


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command speak with the daemon: its first argument is a `NodeClient`."""

    @wraps(command)
    def run(*args: Any, home: Home, **options: Any) -> None:
        command(client_of(home), *args, **options)

    return home_option(json_option(run))


def client_of(home: Home) -> NodeClient:
    """What asks the daemon of this home; `HomeMissingError` if there is no home."""
    home.require()
    return NodeClient(home.socket)


def author() -> dict[str, str]:
    """Who uses this terminal, as this machine knows it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return {"name": name, "role": "", "login_method": "unix-socket"}
