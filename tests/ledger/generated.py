"""Generated cases in a real ledger."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

in_one_ledger = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
"""The cases of a test share a ledger; each is a query."""

histories_in_one_ledger = settings(in_one_ledger, max_examples=in_one_ledger.max_examples // 4)
"""Each is a whole history, which takes a hundred times as long."""
