"""Several promises on one machine as their users have them: floors and caps, nested and crossing."""

from __future__ import annotations

from typing import Any

import pytest

from slurm_ai_factory.core.records import HOUR
from tests.cli.conftest import ALWAYS, DAYS, civil
from tests.saf import Saf

WHY = ("--source", "contract 8", "--reason", "agreed with the funder")
NATIONAL = ("--bound", "floor", "--share", "0.5", "--who", "account_subtree=national")
INDUSTRY = ("--bound", "cap", "--share", "0.2", "--who", "category=business")


def promise(saf: Saf, name: str, *options: str, since: str = civil(9), code: int = 0) -> str:
    return saf.run("promise", "set", name, "--since", since, *options, *WHY, code=code).stderr


def listed(saf: Saf, *command: str) -> dict[str, dict[str, Any]]:
    return {row["promise"]: row for row in saf.json(*command)["promises"]}


@pytest.fixture
def promised(registered: Saf) -> Saf:
    """A floor for the national account and a cap for business, which is a part of a regional account."""
    for name, options in (("national", NATIONAL), ("industry", INDUSTRY)):
        promise(registered, name, *options)
    return registered


def test_share_and_status_list_every_promise_and_the_first_first(promised: Saf) -> None:
    rows = listed(promised, "share")
    assert list(rows) == ["region", "industry", "national"]
    of = {name: (row["bound"], row["regional_charge"] / HOUR / DAYS) for name, row in rows.items()}
    assert of == {"region": ("floor", 8), "industry": ("cap", 3.5), "national": ("floor", 20)}
    assert {row["total_charge"] / HOUR / DAYS for row in rows.values()} == {36}
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    assert verdicts == {"region": "missed_demand", "industry": "kept", "national": "met"}
    status = promised.json("status", code=4)
    assert status["promises"] == list(rows.values())
    assert "industry  cap" in promised.run("share").stdout
    assert "industry  cap" in promised.run("status", code=4).stdout


def test_one_promise_is_asked_about_by_its_name(promised: Saf) -> None:
    found = promised.json("share", "--promise", "industry", "--by", "account")
    assert (found["promise"], found["bound"], found["delivered_share"]) == ("industry", "cap", 3.5 / 36)
    assert [row["promise"] for row in found["promises"]] == ["industry"]
    text = promised.run("share", "--promise", "industry").stdout
    assert "industry, a cap" in text
    assert "above the cap" in text
    assert "region" not in text
    refused = promised.run("share", "--promise", "harbour", code=1).stderr
    assert "the ledger has no promise harbour; it has region, industry, national" in refused


def test_further_promises_change_no_figure_of_the_others(registered: Saf) -> None:
    before, explained = registered.json("share"), registered.json("explain", "--account", "joint")
    promise(registered, "industry", *INDUSTRY)
    first = listed(registered, "share")["industry"]
    promise(registered, "national", *NATIONAL)
    promise(registered, "business", *INDUSTRY)
    after = registered.json("share")
    assert {**after, "promises": 0} == {**before, "promises": 0}
    assert after["promises"][0] == before["promises"][0]
    assert listed(registered, "share")["industry"] == first
    assert listed(registered, "share")["business"] == {**first, "promise": "business"}, (
        "a name decides nothing"
    )
    again = registered.json("explain", "--account", "joint")
    assert {part["promises"] for part in again["parts"]} == {"", "business industry"}
    dates = {"since": 0, "until": 0, "promises": ""}
    kept = [{**part, **dates} for part in again["parts"]]
    assert all({**part, **dates} in kept for part in explained["parts"])
    assert {part["beneficiary"] for part in kept} == {part["beneficiary"] for part in explained["parts"]}


def test_a_share_may_be_one_of_the_capacity_or_of_another_promise(registered: Saf) -> None:
    promise(registered, "care", "--share", "0.5", "--of", "promise:region", "--who", "sector=care")
    promise(registered, "astro", "--share", "0.1", "--of", "capacity", "--who", "account=astro")
    rows = listed(registered, "share")
    assert (rows["care"]["regional_charge"], rows["care"]["total_charge"]) == (8 * HOUR * DAYS,) * 2
    assert rows["astro"]["regional_charge"] == 20 * HOUR * DAYS
    assert rows["astro"]["total_charge"] == registered.json("share")["capacity"]


