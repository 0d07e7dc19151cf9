"""Slurm as the rest of the product sees it: values in, values out, one call each.

Reads are complete or raise SlurmError; rows that cannot be parsed are listed by ``unreadable``. After each
answer that PrivateData could shorten, the client checks that this user sees every row. For a cluster that
slurmdbd does not know, every Slurm prints an empty answer and exits 0, so the name is compared with
slurmctld's own before any answer counts. The one write sets RawShares of one account of one cluster and
reports no outcome: read it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TypeVar

from slurm_ai_factory.core.control.switch import WEIGHTS
from slurm_ai_factory.core.energy.keeping import NodeNow, ReservationAct, ReservedNow
from slurm_ai_factory.core.live import rights
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.bounds import NativeLimits
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import (
    Association,
    Change,
    Charge,
    GatheredEnergy,
    Instant,
    LeverKind,
    LoggedWriter,
    Node,
    Outage,
    Partition,
    PriorityConfig,
    Rejected,
    Reservation,
    Run,
    Size,
    Slurmdbd,
    SwitchNow,
    Transaction,
)
from slurm_ai_factory.errors import BlindError, GarbledError, SlurmError, SlurmUnsupportedError
from slurm_ai_factory.identity import user_name
from slurm_ai_factory.slurm import fields, limits, parse, queue, reserving, settings, shares
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.tree import AssociationTree

TRIES = 3
"""How often a command runs whose answer has the wrong number of separators."""

OWN_START = (24, 11)
"""From this release on Slurm gives the later runs of a resized job a Start of their own."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Slurm:
    """One cluster, through its commands."""

    cluster: str
    commands: Commands
    odd: list[Rejected] = field(default_factory=list, init=False, compare=False, repr=False)

    def unreadable(self) -> list[Rejected]:
        """The rows that could not be read since the last call, each once; not those of ``runs``."""
        rows = list(dict.fromkeys(self.odd))
        self.odd.clear()
        return rows

    def _sound(self, read: Iterable[_Value | Rejected]) -> list[_Value]:
        """The rows that could be read; the others are kept for ``unreadable``."""
        rows = list(read)
        self.odd.extend(row for row in rows if isinstance(row, Rejected))
        return [row for row in rows if not isinstance(row, Rejected)]

    def runs(self, since: Instant, until: Instant) -> Iterator[Run | Rejected]:
        """Every run that was eligible or running in [since, until), in whatever state.

        Includes earlier runs of requeued jobs (-D) and all users (-a), without steps (-X). Any answer whose
        ``until`` is now includes running and waiting runs.
        """
        runs = self._runs("-S", f"uts{since}", "-E", f"uts{until}")
        self._must_see(rights.RUNS)
        return iter(self._from_own_starts(runs))

    def _runs(self, *which: str) -> list[Run | Rejected]:
        """Asks with a random separator, which no user can have put into a text before."""
        ask = ("-M", self.cluster, "-a", "-D", "-X", "-P", "-n", "--noconvert", *which)
        fields = ",".join(parse.RUN_FIELDS)
        return _separated(
            "sacct",
            lambda separator: parse.runs(
                self.commands.pieces("sacct", *ask, f"--delimiter={separator}", "-o", fields), separator
            ),
        )

    def federation_id(self) -> int:
        """The cluster's number in its federation, as slurmdbd has it; 0 where it is in none."""
        lines = self._shown("cluster", settings.FEDERATION_FIELDS, "where", f"name={self.cluster}")
        numbers = dict(self._all(settings.federation_numbers(lines)))
        if self.cluster not in numbers:
            raise SlurmError(f"slurmdbd has no cluster {self.cluster}; check cluster.name")
        return numbers[self.cluster]

    def _from_own_starts(self, runs: list[Run | Rejected]) -> list[Run | Rejected]:
        """The runs, those of resized jobs corrected as parse.from_own_start says.

        The run before, which ended with the resize, may lie in another interval: then sacct is asked for it.
        """
        late = parse.late_submits(runs)
        if not late or (shares.sshare_release(self.version()) or OWN_START) >= OWN_START:
            return runs
        resized = parse.resizes(runs)
        alone = [run for run in late if (run.job_id, run.submit_at) not in resized]
        for batch in (alone[at : at + 1000] for at in range(0, len(alone), 1000)):
            jobs = ",".join(sorted({str(run.job_id) for run in batch}))
            since = min(run.start_at or 0 for run in batch)
            until = max(run.submit_at or 0 for run in batch) + 1
            resized |= parse.resizes(self._runs("-j", jobs, "-S", f"uts{since}", "-E", f"uts{until}"))
        return [parse.from_own_start(run, resized) for run in runs]

    def _must_see(self, rows: rights.Rows, user: str = "") -> None:
        """Raise BlindError unless Slurm shows this user every row of the answer that was just read.

        ``user``: whose rights the answer has; by default those of this process.
        """
        user = user or user_name()
        if user == "root":
            return
        priority = Slurm._settings(self)  # by the command, which is quick
        of_slurmdbd = self.slurmdbd().private_data if rows.slurmdbd else ()
        hidden = rows.hidden(priority.private_data, of_slurmdbd)
        if hidden and not rights.unrestricted(user, priority.slurm_user, None):
            level = self.admin_level(user)
            if not rights.unrestricted(user, priority.slurm_user, level):
                raise BlindError(rights.blind(hidden, user, level))

    def version(self) -> str:
        """The release of Slurm's commands, as they print it."""
        return self.commands.output("sshare", "-V")

    def associations(self) -> tuple[Association, ...]:
        """The association tree with shares from slurmdbd and usage from slurmctld."""
        tree, usage = self._sound(self._tree()), self._usage()
        self._must_see(rights.ASSOCIATIONS)
        return self._some(parse.parse_associations(self.cluster, tree, usage))

    def _some(self, associations: tuple[Association, ...]) -> tuple[Association, ...]:
        if not associations:
            raise SlurmError(f"slurmdbd has no associations for cluster {self.cluster}; check cluster.name")
        return associations

    def _usage(self) -> dict[int, shares.AssociationUsage]:
        """Usage by association id, from sshare's JSON where it offers a known schema, else text."""
        version = self.version()
        _, answer = self._shares_in_json(version, "-a")
        if answer:
            return dict(self._sound(shares.from_json(answer, version)))
        fields = ",".join(shares.SHARE_FIELDS)
        return dict(self._sound(shares.from_text(self._list("sshare", "-P", "-h", "-a", "-o", fields))))

    def _shares_in_json(self, version: str, *whose: str) -> tuple[str, str]:
        """The newest known schema that sshare offers, and its answer; empty where it offers none."""
        for schema in shares.schemas(version):
            with suppress(SlurmUnsupportedError):
                return schema, self.commands.output("sshare", *whose, f"--json={schema}")
        return "", ""

    def shares_schema(self) -> str:
        """The schema in which shares and usage are read; empty where they are read as text."""
        return self._shares_in_json(self.version(), "-A", "root")[0]

    def _tree(self) -> list[parse.AssociationRow | Rejected]:
        return AssociationTree(self.commands, self.cluster).rows()

    def events(self, since: Instant, until: Instant) -> tuple[list[Size], list[Outage]]:
        """The sizes of the cluster and the outages of its nodes in [since, until)."""
        lines = self._shown(
            "event", parse.EVENT_FIELDS, "where", f"cluster={self.cluster}",
            f"start=uts{since}", f"end=uts{until}",
        )  # fmt: skip
        events = self._sound(parse.events(lines))
        sizes = [event for event in events if isinstance(event, Size)]
        return sizes, [event for event in events if isinstance(event, Outage)]

    def rolled_up(self, since: Instant, until: Instant) -> bool:
        """Whether slurmdbd has rolled up this hour into its tables of usage."""
        return bool(
            self._list("sreport", "-n", "-P", "-t", "Seconds", *self._report("Utilization", since, until))
        )

    def utilization(self, since: Instant, until: Instant) -> dict[tuple[str, str], Charge]:
        """sreport's TRES-seconds by (account, TRES) in [since, until), whole hours that are rolled up.

        Each account's own, without the accounts below it, and with the idle reservation time that sreport
        adds.
        """
        lines = self._list(
            "sreport", "-n", "-P", "-t", "Seconds", "-T", "ALL",
            *self._report("AccountUtilizationByUser", since, until), "tree",
            f"format={','.join(parse.UTILIZATION_FIELDS)}",
        )  # fmt: skip
        rows = self._sound(parse.used(lines))
        self._must_see(rights.UTILIZATION)
        return parse.utilization(rows)

    def _report(self, report: str, since: Instant, until: Instant) -> tuple[str, ...]:
        return "cluster", report, f"cluster={self.cluster}", f"start=uts{since}", f"end=uts{until}"

    def reservations(self, since: Instant, until: Instant) -> list[Reservation]:
        """The reservations in [since, until), one entry for each period in which one did not change."""
        lines = self._shown(
            "reservation", parse.RESERVATION_FIELDS, "where", f"cluster={self.cluster}",
            f"start=uts{since}", f"end=uts{until}",
        )  # fmt: skip
        ever = AssociationTree(self.commands, self.cluster, deleted=True)
        names = ever.names(list(ever.numbers())) if lines else {}
        accounts = {str(number): account for number, (account, _, _) in names.items()}
        return self._sound(parse.reservations(lines, accounts))

    def queue(self) -> list[Queued]:
        """Every job of this cluster that waits or runs now, hidden partitions included (-a)."""
        jobs = self._sound(self._queue())
        self._must_see(rights.QUEUE)
        return jobs

    def _queue(self) -> list[Queued | Rejected]:
        """The format, with its random separator, is in the environment, which other users cannot read."""

        def ask(separator: str) -> Iterator[Queued | Rejected]:
            env = {"SQUEUE_FORMAT2": queue.queue_format(separator)}
            pieces = self.commands.pieces("squeue", "-h", "-a", "--local", env=env)
            return queue.parse_queue(self.cluster, pieces, separator)

        return _separated("squeue", ask)

    def priority_terms(self) -> list[PriorityTerms]:
        """The terms of the waiting jobs' priorities; needs priority/multifactor."""
        return self._sound(
            queue.terms(self._list("sprio", "-h", "--local", "-o", "|".join(queue.TERM_FIELDS)))
        )

    def diagnostics(self) -> Diagnostics:
        """slurmctld's report of its own health, from sdiag."""
        return queue.parse_diagnostics(self._list("sdiag"))

    def priority_config(self) -> PriorityConfig:
        """slurmctld's own configuration; raises SlurmError when it serves another cluster."""
        config = self._settings()
        if self.cluster and config.cluster != self.cluster:
            raise SlurmError(
                f"slurmctld serves cluster {config.cluster}, the configuration says {self.cluster}; "
                "correct cluster.name or slurm.conf"
            )
        return config

    def _settings(self) -> PriorityConfig:
        return parse.parse_priority_config(self._list("scontrol", "show", "config"))

    def configuration(self) -> dict[str, str]:
        """slurmctld's whole configuration, as it prints it."""
        return fields.settings(self._list("scontrol", "show", "config"))

    def nodes(self) -> list[Node]:
        """Every node with its configured TRES, nodes hidden from users included."""
        return self._sound(self._nodes())

    def _nodes(self) -> list[Node | Rejected]:
        return list(settings.parse_nodes(self._list("scontrol", "-a", "-o", "show", "node")))

    def refused(self) -> dict[str, str]:
        """The reads for which Slurm's commands stood in for the configured source, each with the reason."""
        return {}

    def partitions(self) -> list[Partition]:
        """Every partition, hidden ones included."""
        return self._sound(settings.parse_partitions(self._list("scontrol", "-a", "-o", "show", "partition")))

    def usage_factors(self) -> dict[str, float]:
        """UsageFactor by QOS."""
        return dict(self._sound(settings.usage_factors(self._shown("qos", settings.USAGE_FACTOR_FIELDS))))

    def native_limits(self) -> NativeLimits:
        """Every limit, licence and reservation that Slurm enforces; raises where one cannot be read."""
        here = "where", f"cluster={self.cluster}"
        rows = self._all(limits.association_limits(self._shown("assoc", limits.ASSOCIATION_FIELDS, *here)))
        names = AssociationTree(self.commands, self.cluster).names([row.number for row in rows])
        self._must_see(rights.ASSOCIATIONS)
        named = (row._replace(account=names[row.number][0], user=names[row.number][1])
                 if row.number in names else row for row in rows)  # fmt: skip
        return NativeLimits(
            associations=tuple(named),
            qos=self._all(limits.all_qos_limits(self._shown("qos", limits.QOS_FIELDS))),
            partition_qos=limits.partition_qos(self._list("scontrol", "-a", "-o", "show", "partition")),
            licences=self._all(limits.licences(self._list("scontrol", "-o", "show", "license"))),
            reservations=self._all(
                limits.withheld_nodes(self._list("scontrol", "-o", "show", "reservation"))
            ),
        )

    def switch(self, lever: LeverKind, name: str) -> SwitchNow | None:
        """A QOS's Priority as slurmdbd has it, or a partition's PriorityJobFactor; None where it is not."""
        if lever is LeverKind.QOS:
            values = settings.qos_priorities(self._shown("qos", settings.PRIORITY_FIELDS))
        else:
            values = settings.job_factors(self._list("scontrol", "-a", "-o", "show", "partition"))
        rows = list(values)
        if any(isinstance(row, Rejected) for row in rows):
            raise SlurmError(f"Slurm's answer about {lever} {name} cannot be read; nothing of it was used")
        values_by_name = dict(self._sound(rows))
        value = values_by_name.pop(name, None)
        weight = settings.switch_weight(WEIGHTS[lever], self._list("scontrol", "show", "config"))
        return None if value is None else SwitchNow(value, weight, max(values_by_name.values(), default=0))

    def coordinators(self, accounts: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Coordinators of each of these accounts, who may change everything below them."""
        where = ("withcoord", "where", f"name={','.join(accounts)}")
        lines = self._shown("account", settings.COORDINATOR_FIELDS, *where)
        return dict(self._sound(settings.account_coordinators(lines)))

    def admin_level(self, user: str) -> str:
        """The user's AdminLevel; empty where slurmdbd does not have the user."""
        return settings.admin_level(user, self._shown("user", settings.ADMIN_FIELDS, "where", f"name={user}"))

    def gathered_energy(self) -> GatheredEnergy:
        """How slurmctld has the energy of jobs gathered."""
        return settings.gathered_energy(self._list("scontrol", "show", "config"))

    def slurmdbd(self) -> Slurmdbd:
        """slurmdbd's own configuration."""
        return settings.slurmdbd(self._list("sacctmgr", "show", "configuration"))

    def logged_changes(self, lever: LeverKind, name: str, since: Instant) -> list[Transaction]:
        """Who set RawShares of an account's own row or Priority of a QOS, from slurmdbd's log, newest last.

        slurmdbd does not log what scontrol changes, so there is nothing about a partition.
        """
        if lever is LeverKind.PARTITION:
            return []
        where, of_cluster = ["action=Modify QOS"], f"cluster={self.cluster}"
        key: str | None = settings.of_qos(name)
        if lever is LeverKind.ACCOUNT:
            own = ("where", of_cluster, f"account={name}", "user=")
            key = settings.own_row(self._shown("assoc", settings.ROW_FIELDS, *own))
            where = ["action=Modify Associations", of_cluster]
        if key is None:
            return []
        return sorted(self._sound(settings.logged(lever, key, self._log(since, *where))))

    def _log(self, since: Instant, *where: str) -> list[str]:
        """The lines of slurmdbd's log with TRANSACTION_FIELDS."""
        fields = f"format={','.join(settings.TRANSACTION_FIELDS)}"
        conditions = ("where", *where, f"start=uts{since}", fields)
        return self._list("sacctmgr", "-n", "-P", "list", "transactions", *conditions)

    def logged_writers(self, since: Instant) -> list[LoggedWriter]:
        """What each user added to this cluster's associations, and changed in them."""
        here = f"cluster={self.cluster}"
        added, modified = (
            self._log(since, f"action={action} Associations", here) for action in ("Add", "Modify")
        )
        return self._sound(settings.logged_writers(added, modified))

    def _shown(self, what: str, fields: tuple[str, ...], *where: str) -> list[str]:
        return self._list("sacctmgr", "-n", "-P", "show", what, *where, f"format={','.join(fields)}")

    def reserved(self) -> list[ReservedNow]:
        """The reservations that slurmctld has now; raises where one cannot be read."""
        return self._all(reserving.reserved_now(self._list("scontrol", "-o", "show", "reservation")))

    def nodes_to_keep(self) -> list[NodeNow]:
        """Every node, whether jobs may start on it, and when its last job ends at the latest."""
        fields = "|".join(reserving.END_FIELDS)
        ends = self._all(reserving.job_ends(self._list("squeue", "-h", "-a", "--local", "-o", fields)))
        self._must_see(rights.QUEUE)
        return self._all(reserving.nodes_now(self._list("scontrol", "-a", "-o", "show", "node"), ends))

    def _all(self, read: Iterable[_Value | Rejected]) -> list[_Value]:
        """The rows, all of them. Raises SlurmError where one cannot be read."""
        rows = list(read)
        sound = [row for row in rows if not isinstance(row, Rejected)]
        if wrong := next((row for row in rows if isinstance(row, Rejected)), None):
            raise SlurmError(
                f"a line of Slurm cannot be read ({wrong.reason}); nothing of the answer was used"
            )
        return sound

    def reserve(self, act: ReservationAct, now: Instant, deadline: float, /) -> None:
        """Run the act's command before its deadline. Its exit code is not the outcome: read back."""
        self.commands.before(deadline, *reserving.command_of_act(act, now))

    def set_raw_shares(self, change: Change, deadline: float, /) -> None:
        """Run the change's command before its deadline. Its exit code is not the outcome: read back."""
        self.commands.before(deadline, *self.command(change))

    def command(self, change: Change) -> tuple[str, ...]:
        """The command of a change: one QOS, one partition, or only the account's own row on one cluster."""
        name, value = change.account, change.raw_shares_after
        if change.lever is LeverKind.QOS:
            return ("sacctmgr", "-i", "modify", "qos", "where", f"name={name}", "set", f"priority={value}")
        if change.lever is LeverKind.PARTITION:
            return ("scontrol", "update", f"PartitionName={name}", f"PriorityJobFactor={value}")
        return (
            "sacctmgr", "-i", "modify", "account", "where", f"name={change.account}",
            f"cluster={change.cluster}", "set", f"fairshare={change.raw_shares_after}",
        )  # fmt: skip

    def argv(self, change: Change) -> list[str]:
        """The same command as an operator would paste it."""
        name, *arguments = self.command(change)
        return [self.commands.path(name), *arguments]

    def argv_of_act(self, act: ReservationAct, now: Instant) -> list[str]:
        """The command of an act as an operator would paste it, where TZ is UTC."""
        name, *arguments = reserving.command_of_act(act, now)
        return [self.commands.path(name), *arguments]

    def _list(self, name: str, *arguments: str) -> list[str]:
        return list(self.commands.lines(name, *arguments))


def _separated(name: str, ask: Callable[[str], Iterable[_Value]]) -> list[_Value]:
    """A whole answer, from a command run with a random separator; a garbled answer is asked for again."""
    for _ in range(TRIES):
        with suppress(GarbledError):
            return list(ask(f"\x1f{token_hex(12)}"))
    raise GarbledError(
        f"{name} did not print the fields it was asked for, {TRIES} times; nothing of its answer was used: "
        f"run {name} by hand and see what it prints besides its rows"
    )
