"""How the hub and each of its members stand: gathered in the running hub, shown by `valija-hub status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from hub.core import Core
from hub.hall import Hall
from hub.relay import Mailbox
from hub.sqlite_store import SCHEMA
from hub.store import Queue
from hub.trend import Rate
from keys.program import program_version
from keys.times import show_time
from protocol.errors import StandingError
from protocol.limits import MIB
from protocol.trust.registry import Registry

Status = Mapping[str, Any]
_MS: Final = 1_000
_FULL: Final = 0.8
NEARLY_FULL: Final = "mailbox nearly full for who sends most"
_OLD_SECONDS: Final = 3_600
_SILENT: Final = Rate()


async def snapshot(core: Core, hall: Hall) -> dict[str, Any]:
    """Everything that `status` shows, times in Unix seconds; it holds names, counts and sizes, never content."""
    queues = {queue.member: queue for queue in await core.queues()}
    now = core.now()
    with core.reading() as registry:
        charter, size = registry.charter, registry.size
        members = [
            (record.name, _in_standing(registry, record.name, now), _certified_until(registry, record.name, now))
            for record in registry.members()
        ]
    mailboxes, rates = await core.mailboxes([name for name, *_ in members]), core.trend.rates()
    return {
        "association": charter.name,
        "version": program_version(),
        "schema": len(SCHEMA.names),
        "now": now,
        "started_at": core.started_at,
        "draining": hall.is_draining,
        "sessions": len(hall.sessions),
        "registry_size": size,
        "certificate_not_after": core.certificate.not_after,
        "charter_expires_at": charter.expires_at,
        "incarnation": list(core.incarnation.value()),
        "members": [
            {"member": name, "in_standing": stands, "certificate_not_after": until}
            | _presence(hall, name, now)
            | _queued(queues.get(name), now)
            | _allowed(mailboxes[name])
            | _hourly(rates.get(name, _SILENT))
            for name, stands, until in members
        ],
        "totals": core.totals.value(),
    }


async def measure(core: Core, hall: Hall) -> None:
    """Afterwards the hub's figures say who has a session, what each may keep here, and until when its papers hold."""
    now, figures = core.now(), core.metrics
    with core.reading() as registry:
        charter = registry.charter
        members = [each.name for each in registry.members() if _in_standing(registry, each.name, now)]
    figures.sessions.set(len(hall.sessions))
    mailboxes = await core.mailboxes(members)
    figures.present({member: each.fullness for member, each in mailboxes.items()}, hall.sessions.keys())
    figures.draining.set(hall.is_draining)
    figures.charter_end.set(charter.expires_at)
    figures.certificate_end.set(core.certificate.not_after)


def _presence(hall: Hall, member: str, now: int) -> dict[str, Any]:
    session = hall.sessions.get(member)
    if session is None:
        return {"session_since": None, "last_seen": hall.last_seen.get(member)}
    return {"session_since": session.opened_at, "last_seen": now}


def _queued(queue: Queue | None, now: int) -> dict[str, Any]:
    if queue is None:
        return {"queued": 0, "queued_bytes": 0, "oldest_seconds": 0}
    oldest_seconds = max(0, now - queue.oldest_queued_at_ms // _MS)
    return {"queued": queue.items, "queued_bytes": queue.waiting_bytes, "oldest_seconds": oldest_seconds}


def _allowed(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "messages": mailbox.messages,
        "quota_messages": mailbox.max_messages,
        "quota_bytes": mailbox.max_bytes,
        "fullness": round(mailbox.fullness, 3),
        "suspended": mailbox.is_suspended,
        "prekeys_until": mailbox.prekeys_until,
    }


def _hourly(rate: Rate) -> dict[str, Any]:
    return {"sent_last_hour": rate.sent, "taken_last_hour": rate.taken}


def _certified_until(registry: Registry, member: str, now: int) -> int | None:
    return max((each.not_after for each in registry.node_certificates(member, now)), default=None)


def _in_standing(registry: Registry, member: str, now: int) -> bool:
    try:
        registry.member_standing(member, now)
    except StandingError:
        return False
    return True


_TIMES: Final = frozenset(
    ("now", "started_at", "certificate_not_after", "charter_expires_at", "session_since", "last_seen", "prekeys_until")
)


def for_programs(told: Status) -> dict[str, Any]:
    """The same with every time as RFC 3339, as all commands tell them."""
    return {name: _for_programs(name, value) for name, value in told.items()}


def _for_programs(name: str, value: Any) -> Any:
    if name == "members":
        return [for_programs(each) for each in value]
    return show_time(value) if name in _TIMES and value is not None else value


def head(told: Status) -> str:
    """The hub in one line."""
    doing = "draining, nobody is let in" if told["draining"] else f"running since {show_time(told['started_at'])}"
    return f"Hub of {told['association']}: {doing}; {told['sessions']} sessions, {told['registry_size']} log entries"


def table(told: Status) -> Table:
    """One row for each member; what needs a look says so in words, not by colour alone."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (
        ("member", "left"),
        ("seen", "left"),
        ("queued", "right"),
        ("oldest", "right"),
        ("quota", "right"),
        ("note", "left"),
    ):
        shown.add_column(title, justify="right" if justify == "right" else "left", no_wrap=True)
    for member in told["members"]:
        shown.add_row(*_row(member))
    return shown


def _row(member: Mapping[str, Any]) -> tuple[str | Text, ...]:
    note = _note(member)
    return (
        member["member"],
        _seen(member),
        str(member["queued"]),
        age(member["oldest_seconds"]) if member["queued"] else "-",
        f"{member['queued_bytes'] / MIB:.1f} of {member['quota_bytes'] / MIB:.0f} MiB",
        Text(note, style="yellow") if note else "",
    )


def _seen(member: Mapping[str, Any]) -> str:
    if member["session_since"]:
        return "now"
    return show_time(member["last_seen"]) if member["last_seen"] else "-"


def is_nearly_full(member: Mapping[str, Any]) -> bool:
    """Whether a sender will soon be refused: one alone is at half of the mailbox, two at a third each."""
    return bool(member["fullness"] >= _FULL)


def _note(member: Mapping[str, Any]) -> str:
    if not member["in_standing"]:
        return "not in standing"
    if member["suspended"]:
        return "delivery suspended"
    if is_nearly_full(member):
        return NEARLY_FULL
    return "waits long" if member["oldest_seconds"] >= _OLD_SECONDS and member["queued"] else ""


def totals_lines(told: Status) -> list[str]:
    """What happened since the start."""
    totals = told["totals"]
    refusals = ", ".join(f"{code} {count}" for code, count in sorted(totals["refusals"].items())) or "none"
    commits = totals["commits"]
    average = totals["jobs"] / commits if commits else 0.0
    return [
        f"Accepted {totals['accepted']}, recalled {totals['recalled']}, expired {totals['expired']} slots.",
        f"Commits {commits}, {average:.1f} jobs each.",
        f"Refusals: {refusals}.",
    ]


def age(seconds: int) -> str:
    """A duration in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
