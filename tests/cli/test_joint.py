"""Joint promises as their users have them, on a PostgreSQL with two clusters, and counted a second time."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.core.programme.joint import JointWeight
from slurm_ai_factory.core.records import DAY, HOUR, Association, Run, Size, Subject
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.ledger import Store, open_ledger
from tests import schemas
from tests.cli.conftest import today
from tests.conftest import new_ledger
from tests.core.programme.test_joint import TERM
from tests.saf import Saf

WHY = ("--source", "agreement 7", "--reason", "signed by both")
CLUSTERS = """
[[cluster]]
name = "fast"
[cluster.slurm]
conf = "/nowhere/fast.conf"
[cluster.promise]
resource = "node"

[[cluster]]
name = "wide"
[cluster.slurm]
conf = "/nowhere/wide.conf"
"""
SIZES = {"fast": "cpu=64,gres/gpu=16,node=4", "wide": "cpu=400,node=10"}
TREES = {"root": None, "regional": "root", "umcg": "regional", "national": "root", "astro": "national",
         "visitors": "root"}  # fmt: skip
LATE = {"fast": 0, "wide": 2 * HOUR + 600}
"""How long before now each cluster was last read up to."""


def moment() -> int:
    """Some hours ago, in the middle of one; the same all day."""
    return today() - 5 * HOUR + 1234


def civil(days_ago: int) -> str:
    return datetime.fromtimestamp(today() - days_ago * DAY, UTC).date().isoformat()


def history(cluster: str, number: int) -> list[Run]:
    """Runs of twelve days that neither begin nor end on whole hours; the last ones still run or wait."""
    drawn, read = random.Random(cluster), moment() - LATE[cluster]
    runs = []
    for index in range(1, 61):
        eligible = today() - drawn.randrange(DAY, 12 * DAY)
        start = eligible + drawn.randrange(3 * HOUR)
        end = min(start + drawn.randrange(30 * HOUR), read)
        nodes = drawn.randrange(1, 4)
        held = (
            f"cpu={16 * nodes},gres/gpu={4 * nodes},node={nodes}" if cluster == "fast" else f"cpu={nodes * 7}"
        )
        account = drawn.choice(["umcg", "astro", "visitors"])
        subject = Subject(cluster, account, "jan", "main", "normal", "", "")
        index_there, dates = 1000 * number + index, (eligible, eligible, start, end)
        one = Run(index_there, index, str(index), subject, "COMPLETED", *dates, end - start, 0, held, held)
        if index % 10 == 0:
            one = one._replace(state="RUNNING", end_at=None, elapsed_seconds=read - start)
        if index % 15 == 0:
            one = one._replace(state="PENDING", end_at=None, start_at=None, elapsed_seconds=0, alloc_tres="")
        runs.append(one)
    return runs


@pytest.fixture(scope="module")
def filled(postgresql: str) -> Iterator[str]:
    """A ledger that has both clusters, to be copied."""
    with new_ledger(postgresql) as url:
        for number, cluster in enumerate(SIZES, 1):
            with open_ledger(url, cluster) as ledger:
                tree = [
                    Association(cluster=cluster, account=one, parent=up, raw_shares=1)
                    for one, up in TREES.items()
                ]
                ledger.intake.record_accounts(tree, 1)
                ledger.intake.record_events([Size(today() - 90 * DAY, None, SIZES[cluster])], [], 1)
                read = moment() - LATE[cluster]
                ledger.intake.record(history(cluster, number), today() - 20 * DAY, read, at=read)
        yield url


def product(url: str, directory: Path) -> Saf:
    """One file for both clusters."""
    saf = Saf(directory, {"PATH": os.environ["PATH"]}, url)
    saf.configure("promise", window="rolling:7d")
    start, _, rest = saf.file.read_text().partition('[cluster]\nname = "loop"\n')
    saf.file.write_text(start + rest + CLUSTERS)
    return saf


@pytest.fixture
def pair(postgresql: str, filled: str, tmp_path: Path) -> Iterator[Saf]:
    """Both clusters without a joint promise."""
    with new_ledger(postgresql, filled) as url:
        yield product(url, tmp_path)


@pytest.fixture(scope="module")
def weighed(postgresql: str, filled: str) -> Iterator[str]:
    """A quarter of both: fast since ten days ago, with a new weight three days ago; wide since five."""
    with new_ledger(postgresql, filled) as url:
        with open_ledger(url, "fast") as ledger:
            term = replace(TERM, promise="both", since=day(10), window="rolling:7d", time_zone="UTC")
            assert ledger.joint.record(term) == ()
            for cluster, days, unit in (
                ("fast", 10, "40*node"),
                ("fast", 3, "55.5*node"),
                ("wide", 5, "0.5*cpu"),
            ):
                assert ledger.joint.weigh(row(cluster, days, unit)) == ()
        yield url


def row(cluster: str, days_ago: int, unit: str) -> JointWeight:
    return JointWeight("both", cluster, day(days_ago), Resource.parse(unit), "a", "b", "ann@host", moment())


def day(days_ago: int) -> int:
    return today() - days_ago * DAY


@pytest.fixture
def joint(postgresql: str, weighed: str, tmp_path: Path) -> Iterator[Saf]:
    """Both clusters with the joint promise, in a ledger of the test's own."""
    with new_ledger(postgresql, weighed) as url:
        yield product(url, tmp_path)


