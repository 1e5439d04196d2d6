"""What the operator sees: counts, sizes and ages, labelled by member and by error code and by nothing else.

Labels come from closed vocabularies, the registry's member names and SPEC section 13: no identifier, address, subject
or text of a message can become one.  Queues, sessions and files are looked at when somebody asks; the rest is counted
as it happens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hub.drafts import Tally
from hub.store import Queue
from keys.last_backup import last
from protocol import errors

_MS: Final = 1_000
_DELIVERY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3_600, 86_400, 1_209_600)
_COMMIT_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096, 16_384)


def _codes(base: type[errors.ValijaError]) -> frozenset[str]:
    return frozenset({base.code}).union(*(_codes(each) for each in base.__subclasses__()))


class Metrics:
    """One hub's figures, in a registry of their own."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        registry = CollectorRegistry()
        self._registry = registry
        self._codes = _codes(errors.ValijaError)
        self._shown: set[str] = set()
        self._standing: set[str] = set()
        self.queue_items = Gauge("valija_hub_queue_items", "Items in a mailbox", ["member"], registry=registry)
        self.queue_bytes = Gauge("valija_hub_queue_bytes", "Bytes in a mailbox", ["member"], registry=registry)
        self.queue_age = Gauge(
            "valija_hub_queue_oldest_age_seconds", "Age of a mailbox's oldest item", ["member"], registry=registry
        )
        self.sessions = Gauge("valija_hub_sessions", "Open sessions", registry=registry)
        self.session_open = Gauge(
            "valija_hub_member_session", "1 while this member in standing has a session", ["member"], registry=registry
        )
        self.draining = Gauge("valija_hub_draining", "1 while no session is let in any more", registry=registry)
        self.fullness = Gauge(
            "valija_hub_mailbox_fullness",
            "How near a mailbox is to refusing the sender that has most in it; 1: it does",
            ["member"],
            registry=registry,
        )
        self.certificate_end = Gauge(
            "valija_hub_certificate_end_seconds", "When the hub's certificate ends, in Unix seconds", registry=registry
        )
        self.tls_end = Gauge(
            "valija_hub_tls_end_seconds",
            "When the first TLS certificate that is shown ends, in Unix seconds; 0: none is",
            registry=registry,
        )
        self.charter_end = Gauge(
            "valija_hub_charter_end_seconds", "When the charter ends, in Unix seconds", registry=registry
        )
        self.store_bytes = Gauge("valija_hub_store_bytes", "Size of the database with its log", registry=registry)
        self.last_backup = Gauge(
            "valija_hub_last_backup_seconds",
            "When the newest backup was made, in Unix seconds; 0: never",
            registry=registry,
        )
        self.registry_size = Gauge("valija_hub_registry_size", "Entries in the registry log", registry=registry)
        self.accepted = Counter("valija_hub_accepted", "Slots accepted", registry=registry)
        self.recalled = Counter("valija_hub_recalled", "Slots recalled by their senders", registry=registry)
        self.expired = Counter("valija_hub_expired", "Slots that expired undelivered", registry=registry)
        self.refused = Counter("valija_hub_refused", "Envelopes and slots refused", ["code"], registry=registry)
        self.delivery_seconds = Histogram(
            "valija_hub_delivery_seconds",
            "From a slot's acceptance to its recipient's acknowledgement",
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )
        self.commit_jobs = Histogram(
            "valija_hub_commit_jobs", "Jobs written by one commit", buckets=_COMMIT_BUCKETS, registry=registry
        )

    def committed(self, tally: Tally, jobs: int) -> None:
        """Count one commit of so many jobs, and what happened in it."""
        self.commit_jobs.observe(jobs)
        self.accepted.inc(tally.accepted)
        self.recalled.inc(tally.recalled)
        self.expired.inc(tally.expired)
        for code, count in tally.refusals.items():
            self.refuse(code, count)
        for seconds in tally.delivery_seconds:
            self.delivery_seconds.observe(seconds)

    def refuse(self, code: str, count: int = 1) -> None:
        """Count a refusal; a code that nobody knows is counted as `internal`."""
        self.refused.labels(code if code in self._codes else errors.ValijaError.code).inc(count)

    def look_at(self, home: Path, database: Path) -> None:
        """Afterwards the sizes and times of these files are told whenever somebody asks."""
        self.store_bytes.set_function(lambda: stored_bytes(database))
        self.last_backup.set_function(lambda: known.at if (known := last(home)) else 0)

    def present(self, fullness: Mapping[str, float], connected: Collection[str]) -> None:
        """Afterwards the members of `fullness` are shown, and no others: who has a session, and how full its mailbox is."""
        for gone in self._standing.difference(fullness):
            self.session_open.remove(gone)
            self.fullness.remove(gone)
        for member, share in fullness.items():
            self.session_open.labels(member).set(member in connected)
            self.fullness.labels(member).set(share)
        self._standing = set(fullness)

    def render(self, queues: Iterable[Queue], now: float) -> bytes:
        """Everything, in the text format of Prometheus, the mailboxes standing as `queues` say at `now` (Unix seconds)."""
        standing = {queue.member: queue for queue in queues}
        for member in self._shown - standing.keys():
            for gauge in (self.queue_items, self.queue_bytes, self.queue_age):
                gauge.labels(member).set(0)
        for member, queue in standing.items():
            self.queue_items.labels(member).set(queue.items)
            self.queue_bytes.labels(member).set(queue.waiting_bytes)
            self.queue_age.labels(member).set(max(0.0, now - queue.oldest_queued_at_ms / _MS))
        self._shown |= standing.keys()
        return generate_latest(self._registry)


def stored_bytes(database: Path) -> int:
    """How many bytes a database takes, its write-ahead log among them."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return sum(each.stat().st_size for each in files if each.exists())
