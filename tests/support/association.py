"""The association that tests and measurements run on: the sandbox's."""

from __future__ import annotations

from sandbox.association import (
    CERTIFICATE_DAYS,
    CHEAP,
    NAME,
    PASSPHRASE,
    STEWARDS,
    THRESHOLD,
    Association,
    Tls,
    authority,
    found,
    free_port,
)

__all__ = [
    "CERTIFICATE_DAYS",
    "CHEAP",
    "NAME",
    "PASSPHRASE",
    "STEWARDS",
    "THRESHOLD",
    "Association",
    "Tls",
    "authority",
    "found",
    "free_port",
]
