"""The ledger against Slurm, against itself and against what was published."""
