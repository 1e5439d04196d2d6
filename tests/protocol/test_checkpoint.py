"""Checkpoints, cosignatures and offline proofs: the published bytes, our own keys, and every fault by its name."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocol import merkle
from protocol.codec import decode, encode
from protocol.errors import LimitError, MalformedError, ProofError, SignatureError, UsageError, ValijaError
from protocol.trust import checkpoint as module
from protocol.trust.checkpoint import (
    Checkpoint,
    Cosignature,
    Cosigner,
    CosignerPrivateKey,
    Ed25519Cosigner,
    LogKey,
    LogPrivateKey,
)
from protocol.trust.notes import KeyType, Note, NoteSignature, VerifierKey
from protocol.trust.tlog_proof import MAX_PROOF_BYTES, TlogProof
from tests.protocol.vectors_primitives import flip, load, seed

# c2sp.org/tlog-checkpoint, example.
PUBLISHED = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = seed("root")
LOG = LogPrivateKey("hub.example/aiamp", seed("log mldsa44"), seed("log ed25519"))
WITNESS = CosignerPrivateKey("witness-one", seed("witness"))
SIGNED = LOG.sign(7, ROOT, 1_800_000_000)
NOTE = LOG.note(SIGNED)
COSIGNED = WITNESS.sign(SIGNED.checkpoint, 1_800_000_060)

origins = st.from_regex(r"[a-z0-9./ñ-]{1,40}", fullmatch=True)


@given(origins, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_crosses(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.body()) == checkpoint


def test_the_published_checkpoint() -> None:
    checkpoint = Checkpoint.parse(PUBLISHED)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root == base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert checkpoint.body() == PUBLISHED


@pytest.mark.parametrize(
    "body",
    [
        "",
        PUBLISHED[:-1],
        PUBLISHED + "\n",
        PUBLISHED + "extension\n",
        "\n" + PUBLISHED,
        PUBLISHED.replace("2085", "02085"),
        PUBLISHED.replace("2085", "-2085"),
        PUBLISHED.replace("20852163", "9223372036854775808"),
        PUBLISHED.replace("20852163", "99999999999999999999"),
        PUBLISHED.replace("20852163", "２0852163"),
        PUBLISHED.replace("CsUYap", "CsUYapAA"),
        PUBLISHED.replace("q2I=", "q2J="),
        PUBLISHED.replace("behind-", "behind "),
    ],
)
def test_malformed_checkpoints_are_refused(body: str) -> None:
    with pytest.raises(MalformedError):
        Checkpoint.parse(body)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Checkpoint("", 1, ROOT),
        lambda: Checkpoint("a b", 1, ROOT),
        lambda: Checkpoint("a", -1, ROOT),
        lambda: Checkpoint("a", 2**63, ROOT),
        lambda: Checkpoint("a", 1, ROOT[1:]),
        lambda: Cosignature(2**63, bytes(2420)),
        lambda: Cosignature(1, bytes(2419)),
        lambda: Cosignature.parse([1]),
        lambda: Cosignature.parse(["1", bytes(2420)]),
        lambda: Cosigner("a b", bytes(1312)),
        lambda: Cosigner("a", bytes(1311)),
        lambda: Ed25519Cosigner("a b", LOG.public.ed25519),
        lambda: Ed25519Cosigner("a", b"\x01" + bytes(31)),
        lambda: LogKey("a", bytes(1311), LOG.public.ed25519),
        lambda: LogKey("a", LOG.public.mldsa44, bytes(32)),
    ],
)
def test_nothing_malformed_can_be_built(build: Callable[[], object]) -> None:
    with pytest.raises(MalformedError):
        build()


def test_the_cosigned_message_has_the_published_layout() -> None:
    name, origin = b"witness-one", b"hub.example/aiamp"
    expected = struct.pack(
        f">12sB{len(name)}sQB{len(origin)}sQQ32s",
        b"subtree/v1\n\0",
        len(name),
        name,
        1_800_000_060,
        len(origin),
        origin,
        0,
        7,
        ROOT,
    )
    assert module.cosigned_message("witness-one", 1_800_000_060, SIGNED.checkpoint) == expected
    MLDSA44PublicKey.from_public_bytes(WITNESS.public.mldsa44).verify(COSIGNED.signature, expected)


def test_key_ids_are_those_of_the_published_rule() -> None:
    expected = VerifierKey("witness-one", KeyType.MLDSA44_COSIGNATURE, WITNESS.public.mldsa44)
    assert WITNESS.public.vkey == expected
    assert VerifierKey.parse(expected.encode()) == expected
    line = WITNESS.public.line(COSIGNED)
    assert (line.name, line.key_id) == ("witness-one", expected.key_id)
    assert line.signature == struct.pack(">Q", 1_800_000_060) + COSIGNED.signature


def test_a_log_signs_with_both_keys_and_reads_itself() -> None:
    assert LOG.public.open(Note.parse(NOTE.encode())) == SIGNED
    assert [line.name for line in NOTE.signatures] == [LOG.public.origin] * 2
    assert LOG.public.verify(7, ROOT, SIGNED.cosignature) == SIGNED
    assert Cosignature.parse(decode(encode(SIGNED.cosignature.value()), 4_096)) == SIGNED.cosignature


@pytest.mark.parametrize(
    ("size", "root", "cosignature"),
    [
        (8, ROOT, SIGNED.cosignature),
        (7, flip(ROOT, 3), SIGNED.cosignature),
        (7, ROOT, Cosignature(SIGNED.cosignature.timestamp + 1, SIGNED.cosignature.signature)),
        (7, ROOT, Cosignature(SIGNED.cosignature.timestamp, flip(SIGNED.cosignature.signature, 99))),
        (7, ROOT, COSIGNED),
    ],
)
def test_the_compact_form_holds_for_one_checkpoint_at_one_time(
    size: int, root: bytes, cosignature: Cosignature
) -> None:
    with pytest.raises(SignatureError):
        LOG.public.verify(size, root, cosignature)


def test_a_cosignature_names_its_signer_and_its_log() -> None:
    renamed = Cosigner("witness-two", WITNESS.public.mldsa44)
    elsewhere = Checkpoint("hub.example/iap", 7, ROOT)
    WITNESS.public.verify(SIGNED.checkpoint, COSIGNED)
    for cosigner, checkpoint in ((renamed, SIGNED.checkpoint), (WITNESS.public, elsewhere)):
        with pytest.raises(SignatureError):
            cosigner.verify(checkpoint, COSIGNED)


def with_line(line: NoteSignature) -> Note:
    return Note(NOTE.text, (*NOTE.signatures, line))


def test_a_cosignature_is_found_in_a_note_or_not() -> None:
    assert WITNESS.public.find(with_line(WITNESS.public.line(COSIGNED)), SIGNED.checkpoint) == COSIGNED
    assert WITNESS.public.find(NOTE, SIGNED.checkpoint) is None


@pytest.mark.parametrize(
    ("blob", "error"),
    [
        (flip(struct.pack(">Q", 5) + COSIGNED.signature, -1), SignatureError),
        (struct.pack(">Q", 5) + COSIGNED.signature[:-1], MalformedError),
        (struct.pack(">Q", 2**63) + COSIGNED.signature, MalformedError),
        (b"\x00", MalformedError),
    ],
)
def test_a_cosignature_that_does_not_hold_is_an_error(blob: bytes, error: type[Exception]) -> None:
    note = with_line(NoteSignature("witness-one", WITNESS.public.vkey.key_id, blob))
    with pytest.raises(error):
        WITNESS.public.find(note, SIGNED.checkpoint)


STOCK = Ed25519PrivateKey.from_private_bytes(seed("stock witness"))
STOCK_WITNESS = Ed25519Cosigner("witness.example/w1", STOCK.public_key().public_bytes_raw())


def stock_line(timestamp: int, signature: bytes) -> NoteSignature:
    return NoteSignature(STOCK_WITNESS.name, STOCK_WITNESS.vkey.key_id, struct.pack(">Q", timestamp) + signature)


def test_a_stock_witness_is_read() -> None:
    signature = STOCK.sign(b"cosignature/v1\ntime 1679315147\n" + NOTE.text.encode())
    assert STOCK_WITNESS.find(with_line(stock_line(1_679_315_147, signature))) == 1_679_315_147
    assert STOCK_WITNESS.find(NOTE) is None
    with pytest.raises(SignatureError):
        STOCK_WITNESS.find(with_line(stock_line(1_679_315_148, signature)))
    with pytest.raises(MalformedError):
        STOCK_WITNESS.find(with_line(stock_line(1_679_315_147, signature + b"\x00")))
    with pytest.raises(MalformedError):
        STOCK_WITNESS.find(with_line(stock_line(2**63, signature)))


def test_private_keys_come_back_from_their_seeds_and_show_none() -> None:
    log, witness = LogPrivateKey.generate("hub.example/new"), CosignerPrivateKey.generate("w")
    assert LogPrivateKey("hub.example/new", *log.seeds()).public == log.public
    assert CosignerPrivateKey("w", witness.seed()).public == witness.public
    assert repr(log) == "LogPrivateKey('hub.example/new')"
    assert repr(witness) == "CosignerPrivateKey('w')"
    assert LogPrivateKey.generate("hub.example/new").public != log.public


@pytest.mark.parametrize(
    "build",
    [
        lambda: LogPrivateKey("a", bytes(31), bytes(32)),
        lambda: LogPrivateKey("a", bytes(32), bytes(31)),
        lambda: CosignerPrivateKey("a", bytes(33)),
    ],
)
def test_seeds_of_another_size_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        build()


# -- offline proofs ----------------------------------------------------------------------------------

LEAVES = [merkle.leaf_hash(bytes([at])) for at in range(11)]
TREE_NOTE = LOG.note(LOG.sign(11, merkle.root(LEAVES), 1_800_000_000))


@pytest.mark.parametrize("extra", [None, b"", b"extra"])
@pytest.mark.parametrize("index", range(11))
def test_an_offline_proof_crosses_and_verifies(index: int, extra: bytes | None) -> None:
    proof = TlogProof(index, tuple(merkle.path(LEAVES, index)), TREE_NOTE, extra)
    assert TlogProof.parse(proof.encode()) == proof
    assert proof.verify(LEAVES[index], LOG.public).checkpoint.size == 11
    with pytest.raises(ProofError):
        proof.verify(LEAVES[index - 1], LOG.public)


PROOF = TlogProof(4, tuple(merkle.path(LEAVES, 4)), TREE_NOTE, b"x").encode()
HASH_LINE = PROOF.split(b"\n")[3]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", MalformedError),
        (PROOF.replace(b"@v1", b"@v2"), MalformedError),
        (PROOF.replace(b"index 4", b"index 04"), MalformedError),
        (PROOF.replace(b"index 4", b"index x"), MalformedError),
        (PROOF.replace(b"extra", b"Extra"), MalformedError),
        (PROOF.replace(b"extra eA==", b"extra eB=="), MalformedError),
        (PROOF.replace(HASH_LINE, HASH_LINE[4:]), MalformedError),
        (PROOF.replace(b"\n\n", b"\n", 1), MalformedError),
        (PROOF[:-1], MalformedError),
        (PROOF.replace(HASH_LINE, b"\n".join([HASH_LINE] * 64)), LimitError),
        (PROOF + b"x" * MAX_PROOF_BYTES, LimitError),
    ],
)
def test_malformed_proofs_are_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        TlogProof.parse(data)


# -- vectors -----------------------------------------------------------------------------------------

VECTORS = load("checkpoint")
VECTOR_LOG = LogKey(
    VECTORS["log"]["origin"], bytes.fromhex(VECTORS["log"]["mldsa44"]), bytes.fromhex(VECTORS["log"]["ed25519"])
)
VECTOR_WITNESS = Cosigner(VECTORS["witness"]["name"], bytes.fromhex(VECTORS["witness"]["mldsa44"]))


def judge(case: dict[str, Any]) -> dict[str, Any]:
    """What a case shows, by the names of the vector file."""
    if case["kind"] == "compact":
        cosignature = Cosignature(case["timestamp"], bytes.fromhex(case["signature"]))
        signed = VECTOR_LOG.verify(case["size"], bytes.fromhex(case["root"]), cosignature)
        return {"size": signed.checkpoint.size}
    if case["kind"] == "proof":
        proof = TlogProof.parse(case["proof"].encode())
        proof.verify(bytes.fromhex(case["leaf_hash"]), VECTOR_LOG)
        return {"index": proof.index}
    note = Note.parse(bytes.fromhex(case["note_hex"]) if "note_hex" in case else case["note"].encode())
    if case["kind"] == "ed25519_note":
        key = VerifierKey.parse(case["vkey"])
        module._verify_ed25519(key.public, note.text.encode(), note.find(key) or b"", key.name)
        return {}
    signed = VECTOR_LOG.open(note)
    found = VECTOR_WITNESS.find(note, signed.checkpoint)
    return {
        "size": signed.checkpoint.size,
        "root": signed.checkpoint.root.hex(),
        "timestamp": signed.cosignature.timestamp,
        "cosigned_at": None if found is None else found.timestamp,
    }


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["kind"])
def test_valid_vectors(case: dict[str, Any]) -> None:
    shown = judge(case)
    assert shown == {name: case[name] for name in shown}


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ValijaError) as caught:
        judge(case)
    assert caught.value.code == case["error"]
