"""What is kept of acknowledged findings, and what is refused. Findings need Slurm: tests/end_to_end."""

from __future__ import annotations

import time

import pytest

from slurm_ai_factory.core.records import DAY, Acknowledgement
from slurm_ai_factory.ledger import open_ledger
from tests.saf import Saf

WHY = ("--reason", "the purge is agreed with the site")
TOMORROW = ("--until", "now+1day")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--acknowledge", "perge", *TOMORROW, *WHY], "has no check 'perge'; did you mean 'purge'?"),
        (["--withdraw", "perge", *WHY], "has no check 'perge'; did you mean 'purge'?"),
        (["--acknowledge", "purge", "--until", "now-1hour", *WHY], "which is past; give a later instant"),
        (["--acknowledge", "purge", "--until", "soon", *WHY], "'soon' is not an instant"),
        (["--acknowledge", "purge", *TOMORROW, "--reason", " "], "--reason is empty; say why"),
        (["--acknowledge", "purge", *TOMORROW], "--reason is empty; say why"),
        (["--acknowledge", "purge", *WHY], "give --acknowledge, --until and --reason, or --withdraw"),
        (["--acknowledge", "purge", *TOMORROW, "--withdraw", "purge", *WHY], "give --acknowledge, --until"),
        (["--withdraw", "purge", *TOMORROW, *WHY], "give --acknowledge, --until"),
        (WHY, "give --acknowledge, --until"),
        (["--withdraw", "purge"], "--reason is empty; say why"),
        (["--withdraw", "purge", *WHY], "purge is not acknowledged, so there is nothing to withdraw"),
    ],
)
def test_what_cannot_be_acknowledged_or_withdrawn_is_refused(
    books: Saf, ledger_url: str, arguments: list[str], sentence: str
) -> None:
    assert sentence in books.run("doctor", *arguments, code=2).stderr
    with open_ledger(ledger_url, "loop") as ledger:
        assert ledger.acknowledging.newest() == {}


def test_the_newest_acknowledgement_of_a_check_holds_until_it_is_withdrawn(
    books: Saf, ledger_url: str
) -> None:
    at = int(time.time()) - 9 * DAY
    first = Acknowledgement("purge", "warning", at, at + DAY, "root@head", "for a day")
    longer = first._replace(until=at + 90 * DAY, reason="for a season")
    other = first._replace(check="lease")
    with open_ledger(ledger_url, "loop") as ledger:
        for row in (first, longer, other):
            ledger.acknowledging.add(row)
        assert ledger.acknowledging.newest() == {"purge": longer, "lease": other}
    withdrawn = books.json("doctor", "--withdraw", "purge", *WHY)
    assert (withdrawn["check"], withdrawn["level"], withdrawn["reason"]) == ("purge", "warning", WHY[1])
    assert withdrawn["at"] == withdrawn["until"]
    for name in ("purge", "lease"):
        assert f"{name} is not acknowledged" in books.run("doctor", "--withdraw", name, *WHY, code=2).stderr
    with open_ledger(ledger_url, "loop") as ledger:
        assert ledger.acknowledging.newest() == {"lease": other}
