"""The hub's HTTP refuses with the members and statuses of SPEC 15.1."""

from __future__ import annotations

import json
import re

import pytest

from hub.web import problem
from protocol import errors
from protocol.errors import ValijaError
from tests.agreement.spec import table

KINDS: dict[str, type[ValijaError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ValijaError)
}
WHO = {code.strip("`"): who for code, who, _meaning in table("13")}
# Said of a slot by attestation, never here.
NOT_HERE = {"unknown_recipient", "recipient_suspended"}


def statuses() -> dict[str, int]:
    """The status of every code, by the rows that name codes and those that name who is at fault."""
    rows = {status: cell for status, cell in table("15.1") if status not in {"404, 405", "429"}}
    named = {code: int(status) for status, cell in rows.items() for code in re.findall(r"`(\w+)`", cell)}
    by_who = {who: int(status) for status, cell in rows.items() for who in re.findall(r"\b([A-Z])\b", cell)}
    return {code: named.get(code, by_who.get(who, 500)) for code, who in WHO.items() if code not in NOT_HERE}


@pytest.mark.parametrize(
    "code", [code for code in statuses() if WHO[code] in {"P", "T", "S"} or statuses()[code] != 500]
)
def test_a_code_has_its_status(code: str) -> None:
    answer = problem(KINDS[code]())
    assert answer.status == statuses()[code]
    assert ("Retry-After" in answer.headers) is (answer.status == 503)


def test_a_problem_has_four_members() -> None:
    answer = problem(errors.StaleError("offer"))
    assert answer.content_type == "application/problem+json"
    assert answer.text is not None
    told = json.loads(answer.text)
    assert set(told) == {"type", "title", "status", "code"}
    assert (told["type"], told["status"], told["code"]) == ("about:blank", 409, "stale")
