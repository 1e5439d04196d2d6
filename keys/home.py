"""What the homes of both daemons share: the files in each, the settings that mean the same, and TLS.

Everything that a daemon keeps is in one folder, its home.  A settings file in it, written last, makes the folder a
home; `VALIJA_SECRET_FILE` names the file that opens the keys, where that is not `secret` in the home.  A
relative path starts in the home, the variable's too: a daemon's working folder is seldom that of whoever starts it.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from protocol.errors import ConfigError, HomeMissingError

SECRET_VARIABLE: Final = "VALIJA_SECRET_FILE"  # noqa: S105 - where it is, not what it is


# -- settings --------------------------------------------------------------------------------------------
class Level(StrEnum):
    """How much is written to the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens the key files; empty means the file `secret` in the home."""

    secret_file: str = ""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to standard error, one JSON object a line."""

    level: Level = Level.INFO


# -- the folder ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class BaseHome:
    """The folder of one daemon, and what is called alike in the home of any."""

    folder: Path
    config_name: ClassVar[str]

    @property
    def config(self) -> Path:
        """The settings; written last, so that a folder with this file is a whole home."""
        return self.folder / self.config_name

    @property
    def keys(self) -> Path:
        """The key files."""
        return self.folder / "keys"

    @property
    def secret(self) -> Path:
        """What opens the key files, unless the operator keeps it elsewhere."""
        return self.folder / "secret"

    @property
    def lock(self) -> Path:
        """Held by the one process that may write here."""
        return self.folder / "lock"

    def require(self) -> None:
        """Return if a home is here; else `HomeMissingError`, and nothing is made."""
        if not self.config.is_file():
            raise HomeMissingError(str(self.folder))


def secret_file(home: BaseHome, named: str, environment: Mapping[str, str]) -> Path:
    """The file that opens the keys: the variable's, else `named` in the settings, else the home's own."""
    chosen = environment.get(SECRET_VARIABLE) or named
    return resolve(home, chosen) if chosen else home.secret


def resolve(home: BaseHome, named: str) -> Path:
    """The path that a setting names; a relative one starts in the home."""
    return home.folder / expanded(Path(named))


def expanded(path: Path) -> Path:
    """The same path, `~` filled in; `ConfigError` where nobody knows whose home that is."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: nobody knows whose home ~ is here; write the whole path") from None


# -- addresses -------------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name other than `localhost` may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificate and key in PEM form, and the settings that name them, for whoever has to correct one."""

    certificate: Path
    key: Path
    certificate_setting: str
    key_setting: str

    def context(self) -> ssl.SSLContext:
        """TLS 1.3 with this certificate; `ConfigError` if the files do not serve."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Connections made from now on show what stands in the files; `ConfigError` if they do not serve."""
        try:
            # Without an answer at hand OpenSSL would ask the terminal for a passphrase.
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unusable"
            named = f"{self.certificate_setting} {self.certificate}, {self.key_setting} {self.key}"
            raise ConfigError(f"{named}: {reason}") from None

    def ends_at(self) -> int:
        """When the certificate in the file ends, in Unix seconds; `ConfigError` if there is none in it."""
        # Who shows none need not hold what reads one in memory.
        from cryptography import x509  # noqa: PLC0415

        try:
            shown = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError):
            raise ConfigError(f"{self.certificate_setting} {self.certificate} is no certificate") from None
        return int(shown.not_valid_after_utc.timestamp())
