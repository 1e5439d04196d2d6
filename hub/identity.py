"""Who the hub is: its keys, opened from the home, and what the registry says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.config import Home, HubConfig
from keys.home import secret_file
from keys.kinds import OpenKey
from keys.signer import LogSigner, Signer
from keys.vault import Kind, Secret, Vault
from protocol.errors import StandingError, UsageError, WrongHubError
from protocol.trust.checkpoint import SignedCheckpoint
from protocol.trust.notes import Note
from protocol.trust.registry import Registry
from protocol.trust.standing import CertificateRecord
from protocol.trust.statements import Charter


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The operating key, opened, and the log key, opened once a charter says how the log is called."""

    hub: Signer
    vault: Vault
    unlock: Secret
    name: str

    @classmethod
    def load(cls, home: Home, config: HubConfig, environment: Mapping[str, str]) -> HubKeys:
        """The keys of this home; raises `KeyAccessError` and its kin."""
        unlock = Secret.read(secret_file(home, config.keys.secret_file, environment))
        vault, name = Vault(home.keys), config.association.name
        return cls(Signer.load(vault, Kind.HUB, name, unlock), vault, unlock, name)

    def open_log(self) -> OpenKey:
        """The log key, whatever the log is called; raises what `Vault.open` does."""
        return self.vault.open(Kind.LOG, self.name, self.unlock)

    def log(self, charter: Charter) -> LogSigner:
        """What signs the log of this charter; `WrongHubError` if the charter names another log key."""
        signer = LogSigner.load(self.vault, self.name, charter.hub.origin, self.unlock)
        if (signer.public.mldsa44, signer.public.ed25519) != (charter.hub.log_key, charter.hub.log_ed25519):
            raise WrongHubError("the charter names another log key than the one in this home")
        return signer

    def certificates(self, registry: Registry, now: int) -> list[CertificateRecord]:
        """The certificates of the operating key in standing at `now`, the one that lasts longest first."""
        own = [each for each in registry.hub_certificates(now) if each.key == self.hub.public]
        return sorted(own, key=lambda each: each.not_after, reverse=True)

    def certificate(self, registry: Registry, now: int) -> CertificateRecord:
        """The first of them; `StandingError` if there is none."""
        for certificate in self.certificates(registry, now):
            return certificate
        raise StandingError("no certificate of this hub's key; have one signed, then run valija-hub install")


class CharterSigner:
    """Signs checkpoints as the log of the charter in force; raises `WrongHubError` when that names another key."""

    def __init__(self, keys: HubKeys) -> None:
        """Signs nothing before `follow`."""
        self._keys = keys
        self._registry: Registry | None = None
        self._current: tuple[Charter, LogSigner] | None = None

    def follow(self, registry: Registry) -> None:
        """The charters are those of this registry."""
        self._registry = registry

    def found(self, charter: Charter) -> None:
        """Sign as this charter's log: leaf 0 is signed before any registry holds it."""
        self._current = (charter, self._keys.log(charter))

    def sign(self, size: int, root: bytes, timestamp: int) -> SignedCheckpoint:
        """See `hub.log.CheckpointSigner`."""
        return self._signer().sign(size, root, timestamp)

    def note(self, signed: SignedCheckpoint) -> Note:
        """See `hub.log.CheckpointSigner`."""
        return self._signer().note(signed)

    def _signer(self) -> LogSigner:
        if self._registry is not None and self._registry.size:
            charter = self._registry.charter
            if self._current is None or self._current[0] != charter:
                self._current = (charter, self._keys.log(charter))
        if self._current is None:
            raise UsageError("no charter")
        return self._current[1]
