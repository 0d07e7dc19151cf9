"""A past for a private cluster: finished jobs, put straight into slurmdbd's own table.

Rule: every value of a job is a function of its number, so a history is the same whenever it is made; all jobs
are eligible and ended inside the interval given, and Slurm's commands cannot tell them from real ones.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.slurm import SlurmCluster

RUNS_PER_HOUR = 400
FIRST_JOB = 50_000_000
"""Far above the ids that the cluster gives out itself, and below the largest that Slurm has."""
PER_STATEMENT = 100_000

ACCOUNTS = 60
USERS = 400
QOS = ("short", "long")

MEMBERS = """
CREATE TEMPORARY TABLE members (n INT PRIMARY KEY)
SELECT ROW_NUMBER() OVER (ORDER BY id_assoc) - 1 AS n, id_assoc, acct
FROM {cluster}_assoc_table WHERE user NOT IN ('', 'root') AND deleted = 0;
CREATE TEMPORARY TABLE levels (n INT PRIMARY KEY)
SELECT ROW_NUMBER() OVER (ORDER BY id) - 1 AS n, id FROM qos_table WHERE deleted = 0;
SET @members = (SELECT COUNT(*) FROM members), @levels = (SELECT COUNT(*) FROM levels);
SET @gpu = (SELECT MAX(id) FROM tres_table WHERE type = 'gres' AND name = 'gpu');
"""
JOBS = """
INSERT INTO {cluster}_job_table (
    mod_time, account, cpus_req, job_name, id_assoc, id_job, id_qos, id_resv, id_wckey, id_user, id_group,
    het_job_id, het_job_offset, kill_requid, state_reason_prev, nodes_alloc, nodelist, `partition`, priority,
    state, timelimit, time_submit, time_eligible, time_start, time_end, tres_alloc, tres_req
)
SELECT ended, acct, cpus, 'synthetic', id_assoc, {first_job} + seq, level, 0, 0, 0, 0, 0, 4294967294,
    IF(state = 4, 0, NULL), 0, 1, 'n1', IF(u7 < 0.8, 'main', 'debug'), 1000,
    state, 2880, eligible, eligible, IF(ran, started, 0), ended,
    IF(ran, tres, ''), tres
