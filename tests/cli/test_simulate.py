"""saf simulate as a person meets it: what it says of a workload, and of what is wrong with one."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.errors import SafError

pytest.importorskip("numba", reason="the extra 'simulate' is not installed")

from slurm_ai_factory.cli.simulate.trial import trial_of, zone_of
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation import scenarios
from tests import loaded, schemas
from tests.cli.conftest import CPUS, DAYS, today
from tests.cli.ledger.test_verify import change
from tests.saf import Saf

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


def run_saf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("SAF_")}
    return loaded.run(("simulate", *arguments), cwd=folder, env=env, timeout=300)


def answered(folder: Path, *arguments: str) -> Any:
    done = run_saf(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return schemas.content(("simulate",), json.loads(done.stdout))


@pytest.mark.parametrize(
    ("log", "sides", "more", "jobs", "share"),
    [
        ("log.csv", "sides.csv", ["--capacity", "8"], 3, 0.5),
        ("jobs.txt", "sides.csv", ["--capacity", "4", "--resource", "gres/gpu"], 2, 0.5),
        ("log.swf", "groups.csv", ["--capacity", "8"], 8, 0.5),
    ],
)
def test_a_log_of_any_format_is_replayed(
    folder: Path, log: str, sides: str, more: list[str], jobs: int, share: float
) -> None:
    found = answered(folder, "--workload", log, "--regional", sides, "--policy", "oracle", *more)
    assert found["workload"]["jobs"] == jobs
    assert found["workload"]["regional_demand_share"] == pytest.approx(share)
    assert [policy["policy"] for policy in found["policies"]] == ["oracle"]


def test_the_keys_are_those_of_the_contract(folder: Path) -> None:
    found = answered(folder, "--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8")
    assert set(found) >= {"workload", "policies", "wall_seconds"}
    assert set(found["workload"]) == {"jobs", "span_days", "offered_load", "regional_demand_share"}
    assert [policy["policy"] for policy in found["policies"]] == ["floor", "static:0.25"]
    assert set(found["policies"][0]) == {
        "policy", "delivered_share", "min_window_share", "violation_ratio", "starved_ratio",
        "shortfall_charge", "attributable_shortfall_charge", "inversion_charge", "utilisation",
        "wait_mean_seconds", "wait_p95_seconds", "bounded_slowdown_mean", "wait_of_own_machine",
        "slowdown_of_own_machine", "writes_per_day",
    }  # fmt: skip
    assert set(found["policies"][0]["wait_mean_seconds"]) == {"regional", "non_regional"}


def test_the_same_seed_gives_the_same_answer_and_another_one_another(folder: Path) -> None:
    run = ("--workload", "scenario:huge", "--policy", "static:0.25", "--seed")
    first, again, other = (answered(folder, *run, seed) for seed in ("1", "1", "2"))
    assert first["policies"] == again["policies"] != other["policies"]


def test_csv_has_the_figures_of_json(folder: Path) -> None:
    run = ("--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8")
    (first, *_) = answered(folder, *run)["policies"]
    (row, *_) = csv.DictReader(run_saf(folder, *run, "--csv").stdout.splitlines())
    assert (row["policy"], float(row["delivered_share"])) == ("floor", first["delivered_share"])
    assert float(row["wait_mean_seconds_regional"]) == first["wait_mean_seconds"]["regional"]


def test_each_side_is_compared_with_a_machine_of_its_own_that_is_replayed_once(folder: Path) -> None:
    run = ("--workload", "scenario:huge", "--policy", "static:0.25", "--policy", "partition:0.250")
    shared, alone = answered(folder, *run)["policies"]
    waits = [row["wait_mean_seconds"]["regional"] for row in (shared, alone)]
    assert shared["wait_of_own_machine"]["regional"] == pytest.approx(waits[0] / waits[1])
    assert alone["wait_of_own_machine"] == alone["slowdown_of_own_machine"] == {
        "regional": 1, "non_regional": 1,
    }  # fmt: skip
    said = run_saf(folder, *run).stdout
    assert f"static:0.25: the region waits {waits[0] / waits[1]:.2f} of what it would on a machine of" in said


def test_padding_adds_a_row_for_each_policy(folder: Path) -> None:
    found = answered(folder, "--workload", "scenario:huge", "--policy", "oracle", "--padding", "2")
    assert [row["policy"] for row in found["policies"]] == ["oracle", "oracle, padding 2"]
    assert found["policies"][0]["wait_mean_seconds"] != found["policies"][1]["wait_mean_seconds"]


def test_a_log_without_a_configuration_has_windows_in_utc_and_a_scenario_those_of_its_users(
    folder: Path,
) -> None:
    """The log begins an hour before the quarter in UTC, and with it in Amsterdam."""
    run = ("--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8", "--window", "quarter")
    assert answered(folder, *run)["partial_windows"] == 2
    assert zone_of("scenario:tiny") == scenarios.ZONE != zone_of("log.csv")


def test_a_weighted_sum_is_a_resource_and_a_partial_quarter_is_not_judged(folder: Path) -> None:
    run = (
        "--workload", "jobs.txt", "--regional", "sides.csv", "--resource", "0.25*cpu+gres/gpu", "--capacity",
        "4",
    )  # fmt: skip
    found = answered(folder, *run, "--window", "quarter")
    assert (found["resource"], found["partial_windows"]) == ("0.25*cpu+1*gres/gpu", 1)
    assert found["policies"][0]["min_window_share"] is None
    assert (
        "1 partial window at the ends of the workload left out; there is no"
        in run_saf(folder, *run, "--window", "quarter").stdout
    )


def test_the_table_and_the_picture(folder: Path) -> None:
    run = ("--workload", "log.csv", "--regional", "sides.csv", "--capacity", "8", "--policy", "floor")
    done = run_saf(folder, *run, "--plot", "shares.svg")
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
        (["--workload", "scenario:tiny", "--policy", "static:2"], 2, "'static:2' is not a policy"),
        (["--workload", "scenario:tiny", "--window", "week"], 2, "'week' is not a window"),
        (["--workload", "scenario:tiny", "--half-life", "long"], 2, "--half-life: 'long' is not a duration"),
        (["--workload", "scenario:tiny", "--plot", "shares.doc"], 2, "ends in none of .png, .svg, .pdf"),
        (
            ["--workload", "log.csv", "--regional", "sides.csv", "--capacity", "2"],
            2,
            "no job of log.csv fits on 2 cpu",
        ),
        (
            ["--workload", "scenario:tiny", "--resource", "gpu"],
            2,
            "--resource: no log has 'gpu': use cpu, gres/gpu",
        ),
        (
            ["--workload", "scenario:tiny", "--resource", "cpu+gres/gpu"],
            2,
            "scenario:tiny needs any gres/gpu",
        ),
        (["--workload", "ledger:2026-02-01..2026-01-01"], 1, "no configuration found"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    folder: Path, arguments: list[str], code: int, says: str
) -> None:
    done = run_saf(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_line_that_is_wrong_is_told_with_its_number(folder: Path) -> None:
    (folder / "bad.csv").write_text(LOG + "umcg,jan,tomorrow,1,1,1\n")
    done = run_saf(folder, "--workload", "bad.csv", "--regional", "sides.csv", "--capacity", "8")
    assert (done.returncode, "bad.csv: line 6:" in done.stderr) == (1, True), done.stderr


FIELDS = "JobID|Account|User|Partition|Submit|ElapsedRaw|TimelimitRaw|AllocTRES\n"


def _dump(jobs: Iterable[int], alloc_tres: str, odd: str = "", *, steps: bool = False) -> str:
    """A job each ten minutes, the first of every four of the region, of which every second is ``odd``."""
    lines = []
    for job in jobs:
        account, day, minute = "nat" if job % 4 else "umcg", job // 144, job % 144
        at = f"2026-03-{1 + day:02}T{minute // 6:02}:{minute % 6}0:00"
        given = odd if odd != "" and job % 8 == 0 else alloc_tres
        lines.append(f"{job}|{account}|u|p|{at}|600|60|{given}\n")
        if steps and job % 4 == 0:
            lines.append(f"{job}.batch|{account}|||{at}|600||cpu=4,mem=4G,node=1\n")
    return FIELDS + "".join(lines)


def _of_dump(folder: Path, dump: str, resource: str) -> tuple[Any, str]:
    (folder / "dump.txt").write_text(dump)
    run = ("--workload", "dump.txt", "--regional", "sides.csv", "--capacity", "16", "--resource", resource)
    done = run_saf(folder, *run, "--policy", "static:0.25", "--json")
    assert done.returncode == 0, done.stderr
    return schemas.content(("simulate",), json.loads(done.stdout)), done.stderr


def test_the_steps_of_a_dump_are_not_counted(folder: Path) -> None:
    found, said = _of_dump(folder, _dump(range(40), "cpu=4,node=1", steps=True), "cpu")
    assert (found["workload"]["jobs"], found["workload"]["regional_demand_share"]) == (40, 0.25)
    assert found["left_out"] == [{"cause": "steps, whose charge is in their jobs", "jobs": 10, "charge": 0}]
    assert said == "saf: left out 10 records, 0.0 cpu-hours: steps, whose charge is in their jobs\n"


def test_gpus_that_are_told_with_their_type_only_are_counted(folder: Path) -> None:
    dump = _dump(range(40), "cpu=4,gres/gpu=2,node=1", "cpu=4,gres/gpu:a100=2,node=1")
    found, said = _of_dump(folder, dump, "gres/gpu")
    assert (found["workload"]["jobs"], found["workload"]["regional_demand_share"]) == (40, 0.25)
    assert (found["left_out"], said) == ([], "")


@pytest.mark.parametrize(
    ("odd", "resource", "cause", "charge", "told"),
    [
        ("cpu=32,node=1", "cpu", "larger than the machine (16 cpu)", 5 * 32 * 600, "26.7 cpu-hours"),
        ("cpu=4,node=1", "gres/gpu", "no gres/gpu", 0, "0.0 gres/gpu-hours"),
        (
            "mem=4G", "cpu", "ran, but has no count of cpus, gpus or nodes (in sacct: AllocTRES)", None,
            "charge unknown",
        ),
    ],
)  # fmt: skip
def test_nothing_is_left_out_silently(
    folder: Path, odd: str, resource: str, cause: str, charge: int | None, told: str
) -> None:
    found, said = _of_dump(folder, _dump(range(40), "cpu=4,gres/gpu=2,node=1", odd), resource)
    assert found["workload"]["jobs"] == 35
    assert found["left_out"] == [{"cause": cause, "jobs": 5, "charge": charge}]
    assert said == f"saf: left out 5 records, {told}: {cause}\n"


def test_why_a_log_has_no_job_is_told(folder: Path) -> None:
    (folder / "dump.txt").write_text(_dump(range(40), ""))
    done = run_saf(folder, "--workload", "dump.txt", "--regional", "sides.csv", "--capacity", "8")
    assert done.returncode == 2
    assert "left out 40 records, charge unknown: ran, but has no count" in done.stderr


def test_a_run_of_the_ledger_that_is_not_over_is_left_out_and_told(books: Saf, ledger_url: str) -> None:
    change(ledger_url, "UPDATE runs SET end_at = NULL WHERE db_index = 10")
    since, until = (windows.iso(today() - days * 24 * HOUR) for days in (DAYS + 1, 0))
    run = ("simulate", "--workload", f"ledger:{since}..{until}", "--capacity", "40", "--policy", "oracle")
    found = books.json(*run)
    assert found["workload"]["jobs"] == DAYS * len(CPUS) - 1
    charge = CPUS["genomes"] * HOUR
    assert found["left_out"] == [{"cause": "still running", "jobs": 1, "charge": charge}]


PACKED = gzip.compress(SWF.encode(), mtime=0)
DAMAGED = {
    "overwritten": (
        "log.swf.gz",
        PACKED[:40] + b"damaged!" * 4 + PACKED[72:],
        "the compressed file is damaged",
    ),
    "cut short": ("log.swf.gz", PACKED[:-20], "the compressed file is damaged"),
    "not compressed": ("log.swf.gz", SWF.encode(), "the compressed file is damaged"),
    "another sum": ("log.swf.gz", PACKED[:-8] + b"12345678", "the compressed file is damaged"),
    "a picture": ("log.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1: a byte that is not UTF-8"),
    "nothing": ("log.csv", b"", "the file is empty"),
    "a hole": ("log.csv", LOG.encode() + bytes(4096), "line 6: a NUL byte"),
    "a line without end": ("log.csv", LOG.encode() + b"a" * 2**21, "line 6: longer than"),
    "a number without end": (
        "log.csv",
        LOG.encode() + b"a,b,1,1e400,1,1\n",
        "line 6: runtime_s is not between",
    ),
    "an instant without end": (
        "log.csv",
        LOG.encode() + b"umcg,b,1,9,9,4\n",
        "has submissions from 1970-01-01",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_told_in_one_sentence(folder: Path, case: str) -> None:
    name, data, says = DAMAGED[case]
    (folder / name).write_bytes(data)
    sides = "groups.csv" if "swf" in name else "sides.csv"
    said = _refused(folder / name, folder / sides)
    assert said is not None
    assert said.startswith(str(folder / name))
    assert says in said
    assert "\n" not in said


def test_a_directory_is_no_log(folder: Path) -> None:
    assert _refused(folder, folder / "sides.csv") == f"{folder}: Is a directory"


def test_a_log_is_known_to_be_compressed_without_its_name(folder: Path) -> None:
    (folder / "log").write_bytes(PACKED)
    assert _refused(folder / "log", folder / "groups.csv") is None


def _refused(log: Path, sides: Path) -> str | None:
    """Why there is no trial of a log; None where there is one."""
    try:
        trial_of(str(log), str(sides), "regional", 8, "cpu", None, None, "7d", "30m", "easy", 0)
    except (SafError, click.UsageError) as error:
        return str(error)
    return None


TOKENS = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"-1", b"NaN", b"inf", b"1e400", b"9" * 400, b"\r\n", b"\n\n", b"|",
    b",", b'"', b";", b"Unknown", b"\x1f", b"-7", b" ", b"0", b"4294967296", b"=", b".", b"\xd9\xa3", b"_",
)  # fmt: skip
LOGS = (*(text.encode() for text in (LOG, SACCT, SWF, SIDES)), PACKED, gzip.compress(LOG.encode(), mtime=0))
CUTS = st.tuples(st.integers(0, 1000), st.integers(0, 40), st.sampled_from(TOKENS) | st.binary(max_size=9))


@given(st.sampled_from(LOGS), st.lists(CUTS, max_size=4), st.booleans())
def test_whatever_the_bytes_a_log_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, cuts: list[tuple[int, int, bytes]], as_sides: bool
) -> None:
    for start, length, put in cuts:
        at = start % (len(log) + 1)
        log = log[:at] + put + log[at + length :]
    folder = tmp_path_factory.getbasetemp()
    (folder / "log").write_bytes(LOG.encode() if as_sides else log)
    (folder / "sides").write_bytes(log if as_sides else SIDES.encode())
    said = _refused(folder / "log", folder / "sides")
    assert said is None or (said and "\n" not in said and len(said) < 1000)