WEIGHTS = {
    "fast": [(10, 3, "node", Fraction(40)), (3, 0, "node", Fraction(111, 2))],
    "wide": [(5, 0, "cpu", Fraction(1, 2))],
}
"""The same as days before today, for the second count."""


def url_of(saf: Saf) -> str:
    return str(saf.sections["ledger"]["url"])


def second_count(saf: Saf, since: int, until: int) -> dict[str, dict[str, Fraction]]:
    """Unit-seconds by cluster and account, and what waited, from the rows of runs, by the second."""
    with Store(url_of(saf)) as store:
        rows = store.connection.execute(
            "SELECT c.name, s.account, r.eligible_at, r.start_at, r.end_at, q.tres, a.tres FROM runs r "
            "JOIN clusters c USING (cluster_id) JOIN subjects s USING (subject_id) "
            "JOIN allocations q ON q.allocation_id = req_id JOIN allocations a ON a.allocation_id = alloc_id"
        ).fetchall()
    sums: dict[str, dict[str, Fraction]] = {}
    for cluster, account, eligible, start, end, wanted, held in rows:
        own = sums.setdefault(cluster, {})
        for first, last, name, weight in WEIGHTS[cluster]:
            low, high = (
                max(since, today() - first * DAY),
                min(until, (today() - last * DAY) if last else until),
            )
            for kind, begin, finish, text in (
                (account, start, end, held),
                (f"waited {account}", eligible, start, held or wanted),
            ):
                count = dict(part.split("=") for part in text.split(",") if part).get(name, "0")
                if begin is not None:
                    seconds = max(0, min(high, until if finish is None else finish) - max(low, begin))
                    own[kind] = own.get(kind, Fraction(0)) + seconds * Fraction(count) * weight
    return sums


def test_the_share_of_both_is_that_of_a_second_count(joint: Saf) -> None:
    found = joint.json("joint", "share", "both")
    as_of = min(moment() - late for late in LATE.values())
    since = as_of - 7 * DAY - (as_of - 7 * DAY) % HOUR
    assert (found["as_of"], found["since"]) == (iso(as_of), iso(since)), "what all were read up to"
    counted = second_count(joint, since, as_of)
    total = sum(sum(own[account] for account in ("umcg", "astro", "visitors")) for own in counted.values())
    regional = sum(own["umcg"] for own in counted.values())
    assert 0 < regional < total
    assert Fraction(str(found["total_charge"])) == total
    assert Fraction(str(found["regional_charge"])) == regional
    assert found["delivered_share"] == pytest.approx(float(regional / total), rel=1e-12)
    assert found["unclassified_charge"] == sum(own["visitors"] for own in counted.values())
    assert found["waiting_charge"] == sum(own["waited umcg"] for own in counted.values())
    for member in found["members"]:
        own = counted[member["cluster"]]
        assert member["regional_charge"] == own["umcg"]
        assert member["total_charge"] == own["umcg"] + own["astro"] + own["visitors"]
    seconds = {"fast": 40 * 4 * (today() - 3 * DAY - since) + 55.5 * 4 * (as_of - today() + 3 * DAY),
               "wide": 0.5 * 400 * (as_of - today() + 5 * DAY)}  # fmt: skip
    assert {member["cluster"]: member["capacity"] for member in found["members"]} == seconds
    assert found["capacity"] == sum(seconds.values())
    assert found["capacity_share"] == pytest.approx(float(regional) / sum(seconds.values()), rel=1e-12)
    assert found["verdict"] in ("met", "missed_demand", "missed_starved")
    assert 0 <= found["starved_charge"] <= found["waiting_charge"]


def iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_one_cluster_with_weight_1_has_the_figures_of_its_own_promise(pair: Saf) -> None:
    pair.run("joint", "set", "alone", "--since", civil(10), "--share", "0.25", *WHY)
    pair.run("joint", "weigh", "alone", "fast", "node", "--since", civil(10), *WHY)
    found = pair.json("joint", "share", "alone")
    plain = json.loads(pair.run("-M", "fast", "share", "--json").stdout)
    named = {"promise", "resource", "resource_label", "members", "forecast", "schema"}
    assert {key: found[key] for key in found.keys() - named} == {
        key: plain[key] for key in found.keys() - named
    }


def test_an_unread_part_of_one_cluster_leaves_the_share_open(joint: Saf) -> None:
    """Never a zero: what was read is shown with the hours that lack, and nothing is called met."""
    before = joint.json("joint", "share", "both")
    assert (before["verdict"] == "open", before["unread_seconds"]) == (False, 0)
    with open_ledger(url_of(joint), "wide") as ledger:
        ledger.intake.withdraw(day(2), at=moment(), actor="ann@host", reason="wrong clock")
    gone = joint.run("joint", "share", "both", code=1)
    assert "the ledger has nothing of cluster wide yet" in gone.stderr
    assert gone.stdout == ""
    with open_ledger(url_of(joint), "wide") as ledger:
        ledger.intake.record(history("wide", 2), today() - 4 * DAY, moment(), at=moment())
    found = joint.json("joint", "share", "both")
    assert (found["verdict"], found["verdict_reason"]) == ("open", "unread")
    assert found["unread_seconds"] == DAY
    assert {m["cluster"]: m["unread_seconds"] for m in found["members"]} == {"fast": 0, "wide": DAY}
    assert "24.0 hours of the window" in joint.run("joint", "share", "both").stdout


def test_a_cluster_counts_from_its_day_until_it_leaves(joint: Saf) -> None:
    wide = next(m for m in joint.json("joint", "share", "both")["members"] if m["cluster"] == "wide")
    assert wide["weights"][0]["since"] == iso(today() - 5 * DAY)
    joint.run("joint", "weigh", "both", "wide", "none", "--since", civil(4), *WHY)
    left = joint.json("joint", "share", "both")
    wide = next(m for m in left["members"] if m["cluster"] == "wide")
    day = [{"since": iso(today() - 5 * DAY), "until": iso(today() - 4 * DAY), "resource": "0.5*cpu"}]
    assert (wide["weights"], wide["capacity"]) == (day, 0.5 * 400 * DAY)
    assert left["as_of"] == iso(moment()), "wide is no longer waited for"


def test_saf_share_shows_it_after_the_clusters(joint: Saf) -> None:
    value = json.loads(joint.run("share", "--json").stdout)
    schemas.check("share", value)
    alone = joint.json("joint", "share", "both")
    assert [row["cluster"] for row in value["clusters"]] == ["fast", "wide"]
    assert value["joint"] == [{"promise": "both", "answer": alone, "error": None}]
    lines = joint.run("share").stdout.splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# cluster fast", "# cluster wide", "# joint promise both"
    ]  # fmt: skip
    assert json.loads(joint.run("share", "--resource", "cpu", "--json").stdout)["joint"] is None
    assert "joint" not in json.loads(joint.run("-M", "fast", "share", "--json").stdout)
    table = joint.run("joint", "share", "both", "--csv").stdout.splitlines()
    assert [line.split(",")[0] for line in table] == ["cluster", "fast", "wide"]


