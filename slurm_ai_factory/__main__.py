"""python -m slurm_ai_factory."""

from __future__ import annotations

from slurm_ai_factory.cli import main

if __name__ == "__main__":
    main()
