"""Faults on a real Slurm with live jobs: what is lost, what is counted twice, and whether it is told."""
