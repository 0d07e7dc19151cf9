"""saf simulate about several promises: the table of accounts, the forms of the answer, what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the extra 'simulate' is not installed")

from tests.cli.test_simulate import LOG, answered, run_saf

ACCOUNTS = "account,promise\numcg,region\numcg,industry\nastro,eu\n"
RUN = (
    "--workload", "log.csv", "--accounts", "accounts.csv", "--capacity", "8", "--window", "rolling:6h",
    "--promise", "region=floor:0.25", "--promise", "eu=floor:0.5", "--promise", "industry=cap:0.2",
)  # fmt: skip


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS)
    return tmp_path


def test_each_promise_has_its_shares_verdicts_and_writes(log_folder: Path) -> None:
    found = answered(log_folder, *RUN)
    assert [(one["promise"], one["steered"]) for one in found["promises"]] == [
        ("region", []), ("eu", ["astro"]), ("industry", ["umcg"]),
    ]  # fmt: skip
    assert [policy["policy"] for policy in found["policies"]] == ["floor", "static"]
    region, eu, industry = found["policies"][1]["promises"]
    assert (region["writes_per_day"], eu["writes_per_day"]) == (None, 0)
    assert region["delivered_share"] == industry["delivered_share"] == pytest.approx(1 / 3, abs=0.01)
    assert eu["delivered_share"] == pytest.approx(2 / 3, abs=0.01)
    assert eu["verdicts"]["met"] == region["windows"] - eu["verdicts"]["missed_demand"]
    rows = list(csv.DictReader(run_saf(log_folder, *RUN, "--csv").stdout.splitlines()))
    assert [(row["policy"], row["promise"]) for row in rows[:3]] == [
        ("floor", "region"), ("floor", "eu"), ("floor", "industry"),
    ]  # fmt: skip
    assert float(rows[4]["delivered_share"]) == eu["delivered_share"]
    told = run_saf(log_folder, *RUN, "--policy", "static").stdout
    assert "3 jobs in 1 days on 8 cpu" in told
    assert "missed, demand waited" in told


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (RUN[:2] + RUN[4:], 2, "--promise and --accounts need each other"),
        ((*RUN, "--regional", "accounts.csv"), 2, "--promise does not go with --regional"),
        ((*RUN, "--draws", "2"), 2, "--promise does not go with --draws"),
        ((*RUN, "--policy", "oracle"), 2, "--policy oracle does not go with --promise; use floor or static"),
        ((*RUN, "--promise", "eu=floor:0.1"), 2, "eu is there twice"),
        ((*RUN, "--promise", "care=least:0.1"), 2, "has neither floor nor cap"),
        ((*RUN, "--promise", "care=floor:2"), 2, "the share 2 is not between 0 and 1"),
        ((*RUN, "--promise", "care=floor:half"), 2, "could not convert string to float: 'half'"),
        ((*RUN, "--promise", "care=floor:0.1:promise:us"), 2, "care is a share of 'promise:us'; use"),
        ((*RUN, "--promise", "national=floor:0.1"), 2, "'national' is no name of a promise"),
        (
            (*RUN, "--promise", "care=floor:0.1"),
            2,
            "no account of promise care in accounts.csv has a job in log.csv",
        ),
        (RUN[:-2], 1, "accounts.csv: line 3: no --promise is named 'industry'; there are region, eu"),
    ],
)
def test_what_is_wrong_with_promises_is_told_in_one_sentence(
    log_folder: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = run_saf(log_folder, *arguments)
    assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (code, True, False), (
        done.stderr
    )
