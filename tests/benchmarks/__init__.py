"""How fast the product is beside Slurm's own commands, and whether a large ledger makes it slower."""
