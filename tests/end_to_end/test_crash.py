"""SIGKILL at random moments: afterwards the ledger is, row for row, the one that nobody interrupted.

KILLS, from the environment, is how often; SEED repeats a campaign. The first kill and half of the others wait
for a transaction to be in progress, so that a campaign cannot pass by hitting only what is between them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

from slurm_ai_factory.core.windows import iso
from tests.benchmarks import history
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.conftest import new_ledger
from tests.saf import Saf

KILLS = int(os.environ.get("KILLS", "4"))
SEED = int(os.environ.get("SEED", "20270326"))
RUNS = 3000
DAY = 86400
POLL_SECONDS = 0.002

OF_RUNS = """
SELECT r.db_index, r.job_id, r.job_label, s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation,
    r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds,
    q.tres, a.tres, r.energy_joules, r.missing_since
FROM runs r JOIN subjects s USING (subject_id) JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id
WHERE r.job_id >= %(first_job)s ORDER BY r.db_index
"""
OF_USAGE = """
SELECT u.hour, s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, a.tres, u.delivered,
    u.waiting
FROM hourly_usage u JOIN subjects s USING (subject_id) JOIN allocations a USING (allocation_id)
WHERE u.hour >= %(since)s AND u.hour < %(until)s ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
"""
OF_TRES = """
SELECT a.tres, t.name, c.count
FROM allocations a JOIN allocation_tres c USING (allocation_id) JOIN tres t USING (tres_id)
WHERE a.allocation_id IN (SELECT req_id FROM runs WHERE job_id >= %(first_job)s) ORDER BY 1, 2
"""
OF_VERSIONS = "SELECT count(*) FROM run_versions WHERE job_id >= %(first_job)s"
IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'saf@%'
    AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'saf@%'
"""

Interval = tuple[int, int]


@pytest.fixture(scope="module")
def past(slurm: SlurmCluster, slurm_tree: object) -> Interval:
    """Ten days of finished jobs, long before anything that other tests do."""
    assert slurm_tree
    until = int(time.time()) // DAY * DAY - 200 * DAY
    history.insert(slurm, RUNS, until - 10 * DAY, until)
    return until - 10 * DAY, until


@pytest.mark.parametrize("command", ["backfill", "cycle"])
@pytest.mark.timeout(600 + 60 * KILLS)
def test_a_killed_process_leaves_the_ledger_that_an_uninterrupted_one_makes(
    saf: Saf, past: Interval, ledger_url: str, postgresql: str, command: str
) -> None:
    saf.configure("slurm", read_window="6h", since=iso(past[0]))
    arguments = {"backfill": ("backfill", "-S", iso(past[0]), "-E", iso(past[1])), "cycle": ("cycle",)}[
        command
    ]
    began = time.monotonic()
    saf.run(*arguments)
    campaign = Campaign(saf, arguments, time.monotonic() - began, random.Random(SEED))
    wanted = books(ledger_url, past)
    assert len(wanted["runs"]) == RUNS
    while campaign.hit["killed"] < (KILLS + 1) // 2 or not campaign.hit["in a transaction"]:
        with new_ledger(postgresql) as url:
            saf.configure("ledger", url=url)
            campaign.until_whole(url)
            found = books(url, past)
        assert all(found[name] == rows for name, rows in wanted.items()), f"after {campaign.hit}, seed {SEED}"
    print(f"{command}: {dict(campaign.hit)}")


class Campaign:
    """One command, and how often it was killed."""

    def __init__(self, saf: Saf, arguments: tuple[str, ...], usual: float, dice: random.Random) -> None:
        self.saf, self.arguments, self.usual, self.dice = saf, arguments, usual, dice
        self.hit: Counter[str] = Counter()

    def until_whole(self, url: str) -> None:
        """Start the command again and again, until once it is not killed."""
        with psycopg.connect(url, autocommit=True, application_name="watch") as watch:

            def found(query: str) -> bool:
                return watch.execute(query.encode()).fetchone() != (0,)

            while not self._ended(lambda: found(IN_TRANSACTION)):
                # PostgreSQL ends the statement of a killed process first, and until then it has the lock.
                wait_until(lambda: not found(SESSIONS), "the end of its session", 120)

    def _ended(self, in_transaction: Callable[[], bool]) -> bool:
        """Start the command and kill it at some moment; whether it came to its end before."""
        process = subprocess.Popen(
            self.saf.argv(*self.arguments), env=self.saf.env, cwd=self.saf.directory,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        at = time.monotonic() + self.dice.uniform(0, self.usual)
        aimed = not self.hit["in a transaction"] or self.dice.random() < 0.5
        while process.poll() is None and (time.monotonic() < at or (aimed and not in_transaction())):
            time.sleep(POLL_SECONDS)
        inside = in_transaction()
        process.kill()
        code = process.wait(timeout=300)
        assert code in (0, -signal.SIGKILL), f"exit {code} of its own accord"
        if code:
            self.hit["killed"] += 1
            self.hit["in a transaction"] += inside
        return code == 0


def books(url: str, past: Interval) -> dict[str, list[tuple[object, ...]]]:
    """What the ledger says of the past, without the keys and the instants of its own."""
    values = {"first_job": history.FIRST_JOB, "since": past[0], "until": past[1]}
    queries = {"runs": OF_RUNS, "usage": OF_USAGE, "tres": OF_TRES, "versions": OF_VERSIONS}
    with psycopg.connect(url) as connection:
        return {name: connection.execute(query, values).fetchall() for name, query in queries.items()}
