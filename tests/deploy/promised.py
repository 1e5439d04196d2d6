"""Which metrics the rules and the dashboard name, and which the daemons expose."""

from __future__ import annotations

import json
import re
from typing import Any

from ruamel.yaml import YAML

from tests.deploy.places import DEPLOY

RULES = DEPLOY / "prometheus" / "valija.rules.yml"
DASHBOARD = DEPLOY / "grafana" / "valija.json"
_OURS = re.compile(r"\bvalija_(?:hub|node)_[a-z_]+")
_FAMILY = re.compile(r"_(?:total|bucket|sum|count|created)$")


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    document = YAML(typ="safe", pure=True).load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    document: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return document


def expressions(document: dict[str, Any]) -> list[str]:
    """What the panels ask."""
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]


def named(text: str) -> set[str]:
    """The metrics of ours in an expression, as they are written."""
    return set(_OURS.findall(text))


def families(names: set[str]) -> set[str]:
    """The same without what a kind of metric adds."""
    return {_FAMILY.sub("", name) for name in names}


def exposed(page: str) -> set[str]:
    """The series of a page, and those that it would have once something was counted, as expressions name them."""
    found = set()
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            family = name.removesuffix("_total")
            found |= {f"{family}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found
