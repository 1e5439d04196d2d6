"""SPEC 11.2: frames in plaintext, and their form."""

from collections.abc import Callable
from typing import NamedTuple

from tests.spec_reader.batch import batch_of, proof_of
from tests.spec_reader.envelope import submission
from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.shape import array, binary, code, digest, many, name, optional, party, text, uint
from tests.spec_reader.signing import signature
from tests.spec_reader.wire import Wire, decode

FRAME = 4_194_304
FINISH, WELCOME, SUBMIT, RESULTS, DELIVER, ACKNOWLEDGE = 2, 3, 16, 17, 18, 19
RECALL, RECALLED, PUBLISH, PUBLISHED, LOOKUP, CALENDARS, REGISTRY, CLOSE = 20, 21, 22, 23, 24, 25, 26, 27
_U32 = (1 << 32) - 1


class Frame(NamedTuple):
    type: int
    fields: list[Wire]


def read_frame(encoded: bytes) -> Frame:
    value = array(decode(encoded, FRAME - 16))
    require(value, "malformed", "an empty array")
    kind = uint(value[0])
    if kind not in _FORMS:
        refuse("malformed", f"type {kind}")
    count, check = _FORMS[kind]
    require(len(value) == count + 1, "malformed", "fields")
    check(value[1:])
    return Frame(kind, value[1:])


def _finish(fields: list[Wire]) -> None:
    signature(*fields)


def _welcome(fields: list[Wire]) -> None:
    cursor, highest, *window = fields
    uint(cursor)
    optional(highest, submission)
    _window(window)


def _window(fields: list[Wire]) -> None:
    envelopes, size = fields
    uint(envelopes, 0, _U32)
    uint(size)


def _submit(fields: list[Wire]) -> None:
    many(fields[0], _submitted, 1, 256)


def _submitted(value: Wire) -> None:
    core, ciphertext, slots = array(value, 3)
    binary(core)
    binary(ciphertext)
    many(slots, binary, 1, 128)


def _results(fields: list[Wire]) -> None:
    signatures, results = fields
    used = [index for indexes in many(results, _result, 1, 256) for index in indexes]
    _check_signatures(signatures, used)


def _result(value: Wire) -> list[int]:
    envelope, refused, attestations = array(value, 3)
    digest(envelope)
    why = optional(refused, code)
    used = many(attestations, _attestation, most=128)
    require((why is None) == bool(used), "malformed", "a code or attestations")
    return used


def _attestation(value: Wire) -> int:
    """The index of its signature."""
    data, salt, index, path, signed = array(value, 5)
    binary(data, most=512)
    proof_of(salt, index, path)
    return uint(signed)


def _check_signatures(value: Wire, used: list[int]) -> None:
    """Each listed once, in the order of first use, and used."""
    signatures = many(value, batch_of)
    require(all(index < len(signatures) for index in used), "malformed", "no such signature")
    require(list(dict.fromkeys(used)) == list(range(len(signatures))), "non_canonical", "signatures")
    require(len(set(signatures)) == len(signatures), "non_canonical", "a signature twice")


def _deliver(fields: list[Wire]) -> None:
    signatures, items = fields
    _check_signatures(signatures, many(items, _item, 1, 256))


def _item(value: Wire) -> int:
    position, core, ciphertext, slot, attestation = array(value, 5)
    uint(position, 1)
    require((optional(core, binary) is None) == (optional(slot, binary) is None), "malformed", "core and slot")
    require(core is not None or not binary(ciphertext), "malformed", "a notice has no ciphertext")
    binary(ciphertext)
    return _attestation(attestation)


def _acknowledge(fields: list[Wire]) -> None:
    uint(fields[0])
    _window(fields[1:])


def _recall(fields: list[Wire]) -> None:
    uint(fields[0])
    digest(fields[1])
    party(fields[2])


def _recalled(fields: list[Wire]) -> None:
    request, signatures, attestation = fields
    uint(request)
    used = optional(attestation, _attestation)
    _check_signatures(signatures, [] if used is None else [used])


def _publish(fields: list[Wire]) -> None:
    uint(fields[0])
    _signed_calendar(fields[1])


def _signed_calendar(value: Wire) -> bytes:
    return binary(value, most=32_768)


def _published(fields: list[Wire]) -> None:
    uint(fields[0])
    optional(fields[1], code)


def _lookup(fields: list[Wire]) -> None:
    uint(fields[0])
    many(fields[1], name, 1, 128)


def _calendars(fields: list[Wire]) -> None:
    uint(fields[0])
    many(fields[1], _calendar, 1, 128)


def _calendar(value: Wire) -> None:
    member, calendar = array(value, 2)
    name(member)
    optional(calendar, _signed_calendar)


def _registry(fields: list[Wire]) -> None:
    uint(fields[0])


def _close(fields: list[Wire]) -> None:
    code(fields[0])
    text(fields[1], 255)


_FORMS: dict[int, tuple[int, Callable[[list[Wire]], None]]] = {
    FINISH: (2, _finish),
    WELCOME: (4, _welcome),
    SUBMIT: (1, _submit),
    RESULTS: (2, _results),
    DELIVER: (2, _deliver),
    ACKNOWLEDGE: (3, _acknowledge),
    RECALL: (3, _recall),
    RECALLED: (3, _recalled),
    PUBLISH: (2, _publish),
    PUBLISHED: (2, _published),
    LOOKUP: (2, _lookup),
    CALENDARS: (2, _calendars),
    REGISTRY: (1, _registry),
    CLOSE: (2, _close),
}
