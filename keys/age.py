"""Encryption of backups in the age format (age-encryption.org/v1), which the stock `age` command opens too.

A backup is for recipients, public keys `age1…`; their private halves, *identities*, stand in files of the form that
`age-keygen` writes.  Who would rather remember a passphrase gets such a file made, itself encrypted under it:
`age --decrypt -i FILE.key FILE` asks for the passphrase and opens the backup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import pyrage
from pyrage import passphrase as by_passphrase
from pyrage import x25519

from keys.files import read_private, read_public
from keys.locks import MIN_PASSPHRASE_CHARACTERS, Passphrase
from protocol.errors import BackupError, KeyAccessError, PassphraseError, StoreError, UsageError

_SECRET: Final = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+")
_ENCRYPTED: Final = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")

Recipient: TypeAlias = x25519.Recipient
Identity: TypeAlias = x25519.Identity


class Reader(Protocol):
    """What is encrypted or decrypted."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Writer(Protocol):
    """Where the outcome goes."""

    def write(self, data: bytes, /) -> int:
        """Take in all of `data`, and tell how much that was."""

    def flush(self) -> None:
        """Nothing is held back."""


def read_recipients(written: Iterable[str]) -> list[Recipient]:
    """The recipients of these public keys; `UsageError` for one that is none."""
    return [_recipient(each) for each in written]


def _recipient(written: str) -> Recipient:
    try:
        return x25519.Recipient.from_str(written.strip())
    except pyrage.RecipientError:
        # Whoever takes the identity's file for that of its public key has named a secret: it is not repeated.
        named = repr(written) if written.startswith("age1") else "one of the recipients"
        raise UsageError(f"{named} is no public key of age, such as age1…; age-keygen -y IDENTITY shows it") from None


def protected_identity(passphrase: Passphrase) -> tuple[Recipient, bytes]:
    """A fresh recipient, and the file with its identity, encrypted under `passphrase`; `UsageError` for a short one."""
    if len(passphrase.text) < MIN_PASSPHRASE_CHARACTERS:
        raise UsageError(f"a passphrase has at least {MIN_PASSPHRASE_CHARACTERS} characters; four words are good")
    identity = x25519.Identity.generate()
    return identity.to_public(), by_passphrase.encrypt(f"{identity}\n".encode(), passphrase.text, armored=True)


def read_identities(path: Path, passphrase: Passphrase | None) -> list[Identity]:
    """The identities in this file, which others may not read unless it is encrypted.

    Raises `UsageError` or `KeyAccessError` for a file that holds none or can't be read, `PassphraseError`.
    """
    data = read_public(path)
    if data.startswith(_ENCRYPTED):
        if passphrase is None:
            raise PassphraseError(f"{path} opens with a passphrase; say --passphrase-file FILE")
        data = _opened(data, passphrase)
    else:
        data = read_private(path)
    found = _SECRET.findall(data.decode("utf-8", "replace"))
    if not found:
        raise KeyAccessError(f"{path} holds no identity of age")
    try:
        return [x25519.Identity.from_str(each) for each in found]
    except pyrage.IdentityError:
        raise KeyAccessError(f"{path} holds an identity of age that is damaged") from None


def _opened(data: bytes, passphrase: Passphrase) -> bytes:
    try:
        opened: bytes = by_passphrase.decrypt(data, passphrase.text)
    except pyrage.DecryptError:
        raise PassphraseError("the passphrase does not open the identity, or the file is damaged") from None
    return opened


def encrypt(source: Reader, target: Writer, recipients: Sequence[Recipient]) -> None:
    """Write what `source` gives to `target`, encrypted for each of the recipients; memory stays flat.

    Raises what `source` and `target` raise, `StoreError`.
    """
    try:
        pyrage.encrypt_io(source, target, recipients)
    except pyrage.EncryptError as error:
        raise StoreError(f"encryption: {error}") from error


def decrypt(source: Reader, target: Writer, identities: Sequence[Identity]) -> None:
    """Write to `target` what `source` holds; every piece is verified before it is written, the end at the end.

    Raises `KeyAccessError` if none of the identities opens it, `BackupError` for what was altered or cut off.
    """
    try:
        pyrage.decrypt_io(source, target, identities)
    except pyrage.DecryptError as error:
        if "matching" in str(error).lower():
            raise KeyAccessError("none of these identities opens the backup") from None
        raise BackupError(f"the backup is altered or cut off ({error})") from None
    except OSError as error:
        if error.errno is None:  # the library's own
            raise BackupError(f"the backup is altered or cut off ({error})") from None
        raise StoreError(str(error.strerror)) from error
