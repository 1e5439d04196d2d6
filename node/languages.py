"""The languages that people are spoken to in, by their tag; English is that of the source."""

from __future__ import annotations

from typing import Literal, TypeAlias

Language: TypeAlias = Literal["es", "pt-BR", "pt-PT", "en"]
