"""Where the operators' console is served, and under which name."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from keys.home import is_loopback
from keys.origins import origin_of, origin_parts
from protocol.errors import ConfigError

_MAX_MINUTES: Final = 24 * 60


class Console(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operators' pages, at `host:port` (empty: none).

    Under which origin browsers know them, TLS files in PEM form, and how long a session lasts, idle and at most.
    """

    listen: str = ""
    public_origin: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    idle_minutes: int = 30
    session_hours: int = 12


def address(console: Console) -> tuple[str, int] | None:
    """Where to listen; None for nowhere, `ConfigError` for what is no address."""
    if not console.listen:
        return None
    try:
        parts = urlsplit(f"//{console.listen}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.hostname or port is None or parts.netloc != console.listen or "@" in console.listen:
        raise ConfigError(f"console.listen {console.listen!r} is no host:port such as 127.0.0.1:8442")
    return parts.hostname, port


def origin(console: Console, port: int) -> str:
    """Under which origin browsers know the console: the one configured, else `localhost` with this port."""
    scheme = "https" if console.tls_certificate else "http"
    given = origin_parts(console.public_origin)
    return origin_of(given) if given else f"{scheme}://localhost:{port}"


def mistakes(console: Console) -> list[str]:
    """What is wrong with these settings."""
    found = [_origin_mistake(console.public_origin)]
    try:
        where = address(console)
    except ConfigError as error:
        return [error.detail]
    if bool(console.tls_certificate) != bool(console.tls_key):
        found.append("console.tls_certificate and console.tls_key belong together")
    if where is not None and not is_loopback(where[0]):
        if not console.tls_certificate:
            found.append(
                f"console.listen {console.listen} can be reached from elsewhere: "
                "set console.tls_certificate and console.tls_key"
            )
        if not console.public_origin:
            found.append("console.public_origin is missing: the name under which browsers reach the console")
    if not 1 <= console.idle_minutes <= _MAX_MINUTES or not 1 <= console.session_hours <= 24:
        found.append("console.idle_minutes is from 1 to 1440, console.session_hours from 1 to 24")
    return [each for each in found if each]


def _origin_mistake(given: str) -> str:
    if not given:
        return ""
    parts = origin_parts(given)
    if parts is None:
        return f"console.public_origin {given!r} is no origin such as https://hub.example.org:8442"
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "console.public_origin: browsers keep sessions of another machine by https alone"
    return ""
