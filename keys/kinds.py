"""The kinds of key, what each is made of, and how people compare two of them.

A kind is either hybrid (Ed25519 and ML-DSA-65, for statements, links and sessions), a log (ML-DSA-44 and
Ed25519, for checkpoints) or a witness (ML-DSA-44, for cosignatures).  Prekeys have a store of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from protocol.codec import Value, array, binary, text
from protocol.errors import KeyAccessError, KeyDamagedError, MalformedError, UsageError
from protocol.names import check_name
from protocol.signing import SEED_BYTES, HashLabel, PrivateKey, PublicKey, digest
from protocol.trust.checkpoint import Cosigner, CosignerPrivateKey, LogKey, LogPrivateKey

_MAX_PARTS: Final = 2


class Kind(StrEnum):
    """Whose key it is."""

    STEWARD = "steward"
    MEMBER_ROOT = "member-root"
    NODE = "node"
    WITNESS = "witness"
    HUB_ROOT = "hub-root"
    HUB = "hub"
    LOG = "log"

    @property
    def seed_count(self) -> int:
        """How many 32-byte seeds make such a key."""
        return 1 if self is Kind.WITNESS else 2

    @property
    def is_hybrid(self) -> bool:
        """Whether it signs statements: everything but logs and witnesses."""
        return self not in {Kind.LOG, Kind.WITNESS}


@dataclass(frozen=True, slots=True)
class PublicPart:
    """What others may know of a key: kind, name and public key, its halves in the order of SPEC 6.2."""

    kind: Kind
    name: str
    parts: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse, with `MalformedError`, what is no key of this kind."""
        check_name(self.name)
        if len(self.parts) != self.kind.seed_count:
            raise MalformedError("public key")
        if self.kind is Kind.LOG:
            LogKey(self.name, *self.parts)
        elif self.kind is Kind.WITNESS:
            Cosigner(self.name, *self.parts)
        else:
            PublicKey(*self.parts)

    @classmethod
    def parse(cls, kind: Value, name: Value, parts: Value) -> PublicPart:
        """The public key that kind, name and [part…] say; else `MalformedError`."""
        try:
            known = Kind(text(kind, 16))
        except ValueError:
            raise MalformedError("kind of key") from None
        return cls(known, check_name(text(name, 32)), tuple(binary(part) for part in array(parts, _MAX_PARTS)))

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that name this key; for hybrid keys the one that statements carry."""
        return digest(HashLabel.KEY, b"".join(self.parts))

    @property
    def key(self) -> PublicKey:
        """The hybrid key; `UsageError` for a log or a witness."""
        if not self.kind.is_hybrid:
            raise UsageError(f"a {self.kind} key signs no statements")
        return PublicKey(*self.parts)

    def require(self, *kinds: Kind) -> PublicPart:
        """The same, if it is of one of these kinds; else `UsageError`."""
        if self.kind not in kinds:
            raise UsageError(f"{self.name} is a {self.kind} key; needed: {' or '.join(kinds)}")
        return self


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A key whose seeds are at hand; its repr shows the public part alone."""

    public: PublicPart
    seeds: tuple[bytes, ...]

    @classmethod
    def generate(cls, kind: Kind, name: str) -> OpenKey:
        """A fresh key from the system's random source."""
        return cls.of(kind, name, [secrets.token_bytes(SEED_BYTES) for _ in range(kind.seed_count)])

    @classmethod
    def of(cls, kind: Kind, name: str, seeds: Sequence[bytes]) -> OpenKey:
        """The key of these seeds; `KeyDamagedError` if they are not what this kind is made of."""
        if [len(seed) for seed in seeds] != [SEED_BYTES] * kind.seed_count:
            raise KeyDamagedError("seeds")
        return cls(PublicPart(kind, name, _public_parts(kind, name, seeds)), tuple(seeds))

    def signing(self) -> PrivateKey:
        """The hybrid signing key; `KeyAccessError` for a log or a witness."""
        if not self.public.kind.is_hybrid:
            raise KeyAccessError(f"a {self.public.kind} key signs no statements")
        return PrivateKey(*self.seeds)

    def log(self, origin: str) -> LogPrivateKey:
        """The log key under the name that the charter gives the log; `KeyAccessError` for another kind."""
        if self.public.kind is not Kind.LOG:
            raise KeyAccessError(f"a {self.public.kind} key signs no log")
        return LogPrivateKey(origin, *self.seeds)

    def witness(self) -> CosignerPrivateKey:
        """The cosigning key under its own name; `KeyAccessError` for another kind."""
        if self.public.kind is not Kind.WITNESS:
            raise KeyAccessError(f"a {self.public.kind} key is no witness's")
        return CosignerPrivateKey(self.public.name, *self.seeds)

    def __repr__(self) -> str:
        return f"OpenKey({self.public.kind} {self.public.name}, {self.public.fingerprint[:8].hex()}…)"


def _public_parts(kind: Kind, name: str, seeds: Sequence[bytes]) -> tuple[bytes, ...]:
    if kind is Kind.LOG:
        log = LogPrivateKey(name, *seeds).public
        return (log.mldsa44, log.ed25519)
    if kind is Kind.WITNESS:
        return (CosignerPrivateKey(name, *seeds).public.mldsa44,)
    return PrivateKey(*seeds).public.value()


# -- fingerprints for people -------------------------------------------------------------------------
_CONSONANTS: Final = "bdfghjklmnprstvz"
_VOWELS: Final = "aiou"
_SHIFTS: Final = ((_CONSONANTS, 12, 15), (_VOWELS, 10, 3), (_CONSONANTS, 6, 15), (_VOWELS, 4, 3), (_CONSONANTS, 0, 15))


def hex_groups(fingerprint: bytes) -> str:
    """The fingerprint in groups of four hexadecimal digits, for the eye."""
    return " ".join(fingerprint[at : at + 2].hex() for at in range(0, len(fingerprint), 2))


def spoken(fingerprint: bytes) -> str:
    """Sixteen invented words that can be read out in Spanish, Portuguese or English: five letters to 16 bits.

    Source: "Proquints: identifiers that are readable, spellable, and pronounceable" (Wilkerson, 2009).
    """
    bounds = pairwise(range(0, len(fingerprint) + 1, 2))
    return " ".join(_word(int.from_bytes(fingerprint[start:end], "big")) for start, end in bounds)


def _word(number: int) -> str:
    return "".join(letters[number >> shift & mask] for letters, shift, mask in _SHIFTS)
