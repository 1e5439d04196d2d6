"""The operator's figures, and that nothing but members and codes becomes a label."""

from __future__ import annotations

import re
from pathlib import Path

from hub.drafts import Tally
from hub.metrics import Metrics
from hub.store import Queue
from keys.last_backup import record


def sample(page: bytes, name: str) -> list[str]:
    return [line for line in page.decode().splitlines() if line.startswith(name)]


def test_mailboxes_are_shown_as_they_stand() -> None:
    metrics = Metrics()
    page = metrics.render([Queue("br-mpf", 3, 40_000, 10_000), Queue("es-fge", 1, 5, 99_000)], 12.5)
    assert sample(page, "valija_hub_queue_items") == [
        'valija_hub_queue_items{member="br-mpf"} 3.0',
        'valija_hub_queue_items{member="es-fge"} 1.0',
    ]
    assert sample(page, "valija_hub_queue_bytes")[0] == 'valija_hub_queue_bytes{member="br-mpf"} 40000.0'
    assert sample(page, "valija_hub_queue_oldest_age_seconds") == [
        'valija_hub_queue_oldest_age_seconds{member="br-mpf"} 2.5',
        'valija_hub_queue_oldest_age_seconds{member="es-fge"} 0.0',
    ]


def test_a_drained_mailbox_falls_to_zero() -> None:
    metrics = Metrics()
    metrics.render([Queue("br-mpf", 3, 40_000, 10_000)], 20)
    page = metrics.render([], 30)
    for name in ("items", "bytes", "oldest_age_seconds"):
        assert sample(page, f"valija_hub_queue_{name}") == [f'valija_hub_queue_{name}{{member="br-mpf"}} 0.0']


def test_a_commit_is_counted() -> None:
    metrics, tally = Metrics(), Tally(accepted=5, recalled=2, expired=1, delivery_seconds=[0.02, 700.0])
    tally.refusals.update({"mailbox_full": 3, "bad_expiry": 1})
    metrics.committed(tally, 7)
    metrics.committed(Tally(accepted=1), 1)
    page = metrics.render([], 0)
    for line in (
        "valija_hub_accepted_total 6.0",
        "valija_hub_recalled_total 2.0",
        "valija_hub_expired_total 1.0",
        'valija_hub_refused_total{code="mailbox_full"} 3.0',
        'valija_hub_refused_total{code="bad_expiry"} 1.0',
        "valija_hub_commit_jobs_sum 8.0",
        "valija_hub_commit_jobs_count 2.0",
        'valija_hub_delivery_seconds_bucket{le="0.025"} 1.0',
        'valija_hub_delivery_seconds_bucket{le="3600.0"} 2.0',
    ):
        assert line.encode() in page


def test_only_codes_of_the_list_become_labels() -> None:
    metrics = Metrics()
    metrics.refuse("not_in_standing")
    metrics.refuse("subject: the arrest on Monday", 2)
    page = metrics.render([], 0)
    assert sample(page, "valija_hub_refused_total") == [
        'valija_hub_refused_total{code="not_in_standing"} 1.0',
        'valija_hub_refused_total{code="internal"} 2.0',
    ]
    labels = set(re.findall(r"[{,]([a-z]+)=", page.decode()))
    assert labels == {"code", "le"}


def test_sessions_and_registry_are_set_by_whoever_knows() -> None:
    metrics = Metrics()
    metrics.sessions.set(4)
    metrics.registry_size.set(14)
    page = metrics.render([], 0)
    assert b"valija_hub_sessions 4.0" in page
    assert b"valija_hub_registry_size 14.0" in page


def test_members_come_and_go() -> None:
    metrics = Metrics()
    metrics.present({"ar-mpf": 0.5, "br-mpf": 0.25}, {"br-mpf"})
    assert sorted(sample(metrics.render([], 0), "valija_hub_member_session{")) == [
        'valija_hub_member_session{member="ar-mpf"} 0.0',
        'valija_hub_member_session{member="br-mpf"} 1.0',
    ]
    metrics.present({"ar-mpf": 0.75}, {"ar-mpf"})
    assert sample(metrics.render([], 0), "valija_hub_mailbox_fullness{") == [
        'valija_hub_mailbox_fullness{member="ar-mpf"} 0.75'
    ]
    assert sample(metrics.render([], 0), "valija_hub_member_session{") == [
        'valija_hub_member_session{member="ar-mpf"} 1.0'
    ]


def test_files_are_looked_at_when_somebody_asks(tmp_path: Path) -> None:
    metrics, database = Metrics(), tmp_path / "hub.db"
    metrics.look_at(tmp_path, database)
    page = metrics.render([], 0)
    assert b"valija_hub_store_bytes 0.0" in page
    assert b"valija_hub_last_backup_seconds 0.0" in page
    database.write_bytes(bytes(100))
    database.with_name("hub.db-wal").write_bytes(bytes(11))
    record(tmp_path, 1_700_000_000, tmp_path / "copy")
    page = metrics.render([], 0)
    assert b"valija_hub_store_bytes 111.0" in page
    assert b"valija_hub_last_backup_seconds 1.7e+09" in page
