"""The rows that a report rests on, and their digests."""

from __future__ import annotations

from tests.saf import Saf


def test_the_fingerprint_of_a_ledger(registered: Saf) -> None:
    then = ("--as-of", "now")
    found = registered.json("ledger", "fingerprint", *then)
    assert {one["name"]: one["rows"] for one in found}["links"] == 3
    rows = registered.run("ledger", "fingerprint", *then, "--rows", "links").stdout
    assert rows.splitlines()[0].split("\t")[1:3] == ["umcg", "umcg"]