def test_saf_status_shows_it_after_the_clusters(joint: Saf) -> None:
    value = json.loads(joint.run("status", "--json", code=4).stdout)
    schemas.check("status", value)
    alone = joint.json("joint", "share", "both")
    assert [row["cluster"] for row in value["clusters"]] == ["fast", "wide"]
    assert value["joint"] == [{"promise": "both", "answer": alone, "error": None}]
    assert "joint" not in json.loads(joint.run("-M", "fast", "status", "--json", code=4).stdout)
    for columns in ("40", "80"):
        joint.env["COLUMNS"] = columns
        text = joint.run("status", code=4).stdout
        screen = text[text.index("joint promise both") :]
        assert max(map(len, screen.splitlines())) <= int(columns)
        words = " ".join(screen.split())
        assert f"clusters fast, wide, read up to {alone['as_of']}" in words
        assert "of the unit time in the last 7 days" in words
        assert f"delivered {100 * alone['delivered_share']:.1f} %" in words


def test_its_state_is_in_the_exit_code_and_in_the_line_for_nagios(joint: Saf) -> None:
    text = joint.file.read_text()
    stale = joint.run("status", "--check", code=2).stdout
    assert stale.count("no complete read since") == 3, "of each cluster, and of both together"
    calm = text.replace("[promise]", "[promise]\ntarget_share = 0.01", 1)
    joint.file.write_text(calm.replace("[daemon]", '[daemon]\nready_after = "30d"', 1))
    joint.run("status")
    assert joint.run("status", "--check").stdout.startswith("SAF OK - ")
    joint.run("joint", "set", "both", "--since", civil(9), "--share", "0.9", *WHY)
    joint.run("status", code=3)
    line = joint.run("status", "--check", code=2).stdout
    assert line.startswith("SAF CRITICAL - joint.both: CRITICAL, The region has had ")
    assert " joint.both.share=" in line
    joint.run("-M", "fast", "status")
    for cluster, days in (("fast", 10), ("fast", 3), ("wide", 5)):
        joint.run("joint", "weigh", "both", cluster, "none", "--since", civil(days), *WHY)
    done = joint.run("status", code=1)
    assert "saf: joint promise both: no cluster counts for joint promise both" in done.stderr
    assert "The region has had" in done.stdout, "the clusters are answered"
    line = joint.run("status", "--check", code=3).stdout
    assert "joint.both: UNKNOWN, no cluster counts for joint promise both" in line


def test_what_keeps_it_from_a_share_is_said_and_the_clusters_are_answered(joint: Saf) -> None:
    text = joint.file.read_text()
    joint.file.write_text(text.replace('"wide"', '"other"').replace("wide.conf", "other.conf"))
    value = json.loads(joint.run("-M", "fast,", "share", "--json", code=1).stdout)
    schemas.check("share", value)
    assert value["clusters"][0]["error"] is None
    (row,) = value["joint"]
    assert row["answer"] is None
    assert "joint promise both counts cluster wide, and this process knows fast, other only" in row["error"]


def test_terms_and_weights_are_recorded_and_listed(pair: Saf) -> None:
    said = pair.run("joint", "set", "both", "--since", civil(10), "--share", "0,25", "--label", "unit", *WHY)
    assert (
        said.stderr
        == f"since {civil(10)} joint promise both is a floor of 25 % (agreement 7); this is retroactive\n"
    )
    said = pair.run("joint", "weigh", "both", "fast", "40*node", "--since", civil(2), *WHY)
    counts = f"since {civil(2)} cluster fast counts 40*node in joint promise both (agreement 7)"
    assert said.stderr == f"{counts}; this is retroactive\n"
    listed = pair.json("joint", "list")
    (term,), (weight,) = listed["terms"], listed["weights"]
    assert (term["share"], term["label"], term["window"], term["ended"]) == (
        0.25,
        "unit",
        "rolling:7d",
        False,
    )
    assert (weight["cluster"], weight["resource"], weight["reason"]) == ("fast", "40*node", "signed by both")
    assert weight["actor"] == term["actor"] != ""
    assert "40*node" in pair.run("joint", "list").stdout
    assert pair.json("joint", "list", "--as-of", civil(1)) == {"terms": [], "weights": []}


