"""deploy/LOGS.md explains what the daemons write, and nothing else."""

from __future__ import annotations

from tests.deploy import events


def test_each_event_is_explained_with_its_fields() -> None:
    written, explained = events.written(), events.explained()
    assert written.keys() - explained.keys() == set(), "deploy/LOGS.md does not explain these"
    assert explained.keys() - written.keys() == set(), "nobody writes these any more"
    for name in written:
        assert explained[name] == written[name], name


def test_no_field_could_hold_content() -> None:
    # A new field is looked at before it is added here.
    harmless = set(
        "act after ahead_seconds api backup before code count desk detail error exception first head host incarnation index kind leaf member of path "
        "pid place port quiet_seconds reason registry_size root sessions signed size step tls webhook why".split()
    )
    assert {field for _levels, fields in events.written().values() for field in fields} <= harmless


def test_every_row_of_the_page_is_read() -> None:
    names = [line.split("`")[1] for line in events.PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(names) == sorted(events.explained())
