"""The documentation against the code."""

from __future__ import annotations
