"""What on the pages needs somebody's look, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hub.board.render import moment
from hub.status import NEARLY_FULL, Status, age, is_nearly_full
from protocol.limits import DAY_SECONDS, MIB

_OLD_SECONDS: Final = 3_600
_PREKEY_SECONDS: Final = 3 * DAY_SECONDS
_CERTIFICATE_SECONDS: Final = 30 * DAY_SECONDS
_CHARTER_SECONDS: Final = 90 * DAY_SECONDS
_FEW_BYTES: Final = 2 * 1024 * MIB


def of_member(member: Status, now: int) -> Iterator[str]:
    """What needs a look at this member, each in a few words."""
    if not member["in_standing"]:
        yield "not in standing"
        return
    if member["suspended"]:
        yield "delivery suspended"
    if is_nearly_full(member):
        yield NEARLY_FULL
    if member["queued"] and member["oldest_seconds"] >= _OLD_SECONDS:
        yield f"oldest waits for {age(member['oldest_seconds'])}"
    yield from _runway("prekeys", member["prekeys_until"], now, _PREKEY_SECONDS)
    yield from _runway("certificate", member["certificate_not_after"], now, _CERTIFICATE_SECONDS)


def of_hub(told: Status, free_bytes: int, backup: str) -> Iterator[str]:
    """What needs a look at the hub itself; `backup` says that one is overdue, empty if none is."""
    now = told["now"]
    if told["draining"]:
        yield "The hub is draining: no member is let in."
    for text in _runway("the hub's certificate", told["certificate_not_after"], now, _CERTIFICATE_SECONDS):
        yield f"Of this hub: {text}."
    for text in _runway("the charter", told["charter_expires_at"], now, _CHARTER_SECONDS):
        yield f"Of the association: {text}."
    if free_bytes < _FEW_BYTES:
        yield "The disk is nearly full: the hub stops when it cannot write."
    if backup:
        yield f"Backup: {backup}."


def _runway(what: str, until: int | None, now: int, least: int) -> Iterator[str]:
    if until is None:
        yield f"no {what}"
    elif until <= now:
        yield f"{what} ended {moment(until)}"
    elif until <= now + least:
        yield f"{what} ends {moment(until)}"


def noted(member: Status, now: int) -> dict[str, Any]:
    """The member with `notes`, what needs a look."""
    return {**member, "notes": list(of_member(member, now))}
