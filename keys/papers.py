"""The papers that stewards pass on: signed statements and public keys, read from armoured files.

A statement that nobody has signed yet is a draft; it is the same file with no signatures.
"""

from __future__ import annotations

from pathlib import Path

from keys.armour import Mark, armour, read_armour
from keys.files import read_public
from keys.kinds import PublicPart, hex_groups, spoken
from protocol.codec import decode, encode, fields, uint
from protocol.errors import MalformedError, PeerError
from protocol.limits import MAX_STATEMENT_BYTES
from protocol.trust.statements import SignedStatement

_FORMAT = 0


def paper(data: bytes) -> SignedStatement | PublicPart:
    """The statement or public key in an armoured file; no signature is verified.

    Raises `MalformedError`, `LimitError`, or `VersionError` for one of a later version.
    """
    mark, raw = read_armour(data, Mark.STATEMENT, Mark.PUBLIC_KEY)
    if mark is Mark.STATEMENT:
        return SignedStatement.from_bytes(raw)
    version, kind, name, parts = fields(decode(raw, MAX_STATEMENT_BYTES), 4)
    if uint(version) != _FORMAT:
        raise MalformedError("a public key of a newer format; update this program")
    return PublicPart.parse(kind, name, parts)


def read_paper(path: Path) -> SignedStatement | PublicPart:
    """As `paper`, from the file at `path`, which the errors name; `UsageError` if it can't be read."""
    try:
        return paper(read_public(path))
    except PeerError as error:
        raise type(error)(f"{path}: {error.detail}") from None


def read_statement(path: Path) -> SignedStatement:
    """The statement in this file; raises what `read_paper` does, `MalformedError` for a public key."""
    found = read_paper(path)
    if isinstance(found, PublicPart):
        raise MalformedError(f"{path}: a public key, not a statement")
    return found


def read_part(path: Path) -> PublicPart:
    """The public key in this file; raises what `read_paper` does, `MalformedError` for a statement."""
    found = read_paper(path)
    if not isinstance(found, PublicPart):
        raise MalformedError(f"{path}: a statement, not a public key")
    return found


def statement_paper(signed: SignedStatement, summary: str) -> bytes:
    """The file to pass on, with `summary` above for the eye."""
    return armour(Mark.STATEMENT, signed.raw, summary)


def public_paper(public: PublicPart) -> bytes:
    """The file by which others learn a public key, to be compared by its fingerprint."""
    summary = (
        f"Valija public key: {public.kind} {public.name}\n"
        f"Fingerprint: {hex_groups(public.fingerprint)}\n"
        f"To read out: {spoken(public.fingerprint)}\n"
        "Compare the fingerprint with its owner by telephone or in person before you use this file.\n"
    )
    raw = encode([_FORMAT, public.kind.value, public.name, list(public.parts)])
    return armour(Mark.PUBLIC_KEY, raw, summary)
