"""What a statement cannot say is told in words that say what to write, and told of no statement that is sound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keys.drafts import draft
from keys.faults import faults
from protocol.errors import UsageError
from protocol.names import Party
from protocol.trust.charter import Charter, Limits, Witnesses
from protocol.trust.statements import Admission, Certificate, Revocation, Role, Roster, Suspension
from tests.support.world import START, World

WORLD = World()
FIRST = WORLD.statements[0].statement
assert isinstance(FIRST, Charter)
CHARTER = replace(FIRST, created_at=START, expires_at=START + 1)
HOME = WORLD.association
STATEMENTS: dict[str, Any] = {
    "admission": Admission(HOME, "ar-mpf", (("es", "Ministerio"),), "AR", CHARTER.hub.root, START),
    "certificate": Certificate(HOME, Role.NODE, "ar-mpf", CHARTER.hub.root, START, START + 1),
    "hub": Certificate(HOME, Role.HUB, "", CHARTER.hub.root, START, START + 1),
    "roster": Roster(HOME, "rfai", (), 1, (Party(HOME, "ar-mpf"), Party(HOME, "co-fgn")), START),
    "suspension": Suspension(HOME, "ar-mpf", START, "why"),
    "revocation": Revocation(HOME, WORLD.statements[0].id, START, ""),
}


def witnesses(quorum: int, faulty: int, *names: str) -> Witnesses:
    return Witnesses(quorum, faulty, tuple((name, name.encode().ljust(1312)) for name in names))


def limits(**changes: int) -> Limits:
    return replace(CHARTER.limits, **changes)


@pytest.mark.parametrize("statement", [CHARTER, *STATEMENTS.values()], ids=lambda each: each.type.name.lower())
def test_a_sound_statement_has_no_fault(statement: Any) -> None:
    assert faults(statement) == []
    assert draft(statement).statement == statement


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "A b"}, "name: 'A b' is no name; write 2 to 32 of a-z"),
        ({"threshold": 0}, "threshold: 0 of 3 stewards cannot sign; write 1 to 3"),
        ({"threshold": 4}, "threshold: 4 of 3 stewards cannot sign; write 1 to 3"),
        ({"stewards": ()}, "stewards: there are 0; name 1 to 32"),
        ({"stewards": CHARTER.stewards[:1] * 2, "threshold": 1}, "is named twice"),
        ({"stewards": (CHARTER.stewards[0], replace(CHARTER.stewards[0], name="zoe"))}, "and zoe have one key"),
        ({"hub": replace(CHARTER.hub, origin="a+b")}, "origin: 'a+b' is no name of a log; write 1 to 128"),
        ({"hub": replace(CHARTER.hub, url="a b")}, "url: 'a b' is no address; write it in ASCII"),
        ({"witnesses": witnesses(2, 0, "w-1", "w-2")}, "witnesses: there are 2; name 3 to 32"),
        ({"witnesses": witnesses(1, 0, "w-1", "w-2", "w-3")}, "witnesses: with a quorum of 1 of 3 and 0 faulty"),
        ({"witnesses": witnesses(2, -1, "w-1", "w-2", "w-3")}, "witnesses: with a quorum of 2 of 3 and -1 faulty"),
        ({"witnesses": witnesses(2, 0, "w-1", "w-2", "w-2")}, "witnesses: w-2 is named twice"),
        ({"limits": limits(envelope_lifetime_seconds=5)}, "envelope_lifetime_seconds: 5; write 3600 to 1209600"),
        ({"limits": limits(mailbox_bytes=-4)}, "mailbox_bytes: -4; write"),
        ({"limits": limits(mailbox_messages=1 << 63)}, f"mailbox_messages: {1 << 63}; write"),
        ({"limits": limits(freshness_alarm_seconds=-1)}, "freshness: an alarm after -1 seconds"),
        ({"limits": limits(freshness_stop_seconds=5)}, "and a stop after 5; write"),
        ({"expires_at": START}, "expires: this is past; write a later day"),
    ],
)
def test_each_fault_of_a_charter_is_told(changes: dict[str, Any], told: str) -> None:
    (said,) = faults(replace(CHARTER, **changes))
    assert told in said
    with pytest.raises(UsageError, match="correct it and try again"):
        draft(replace(CHARTER, **changes))


@pytest.mark.parametrize(
    ("which", "changes", "told"),
    [
        ("admission", {"member": "AR"}, "member: 'AR' is no name"),
        ("admission", {"country": "Brazil"}, "country: 'Brazil' is no country; write two capital letters"),
        ("admission", {"titles": (("es", "x"),) * 9}, "titles: there are 9; at most 8"),
        ("admission", {"titles": (("es", "ñ" * 65),)}, "title: es has 130 bytes; at most 128"),
        ("admission", {"titles": (("en_US", "x"),)}, "title: 'en_US' is no language"),
        ("certificate", {"member": "AR"}, "member: 'AR' is no name"),
        ("roster", {"network": "RFAI"}, "network: 'RFAI' is no name"),
        ("roster", {"members": (Party(HOME, "A"),)}, "members: 'A' is no name"),
        ("roster", {"members": (Party(HOME, "ar-mpf"),) * 2}, "members: ar-mpf is named twice"),
        (
            "roster",
            {"members": tuple(Party(HOME, f"m-{n:03}") for n in range(129))},
            "members: there are 129; at most 128",
        ),
        ("suspension", {"member": "AR"}, "member: 'AR' is no name"),
        ("suspension", {"reason": "ñ" * 128}, "reason: 256 bytes; at most 255"),
        ("revocation", {"reason": "x" * 256}, "reason: 256 bytes; at most 255"),
    ],
)
def test_each_fault_of_another_statement_is_told(which: str, changes: dict[str, Any], told: str) -> None:
    wrong = replace(STATEMENTS[which], **changes)
    (said,) = faults(wrong)
    assert told in said
    with pytest.raises(UsageError):
        draft(wrong)


def test_what_has_no_words_of_its_own_is_refused_too() -> None:
    with pytest.raises(UsageError, match="certificate lifetime"):
        draft(replace(STATEMENTS["certificate"], not_after=START))


def test_all_faults_are_told_at_once() -> None:
    wrong = replace(CHARTER, name="", threshold=9, expires_at=0, witnesses=witnesses(1, 0, "w-1"))
    with pytest.raises(UsageError) as refused:
        draft(wrong)
    for part in ("name: ", "threshold: 9", "witnesses: there are 1", "expires: "):
        assert part in str(refused.value)
