"""What a daemon writes about itself: one line each, and nothing that was sent to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from keys.logs import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    library = logging.getLogger("aiohttp")
    before = library.handlers, library.propagate
    yield
    library.handlers, library.propagate = before
    structlog.reset_defaults()


Captured = pytest.CaptureFixture[str]


def test_a_line_is_one_json_object_with_its_time(capsys: Captured) -> None:
    configure("info").info("session_opened", member="ar-mpf")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["member"], line["level"]) == ("session_opened", "ar-mpf", "info")
    assert line["time"].endswith("Z")


def test_what_is_below_the_level_is_not_written(capsys: Captured) -> None:
    configure("error").info("session_opened")
    assert not capsys.readouterr().err


def test_the_http_library_quotes_what_was_sent_and_the_log_does_not(capsys: Captured) -> None:
    configure("info")
    try:
        int("Authorization: Bearer vlj_secret")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", "127.0.0.1")
    written = capsys.readouterr().err
    line = json.loads(written)
    assert (line["event"], line["kind"]) == ("http_failed", "ValueError")
    assert line["place"].startswith("test_logs.py:")
    assert "vlj_secret" not in written


def test_a_report_without_an_error_says_where_it_comes_from(capsys: Captured) -> None:
    configure("info")
    logging.getLogger("aiohttp.web").warning("said %s", "vlj_secret")
    written = capsys.readouterr().err
    line = json.loads(written)
    assert (line["event"], line["kind"], line["place"]) == ("http_failed", "warning", "test_logs")
    assert "vlj_secret" not in written


def test_configuring_again_writes_each_line_once(capsys: Captured) -> None:
    configure("info")
    configure("info")
    logging.getLogger("aiohttp.server").error("x")
    assert capsys.readouterr().err.count("http_failed") == 1
