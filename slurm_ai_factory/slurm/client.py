"""Slurm as the rest of the product sees it: values in, values out, one call each.

Reads are complete or raise SlurmError. A cluster name that slurmdbd does not know is an empty answer with
exit code 0 in every Slurm, so the name is compared with slurmctld's own before anything is believed. The one
write sets RawShares of one account of one cluster and says nothing about its outcome: read back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

from slurm_ai_factory.core.authority import Terms
from slurm_ai_factory.core.demand import Queued
from slurm_ai_factory.core.facts import Node, Partition, Slurmdbd, Transaction
from slurm_ai_factory.core.health import Diagnostics
from slurm_ai_factory.core.records import (
    Association,
    Change,
    Charge,
    Instant,
    Outage,
    PriorityConfig,
    Rejected,
    Reservation,
    Run,
    Size,
)
from slurm_ai_factory.errors import SlurmError, SlurmUnsupportedError
from slurm_ai_factory.slurm import parse, queue, settings, shares
from slurm_ai_factory.slurm.commands import Commands


@dataclass(frozen=True, slots=True)
class Slurm:
    """One cluster, through its commands."""

    cluster: str
    commands: Commands

    def runs(self, since: Instant, until: Instant) -> Iterator[Run | Rejected]:
        """Every run that was eligible or running in [since, until), whatever became of it.

        Earlier runs of requeued jobs included (-D), steps left out (-X), all users (-a). Running and waiting
        runs are in any answer whose ``until`` is now. Raises SlurmError after the last line when the answer
        was not whole, so nothing may be kept before the iterator ends. Comments are any text of the users,
        who cannot know the separator of this one answer, and so cannot write a run of their own into it.
        """
        separator = f"{parse.SEPARATOR}{token_hex(4)}"
        lines = self.commands.lines(
            "sacct", "-M", self.cluster, "-a", "-D", "-X", "-P", "-n", "--noconvert",
            f"--delimiter={separator}", "-S", f"uts{since}", "-E", f"uts{until}",
            "-o", ",".join(parse.RUN_FIELDS),
        )  # fmt: skip
        return parse.runs(lines, separator)

    def associations(self) -> tuple[Association, ...]:
        """The association tree with shares from slurmdbd and usage from slurmctld."""
        found = parse.associations(self._tree(), self._usage())
        if not found:
            raise SlurmError(f"slurmdbd has no associations for cluster {self.cluster}; check cluster.name")
        return found

    def _usage(self) -> dict[shares.Key, shares.Usage]:
        """What sshare says: in JSON where it has that schema and its plugins are installed, else in text."""
        version = self.commands.output("sshare", "-V")
        if shares.has_json(version):
            try:
                answer = self.commands.output("sshare", "-a", f"--json={shares.SCHEMA}")
            except SlurmUnsupportedError:
                pass
            else:
                return shares.from_json(answer, version)
        return shares.from_text(self._list("sshare", "-P", "-h", "-a", "-o", ",".join(shares.SHARE_FIELDS)))

    def _tree(self) -> list[parse.Row]:
        return parse.tree(
            self._list(
                "sacctmgr", "-n", "-P", "show", "assoc", "where", f"cluster={self.cluster}",
                f"format={','.join(parse.ASSOCIATION_FIELDS)}",
            )
        )  # fmt: skip

    def events(self, since: Instant, until: Instant) -> tuple[list[Size], list[Outage]]:
        """The sizes the cluster had and the outages of its nodes, in [since, until)."""
        return parse.events(
            self._list(
                "sacctmgr", "-n", "-P", "show", "event", "where", f"cluster={self.cluster}",
                f"start=uts{since}", f"end=uts{until}", f"format={','.join(parse.EVENT_FIELDS)}",
            )
        )  # fmt: skip

    def rolled_up(self, since: Instant, until: Instant) -> bool:
        """Whether slurmdbd has rolled up this time, which is one hour, into its tables of usage."""
        return bool(
            self._list("sreport", "-n", "-P", "-t", "Seconds", *self._report("Utilization", since, until))
        )

    def utilization(self, since: Instant, until: Instant) -> dict[tuple[str, str], Charge]:
        """sreport's TRES-seconds by (account, TRES) in [since, until), whole hours that are rolled up.

        Each account's own, without the accounts below it, with idle reservation time as sreport has it.
        """
        return parse.utilization(
            self._list(
                "sreport", "-n", "-P", "-t", "Seconds", "-T", "ALL",
                *self._report("AccountUtilizationByUser", since, until), "tree",
                f"format={','.join(parse.UTILIZATION_FIELDS)}",
            )
        )  # fmt: skip

    def _report(self, report: str, since: Instant, until: Instant) -> tuple[str, ...]:
        return "cluster", report, f"cluster={self.cluster}", f"start=uts{since}", f"end=uts{until}"

    def reservations(self, since: Instant, until: Instant) -> list[Reservation]:
        """The reservations there were in [since, until), one for each time in which they did not change."""
        found = self._list(
            "sacctmgr", "-n", "-P", "show", "reservation", "where", f"cluster={self.cluster}",
            f"start=uts{since}", f"end=uts{until}", f"format={','.join(parse.RESERVATION_FIELDS)}",
        )  # fmt: skip
        return parse.reservations(found, self._account_ids() if found else {})

    def _account_ids(self) -> dict[str, str]:
        """The account of each association there ever was, by its id."""
        return parse.account_ids(
            self._list(
                "sacctmgr", "-n", "-P", "show", "assoc", "withdeleted", "where", f"cluster={self.cluster}",
                f"format={','.join(parse.ACCOUNT_ID_FIELDS)}",
            )
        )  # fmt: skip

    def queue(self) -> list[Queued]:
        """Everything that waits or runs now, partitions hidden from users included (-a)."""
        return queue.queue(self.cluster, self._list("squeue", "-h", "-a", "-O", queue.QUEUE_FORMAT))

    def priority_terms(self) -> list[Terms]:
        """What the priorities of the waiting jobs are made of; needs priority/multifactor."""
        return queue.terms(self._list("sprio", "-h", "-o", queue.TERM_FORMAT))

    def diagnostics(self) -> Diagnostics:
        """What slurmctld says of its own health."""
        return queue.diagnostics(self._list("sdiag"))

    def priority_config(self) -> PriorityConfig:
        """slurmctld's own configuration; raises SlurmError when it serves another cluster."""
        found = self._settings()
        if self.cluster and found.cluster != self.cluster:
            raise SlurmError(
                f"slurmctld serves cluster {found.cluster}, the configuration says {self.cluster}; "
                "correct cluster.name or slurm.conf"
            )
        return found

    def _settings(self) -> PriorityConfig:
        return parse.priority_config(self._list("scontrol", "show", "config"))

    def nodes(self) -> list[Node]:
        """Every node with what it is configured to have, those hidden from users included."""
        return settings.nodes(self._list("scontrol", "-a", "-o", "show", "node"))

    def refused(self) -> dict[str, str]:
        """What the configured source had no answer to, so that Slurm's commands were asked, and why."""
        return {}

    def partitions(self) -> list[Partition]:
        """Every partition, those hidden from users included."""
        return settings.partitions(self._list("scontrol", "-a", "-o", "show", "partition"))

    def usage_factors(self) -> dict[str, float]:
        """UsageFactor by QOS."""
        return settings.usage_factors(self._shown("qos", settings.USAGE_FACTOR_FIELDS))

    def coordinators(self) -> dict[str, tuple[str, ...]]:
        """Coordinators by account."""
        return settings.coordinators(self._shown("account", settings.COORDINATOR_FIELDS, "withcoord"))

    def admin_level(self, user: str) -> str:
        """What slurmdbd lets this user do."""
        return settings.admin_level(self._shown("user", settings.ADMIN_FIELDS, "where", f"name={user}"))

    def slurmdbd(self) -> Slurmdbd:
        """slurmdbd's own configuration."""
        return settings.slurmdbd(self._list("sacctmgr", "show", "configuration"))

    def share_changes(self, account: str, since: Instant) -> list[Transaction]:
        """Who set RawShares of this account's own row since then, by slurmdbd's log."""
        where = ("where", f"cluster={self.cluster}", f"account={account}", "user=")
        row_id = settings.own_row(self._shown("assoc", settings.ROW_FIELDS, *where))
        if row_id is None:
            return []
        found = self._list(
            "sacctmgr", "-n", "-P", "list", "transactions", "where", "action=Modify Associations",
            f"cluster={self.cluster}", f"start=uts{since}",
            f"format={','.join(settings.TRANSACTION_FIELDS)}",
        )  # fmt: skip
        return settings.share_changes(row_id, found)

    def _shown(self, what: str, fields: tuple[str, ...], *where: str) -> list[str]:
        return self._list("sacctmgr", "-n", "-P", "show", what, *where, f"format={','.join(fields)}")

    def set_raw_shares(self, change: Change, deadline: float, /) -> None:
        """Run the change's command before its deadline. Its exit code is not the outcome: read back."""
        self.commands.before(deadline, *self.command(change))

    def command(self, change: Change) -> tuple[str, ...]:
        """The command of a change: always for one cluster, only the account's own row."""
        return (
            "sacctmgr", "-i", "modify", "account", "where", f"name={change.account}",
            f"cluster={change.cluster}", "set", f"fairshare={change.raw_shares_after}",
        )  # fmt: skip

    def argv(self, change: Change) -> list[str]:
        """The same, as an operator would paste it."""
        name, *arguments = self.command(change)
        return [self.commands.path(name), *arguments]

    def _list(self, name: str, *arguments: str) -> list[str]:
        return list(self.commands.lines(name, *arguments))
