"""A passkey in software: what a telephone does when a browser asks it (WebAuthn level 3, sections 6.1 and 6.5)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One passkey for one site; `verifies` says whether it asks its owner for a finger or PIN."""

    origin: str = "http://localhost:8451"
    host: str = "localhost"
    verifies: bool = True
    count: int = 0
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: str) -> dict[str, Any]:
        """The answer to a request to register."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + struct.pack(">H", len(self.credential)) + self.credential + cbor2.dumps(cose)
        told = {"fmt": "none", "attStmt": {}, "authData": self._data(ATTESTED) + attested}
        response = {"attestationObject": text(cbor2.dumps(told)), "clientDataJSON": self._client("create", options)}
        return self._answer(response)

    def prove(self, options: str) -> dict[str, Any]:
        """The answer to a request to log in."""
        self.count += 1
        client = self._client("get", options)
        data = self._data(0)
        signed = data + hashlib.sha256(raw(client)).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "authenticatorData": text(data),
                "clientDataJSON": client,
                "signature": text(signature),
                "userHandle": None,
            }
        )

    def _data(self, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _client(self, kind: str, options: str) -> str:
        told = {"type": f"webauthn.{kind}", "challenge": json.loads(options)["challenge"], "origin": self.origin}
        return text(json.dumps(told).encode())

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        shown = text(self.credential)
        return {"id": shown, "rawId": shown, "type": "public-key", "response": response, "clientExtensionResults": {}}


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def raw(shown: str) -> bytes:
    return base64.urlsafe_b64decode(shown + "=" * (-len(shown) % 4))
