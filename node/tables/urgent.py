"""What is urgent and nobody at a desk has opened, and how those on duty were told of it.

A row of `urgent` is one message at one desk (the empty name is the member itself), from its arrival until somebody
there opens or answers it.  A row of `nudge` is one desk and one step: how often its address was told, and how it fares.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node.store import Transaction


class Step(StrEnum):
    """Who is told: whoever is on duty at the desk, then whoever answers for them."""

    DUTY = "duty"
    ESCALATION = "escalation"


# -- what waits ----------------------------------------------------------------------------------------
def wait(tx: Transaction, rows: Iterable[tuple[str, int, bool, int]]) -> None:
    """Afterwards these wait to be opened: desk, row id in the inbox, whether it is an emergency, when it came."""
    tx.many("INSERT OR IGNORE INTO urgent (desk, inbox, emergency, received_at) VALUES (?, ?, ?, ?)", rows)


def waits(tx: Transaction, inbox: int) -> bool:
    """Whether somebody has still to open this message of the inbox."""
    rows = "SELECT 1 FROM (SELECT name FROM desk UNION SELECT '') d JOIN urgent u ON u.desk = d.name AND u.inbox = ?"
    return tx.one(f"{rows} LIMIT 1", (inbox,)) is not None


def opened(tx: Transaction, inbox: int, desks: Iterable[str] | None) -> None:
    """Afterwards this message waits no more at these desks; None for all."""
    names = ("", *(row[0] for row in tx.all("SELECT name FROM desk"))) if desks is None else desks
    tx.many("DELETE FROM urgent WHERE desk = ? AND inbox = ?", [(name, inbox) for name in names])


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits at one desk: how many, of them emergencies, and since when (Unix seconds).

    Then the oldest of each urgency of which nobody was told yet; when the oldest call was made that tells of one that
    still waits; the same among those not escalated; and when the oldest that still waits was escalated.
    """

    desk: str
    count: int
    emergencies: int
    since: int
    untold_urgent: int | None
    untold_emergency: int | None
    told_at: int | None
    unescalated_at: int | None
    escalated_at: int | None


_AT = "CASE desk WHEN '' THEN ? ELSE desk END AS place"
_COUNTS = "count(DISTINCT inbox), count(DISTINCT CASE WHEN emergency THEN inbox END), min(received_at)"


def waiting(tx: Transaction, first_desk: str) -> list[Waiting]:
    """What waits, by desk; what is the member's own waits at `first_desk`."""
    rows = tx.all(
        f"SELECT {_AT}, {_COUNTS}, min(CASE WHEN told_at IS NULL AND NOT emergency THEN received_at END), "  # noqa: S608
        "min(CASE WHEN told_at IS NULL AND emergency THEN received_at END), min(told_at), "
        "min(CASE WHEN escalated_at IS NULL THEN told_at END), min(escalated_at) FROM urgent GROUP BY place ORDER BY place",
        (first_desk,),
    )
    return [Waiting(*row) for row in rows]


def told_before(tx: Transaction, desk: str, first_desk: str, at: int) -> tuple[int, int, int]:
    """How many wait at the desk of which it was told at `at` or before, of them emergencies, and since when."""
    row = tx.one(
        f"SELECT {_AT}, {_COUNTS} FROM urgent WHERE place = ? AND told_at <= ? GROUP BY place",  # noqa: S608
        (first_desk, desk, at),
    )
    return (row[1], row[2], row[3]) if row else (0, 0, 0)


# -- who was told --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Nudging:
    """How one step of one desk fares: when its address was last told, how often; since when and how it fails."""

    desk: str
    step: Step
    sent_at: int | None
    count: int
    attempts: int
    next_at: int | None
    failing_since: int | None
    outcome: str | None


def nudging(tx: Transaction) -> list[Nudging]:
    """Every step under way."""
    rows = tx.all(
        "SELECT desk, step, sent_at, count, attempts, next_at, failing_since, outcome FROM nudge ORDER BY desk, step"
    )
    return [Nudging(row[0], Step(row[1]), *row[2:]) for row in rows]


def tried(tx: Transaction, desk: str, first_desk: str, step: Step, now: int, told_before: int) -> None:
    """Afterwards what waits at the desk counts as told of at `now`; as escalated, what was told of until `told_before`."""
    names = (desk, "" if desk == first_desk else desk)
    if step is Step.DUTY:
        tx.run("UPDATE urgent SET told_at = ? WHERE desk IN (?, ?) AND told_at IS NULL", (now, *names))
    else:
        tx.run(
            "UPDATE urgent SET escalated_at = ? WHERE desk IN (?, ?) AND escalated_at IS NULL AND told_at <= ?",
            (now, *names, told_before),
        )
    tx.run("INSERT OR IGNORE INTO nudge (desk, step) VALUES (?, ?)", (desk, step.value))


def sent(tx: Transaction, desk: str, step: Step, now: int) -> None:
    """Afterwards the address of this step was told at `now`."""
    tx.run(
        "UPDATE nudge SET sent_at = ?, count = count + 1, attempts = 0, next_at = NULL, failing_since = NULL, "
        "outcome = NULL WHERE desk = ? AND step = ?",
        (now, desk, step.value),
    )


def failed(tx: Transaction, desk: str, step: Step, now: int, next_at: int, outcome: str) -> None:
    """Afterwards the address of this step could not be told at `now`, and is tried again at `next_at`."""
    tx.run(
        "UPDATE nudge SET attempts = attempts + 1, next_at = ?, failing_since = coalesce(failing_since, ?), outcome = ? "
        "WHERE desk = ? AND step = ?",
        (next_at, now, outcome, desk, step.value),
    )


def forget(tx: Transaction, desks: Iterable[str]) -> None:
    """Afterwards nobody was told anything of these desks: what comes there next begins anew."""
    tx.many("DELETE FROM nudge WHERE desk = ?", [(desk,) for desk in desks])
