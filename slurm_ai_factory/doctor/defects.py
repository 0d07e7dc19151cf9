"""What versions of Slurm get wrong, each with the evidence that this site was hit. Pure.

``DEFECTS`` is the table, one row for each defect: the versions that have it, what it does, what to do, and
where Slurm says so. Rule: a row speaks only where the version has the defect and there is evidence of it.
No evidence is no proof that all is well: it is looked for in the last day.
Tested in tests/doctor/test_defects.py.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.live import health
from slurm_ai_factory.core.records import Run
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor.facts import OK, WARNING, CheckResult, Facts, Recent, doctor_check

Version = tuple[int, int, int]
VersionRange = tuple[Version, Version]
"""The first version that has a defect, and the first that has not."""

FIRST, LAST = (0, 0, 0), (99, 0, 0)
LOST_PART = 0.01
"""Part of the job numbers without a record that is a finding; a refused job may use up a number."""
LOST_LEAST = 5


def release(text: str) -> Version:
    """The version in Slurm's own words.

    >>> release("26.05.5"), release("25.11.0-0rc1"), release("?")
    ((26, 5, 5), (25, 11, 0), (0, 0, 0))
    """
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else FIRST


class Defect(NamedTuple):
    """One defect: ``evidence`` says in words what it did here, and is empty where it did nothing."""

    name: str
    versions: tuple[VersionRange, ...]
    effect: str
    evidence: Callable[[Facts, Recent], str]
    remedy: str
    source: str

    @property
    def where(self) -> str:
        """The versions in words."""
        return "; ".join(_in_words(first, fixed) for first, fixed in self.versions)

    def concerns(self, version: Version) -> bool:
        """Whether this version has the defect."""
        return any(first <= version < fixed for first, fixed in self.versions)


def _in_words(first: Version, fixed: Version) -> str:
    """A range of versions.

    >>> _in_words((25, 11, 0), (25, 11, 5)), _in_words(FIRST, (26, 5, 3)), _in_words(FIRST, LAST)
    ('from 25.11.0, before 25.11.5', 'before 26.05.3', 'all')
    """
    parts = [f"from {_text(first)}"] if first != FIRST else []
    parts += [f"before {_text(fixed)}"] if fixed != LAST else []
    return ", ".join(parts) or "all"


def _text(version: Version) -> str:
    return "{}.{:02}.{}".format(*version)


def _lost_numbers(_facts: Facts, recent: Recent) -> str:
    """Job numbers of the last day without a record; a requeued job has a new Submit and does not count."""
    times = _by_job(recent.runs)
    fresh = [
        number
        for number, runs in times.items()
        if len(runs) == 1 and (runs[0].submit_at or 0) >= recent.since
    ]
    if not fresh:
        return ""
    seen = set(times) | {job.job_id for job in recent.queue}
    span = max(fresh) - min(fresh) + 1
    lost = span - sum(min(fresh) <= number <= max(fresh) for number in seen)
    if lost < max(LOST_LEAST, LOST_PART * span):
        return ""
    return f"{lost} of the {span} job numbers of the last day have no record"


def _by_job(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """The runs of each job, in the order of their starts."""
    by_job = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.submit_at or 0, run.start_at or 0)):
        by_job[run.job_id].append(run)
    return dict(by_job)


def _runaways(recent: Recent) -> Iterator[tuple[Run, bool]]:
    """Open runs of jobs that slurmctld does not have, each with whether its job ran before."""
    queued = {job.job_id for job in recent.queue}
    for number, runs in _by_job(recent.runs).items():
        last = runs[-1]
        if last.end_at is None and last.start_at and last.start_at < recent.at and number not in queued:
            yield last, len(runs) > 1


def _quick_runaways(_facts: Facts, recent: Recent) -> str:
    hits = sum(not again for _, again in _runaways(recent))
    return f"{count(hits, 'job')} without an end in slurmdbd, and unknown to slurmctld" if hits else ""


def _false_runaways(_facts: Facts, recent: Recent) -> str:
    """It matters where an operator will want to fix runaways while a requeued job is there."""
    queued = {job.job_id for job in recent.queue}
    again = sum(len(runs) > 1 and number in queued for number, runs in _by_job(recent.runs).items())
    if not again or not any(_runaways(recent)):
        return ""
    return f"there are runaways to fix, and {count(again, 'requeued job')} to spare"


def _reservations(facts: Facts, _recent: Recent) -> str:
    return "a rule names a reservation" if facts.reservations_named else ""


def _adding(facts: Facts, _recent: Recent) -> str:
    missing = health.untracked(facts.priority, facts.weights)
    return f"AccountingStorageTRES still lacks {', '.join(missing)}" if missing else ""


def _lost_licences(_facts: Facts, recent: Recent) -> str:
    hits = sum(
        any(_licences(run.alloc_tres or run.req_tres) for run in runs[:-1])
        and not _licences(runs[-1].req_tres)
        for runs in _by_job(recent.runs).values()
    )
    return f"{count(hits, 'requeued job')} had licences before and none after" if hits else ""


def _licences(text: str) -> bool:
    return any(name.startswith("license/") for name in tres.parse_tres(text))


def _expedited(_facts: Facts, recent: Recent) -> str:
    hits = sum(job.state == "EXPEDITING" for job in recent.queue)
    return f"{count(hits, 'job')} in state EXPEDITING" if hits else ""


def _metrics(facts: Facts, _recent: Recent) -> str:
    kind = (facts.configuration or {}).get("MetricsType", "")
    return f"MetricsType is {kind}" if kind not in ("", "(null)") else ""


def _energy(facts: Facts, recent: Recent) -> str:
    kind = (facts.configuration or {}).get("AcctGatherEnergyType", "")
    if kind in ("", "(null)", "acct_gather_energy/none"):
        return ""
    over = [run for run in recent.runs if run.end_at and run.elapsed_seconds >= 600]
    without = sum(run.energy_joules is None for run in over)
    return (
        f"{without} of {count(len(over), 'finished run')} of the last day have no energy" if without else ""
    )


def _het_billing(facts: Facts, recent: Recent) -> str:
    if "billing" not in facts.weights:
        return ""
    parts = [run.alloc_tres for run in recent.runs if "+" in run.job_label and run.alloc_tres]
    hits = sum("billing" not in tres.parse_tres(text) for text in parts)
    return f"{count(hits, 'part')} of heterogeneous jobs have none" if hits else ""


def _suspended_gpus(_facts: Facts, recent: Recent) -> str:
    hits = sum(run.suspended_seconds > 0 and "gres/gpu" in run.alloc_tres for run in recent.runs)
    return f"{count(hits, 'run')} with GPUs {'was' if hits == 1 else 'were'} suspended" if hits else ""


DEFECTS = (
    Defect(
        "lost_transactions", ((FIRST, (26, 5, 3)),),
        "loses transactions of slurmdbd where MariaDB from 11.6.2 on has innodb_snapshot_isolation on",
        _lost_numbers,
        "my.cnf: innodb_snapshot_isolation=OFF, then restart MariaDB (SELECT @@innodb_snapshot_isolation)",
        "CHANGELOG 26.05.3: error at slurmdbd startup",
    ),
    Defect(
        "quick_runaways", (((25, 11, 0), (25, 11, 5)),), "leaves jobs that end quickly open in slurmdbd",
        _quick_runaways,
        "upgrade to 25.11.5; then sacctmgr show runaway, and let it fix them",
        "CHANGELOG 25.11.5: jobs that complete quickly",
    ),
    Defect(
        "false_runaways", ((FIRST, (25, 11, 3)),), "lists requeued and cron jobs as runaway that are not",
        _false_runaways,
        "look for each job in squeue before sacctmgr show runaway fixes it: a fix takes its usage away",
        "CHANGELOG 25.11.3: cron/requeued jobs",
    ),
    Defect(
        "reservation_ids", (((24, 11, 0), (24, 11, 6)),),
        "sets the reservation of running jobs to 0 when it is upgraded from before 24.11",
        _reservations,
        "upgrade to 24.11.6 or 25.05; a run that lost its reservation may change sides: see Restated figures",
        "CHANGELOG 24.11.6: repeat job start messages",
    ),
    Defect(
        "added_tres", ((FIRST, (25, 11, 6)),),
        "writes past the end of an array when a TRES is added while usage is left over",
        _adding,
        "before AccountingStorageTRES grows, upgrade to 25.11.6 or 26.05, or back up StateSaveLocation",
        "CHANGELOG 25.11.6: resizing leaf_usage",
    ),
    Defect(
        "lost_licences", (((25, 5, 0), (25, 11, 7)),), "drops the licences and HRES of requeued jobs",
        _lost_licences,
        "upgrade to 25.11.7; until then licences bound no requeued job",
        "CHANGELOG 25.11.7: requeued jobs to lose their license/HRES requests",
    ),
    Defect(
        "expedited", (((25, 11, 0), LAST),), "puts jobs of --requeue=expedite before all fairshare",
        _expedited,
        "count them when the index of authority falls; a job_submit plugin can refuse --requeue=expedite",
        "sbatch --requeue, and CHANGELOG 25.11.0rc2: expediting state",
    ),
    Defect(
        "nodes_alloc", (((25, 11, 0), (26, 5, 2)),), "counts shared nodes twice in slurmctld's own metrics",
        _metrics,
        "upgrade to 26.05.2, or use no nodes_alloc of slurmctld in dashboards; saf does not read it",
        "CHANGELOG 26.05.2: nodes_alloc statistics overcount",
    ),
    Defect(
        "energy", (((24, 5, 0), (25, 5, 0)),), "loses or spoils energy when slurmd restarts",
        _energy,
        "upgrade to 25.05; report no energy of the time before",
        "CHANGELOG 24.05.2, 24.05.4, 24.11.0rc1, 24.11.4 and 25.05.0rc1: energy",
    ),
    Defect(
        "het_billing", (((26, 5, 0), (26, 6, 0)),), "records no billing for heterogeneous jobs",
        _het_billing,
        "saf promise set --resource cpu, node or gres/gpu",
        "seen on 26.05.5, not on 24.11.5",
    ),
    Defect(
        "suspended_gpus", ((FIRST, LAST),), "counts GPUs of suspended jobs in sreport, but no CPUs",
        _suspended_gpus,
        "saf reconcile explains the difference; saf counts no suspended time",
        "as_mysql_rollup.c: suspend_seconds",
    ),
)  # fmt: skip


def at_work(facts: Facts, recent: Recent) -> list[tuple[Defect, str]]:
    """The defects that this version has and that show here, each with its evidence."""
    version = release(facts.priority.version)
    pairs = ((defect, defect.evidence(facts, recent)) for defect in DEFECTS if defect.concerns(version))
    return [(defect, evidence) for defect, evidence in pairs if evidence]


@doctor_check(
    "known_defects", "a defect of Slurm looks like a fault of the site", ("recent", "configuration")
)
def known_defects_check(facts: Facts) -> CheckResult:
    wanted = "none of the known defects of this version at work"
    version, rows = facts.priority.version, at_work(facts, facts.recent or Recent())
    if not rows:
        return CheckResult(OK, f"Slurm {version}: no evidence of any", wanted)
    state = "; ".join(f"Slurm {version} {defect.effect}: {evidence}" for defect, evidence in rows)
    fix = "\n".join(f"{defect.name}: {defect.remedy}" for defect, _ in rows)
    return CheckResult(WARNING, state, wanted, fix)


def adding_tres(version: str) -> str:
    """What to heed before a TRES is added to AccountingStorageTRES; empty where that is safe."""
    (defect,) = (defect for defect in DEFECTS if defect.name == "added_tres")
    return f"\n{defect.remedy}" if defect.concerns(release(version)) else ""
