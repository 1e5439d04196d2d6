"""Whom to call while something urgent is unopened, when, and how mail leaves this node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from keys.home import is_loopback
from node.languages import Language
from protocol.errors import MalformedError
from protocol.names import check_name

Security: TypeAlias = Literal["starttls", "tls", "none"]
MAILTO: Final = "mailto:"
MINUTE: Final = 60
_MAX_MINUTES: Final = 7 * 24 * 60
_LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_%+-])?"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_MAIL_ADDRESS: Final = re.compile(f"{_LOCAL}@{_HOST}")
_MAIL_HOST: Final = re.compile(rf"{_HOST}|[0-9a-fA-F:.]{{2,45}}")


class DeskNudges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is otherwise at one desk; what is not said is as in `[nudges]`."""

    duty: str | None = None
    escalation: str | None = None
    language: Language | None = None
    urgent_minutes: int | None = None
    emergency_minutes: int | None = None
    repeat_minutes: int | None = None
    escalate_minutes: int | None = None


class Nudges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to call, as `mailto:…` or `https://…` (empty: nobody), in which language, and after how many minutes.

    First for what is urgent and for an emergency, then again, and after the first call by whom else; the file with the
    secret that signs calls over HTTPS; and what is otherwise at single desks.
    """

    duty: str = ""
    escalation: str = ""
    language: Language = "es"
    urgent_minutes: int = 30
    emergency_minutes: int = 5
    repeat_minutes: int = 30
    escalate_minutes: int = 60
    signing_secret_file: str = ""
    desks: dict[str, DeskNudges] = {}


class Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server that takes this node's mail, how it is secured, and as whom; the password stands in a file."""

    host: str = ""
    port: int = 587
    security: Security = "starttls"
    sender: str = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""


# -- what holds for a desk -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one desk: whom to call, in which language, and after how many seconds."""

    duty: str
    escalation: str
    language: Language
    urgent_seconds: int
    emergency_seconds: int
    repeat_seconds: int
    escalate_seconds: int


def rule(nudges: Nudges, desk: str) -> Rule:
    """What holds for the desk of this name."""
    own = nudges.desks.get(desk, DeskNudges())

    def minutes(name: str) -> int:
        chosen = getattr(own, name)
        return int(getattr(nudges, name) if chosen is None else chosen) * MINUTE

    return Rule(
        nudges.duty if own.duty is None else own.duty,
        nudges.escalation if own.escalation is None else own.escalation,
        own.language or nudges.language,
        minutes("urgent_minutes"),
        minutes("emergency_minutes"),
        minutes("repeat_minutes"),
        minutes("escalate_minutes"),
    )


def calls_anybody(nudges: Nudges) -> bool:
    """Whether there is a desk for which somebody is called."""
    return bool(nudges.duty or any(each.duty for each in nudges.desks.values()))


# -- judgement -------------------------------------------------------------------------------------------
def mistakes(nudges: Nudges, mail: Mail) -> list[str]:
    """What is wrong with these settings; addresses are not repeated, they may hold a secret."""
    parts: list[tuple[str, Nudges | DeskNudges]] = [("nudges", nudges)]
    parts += [(f"nudges.desks.{name}", each) for name, each in nudges.desks.items()]
    found = [f"nudges.desks.{name!r} is no name of a desk" for name in nudges.desks if not _is_name(name)]
    found += [mistake for where, each in parts for mistake in _of_part(where, each)]
    found += _unreachable(nudges, mail)
    return found + list(_of_mail(mail))


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except MalformedError:
        return False
    return True


def _of_part(where: str, part: Nudges | DeskNudges) -> Iterator[str]:
    for name in ("duty", "escalation"):
        address = getattr(part, name)
        if address and not is_address(address):
            yield f"{where}.{name} is neither mailto:turno@example.org nor https://example.org/turno"
    for name, least in (("urgent", 0), ("emergency", 0), ("repeat", 1), ("escalate", 1)):
        value = getattr(part, f"{name}_minutes")
        if value is not None and not least <= value <= _MAX_MINUTES:
            yield f"{where}.{name}_minutes is from {least} to {_MAX_MINUTES}"


def _unreachable(nudges: Nudges, mail: Mail) -> Iterator[str]:
    rules = [rule(nudges, desk) for desk in ("", *nudges.desks)]
    used = {address for each in rules for address in (each.duty, each.escalation) if address}
    if any(each.escalation and not each.duty for each in rules):
        yield "nudges.escalation is called after nudges.duty, and there is none"
    if any(each.startswith(MAILTO) for each in used) and not (mail.host and mail.sender):
        yield "nudges by mail need mail.host and mail.sender"
    if any(not each.startswith(MAILTO) for each in used) and not nudges.signing_secret_file:
        yield "nudges over HTTPS need nudges.signing_secret_file"


def is_address(address: str) -> bool:
    """Whether somebody can be called there: one mail address, or an address of HTTP."""
    if address.startswith(MAILTO):
        return _MAIL_ADDRESS.fullmatch(address.removeprefix(MAILTO)) is not None
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and address.isascii() and address.isprintable()


def _of_mail(mail: Mail) -> Iterator[str]:
    if mail.host and _MAIL_HOST.fullmatch(mail.host) is None:
        yield "mail.host is no name or address of a server"
    if not 0 < mail.port < 2**16:
        yield "mail.port is from 1 to 65535"
    if mail.sender and _MAIL_ADDRESS.fullmatch(mail.sender) is None:
        yield "mail.sender is no mail address such as valija@example.org"
    if mail.security == "none" and mail.host and not is_loopback(mail.host):
        yield "mail.security: a server on another machine is spoken to by starttls or tls alone"
    if bool(mail.user) != bool(mail.password_file):
        yield "mail.user and mail.password_file belong together"
    if not mail.user.isprintable():
        yield "mail.user is no name"
