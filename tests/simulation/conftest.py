"""The compiled engine is an extra."""

from __future__ import annotations

import pytest

pytest.importorskip("numba", reason="the extra 'simulate' is not installed")