REFUSED = {
    "zero": (("fast", "0*node"), 2, "'0*node' is not a resource such as"),
    "negative": (("fast", "-3*node"), 2, "'-3*node' is not a resource such as"),
    "nan": (("fast", "nan*node"), 2, "'nan*node' is not a resource such as"),
    "inf": (("fast", "inf*node"), 2, "'inf*node' is not a resource such as"),
    "too much": (("fast", "1e9*node"), 1, "the weight of node is not from 0.000001 to 1000000"),
    "unknown cluster": (("slow", "node"), 1, "the file has no cluster slow, only fast, wide"),
    "unknown resource": (("wide", "gres/gpu"), 1, "cluster wide has no gres/gpu; its TRES are cpu, node"),
    "twice": (("fast", "2*node+3*node"), 2, "is not a resource such as"),
    "the same again": (("fast", "55.5*node"), 1, "counts as 55.5*node at that time already"),
    "no member": (("wide", "none", civil(6)), 1, "counts as none at that time already"),
    "in the future": (("fast", "cpu", civil(-2)), 1, "is in the future; record a weight once it applies"),
    "no date": (("fast", "cpu", "soon"), 2, "--since: 'soon' is not a date"),
}  # fmt: skip


TERMS = {
    "too much": (("set", "both", "--share", "1.5"), 2, "not a number between 0 and 1"),
    "nan": (("set", "both", "--share", "nan"), 2, "not a number between 0 and 1"),
    "the name of another": (("set", "region", "--share", "0.2"), 2, "is the promise of each cluster"),
    "no name": (("set", "Both", "--share", "0.2"), 2, "'Both' is no name of a promise"),
    "no share": (("set", "new"), 2, "there is no joint promise new yet"),
    "nothing new": (("set", "both", "--share", "0.25"), 1, "nothing would change"),
    "no such promise": (("weigh", "new", "fast", "node"), 1, "there is no joint promise new"),
}


def test_what_is_no_weight_or_term_is_refused_in_one_sentence_and_not_recorded(joint: Saf) -> None:
    before = joint.json("joint", "list")
    assert [len(before[kind]) for kind in ("terms", "weights")] == [1, 3]
    for (cluster, unit, *on), code, message in REFUSED.values():
        options = ("--since", *(on or [civil(1)]), *WHY)
        done = joint.run("joint", "weigh", "both", *options, "--", cluster, unit, code=code)
        assert message in done.stderr, unit
        assert len(done.stderr.strip().splitlines()) == 1 or "Usage: " in done.stderr
    for arguments, code, message in TERMS.values():
        assert message in joint.run("joint", *arguments, "--since", civil(1), *WHY, code=code).stderr
    assert joint.json("joint", "list") == before


def test_a_promise_ends_and_has_no_verdict_then(joint: Saf) -> None:
    joint.run("joint", "end", "both", "--on", civil(1), *WHY)
    found = joint.json("joint", "share", "both")
    assert (found["verdict"], found["verdict_reason"]) == ("open", "ended")
    assert json.loads(joint.run("share", "--json").stdout)["joint"] == []


def test_a_weight_takes_a_second_person_where_terms_do(joint: Saf) -> None:
    text = joint.file.read_text()
    joint.file.write_text(f"{text}\n[approval]\npromise = true\n[actor]\nallow_as = true\n")
    made: Any = joint.json(
        "--as", "ann", "joint", "weigh", "both", "fast", "7*node", "--since", civil(1), *WHY
    )
    term = joint.json("--as", "ann", "joint", "end", "both", "--on", civil(1), *WHY)
    assert len(joint.json("joint", "list")["weights"]) == 3, "not in force yet"
    for proposal in (made, term):
        number = str(proposal["proposal"])
        joint.run("-M", "fast", "--as", "ann", "approval", "approve", number, code=1)
        shown = joint.json("-M", "fast", "--as", "bob", "approval", "approve", number)
        assert shown["step"] == "approved"
    listed = joint.json("joint", "list")
    assert "approved by" in listed["weights"][-1]["actor"]
    assert (listed["weights"][-1]["resource"], listed["terms"][-1]["ended"]) == ("7*node", True)


def test_nothing_recorded_is_said(pair: Saf) -> None:
    assert "no joint promise is recorded" in pair.run("joint", "list").stderr
    assert json.loads(pair.run("share", "--json").stdout)["joint"] == []
    pair.run("joint", "set", "both", "--since", civil(10), "--share", "0.25", *WHY)
    done = pair.run("joint", "share", "both", code=1)
    assert "no cluster counts for joint promise both yet" in done.stderr
