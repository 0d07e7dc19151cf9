"""saf simulate as a person meets it: what it says of a workload, and of what is wrong with one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba", reason="the extra 'simulate' is not installed")

LOG = """account,user,submit,runtime_s,timelimit_s,cpus
umcg,jan,1767222000,3600,7200,4
astro,eva,1767222060,7200,7200,4
astro,eva,1767222120,0,7200,4
umcg,jan,1767308400,3600,7200,4
"""
SIDES = "account,regional\numcg,true\nastro,false\n"
SACCT = """Account|User|Partition|Submit|ElapsedRaw|TimelimitRaw|AllocTRES
umcg|jan|gpu|2026-01-01T00:00:00|3600|120|billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,node=1
astro|eva|gpu|2026-01-02T00:00:00|3600|UNLIMITED|billing=8,cpu=8,gres/gpu=2,node=1
"""
SWF = "; UnixStartTime: 1767222000\n" + "\n".join(
    f"{n} {n * 600} -1 3600 4 -1 -1 4 7200 -1 1 {n % 3} {n % 2} -1 1 1 -1 -1" for n in range(1, 9)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "short.csv").write_text(LOG.replace("1767308400", "1767225599"))
    (tmp_path / "none.csv").write_text(LOG.partition("umcg")[0])
    (tmp_path / "sides.csv").write_text(SIDES)
    (tmp_path / "jobs.txt").write_text(SACCT)
    (tmp_path / "log.swf").write_text(SWF)
    (tmp_path / "groups.csv").write_text("account,regional\n1,yes\n0,no\n")
    return tmp_path


def _saf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "slurm_ai_factory", "simulate", *arguments]
    env = {key: value for key, value in os.environ.items() if not key.startswith("SAF_")}
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        argv, cwd=folder, env=env | {"PYTHONPATH": root}, capture_output=True, text=True, timeout=300
    )


def _json(folder: Path, *arguments: str) -> Any:
    done = _saf(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("log", "sides", "more", "jobs", "share"),
    [
        ("log.csv", "sides.csv", ["--capacity", "8"], 3, 0.5),
        ("jobs.txt", "sides.csv", ["--capacity", "4", "--resource", "gpu"], 2, 0.5),
        ("log.swf", "groups.csv", ["--capacity", "8"], 8, 0.5),
    ],
)
def test_a_log_of_any_format_is_replayed(
    folder: Path, log: str, sides: str, more: list[str], jobs: int, share: float
) -> None:
    found = _json(folder, "--workload", log, "--regional", sides, "--policy", "oracle", *more)
    assert found["workload"]["jobs"] == jobs
    assert found["workload"]["regional_demand_share"] == pytest.approx(share)
    assert [policy["policy"] for policy in found["policies"]] == ["oracle"]


def test_the_keys_are_those_of_the_contract(folder: Path) -> None:
    found = _json(folder, "--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8")
    assert set(found) >= {"workload", "policies", "wall_seconds"}
    assert set(found["workload"]) == {"jobs", "span_days", "offered_load", "regional_demand_share"}
    assert [policy["policy"] for policy in found["policies"]] == ["floor", "static:0.25"]
    assert set(found["policies"][0]) == {
        "policy", "delivered_share", "min_window_share", "violation_ratio", "starved_ratio",
        "shortfall_charge", "attributable_shortfall_charge", "utilisation", "wait_mean_seconds",
        "wait_p95_seconds", "bounded_slowdown_mean", "writes_per_day",
    }  # fmt: skip
    assert set(found["policies"][0]["wait_mean_seconds"]) == {"regional", "non_regional"}


def test_the_same_seed_gives_the_same_answer_and_another_one_another(folder: Path) -> None:
    run = ("--workload", "scenario:tiny", "--policy", "static:0.25", "--seed")
    first, again, other = (_json(folder, *run, seed) for seed in ("1", "1", "2"))
    assert first["policies"] == again["policies"] != other["policies"]


def test_csv_has_the_figures_of_json(folder: Path) -> None:
    run = ("--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8")
    (first, *_) = _json(folder, *run)["policies"]
    (row, *_) = csv.DictReader(_saf(folder, *run, "--csv").stdout.splitlines())
    assert (row["policy"], float(row["delivered_share"])) == ("floor", first["delivered_share"])
    assert float(row["wait_mean_seconds_regional"]) == first["wait_mean_seconds"]["regional"]


def test_the_table_and_the_picture(folder: Path) -> None:
    run = ("--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8", "--policy", "floor")
    done = _saf(folder, *run, "--plot", "shares.svg")
    assert done.returncode == 0, done.stderr
    assert "3 jobs in 1 days on 8 cpu" in done.stdout
    assert done.stdout.splitlines()[3].split()[0] == "floor"
    assert (folder / "shares.svg").read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--workload", "nothing.csv", "--capacity", "8"], 1, "nothing.csv: No such file or directory"),
        (["--workload", "log.csv", "--capacity", "8"], 1, "no configuration found"),
        (["--workload", "log.csv", "--regional", "sides.csv"], 2, "--capacity is needed"),
        (["--workload", "log.csv", "--regional", "log.csv", "--capacity", "8"], 1, "no column 'regional'"),
        (["--workload", "sides.csv", "--regional", "sides.csv", "--capacity", "8"], 1, "no column 'user'"),
        (["--workload", "none.csv", "--regional", "sides.csv", "--seed", "1"], 2, "no job in none.csv has"),
        (["--workload", "short.csv", "--regional", "sides.csv", "--capacity", "8"], 2, "within an hour"),
        (["--workload", "none.csv", "--capacity", "8"], 2, "no job in none.csv has run"),
        (["--workload", "scenario:monday"], 2, "no scenario 'monday'"),
        (["--workload", "scenario:tiny", "--policy", "static:2"], 2, "'static:2' is no policy"),
        (["--workload", "scenario:tiny", "--window", "week"], 2, "'week' is not a window"),
        (["--workload", "scenario:tiny", "--half-life", "long"], 2, "--half-life: 'long' is not a duration"),
        (["--workload", "scenario:tiny", "--plot", "shares.doc"], 2, "ends in none of .png, .svg, .pdf"),
        (["--workload", "log.csv", "--regional", "sides.csv", "--capacity", "2"], 2, "none fits on 2"),
        (["--workload", "ledger:2026-02-01..2026-01-01"], 1, "no configuration found"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    folder: Path, arguments: list[str], code: int, says: str
) -> None:
    done = _saf(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_line_that_is_wrong_is_told_with_its_number(folder: Path) -> None:
    (folder / "bad.csv").write_text(LOG + "umcg,jan,tomorrow,1,1,1\n")
    done = _saf(folder, "--workload", "bad.csv", "--regional", "sides.csv", "--capacity", "8")
    assert (done.returncode, "bad.csv: line 6:" in done.stderr) == (1, True), done.stderr
