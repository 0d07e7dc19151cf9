"""Pseudonyms replace the names of old users, and no figure changes."""

from __future__ import annotations

from tests.cli.conftest import DAYS, RULES, civil
from tests.saf import Saf


def test_users_get_pseudonyms(registered: Saf) -> None:
    before = registered.json("share", "--by", "organisation")
    assert "pseudonymise_after is not set" in registered.run("ledger", "pseudonymise", code=1).stderr
    young = registered.run("ledger", "pseudonymise", "--before", "now", code=2).stderr
    assert "--before must be older than slurm.overlap_daily" in young
    registered.configure("slurm", RULES, overlap_daily="1h")
    done = registered.json("ledger", "pseudonymise", "--before", civil(0))
    assert done["runs"] > DAYS * 3
    assert done["users"] == 1
    after = registered.json("share", "--by", "organisation")
    kept = ("groups", "total_charge", "regional_charge", "unclassified_charge", "waiting_charge")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert "jan" not in registered.run("explain", "10").stdout
    assert "nothing to do" in registered.run("ledger", "pseudonymise", "--before", civil(0)).stderr
