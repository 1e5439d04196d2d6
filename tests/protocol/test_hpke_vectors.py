"""The library's hybrid HPKE is the one of draft-ietf-hpke-pq: its published case opens, and what was changed does not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from tests.protocol.vectors_primitives import load

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def halves(case: dict[str, Any]) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(bytes.fromhex(case["private_seed"])).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def opened(case: dict[str, Any]) -> bytes:
    wrapped = bytes.fromhex(case["enc"] + case["ct_without_aad"])
    return SUITE.decrypt(wrapped, MLKEM768X25519PrivateKey(*halves(case)), bytes.fromhex(case["info"]))


@pytest.mark.parametrize("case", load("hpke")["valid"])
def test_the_published_case_opens(case: dict[str, Any]) -> None:
    mlkem, x25519 = halves(case)
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    assert public.hex() == case["public"]
    assert opened(case).hex() == case["pt"]


@pytest.mark.parametrize("case", load("hpke")["valid"])
def test_the_case_without_additional_data_comes_from_the_published_key_schedule(case: dict[str, Any]) -> None:
    aead, nonce = ChaCha20Poly1305(bytes.fromhex(case["key"])), bytes.fromhex(case["base_nonce"])
    plaintext = bytes.fromhex(case["pt"])
    assert aead.encrypt(nonce, plaintext, bytes.fromhex(case["aad"])).hex() == case["ct"]
    assert aead.encrypt(nonce, plaintext, b"").hex() == case["ct_without_aad"]


@pytest.mark.parametrize("case", load("hpke")["invalid"], ids=lambda case: case["name"])
def test_what_was_changed_does_not_open(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidTag):
        opened(case)
