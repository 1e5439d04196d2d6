"""Writes the vectors of frames and sessions: `python -m tests.protocol.vectors_session [file…]`.

Those of frames come out the same every time; those of the session hold randomized signatures and are written by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from protocol.batch import BatchSignature, LeafProof
from protocol.codec import Value, decode, encode
from protocol.errors import (
    BadExpiryError,
    LimitError,
    MalformedError,
    NonCanonicalError,
    ValijaError,
)
from protocol.limits import MAX_CALENDAR_BYTES, MAX_FRAME_BYTES, MAX_HELLO_BYTES
from protocol.messages.envelope import Attestation, Submission
from protocol.names import EnvelopeId
from protocol.session.channel import Channel, Ephemeral, session_keys
from protocol.session.frames import (
    Acknowledge,
    Calendars,
    Close,
    Deliver,
    Finish,
    Frame,
    Lookup,
    Publish,
    Published,
    Recall,
    Recalled,
    Registry,
    Results,
    Submit,
    Welcome,
    encode_frame,
)
from protocol.session.handshake import ClientHello, RegistryFacts, ServerHello, transcript
from protocol.session.items import DeliverItem, ResultItem, SubmitItem, Window
from protocol.signing import HashLabel, Label, Signature, digest
from tests.protocol import pair
from tests.protocol.vectors_primitives import FOLDER, Vectors, flip, render, seed, to_json

# -- frames ------------------------------------------------------------------------------------------
ID = EnvelopeId(seed("envelope"))


def batch(name: str) -> BatchSignature:
    """A batch signature in its form alone: nothing at this layer verifies it."""
    return BatchSignature(seed(f"{name} root"), 4, Signature(seed(f"{name} 1", 64), seed(f"{name} 2", 3309)))


ONE, TWO = batch("one"), batch("two")


def attestation(index: int, of: BatchSignature = ONE) -> Attestation:
    proof = LeafProof(seed(f"salt {index}"), index, (seed("sibling"), seed("uncle")))
    return Attestation(b"data %d" % index, proof, of)


FRAMES: tuple[Frame, ...] = (
    Finish(Signature(seed("ed25519", 64), seed("ml-dsa", 3309))),
    Welcome(17, Submission(pair.LIFE, 3), Window(256, 1 << 24)),
    Welcome(0, None, Window(1, 0)),
    Submit((SubmitItem(b"core", b"ciphertext", (b"slot 1", b"slot 2")), SubmitItem(b"", b"", (b"",)))),
    Results((ResultItem(ID, "bad_expiry", ()),)),
    Results((ResultItem(ID, None, (attestation(0), attestation(1, TWO), attestation(2))),)),
    Deliver(
        (
            DeliverItem(7, b"core", b"ciphertext", b"slot", attestation(0)),
            DeliverItem(9, None, b"", None, attestation(3)),
        )
    ),
    Acknowledge(9, Window(2**32 - 1, 2**63 - 1)),
    Recall(1, ID, pair.PEER),
    Recalled(1, attestation(1)),
    Recalled(2, None),
    Publish(3, b"signed calendar"),
    Published(3, None),
    Published(4, "stale"),
    Lookup(5, ("ar-mpf", "co-fgn")),
    Calendars(5, (("ar-mpf", b"signed calendar"), ("co-fgn", None))),
    Registry(2**63 - 1),
    Close.of(BadExpiryError("ñandú")),
)


def _proof(number: int, data: bytes = b"data 0") -> Value:
    return [data, *attestation(0).proof.value(), number]


def _deliver(signatures: Value, *references: int) -> Value:
    return [18, signatures, [[1 + at, b"c", b"t", b"s", _proof(number)] for at, number in enumerate(references)]]


_ONE, _TWO = ONE.value(), TWO.value()
FAULTS: dict[str, tuple[Value, type[ValijaError]]] = {
    "no array": (b"\x10", MalformedError),
    "an empty array": ([], MalformedError),
    "a type that is no number": ([b"\x10", []], MalformedError),
    "an unknown type": ([28, 1], MalformedError),
    "the number of no frame between": ([4, 1], MalformedError),
    "a field missing": ([26], MalformedError),
    "a field too many": ([26, 1, 1], MalformedError),
    "Submit of nothing": ([16, []], MalformedError),
    "Submit of 257": ([16, [[b"c", b"t", [b"s"]]] * 257], LimitError),
    "Submit without a slot": ([16, [[b"c", b"t", []]]], MalformedError),
    "Submit with 129 slots": ([16, [[b"c", b"t", [b"s"] * 129]]], LimitError),
    "Submit with a slot that is an array": ([16, [[b"c", b"t", [[b"s"]]]]], MalformedError),
    "Submit with a core that is an array": ([16, [[[0], b"t", [b"s"]]]], MalformedError),
    "Submit with an item of two": ([16, [[b"c", b"t"]]], MalformedError),
    "Results of nothing": ([17, [], []], MalformedError),
    "Results of 257": ([17, [], [[ID, "conflict", []]] * 257], LimitError),
    "a result that says nothing": ([17, [], [[ID, None, []]]], MalformedError),
    "a result that says both": ([17, [_ONE], [[ID, "conflict", [_proof(0)]]]], MalformedError),
    "a result with a code of capitals": ([17, [], [[ID, "Conflict", []]]], MalformedError),
    "a result with 129 attestations": ([17, [_ONE], [[ID, None, [_proof(0)] * 129]]], LimitError),
    "a result for an id of 31 bytes": ([17, [], [[bytes(31), "conflict", []]]], MalformedError),
    "a signature that nothing names": ([17, [_ONE], [[ID, "conflict", []]]], NonCanonicalError),
    "a signature of three": ([17, [_ONE[:3]], [[ID, None, [_proof(0)]]]], MalformedError),
    "Results of nothing, with a signature": ([17, [_ONE], []], MalformedError),
    "Deliver of nothing": ([18, [], []], MalformedError),
    "Deliver of nothing, with a signature": ([18, [_ONE], []], MalformedError),
    "Deliver of 257": ([18, [_ONE], [[at + 1, b"c", b"t", b"s", _proof(0)] for at in range(257)]], LimitError),
    "a signature twice": (_deliver([_ONE, _ONE], 0, 1), NonCanonicalError),
    "signatures out of order": (_deliver([_ONE, _TWO], 1, 0), NonCanonicalError),
    "one signature too many": (_deliver([_ONE, _TWO], 0, 0), NonCanonicalError),
    "a signature that is not there": (_deliver([_ONE], 0, 1), MalformedError),
    "position 0": ([18, [_ONE], [[0, b"c", b"t", b"s", _proof(0)]]], MalformedError),
    "a core without a slot": ([18, [_ONE], [[1, b"c", b"t", None, _proof(0)]]], MalformedError),
    "a slot without a core": ([18, [_ONE], [[1, None, b"", b"s", _proof(0)]]], MalformedError),
    "a notice with a ciphertext": ([18, [_ONE], [[1, None, b"t", None, _proof(0)]]], MalformedError),
    "attestation data of 513 bytes": ([18, [_ONE], [[1, b"c", b"t", b"s", _proof(0, bytes(513))]]], LimitError),
    "an attestation of four": ([18, [_ONE], [[1, b"c", b"t", b"s", [b"d", ID, 0, []]]]], MalformedError),
    "a path of 13": ([18, [_ONE], [[1, b"c", b"t", b"s", [b"d", ID, 0, [ID] * 13, 0]]]], LimitError),
    "Recalled with a signature and no attestation": ([21, 1, [_ONE], None], NonCanonicalError),
    "a calendar over its limit": ([22, 1, bytes(MAX_CALENDAR_BYTES + 1)], LimitError),
    "a calendar that is an array": ([22, 1, [1]], MalformedError),
    "Lookup of nobody": ([24, 1, []], MalformedError),
    "Lookup of 129": ([24, 1, ["ar-mpf"] * 129], LimitError),
    "Lookup of no name": ([24, 1, ["AR"]], MalformedError),
    "Lookup of a name of 33 letters": ([24, 1, ["a" * 33]], MalformedError),
    "Calendars of nobody": ([25, 1, []], MalformedError),
    "Calendars of 129": ([25, 1, [["ar-mpf", None]] * 129], LimitError),
    "Calendars with one over its limit": ([25, 1, [["ar-mpf", bytes(MAX_CALENDAR_BYTES + 1)]]], LimitError),
    "a window over 32 bits": ([19, 1, 2**32, 1], MalformedError),
    "a window of 64 bits of bytes": ([19, 1, 1, 2**63], MalformedError),
    "a request of 64 bits": ([23, 2**63, None], MalformedError),
    "a submission numbered 0": ([3, 1, [[1, 7], 0], 1, 1], MalformedError),
    "a submission under charter 0": ([3, 1, [[0, 7], 1], 1, 1], MalformedError),
    "Close with a detail of 256 bytes": ([27, "fenced", "x" * 256], LimitError),
    "Close with a code of spaces": ([27, "no code", ""], MalformedError),
}
# A file of vectors that nobody can read through helps nobody: these are in the tests alone.
_TOO_LONG_TO_PRINT = 12_000


def frames() -> Vectors:
    valid = []
    for frame in FRAMES:
        encoded = encode_frame(frame)
        valid.append(
            {
                "name": type(frame).__name__,
                "value": to_json(decode(encoded, MAX_FRAME_BYTES)),
                "encoded": encoded.hex(),
            }
        )
    invalid = [
        {"name": name, "encoded": encoded.hex(), "error": error.code}
        for name, (value, error) in FAULTS.items()
        if len(encoded := encode(value)) <= _TOO_LONG_TO_PRINT
    ]
    invalid.append({"name": "a number in more bytes than it needs", "encoded": "921acc01", "error": "non_canonical"})
    return {
        "description": "Frames in plaintext (SPEC 11.2). `value`: as in codec.json. Signatures stand for their form alone.",
        "valid": valid,
        "invalid": invalid,
    }


# -- session -----------------------------------------------------------------------------------------
ENVELOPE = SubmitItem(seed("core", 200), seed("ciphertext", 64), (seed("slot", 100),))
SAID: tuple[tuple[str, Frame], ...] = (
    ("hub", Welcome(0, Submission(pair.LIFE, 2), Window(4, 1 << 20))),
    ("node", Acknowledge(0, Window(2, 1 << 20))),
    ("node", Submit((ENVELOPE,))),
    ("hub", Results((ResultItem(ENVELOPE.id, "bad_expiry", ()),))),
    ("hub", Deliver((DeliverItem(1, b"core", b"ciphertext", b"slot", attestation(0)),))),
    ("node", Close("draining", "")),
)


class Recorded:
    """One session, said by both with the secrets of `pair`."""

    def __init__(self) -> None:
        facts = RegistryFacts.of(pair.FakeRegistry())
        self.client = ClientHello.build(pair.NODE, pair.NODE_CERTIFICATE, pair.LIFE, pair.NODE_DRAW, pair.NOW, facts)
        self.server = self.answer(pair.NOW + 5)
        self.shared = pair.NODE_DRAW.agree(self.server.share)
        self.transcript = transcript(self.client, self.server)
        self.k_node, self.k_hub = session_keys(self.shared, self.transcript)
        self.finish = Finish(pair.NODE_KEY.sign(Label.SESSION, pair.ASSOCIATION, self.transcript))
        self.frames = (("node", self.finish), *SAID)

    def answer(self, clock: int, *, by: Any = pair.HUB_KEY, draw: Ephemeral = pair.HUB_DRAW) -> ServerHello:
        facts = RegistryFacts.of(pair.FakeRegistry())
        return ServerHello.build(self.client, pair.HUB_CERTIFICATE, pair.HUB_LIFE, draw, clock, facts, by.sign)

    def messages(self) -> Iterator[tuple[str, Frame, bytes]]:
        node, hub = Channel(self.k_node, self.k_hub), Channel(self.k_hub, self.k_node)
        for sender, frame in self.frames:
            yield sender, frame, (node if sender == "node" else hub).seal(encode_frame(frame))

    def sealed(self, sender: str, number: int, plaintext: bytes) -> bytes:
        """A message of this sender under this number."""
        channel = Channel(self.k_node, self.k_hub) if sender == "node" else Channel(self.k_hub, self.k_node)
        for _each in range(number):
            channel.seal(b"")
        return channel.seal(plaintext)


def _hello_faults(recorded: Recorded) -> list[tuple[str, int, bytes, str]]:
    up: list[Any] = decode(recorded.client.raw, MAX_HELLO_BYTES)  # type: ignore[assignment]
    signed: list[Any] = decode(recorded.server.signed, MAX_HELLO_BYTES)  # type: ignore[assignment]
    halves = recorded.server.signature.value()

    def client(at: int, value: Value) -> bytes:
        return encode([*up[:at], value, *up[at + 1 :]])

    def resigned(at: int, value: Value) -> bytes:
        hello = encode([*signed[:at], value, *signed[at + 1 :]])
        message = digest(HashLabel.SESSION, recorded.client.raw) + hello
        return encode([hello, *pair.HUB_KEY.sign(Label.SESSION, pair.ASSOCIATION, message).value()])

    thief = Ephemeral(seed("nonce"), seed("secret"))
    swapped = encode([encode([*signed[:5], thief.share, *signed[6:]]), *halves])
    return [
        ("ClientHello of version 1", 0, client(0, 1), "unsupported_version"),
        ("ClientHello with a field too many", 0, encode([*up, 0]), "malformed"),
        ("ClientHello in another encoding", 0, b"\xdc\x00\x0c" + recorded.client.raw[1:], "non_canonical"),
        ("ClientHello over 8,192 bytes", 0, recorded.client.raw + bytes(8_192), "limit_exceeded"),
        ("ClientHello of another association", 0, client(1, seed("other")), "wrong_association"),
        ("ClientHello of a witness", 0, client(2, 2), "unsupported_version"),
        ("ClientHello of a role without a name", 0, client(2, 5), "unsupported_version"),
        ("ClientHello of the role 2^63", 0, client(2, 2**63), "malformed"),
        ("ClientHello of an unknown member", 0, client(3, "xx-xx"), "unknown_member"),
        ("ClientHello with no name", 0, client(3, "AR"), "malformed"),
        ("ClientHello with an unknown certificate", 0, client(4, seed("other")), "not_in_standing"),
        ("ClientHello with another member's certificate", 0, client(4, pair.PEER_CERTIFICATE), "not_in_standing"),
        ("ClientHello with the hub's certificate", 0, client(4, pair.HUB_CERTIFICATE), "not_in_standing"),
        ("ClientHello of an incarnation under charter 0", 0, client(5, [0, 1]), "malformed"),
        ("ClientHello with a nonce of 31 bytes", 0, client(6, bytes(31)), "malformed"),
        ("ClientHello with a share of zeros", 0, client(7, bytes(32)), "malformed"),
        ("ClientHello an hour and six seconds behind", 0, client(8, pair.NOW - 3_596), "clock_skew"),
        ("ClientHello of another year", 0, client(8, pair.NOW + 31_536_000), "clock_skew"),
        ("ServerHello of version 1", 1, resigned(0, 1), "unsupported_version"),
        ("ServerHello of an incarnation under charter 0", 1, resigned(3, [0, 1]), "malformed"),
        ("ServerHello that does not wrap its hello", 1, encode([signed, *halves]), "malformed"),
        ("ServerHello of another association", 1, resigned(1, seed("other")), "wrong_association"),
        ("ServerHello with an unknown certificate", 1, resigned(2, seed("other")), "wrong_hub"),
        ("ServerHello with a member's certificate", 1, resigned(2, pair.PEER_CERTIFICATE), "wrong_hub"),
        ("ServerHello with a share of zeros", 1, resigned(5, bytes(32)), "malformed"),
        ("ServerHello with the share of somebody between", 1, swapped, "wrong_hub"),
        ("ServerHello of another year", 1, resigned(6, pair.NOW - 31_536_000), "clock_skew"),
        ("ServerHello signed by another key", 1, recorded.answer(pair.NOW + 5, by=pair.PEER_KEY).raw, "wrong_hub"),
        ("ServerHello with a bit of the Ed25519 signature changed", 1, _flipped(recorded, 0), "wrong_hub"),
        ("ServerHello with a bit of the ML-DSA-65 signature changed", 1, _flipped(recorded, 1), "wrong_hub"),
    ]


def _flipped(recorded: Recorded, half: int) -> bytes:
    halves = list(recorded.server.signature.value())
    halves[half] = flip(halves[half], 40)
    return encode([recorded.server.signed, *halves])


def _channel_faults(recorded: Recorded, said: list[bytes]) -> list[tuple[str, int, bytes, str]]:
    def node(number: int, frame: Frame) -> bytes:
        return recorded.sealed("node", number, encode_frame(frame))

    def hub(number: int, frame: Frame) -> bytes:
        return recorded.sealed("hub", number, encode_frame(frame))

    forged = pair.PEER_KEY.sign(Label.SESSION, pair.ASSOCIATION, recorded.transcript)
    other = pair.NODE_KEY.sign(Label.SESSION, pair.ASSOCIATION, seed("another transcript"))
    many = Submit(tuple(SubmitItem(b"core %d" % at, b"", (b"",)) for at in range(5)))
    three = Deliver(tuple(DeliverItem(at, b"c", b"t", b"s", attestation(0)) for at in (1, 2, 3)))
    behind = Deliver(tuple(DeliverItem(at, b"c", b"t", b"s", attestation(0)) for at in (2, 1)))
    no_frame = recorded.sealed("hub", 1, b"\x92\x1a\xcc\x01")
    return [
        ("Finish with a bit changed", 2, flip(said[2], 5), "bad_frame"),
        ("Finish under the number of the next message", 2, node(1, recorded.finish), "bad_frame"),
        ("Finish under the other direction's key", 2, hub(0, recorded.finish), "bad_frame"),
        ("Finish in plain", 2, encode_frame(recorded.finish), "bad_frame"),
        ("Finish signed by another key", 2, node(0, Finish(forged)), "bad_signature"),
        ("Finish for another transcript", 2, node(0, Finish(other)), "bad_signature"),
        ("a frame before Finish", 2, node(0, Registry(1)), "replayed"),
        ("Welcome without its tag", 3, said[3][:-16], "bad_frame"),
        ("another frame for Welcome", 3, hub(0, Registry(1)), "replayed"),
        ("Acknowledge that is a repeated Finish", 4, said[2], "bad_frame"),
        ("a frame of the other direction", 4, node(1, Registry(1)), "replayed"),
        ("five envelopes in a window of four", 5, node(2, many), "limit_exceeded"),
        ("a result for no envelope", 6, hub(1, Results((ResultItem(ID, "conflict", ()),))), "replayed"),
        ("a result with an attestation too many", 6, hub(1, _answer(2)), "malformed"),
        ("an answer to no request", 6, hub(1, Published(1, None)), "replayed"),
        ("a frame that is not canonical", 6, no_frame, "non_canonical"),
        ("a second Welcome", 6, hub(1, Welcome(0, None, Window(1, 1))), "replayed"),
        ("three items in a window of two", 7, hub(2, three), "limit_exceeded"),
        ("positions that descend", 7, hub(2, behind), "replayed"),
        ("a message from behind", 7, hub(1, SAID[4][1]), "bad_frame"),
        ("an acknowledgement of what was not delivered", 8, node(3, Acknowledge(2, Window(2, 1))), "replayed"),
    ]


def _answer(attestations: int) -> Frame:
    return Results((ResultItem(ENVELOPE.id, None, tuple(attestation(at) for at in range(attestations))),))


def session() -> Vectors:
    recorded = Recorded()
    spoken = list(recorded.messages())
    said = [recorded.client.raw, recorded.server.raw, *(message for _sender, _frame, message in spoken)]
    valid = {
        "client_hello": recorded.client.raw.hex(),
        "server_hello": recorded.server.raw.hex(),
        "shared": recorded.shared.hex(),
        "transcript": recorded.transcript.hex(),
        "k_node": recorded.k_node.hex(),
        "k_hub": recorded.k_hub.hex(),
        "messages": [
            {
                "from": sender,
                "frame": type(frame).__name__,
                "plaintext": encode_frame(frame).hex(),
                "message": sealed.hex(),
            }
            for sender, frame, sealed in spoken
        ],
    }
    faults = [*_hello_faults(recorded), *_channel_faults(recorded, said)]
    return {
        "description": "One session (SPEC 11), all messages of it; the hub hears at `now` + 5, the node at `now`."
        " Invalid: after the first `after` messages of the valid session this one comes instead of the next, and whoever"
        " hears it gives the error. Certificates are known by id to both, and in standing.",
        **_parties(),
        "valid": [valid],
        "invalid": [
            {"name": name, "after": after, "message": message.hex(), "error": code}
            for name, after, message, code in faults
        ],
    }


def _parties() -> Vectors:
    def draw(of: Ephemeral) -> Vectors:
        return {"nonce": of.nonce.hex(), "x25519_secret": of.secret.hex(), "x25519_share": of.share.hex()}

    facts = RegistryFacts.of(pair.FakeRegistry())
    certificates = [
        {
            "id": known.hex(),
            "role": record.role.value,
            "member": record.party.member,
            "public": [half.hex() for half in record.key.value()],
        }
        for known, record in pair.FakeRegistry().records.items()
    ]
    return {
        "association": pair.ASSOCIATION.hex(),
        "now": pair.NOW,
        "registry": {"charter": facts.charter.hex(), "size": facts.size, "root": facts.root.hex()},
        "members": sorted(pair.FakeRegistry().names),
        "certificates": certificates,
        "node": {
            **draw(pair.NODE_DRAW),
            "member": pair.NODE.member,
            "certificate": pair.NODE_CERTIFICATE.hex(),
            "incarnation": pair.LIFE.value(),
        },
        "hub": {**draw(pair.HUB_DRAW), "certificate": pair.HUB_CERTIFICATE.hex(), "incarnation": pair.HUB_LIFE.value()},
    }


DETERMINISTIC: dict[str, Callable[[], Vectors]] = {"frames": frames}
RANDOMIZED: dict[str, Callable[[], Vectors]] = {"session": session}


def main() -> None:
    """Write the files named as arguments, or those that always come out the same."""
    for name in sys.argv[1:] or DETERMINISTIC:
        vectors = (DETERMINISTIC | RANDOMIZED)[name]()
        (FOLDER / f"{name}.json").write_text(render(vectors), encoding="utf-8")


if __name__ == "__main__":
    main()
