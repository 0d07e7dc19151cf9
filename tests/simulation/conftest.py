"""The compiled engine is an extra."""

from __future__ import annotations

import pytest

from slurm_ai_factory.cli.simulate.compiled import keep_compiled

keep_compiled()
pytest.importorskip("numba", reason="the extra 'simulate' is not installed")
