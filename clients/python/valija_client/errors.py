"""Why a call did not come about: the node refused it, could not be reached or answered what cannot be read, or it could not be asked."""

from __future__ import annotations

import msgspec

_DETAIL_CHARS = 300


class ValijaClientError(Exception):
    """A call to a node did not come about."""


class RequestError(ValijaClientError, ValueError):
    """What was to be asked cannot be written as a request, so nothing was sent: correct what is named."""


class UnreachableError(ValijaClientError):
    """The node was not reached, or did not answer in time, as often as it was tried.

    A message under an idempotency key may be handed in again; nothing is sent twice.
    """


class AnswerError(ValijaClientError):
    """What came back is not what a node answers: something else listens there, or it is larger than a node's answers are."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong in a request: what, and in which field (a JSON pointer), parameter or header."""

    detail: str = ""
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """A refusal as it travels (RFC 9457): a stable `code`, its sentence, what it concerns, and where it lies."""

    code: str
    status: int
    title: str = ""
    detail: str = ""
    errors: tuple[Fault, ...] = ()


class Problem(ValijaClientError):  # noqa: N818 - the name that RFC 9457 gives it
    """The node refused: `code` is stable and for programs, `title` and `detail` are for people.

    `retry_after_seconds` is how long the node wants to be left alone, if it said so.
    """

    def __init__(self, refusal: Refusal, retry_after_seconds: float | None = None) -> None:
        """Keep what was told."""
        super().__init__(f"{refusal.code}: {refusal.title} {refusal.detail}".strip()[:_DETAIL_CHARS])
        self.refusal = refusal
        self.retry_after_seconds = retry_after_seconds

    @property
    def code(self) -> str:
        """The stable code, such as `unknown_recipient`."""
        return self.refusal.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.refusal.status

    @property
    def title(self) -> str:
        """The sentence of the code: what is wrong and what to do."""
        return self.refusal.title

    @property
    def detail(self) -> str:
        """What it concerns; empty if there is nothing more to say."""
        return self.refusal.detail

    @property
    def errors(self) -> tuple[Fault, ...]:
        """Everything that is wrong, as far as the node named it."""
        return self.refusal.errors

    @property
    def pointer(self) -> str | None:
        """The JSON pointer of the first field that is wrong, if one was named."""
        return next((each.pointer for each in self.errors if each.pointer is not None), None)
