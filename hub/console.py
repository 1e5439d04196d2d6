"""What the commands of a hub share: which home they are about."""

from __future__ import annotations

from pathlib import Path

import click

from keys.console import F


def home_option(command: F) -> F:
    """Let a command know which hub it is about."""
    return click.option(
        "--home",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="VALIJA_HUB_HOME",
        required=True,
        help="The folder of this hub.",
    )(command)
