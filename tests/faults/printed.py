"""What Slurm's commands print of a source of values: the way back of the product's parsers.

Rule: the product's own Slurm, which runs these commands, gets the source's values back; tests/faults/
test_model.py holds each read to that. What no cycle asks is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from slurm_ai_factory.core.records import Association, Instant, PriorityConfig, Run
from slurm_ai_factory.slurm import queue
from slurm_ai_factory.source import Source

FAR = 2**32 - 3
"""Later than any run."""

SLURMDBD = """\
SlurmDBD configuration:
MaxQueryTimeRange = UNLIMITED
PrivateData = none
PurgeJobAfter = NONE
"""


class RefusedError(Exception):
    """A command failed; the text is what it writes to stderr."""


class Logged(NamedTuple):
    """A change of an account's own row in slurmdbd's log."""

    at: int
    actor: str
    account: str
    raw_shares: int


class Printer:
    """Slurm's commands on one source; ``modify`` sets RawShares of an account."""

    def __init__(self, source: Source, log: Sequence[Logged], modify: Callable[[str, int], None]) -> None:
        self.source, self.log, self.modify = source, log, modify
        self.shift = 0
        """Seconds by which slurmctld's clock is ahead."""

    def answer(self, name: str, arguments: Sequence[str], squeue_format: str = "") -> str:
        """What a command prints. Raises RefusedError."""
        options, known = Options(arguments), {
            "sacct": self._sacct, "sacctmgr": self._sacctmgr, "scontrol": self._scontrol,
            "sdiag": self._sdiag, "sprio": self._sprio, "sreport": lambda _: "", "sshare": self._sshare,
        }  # fmt: skip
        if name == "squeue":
            return self._squeue(squeue_format)
        return known[name](options)

    # --- slurmdbd

    def _sacct(self, options: Options) -> str:
        fields, bar = options.after("-o").split(","), options.set("--delimiter", "|")
        since, until = (uts(options.after(option)) for option in ("-S", "-E"))
        runs = self.source.runs(since or 0, until or FAR)
        return lines([run_fields(run)[field] for field in fields] for run in runs if isinstance(run, Run))(
            bar
        )

    def _sacctmgr(self, options: Options) -> str:
        match options.words[:2]:
            case ["modify", "account"]:
                self.modify(options.set("name"), int(options.set("fairshare")))
                return f" Modified account associations...\n  {options.set('name')}\n"
            case ["show", "assoc"]:
                return self._rows(options)
            case ["show", "event"]:
                sizes, outages = self.source.events(
                    uts(options.set("start")) or 0, uts(options.set("end")) or FAR
                )
                rows = [[size.since, size.until or "Unknown", "", size.tres, ""] for size in sizes]
                rows += [
                    [one.since, one.until or "Unknown", one.state, one.tres, one.node] for one in outages
                ]
                return lines(rows)()
            case ["show", "reservation"]:
                return ""
            case ["show", "configuration"]:
                return SLURMDBD
            case ["list", "transactions"]:
                since, numbers = uts(options.set("start")) or 0, self._numbers()
                return lines(
                    [
                        one.at,
                        one.actor,
                        f"(id_assoc={numbers[one.account, None]})",
                        f"shares={one.raw_shares}",
                    ]
                    for one in self.log
                    if one.at >= since
                )()
        raise RefusedError(f"sacctmgr: error: the model has no {' '.join(options.words[:2])}")

    def _numbers(self) -> dict[tuple[str, str | None], int]:
        """The id of each association, root's first."""
        return dict(zip(((row.account, row.user) for row in self.source.associations()), count(1)))

    def _rows(self, options: Options) -> str:
        numbers = self._numbers()
        asked, own = options.set("account"), "user=" in options.words
        wanted = options.set("format").split(",")
        return lines(
            [assoc_fields(row, numbers)[field] for field in wanted]
            for row in self.source.associations()
            if not asked or (row.account == asked and not (own and row.user))
        )()

    # --- slurmctld

    def _scontrol(self, options: Options) -> str:
        if options.words != ["show", "config"]:
            raise RefusedError(f"scontrol: error: the model has no {' '.join(options.words)}")
        return "".join(
            f"{key:<23} = {value}\n" for key, value in config_lines(self.source.priority_config()).items()
        )

    def _sdiag(self, _: Options) -> str:
        now = self.source.diagnostics()
        figures = "".join(
            f"\t{name}: {value}\n"
            for name, value in (
                ("Last cycle when", now.backfill_last_at and f"now ({now.backfill_last_at + self.shift})"),
                ("Last depth cycle", now.backfill_depth),
                ("Last queue length", now.backfill_queue),
            )
            if value is not None
        )
        return (
            f"sdiag output at now ({now.at + self.shift})\nDBD Agent queue size: {now.agent_queue}\n"
            f"Backfilling stats\n{figures}{queue.FIGURES_END}: 1 microseconds\n"
        )

    def _sprio(self, _: Options) -> str:
        terms = self.source.priority_terms()
        return lines(
            [one.job_id, one.fairshare, one.others, 0, 0, 0, 0, 0, "", 0, one.partition] for one in terms
        )()

    def _squeue(self, wanted: str) -> str:
        separator = wanted.partition(":")[2].partition(",")[0]
        return lines(
            [
                job.job_id, job.job_id, "N/A", "N/A", job.priority, job.eligible_at or "N/A",
                clock(job.limit_seconds), job.tres, job.state, job.reason, job.subject.account,
                job.subject.user, job.subject.partition, job.subject.qos, "(null)", "(null)", job.job_id,
            ]
            for job in self.source.queue()
        )(separator)  # fmt: skip

    def _sshare(self, options: Options) -> str:
        if "-V" in options.words:
            return "slurm model\n"
        numbers = self._numbers()
        return lines(
            [numbers[row.account, row.user], row.raw_shares, text(row.norm_shares), row.raw_usage or 0,
             text(row.effectv_usage), text(row.level_fs)]
            for row in self.source.associations()
        )()  # fmt: skip


