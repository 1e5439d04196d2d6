"""What a node's figures may hold: numbers, and codes of the list."""

from __future__ import annotations

from node.metrics import Figure, render


def test_codes_of_the_list_alone_become_labels() -> None:
    held = {"view_ahead": 2, "subject: the arrest on Monday": 3, "another": 4}
    lines = render([Figure("held", "Received envelopes that wait", by_code=held)]).decode().splitlines()
    assert [line for line in lines if line[0] != "#"] == [
        'valija_node_held{code="view_ahead"} 2.0',
        'valija_node_held{code="internal"} 7.0',
    ]


def test_what_only_grows_is_a_counter() -> None:
    page = render([Figure("sent", "Messages ever accepted here", 5, only_grows=True), Figure("session", "Open", 1)])
    assert b"# TYPE valija_node_sent_total counter\nvalija_node_sent_total 5.0\n" in page
    assert b"# TYPE valija_node_session gauge\nvalija_node_session 1.0\n" in page
