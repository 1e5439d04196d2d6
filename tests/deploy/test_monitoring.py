"""Rules and dashboard as files: whole, in one vocabulary, and asking nobody outside."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from tests.deploy import promised
from tests.deploy.places import DEPLOY

FOLDER = DEPLOY / "prometheus"


@pytest.mark.parametrize("rule", promised.rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_problem_effect_and_remedy(rule: dict[str, Any]) -> None:
    assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
    assert rule["annotations"]["summary"]
    told = rule["annotations"]["description"]
    places = [told.index(word) for word in ("Problem: ", "Effect: ", "Remedy: ")]
    assert places == sorted(places)
    assert places[0] == 0


def test_each_alert_is_tried() -> None:
    tried = (FOLDER / "valija.rules.test.yml").read_text()
    assert [rule["alert"] for rule in promised.rules() if f'"{rule["alert"]}"' not in tried] == []


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    document = promised.dashboard()
    assert document["schemaVersion"] >= 36
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_dashboard_asks_nobody_outside() -> None:
    text = promised.DASHBOARD.read_text()
    assert [word for word in ("http:", "https:", "//", "<script", "iframe") if word in text] == []


@pytest.mark.full
def test_promtool_finds_the_rules_right() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: Debian's package prometheus has it"
    for words in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "valija.rules.yml"],
        ["test", "rules", "valija.rules.test.yml"],
    ):
        done = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
