"""What a daemon holds while it runs: one key that signs, loaded once, never written.

Nothing here opens a message; the hub imports this and `keys.vault`, and no other room of `keys`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keys.kinds import Kind, PublicPart
from keys.vault import Unlock, Vault
from protocol.signing import Label, PrivateKey, PublicKey, Signature
from protocol.trust.checkpoint import LogKey, LogPrivateKey, SignedCheckpoint
from protocol.trust.notes import Note


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as one member's node, one hub, a root or a steward.

    `key` is what the functions of `protocol` take; `part` says whose it is.
    """

    part: PublicPart
    key: PrivateKey = field(repr=False)

    @classmethod
    def load(cls, vault: Vault, kind: Kind, name: str, unlock: Unlock) -> Signer:
        """The signer of this key file; raises what `Vault.open` does, `KeyAccessError` for a log or a witness."""
        opened = vault.open(kind, name, unlock)
        return cls(opened.public, opened.signing())

    @property
    def public(self) -> PublicKey:
        """Under what its signatures verify."""
        return self.key.public

    def sign(self, label: Label, association: bytes, message: bytes) -> Signature:
        """Both signatures of `message` as a `label` of the association with this 32-byte id."""
        return self.key.sign(label, association, message)


@dataclass(frozen=True, slots=True)
class LogSigner:
    """Signs the checkpoints of one log; that no two of them disagree is its caller's duty."""

    part: PublicPart
    key: LogPrivateKey = field(repr=False)

    @classmethod
    def load(cls, vault: Vault, name: str, origin: str, unlock: Unlock) -> LogSigner:
        """The log key `name`, signing as the log that the charter calls `origin`; raises what `Vault.open` does."""
        opened = vault.open(Kind.LOG, name, unlock)
        return cls(opened.public, opened.log(origin))

    @property
    def public(self) -> LogKey:
        """The log as its readers verify it."""
        return self.key.public

    def sign(self, size: int, root: bytes, timestamp: int) -> SignedCheckpoint:
        """The signed checkpoint of `size` leaves and the 32-byte `root` at `timestamp` (Unix seconds)."""
        return self.key.sign(size, root, timestamp)

    def note(self, signed: SignedCheckpoint) -> Note:
        """The note to publish, with a line by each of the log's two keys."""
        return self.key.note(signed)
