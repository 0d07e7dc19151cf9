"""What surrounds the arithmetic: clocks, rules, rescaled levels, others who write, freezes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.errors import BlindError
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.steps.applying import WRITE_SECONDS
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree
from tests.end_to_end.conftest import (
    BASELINE,
    EAGER,
    Wrap,
    cut_sessions,
    libfaketime,
    raw_shares,
    set_shares,
    transactions,
)
from tests.saf import RULES, Saf

FREEZES = int(os.environ.get("FREEZES", "1"))
FORGOTTEN = RULES.replace(
    'account_subtree = "national"', 'account_subtree = ["national", "regional"]'
).replace('account_subtree = "regional"', 'account_subtree = "groningen"')
"""The region's account stands with the others, and the rule for the region names one that is not there."""

BY_PARTITION = """
[[rule]]
name = "region"
beneficiary = "regional"
partition = "north"
"""


def reads(saf: Saf) -> object:
    return saf.json("ledger", "status")


# --- clocks


@pytest.mark.parametrize("off", ["+86400", "+3600", "-3600", "-86400"])
def test_nothing_is_read_or_written_while_the_clock_is_off(slurm: SlurmCluster, eager: Saf, off: str) -> None:
    eager.run("cycle")
    before, known, right = transactions(slurm), reads(eager), dict(eager.env)
    eager.env = {**right, "LD_PRELOAD": libfaketime(), "FAKETIME": off}
    for _ in range(2):
        said = eager.run("cycle", code=1)
        found = re.search(r"clock is (\d+) s (ahead of|behind) slurmctld's", said.stderr)
        assert found, said.stderr
        assert found[2] == ("ahead of" if off[0] == "+" else "behind")
        assert int(off[1:]) - 60 < int(found[1]) <= int(off[1:]), "less what the question took"
        assert len(said.stderr.splitlines()) == 1
    eager.env = right
    assert transactions(slurm) == before
    assert reads(eager) == known
    assert eager.json("cycle")["decision"]["reason"] != "clock"


