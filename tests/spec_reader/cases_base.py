"""How the vectors of encoding and cryptography are read. A case that should be refused raises `Refused`."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.spec_reader import chunks, hpke, merkle, names, padding, signing
from tests.spec_reader.batch import read_batch, read_proof
from tests.spec_reader.digests import labelled, message_id
from tests.spec_reader.shape import name
from tests.spec_reader.wire import Wire, decode, encode

Case = dict[str, Any]


def unhex(value: Any) -> Any:
    """Hex strings as bytes, in lists too."""
    return [unhex(item) for item in value] if isinstance(value, list) else bytes.fromhex(value)


def key(value: list[str]) -> signing.Key:
    return bytes.fromhex(value[0]), bytes.fromhex(value[1])


def value_of(shown: Any) -> Wire:
    """nil and booleans as such, {uint: decimal}, {bin: hex}, {text}, arrays."""
    if isinstance(shown, list):
        return [value_of(item) for item in shown]
    if isinstance(shown, dict):
        ((kind, text),) = shown.items()
        return {"uint": int, "bin": bytes.fromhex, "text": str}[kind](text)  # type: ignore[operator, no-any-return]
    assert shown is None or isinstance(shown, bool)
    return shown


def codec(_: Case, case: Case) -> None:
    raw = unhex(case["encoded"])
    value = decode(raw, case.get("max_bytes", 65_536))
    assert value == value_of(case["value"])
    assert encode(value_of(case["value"])) == raw


def signing_(_: Case, case: Case) -> None:
    kind = case["kind"]
    if kind == "digest":
        assert labelled(case["label"], unhex(case["data"])).hex() == case["digest"]
    elif kind == "public":
        signing.public_key(unhex(case["public"]))
    elif kind == "key":
        _key(case)
    else:
        signed = signing.signature(*unhex(case["signature"]))
        public = signing.public_key(unhex(case["public"]))
        signing.verify(public, case["label"], unhex(case["association"]), unhex(case["message"]), signed)


def _key(case: Case) -> None:
    ed25519, mldsa65 = unhex(case["seeds"])
    public = (
        Ed25519PrivateKey.from_private_bytes(ed25519).public_key().public_bytes_raw(),
        MLDSA65PrivateKey.from_seed_bytes(mldsa65).public_key().public_bytes_raw(),
    )
    assert public == signing.public_key(unhex(case["public"]))
    assert signing.fingerprint(public).hex() == case["fingerprint"]


def merkle_(_: Case, case: Case) -> None:
    if case["kind"] == "tree":
        assert merkle.root([merkle.plain_leaf(leaf) for leaf in unhex(case["leaves"])]).hex() == case["root"]
    elif case["kind"] == "inclusion":
        leaf, path, root = (unhex(case[part]) for part in ("leaf_hash", "path", "root"))
        merkle.check_inclusion(leaf, case["index"], case["size"], path, root)
    else:
        old, new = ((case[f"{age}_size"], unhex(case[f"{age}_root"])) for age in ("old", "new"))
        merkle.check_consistency(old, new, unhex(case["proof"]))


def batch(file: Case, case: Case) -> None:
    kind = case["kind"]
    if kind == "batch signature":
        read_batch(unhex(case["encoded"]))
    elif kind == "leaf proof":
        read_proof(unhex(case["encoded"]))
    elif kind == "signature":
        read_batch(unhex(case["batch"])).check(key(file["key"]), case["label"], unhex(case["association"]))
    else:
        proof = read_proof(unhex(case["proof"]))
        leaf = merkle.salted_leaf(case["label"], proof.salt, unhex(case["data"]))
        proof.check(leaf, read_batch(unhex(case["batch"])))
        assert leaf.hex() == case["leaf"]


def names_(_: Case, case: Case) -> None:
    kind, text = case["kind"], str(case.get("text", case.get("name")))
    if kind == "name":
        name(text)
    elif kind == "address":
        names.address(text, "aiamp")
    elif kind == "id":
        assert names.identifier(case.get("shown", text)) == (case["prefix"], unhex(case["raw"]))
        assert names.show(case["prefix"], unhex(case["raw"])) == case["shown"]
    else:
        assert message_id(unhex(case["association"]), *case["submission"]).hex() == case["id"]


def padding_(_: Case, case: Case) -> None:
    if case.get("kind") == "padme":
        assert [[size, padding.padme(size)] for size, _ in case["sizes"]] == case["sizes"]
        return
    padded = unhex(case["plaintext"]) + bytes(case["zeros"])
    body = padding.unpad(padded)
    assert body == unhex(case["body"])
    assert padding.pad(body).startswith(unhex(case["plaintext"]))
    assert padding.bucket(len(body)) == case["ciphertext_bytes"]


def chunks_(_: Case, case: Case) -> None:
    secret, context, ciphertext = (unhex(case[part]) for part in ("key", "context", "ciphertext"))
    plaintext = chunks.unseal(secret, context, ciphertext)
    assert plaintext == unhex(case["plaintext"])
    assert chunks.seal(secret, unhex(case["salt"]), context, plaintext) == ciphertext


def hpke_(_: Case, case: Case) -> None:
    private = hpke.Private.of_seed(unhex(case["private_seed"]))
    assert private.public().hex() == case["public"]
    info, enc = unhex(case["info"]), unhex(case["enc"])
    plaintext = hpke.unwrap(private, info, enc + unhex(case["ct_without_aad"]))
    assert plaintext.hex() == case["pt"]
    assert hpke.unwrap(private, info, enc + unhex(case["ct"]), unhex(case["aad"])) == plaintext
    shared = hpke.decapsulate(private, enc)
    assert shared.hex() == case["shared_secret"]
    assert [part.hex() for part in hpke.schedule(shared, info)] == [case["key"], case["base_nonce"]]
    sealed = ChaCha20Poly1305(unhex(case["key"])).encrypt(unhex(case["base_nonce"]), plaintext, b"")
    assert sealed.hex() == case["ct_without_aad"]
