"""What a token can be good for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"
    SEND = "send"
    ACKNOWLEDGE = "acknowledge"
    EVENTS = "events"
    WEBHOOKS = "webhooks"


ALL_SCOPES: Final = frozenset(Scope)
