"""SPEC 6.2: what a statement says. Types 2 to 9; the charter has a module of its own."""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tests.spec_reader.charter import NOBODY, Charter, read_charter
from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.shape import Party, array, ascending, binary, digest, many, name, party, text, uint, version
from tests.spec_reader.signing import Key, public_key
from tests.spec_reader.wire import Wire, decode

NODE, HUB = 1, 2
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_COUNTRY = re.compile(r"([A-Z]{2})?")


class Admission(NamedTuple):
    association: bytes
    member: str
    root: Key
    admitted_at: int


class Certificate(NamedTuple):
    association: bytes
    role: int
    member: str
    key: Key
    not_before: int
    not_after: int


class Roster(NamedTuple):
    association: bytes
    network: str
    version: int
    members: list[Party]


class Negative(NamedTuple):
    """Revocation (of a certificate), suspension or expulsion (of a member)."""

    association: bytes
    type: int
    subject: bytes | str
    not_trusted_after: int
    expelled_at: int


class Lift(NamedTuple):
    association: bytes
    suspension: bytes


class Incarnation(NamedTuple):
    association: bytes
    role: int
    member: str
    certificate: bytes
    opened_at: int


Body: TypeAlias = Charter | Admission | Certificate | Roster | Negative | Lift | Incarnation


def read_body(encoded: bytes) -> Body:
    value = array(decode(encoded, 262_144))
    version(value)
    require(len(value) >= 3, "malformed", "no statement")
    kind = uint(value[1])
    require(kind != 10, "unsupported_version", "peering")
    if kind not in _FORMS:
        refuse("malformed", f"type {kind}")
    count, read = _FORMS[kind]
    require(len(value) == count, "malformed", f"{len(value)} fields, not {count}")
    association = digest(value[2])
    require(kind == 1 or association != NOBODY, "malformed", "no association")
    return read(association, value[3:])


def type_of(body: Body) -> int:
    if isinstance(body, Negative):
        return body.type
    return {Charter: 1, Admission: 2, Certificate: 3, Roster: 4, Lift: 7, Incarnation: 9}[type(body)]


def _admission(association: bytes, fields: list[Wire]) -> Admission:
    member, titles, country, root, admitted_at = fields
    many(titles, _title, most=8)
    require(isinstance(country, str) and _COUNTRY.fullmatch(country), "malformed", "country")
    return Admission(association, name(member), public_key(root), uint(admitted_at))


def _title(value: Wire) -> None:
    language, title = array(value, 2)
    require(_LANGUAGE.fullmatch(text(language, 16)), "malformed", "language")
    text(title, 128)


def _certificate(association: bytes, fields: list[Wire]) -> Certificate:
    role, member, key, not_before, not_after = fields
    who, of = _holder(role, member)
    start = uint(not_before)
    return Certificate(association, who, of, public_key(key), start, uint(not_after, start + 1, start + 366 * 86_400))


def _holder(role: Wire, member: Wire) -> tuple[int, str]:
    if uint(role, NODE, HUB) == NODE:
        return NODE, name(member)
    require(member == "", "malformed", "a hub has no member")
    return HUB, ""


def _roster(association: bytes, fields: list[Wire]) -> Roster:
    network, titles, number, members, signed_at = fields
    many(titles, _title, most=8)
    parties = many(members, party, most=128)
    ascending(parties)
    uint(signed_at)
    return Roster(association, name(network), uint(number, 1), parties)


def _revocation(association: bytes, fields: list[Wire]) -> Negative:
    text(fields[2], 255)
    return Negative(association, 5, digest(fields[0]), uint(fields[1]), 0)


def _suspension(association: bytes, fields: list[Wire]) -> Negative:
    text(fields[2], 255)
    return Negative(association, 6, name(fields[0]), uint(fields[1]), 0)


def _lift(association: bytes, fields: list[Wire]) -> Lift:
    uint(fields[1])
    return Lift(association, digest(fields[0]))


def _expulsion(association: bytes, fields: list[Wire]) -> Negative:
    text(fields[2], 255)
    return Negative(association, 8, name(fields[0]), uint(fields[1]), uint(fields[3]))


def _incarnation(association: bytes, fields: list[Wire]) -> Incarnation:
    role, member, certificate, cause, nonce, opened_at = fields
    uint(cause, 1, 4)
    binary(nonce, 16)
    return Incarnation(association, *_holder(role, member), digest(certificate), uint(opened_at))


_FORMS: dict[int, tuple[int, Callable[[bytes, list[Wire]], Body]]] = {
    1: (14, read_charter),
    2: (8, _admission),
    3: (8, _certificate),
    4: (8, _roster),
    5: (6, _revocation),
    6: (6, _suspension),
    7: (5, _lift),
    8: (7, _expulsion),
    9: (9, _incarnation),
}
