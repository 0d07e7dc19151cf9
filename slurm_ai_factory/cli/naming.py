"""A warning about names of people in texts that are kept."""

from __future__ import annotations

from slurm_ai_factory.cli import output
from slurm_ai_factory.ledger import Ledger


def warn_of_names(ledger: Ledger, *texts: str) -> None:
    """Say so where a text that is about to be kept has the name of a user of Slurm as a word."""
    for name in ledger.persons.mentioned("\n".join(texts)):
        output.say(
            f"careful: {name} is a user of Slurm, and the text is kept with that name; write texts without "
            "names of persons",
            err=True,
        )
