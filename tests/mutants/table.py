"""All mutants; `make mutants` runs them."""

from __future__ import annotations

from typing import Final

from tests.mutants.hub_rules import HUB
from tests.mutants.hub_steering import STEERED
from tests.mutants.keys_rules import KEYS
from tests.mutants.mutant import Mutant
from tests.mutants.node_nudging import NUDGING
from tests.mutants.node_receiving import RECEIVING
from tests.mutants.node_sending import SENDING_RULES
from tests.mutants.node_trusting import NODE_TRUST
from tests.mutants.protocol_reading import READING
from tests.mutants.protocol_trusting import TRUSTING

MUTANTS: Final[tuple[Mutant, ...]] = (
    *READING,
    *TRUSTING,
    *KEYS,
    *HUB,
    *STEERED,
    *RECEIVING,
    *SENDING_RULES,
    *NODE_TRUST,
    *NUDGING,
)
