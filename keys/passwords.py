"""A password with a time code, the second way in; recovery codes and invitations, for when the first is lost.

Passwords are kept as Argon2id hashes (RFC 9106), what is random as SHA-256.  Time codes are TOTP (RFC 6238): six
digits, 30 seconds, one step early or late, and each step once.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import unicodedata
from functools import cache
from typing import Final

import pyotp
from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

from protocol.errors import UsageError

MIN_PASSWORD_CHARS: Final = 12
MAX_PASSWORD_CHARS: Final = 256
STEP_SECONDS: Final = 30
RECOVERY_CODES: Final = 10
_PASSES: Final = 3
_MEMORY_BYTES: Final = 64 * 1024 * 1024
_CODE_BYTES: Final = 10
_ISSUER: Final = "Valija"


def check_password(password: str, login: str) -> None:
    """Return if this may be a password; else `UsageError` saying what it lacks."""
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise UsageError(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    if login.lower() in password.lower() or len(set(password)) < MIN_PASSWORD_CHARS // 2:
        raise UsageError("a password holds neither the login nor few characters over and over")


def hash_password(password: str) -> str:
    """The Argon2id hash to keep, with its salt and cost; takes a tenth of a second and 64 MiB."""
    return argon2id.str(_plain(password), opslimit=_PASSES, memlimit=_MEMORY_BYTES).decode("ascii")


def is_password(hashed: str, password: str) -> bool:
    """Whether this password is the one behind `hashed`."""
    try:
        return argon2id.verify(hashed.encode("ascii"), _plain(password))
    except InvalidkeyError:
        return False


@cache
def nobody() -> str:
    """A hash that no password is behind: an unknown login is compared with it, and takes as long as a known one."""
    return hash_password(secrets.token_hex(16))


def _plain(password: str) -> bytes:
    # Composed, so that every keyboard types the same; cut, so that a long one costs no more.
    return unicodedata.normalize("NFC", password[: MAX_PASSWORD_CHARS + 1]).encode("utf-8", "surrogatepass")


# -- time codes ------------------------------------------------------------------------------------------
def draw_totp() -> str:
    """A fresh TOTP secret, in base32."""
    return pyotp.random_base32()


def totp_uri(secret: str, login: str, member: str) -> str:
    """What an authenticator application reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=f"{login}@{member}", issuer_name=_ISSUER)


def totp_step(secret: str, code: str, now: int) -> int | None:
    """The time step whose code this is, at most one away from `now` (Unix seconds); None if it is none."""
    typed = "".join(code.split())
    totp, here = pyotp.TOTP(secret), now // STEP_SECONDS
    for step in (here, here - 1, here + 1):
        if secrets.compare_digest(totp.generate_otp(step).encode(), typed.encode("utf-8", "surrogatepass")):
            return step
    return None


# -- random codes ----------------------------------------------------------------------------------------
def draw_recovery_codes() -> list[str]:
    """Ten fresh codes as people write them down: four groups of four letters and digits."""
    return [_grouped(base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode("ascii")) for _ in range(RECOVERY_CODES)]


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def recovery_hash(code: str) -> bytes:
    """What is kept of a recovery code, however it was typed."""
    return hashlib.sha256("".join(code.split()).replace("-", "").upper().encode("utf-8", "surrogatepass")).digest()


def draw_secret() -> str:
    """Fresh text for an invitation or a cookie: 32 random bytes."""
    return secrets.token_urlsafe(32)


def secret_hash(text: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
