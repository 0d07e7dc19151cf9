"""The promise's terms as their users have them: commands, messages, exit codes, JSON."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.conftest import civil
from tests.saf import Saf

WHY = ("--source", "contract 7", "--reason", "agreed by both councils")
YEAR = datetime.now(UTC).year
NEXT, AFTER = f"{YEAR + 2}-01-01", f"{YEAR + 3}-01-01"
"""Still to come, also where the next year begins while the tests run, or has begun in Amsterdam."""


@pytest.fixture
def quarterly(books: Saf) -> Saf:
    """A promise in each quarter; its first term is what the file says."""
    books.configure("promise", window="quarter")
    return books


def listed(saf: Saf, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = saf.json("promise", "list", *more)
    return found


def test_the_first_term_is_what_the_file_says_and_is_recorded_with_the_first_that_is_set(
    quarterly: Saf,
) -> None:
    (first,) = listed(quarterly)
    assert (first["since"], first["share"], first["recorded_at"]) == (None, 0.25, None)
    said = quarterly.run("promise", "set", "--since", NEXT, "--share", "0,22", *WHY).stderr
    assert said == f"since {NEXT} the floor of promise region is 22 % (contract 7)\n"
    first, second = listed(quarterly)
    assert (first["reason"], first["source"], first["until"]) == ("first", str(quarterly.file), NEXT)
    assert first["actor"] == second["actor"] != ""
    assert (second["share"], second["resource"], second["window"]) == (0.22, "cpu", "quarter"), (
        "the rest stays"
    )
    assert [one["in_force"] for one in (first, second)] == [True, False]
    assert second["retroactive"] is False


def test_once_recorded_a_term_holds_whatever_the_file_says(quarterly: Saf) -> None:
    before = quarterly.json("share")
    quarterly.run("promise", "set", "--since", NEXT, "--share", "0.22", *WHY)
    quarterly.configure("promise", target_share=0.1, window="month", resource="node")
    assert quarterly.json("share") == before
    assert quarterly.json("unclassified") == quarterly.json("unclassified", "--window", "quarter")
    assert quarterly.json("status", code=4)["share"]["target_share"] == 0.25
    shown = quarterly.json("promise", "show")
    assert (shown["share"], shown["window"], shown["resource"]) == (0.25, "quarter", "cpu")


def test_a_term_of_the_past_is_told_to_be_retroactive(quarterly: Saf) -> None:
    said = quarterly.run("promise", "set", "--since", f"{YEAR}-01-01", "--share", "0.2", *WHY).stderr
    assert said.endswith("; this is retroactive, and reports say so\n")
    assert quarterly.json("share")["target_share"] == 0.2
    assert listed(quarterly)[1]["retroactive"] is True
    quarterly.run("promise", "set", "--since", f"{YEAR}-01-01", "--share", "0.25", *WHY)
    assert quarterly.json("share")["target_share"] == 0.25
    history = quarterly.json("promise", "show")["history"]
    assert [one["share"] for one in history] == [0.25, 0.2, 0.25], "nothing is overwritten"


def test_every_part_of_a_term_can_be_set(quarterly: Saf) -> None:
    said = {
        "share": 0.3, "margin": 0.02, "resource": "0.25*cpu+16*gres/gpu", "label": "GPU", "window": "half",
        "time_zone": "Europe/Brussels", "unclassified_limit": 0.1, "min_organisations": 4,
        "expertise_share": 0.4,
    }  # fmt: skip
    options = [f"--{name.replace('_', '-')}={value}" for name, value in said.items()]
    made = quarterly.json("promise", "set", "--since", NEXT, *options, "--region", "GM0106, GM0014", *WHY)
    assert (made["since"], made["resource"]) == (NEXT, said["resource"])
    found = listed(quarterly)[1]
    assert {name: found[name] for name in said} == said
    assert found["region"] == ["GM0014", "GM0106"]
    quarterly.run("promise", "set", "--since", AFTER, "--unclassified-limit", "none", *WHY)
    shipped = ("--region", "groningen-noord-drenthe")
    quarterly.run("promise", "set", "--since", AFTER, *shipped, *WHY)
    last = listed(quarterly)[2]
    assert (last["unclassified_limit"], len(last["region"])) == (None, 15)


REFUSED = {
    "a window has one term": (("--since", f"{YEAR + 2}-02-01", "--share", "0.2"), 1, "which has one term"),
    "a share of capacity": (("--since", NEXT, "--of", "capacity"), 1, "set --of delivered"),
    "nothing new": (("--since", NEXT, "--share", "0.25"), 1, "nothing would change"),
    "more than the control may give": (("--since", NEXT, "--share", "0.95"), 1, "share_max leaves no room"),
    "no share": (("--since", NEXT, "--share", "25"), 2, "--share: '25' is not a number between 0 and 1"),
    "no window": (("--since", NEXT, "--window", "week"), 2, "--window: wants month, quarter, half, year"),
    "no day": (("--since", "soon", "--share", "0.2"), 2, "--since: 'soon' is not a date"),
    "no zone": (("--since", NEXT, "--time-zone", "Mars"), 2, "--time-zone: wants a time zone"),
    "no municipality": (("--since", NEXT, "--region", "Groningen"), 2, "--region: no shipped list"),
    "too few": (("--since", NEXT, "--min-organisations", "0"), 2, "--min-organisations: wants a"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_term_is_refused_and_not_recorded(quarterly: Saf, name: str) -> None:
    options, code, message = REFUSED[name]
    assert message in quarterly.run("promise", "set", *options, *WHY, code=code).stderr
    assert len(listed(quarterly)) == 1


def test_a_term_wants_a_document_and_a_reason(quarterly: Saf) -> None:
    given = ("promise", "set", "--since", NEXT, "--share", "0.2")
    assert "'--source'" in quarterly.run(*given, "--reason", "x", code=2).stderr
    assert "'--reason'" in quarterly.run(*given, "--source", "x", code=2).stderr
    blank = ("--source", "x", "--reason", " ")
    assert "give the document and say why" in quarterly.run(*given, *blank, code=2).stderr


def test_a_promise_ends_and_can_be_made_again(quarterly: Saf) -> None:
    said = quarterly.run("promise", "end", "--on", f"{YEAR}-01-01", *WHY).stderr
    assert f"since {YEAR}-01-01 there is no promise region (contract 7)" in said
    share = quarterly.json("share")
    assert (share["verdict"], share["verdict_reason"]) == ("open", "ended")
    assert "No promise holds" in quarterly.run("status", code=4).stdout
    quarterly.run("promise", "set", "--since", NEXT, "--share", "0.3", *WHY)
    assert [one["ended"] for one in listed(quarterly)] == [False, True, False]


def test_the_list_is_a_table_and_show_says_who_and_why(quarterly: Saf) -> None:
    quarterly.run("promise", "set", "--since", NEXT, "--share", "0.22", *WHY)
    rows = list(csv.DictReader(io.StringIO(quarterly.run("promise", "list", "--csv").stdout)))
    assert [row["share"] for row in rows] == ["0.25", "0.22"]
    assert [row["in_force"] for row in rows] == ["yes", "no"]
    shown = quarterly.run("promise", "show", "--on", NEXT).stdout
    assert "agreed by both councils" in shown
    assert f"0.22 of cpu in each quarter since {NEXT} (contract 7: agreed by both councils)" in shown
    assert [one["share"] for one in listed(quarterly, "--as-of", "2020-01-01")] == [0.25]


def test_a_rolling_window_begins_no_sooner_than_its_term(books: Saf) -> None:
    """Four days of charge, and a term of two days ago: what was before is another promise's."""
    whole = books.json("share")
    books.run("promise", "set", "--since", civil(2), "--share", "0.4", *WHY)
    found = books.json("share")
    assert found["target_share"] == 0.4
    assert 0 < found["total_charge"] < whole["total_charge"]
    grouped = books.json("share", "--by", "account")
    assert sum(one["charge"] for one in grouped["groups"]) == found["total_charge"]
    assert books.json("status", code=4)["share"]["total_charge"] == found["total_charge"]
