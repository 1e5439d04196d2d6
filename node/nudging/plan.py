"""When somebody is called because something urgent is unopened: one call for all that waits at a desk.

    duty         first once a message waited its minutes (fewer for an emergency); then again after the pause
    escalation   once a message of which duty was told still waits after its minutes; then again after the pause

What comes while others wait is told of after its own minutes, but not within five of the last call.  What has waited
for long is told of ever more rarely: a pause is an eighth of its age at least, a day at most.  A call that fails is
tried again, sooner than the next would be.  Escalation counts from the first attempt: an address that cannot be reached
is no reason to tell nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.model import DAY
from node.nudging.settings import Rule
from node.tables.urgent import Nudging, Step, Waiting

GAP_SECONDS: Final = 300
RETRY_SECONDS: Final = 30
_SHARE: Final = 8


def due_at(waiting: Waiting, rule: Rule, told: Mapping[Step, Nudging], step: Step, now: int) -> int | None:
    """When the address of this step is to be called next (Unix seconds); None while nothing is to be said there."""
    if not address(rule, step):
        return None
    fresh, known = _fresh_at(waiting, rule, step), told.get(step)
    if known is None:
        return fresh
    last = 0 if known.sent_at is None else known.sent_at + GAP_SECONDS
    if _was_told(waiting, step) is None:
        # Those of whom the address was told before were opened: what waits now is told of after its own minutes.
        return None if fresh is None else max(fresh, last, known.next_at or 0)
    if known.next_at is not None:
        return known.next_at
    if known.sent_at is None:
        return now
    again = known.sent_at + pause(rule, now - waiting.since)
    return again if fresh is None else min(again, max(fresh, last))


def _was_told(waiting: Waiting, step: Step) -> int | None:
    return waiting.told_at if step is Step.DUTY else waiting.escalated_at


def _fresh_at(waiting: Waiting, rule: Rule, step: Step) -> int | None:
    if step is Step.ESCALATION:
        at = waiting.unescalated_at
        return None if at is None else at + rule.escalate_seconds
    moments = [
        at + seconds
        for at, seconds in (
            (waiting.untold_urgent, rule.urgent_seconds),
            (waiting.untold_emergency, rule.emergency_seconds),
        )
        if at is not None
    ]
    return min(moments, default=None)


def pause(rule: Rule, age_seconds: int) -> int:
    """How long after a call the next one goes, while the oldest message is of this age."""
    return max(rule.repeat_seconds, min(age_seconds // _SHARE, DAY))


def retry_after(rule: Rule, attempts: int) -> int:
    """How long after so many calls in a row that failed the next one is tried."""
    return min(RETRY_SECONDS << min(attempts, 20), max(rule.repeat_seconds, RETRY_SECONDS))


def address(rule: Rule, step: Step) -> str:
    """Whom to call in this step; empty for nobody."""
    return rule.duty if step is Step.DUTY else rule.escalation
