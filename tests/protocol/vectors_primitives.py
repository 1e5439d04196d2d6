"""Writes the vectors of the primitives: `python -m tests.protocol.vectors_primitives [file…]`.

`DETERMINISTIC` files, which it writes when none is named, come out the same every time, and a test
asks for it.  The others hold ML-DSA signatures, which are randomized: they are written by name.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol import merkle, padding
from protocol.codec import Value, encode
from protocol.signing import HashLabel, Label, PrivateKey, digest
from protocol.trust.checkpoint import CosignerPrivateKey, LogPrivateKey
from protocol.trust.notes import Note, NoteSignature
from protocol.trust.tlog_proof import TlogProof

FOLDER = Path(__file__).parents[2] / "protocol" / "vectors"
Vectors = dict[str, Any]


def load(name: str) -> Vectors:
    """The vectors of one file."""
    loaded: Vectors = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def seed(text: str, size: int = 32) -> bytes:
    """Bytes that look random and never change."""
    return hashlib.shake_256(text.encode()).digest(size)


def flip(data: bytes, at: int, bit: int = 0) -> bytes:
    """`data` with one bit changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


# -- codec -------------------------------------------------------------------------------------------


def to_json(value: Value) -> Any:
    """A wire value in JSON, integers as text because JSON readers round them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"uint": str(value)}
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, str):
        return {"text": value}
    return [to_json(item) for item in value]


def from_json(value: Any) -> Value:
    """The inverse of `to_json`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list):
        return [from_json(item) for item in value]
    ((kind, content),) = value.items()
    readers: dict[str, Callable[[str], Value]] = {"uint": int, "bin": bytes.fromhex, "text": str}
    return readers[kind](content)


def nested(depth: int) -> Value:
    """An empty array inside `depth - 1` others."""
    value: Value = []
    for _each in range(depth - 1):
        value = [value]
    return value


def codec() -> Vectors:
    edges = [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1]
    values: list[Value] = [None, False, True, *edges, b"", b"\x00" * 255, b"\x01" * 256, "", "é" * 15, "á" * 16]
    values += ["x" * 31, "x" * 32, "x" * 255, "x" * 256, [], [None] * 15, [None] * 16, nested(16)]
    values.append([0, b"id", "ar-mpf", None, [1, [True, b""]]])
    invalid = [
        ("empty", "", "malformed"),
        ("truncated array", "9201", "malformed"),
        ("truncated binary", "c40201", "malformed"),
        ("trailing byte", "0101", "malformed"),
        ("reserved byte c1", "c1", "malformed"),
        ("negative fixint", "ff", "malformed"),
        ("negative int8", "d0ff", "malformed"),
        ("negative int64", "d3ffffffffffffffff", "malformed"),
        ("negative inside an array", "9201e0", "malformed"),
        ("float32", "ca3f800000", "malformed"),
        ("float64", "cb3ff0000000000000", "malformed"),
        ("empty map", "80", "malformed"),
        ("map", "81a16101", "malformed"),
        ("map with a repeated key", "82a16101a16102", "malformed"),
        ("extension", "d40100", "malformed"),
        ("timestamp", "d6ff00000000", "malformed"),
        ("text that is not UTF-8", "a1ff", "malformed"),
        ("text with a surrogate", "a3eda080", "malformed"),
        ("uint8 for a fixint", "cc01", "non_canonical"),
        ("uint16 for a uint8", "cd00ff", "non_canonical"),
        ("uint32 for a uint16", "ce0000ffff", "non_canonical"),
        ("uint64 for a uint32", "cf00000000ffffffff", "non_canonical"),
        ("signed form of a positive integer", "d001", "non_canonical"),
        ("bin16 for a bin8", "c5000100", "non_canonical"),
        ("str8 for a fixstr", "d90161", "non_canonical"),
        ("array16 for a fixarray", "dc000101", "non_canonical"),
        ("17 arrays deep", "91" * 16 + "90", "limit_exceeded"),
        ("2,000 arrays deep", "91" * 1999 + "90", "limit_exceeded"),
        ("array that announces 16,385 items", "dc4001" + "c0" * 16_385, "limit_exceeded"),
    ]
    return {
        "description": "Wire values (SPEC 3); at most 65,536 bytes, or `max_bytes`. `value`: nil and booleans as such, {uint: decimal}, "
        "{bin: hex}, {text}, arrays. Valid: value and encoded give each other. Invalid: decoding gives the error.",
        "valid": [{"value": to_json(value), "encoded": encode(value).hex()} for value in values],
        "invalid": [
            *({"name": name, "encoded": encoded, "error": error} for name, encoded, error in invalid),
            {"name": "longer than allowed", "encoded": "c4020000", "max_bytes": 3, "error": "limit_exceeded"},
        ],
    }


