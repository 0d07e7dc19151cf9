"""Lose the machine of the ledger, on purpose, and get it back."""
