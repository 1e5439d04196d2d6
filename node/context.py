"""What every entry of the rules is given: a transaction, the time, who we are, and the registry as we know it."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.mirror import Mirror
from node.store import Transaction
from protocol.batch import Verified
from protocol.names import Party, StatementId
from protocol.signing import PrivateKey
from protocol.trust.registry import Registry


@dataclass(frozen=True, slots=True)
class Identity:
    """This member, the statement id of its node's certificate, and the key of that certificate."""

    me: Party
    certificate: StatementId
    key: PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Context:
    """What each entry of the core works with; `now` is Unix seconds by the local clock, with fractions; `verified` remembers signatures."""

    tx: Transaction = field(repr=False)
    now: float
    identity: Identity
    mirror: Mirror = field(repr=False)
    verified: Verified = field(repr=False)

    @property
    def registry(self) -> Registry:
        """The registry as this node holds it."""
        return self.mirror.registry

    @property
    def second(self) -> int:
        """The whole Unix second, as signed structures carry it."""
        return int(self.now)
