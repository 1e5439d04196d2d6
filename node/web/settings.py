"""Where the pages for people are served, and under which name."""

from __future__ import annotations

import ipaddress
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from keys.origins import origin_of, origin_parts
from node.people.site import Site

_MAX_MINUTES: Final = 24 * 60
_MAX_UNDO_SECONDS: Final = 60


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pages for people, at `host:port` (empty: none).

    Under which origin browsers know them, TLS files in PEM form, the address of a proxy that stands before them, the
    time zone in which times are told, how long a session lasts, idle and at most, and how long sending can be undone.
    """

    listen: str = ""
    public_origin: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    trusted_proxy: str = ""
    time_zone: str = "UTC"
    idle_minutes: int = 60
    session_hours: int = 12
    undo_seconds: int = 10


def site(web: Web, port: int) -> Site:
    """Under which origin the pages are known: the one configured, else `localhost` with this port.

    A passkey is bound to a name, so an address in numbers will not do.
    """
    scheme = "https" if web.tls_certificate else "http"
    given = origin_parts(web.public_origin)
    return Site(origin_of(given), given.hostname or "") if given else Site(f"{scheme}://localhost:{port}", "localhost")


def mistakes(web: Web, *, is_loopback: bool) -> list[str]:
    """What is wrong with these settings; `is_loopback`: `listen` can be reached from this machine alone."""
    found = [_origin_mistake(web.public_origin), _proxy_mistake(web.trusted_proxy), _zone_mistake(web.time_zone)]
    if bool(web.tls_certificate) != bool(web.tls_key):
        found.append("web.tls_certificate and web.tls_key belong together")
    if web.listen and not is_loopback and not web.tls_certificate:
        found.append(f"web.listen {web.listen} can be reached from elsewhere: set web.tls_certificate and web.tls_key")
    if web.listen and not is_loopback and not web.public_origin:
        found.append("web.public_origin is missing: the name under which browsers reach these pages")
    if not 1 <= web.idle_minutes <= _MAX_MINUTES or not 1 <= web.session_hours <= 24:
        found.append("web.idle_minutes is from 1 to 1440, web.session_hours from 1 to 24")
    if not 0 <= web.undo_seconds <= _MAX_UNDO_SECONDS:
        found.append(f"web.undo_seconds is from 0 to {_MAX_UNDO_SECONDS}")
    return [mistake for mistake in found if mistake]


def _origin_mistake(origin: str) -> str:
    if not origin:
        return ""
    parts = origin_parts(origin)
    if parts is None or _is_address(parts.hostname or ""):
        return f"web.public_origin {origin!r} is no origin such as https://valija.example.org"
    if parts.scheme == "http" and parts.hostname != "localhost":
        return "web.public_origin: browsers keep passkeys and sessions of another machine by https alone"
    return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _proxy_mistake(proxy: str) -> str:
    return "" if not proxy or _is_address(proxy) else "web.trusted_proxy is the address of the proxy, such as 127.0.0.1"


def _zone_mistake(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return f"web.time_zone {zone!r} is no time zone such as America/Bogota"
    return ""
