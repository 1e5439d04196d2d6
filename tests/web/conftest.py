"""What every test in a browser ends with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.site import Site


@pytest.fixture(autouse=True)
def nothing_went_wrong(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whoever visited the test's `site` leaves it, and their browsers complained of nothing."""
    site = request.getfixturevalue("site") if "site" in request.fixturenames else None
    yield
    if isinstance(site, Site):
        site.part()
