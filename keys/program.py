"""Which release of Valija this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The version of the installed program, `unknown` where it is not installed."""
    try:
        return version("valija")
    except PackageNotFoundError:
        return "unknown"
