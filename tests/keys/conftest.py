"""Offices: made once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.keys.office import Office


@pytest.fixture(scope="session")
def made_office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.furnish(tmp_path_factory.mktemp("office"))


@pytest.fixture
def office(made_office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    folder = tmp_path / "office"
    shutil.copytree(made_office.folder, folder)
    monkeypatch.chdir(folder)
    return Office(folder)
