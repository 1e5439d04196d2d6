"""How the calling of those on duty is, for `status`, `doctor` and the figures."""

from __future__ import annotations

from collections.abc import Collection

from node.api_requests import show_time
from node.api_views import View
from node.nudging.settings import Nudges, calls_anybody, rule
from node.store import Transaction
from node.tables import urgent
from node.tables.urgent import Nudging, Step, Waiting


def nudge_vitals(tx: Transaction, nudges: Nudges, desks: Collection[str], first_desk: str) -> View:
    """Whether anybody is called at all, settings of desks that are none, and each desk at which something waits."""
    known = urgent.nudging(tx)
    return {
        "calls": calls_anybody(nudges),
        "unknown_desks": sorted(set(nudges.desks) - set(desks)),
        "desks": [_desk(each, nudges, known) for each in urgent.waiting(tx, first_desk)],
    }


def _desk(waiting: Waiting, nudges: Nudges, known: list[Nudging]) -> View:
    steps = {each.step: each for each in known if each.desk == waiting.desk}
    failing = next((each for each in steps.values() if each.failing_since is not None), None)
    return {
        "desk": waiting.desk,
        "count": waiting.count,
        "emergencies": waiting.emergencies,
        "since": show_time(waiting.since),
        "calls": bool(rule(nudges, waiting.desk).duty),
        "called": steps[Step.DUTY].count if Step.DUTY in steps else 0,
        "escalated": Step.ESCALATION in steps,
        "failing_since": None if failing is None else show_time(failing.failing_since or 0),
        "outcome": None if failing is None else failing.outcome,
    }
