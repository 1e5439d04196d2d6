"""A stranger to the code reads the description alone and asks a running node whatever it allows, and forbids."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.association import found
from tests.support.node_home import node

MOST_SECONDS = 150
# A schema cannot state all that makes a request good: cursors are opaque, members are those of one association.
UNSTATED = "positive_data_acceptance"
# What is wrong in its form may be too large too, which is said first.
SETTINGS = "[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 413, 422]\n"


@pytest.mark.full
async def test_nothing_that_is_asked_is_answered_otherwise_than_described(tmp_path: Path) -> None:
    association = found(tmp_path / "x", ["ar-mpf"], {}, tls=False)
    async with node(association.homes["ar-mpf"]) as daemon:
        assert daemon.address
        host, port = daemon.address
        root = f"http://{host}:{port}"
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(SETTINGS, encoding="utf-8")
        asked = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"),
            *(
                f"{root}/api/v1/openapi.json",
                "--url",
                root,
                "--checks",
                "all",
                "--exclude-checks",
                UNSTATED,
                "--seed",
                "1",
            ),
            *("--phases", "fuzzing", "--max-examples", "8", "--no-color", "--exclude-path", "/api/v1/events"),
            # Of bodies with a line for each message it can write none; `tests/fuzz` does.
            *("--exclude-path", "/api/v1/messages:batch"),
            *("--header", f"Authorization: Bearer {association.tokens['ar-mpf']}", "--request-timeout", "10"),
        ]
        process = await asyncio.create_subprocess_exec(
            *asked, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=dict(os.environ)
        )
        output, _errors = await asyncio.wait_for(process.communicate(), MOST_SECONDS)
        assert process.returncode == 0, output.decode()[-6000:]
