"""The edge to Slurm: runs its commands and parses their output. Decides nothing."""

from __future__ import annotations

from slurm_ai_factory.slurm.client import Slurm

__all__ = ["Slurm"]
