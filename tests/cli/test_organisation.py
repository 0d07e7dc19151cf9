"""The registry, rules and overrides as their users have them: commands, messages, exit codes, JSON."""

from __future__ import annotations

import csv
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slurm_ai_factory.core.records import HOUR
from tests.cli.conftest import ALWAYS, CPUS, DAYS, PLANT, RULES, UMCG, charges, civil, link
from tests.saf import Saf

HEADER = "organisation;name;kvk;category;sector;municipality;hub;since;until\r\n"


def test_a_share_is_told_by_all_that_the_registry_knows(registered: Saf) -> None:
    others = ("non_regional", "non_regional"), CPUS["astro"] + 0.25 * CPUS["joint"]
    unclassified = ("unclassified", "unclassified"), CPUS["visitors"]
    regional, plant = CPUS["genomes"] + 0.4 * CPUS["joint"], 0.35 * CPUS["joint"]
    names = {
        "organisation": ("umcg", "plant"), "category": ("knowledge_institution", "business"),
        "sector": ("care", "C"), "municipality": ("GM0014", "GM0772"), "hub": ("groningen", "south"),
    }  # fmt: skip
    for by, (inside, outside) in names.items():
        assert charges(registered, by) == dict(
            [others, unclassified, ((inside, "regional"), regional), ((outside, "non_regional"), plant)]
        )
    listed = registered.json("organisation", "list")
    assert [(one["organisation"], one["regional"], one["accounts"]) for one in listed] == [
        ("plant", False, ["joint 0.35"]), ("umcg", True, ["joint 0.4", "umcg"])
    ]  # fmt: skip


def test_an_organisation_that_left_keeps_the_hours_it_had_and_the_past_as_it_was_known(
    registered: Saf,
) -> None:
    before = registered.json("share")
    known_at = datetime.now(UTC).isoformat(timespec="seconds")
    time.sleep(1)  # the ledger keeps whole seconds
    registered.run("organisation", "end", "umcg", "--on", civil(2), "--reason", "moved to Eindhoven")
    found = registered.json("explain", "--account", "genomes")
    assert [part["rule"] for part in found["parts"]] == ["", "registry", ""]
    after = charges(registered, "organisation")
    assert after["umcg", "regional"] == (CPUS["genomes"] + 0.4 * CPUS["joint"]) / 2
    then = registered.json("share", "--as-of", known_at)
    assert then["regional_charge"] == before["regional_charge"]
    shown = registered.json("organisation", "show", "umcg")
    assert [row["reason"] for row in shown["history"]] == ["the list of members"] * 3 + [
        "moved to Eindhoven"
    ] * 3


X = ("organisation", "add", "x", "--name", "X", "--category", "business", "--sector", "C", *ALWAYS)
WRONG = [
    ((*X, "--kvk", "1234567"), 1, "kvk: '1234567' is not a KvK number"),
    ((*X, "--kvk", "12345678", "--municipality", "GM9999"), 1, "municipality: 'GM9999' is not a CBS code"),
    ((*UMCG[:-4], "--since", "2021-01-01", "--reason", "again"), 1, "since: overlaps with the entry of umcg"),
    (link("umcg", "joint", "0.7"), 1, "is known otherwise; --correct corrects"),
    (link("plant", "joint", "0.61", "--correct", *ALWAYS), 1, "fractions of account joint add up to 1.01"),
    (link("umcg", "umgc"), 1, "the cluster has no account 'umgc'"),
    (link("nobody", "umcg"), 1, "'nobody' is not registered"),
    (link("umcg", "umcg", "1.5"), 1, "1.5 is not above 0 and at most 1"),
    (link("umcg", "umcg", "half"), 2, "'half' is not a fraction"),
    (link("umcg", "visitors", "1", "--since", "1 January", "--reason", "x"), 2, "is not a date"),
    (link("umcg", "visitors", "1", "--since", "2027-01-01T12:00", "--reason", "x"), 2, "is not a date"),
    (link("umcg", "visitors", "1", "--reason", " "), 2, "--reason is empty"),
    (("organisation", "end", "nobody", "--reason", "x"), 1, "no organisation nobody lasts"),
    (("organisation", "show", "nobody"), 1, "organisation nobody is not registered"),
    (("override", "4711", "--beneficiary", "regional", "--reason", "x"), 1, "job 4711 is not in the ledger"),
    (("explain", "4711"), 1, "job 4711 is not in the ledger"),
    (("explain", "umcg"), 1, "to explain an account: saf explain --account umcg"),
    (("override", "10", "--beneficiary", "regional"), 2, "and a --reason"),
    (("override", "10", "--beneficiary", "regional", "--withdraw", "--reason", "x"), 2, "or --withdraw"),
    (("override", "10", "--beneficiary", "regional", "--organisation", "no", "--reason", "x"), 1,
     "organisation no is not registered"),
]  # fmt: skip


