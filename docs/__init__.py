"""The documentation, and what generates its reference."""

from __future__ import annotations
