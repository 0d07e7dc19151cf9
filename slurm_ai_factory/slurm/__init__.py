"""The edge to Slurm: its commands, and the parsing of what they print. Nothing here decides anything."""

from __future__ import annotations

from slurm_ai_factory.slurm.client import Slurm

__all__ = ["Slurm"]
