"""The messages that are sent: 1 KiB of text each, made by putting numbers into a form that is written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

BODY_BYTES: Final = 1_024
_WORDS: Final = "Se remite el informe de la diligencia practicada en la causa y se solicita su agregacion al legajo. "
_KEY: Final = "{key}"
_DIGITS: Final = 9
_SINGLE, _MANY = 0, 1


class Letters:
    """Numbered messages; no two have the same key.

    `choose` gives the recipients of the next one, out of few lists that it gives again and again.
    """

    def __init__(self, name: str, choose: Callable[[], tuple[str, ...]]) -> None:
        self._name, self._choose, self._written = name, choose, 0
        self._forms: dict[tuple[str, ...], tuple[_Form, _Form]] = {}

    @classmethod
    def to(cls, name: str, recipients: Sequence[str]) -> Letters:
        """All of them to the same recipients."""
        always = tuple(recipients)
        return cls(name, lambda: always)

    def key(self) -> str:
        """The key of the next message."""
        self._written += 1
        return self._shown(self._written)

    def _shown(self, number: int) -> str:
        return f"{self._name}n{number:0{_DIGITS}}"

    @property
    def last_key(self) -> str:
        """The key of the message that was written last; it stands in its text."""
        return self._shown(self._written)

    def one(self, key: str) -> tuple[bytes, tuple[str, ...]]:
        """The message with this key as the API takes it, and its recipients; the key itself travels in a header."""
        chosen = self._choose()
        return self._form(chosen)[_SINGLE].filled(key), chosen

    def some(self, count: int) -> tuple[bytes, list[tuple[str, ...]]]:
        """The lines of a batch with the keys in them, and the recipients of each."""
        chosen = [self._choose() for _each in range(count)]
        return b"".join([self._form(each)[_MANY].filled(self.key()) for each in chosen]), chosen

    def _form(self, recipients: tuple[str, ...]) -> tuple[_Form, _Form]:
        form = self._forms.get(recipients)
        if form is None:
            asked = {"to": recipients, "subject": f"Actuacion {_KEY}", "body": _body(len(self._shown(0)))}
            many = _Form(msgspec.json.encode(asked | {"idempotency_key": _KEY}) + b"\n")
            form = self._forms[recipients] = (_Form(msgspec.json.encode(asked)), many)
        return form


class _Form:
    __slots__ = ("_parts",)

    def __init__(self, text: bytes) -> None:
        self._parts = text.split(_KEY.encode())

    def filled(self, key: str) -> bytes:
        return key.encode().join(self._parts)


def _body(key_bytes: int) -> str:
    text = _WORDS * (BODY_BYTES // len(_WORDS) + 1)
    return f"{_KEY} {text}"[: BODY_BYTES - key_bytes + len(_KEY)]
