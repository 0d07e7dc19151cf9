"""The model cluster and what is made of it."""

from __future__ import annotations
