"""Where the deployment files are, and how they are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "docker-compose.yml"


def compose() -> dict[str, Any]:
    """The compose file with its anchors and merges resolved."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(COMPOSE.read_text(encoding="utf-8"))
    return document


def stages() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile, continuation lines joined, by the stage's name."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = match[2]
            found[name] = [line]
        elif name and line and not line.startswith("#"):
            found[name].append(line)
    return found


def left_out(stage: str) -> list[str]:
    """What a stage of the Dockerfile removes from site-packages, relative to it."""
    run = next(line for line in stages()[stage] if "site-packages" in line)
    return [name for names in re.findall(r"&& rm -r ([^&]+)", run) for name in names.split()]


def pins(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Each requirement of a lock, by name: name and version as pinned, markers left out, and its hashes."""
    text = re.sub(r"\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            head, *hashes = line.split(" --hash=")
            found[re.split(r"[=<>~! ;]", head)[0]] = (
                head.partition(";")[0].strip(),
                frozenset(h.strip() for h in hashes),
            )
    return found
