"""What the console works with; put into the application once, and asked for by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from hub.board.doors import Doors
from hub.config import Home
from hub.core import Core
from hub.hall import Hall
from hub.operators import Operators
from hub.steering import Steering


@dataclass(frozen=True, slots=True)
class Parts:
    """The hub behind the console; `origin` is as browsers write it."""

    home: Home
    core: Core
    hall: Hall
    steering: Steering
    operators: Operators
    doors: Doors
    origin: str

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.origin.startswith("https:")


PARTS: Final = web.AppKey("parts", Parts)
