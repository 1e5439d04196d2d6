"""Targets that read one structure: codec, envelopes, messages, receipts, statements, calendars, frames, batches.

Whatever a reader takes must be exactly what its writer would write: one value, one encoding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from protocol.batch import BatchSignature, LeafProof
from protocol.codec import Value, decode, encode
from protocol.errors import ConflictError, PeerError, UsageError
from protocol.limits import MAX_FRAME_BYTES, MAX_LINK_BYTES
from protocol.messages.envelope import Attestation, AttestationData, Core, Envelope, Slot, Submission
from protocol.messages.message import Body, Header, Link, Manifest, View, body_root, message_id_of
from protocol.messages.receipts import Notice, Receipt, Void, read_notice, read_receipt, read_void
from protocol.names import Incarnation, Party, read_id, show_id
from protocol.session.frames import decode_frame, encode_frame
from protocol.session.handshake import ClientHello, ServerHello
from protocol.session.items import SubmitItem
from protocol.signing import PublicKey, Signature
from protocol.trust.checkpoint import Cosignature
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, check_successor
from protocol.trust.registry import Entry, entry_bytes
from protocol.trust.statements import SignedStatement, merge, read_body
from tests.fuzz.target import Target, refused_or, require
from tests.protocol.vectors_primitives import load

Reader = Callable[[bytes], None]
# Arrays and byte strings that announce, values at the edges of their encodings, what statements and frames begin with.
WORDS: Final = tuple(
    bytes.fromhex(word)
    for word in (
        "c0 c2 c3 00 7f cc80 ccff cd0100 cdffff ce00010000 ceffffffff cf0000000100000000 cfffffffffffffffff d0ff e0 ff "
        "90 91 92 93 95 96 97 98 9b 9f dc0010 dc4000 dc4001 dcffff dd00004000 ddffffffff c400 c410 c420 c4ff c50100 "
        "c5ffff c6ffffffff a0 a1 bf d920 d9ff da0100 80 81 de0001 c7 d4 ca3f800000 c1 930101c420 9b00 9800 950000"
    ).split()
)


def roundtrip(read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Reader:
    """A check that `read` refuses with a `PeerError`, or takes what `write` writes."""

    def check(data: bytes) -> None:
        value = refused_or(partial(read, data))
        if value is not None:
            require(write(value) == data, f"{type(value).__name__} is written otherwise than it was read")

    return check


def parsed(parse: Callable[[Value], Any], write: Callable[[Any], Value] | None = None) -> Reader:
    """The same for a structure inside another."""
    writer = write or (lambda value: value.value())
    return roundtrip(lambda data: parse(decode(data, MAX_FRAME_BYTES)), lambda value: encode(writer(value)))


def one_of(*readers: Reader) -> Reader:
    """A check whose first byte chooses the reader of the rest."""

    def check(data: bytes) -> None:
        if data:
            readers[data[0] % len(readers)](data[1:])

    return check


def chosen(number: int, inputs: Iterable[bytes]) -> Iterator[bytes]:
    """These inputs for that reader."""
    for each in inputs:
        yield bytes([number]) + each


# -- seeds ---------------------------------------------------------------------------------------------
def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def vectors(name: str, field: str, kinds: Sequence[str] = ()) -> list[bytes]:
    """The bytes that the vectors of `name` have in this field, of these kinds; valid and faulty."""
    file = load(name)
    cases = [*file["valid"], *file["invalid"]]
    return [unhex(each[field]) for each in cases if field in each and (not kinds or each.get("kind") in kinds)]


# -- codec ---------------------------------------------------------------------------------------------
def codec(data: bytes) -> None:
    value = refused_or(lambda: decode(data, MAX_FRAME_BYTES))
    if value is not None:
        require(encode(value) == data, "a value with two encodings")
    refused_or(lambda: decode(data, MAX_LINK_BYTES))


# -- structures ----------------------------------------------------------------------------------------
def raw(value: Any) -> bytes:
    written: bytes = value.raw
    return written


def core(data: bytes) -> None:
    roundtrip(Core.from_bytes, raw)(data)
    value = refused_or(lambda: Core.from_bytes(data))
    if value is not None:
        require(len(value.id) == 32 and value.sender.association == value.association, "a core of two associations")


def submit(data: bytes) -> None:
    """[core, ciphertext, slots], as a hub takes it in."""
    item = refused_or(lambda: SubmitItem.parse(decode(data, MAX_FRAME_BYTES)))
    if item is None:
        return
    envelope = refused_or(lambda: Envelope.from_bytes(item.core, item.ciphertext, item.slots))
    if envelope is not None:
        refused_or(lambda: envelope.core.check_ciphertext(envelope.ciphertext))
        require(len({slot.recipient for slot in envelope.slots}) == len(item.slots), "two slots for one")


def header(data: bytes) -> None:
    value = refused_or(lambda: Header.from_bytes(data))
    if value is not None:
        again = Header.build(value.message_id, value.created_at, value.content_digest, value.attachments)
        require(again == value and value.raw == data, "a header is built otherwise than it was read")
        require(message_id_of(data) == value.message_id, "the header's id at another place")
        require(read_id("msg", show_id("msg", value.message_id)) == value.message_id, "an id that shows another")


def manifest(data: bytes) -> None:
    value = refused_or(lambda: Manifest.from_bytes(data))
    if value is not None:
        require(value.raw == data and value.view.association == value.association, "a manifest without its view")
        require(value.sender not in value.audience, "a sender in its audience")


def link(data: bytes) -> None:
    value = refused_or(lambda: Link.from_bytes(data))
    if value is not None:
        require(value.raw == data and len(value.numbers) == value.count, "numbers of another link")
        require(value.first_seq + value.count <= 1 << 63, "numbers that no store counts")


def bodies(data: bytes) -> None:
    values = refused_or(lambda: decode(data, MAX_FRAME_BYTES))
    read = [refused_or(partial(Body.parse, each)) for each in values] if isinstance(values, list) else []
    body_root([each for each in read if each is not None])


def receipt(data: bytes) -> None:
    value: Receipt | None = refused_or(lambda: read_receipt(data))
    if value is not None:
        require(value.encode() == data, "a receipt is written otherwise than it was read")


def signed_statement(data: bytes) -> None:
    signed = refused_or(lambda: SignedStatement.from_bytes(data))
    if signed is None:
        return
    require(signed.raw == data and signed.statement.body() == signed.body, "a statement with two bodies")
    require(merge(signed, signed).raw == data, "a statement that merges with itself to another")
    require(signed.signers({}, signed.association) == frozenset(), "signers among no keys")


def calendar(data: bytes) -> None:
    signed = refused_or(lambda: SignedCalendar.from_bytes(data))
    if signed is not None:
        held = _held_calendar()
        refused_or(lambda: check_successor(held, signed.claimed, same_incarnation=True), (PeerError, ConflictError))
        require(signed.raw == data, "a calendar written otherwise")


def _held_calendar() -> PrekeyCalendar:
    return SignedCalendar.from_bytes(unhex(load("prekeys")["valid"][0]["signed"])).claimed


def names(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for prefix in ("msg", "env", "stm"):
        given = refused_or(partial(read_id, prefix, text), UsageError)
        require(given is None or show_id(prefix, given) == text, "an id shown in two ways")


ENVELOPES: Final = (
    core,
    roundtrip(Slot.from_bytes, raw),
    roundtrip(AttestationData.from_bytes, raw),
    parsed(Attestation.parse),
    submit,
    parsed(Submission.parse),
    parsed(BatchSignature.parse),
    parsed(LeafProof.parse),
)
MESSAGES: Final = (
    header,
    manifest,
    link,
    bodies,
    parsed(View.parse),
    parsed(Party.parse),
    parsed(Incarnation.parse),
    parsed(Cosignature.parse),
)
RECEIPTS: Final = (
    receipt,
    roundtrip(read_void, Void.encode),
    roundtrip(read_notice, Notice.encode),
)
STATEMENTS: Final = (
    roundtrip(read_body, lambda statement: statement.body()),
    signed_statement,
    roundtrip(Entry.parse, lambda entry: entry_bytes(entry.type, entry.logged_at, entry.hash)),
    calendar,
    roundtrip(PrekeyCalendar.from_bytes, raw),
    parsed(PublicKey.parse),
    parsed(Signature.parse),
    names,
)
FRAMES: Final = (
    roundtrip(decode_frame, encode_frame),
    roundtrip(ClientHello.from_bytes, raw),
    roundtrip(ServerHello.from_bytes, raw),
)


def envelope_seeds() -> Iterator[bytes]:
    for number, kind in enumerate(("core", "slot", "attestation data", "attestation")):
        yield from chosen(number, vectors("envelope", "encoded", [kind]))
    opening = load("opening")["valid"]
    items = [encode([unhex(each["core"]), unhex(each["ciphertext"]), [unhex(each["slot"])]]) for each in opening]
    yield from chosen(4, items)
    yield from chosen(6, vectors("batch", "encoded", ["batch signature"]))
    yield from chosen(7, vectors("batch", "encoded", ["leaf proof"]))


def message_seeds() -> Iterator[bytes]:
    for number, kind in enumerate(("header", "manifest", "link")):
        yield from chosen(number, vectors("message", "encoded", [kind]))
    for case in load("message")["valid"]:
        if case["kind"] == "bodies":
            yield b"\x03" + encode([[unhex(salt), unhex(part), b"", []] for salt, part in case["bodies"]])
    for each in vectors("message", "encoded", ["manifest"]):
        value = refused_or(partial(Manifest.from_bytes, each))
        if value is not None:
            yield b"\x04" + encode(value.view.value())


def receipt_seeds() -> Iterator[bytes]:
    for number, kind in enumerate(("receipt", "void", "notice")):
        yield from chosen(number, vectors("receipts", "encoded", [kind]))


def statement_seeds() -> Iterator[bytes]:
    yield from chosen(0, vectors("statements", "body"))
    yield from chosen(1, vectors("statements", "signed"))
    yield from chosen(2, [unhex(entry) for entry, _signed in load("opening")["registry"]])
    yield from chosen(3, vectors("prekeys", "signed"))
    for each in vectors("prekeys", "signed"):
        outer = refused_or(partial(decode, each, MAX_FRAME_BYTES))
        if isinstance(outer, list) and outer and isinstance(outer[0], bytes):
            yield b"\x04" + outer[0]
    yield from (b"\x07" + json.dumps(each).encode() for each in load("names")["valid"])


def frame_seeds() -> Iterator[bytes]:
    yield from chosen(0, vectors("frames", "encoded"))
    for case in load("session")["valid"]:
        yield b"\x01" + unhex(case["client_hello"])
        yield b"\x02" + unhex(case["server_hello"])


TARGETS: Final = (
    Target("codec", codec, lambda: vectors("codec", "encoded"), words=WORDS, max_bytes=65_536),
    Target("envelope", one_of(*ENVELOPES), envelope_seeds, head=1, words=WORDS, max_bytes=16_384),
    Target("message", one_of(*MESSAGES), message_seeds, head=1, words=WORDS),
    Target("receipts", one_of(*RECEIPTS), receipt_seeds, head=1, words=WORDS),
    Target("statements", one_of(*STATEMENTS), statement_seeds, head=1, words=WORDS, max_bytes=32_768),
    Target("frames", one_of(*FRAMES), frame_seeds, head=1, words=WORDS, max_bytes=32_768),
)
