"""One file, several clusters: what -M chooses, and how each command answers for several."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slurm_ai_factory.core.records import HOUR, Run, Size, Subject
from slurm_ai_factory.ledger import open_ledger
from tests import schemas
from tests.cli.conftest import DAYS, today
from tests.monitor.test_nagios import LINE
from tests.saf import Saf

CLUSTERS = """
[[cluster]]
name = "loop"
[cluster.slurm]
conf = "/nowhere/loop.conf"

[[cluster]]
name = "flat"
[cluster.slurm]
conf = "/nowhere/flat.conf"
[cluster.control]
account = "hub"
"""
EACH = (
    ("share",), ("unclassified",), ("history",), ("history", "--decisions"), ("config", "show"),
    ("config", "check"), ("promise", "list"), ("pause",), ("override",), ("ledger", "status"),
    ("organisation", "list"), ("meter", "list"), ("grid", "list"), ("grid", "history"), ("approval", "list"),
    ("status",), ("energy",), ("ledger", "verify"),
    ("ledger", "fingerprint", "--as-of", "now"),
)  # fmt: skip
ALONE = (
    ("report", "-o", "."), ("cycle",), ("pause", "--until", "now+1hour", "--reason", "x"), ("resume",),
    ("backfill", "-S", "2027-01-01"), ("override", "3", "--withdraw", "--reason", "x"),
    ("doctor", "--withdraw", "x", "--reason", "x"),
    ("promise", "end", "--on", "2027-01-01", "--source", "x", "--reason", "x"),
    ("bundle", "x.tar.gz"), ("restore-baseline",), ("statement", "--organisation", "umcg"),
    ("ledger", "export"),
    ("ledger", "withdraw", "--since", "2027-01-01", "--reason", "x"),
)  # fmt: skip


@pytest.fixture
def both(books: Saf, ledger_url: str) -> Saf:
    """Two clusters in a ledger: loop with its days, and flat with an hour of one CPU for its hub."""
    at = today()
    subject = Subject("flat", "hub", "jan", "main", "normal", "", "")
    start = at - 24 * HOUR
    run = Run(7, 7, "7", subject, "COMPLETED", start, start, start, start + HOUR, HOUR, 0, "cpu=1", "cpu=1")
    with open_ledger(ledger_url, "flat") as ledger:
        ledger.intake.record_events([Size(at - 90 * 24 * HOUR, None, "cpu=2,node=1")], [], 1)
        ledger.intake.record([run], at - 9 * 24 * HOUR, at, at=at)
    text = books.file.read_text()
    start_of, _, rest = text.partition('[cluster]\nname = "loop"\n')
    books.file.write_text(start_of + rest + CLUSTERS)
    return books


def printed(saf: Saf, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON of a command, checked against its schema."""
    value: dict[str, Any] = json.loads(saf.run(*arguments, "--json", code=code).stdout)
    schemas.check(schemas.command(arguments), value)
    return value


def charges(value: dict[str, Any]) -> dict[str, float]:
    """Cluster -> resource-hours of a `share`."""
    return {row["cluster"]: row["answer"]["total_charge"] / HOUR for row in value["clusters"]}


def test_without_m_a_command_answers_for_each_cluster_in_the_order_of_the_file(both: Saf) -> None:
    each = printed(both, "share")
    assert charges(each) == {"loop": 36 * DAYS, "flat": 1}
    assert [row["error"] for row in each["clusters"]] == [None, None]
    lines = both.run("share").stdout.splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# cluster loop", "# cluster flat"]
    assert "#" not in both.run("-q", "share").stdout


@pytest.mark.parametrize(
    ("names", "clusters"),
    [
        ("all", ["loop", "flat"]),
        ("flat,loop", ["loop", "flat"]),
        ("flat,", ["flat"]),
        ("flat,flat", ["flat"]),
    ],
)
def test_a_list_gives_a_list(both: Saf, names: str, clusters: list[str]) -> None:
    assert list(charges(printed(both, "-M", names, "share"))) == clusters


@pytest.mark.parametrize(("name", "hours"), [("loop", 36 * DAYS), ("flat", 1)])
def test_one_name_gives_what_a_file_of_its_own_gives(both: Saf, name: str, hours: int) -> None:
    assert printed(both, "-M", name, "share")["total_charge"] == hours * HOUR
    assert "# cluster" not in both.run("-M", name, "share").stdout


