"""Generated cases are never judged by the time they take: the first one compiles the engine."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest.importorskip("numba", reason="the extra 'simulate' is not installed")

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