def test_a_promise_is_made_to_a_mode_of_access(registered: Saf) -> None:
    """Of an account with two organisations, only what the one with that mode has counts."""
    promise(
        registered, "quick", "--share", "0.1", "--who", "access=fast_lane", "--who", "beneficiary=regional"
    )
    assert listed(registered, "share")["quick"]["regional_charge"] == 0
    link = ("--account", "joint", "--fraction", "0.4", "--access", "fast_lane", "--correct")
    registered.run("organisation", "link", "umcg", *link, *ALWAYS)
    row = listed(registered, "share")["quick"]
    assert row["regional_charge"] == 4 * HOUR * DAYS
    refused = promise(registered, "slow", "--share", "0.1", "--who", "access=fastlane", code=1)
    assert "did you mean 'fast_lane'?" in refused


def test_a_cap_is_exceeded_idle_where_nobody_waited_for_what_was_above_it(registered: Saf) -> None:
    promise(registered, "industry", *INDUSTRY, "--share", "0.05")
    row = listed(registered, "share")["industry"]
    assert (row["verdict"], row["verdict_reason"], row["at_risk"]) == ("exceeded_idle", "idle", False)
    assert registered.json("status", code=4)["promises"][1]["at_risk"] is False


def test_a_promise_that_cannot_hold_is_refused_with_the_reason(promised: Saf) -> None:
    for options, reason in {
        ("eu", "--share", "0.3", "--who", "account=astro"): "the floors add up to more than everything",
        ("firms", "--share", "0.22", "--who", "category=business"): "is above cap industry (0.2)",
        ("part", "--share", "0.1", "--who", "hub=south", "--of", "promise:harbour"): "no such promise",
        ("typo", "--share", "0.1", "--who", "category=busines"): "did you mean 'business'?",
        ("nobody", "--share", "0.1", "--who", "account=harbour"): "no such account is known",
    }.items():
        name, *rest = options
        assert reason in promise(promised, name, *rest, code=1)
    for options, reason in {
        ("eu", "--share", "0.1"): "a new one needs --share and --who",
        ("Région", "--share", "0.1", "--who", "hub=south"): "is no name of a promise",
        ("eu", "--share", "0.1", "--who", "colour=red"): "colour=red is none of",
        ("eu", "--share", "0.1", "--who", "sector"): "sector has no name",
        ("eu", "--share", "0.1", "--who", "sector=care", "--who", "sector=C"): "sector is given twice",
        ("eu", "--share", "0.1", "--who", "qos=a\x1b[31m"): "who has the character 0x001b, which cannot be",
        ("eu", "--share", "0.1", "--who", "qos=a\xa0b"): "a name of qos has characters that cannot be",
        ("region", "--bound", "cap"): "promise region cannot have --bound",
        ("industry", "--min-organisations", "5"): "promise industry cannot have --min-organisations",
    }.items():
        name, *rest = options
        assert reason in promise(promised, name, *rest, code=2)
    ended = promised.run("promise", "end", "harbour", "--on", civil(1), *WHY, code=2).stderr
    assert "there is no promise harbour, only region, industry, national" in ended
    assert list(listed(promised, "share")) == ["region", "industry", "national"]


def test_the_terms_of_each_promise_are_listed_and_end(promised: Saf) -> None:
    rows = promised.json("promise", "list")
    assert [(row["promise"], row["since"]) for row in rows] == [
        ("region", None), ("industry", civil(9)), ("national", civil(9)),
    ]  # fmt: skip
    assert rows[1]["who"] == {"category": ["business"]}
    assert "category=business" in promised.run("promise", "list").stdout
    promised.run("promise", "end", "industry", "--on", civil(1), *WHY)
    assert list(listed(promised, "share")) == ["region", "national"]
    shown = promised.json("promise", "show", "industry")
    history = shown["history"]
    assert (shown["min_organisations"], shown["expertise_share"]) == (None, None), "those of the region"
    assert [row["ended"] for row in history] == [True, False, True]
    assert promised.json("ledger", "verify")["checks"]
