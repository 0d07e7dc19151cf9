"""The edge to Slurm: what its commands print, and how they are run."""
