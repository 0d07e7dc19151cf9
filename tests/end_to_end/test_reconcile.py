"""A day of everything that accounting gets wrong: the ledger, sacct and sreport agree, or say why not.

The cluster's clock runs sixty times too fast, so that slurmdbd rolls up an hour each minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from slurm_ai_factory.audit import reconcile
from slurm_ai_factory.core import tres, windows
from tests.cluster.day import HOUR, YOUNG, Day, odd_day
from tests.cluster.fixtures import needs_slurm
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import plant
from tests.saf import Saf

SPEED = 60
pytestmark = needs_slurm(SPEED)
STATES = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "REQUEUED", "RESIZING", "RUNNING"}


@dataclass(frozen=True)
class Lived:
    """The cluster after its day."""

    cluster: SlurmCluster
    day: Day

    @property
    def span(self) -> tuple[str, str, str, str]:
        return "-S", windows.iso(self.day.since), "-E", windows.iso(self.day.until)

    def sacct(self, fields: str) -> list[list[str]]:
        printed = self.cluster.run(
            "env", "SLURM_TIME_FORMAT=%s", "sacct", "-a", "-D", "-X", "-n", "-P", f"-Suts{self.day.since}",
            f"-Euts{self.day.until}", "-o", fields,
        )  # fmt: skip
        return [line.split("|") for line in printed.splitlines()]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    directory = tmp_path_factory.mktemp("day") / "cluster"
    with SlurmCluster(
        directory, nodes=6, gpus_per_node=2, speed=SPEED, clock_start="2026-03-28 22:10:00"
    ) as cluster:
        yield Lived(cluster, odd_day(cluster, plant(cluster)))


@pytest.fixture
def saf(lived: Lived, ledger_url: str, tmp_path: Path) -> Saf:
    """The product on the fast clock, where a timeout is sixty times shorter than it says."""
    url = psycopg.conninfo.make_conninfo(ledger_url, connect_timeout=3600)
    saf = Saf(tmp_path, lived.cluster.env, url)
    saf.configure("slurm", timeout="1h", since=windows.iso(lived.day.since))
    return saf


def test_all_that_can_be_provoked_is_there(lived: Lived) -> None:
    runs = lived.sacct("State,JobID,Suspended,Account,Reservation,AllocTRES")
    states, jobs, suspended, accounts, reservations, tres = map(set, zip(*runs, strict=True))
    assert {state.split()[0] for state in states} >= STATES
    assert any("+" in job for job in jobs)
    assert any("_" in job for job in jobs)
    assert suspended > {"00:00:00"}
    assert {YOUNG, "umcg", "astro", "climate", "province"} <= accounts
    assert "lesson" in reservations
    assert any("gres/gpu=2" in one for one in tres)
    assert "" in tres


def test_every_difference_is_explained_and_accounts_equal_sacct_to_the_second(lived: Lived, saf: Saf) -> None:
    saf.run("cycle")
    found = saf.json("reconcile", *lived.span)
    assert found["unexplained"] == 0
    assert all(row["ledger"] == row["sacct"] for row in found["rows"])
    causes = {cause for row in found["rows"] for cause in row["causes"]}
    again = any(start < submit for submit, start in lived.sacct("Submit,Start") if start.isdigit())
    assert {reconcile.IDLE, reconcile.SUSPENDED} | ({reconcile.RESIZED} if again else set()) <= causes
    assert causes <= {reconcile.IDLE, reconcile.SUSPENDED, reconcile.RESIZED, reconcile.SUSPENDED_WHEN}
    books = {(row["account"], row["tres"]): row["ledger"] for row in found["rows"]}
    expected = _charges(lived)
    assert {key: books.get(key, 0) for key in expected} == expected


def _charges(lived: Lived) -> dict[tuple[str, str], int]:
    """TRES-seconds of the ended runs of each account in which none is open, added up as sacct has them."""
    charges: Counter[tuple[str, str]] = Counter()
    rows = lived.sacct("Account,State,ElapsedRaw,AllocTRES,Submit,Start")
    still_open = {account for account, state, *_ in rows if state == "RUNNING"}
    for account, _, elapsed, held, submit, start in rows:
        if account in still_open or not held:
            continue
        again = max(0, int(submit) - int(start))
        for name, count in (entry.split("=") for entry in held.split(",")):
            charges[account, name] += (int(elapsed) - again) * int(count)
    return charges


def test_a_second_too_much_in_the_ledger_is_found(lived: Lived, saf: Saf, ledger_url: str) -> None:
    saf.run("cycle")
    with psycopg.connect(ledger_url) as connection:
        place = connection.execute(
            "SELECT hour, subject_id, allocation_id, tres FROM hourly_usage JOIN subjects USING (subject_id) "
            "JOIN allocations USING (allocation_id) WHERE account = 'climate' AND tres ~ 'cpu=' LIMIT 1"
        ).fetchone()
        assert place
        connection.execute(
            "UPDATE hourly_usage SET delivered = delivered + 1 "
            "WHERE (hour, subject_id, allocation_id) = (%s, %s, %s)",
            place[:3],
        )
    found = saf.json("reconcile", *lived.span, code=5)
    wrong = {(row["account"], row["tres"]): row["unexplained"] for row in found["rows"] if row["unexplained"]}
    assert wrong == {("climate", name): -count for name, count in tres.parse_tres(place[3]).items()}
    assert (
        f"UNEXPLAINED -{tres.parse_tres(place[3])['cpu']}" in saf.run("reconcile", *lived.span, code=5).stdout
    )


def test_what_was_not_read_and_not_rolled_up_is_told_with_its_amount(lived: Lived, saf: Saf) -> None:
    now = int(lived.cluster.now()) // HOUR * HOUR
    found = saf.json("reconcile", "-S", windows.iso(lived.day.since), "-E", windows.iso(now))
    assert found["unexplained"] == 0
    assert all(row["ledger"] == 0 for row in found["rows"])
    assert reconcile.NOT_READ in {cause for row in found["rows"] for cause in row["causes"]}


def test_the_ledger_follows_the_repair_of_a_runaway_job(lived: Lived, saf: Saf) -> None:
    """slurmdbd lost the end of a job; the operator lets sacctmgr repair it, and its usage is gone."""
    job = next(job for job, account in lived.sacct("JobIDRaw,Account") if account == YOUNG)
    lived.cluster.mysql(f"UPDATE loop_job_table SET time_end = 0, state = 1 WHERE id_job = {job}")
    saf.run("cycle")
    counted = saf.json("reconcile", *lived.span, code=5)["rows"]
    assert next(row["unexplained"] for row in counted if row["account"] == YOUNG) < 0
    wait_until(lambda: _repaired(lived, job), "sacctmgr to repair the job", 120, interval=0.5)
    turn = (int(lived.cluster.now()) // HOUR + 1) * HOUR
    wait_until(lambda: _rolled_up(lived, turn), "slurmdbd to roll the hours up again", 120, interval=0.5)
    before = saf.json("reconcile", *lived.span)
    assert {cause for row in before["rows"] if row["account"] == YOUNG for cause in row["causes"]} == {
        reconcile.CHANGED
    }
    saf.run("cycle")
    after = saf.json("reconcile", *lived.span)
    assert after["unexplained"] == 0
    assert YOUNG not in {row["account"] for row in after["rows"]}


def _repaired(lived: Lived, job: str) -> bool:
    """Let sacctmgr repair what it takes for a runaway job; whether that was so for this one."""
    lived.cluster.run("sacctmgr", "-i", "show", "runawayjobs")
    return lived.cluster.mysql(f"SELECT time_end FROM loop_job_table WHERE id_job = {job}").strip() != "0"


def _rolled_up(lived: Lived, until: int) -> bool:
    printed = lived.cluster.mysql("SELECT hourly_rollup FROM loop_last_ran_table")
    return int(printed) >= until
