"""Hub and node judge a prekey calendar as the vectors of SPEC 7 say: the hub that is given it, the node that is shown it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from hub.prekeys import PrekeyBook
from node.calendars import Calendars
from node.tables import calendars as table
from node.tables import state
from protocol.bodies import Role
from protocol.errors import StandingError, ValijaError
from protocol.names import AssociationId, Party, StatementId
from protocol.signing import PublicKey
from protocol.trust.standing import FOREVER, CertificateRecord
from tests.protocol.vectors_primitives import load

FILE = load("prekeys")
HOME = AssociationId(bytes.fromhex(FILE["association"]))
HELD = bytes.fromhex(FILE["held"])


def record(known: dict[str, Any]) -> CertificateRecord:
    key = PublicKey.parse([bytes.fromhex(half) for half in known["public"]])
    named, party = StatementId(bytes.fromhex(known["id"])), Party(HOME, known["member"])
    return CertificateRecord(named, Role(known["role"]), party, key, 0, FOREVER, key, 0, 0)


RECORDS = {each.id: each for each in map(record, FILE["certificates"])}


@dataclass
class Registry:
    """Of which both ask for certificates in standing, and for the member's newest incarnation."""

    opened_at: int | None
    association: AssociationId = HOME

    def certificate_standing(self, statement_id: StatementId, _at: float) -> CertificateRecord:
        if statement_id not in RECORDS:
            raise StandingError("certificate")
        return RECORDS[statement_id]

    def last_opening(self, _role: Role, _member: str) -> Any:
        return None if self.opened_at is None else SimpleNamespace(opened_at=self.opened_at)


def now(case: dict[str, Any]) -> int:
    told: int = {**FILE, **case}["now"]
    return told


def publish(case: dict[str, Any]) -> str | None:
    """The code by which the hub refuses the calendar; else it keeps it."""
    kept: dict[str, bytes] = {case["member"]: HELD} if case.get("held") else {}
    tx: Any = SimpleNamespace(calendar=kept.get, put_calendar=kept.__setitem__)
    registry: Any = Registry(case.get("opened_at"))
    before, raw = dict(kept), bytes.fromhex(case["signed"])
    try:
        PrekeyBook().publish(raw, Party(HOME, case["member"]), tx, registry, now(case))
    except ValijaError as error:
        assert kept == before
        return error.code
    assert kept == {case["member"]: raw}
    return None


def show(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The code of the alarm that the node raises when it is shown the calendar; else it is held."""
    alarms: list[str] = []
    monkeypatch.setattr(state, "alarm", lambda _tx, _at, code, _detail: alarms.append(code))
    monkeypatch.setattr(table, "keep", lambda _tx, _member, _raw: None)
    ctx: Any = SimpleNamespace(registry=Registry(case.get("opened_at")), second=now(case), tx=None)
    calendars = Calendars()
    assert not case.get("held") or calendars.take(ctx, case["member"], HELD)
    before = dict(calendars.held)
    if calendars.take(ctx, case["member"], bytes.fromhex(case["signed"])):
        assert not alarms
        return None
    assert calendars.held == before
    (code,) = alarms
    return code


def cases(kind: str) -> Any:
    chosen = [case for case in [*FILE["valid"], *FILE["invalid"]] if case["kind"] == kind]
    return pytest.mark.parametrize("case", chosen, ids=[case["name"] for case in chosen])


@cases("published")
def test_the_hub_takes_what_may_be_published(case: dict[str, Any]) -> None:
    assert publish(case) == case.get("error")


@cases("shown")
def test_a_sender_uses_what_may_be_shown(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert show(case, monkeypatch) == case.get("error")
