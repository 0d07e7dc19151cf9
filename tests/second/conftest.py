"""The year of the report's tests, also here."""

from __future__ import annotations

from tests.report.conftest import made

__all__ = ["made"]
