"""Share floors for Slurm, with an auditable ledger."""

from __future__ import annotations

__version__ = "0.1.0"
