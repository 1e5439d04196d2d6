"""Refusals over HTTP: problem details of RFC 9457 with our codes, written for callers and read from a hub or daemon.

One table gives each code its status; whatever is not in it is our own failure, 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from node.faults import Fault, FieldError
from protocol.errors import HubGoneError, StoreError, ValijaError

CONTENT_TYPE: Final = "application/problem+json"
_URN: Final = "urn:valija:error:"
_INTERNAL: Final = 500

STATUSES: Final[dict[str, int]] = {
    "invalid_request": 400,
    "malformed": 400,
    "non_canonical": 400,
    "unauthorized": 401,
    "login_failed": 401,
    "forbidden": 403,
    "too_many_requests": 429,
    "handling_forbids": 403,
    "unknown_message": 404,
    "already_exists": 409,
    "conflict": 409,
    "disabled": 409,
    "too_late": 409,
    "withdrawn": 409,
    "expired": 409,
    "limit_exceeded": 413,
    "charter_expired": 422,
    "recipient_suspended": 422,
    "unknown_desk": 422,
    "unknown_member": 422,
    "unknown_network": 422,
    "unknown_recipient": 422,
    "not_in_standing": 422,
    "draining": 503,
    "hub_gone": 503,
    "stale_view": 503,
    "store": 503,
    "transport": 503,
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refusal as it travels; `title` is the sentence of the code, `detail` what it concerns, `errors` where."""

    code: str
    title: str
    status: int
    detail: str = ""
    type: str = ""
    errors: tuple[Fault, ...] = ()


def problem(error: ValijaError, status: int | None = None, fault: Fault | None = None) -> Problem:
    """What is told of `error`; the status of its code unless another is given, and where it lies if that is known."""
    title = (type(error).__doc__ or "").strip().splitlines()[0]
    told = STATUSES.get(error.code, _INTERNAL) if status is None else status
    found = error.fault if isinstance(error, FieldError) else fault
    return Problem(error.code, title, told, error.detail, _URN + error.code, (found,) if found else ())


def encode(told: Problem) -> bytes:
    """The body of the answer."""
    return msgspec.json.encode(told)


def line(error: ValijaError, number: int, fault: Fault | None = None) -> dict[str, Any]:
    """What stands in one line of a batch's answer for an item that was refused: its line in the batch, from 1, and why."""
    return {"line": number, "error": problem(error, None, fault)}


def read(body: bytes, status: int) -> ValijaError:
    """The error that an answer of this status tells of; `ValijaError` itself where it tells nothing that we know."""
    try:
        told = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ValijaError(f"status {status}")
    return error_of(told.code, told.detail)


def of_hub(error: ValijaError) -> ValijaError:
    """The same, as the word of a hub or of whoever stands before it: a store that failed there is none of ours."""
    return HubGoneError(f"{error.code} there: {error.detail}") if isinstance(error, StoreError) else error


def error_of(code: str, detail: str) -> ValijaError:
    """The error with this code; an unknown one is told in the detail."""
    kind = _BY_CODE.get(code)
    return kind(detail) if kind else ValijaError(f"{code}: {detail}" if detail else code)


def known_codes() -> frozenset[str]:
    """Every code that the catalogue holds."""
    return frozenset(_BY_CODE)


def _kinds(kind: type[ValijaError]) -> Iterator[type[ValijaError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


# The catalogue's own classes: another module may say the same code in other words.
_BY_CODE: Final = {kind.code: kind for kind in _kinds(ValijaError) if kind.__module__ == ValijaError.__module__}
