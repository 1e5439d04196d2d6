"""The fields of a form, as a browser sent them."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import UsageError

_TOTP: Final = re.compile(r"[A-Z2-7]{32}")


class Form:
    """The fields of a form: text, each as often as it was sent."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, list[str]]) -> None:
        """Hold these."""
        self._fields = fields

    def text(self, name: str, otherwise: str = "") -> str:
        """The field of this name, without spaces around it; `UsageError` if it is there more than once."""
        values = self._fields.get(name, [])
        if len(values) > 1:
            raise UsageError(f"{name} stands there twice")
        return values[0].strip() if values else otherwise

    def raw(self, name: str) -> str:
        """The same as it was typed: spaces count."""
        values = self._fields.get(name, [""])
        return values[0]

    def totp(self) -> str:
        """The key of an authenticator that a page of ours drew; `UsageError` for none of that kind."""
        key = self.text("totp")
        if not _TOTP.fullmatch(key):
            raise UsageError("no key of this page: open it again")
        return key

    def every(self, name: str) -> list[str]:
        """All fields of this name that are not empty."""
        return [value.strip() for value in self._fields.get(name, []) if value.strip()]
