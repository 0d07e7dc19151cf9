"""What an organisation used in a window, at the tariff."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CPUS, DAYS, RULES, add_hours, civil
from tests.saf import Saf

TARIFFS = """
[[tariff]]
beneficiary = "regional"
resource = "cpu"
price = "0.10"
since = "2020-01-01"

[[tariff]]
beneficiary = "regional"
resource = "cpu"
price = "0.20"
since = "{cut}"

[[tariff]]
beneficiary = "non_regional"
resource = "cpu"
price = "2"
since = "2020-01-01"
"""


def test_a_statement_is_cut_where_the_price_changes(registered: Saf) -> None:
    add_hours(registered, "umcg", "3")
    registered.configure(rules=RULES + TARIFFS.format(cut=civil(2)))
    found = registered.json("statement", "--organisation", "umcg")
    own = CPUS["genomes"] + 0.4 * CPUS["joint"]
    assert found["charge"] == own * 3600 * DAYS
    assert found["expertise_hours"] == "3.00"
    assert found["part_of_regional"] == 1.0
    assert found["part_of_promise"] == pytest.approx(own / 0.25 / sum(CPUS.values()))
    dear = sum(line["charge"] for line in found["lines"] if line["price"] == "0.20") / 3600
    cheap = sum(line["charge"] for line in found["lines"] if line["price"] == "0.10") / 3600
    assert dear + cheap == own * DAYS
    assert dear in (own, 2 * own), "of civil days, which are not those of UTC"
    assert float(found["total"]) == pytest.approx(0.2 * dear + 0.1 * cheap)
    assert "total, EUR" in registered.run("statement", "--organisation", "umcg").stdout


def test_a_statement_without_a_price_is_refused(registered: Saf) -> None:
    assert "add [[tariff]]" in registered.run("statement", "--organisation", "umcg", code=1).stderr
    regional_only = TARIFFS.partition('[[tariff]]\nbeneficiary = "non_regional"')[0]
    registered.configure(rules=RULES + regional_only.format(cut="2021-01-01"))
    said = registered.run("statement", "--organisation", "plant", code=1).stderr
    assert "no [[tariff]] for non_regional cpu" in said
    assert (
        "no organisation 'nobody' is registered"
        in registered.run("statement", "--organisation", "nobody", code=1).stderr
    )
