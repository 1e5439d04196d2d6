"""The secrets and signatures of the Standard Webhooks specification 1.0 (symmetric, `v1`)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"
_LEAST_BYTES: Final = 24


def draw_secret() -> bytes:
    """A fresh secret."""
    return secrets.token_bytes(SECRET_BYTES)


def show_secret(secret: bytes) -> str:
    """The secret as the other side is given it."""
    return _PREFIX + base64.b64encode(secret).decode("ascii")


def read_secret(shown: str) -> bytes:
    """The secret that is shown so; `ValueError` for anything else."""
    secret = base64.b64decode(shown.removeprefix(_PREFIX), validate=True)
    if not shown.startswith(_PREFIX) or len(secret) < _LEAST_BYTES:
        raise ValueError(_PREFIX)
    return secret


def headers(secrets_in_force: Sequence[bytes], notice_id: str, at: int, body: bytes) -> dict[str, str]:
    """What goes with `body` at `at` (Unix seconds): one signature for each secret in force."""
    signed = f"{notice_id}.{at}.".encode() + body
    marks = [base64.b64encode(hmac.new(each, signed, hashlib.sha256).digest()).decode() for each in secrets_in_force]
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{each}" for each in marks),
    }
