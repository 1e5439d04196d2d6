"""SPEC 9.2 and 9.3: what a wrap and a ciphertext hold, and its form (9.6, steps 4 and 5)."""

from typing import NamedTuple

from tests.spec_reader import chunks, hpke
from tests.spec_reader.batch import LEAVES, PATH, Batch, Proof, batch_of
from tests.spec_reader.bodies import PART, check_notice, check_receipt, check_void
from tests.spec_reader.content import read_content
from tests.spec_reader.digests import prekey_hash
from tests.spec_reader.envelope import Attestation, Core, Slot, attestation_of
from tests.spec_reader.message import (
    MESSAGE,
    NOTICE,
    RECEIPT,
    VOID,
    Header,
    Link,
    Manifest,
    read_header,
    read_link,
    read_manifest,
)
from tests.spec_reader.padding import MOST, unpad
from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.shape import array, binary, digest, many
from tests.spec_reader.wire import Wire, decode, encode

_LINK = 254


class Wrapped(NamedTuple):
    content_key: bytes
    link: Link
    proof: Proof


class Body(NamedTuple):
    salt: bytes
    part: bytes
    content: bytes
    file_keys: list[bytes]
    header: Header | None
    author: str | None


class Payload(NamedTuple):
    batch: Batch
    manifest: Manifest
    bodies: list[Body]
    acceptances: list[Attestation]


def unwrap(core: Core, slot: Slot, prekey: hpke.Private | None) -> bytes:
    if prekey is None:
        refuse("cannot_open", "no prekey")
    held = prekey_hash(slot.recipient, slot.epoch, prekey.public())
    require(held == slot.prekey_hash, "cannot_open", "another prekey")
    return hpke.unwrap(prekey, _info(core, slot), slot.wrap)


def _info(core: Core, slot: Slot) -> bytes:
    sender, recipient = [*core.sender], [*slot.recipient]
    bound: list[Wire] = ["valija/0 wrap", core.sender[0], core.id(), sender, recipient]  # type: ignore[list-item]
    return encode([*bound, slot.epoch, slot.prekey_hash, slot.link_leaf])


def open_ciphertext(wrapped: bytes, ciphertext: bytes) -> bytes:
    return chunks.unseal(wrapped[:32], b"valija/0 content", ciphertext)


def read_wrapped(plain: bytes) -> Wrapped:
    size, index, steps = int.from_bytes(plain[64:66], "big"), int.from_bytes(plain[320:322], "big"), plain[322]
    require(size <= _LINK and index < LEAVES and steps <= PATH, "malformed", "wrap")
    link, path = plain[66:320], plain[323:]
    require(not any(link[size:]) and not any(path[32 * steps :]), "malformed", "padding of the wrap")
    hashes = [path[32 * step : 32 * step + 32] for step in range(steps)]
    return Wrapped(plain[:32], read_link(link[:size]), Proof(plain[32:64], index, hashes))


def read_payload(padded: bytes) -> Payload:
    batch, manifest, bodies, acceptances = array(decode(unpad(padded), MOST), 4)
    signed = batch_of(batch)
    read = read_manifest(binary(manifest))
    parts = many(bodies, lambda body: _body(read.kind, body), most=256)
    require(len(parts) == read.bodies, "malformed", "number of bodies")
    return Payload(signed, read, parts, many(acceptances, attestation_of, most=128))


def _body(kind: int, value: Wire) -> Body:
    salt, signed, content, file_keys = array(value, 4)
    part, document = binary(signed, most=PART), binary(content)
    keys = many(file_keys, digest, most=64)
    header, author = _part(kind, part, document, len(keys))
    return Body(digest(salt), part, document, keys, header, author)


def _part(kind: int, part: bytes, document: bytes, keys: int) -> tuple[Header | None, str | None]:
    if kind == MESSAGE:
        header = read_header(part)
        require(keys == header.attachments, "malformed", "file keys")
        return header, str(read_content(document)["from"]["member"])
    require(not document and not keys, "malformed", "a content that is no message's")
    {RECEIPT: check_receipt, VOID: check_void, NOTICE: check_notice}[kind](part)
    return None, None
