"""All mutants; `make mutants` runs them."""

from __future__ import annotations

from typing import Final

from tests.mutants.hub_rules import HUB
from tests.mutants.keys_rules import KEYS
from tests.mutants.mutant import Mutant
from tests.mutants.protocol_rules import PROTOCOL

MUTANTS: Final[tuple[Mutant, ...]] = (*PROTOCOL, *KEYS, *HUB)
