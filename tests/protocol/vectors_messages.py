"""Writes the vectors of batches, contents, messages, envelopes, receipts: `python -m tests.protocol.vectors_messages file…`.

`content`, `message` and `receipts` come out the same every time, and a test asks for it.  `batch`, `envelope`
and `opening` hold ML-DSA signatures or HPKE wraps, which are randomized: written once, and only verified afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from protocol.codec import Value, decode, encode
from protocol.messages.content import (
    EuropolCode,
    Formality,
    FormalityKind,
    Handling,
    Matter,
    MessageType,
    SourceGrade,
    Tlp,
    Transition,
    Urgency,
    to_json,
)
from protocol.messages.message import Ack, Attachment, Body, Header, Kind, Link, Manifest, View, body_root
from protocol.messages.receipts import (
    Action,
    Actor,
    Consigned,
    Exceptional,
    HandedOver,
    LinkRef,
    Notice,
    Outcome,
    Rejected,
    Unopened,
    Void,
    VoidReason,
)
from protocol.names import AssociationId, EnvelopeId, Party, StatementId
from protocol.trust.checkpoint import Cosignature
from tests.protocol import vectors_envelope, vectors_opening
from tests.protocol.vectors_envelope import (
    FIRST,
    FOREIGN,
    HOME,
    ME,
    MESSAGE,
    SECOND,
    THIRD,
    TOO_LARGE,
    YOU,
    digest,
    faults,
    told,
)
from tests.protocol.vectors_primitives import FOLDER, Vectors, render, seed
from tests.protocol.vectors_registry import put
from tests.support.letters import content as letter_content
from tests.support.world import START


# -- content -----------------------------------------------------------------------------------------
def content() -> Vectors:
    plain = to_json(letter_content("Se solicita el legajo."))
    full = letter_content(
        "Adjunto: *ñandú* \x1b[31m\u202e",
        type=MessageType.MLA_REQUEST,
        to=("co-fgn@aiamp", "#rfai@aiamp"),
        urgency=Urgency.EMERGENCY,
        thread="msg_" + "a" * 26,
        in_reply_to="msg_" + "b" * 26,
        case_reference="FRO 12345/2026",
        due_at="2026-12-01T12:00:00Z",
        handling=Handling(tlp=Tlp.AMBER_STRICT, europol=(EuropolCode.H1,), source=SourceGrade.A, information=2),
        formality=Formality(kind=FormalityKind.FORMAL, official_reference="Iber@ 77"),
        transition=Transition(matter=Matter.SENT),
        language="es",
        use_limits="Solo para esta causa.",
    )
    head = plain[:-1]
    good = [
        ("shortest", plain),
        ("every field", to_json(full)),
        ("unknown fields", head + b',"later":{"a":[1,2.5e9,null,true]}}'),
        ("16 deep", head + b',"later":' + b"[" * 15 + b"]" * 15 + b"}"),
        ("spaces", plain.replace(b",", b" ,\n ")),
        ("escapes", plain.replace(b"legajo", b"\\u006cegajo")),
        ("a line break in a subject", plain.replace(b"legajo", b"le\\ngajo")),
        ("due in the first year", head + b',"due_at":"0001-01-01T00:00:00Z"}'),
        ("due in the last year", head + b',"due_at":"9999-12-31T23:59:59Z"}'),
        ("explicit nulls", head + b',"thread":null,"handling":null}'),
    ]
    bad = [
        ("empty", b"", "malformed"),
        ("an array", b"[]", "malformed"),
        ("cut", plain[:-1], "malformed"),
        ("trailing text", plain + b"x", "malformed"),
        ("byte order mark", b"\xef\xbb\xbf" + plain, "malformed"),
        ("not UTF-8 in an unknown field", head + b',"later":"\xff"}', "malformed"),
        ("unpaired surrogate", plain.replace(b"legajo", b"\\ud800"), "malformed"),
        ("raw control character", plain.replace(b"legajo", b"\x01"), "malformed"),
        ("NaN", head + b',"later":NaN}', "malformed"),
        ("a field twice", head + b',"subject":"Otra"}', "malformed"),
        ("an unknown field twice, once escaped", head + b',"later":1,"l\\u0061ter":1}', "malformed"),
        ("17 deep", head + b',"later":' + b"[" * 16 + b"]" * 16 + b"}", "limit_exceeded"),
        ("another schema", plain.replace(b"content/0", b"content/1"), "malformed"),
        ("a type unknown", plain.replace(b'"message"', b'"memo"'), "malformed"),
        ("no subject", plain.replace(b"subject", b"object"), "malformed"),
        ("subject of 301 characters", plain.replace(b"Consulta", b"x" * 301), "malformed"),
        ("body format unknown", plain.replace(b"plain", b"html"), "malformed"),
        ("to nobody", plain.replace(b'["co-fgn@aiamp"]', b"[]"), "malformed"),
        ("member in capitals", plain.replace(b"ar-mpf", b"AR-MPF"), "malformed"),
        ("member with a newline", plain.replace(b"ar-mpf", b"ar-mpf\\n"), "malformed"),
        ("urgency unknown", plain.replace(b"routine", b"soon"), "malformed"),
        ("a thread that is no message id", head + b',"thread":"msg_1"}', "malformed"),
        ("due on 30 February", head + b',"due_at":"2026-02-30T00:00:00Z"}', "malformed"),
        ("due in the year 0000", head + b',"due_at":"0000-12-31T23:59:59Z"}', "malformed"),
        ("due at an offset", head + b',"due_at":"2026-02-03T00:00:00+01:00"}', "malformed"),
        ("an unknown handling code", head + b',"handling":{"tlp":"RED"}}', "malformed"),
        ("a Europol code twice", head + b',"handling":{"europol":["H1","H1"]}}', "malformed"),
        ("information graded 5", head + b',"handling":{"information":5}}', "malformed"),
        ("an unknown state of the matter", head + b',"transition":{"matter":"lost"}}', "malformed"),
    ]
    return {
        "description": "SPEC 8.1. A document in hex. Valid: it is read, whatever a reader makes of it. Invalid: reading gives the error. `spaces` stand before the document.",
        "valid": [
            *({"name": name, "document": data.hex()} for name, data in good),
            {"name": "512 KiB", "spaces": 524_288 - len(plain), "document": plain.hex()},
        ],
        "invalid": [
            *({"name": name, "document": data.hex(), "error": error} for name, data, error in bad),
            {
                "name": "over 512 KiB",
                "spaces": 524_289 - len(plain),
                "document": plain.hex(),
                "error": "limit_exceeded",
            },
        ],
    }


# -- message -----------------------------------------------------------------------------------------
def view(association: AssociationId, negatives: tuple[bytes, ...] = ()) -> View:
    return View(association, 9, digest("log root"), Cosignature(START, seed("log signature", 2420)), negatives)


def message() -> Vectors:
    files = [Attachment(digest("cipher"), digest("plain"), 10_737_418_240)]
    header = Header.build(MESSAGE, START, digest("content"), files)
    bodies = [Body(seed(f"body salt {number}"), f"part {number}".encode()) for number in range(3)]
    start = (ME, StatementId(digest("certificate")))
    rest = (START + 1, bodies)
    plain = Manifest.build(Kind.MESSAGE, *start, [YOU, THIRD], "rfai", [view(HOME)], *rest)
    abroad = Manifest.build(
        Kind.MESSAGE, *start, [Party(FOREIGN, "xx")], None, [view(HOME, (b"x",)), view(FOREIGN)], *rest
    )
    empty = Manifest.build(Kind.EMPTY, *start, [YOU], None, [view(HOME)], START, [])
    link = Link.build(plain, YOU, FIRST, 7, Ack(SECOND, 0))
    nothing = Link.build(empty, YOU, FIRST, 8)
    salt = seed("link salt")
    party: Value = YOU.value()
    return {
        "description": "SPEC 8.2 to 8.4. header, manifest (with its digest), link (with the link leaf under `salt`): encoded, and the "
        "value (nil and booleans as such, {uint: decimal}, {bin: hex}, {text}, arrays). bodies: `root` over [salt, signed part].",
        "valid": [
            {"kind": "header", **told(header.raw)},
            {"kind": "header", **told(Header.build(MESSAGE, 0, digest("content")).raw)},
            *({"kind": "manifest", **told(each.raw, digest=each.digest.hex())} for each in (plain, abroad, empty)),
            *({"kind": "link", **told(it.raw, salt=salt.hex(), leaf=it.leaf(salt).hex())} for it in (link, nothing)),
            *(
                {
                    "kind": "bodies",
                    "bodies": [[each.salt.hex(), each.signed_part.hex()] for each in bodies[:count]],
                    "root": body_root(bodies[:count]).hex(),
                }
                for count in range(4)
            ),
        ],
        "invalid": [
            *faults(
                "header",
                header.raw,
                ("short message id", (1,), bytes(15), "malformed"),
                ("time of 2^63", (2,), TOO_LARGE, "malformed"),
                ("short content digest", (3,), bytes(31), "malformed"),
                ("attachment without size", (4, 0), [bytes(32), bytes(32)], "malformed"),
                ("65 attachments", (4,), [files[0].value()] * 65, "limit_exceeded"),
            ),
            *faults(
                "manifest",
                plain.raw,
                ("version 2^63", (0,), TOO_LARGE, "malformed"),
                ("another suite", (1,), 2, "unsupported_version"),
                ("suite 2^63", (1,), TOO_LARGE, "malformed"),
                ("kind 0", (2,), 0, "malformed"),
                ("kind 6", (2,), 6, "malformed"),
                ("another association than the sender's", (3,), FOREIGN, "malformed"),
                ("short certificate", (5,), bytes(31), "malformed"),
                ("a sender of 33 letters", (4, 1), "a" * 33, "malformed"),
                ("nobody in the audience", (6,), [], "malformed"),
                ("the sender in the audience", (6,), [ME.value()], "malformed"),
                ("audience out of order", (6,), [party, THIRD.value()], "malformed"),
                ("a member twice", (6,), [party, party], "malformed"),
                ("audience of 129", (6,), [[HOME, f"m{at:03}"] for at in range(129)], "limit_exceeded"),
                ("network in capitals", (7,), "RFAI", "malformed"),
                ("a network of 33 letters", (7,), "a" * 33, "malformed"),
                ("no view", (8,), [], "malformed"),
                ("a view too many", (8,), [view(each).value() for each in sorted([HOME, FOREIGN])], "malformed"),
                ("130 views", (8,), [None] * 130, "limit_exceeded"),
                ("a view of another association", (8, 0, 0), FOREIGN, "malformed"),
                ("a view of nothing", (8, 0, 1), 0, "malformed"),
                ("short log signature", (8, 0, 4), bytes(2419), "malformed"),
                ("17 negatives", (8, 0, 5), [b"x"] * 17, "limit_exceeded"),
                ("an empty negative", (8, 0, 5), [b""], "malformed"),
                ("expiry of 2^63", (9,), TOO_LARGE, "malformed"),
                ("no bodies", (10,), 0, "malformed"),
                ("257 bodies", (10,), 257, "malformed"),
                ("2^63 bodies", (10,), TOO_LARGE, "malformed"),
                ("short root", (11,), bytes(31), "malformed"),
            ),
            *(
                {**case, "name": f"empty {case['name']}"}
                for case in faults(
                    "manifest",
                    empty.raw,
                    ("a body", (10,), 1, "malformed"),
                    ("257 bodies", (10,), 257, "malformed"),
                )
                if "bod" in case["name"]
            ),
            {
                "kind": "manifest",
                "name": "manifest: a receipt for two",
                "encoded": encode(put(decode(plain.raw, 1 << 20), (2,), 2)).hex(),
                "error": "malformed",
            },
            *faults(
                "link",
                link.raw,
                ("kind 6", (1,), 6, "malformed"),
                ("kind empty with bodies", (1,), 5, "malformed"),
                ("short manifest digest", (2,), bytes(31), "malformed"),
                ("number 0", (5,), 0, "malformed"),
                ("number 2^63", (5,), TOO_LARGE, "malformed"),
                ("numbers past 2^63", (5,), TOO_LARGE - 1, "malformed"),
                ("incarnation under charter 0", (4, 0), 0, "malformed"),
                ("no bodies", (6,), 0, "malformed"),
                ("257 bodies", (6,), 257, "malformed"),
                ("2^63 bodies", (6,), TOO_LARGE, "malformed"),
                ("ack under charter 0", (7, 0, 0), 0, "malformed"),
                ("ack of 2^63", (7, 1), TOO_LARGE, "malformed"),
                ("ack without number", (7,), [[1, 2]], "malformed"),
                ("255 bytes", (7,), bytes(255 + 3 - len(link.raw)), "limit_exceeded"),
            ),
        ],
    }


# -- receipts ----------------------------------------------------------------------------------------
def receipts() -> Vectors:
    link = LinkRef(FIRST, 3, 4, digest("manifest"), Kind.MESSAGE)
    consigned = Consigned(START, link, (Exceptional(4, Outcome.VOID, MESSAGE), Exceptional(6, Outcome.TAKEN, MESSAGE)))
    voided = Consigned(START, LinkRef(FIRST, 3, 1, digest("manifest"), Kind.VOID), ())
    kept = Consigned(
        START, LinkRef(FIRST, 3, 1, digest("manifest"), Kind.VOID), (Exceptional(3, Outcome.DELIVERED, MESSAGE),)
    )
    ids = (EnvelopeId(digest("envelope")), digest("link leaf"))
    unopened = Unopened(START, *ids, digest("prekey"), digest("ciphertext"), "cannot_open")
    rejected = Rejected(START, *ids, "bad_proof")
    actor = Actor("Ana Gómez", "fiscal", "passkey")
    handed = HandedOver(START, MESSAGE, "antidrogas", actor, Action.NEEDS_INFORMATION, "Falta el número de causa.")
    system = HandedOver(START, MESSAGE, "antidrogas", None, Action.ACKNOWLEDGED)
    void = Void(MESSAGE, VoidReason.WITHDRAWN)
    notice = Notice(((FIRST, 4), (SECOND, 0)))
    return {
        "description": "SPEC 8.6 to 8.8. The signed part of a receipt, void or notice: encoded, and its value as in message.json.",
        "valid": [
            *({"kind": "receipt", **told(it.encode())} for it in (consigned, voided, kept, unopened, rejected)),
            *({"kind": "receipt", **told(it.encode())} for it in (handed, system)),
            {"kind": "void", **told(void.encode())},
            *({"kind": "notice", **told(it.encode())} for it in (notice, Notice(()))),
        ],
        "invalid": [
            *faults(
                "receipt",
                consigned.encode(),
                ("event 0", (1,), 0, "malformed"),
                ("event 5", (1,), 5, "malformed"),
                ("time of 2^63", (2,), TOO_LARGE, "malformed"),
                ("incarnation under charter 0", (3, 0, 0), 0, "malformed"),
                ("number 0", (3, 1), 0, "malformed"),
                ("257 numbers", (3, 2), 257, "malformed"),
                ("for an empty link", (3, 4), 5, "malformed"),
                ("exception before the link", (4, 0, 0), 2, "malformed"),
                ("exception after the link", (4, 1, 0), 7, "malformed"),
                ("exceptions out of order", (4, 0, 0), 6, "malformed"),
                ("exception that is the default", (4, 0, 1), 1, "malformed"),
                ("outcome 5", (4, 0, 1), 5, "malformed"),
                ("short message id", (4, 0, 2), bytes(15), "malformed"),
                ("257 exceptions", (4,), [[4, 2, MESSAGE]] * 257, "limit_exceeded"),
            ),
            *(
                {
                    "kind": "receipt",
                    "name": name,
                    "encoded": encode(put(decode(raw, 8192), path, new)).hex(),
                    "error": error,
                }
                for name, raw, path, new, error in [
                    ("numbers of no link", voided.encode(), (3, 2), 0, "malformed"),
                    ("void of a void, excepted", kept.encode(), (4, 0, 1), 2, "malformed"),
                    ("reason in capitals", unopened.encode(), (7,), "No", "malformed"),
                    ("reason of 65 bytes", unopened.encode(), (7,), "a" * 65, "limit_exceeded"),
                    ("short link leaf", unopened.encode(), (4,), bytes(31), "malformed"),
                    ("no reason", rejected.encode(), (5,), "", "malformed"),
                    ("no desk", handed.encode(), (4,), "", "malformed"),
                    ("desk of 33 letters", handed.encode(), (4,), "a" * 33, "malformed"),
                    ("actor without login method", handed.encode(), (5,), ["a", "b"], "malformed"),
                    ("actor of 256 bytes", handed.encode(), (5, 0), "a" * 256, "limit_exceeded"),
                    ("action 6", handed.encode(), (6,), 6, "malformed"),
                    ("note of 4,097 bytes", handed.encode(), (7,), "a" * 4097, "limit_exceeded"),
                ]
            ),
            *faults(
                "void",
                void.encode(),
                ("short message id", (1,), bytes(15), "malformed"),
                ("reason 0", (2,), 0, "malformed"),
                ("reason 4", (2,), 4, "malformed"),
            ),
            *faults(
                "notice",
                notice.encode(),
                ("incarnations out of order", (1,), [[[2, 1], 0], [[1, 1], 0]], "malformed"),
                ("an incarnation twice", (1,), [[[1, 1], 0], [[1, 1], 0]], "malformed"),
                ("incarnation under charter 0", (1, 0, 0, 0), 0, "malformed"),
                ("number 2^63", (1, 0, 1), TOO_LARGE, "malformed"),
                ("1,025 incarnations", (1,), [[[1, at], 0] for at in range(1025)], "limit_exceeded"),
            ),
        ],
    }


DETERMINISTIC: dict[str, Callable[[], Vectors]] = {"content": content, "message": message, "receipts": receipts}
RANDOMIZED: dict[str, Callable[[], Vectors]] = {
    "batch": vectors_envelope.batch,
    "envelope": vectors_envelope.envelope,
    "opening": vectors_opening.opening,
}


def main() -> None:
    """Write the files named as arguments, or those that always come out the same."""
    for name in sys.argv[1:] or DETERMINISTIC:
        (FOLDER / f"{name}.json").write_text(render((DETERMINISTIC | RANDOMIZED)[name]()), encoding="utf-8")


if __name__ == "__main__":
    main()
