"""Our decoders and the reader that was written from SPEC.md judge alike what a vector becomes by one change.

Each valid vector is decoded, and each of its elements in turn is replaced by a neighbour, an extreme or a value of
another type, or dropped, repeated, lengthened.  Both must give the same verdict, and refuse with the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from protocol.batch import BatchSignature, LeafProof
from protocol.codec import Value, decode, encode
from protocol.errors import LogError, PeerError, ValijaError
from protocol.messages.envelope import Attestation, AttestationData, Core, Slot
from protocol.messages.message import Header, Link, Manifest
from protocol.messages.receipts import read_notice, read_receipt, read_void
from protocol.session.frames import decode_frame
from protocol.session.handshake import ClientHello, ServerHello
from protocol.trust.offer import Offer
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar
from protocol.trust.registry import Entry
from protocol.trust.statements import SignedStatement, read_body
from tests.protocol.vectors_primitives import load
from tests.spec_reader import (
    batch,
    bodies,
    envelope,
    facts,
    frames,
    handshake,
    message,
    offer,
    prekeys,
    registry,
    statements,
)
from tests.spec_reader.refusal import Refused

Reader = Callable[[bytes], object]
MAX_BYTES = 1 << 20
SIGNATURE: list[Value] = [bytes(64), bytes(3309)]
# On both sides of what something may be: counts of arrays, numbers, lengths of texts and of byte strings.
COUNTS = (8, 9, 13, 15, 16, 17, 33, 65, 128, 129, 130, 257, 1_024, 1_025)
NUMBERS = (0, 1, 2, 255, 256, 257, 4_095, 4_096, 4_097, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (0, 1, 2, 3, 16, 17, 32, 33, 64, 65, 128, 129, 255, 256, 4_096, 4_097)
SIZES = (0, 1, 15, 16, 31, 32, 33, 64, 512, 513, 2_305, 8_193, 32_768, 32_769)
OTHERS: tuple[Value, ...] = (None, True, 1, b"", b"\1" * 32, "", "ar-mpf", "ARG", [], [1, 1], [[]])
# Of a long array its beginning stands for the rest; and one that is made longer stays below so many bytes.
MANY, LONG_BYTES = 14, 12_000


@dataclass(frozen=True)
class Format:
    """A structure that both can read: vectors of it in good form, and both readers."""

    name: str
    valid: list[bytes] = field(repr=False)
    ours: Reader
    theirs: Reader


def vectors(file: str, kind: str | None = None, key: str = "encoded") -> list[bytes]:
    return [bytes.fromhex(case[key]) for case in load(file)["valid"] if kind is None or case["kind"] == kind]


def inside(signed: list[bytes]) -> list[bytes]:
    """What is signed: the byte string that stands first."""
    values = [decode(raw, MAX_BYTES) for raw in signed]
    return [value[0] for value in values if isinstance(value, list) and isinstance(value[0], bytes)]


def our_attestation(raw: bytes) -> None:
    AttestationData.from_bytes(Attestation.parse(decode(raw, 65_536)).data)


def our_entry(raw: bytes) -> None:
    try:
        Entry.parse(raw)
    except PeerError as error:
        raise LogError from error


CALENDARS = vectors("prekeys", "form", "signed")
ENTRIES = [bytes.fromhex(entry) for case in load("registry")["valid"] for entry, _number in case["leaves"]]
CLIENT_HELLOS, SERVER_HELLOS = (vectors("session", key=f"{side}_hello") for side in ("client", "server"))
FORMATS = (
    Format(
        "batch signature",
        vectors("batch", "signature", "batch"),
        lambda raw: BatchSignature.parse(decode(raw, 65_536)),
        batch.read_batch,
    ),
    Format(
        "leaf proof",
        vectors("batch", "leaf", "proof"),
        lambda raw: LeafProof.parse(decode(raw, 65_536)),
        batch.read_proof,
    ),
    Format("statement", vectors("statements", "body", "body"), read_body, facts.read_body),
    Format(
        "signed statement",
        vectors("statements", "signed", "signed"),
        SignedStatement.from_bytes,
        statements.read_statement,
    ),
    Format("entry", ENTRIES, our_entry, registry.read_entry),
    Format("calendar", inside(CALENDARS), PrekeyCalendar.from_bytes, prekeys.read_calendar),
    Format("signed calendar", CALENDARS, SignedCalendar.from_bytes, prekeys.read_signed),
    Format("offer", vectors("offer", key="offer"), Offer.parse, offer.read_offer),
    Format("header", vectors("message", "header"), Header.from_bytes, message.read_header),
    Format("manifest", vectors("message", "manifest"), Manifest.from_bytes, message.read_manifest),
    Format("link", vectors("message", "link"), Link.from_bytes, message.read_link),
    Format("receipt", vectors("receipts", "receipt"), read_receipt, bodies.check_receipt),
    Format("void", vectors("receipts", "void"), read_void, bodies.check_void),
    Format("notice", vectors("receipts", "notice"), read_notice, bodies.check_notice),
    Format("core", vectors("envelope", "core"), Core.from_bytes, envelope.read_core),
    Format("slot", vectors("envelope", "slot"), Slot.from_bytes, envelope.read_slot),
    Format(
        "attestation data", vectors("envelope", "attestation data"), AttestationData.from_bytes, envelope.read_claim
    ),
    Format("attestation", vectors("envelope", "attestation"), our_attestation, envelope.read_attestation),
    Format("ClientHello", CLIENT_HELLOS, ClientHello.from_bytes, handshake.read_client_hello),
    Format("ServerHello", SERVER_HELLOS, ServerHello.from_bytes, handshake.read_server_hello),
    Format(
        "hello that is signed",
        inside(SERVER_HELLOS),
        lambda raw: ServerHello.from_bytes(encode([raw, *SIGNATURE])),
        lambda raw: handshake.read_server_hello(encode([raw, *SIGNATURE])),
    ),
    Format("frame", vectors("frames"), decode_frame, frames.read_frame),
)


# -- changes -----------------------------------------------------------------------------------------
def changed(value: Value) -> Iterator[Value]:
    """`value` with one element of it, at any depth, changed in one way."""
    yield from OTHERS
    if isinstance(value, list):
        yield from rearranged(value)
        for index in range(len(value))[:MANY]:
            for new in changed(value[index]):
                yield [*value[:index], new, *value[index + 1 :]]
    elif isinstance(value, bytes):
        yield from (value[:-1], value + b"\0", bytes(len(value)), b"\xff" * len(value))
        yield from (bytes(size) for size in SIZES)
    elif isinstance(value, str):
        yield from (value[:-1], value + "a", value.upper(), f"{value} ", f"{value}\n", "ñ" * 16)
        yield from ("a" * size for size in TEXTS)
    elif isinstance(value, int):
        yield from (max(value - 1, 0), min(value + 1, NUMBERS[-1]), *NUMBERS)


def rearranged(value: list[Value]) -> Iterator[Value]:
    """The array with an element dropped or repeated, its order turned, or longer."""
    for index in range(len(value))[:MANY]:
        yield [*value[:index], *value[index + 1 :]]
        yield [*value[: index + 1], *value[index:]]
    yield value[::-1]
    yield [*value, None]
    for filling in value[-1:], [None]:
        yield from (filling * count for count in COUNTS if count * len(encode(filling)) < LONG_BYTES)


# -- verdicts ----------------------------------------------------------------------------------------
def verdict(read: Reader, raw: bytes) -> str:
    try:
        read(raw)
    except ValijaError as error:
        return error.code
    except Refused as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("of", FORMATS, ids=lambda of: of.name)
def test_both_readers_judge_alike_what_one_change_makes(of: Format) -> None:
    cases = {encode(value) for valid in of.valid for value in changed(decode(valid, MAX_BYTES))}
    judged = {raw: (verdict(of.ours, raw), verdict(of.theirs, raw)) for raw in cases | {*of.valid}}
    assert all(judged[raw] == ("ok", "ok") for raw in of.valid)
    assert ("malformed", "malformed") in judged.values() or of.name == "entry"
    assert {raw[:200]: codes for raw, codes in judged.items() if len(set(codes)) > 1} == {}
