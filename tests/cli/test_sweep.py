"""A sweep as a person meets it: on processes of this machine, on a scheduler of Dask, in jobs of Slurm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

pytest.importorskip("distributed", reason="the extra 'simulate' is not installed")
pytest.importorskip("numba", reason="the extra 'simulate' is not installed")

from slurm_ai_factory.cli.simulate import sweep
from tests import schemas
from tests.cluster.slurm import SlurmCluster

LOG = "account,user,submit,runtime_s,timelimit_s,cpus\n" + "".join(
    f"{'umcg' if number % 3 else 'astro'},u,{1767222000 + 1200 * number},{1800 + 60 * (number % 7)},7200,4\n"
    for number in range(60)
)
RUN = ("--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8", "--policy", "static:0.25")
QUICK = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "sides.csv").write_text("account,regional\numcg,true\nastro,false\n")
    return tmp_path


def simulated(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "slurm_ai_factory", "simulate", *RUN, *arguments]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("SAF_")}
    plain |= {"PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})}
    return subprocess.run(argv, cwd=folder, env=plain, capture_output=True, text=True, timeout=QUICK)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return schemas.content(("simulate",), json.loads(done.stdout))


def test_a_sweep_has_every_draw_as_it_is_alone_and_their_means(folder: Path) -> None:
    found = answer(simulated(folder, "--draws", "3", "--workers", "1", "--json"))
    assert [(draw["workload"], draw["seed"]) for draw in found["draws"]] == [
        ("log.csv", n) for n in (1, 2, 3)
    ]
    alone = answer(simulated(folder, "--seed", "2", "--json"))["policies"]
    assert found["draws"][1]["policies"] == alone
    shares = [draw["policies"][0]["wait_mean_seconds"]["regional"] for draw in found["draws"]]
    ((policy,),) = (workload["policies"] for workload in found["workloads"])
    assert policy["policy"] == "static:0.25"
    assert policy["mean"]["wait_mean_seconds_regional"] == pytest.approx(mean(shares))
    assert policy["standard_deviation"]["wait_mean_seconds_regional"] == pytest.approx(stdev(shares))


def test_the_workers_of_a_scheduler_do_the_same_work(folder: Path) -> None:
    with sweep.workforce(1) as client:
        tls = client.security.get_tls_config_for_role("client")
        for name, text in tls.items():
            if text and "\n" in str(text):
                (folder / name).write_text(str(text))
        env = {
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "ca_file"),
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": str(folder / "cert"),
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": str(folder / "key"),
        }
        address = client.scheduler.address
        theirs = answer(simulated(folder, "--draws", "2", "--scheduler", address, "--json", env=env))["draws"]
    assert theirs[0]["policies"] == answer(simulated(folder, "--seed", "1", "--json"))["policies"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["--draws", "2", "--scheduler", "tcp://127.0.0.1:9"],
            1,
            "no Dask worker has started: tcp://127.0.0.1:9",
        ),
        (["--draws", "2", "--workers", "1", "--slurm", "1"], 2, "--workers, --slurm: give one of them"),
        (["--workers", "2"], 2, "--workers needs --draws"),
        (["--draws", "2", "--slurm-options", "-p short"], 2, "--slurm-options needs --slurm"),
        (["--draws", "2", "--seed", "1"], 2, "--draws goes with neither --seed nor --plot"),
        (["--workload", "log.csv"], 2, "several --workload need --draws"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(
    folder: Path, arguments: list[str], code: int, says: str
) -> None:
    done = simulated(folder, *arguments, env={"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s"})
    assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (code, True, False), (
        done.stderr
    )


@pytest.mark.slurm
def test_jobs_of_a_real_slurm_do_the_same_work(folder: Path, slurm: SlurmCluster) -> None:
    alone = answer(simulated(folder, "--seed", "2", "--json"))["policies"]
    cache = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    env = {**slurm.env, "DASK_JOBQUEUE__SLURM__INTERFACE": "lo", "HOME": str(folder), "XDG_CACHE_HOME": cache}
    more = ("--draws", "2", "--slurm", "1", "--slurm-options", "--mem=0 --time=10", "--json")
    assert answer(simulated(folder, *more, env=env))["draws"][1]["policies"] == alone
    assert not any("dask" in line for line in slurm.run("squeue", "-h", "-o", "%j %T").splitlines())
