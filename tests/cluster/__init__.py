"""A real Slurm on loopback, for tests, the demo and benchmarks; nothing here imitates Slurm."""
