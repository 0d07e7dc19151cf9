"""Tests of the command line on a real ledger, without Slurm."""