def test_all_is_a_list_of_one_cluster_too(books: Saf) -> None:
    assert list(charges(printed(books, "-M", "all", "share"))) == ["loop"]
    assert "total_charge" in printed(books, "share")
    assert "total_charge" in printed(books, "-M", "loop", "share")


def test_reading_commands_answer_for_each(both: Saf) -> None:
    for arguments in EACH:
        value = printed(both, *arguments, code=4 if arguments == ("status",) else 0)
        assert [row["cluster"] for row in value["clusters"]] == ["loop", "flat"], arguments
        assert all(row["answer"] is not None and row["error"] is None for row in value["clusters"])


def test_a_command_that_needs_one_cluster_says_which_there_are(both: Saf) -> None:
    for before in ((), ("-M", "loop,flat")):
        for arguments in ALONE:
            done = both.run(*before, *arguments, code=2)
            assert "this works on one cluster at a time; choose it with -M: loop or flat" in done.stderr
            assert done.stdout == "", arguments


def test_what_fails_for_one_cluster_is_said_and_the_other_answers(both: Saf) -> None:
    both.file.write_text(both.file.read_text().replace('timeout = "20s"', 'timeout = "2s"'))
    value = printed(both, "explain", "--account", "astro", code=1)
    loop, flat = value["clusters"]
    assert (loop["answer"]["account"], loop["error"]) == ("astro", None)
    assert flat["answer"] is None
    assert flat["error"] == "account astro is not known on flat; see `saf share --by account`"
    done = both.run("explain", "--account", "astro", code=1)
    assert done.stderr == f"saf: cluster flat: {flat['error']}\n"
    assert "national" in done.stdout
    away = both.run("doctor", code=1).stderr
    assert "saf: cluster loop: " in away
    assert "saf: cluster flat: " in away


def test_a_broken_cluster_does_not_keep_the_other_from_an_answer(both: Saf) -> None:
    both.file.write_text(both.file.read_text() + "share_max = 7\n")
    loop, flat = printed(both, "share", code=1)["clusters"]
    assert (loop["error"], flat["answer"]) == (None, None)
    assert "[control] share_max = 7" in flat["error"]
    assert printed(both, "-M", "loop", "share")["total_charge"]
    assert (
        f"saf: cluster flat: {both.file}: [control] share_max"
        in both.run("-M", "flat", "share", code=1).stderr
    )


def test_an_unknown_cluster_is_refused_with_those_that_there_are(both: Saf) -> None:
    said = both.run("-M", "loop,nowhere", "share", code=1).stderr
    assert (
        f"--cluster nowhere: {both.file} is the configuration of clusters loop, flat; name the file" in said
    )


def test_all_stands_alone_and_a_list_has_names(both: Saf) -> None:
    for names in ("all,loop", "all,all", "loop,all", "all,", ",", ",,"):
        for arguments in (("share",), ("report", "-o", ".")):
            done = both.run("-M", names, *arguments, code=1)
            assert done.stderr == (
                f"saf: --cluster {names}: give all alone, or the names of clusters with commas between them\n"
            )


def test_csv_is_of_one_cluster(both: Saf) -> None:
    assert "choose it with -M" in both.run("share", "--csv", code=2).stderr
    assert both.run("-M", "flat", "share", "--csv").stdout.startswith("promise,")


def test_one_line_for_nagios_says_each_cluster_the_worst_first(both: Saf) -> None:
    line = both.run("status", "--check", code=2).stdout
    assert line.startswith("SAF CRITICAL - ")
    assert all(f"{name}: CRITICAL, " in line for name in ("loop", "flat"))
    assert "loop.share=" in line
    assert "flat.age=" in line
    both.file.write_text(both.file.read_text() + "share_max = 7\n")
    line = both.run("status", "--check", code=2).stdout
    assert "; flat: UNKNOWN, cluster flat: " in line
    assert "flat.age=" not in line
    assert LINE.fullmatch(both.run("-M", "loop", "status", "--check", code=2).stdout.strip())


def test_what_the_file_shares_needs_no_choice(both: Saf) -> None:
    both.run("ledger", "backup", "ledger.dump")
    assert (both.directory / "ledger.dump.head").exists()
