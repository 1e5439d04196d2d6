"""The origin under which browsers know pages, as somebody wrote it into a file and as browsers write it."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

_PORTS: Final = {"https": 443, "http": 80}


def origin_parts(written: str) -> SplitResult | None:
    """The parts of an origin that somebody wrote into a file, a slash at its end or none; None if it is no origin."""
    try:
        parts = urlsplit(written.rstrip("/"))
        _port = parts.port
    except ValueError:
        return None
    is_whole = parts.scheme in _PORTS and parts.hostname and not (parts.path or parts.query or parts.fragment)
    return parts if is_whole and "@" not in parts.netloc else None


def origin_of(parts: SplitResult) -> str:
    """The origin as browsers write it: in small letters, without the port that its scheme has anyway."""
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{shown}{port}"