def test_a_clock_that_steps_during_a_cycle_ends_it_before_anything_is_written(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap
) -> None:
    clock, right = eager.directory / "clock", dict(eager.env)
    clock.write_text("+0\n")
    wrap("sacct", f'echo "+86400" >{clock}; exec $REAL "$@"')
    faked = {"LD_PRELOAD": libfaketime(), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    before = transactions(slurm)
    eager.env = {**right, **faked}
    assert "ahead of slurmctld's" in eager.run("cycle", code=1).stderr
    eager.env = right
    assert transactions(slurm) == before
    share = eager.json("share")
    assert share["as_of"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    assert eager.json("cycle")["outcomes"][0]["status"] == "applied"


def test_a_read_by_a_wrong_clock_is_withdrawn_and_read_again(eager: Saf) -> None:
    eager.configure("control", mode="observe")
    eager.run("cycle")
    right = eager.json("share")
    with psycopg.connect(eager.sections["ledger"]["url"], autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(
            "INSERT INTO reads (cluster_id, at, since, until, runs, changed, rejected) "
            "SELECT cluster_id, until + 86400, until, until + 86400, 0, 0, 0 FROM reads "
            "ORDER BY until DESC LIMIT 1"
        )
    said = eager.run("cycle", code=1).stderr
    assert "saf ledger withdraw --since" in said
    instant = said.partition("--since ")[2].split()[0]
    done = eager.json("ledger", "withdraw", "--since", instant, "--reason", "wrong clock")
    assert done["withdrawn_reads"] == 1
    eager.run("cycle")
    assert right["as_of"] <= eager.json("share")["as_of"] <= iso(int(time.time()))


# --- the lever and the rules


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param(FORGOTTEN, "is steered, but rule 'others' calls it non_regional", id="rule"),
        pytest.param(BY_PARTITION, "cannot steer what the rules find by partition", id="partition"),
        pytest.param(BY_PARTITION.replace("partition", "qos"), "the rules find by qos", id="qos"),
        pytest.param(BY_PARTITION.replace("partition", "user"), "the rules find by user", id="users"),
    ],
)  # fmt: skip
def test_an_account_that_no_rule_calls_regional_is_never_raised(
    slurm: SlurmCluster, eager: Saf, rules: str, said: str
) -> None:
    before = transactions(slurm)
    eager.configure(rules=rules)
    decision = eager.json("cycle")["decision"]
    assert (decision["reason"], decision["changes"]) == ("not_regional", [])
    assert said in decision["sentence"]
    assert eager.json("status", code=4)["holds"][0]["reason"] == "not_regional"
    assert said in eager.run("config", "check", code=1).stderr
    assert said in eager.run("rules", "check", "--offline", code=1).stderr
    found = {one["check"]: one for one in eager.json("doctor", code=5)["findings"]}["lever"]
    assert found["level"] == "problem"
    assert "add account" not in found["fix"]
    assert transactions(slurm) == before
    assert raw_shares(slurm) == (BASELINE, BASELINE)


def test_a_promise_in_gpus_beside_usage_in_cpus_is_a_warning_with_both_figures(eager: Saf) -> None:
    eager.configure("promise", resource="gres/gpu")
    eager.run("cycle")
    found = {one["check"]: one for one in eager.json("doctor", code=5)["findings"]}["usage_resource"]
    assert found["level"] == "warning"
    assert "of the usage, and was delivered" in found["found"]
    assert "of the promised resource" in found["found"]
    assert found["fix"].startswith("saf promise set --resource")


def test_the_margin_is_examined_once_accounting_was_read(eager: Saf) -> None:
    def margin() -> str:
        found = {row["check"]: row for row in eager.json("doctor", code=5)["findings"]}["margin"]["found"]
        assert isinstance(found, str)
        return found

    assert margin() == "not known: no steered promise was measured yet"
    eager.run("cycle")
    assert margin().startswith("region: ")


def test_an_acknowledged_finding_is_shown_and_does_not_count_until_it_is_withdrawn(eager: Saf) -> None:
    eager.configure("promise", resource="gres/gpu")
    eager.run("cycle")
    until, why = ("--until", "now+1day"), ("--reason", "agreed with the region")
    assert "lever finds nothing wrong now" in eager.run(
        "doctor", "--acknowledge", "lever", *until, *why, code=2
    ).stderr  # fmt: skip
    shown = eager.json("doctor", code=5)["findings"]
    wrong = [one["check"] for one in shown if one["level"] != "ok"]
    assert "usage_resource" in wrong
    given = [eager.json("doctor", "--acknowledge", one, *until, *why) for one in wrong]
    accepted = {one["check"]: one for one in eager.json("doctor")["findings"] if one["level"] != "ok"}
    assert [
        (one["acknowledged_by"], one["acknowledged_until"], one["acknowledged_reason"])
        for one in accepted.values()
    ] == [(one["actor"], one["until"], why[1]) for one in given]
    text = eager.run("doctor")
    assert f"acknowledged by {given[0]['actor']} until {given[0]['until']}: {why[1]}" in text.stdout
    assert text.stderr == f"0 problems, 0 warnings; {len(wrong)} acknowledged\n"
    assert eager.run("doctor", "-q").stdout == ""
    ledger = eager.sections["ledger"]["url"]
    eager.configure("ledger", url="postgresql://127.0.0.1:1/none")
    blind = {one["check"]: one for one in eager.json("doctor", code=5)["findings"]}
    assert blind["acknowledgements"]["found"].startswith("not known: ")
    assert {one["acknowledged_by"] for one in blind.values()} == {None}
    eager.configure("ledger", url=ledger)
    eager.run("doctor", "--withdraw", "usage_resource", *why)
    assert [one["check"] for one in eager.json("doctor", "-q", code=5)["findings"]] == ["usage_resource"]


# --- the baseline and its level


def test_restore_baseline_restores_the_part_of_a_level_that_was_rescaled(
    slurm: SlurmCluster, eager: Saf
) -> None:
    def national(shares: int) -> None:
        slurm.run("sacctmgr", "-i", "modify", "account", "where", "name=national", "cluster=loop", "set",
                  f"fairshare={shares}")  # fmt: skip
        wait_until(lambda: raw_shares(slurm, "national") == (shares, shares), f"{shares} in slurmctld", 180)

    eager.run("cycle")
    national(7500)
    try:
        said = eager.run("restore-baseline", "--yes").stderr
        assert (
            "0.5 % -> 24.7 % of the level; recorded as 25 with siblings at 76, which are at 7501 now" in said
        )
        part = raw_shares(slurm)[0] / (raw_shares(slurm)[0] + 7501)
        assert part == pytest.approx(BASELINE / (BASELINE + 76), abs=0.001)
    finally:
        national(75)


# --- others who write


def test_what_an_operator_sets_while_a_cycle_reads_is_what_it_starts_from(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap
) -> None:
    change = "-i modify account where name=regional cluster=loop set fairshare=10"
    wrap("sprio", f'sacctmgr {change} >/dev/null; exec $REAL "$@"')
    outcome = eager.json("cycle")["decision"]["changes"][0]
    assert outcome["raw_shares_before"] == 10
    eager.sections["slurm"].pop("directory")
    eager.configure()
    eager.run("restore-baseline", "--yes")
    assert raw_shares(slurm) == (10, 10)


def test_every_attempt_counts_for_the_days_writes(eager: Saf, wrap: Wrap) -> None:
    eager.configure("control", writes_per_day=3)
    wrap("sacctmgr", 'case "$*" in *modify*) exit 0;; esac; exec $REAL "$@"')
    for _ in range(3):
        eager.run("cycle", code=1)
    for _ in range(2):
        assert eager.json("cycle")["decision"]["reason"] == "write_budget"
    assert len(eager.json("history")) == 3


@pytest.mark.parametrize("number", range(FREEZES))
def test_a_leader_frozen_in_a_write_does_not_write_over_the_one_that_took_over(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap, ledger_url: str, number: int
) -> None:
    """It and its sacctmgr are stopped just before sacctmgr runs, and thawed after the deadline."""
    frozen = eager.directory / "frozen"
    wrap("sacctmgr", f'case "$*" in *modify*) echo $$ >{frozen}; kill -STOP $$;; esac; exec $REAL "$@"')
    leader = subprocess.Popen(eager.argv("cycle"), env=eager.env, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: frozen.exists() and frozen.read_text() != "", "sacctmgr to be frozen", 180)
    began = time.monotonic()
    os.kill(leader.pid, signal.SIGSTOP)
    cut_sessions(ledger_url)
    (eager.directory / "other").mkdir()
    other = Saf(eager.directory / "other", slurm.env, ledger_url)
    other.configure("control", **{**EAGER, "slew": 0.05 + number / 1000})
    other.run("cycle")
    taken = raw_shares(slurm)
    assert taken[0] > BASELINE
    wait_until(lambda: time.monotonic() > began + WRITE_SECONDS, "the deadline of the write", 180)
    for pid in (int(frozen.read_text()), leader.pid):
        os.kill(pid, signal.SIGCONT)
    _, said = leader.communicate(timeout=180)
    assert leader.returncode == 1, said
    assert raw_shares(slurm) == taken
    set_shares(slurm, BASELINE)


def test_who_takes_over_waits_for_a_write_under_way(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap, ledger_url: str
) -> None:
    """The session of the leader is cut while its sacctmgr runs; sacctmgr ends before its deadline."""
    writing = eager.directory / "writing"
    wrap("sacctmgr", f'case "$*" in *modify*) touch {writing}; sleep 3;; esac; exec $REAL "$@"')
    leader = subprocess.Popen(eager.argv("cycle"), env=eager.env, stderr=subprocess.PIPE, text=True)
    wait_until(writing.exists, "sacctmgr to run", 180)
    cut_sessions(ledger_url)
    (eager.directory / "other").mkdir()
    other = Saf(eager.directory / "other", slurm.env, ledger_url)
    other.configure("control", **{**EAGER, "slew": 0.05})
    other.run("cycle")
    taken = raw_shares(slurm)
    leader.communicate(timeout=180)
    first, last = (int(line.rpartition("shares=")[2]) for line in transactions(slurm)[-2:])
    assert BASELINE < first < last == taken[0]
    assert raw_shares(slurm) == taken
    set_shares(slurm, BASELINE)


# --- rights


@pytest.fixture
def hidden_jobs(slurm: SlurmCluster) -> Iterator[Callable[[], None]]:
    """Hides other users' jobs in slurmdbd when it is called; they are shown again afterwards."""
    conf = slurm.directory / "slurmdbd.conf"
    before = conf.read_text()

    def again(text: str) -> None:
        conf.write_text(text)
        slurm.kill("slurmdbd")
        slurm.restart("slurmdbd")

    yield lambda: again(f"{before}PrivateData=jobs\n")
    again(before)


def test_rows_that_are_hidden_from_the_daemons_user_are_no_answer(
    slurm: SlurmCluster, slurm_tree: Tree, wrap: Wrap, saf: Saf, hidden_jobs: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in ("sacct", "sacctmgr", "scontrol"):
        wrap(name, 'exec setpriv --reuid nobody --regid nogroup --clear-groups $REAL "$@"')
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    job = slurm.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=1)
    slurm.wait_for(job, "COMPLETED")
    monkeypatch.setattr("slurm_ai_factory.slurm.client.user_name", lambda: "nobody")
    asked = Slurm("loop", Commands(saf.directory / "bin"))
    until = int(time.time())
    assert list(asked.runs(until - 3600, until))
    hidden_jobs()
    with pytest.raises(BlindError, match="PrivateData=jobs hides other users' jobs from nobody"):
        list(asked.runs(until - 3600, until))
