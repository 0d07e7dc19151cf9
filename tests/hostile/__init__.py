"""Hostile text in every field that somebody may set, on a real Slurm."""
