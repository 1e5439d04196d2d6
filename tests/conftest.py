"""What every suite shares: how hard Hypothesis looks."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadlines: a test that fails because its neighbour was busy teaches nobody anything.
settings.register_profile("default", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
# Branch coverage must not depend on luck, nor take an hour where tracing is slow.
settings.register_profile("coverage", settings.get_profile("default"), derandomize=True, max_examples=25)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
# Commands speak English here, whatever the developer's own machine does.
os.environ["LC_ALL"] = "C.UTF-8"

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
