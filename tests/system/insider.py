"""A member who says to the hub whatever a test likes, with the real key of its node and the real session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from node import config as node_config
from node import founding as node_founding
from protocol.names import AssociationId, Party, StatementId
from protocol.signing import PrivateKey
from protocol.trust.statements import Certificate, Charter, Role
from tests.support.association import Association


@dataclass(frozen=True)
class _Registry:
    charter: Charter


@dataclass
class Insider:
    """What `tests.support.hub_client` wants to know of its world, taken from an association on disk."""

    association_on_disk: Association
    certificates: dict[str, StatementId] = field(default_factory=dict)
    keys: dict[str, PrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the papers; keys are opened when they are asked for."""
        for paper in self.association_on_disk.papers:
            if isinstance(paper.statement, Certificate):
                name = paper.statement.member if paper.statement.role is Role.NODE else ""
                self.certificates[name] = paper.id

    @property
    def association(self) -> AssociationId:
        return self.association_on_disk.charter.association

    @property
    def registry(self) -> Any:
        statement = self.association_on_disk.charter.statement
        assert isinstance(statement, Charter)
        return _Registry(statement)

    @property
    def hub_certificate(self) -> StatementId:
        return self.certificates[""]

    def party(self, member: str) -> Party:
        return Party(self.association, member)

    def key(self, member: str) -> PrivateKey:
        """The operating key of the member's node."""
        if member not in self.keys:
            home = self.association_on_disk.homes[member]
            custody = node_founding.open_custody(home, node_config.load(home, {}), {})
            self.keys[member] = custody.signer.key
        return self.keys[member]
