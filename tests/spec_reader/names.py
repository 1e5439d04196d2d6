"""SPEC 5.1 and 5.3: addresses and identifiers as people write them."""

import base64
import binascii

from tests.spec_reader.refusal import Refused, refuse, require
from tests.spec_reader.shape import name

SIZES = {"msg": 16, "env": 32, "stm": 32}


def address(text: str, association: str) -> tuple[str, str | None]:
    """Member (or network with its `#`) and desk."""
    local, at, home = text.rpartition("@")
    require(at and home == association, "invalid_request", "association")
    try:
        if local.startswith("#"):
            return "#" + name(local[1:]), None
        member, slash, desk = local.partition("/")
        return name(member), name(desk) if slash else None
    except Refused:
        refuse("invalid_request", f"no address: {text!r}")


def show(prefix: str, raw: bytes) -> str:
    return f"{prefix}_{base64.b32encode(raw).decode().rstrip('=').lower()}"


def identifier(text: str) -> tuple[str, bytes]:
    prefix, _, shown = text.partition("_")
    try:
        raw = base64.b32decode(shown.upper() + "=" * (-len(shown) % 8))
    except (binascii.Error, ValueError):
        refuse("invalid_request", f"no identifier: {text!r}")
    require(SIZES.get(prefix) == len(raw) and show(prefix, raw) == text, "invalid_request", f"no identifier: {text!r}")
    return prefix, raw