# -- merkle ------------------------------------------------------------------------------------------


def _hexes(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


def _inclusion(leaves: list[bytes], index: int, /, **changes: Any) -> Vectors:
    case = {
        "kind": "inclusion",
        "leaf_hash": leaves[index].hex(),
        "index": index,
        "size": len(leaves),
        "path": _hexes(merkle.path(leaves, index)),
        "root": merkle.root(leaves).hex(),
    }
    return case | changes


def _consistency(leaves: list[bytes], old_size: int, /, **changes: Any) -> Vectors:
    case = {
        "kind": "consistency",
        "old_size": old_size,
        "old_root": merkle.root(leaves[:old_size]).hex(),
        "new_size": len(leaves),
        "new_root": merkle.root(leaves).hex(),
        "proof": _hexes(merkle.consistency(leaves, old_size)),
    }
    return case | changes


def merkle_trees() -> Vectors:
    leaves = [merkle.leaf_hash(bytes([at]) * at) for at in range(11)]
    bad = "bad_proof"
    path, proof = _hexes(merkle.path(leaves, 5)), _hexes(merkle.consistency(leaves, 6))
    wrong = (b"\x00" * 32).hex()
    trees = [
        {
            "kind": "tree",
            "leaves": [(bytes([at]) * at).hex() for at in range(size)],
            "root": merkle.root(leaves[:size]).hex(),
        }
        for size in range(12)
    ]
    return {
        "description": "RFC 6962 trees with SHA-256. tree: the root over leaf data. inclusion and consistency: proofs "
        "that verify (valid) or give the error (invalid); hashes in hex.",
        "valid": [
            *trees,
            *(_inclusion(leaves[:size], index) for size in (1, 2, 7, 8, 11) for index in (0, size // 2, size - 1)),
            *(_consistency(leaves, old) for old in range(12)),
        ],
        "invalid": [
            _inclusion(leaves, 5, name="another leaf", leaf_hash=wrong, error=bad),
            _inclusion(leaves, 5, name="another index", index=4, error=bad),
            _inclusion(leaves, 5, name="index is the size", index=11, error=bad),
            _inclusion(leaves, 5, name="another root", root=wrong, error=bad),
            _inclusion(leaves, 5, name="path too short", path=path[:-1], error=bad),
            _inclusion(leaves, 5, name="path too long", path=[*path, wrong], error=bad),
            _inclusion(leaves, 5, name="path in another order", path=[path[1], path[0], *path[2:]], error=bad),
            _inclusion(leaves, 5, name="path with a hash of 31 bytes", path=[path[0][:-2], *path[1:]], error=bad),
            _consistency(leaves, 6, name="another old root", old_root=wrong, error=bad),
            _consistency(leaves, 6, name="another new root", new_root=wrong, error=bad),
            _consistency(leaves, 6, name="another old size", old_size=7, error=bad),
            _consistency(leaves, 6, name="old size larger than the new", new_size=5, error=bad),
            _consistency(leaves, 6, name="proof too short", proof=proof[:-1], error=bad),
            _consistency(leaves, 6, name="proof empty", proof=[], error=bad),
            _consistency(leaves, 6, name="proof too long", proof=[*proof, wrong], error=bad),
            _consistency(leaves, 8, name="old tree a whole subtree, another old root", old_root=wrong, error=bad),
            _consistency(leaves, 11, name="equal sizes, another root", old_root=wrong, error=bad),
            _consistency(leaves, 11, name="equal sizes, a proof", proof=[wrong], error=bad),
            _consistency(leaves, 0, name="from nothing, another empty root", old_root=wrong, error=bad),
            _consistency(leaves, 0, name="from nothing, a proof", proof=[wrong], error=bad),
            _consistency([], 0, name="from nothing to nothing, another root", new_root=wrong, error=bad),
        ],
    }


# -- padding ------------------------------------------------------------------------------


def padded() -> Vectors:
    def spread(plaintext: bytes) -> Vectors:
        head = plaintext.rstrip(b"\x00")
        return {"plaintext": head.hex(), "zeros": len(plaintext) - len(head)}

    def case(body: bytes) -> Vectors:
        plaintext = padding.pad(body)
        return {
            "kind": "pad",
            "body": body.hex(),
            **spread(plaintext),
            "ciphertext_bytes": padding.ciphertext_size(len(plaintext)),
        }

    def fault(name: str, plaintext: bytes, error: str) -> Vectors:
        return {"name": name, **spread(plaintext), "error": error}

    hello = padding.pad(b"hello")
    sizes = [0, 1, 2, 8, 9, 100, 1_000, 4_097, 65_537, 10**6, 10**9, 10 * 2**30, 2**40 + 1]
    return {
        "description": "SPEC 4.5. pad: the padded plaintext is `plaintext` followed by `zeros` zero bytes. Invalid: unpadding "
        "it gives the error. padme: [size, padded size] pairs.",
        "valid": [
            *(case(body) for body in (b"", b"hello", b"z" * 8_116, b"z" * 8_117)),
            {"kind": "padme", "sizes": [[size, padding.padme(size)] for size in sizes]},
        ],
        "invalid": [
            fault("padding not zero", hello[:-1] + b"\x01", "malformed"),
            fault("length past the end", (8_117).to_bytes(4, "big") + hello[4:], "malformed"),
            fault("no length", b"", "malformed"),
            fault("a byte less", hello[:-1], "non_canonical"),
            fault("a byte more", hello + b"\x00", "non_canonical"),
            fault("twice the needed size", hello + bytes(16_312 - 8_120), "non_canonical"),
            fault("larger than any envelope", (2**20).to_bytes(4, "big") + bytes(2**20), "limit_exceeded"),
        ],
    }


# -- signing -----------------------------------------------------------------------------------------

ASSOCIATION = seed("association")


def signing() -> Vectors:
    key = PrivateKey(seed("ed25519"), seed("mldsa65"))
    public, message = key.public, b"the message"
    signature = key.sign(Label.LINKS, ASSOCIATION, message)
    no_ctx = key._mldsa65.sign(ASSOCIATION + message)
    base = {
        "kind": "signature",
        "label": Label.LINKS.value,
        "association": ASSOCIATION.hex(),
        "message": message.hex(),
        "public": _hexes(list(public.value())),
        "signature": _hexes(list(signature.value())),
    }
    wrong = {"error": "bad_signature"}

    def halves(ed25519: bytes, mldsa65: bytes) -> Vectors:
        return {"signature": [ed25519.hex(), mldsa65.hex()]}

    def bad_key(name: str, ed25519: bytes, mldsa65: bytes = public.mldsa65) -> Vectors:
        return {"kind": "public", "name": name, "public": [ed25519.hex(), mldsa65.hex()], "error": "malformed"}

    valid = []
    for label in Label:
        signed = key.sign(label, ASSOCIATION, label.encode())
        valid.append(
            base | {"label": label.value, "message": label.encode().hex(), "signature": _hexes(list(signed.value()))}
        )
    return {
        "description": "SPEC 4.1, 4.2. signature: verifies (valid) or gives the error. public: refused on sight. key: the public "
        "key of two seeds, and its fingerprint. digest: H(label, data).",
        "valid": [
            {
                "kind": "key",
                "seeds": _hexes(list(key.seeds())),
                "public": base["public"],
                "fingerprint": public.fingerprint.hex(),
            },
            *valid,
            *(
                {"kind": "digest", "label": label.value, "data": b"data".hex(), "digest": digest(label, b"data").hex()}
                for label in HashLabel
            ),
        ],
        "invalid": [
            base | {"name": "Ed25519 half changed"} | halves(flip(signature.ed25519, 0), signature.mldsa65) | wrong,
            base | {"name": "ML-DSA-65 half changed"} | halves(signature.ed25519, flip(signature.mldsa65, 0)) | wrong,
            base | {"name": "ML-DSA-65 half without context"} | halves(signature.ed25519, no_ctx) | wrong,
            base | {"name": "another message", "message": b"the messagf".hex()} | wrong,
            base | {"name": "another label", "label": Label.ACCEPTANCES.value} | wrong,
            base | {"name": "another association", "association": seed("other").hex()} | wrong,
            base
            | {"name": "Ed25519 half short"}
            | halves(signature.ed25519[:-1], signature.mldsa65)
            | {"error": "malformed"},
            base
            | {"name": "ML-DSA-65 half long"}
            | halves(signature.ed25519, signature.mldsa65 + b"\x00")
            | {"error": "malformed"},
            bad_key("Ed25519 key of small order", b"\x01" + bytes(31)),
            bad_key("Ed25519 key not canonical", b"\xee" + b"\xff" * 30 + b"\x7f"),
            bad_key("Ed25519 key off the curve", b"\x02" + bytes(31)),
            bad_key("Ed25519 key short", public.ed25519[:-1]),
            bad_key("ML-DSA-65 key short", public.ed25519, public.mldsa65[:-1]),
        ],
    }


# -- checkpoint --------------------------------------------------------------------------------------

# c2sp.org/signed-note, section "Example".
NOTE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE_SIGNATURE = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
NOTE_EXAMPLE = f"This is an example message.\n\n— example.com/foo {NOTE_SIGNATURE}\n"


def checkpoint() -> Vectors:
    log = LogPrivateKey("valija.example/vector", seed("log mldsa44"), seed("log ed25519"))
    witness = CosignerPrivateKey("witness-one", seed("witness"))
    leaves = [merkle.leaf_hash(bytes([at])) for at in range(11)]
    signed = log.sign(11, merkle.root(leaves), 1_800_000_000)
    cosignature = witness.sign(signed.checkpoint, 1_800_000_060)
    plain = log.note(signed)
    note = Note(plain.text, (*plain.signatures, witness.public.line(cosignature)))
    mldsa_line, ed25519_line, witness_line = note.signatures
    key = log.public
    keys = {
        "log": {"origin": key.origin, "mldsa44": key.mldsa44.hex(), "ed25519": key.ed25519.hex()},
        "witness": {"name": witness.public.name, "mldsa44": witness.public.mldsa44.hex()},
    }

    def noted(note: str | bytes, **more: Any) -> Vectors:
        file = {"note": note} if isinstance(note, str) else {"note_hex": note.hex()}
        return {"kind": "note", **file, **more}

    def altered(line: NoteSignature, at: int = -1) -> NoteSignature:
        return NoteSignature(line.name, line.key_id, flip(line.signature, at))

    def lines(*signatures: NoteSignature, text: str = note.text) -> str:
        return f"{text}\n{''.join(each.line() for each in signatures)}"

    def noted_text(text: str, name: str) -> Vectors:
        # With one short line by nobody known: the text is at fault, whoever signed it.
        return noted(lines(NoteSignature("nobody", bytes(4), bytes(64)), text=text), name=name, error="malformed")

    whole = note.encode().decode()
    short = lines(mldsa_line)
    origin, _size, root, _ = note.text.split("\n")
    proof = TlogProof(4, tuple(merkle.path(leaves, 4)), note, b"extra")
    proved = {"kind": "proof", "leaf_hash": leaves[4].hex()}
    compact = {
        "kind": "compact",
        "size": 11,
        "root": signed.checkpoint.root.hex(),
        "timestamp": signed.cosignature.timestamp,
        "signature": signed.cosignature.signature.hex(),
    }
    other = LogPrivateKey("valija.example/other", seed("log mldsa44"), seed("log ed25519"))
    doubled = lines(mldsa_line, mldsa_line)
    crowd = lines(*(NoteSignature(f"w{at}", b"\x00" * 4, b"\x00") for at in range(33)))
    return {
        "description": "C2SP signed-note, tlog-checkpoint, tlog-cosignature (ML-DSA-44), tlog-proof; keys, hashes and signatures in hex, `log` and `witness` for all. note (or note_hex): opened with "
        "`log`, then the cosignature by `witness` is looked for (valid: `cosigned_at`, nil if there is none). compact: [timestamp, "
        "signature] of the log's ML-DSA-44 key. proof: of `leaf_hash`. ed25519_note: the example of signed-note.",
        **keys,
        "valid": [
            {"kind": "ed25519_note", "vkey": NOTE_VKEY, "note": NOTE_EXAMPLE},
            noted(
                whole, size=11, root=signed.checkpoint.root.hex(), timestamp=1_800_000_000, cosigned_at=1_800_000_060
            ),
            noted(
                lines(mldsa_line), size=11, root=signed.checkpoint.root.hex(), timestamp=1_800_000_000, cosigned_at=None
            ),
            compact,
            {**proved, "proof": proof.encode().decode(), "index": 4},
            {**proved, "proof": TlogProof(4, proof.path, note).encode().decode(), "index": 4},
        ],
        "invalid": [
            noted(lines(altered(mldsa_line)), name="log's ML-DSA-44 signature changed", error="bad_signature"),
            noted(lines(altered(mldsa_line, 7)), name="log's timestamp changed", error="bad_signature"),
            noted(
                lines(mldsa_line, altered(ed25519_line)), name="log's Ed25519 signature changed", error="bad_signature"
            ),
            noted(lines(ed25519_line), name="log's ML-DSA-44 signature missing", error="bad_signature"),
            noted(lines(mldsa_line, altered(witness_line)), name="cosignature changed", error="bad_signature"),
            noted(lines(mldsa_line, text=f"{origin}\n12\n{root}\n"), name="another size", error="bad_signature"),
            noted(
                other.note(other.sign(11, merkle.root(leaves), 5)).encode().decode(),
                name="another log",
                error="unverifiable",
            ),
            noted_text(f"{note.text}extension\n", "extension line"),
            noted_text(f"{origin}\n011\n{root}\n", "size with a leading zero"),
            noted_text(f"{origin}\n+11\n{root}\n", "size with a sign"),
            noted_text(f"{origin}\n9223372036854775808\n{root}\n", "size of 2^63"),
            noted_text(f"{origin}\n11\n{root[:-4]}\n", "root of 30 bytes"),
            noted_text(f"{origin} x\n11\n{root}\n", "origin with a space"),
            noted(doubled, name="two signatures by one key", error="malformed"),
            noted(note.text, name="no signature", error="malformed"),
            noted(short[:-1], name="no newline at the end", error="malformed"),
            noted(short.replace("—", "-"), name="hyphen for the dash", error="malformed"),
            noted(short.replace("— valija", "— +valija"), name="plus in a key name", error="malformed"),
            noted(short.replace("\n\n", "\r\n\n"), name="control character", error="malformed"),
            noted(short.encode().replace("—".encode(), b"\xff"), name="not UTF-8", error="malformed"),
            noted(lines(mldsa_line) + "— x AAAAAAB=\n", name="base64 with stray bits", error="non_canonical"),
            noted(lines(mldsa_line) + "— x AAAA\n", name="signature without a key id", error="malformed"),
            noted(crowd, name="33 signatures", error="limit_exceeded"),
            compact | {"name": "compact, another time", "timestamp": 1_800_000_001, "error": "bad_signature"},
            compact | {"name": "compact, another root", "root": bytes(32).hex(), "error": "bad_signature"},
            compact | {"name": "compact, time of 2^63", "timestamp": 2**63, "error": "malformed"},
            {
                **proved,
                "name": "another leaf",
                "leaf_hash": leaves[5].hex(),
                "proof": proof.encode().decode(),
                "error": "bad_proof",
            },
            {
                **proved,
                "name": "another index",
                "proof": TlogProof(5, proof.path, note).encode().decode(),
                "error": "bad_proof",
            },
            {
                **proved,
                "name": "another version",
                "proof": proof.encode().decode().replace("@v1", "@v2"),
                "error": "malformed",
            },
            {
                **proved,
                "name": "index with a leading zero",
                "proof": proof.encode().decode().replace("index 4", "index 04"),
                "error": "malformed",
            },
        ],
    }


DETERMINISTIC: dict[str, Callable[[], Vectors]] = {
    "codec": codec,
    "merkle": merkle_trees,
    "padding": padded,
}
RANDOMIZED: dict[str, Callable[[], Vectors]] = {"signing": signing, "checkpoint": checkpoint}


def render(vectors: Vectors) -> str:
    """One case a line, so that a change shows as one line."""
    heads = [name for name in vectors if name not in {"valid", "invalid"}]
    parts = [f"{json.dumps(name)}: {json.dumps(vectors[name], ensure_ascii=False)}" for name in heads]
    for kind in ("valid", "invalid"):
        cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in vectors[kind])
        parts.append(f'"{kind}": [\n{cases}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write the files named as arguments, or those that always come out the same."""
    for name in sys.argv[1:] or DETERMINISTIC:
        vectors = (DETERMINISTIC | RANDOMIZED)[name]()
        (FOLDER / f"{name}.json").write_text(render(vectors), encoding="utf-8")


if __name__ == "__main__":
    main()
