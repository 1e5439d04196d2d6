"""SPEC 8.6 to 8.8: the signed part of a receipt, a void and a notice."""

from tests.spec_reader.message import EMPTY, VOID
from tests.spec_reader.refusal import require
from tests.spec_reader.shape import (
    Incarnation,
    array,
    ascending,
    binary,
    code,
    digest,
    incarnation,
    many,
    name,
    optional,
    structure,
    text,
    uint,
    version,
)
from tests.spec_reader.wire import Wire, decode

PART = 65_536
_FIELDS = {1: 5, 2: 8, 3: 6, 4: 8}
_DELIVERED, _VOID, _REFUSED = 1, 2, 4


def check_receipt(encoded: bytes) -> None:
    value = array(decode(encoded, PART))
    version(value)
    require(len(value) > 2, "malformed", "no receipt")
    event = uint(value[1], 1, 4)
    require(len(value) == _FIELDS[event], "malformed", "fields")
    uint(value[2])
    {1: _consignment, 2: _failure, 3: _rejection, 4: _handover}[event](value[3:])


def _consignment(fields: list[Wire]) -> None:
    link, exceptions = fields
    of, first_seq, count, manifest, kind = array(link, 5)
    incarnation(of)
    digest(manifest)
    first = uint(first_seq, 1)
    last = first + uint(count, 1, 256) - 1
    default = _VOID if uint(kind, 1, EMPTY - 1) == VOID else _DELIVERED
    read = many(exceptions, _exception, most=256)
    ascending([seq for seq, _ in read])
    require(all(first <= seq <= last and outcome != default for seq, outcome in read), "malformed", "exceptions")


def _exception(value: Wire) -> tuple[int, int]:
    seq, outcome, message_id = array(value, 3)
    binary(message_id, 16)
    return uint(seq, 1), uint(outcome, _DELIVERED, _REFUSED)


def _failure(fields: list[Wire]) -> None:
    *digests, reason = fields
    for value in digests:
        digest(value)
    code(reason)


def _rejection(fields: list[Wire]) -> None:
    _failure(fields)


def _handover(fields: list[Wire]) -> None:
    message_id, desk, actor, action, note = fields
    binary(message_id, 16)
    name(desk)
    optional(actor, _actor)
    uint(action, 1, 5)
    text(note, 4_096)


def _actor(value: Wire) -> list[str]:
    return [text(item, 255) for item in array(value, 3)]


def check_void(encoded: bytes) -> None:
    message_id, reason = structure(encoded, PART, 3)
    binary(message_id, 16)
    uint(reason, 1, 3)


def check_notice(encoded: bytes) -> None:
    (held,) = structure(encoded, PART, 2)
    ascending([of for of, _ in many(held, _last, most=1_024)])


def _last(value: Wire) -> tuple[Incarnation, int]:
    of, last = array(value, 2)
    return incarnation(of), uint(last)