FROM (
    SELECT *, eligible + LEAST(waits, room) AS started,
        eligible + LEAST(waits + IF(ran, runs, 0), room) AS ended,
        CONCAT('1=', cpus, ',2=', cpus * 4000, ',4=1,5=', cpus,
            IF(gpus AND @gpu, CONCAT(',', @gpu, '=', gpus), '')) AS tres
    FROM (
        SELECT seq, u7, state, NOT (state = 4 AND u6 < 0.5) AS ran, m.id_assoc, m.acct, l.id AS level,
            {since} + FLOOR(seq * {step}) AS eligible, {until} - 1 - {since} - FLOOR(seq * {step}) AS room,
            FLOOR(LEAST(86400, -LN(1 - u2) * 1200)) AS waits,
            FLOOR(LEAST(172800, 1 - LN(1 - u3) * 3600)) AS runs,
            POW(2, FLOOR(6 * u4 * u4)) AS cpus, ELT(1 + FLOOR(10 * u5), 0, 0, 0, 0, 0, 0, 1, 1, 2, 4) AS gpus
        FROM (
            SELECT seq, u2, u3, u4, u5, u6, u7, FLOOR(@members * POW(u1, 2.5)) AS member,
                FLOOR(@levels * u8) AS qos, CASE WHEN u6 < 0.1 THEN 4 WHEN u6 > 0.95 THEN 6
                    WHEN u6 > 0.85 THEN 5 ELSE 3 END AS state
            FROM (SELECT seq, {numbers} FROM (
                SELECT seq, MD5(seq) AS a, MD5(CONCAT('b', seq)) AS b
                FROM seq_{low}_to_{high} LIMIT 1000000000
            ) AS hashed LIMIT 1000000000) AS drawn
        ) AS chosen
        JOIN members m ON m.n = member JOIN levels l ON l.n = qos
    ) AS timed
) AS made;
"""
STEPS = """
INSERT INTO {cluster}_step_table (
    job_db_inx, id_step, nodelist, nodes_alloc, state, step_name, task_cnt, time_start, time_end, tres_alloc
)
SELECT job_db_inx, {step}, 'n1', 1, state, '{name}', 1, time_start, time_end, tres_alloc
FROM {cluster}_job_table WHERE time_start > 0 AND id_job >= {first_job};
"""
CPU_SECONDS = """
SELECT account, SUM((time_end - time_start) * SUBSTRING_INDEX(SUBSTRING_INDEX(tres_alloc, ',', 1), '=', -1))
FROM {cluster}_job_table WHERE time_start > 0 AND id_job >= {first_job} GROUP BY account;
"""


def length(runs: int) -> int:
    """Seconds that so many runs take at the usual density."""
    return runs * 3600 // RUNS_PER_HOUR


def accounts() -> dict[str, str]:
    """account -> parent: half of them regional."""
    return {f"acct{n:02}": "national" if n % 2 else "regional" for n in range(ACCOUNTS)}


def plant(cluster: SlurmCluster) -> None:
    """The accounts, users and qualities of service of a large site; each user is in one account."""
    for name in QOS:
        cluster.run("sacctmgr", "-i", "add", "qos", name)
    tree = accounts()
    lines = [f"Cluster - '{cluster.name}'", "Parent - 'root'"]
    lines += ["Account - 'regional':Fairshare=25", "Account - 'national':Fairshare=75"]
    for parent in ("regional", "national"):
        lines += [f"Parent - '{parent}'", *(f"Account - '{name}'" for name in tree if tree[name] == parent)]
    for number, account in enumerate(tree):
        lines += [f"Parent - '{account}'"]
        lines += [f"User - 'user{n:03}'" for n in range(number, USERS, ACCOUNTS)]
    cluster.run("sacctmgr", "-i", "load", "file=/dev/stdin", stdin="\n".join(lines) + "\n", timeout=300)


def insert(
    cluster: SlurmCluster, runs: int, since: int, until: int, say: Callable[[int], object] = bool
) -> None:
    """So many finished jobs of the cluster's users, eligible evenly over [since, until) and ended in it."""
    for low in range(0, runs, PER_STATEMENT):
        high = min(runs, low + PER_STATEMENT) - 1
        values = {
            "cluster": cluster.name, "first_job": FIRST_JOB, "low": low, "high": high, "since": since,
            "until": until, "step": (until - since - 3600) / runs, "numbers": _numbers(),
        }  # fmt: skip
        cluster.mysql((MEMBERS + JOBS).format(**values))
        say(high + 1)


def insert_steps(cluster: SlurmCluster) -> None:
    """Two for each inserted job that ran: its script, and one that it started."""
    for step, name in ((-5, "batch"), (0, "work")):
        cluster.mysql(STEPS.format(cluster=cluster.name, step=step, name=name, first_job=FIRST_JOB))


def cpu_seconds(cluster: SlurmCluster) -> dict[str, int]:
    """account -> CPU-seconds of the inserted jobs, as MariaDB adds them up."""
    rows = cluster.mysql(CPU_SECONDS.format(cluster=cluster.name, first_job=FIRST_JOB)).splitlines()
    return {account: int(float(total)) for account, total in (row.split("\t") for row in rows)}


def _numbers() -> str:
    """Eight numbers in [0, 1) from the two hashes of a job's number."""
    parts = [
        f"CONV(SUBSTR({hashed}, {first}, 8), 16, 10) / 4294967296"
        for hashed in "ab"
        for first in (1, 9, 17, 25)
    ]
    return ", ".join(f"{part} AS u{n}" for n, part in enumerate(parts, 1))