def test_what_cannot_be_is_refused_with_what_is_wrong_and_changes_nothing(registered: Saf) -> None:
    before = registered.json("organisation", "export"), registered.json("organisation", "export", "--links")
    for command, code, said in WRONG:
        done = registered.run(*command, code=code)
        assert said in done.stderr, (command, done.stderr)
        assert done.stdout == ""
    assert before == (
        registered.json("organisation", "export"), registered.json("organisation", "export", "--links")
    )  # fmt: skip


def test_what_a_programme_asks_of_an_organisation_is_kept_and_exported(registered: Saf) -> None:
    dates = ("--since", "2020-01-01", "--until", "2030-01-01", "--reason", "x")
    names = ("--name", "Bakker", "--kvk", "17000001", "--category", "business", "--sector", "I")
    registered.run("organisation", "add", "bakker", *names, "--size", "micro", "--stage", "startup", *dates)
    grant = ("--account", "visitors", "--access", "fast_lane", "--granted", "5000,5")
    registered.run("organisation", "link", "bakker", *grant, *dates)
    (own,) = (row for row in registered.json("organisation", "export") if row["organisation"] == "bakker")
    assert (own["size"], own["stage"]) == ("micro", "startup")
    rows = registered.json("organisation", "export", "--links")
    (link,) = (row for row in rows if row["organisation"] == "bakker")
    assert (link["access"], link["granted"]) == ("fast_lane", "5000.5")
    history = registered.json("organisation", "show", "bakker")["history"]
    assert [row.get("granted") for row in history] == [None, 5000.5]


def test_a_spreadsheet_of_windows_is_read_as_what_it_is(books: Saf) -> None:
    file = books.directory / "list.csv"
    row = "cafe;Café Frânk;17000000;business;I;GM0014;groningen;2020-01-01;\r\n"
    file.write_bytes((HEADER + row).encode("cp1252"))
    done = books.run("organisation", "import", str(file), "--reason", "a list")
    assert "Windows-1252" in done.stderr
    assert books.json("organisation", "list")[0]["name"] == "Café Frânk"
    again = books.json("organisation", "import", str(file), "--reason", "a list")
    assert again == {"new": 0, "known": 1, "problems": []}
    text = books.run("organisation", "export").stdout
    file.write_text(text, encoding="utf-8")
    assert books.json("organisation", "import", str(file), "--reason", "x")["known"] == 1


def test_a_table_with_wrong_lines_is_refused_whole_each_with_line_column_and_reason(books: Saf) -> None:
    file = books.directory / "list.csv"
    rows = [
        "good;Good;17000000;business;C;GM0014;groningen;2020-01-01;",
        "kvk;Kvk;123;business;C;GM0014;;2020-01-01;",
        "far;Far;17000002;business;C;GM0000;;2020-01-01;",
        "twice;Twice;17000000;business;C;GM0014;;2020-01-01;",
    ]
    file.write_text(HEADER + "\r\n".join(rows))
    done = books.run("organisation", "import", str(file), "--reason", "a list", "--json", code=1)
    assert f"{file}:3: column kvk: '123' is not a KvK number" in done.stderr
    assert f"{file}:4: column municipality: 'GM0000' is not a CBS code" in done.stderr
    assert "2 problems, nothing was imported" in done.stderr
    assert '"line": 3' in done.stdout
    file.write_text(HEADER + "\r\n".join([rows[0], rows[3]]))
    assert (
        ":3: column kvk: 17000000 is the number of good"
        in books.run("organisation", "import", str(file), "--reason", "a list", code=1).stderr
    )
    assert books.json("organisation", "list", "--all") == []


NEW = RULES.replace('name = "national"', 'name = "guests"\nsince = {date}').replace(
    'beneficiary = "non_regional"\naccount_subtree = "national"',
    'beneficiary = "regional"\naccount = "visitors"',
)


def test_other_rules_show_what_they_would_move_and_change_nothing(registered: Saf) -> None:
    file = registered.directory / "new.toml"
    file.write_text(NEW.format(date=civil(2)))
    before = charges(registered, "organisation")
    found = registered.json("rules", "test", str(file), "--offline")
    moved = {(one["account"], one["beneficiary"]): one["difference"] / HOUR for one in found["moved"]}
    assert moved == {
        ("astro", "non_regional"): -DAYS * CPUS["astro"], ("astro", "unclassified"): DAYS * CPUS["astro"],
        ("visitors", "unclassified"): -2 * CPUS["visitors"], ("visitors", "regional"): 2 * CPUS["visitors"],
    }  # fmt: skip
    change = found["after"]["regional_charge"] - found["before"]["regional_charge"]
    assert change == 2 * CPUS["visitors"] * HOUR
    assert charges(registered, "organisation") == before