class Options:
    """The arguments of one of Slurm's commands."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.all = list(arguments)
        self.words = [word for word in arguments if not word.startswith("-") or word == "-V"]

    def after(self, option: str) -> str:
        """The argument of an option, in the next word or in the same."""
        for word, following in zip(self.all, [*self.all[1:], ""], strict=True):
            if word == option:
                return following
            if word.startswith(option):
                return word.removeprefix(option)
        return ""

    def set(self, key: str, default: str = "") -> str:
        """What a key is set to."""
        return next((word.partition("=")[2] for word in self.all if word.partition("=")[0] == key), default)


def lines(rows: Iterable[Sequence[object]]) -> Callable[..., str]:
    """The rows as lines, given what stands between two fields; a bar by default."""
    cells = [[str(cell) for cell in row] for row in rows]
    return lambda bar="|": "".join(f"{bar.join(row)}\n" for row in cells)


def uts(text: str) -> int | None:
    """The seconds in ``uts123``; None for any other time."""
    return int(text.removeprefix("uts")) if text.startswith("uts") else None


def text(value: float | None) -> str:
    """A figure with all its digits; empty where there is none."""
    return "" if value is None else repr(value)


def clock(seconds: int | None) -> str:
    """A time as Slurm prints it.

    >>> clock(93784), clock(None)
    ('1-02:03:04', 'UNLIMITED')
    """
    if seconds is None:
        return "UNLIMITED"
    days, rest = divmod(seconds, 86400)
    return f"{days}-{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"


def run_fields(run: Run) -> Mapping[str, object]:
    """What sacct prints of a run, by field."""
    subject = run.subject
    return {
        "DBIndex": run.db_index, "JobIDRaw": run.job_id, "ReservationId": "",
        "Submit": instant(run.submit_at),
        "Eligible": instant(run.eligible_at), "Start": instant(run.start_at), "End": instant(run.end_at),
        "ElapsedRaw": run.elapsed_seconds, "Suspended": clock(run.suspended_seconds), "ReqTRES": run.req_tres,
        "AllocTRES": run.alloc_tres, "State": run.state, "JobID": run.job_label, "Cluster": subject.cluster,
        "Account": subject.account, "User": subject.user, "Partition": subject.partition, "QOS": subject.qos,
        "WCKey": subject.wckey, "Reservation": subject.reservation, "Comment": "",
    }  # fmt: skip


def assoc_fields(row: Association, numbers: Mapping[tuple[str, str | None], int]) -> Mapping[str, object]:
    """What sacctmgr prints of an association, by field."""
    above = row.account if row.user else row.parent
    return {
        "ID": numbers[row.account, row.user], "ParentID": numbers[above, None] if above else 0,
        "Share": row.stored_shares, "Account": row.account, "User": row.user or "", "Partition": "",
    }  # fmt: skip


def instant(at: Instant | None) -> object:
    """Epoch seconds, or the word for none."""
    return "Unknown" if at is None else at


def config_lines(config: PriorityConfig) -> Mapping[str, object]:
    """The settings of ``scontrol show config`` that the product reads."""
    return {
        "AccountingStorageEnforce": ",".join(config.enforce), "AccountingStorageTRES": ",".join(config.tres),
        "ClusterName": config.cluster, "PriorityCalcPeriod": clock(config.calc_period_seconds),
        "PriorityDecayHalfLife": clock(config.decay_half_life_seconds),
        "PriorityFlags": ",".join(config.flags) or "(null)", "PriorityType": config.priority_type,
        "PriorityUsageResetPeriod": config.usage_reset, "PriorityWeightAge": config.weight_age,
        "PriorityWeightFairShare": config.weight_fairshare, "PrivateData": "none",
        "SLURM_VERSION": config.version, "SlurmUser": f"{config.slurm_user}(0)",
    }  # fmt: skip
