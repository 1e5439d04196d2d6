"""Searches hold hundreds of thousands of small tuples and drop none: looking for cycles among them costs a quarter of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _without_cycle_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