def test_a_mistyped_name_in_a_rule_is_an_error(registered: Saf) -> None:
    assert "valid, 3 rules" in registered.run("rules", "check", "--offline").stderr
    file = registered.directory / "new.toml"
    cases = [
        (('"umcg"', '"umgc"'), "account_subtree 'umgc': no such account is known; did you mean 'umcg'?"),
        (('qos = "benchmark"', 'partition = "mian"'), "did you mean 'main'?"),
        (('= "registry"\n\n', '= "registry"\nlinked_organisation = "plnat"\n\n'), "did you mean 'plant'?"),
        (('name = "national"', 'name = "national"\nhub = "sout"'), "hub 'sout': no such hub is known"),
    ]
    for change, said in cases:
        file.write_text(RULES.replace(*change))
        done = registered.run("rules", "test", str(file), "--offline", code=1)
        assert said in done.stderr
        assert done.stdout == ""
    again = RULES.split("\n\n")[0].replace("benchmarks", "again")
    file.write_text(RULES + again)
    assert (
        "rule 'again': is never reached"
        in registered.run("rules", "test", str(file), "--offline", code=1).stderr
    )
    file.write_text(RULES.replace('name = "registry"', 'name = "registry"\nsince = 2027-01-01T12:00:00'))
    assert "wants a date" in registered.run("rules", "test", str(file), "--offline", code=1).stderr


def test_what_is_still_to_come_is_listed_and_marked(registered: Saf) -> None:
    changed = {"plant": "later", "17000000": "17000001"}
    later = [changed.get(word, word) for word in PLANT]
    registered.run(*later[:-4], "--since", "2100-01-01", "--reason", "signed")
    listed = {one["organisation"]: one for one in registered.json("organisation", "list")}
    assert {key: one["in_force"] for key, one in listed.items()} == {
        "umcg": True,
        "plant": True,
        "later": False,
    }
    assert [one["organisation"] for one in registered.json("organisation", "list", "--on", civil(0))] == [
        "plant", "umcg",
    ]  # fmt: skip


def test_a_name_like_a_formula_comes_back_from_a_spreadsheet(books: Saf, tmp_path: Path) -> None:
    books.run(*(("=1+1" if word == "UMCG" else word) for word in UMCG))
    file = tmp_path / "list.csv"
    assert books.run("organisation", "export", "-o", str(file)).stderr == f"wrote {file}: 1 entry\n"
    assert ",'=1+1," in file.read_text()
    again = books.json("organisation", "import", str(file), "--reason", "the same")
    assert again == {"new": 0, "known": 1, "problems": []}


def test_an_export_to_a_file_is_no_json_on_stdout(books: Saf, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    refused = books.run("organisation", "export", "--json", "-o", str(file), code=2)
    assert "give either --json, which prints to stdout, or -o" in refused.stderr
    assert (refused.stdout, file.exists()) == ("", False)


def test_an_override_is_explained_and_can_be_taken_back(registered: Saf) -> None:
    assert registered.json("explain", "10")["runs"][0]["rule"] == "registry"
    done = registered.json("override", "10", "--beneficiary", "non_regional", "--reason", "a test run")
    assert (done["job"], done["runs"]) == ("10", 1)
    (run,) = registered.json("explain", "10")["runs"]
    assert (run["beneficiary"], run["rule"]) == ("non_regional", f"override {done['override']}")
    assert "a test run" in run["why"][0]
    assert charges(registered, "account")["genomes", "non_regional"] == CPUS["genomes"] / DAYS
    registered.run("override", "10", "--withdraw", "--reason", "it was none")
    assert registered.json("explain", "10")["runs"][0]["rule"] == "registry"
    assert [one["beneficiary"] for one in registered.json("override")] == ["non_regional", "withdrawn"]


def test_a_job_is_explained_with_the_charge_of_each_part(registered: Saf) -> None:
    (run,) = registered.json("explain", "11")["runs"]
    parts: dict[str, Any] = {one["organisation"]: one for one in run["parts"] if one["charge"]}
    whole = CPUS["joint"] * HOUR
    assert {name: one["charge"] for name, one in parts.items()} == {
        "umcg": 0.4 * whole, "plant": 0.35 * whole, "": 0.25 * whole
    }  # fmt: skip
    assert any("0.4 of account joint is for umcg (UMCG)" in why for why in run["why"])


def test_csv_has_the_figures_of_json(registered: Saf) -> None:
    groups = registered.json("share", "--by", "account")["groups"]
    rows = [*csv.DictReader(registered.run("share", "--by", "account", "--csv").stdout.splitlines())]
    assert [(row["account"], float(row["charge"]), float(row["share"])) for row in rows] == [
        (group["name"], group["charge"], group["share"]) for group in groups
    ]
    (row,) = csv.DictReader(registered.run("share", "--csv").stdout.splitlines())
    told = registered.json("share")
    assert float(row["delivered_share"]) == told["delivered_share"]
    assert row["verdict"] == told["verdict"]


def test_too_much_unclassified_holds_a_met_back(registered: Saf) -> None:
    registered.configure("promise", RULES, target_share=0.2)
    kept = registered.json("share")
    assert (kept["verdict"], kept["verdict_reason"]) == ("met", "met")
    registered.configure("promise", RULES, unclassified_limit=0.01)
    held = registered.json("share")
    assert (held["verdict"], held["verdict_reason"]) == ("open", "unclassified")
    assert held["unclassified_share"] > held["unclassified_limit"]
    assert "unclassified_limit" in registered.run("share").stdout
