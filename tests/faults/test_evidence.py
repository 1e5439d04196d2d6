"""What the checker reads of an archive is what its node told, where a restored one asks by voids of its own."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import pytest

from tests.faults import evidence
from tests.faults.checker import DELIVERED, Proof
from tests.faults.ground import Ground
from tests.system.house import Api, eventually

AR, BR = "ar-mpf", "br-mpf"
URGENT: dict[str, Any] = {"urgency": "urgent"}


def _answers(api: Api) -> bool:
    try:
        return bool(api.status())
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.full
def test_what_a_restored_node_took_back_is_proven_by_the_answer_to_its_void(tmp_path: Path) -> None:
    with Ground(tmp_path, [AR, BR], forked=True, tls=False) as ground:
        ground.start()
        api = ground.api(AR)
        api.settled(api.send(BR, body="cero", **URGENT))
        backup = ground.backup(AR)
        had = api.send(BR, key="uno", body="uno", **URGENT)
        api.settled(had)
        ground.hub.kill()
        ground.restore(AR, backup)
        eventually("the node answers", lambda: _answers(api))
        assert api.send(BR, key="uno", body="uno", **URGENT) == had
        never = api.send(BR, key="dos", body="dos", **URGENT)
        for message in (had, never):
            assert api.post(f"messages/{message}/withdraw", {}).status == 202
        ground.hub.start()
        api.reaches(had, {BR: "delivered"})
        api.reaches(never, {BR: "withdrawn"})
        ground.stop()
        archived = evidence.read_archive(ground.association.homes[AR], AR, ground.association.charter.raw)
    assert archived.proofs[had, BR] == Proof(DELIVERED)
    assert archived.proofs[never, BR] == Proof("withdrawn")
