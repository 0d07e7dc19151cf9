"""What is installed beside the package."""

from __future__ import annotations
