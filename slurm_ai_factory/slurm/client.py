"""Slurm as the rest of the product sees it: values in, values out, one call each.

Reads are complete or raise SlurmError; a row that cannot be read is told by ``unreadable``. What slurmctld or
slurmdbd hides from this user is asked after each answer that it would leave short. A cluster name that
slurmdbd does not know is an empty answer with exit code 0 in every Slurm, so the name is compared with
slurmctld's own before anything is believed. The one write sets RawShares of one account of one cluster and
says nothing about its outcome: read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TypeVar

from slurm_ai_factory.core.live import rights
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import (
    Association,
    Change,
    Charge,
    Instant,
    Node,
    Outage,
    Partition,
    PriorityConfig,
    Rejected,
    Reservation,
    Run,
    Size,
    Slurmdbd,
    Transaction,
)
from slurm_ai_factory.errors import BlindError, GarbledError, SlurmError, SlurmUnsupportedError
from slurm_ai_factory.identity import user_name
from slurm_ai_factory.slurm import parse, queue, settings, shares
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.tree import AssociationTree

TRIES = 3
"""How often an answer is asked for whose separators do not come out."""

OWN_START = (24, 11)
"""From here on Slurm tells the later runs of a resized job with a Start of their own."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Slurm:
    """One cluster, through its commands."""

    cluster: str
    commands: Commands
    odd: list[Rejected] = field(default_factory=list, init=False, compare=False, repr=False)

    def unreadable(self) -> list[Rejected]:
        """The rows that could not be read since this was last asked, each once; not those of ``runs``."""
        found = list(dict.fromkeys(self.odd))
        self.odd.clear()
        return found

    def _sound(self, read: Iterable[_Value | Rejected]) -> list[_Value]:
        """What could be read; what could not is kept for ``unreadable``."""
        found = list(read)
        self.odd.extend(one for one in found if isinstance(one, Rejected))
        return [one for one in found if not isinstance(one, Rejected)]

    def runs(self, since: Instant, until: Instant) -> Iterator[Run | Rejected]:
        """Every run that was eligible or running in [since, until), whatever became of it.

        Earlier runs of requeued jobs included (-D), steps left out (-X), all users (-a). Running and waiting
        runs are in any answer whose ``until`` is now.
        """
        found = self._runs("-S", f"uts{since}", "-E", f"uts{until}")
        self._must_see(rights.RUNS)
        return iter(self._from_own_starts(found))

    def _runs(self, *which: str) -> list[Run | Rejected]:
        """With a separator that no user can have put into a text of theirs, for it is drawn now."""
        ask = ("-M", self.cluster, "-a", "-D", "-X", "-P", "-n", "--noconvert", *which)
        fields = ",".join(parse.RUN_FIELDS)
        return _separated(
            "sacct",
            lambda one: parse.runs(
                self.commands.pieces("sacct", *ask, f"--delimiter={one}", "-o", fields), one
            ),
        )

    def _from_own_starts(self, found: list[Run | Rejected]) -> list[Run | Rejected]:
        """The answer with the later runs of resized jobs put right, as parse.from_own_start says.

        The run before, which ended with the resize, may be of another interval: then it is asked for.
        """
        late = parse.late_submits(found)
        if not late or (shares.sshare_release(self.version()) or OWN_START) >= OWN_START:
            return found
        resized = parse.resizes(found)
        alone = [one for one in late if (one.job_id, one.submit_at) not in resized]
        for some in (alone[at : at + 1000] for at in range(0, len(alone), 1000)):
            jobs = ",".join(sorted({str(one.job_id) for one in some}))
            since = min(one.start_at or 0 for one in some)
            until = max(one.submit_at or 0 for one in some) + 1
            resized |= parse.resizes(self._runs("-j", jobs, "-S", f"uts{since}", "-E", f"uts{until}"))
        return [parse.from_own_start(one, resized) for one in found]

    def _must_see(self, rows: rights.Rows) -> None:
        """Raise BlindError unless this user is shown every row of the answer that was just read."""
        user = user_name()
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
        found = parse.parse_associations(self.cluster, tree, usage)
        if not found:
            raise SlurmError(f"slurmdbd has no associations for cluster {self.cluster}; check cluster.name")
        return found

    def _usage(self) -> dict[int, shares.AssociationUsage]:
        """What sshare says: in JSON where it has that schema and its plugins are installed, else in text."""
        version = self.version()
        if shares.has_json(version):
            try:
                answer = self.commands.output("sshare", "-a", f"--json={shares.SCHEMA}")
            except SlurmUnsupportedError:
                pass
            else:
                return dict(self._sound(shares.from_json(answer, version)))
        fields = ",".join(shares.SHARE_FIELDS)
        return dict(self._sound(shares.from_text(self._list("sshare", "-P", "-h", "-a", "-o", fields))))

    def _tree(self) -> list[parse.AssociationRow | Rejected]:
        return AssociationTree(self.commands, self.cluster).rows()

    def events(self, since: Instant, until: Instant) -> tuple[list[Size], list[Outage]]:
        """The sizes the cluster had and what its nodes' events say, in [since, until)."""
        found = self._sound(
            parse.events(
                self._shown(
                    "event", parse.EVENT_FIELDS, "where", f"cluster={self.cluster}",
                    f"start=uts{since}", f"end=uts{until}",
                )
            )
        )  # fmt: skip
        sizes = [one for one in found if isinstance(one, Size)]
        return sizes, [one for one in found if isinstance(one, Outage)]

    def rolled_up(self, since: Instant, until: Instant) -> bool:
        """Whether slurmdbd has rolled up this time, which is one hour, into its tables of usage."""
        return bool(
            self._list("sreport", "-n", "-P", "-t", "Seconds", *self._report("Utilization", since, until))
        )

    def utilization(self, since: Instant, until: Instant) -> dict[tuple[str, str], Charge]:
        """sreport's TRES-seconds by (account, TRES) in [since, until), whole hours that are rolled up.

        Each account's own, without the accounts below it, with idle reservation time as sreport has it.
        """
        found = parse.used(
            self._list(
                "sreport", "-n", "-P", "-t", "Seconds", "-T", "ALL",
                *self._report("AccountUtilizationByUser", since, until), "tree",
                f"format={','.join(parse.UTILIZATION_FIELDS)}",
            )
        )  # fmt: skip
        rows = self._sound(found)
        self._must_see(rights.UTILIZATION)
        return parse.utilization(rows)

    def _report(self, report: str, since: Instant, until: Instant) -> tuple[str, ...]:
        return "cluster", report, f"cluster={self.cluster}", f"start=uts{since}", f"end=uts{until}"

    def reservations(self, since: Instant, until: Instant) -> list[Reservation]:
        """The reservations there were in [since, until), one for each time in which they did not change."""
        found = self._shown(
            "reservation", parse.RESERVATION_FIELDS, "where", f"cluster={self.cluster}",
            f"start=uts{since}", f"end=uts{until}",
        )  # fmt: skip
        return self._sound(parse.reservations(found, self._account_ids() if found else {}))

    def _account_ids(self) -> dict[str, str]:
        """The account of each association there ever was, by its id."""
        ever = AssociationTree(self.commands, self.cluster, deleted=True)
        return {str(one): names[0] for one, names in ever.names(list(ever.numbers())).items()}

    def queue(self) -> list[Queued]:
        """Everything of this cluster that waits or runs now, partitions hidden from users included (-a)."""
        found = self._sound(self._queue())
        self._must_see(rights.QUEUE)
        return found

    def _queue(self) -> list[Queued | Rejected]:
        """The format is in the environment, which nobody else can read, and its separator drawn for it."""

        def ask(separator: str) -> Iterator[Queued | Rejected]:
            env = {"SQUEUE_FORMAT2": queue.queue_format(separator)}
            pieces = self.commands.pieces("squeue", "-h", "-a", "--local", env=env)
            return queue.parse_queue(self.cluster, pieces, separator)

        return _separated("squeue", ask)

    def priority_terms(self) -> list[PriorityTerms]:
        """What the priorities of the waiting jobs are made of; needs priority/multifactor."""
        return self._sound(
            queue.terms(self._list("sprio", "-h", "--local", "-o", "|".join(queue.TERM_FIELDS)))
        )

    def diagnostics(self) -> Diagnostics:
        """What slurmctld says of its own health."""
        return queue.parse_diagnostics(self._list("sdiag"))

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
        return parse.parse_priority_config(self._list("scontrol", "show", "config"))

    def nodes(self) -> list[Node]:
        """Every node with what it is configured to have, those hidden from users included."""
        return self._sound(self._nodes())

    def _nodes(self) -> list[Node | Rejected]:
        return list(settings.parse_nodes(self._list("scontrol", "-a", "-o", "show", "node")))

    def refused(self) -> dict[str, str]:
        """What the configured source had no answer to, so that Slurm's commands were asked, and why."""
        return {}

    def partitions(self) -> list[Partition]:
        """Every partition, those hidden from users included."""
        return self._sound(settings.parse_partitions(self._list("scontrol", "-a", "-o", "show", "partition")))

    def usage_factors(self) -> dict[str, float]:
        """UsageFactor by QOS."""
        return dict(self._sound(settings.usage_factors(self._shown("qos", settings.USAGE_FACTOR_FIELDS))))

    def coordinators(self) -> dict[str, tuple[str, ...]]:
        """Coordinators of root, which is over every account."""
        found = self._shown("account", settings.COORDINATOR_FIELDS, "withcoord", "where", "name=root")
        return dict(self._sound(settings.account_coordinators(found)))

    def admin_level(self, user: str) -> str:
        """What slurmdbd lets this user do."""
        found = self._shown("user", settings.ADMIN_FIELDS, "where", f"name={user}")
        return settings.admin_level(user, found)

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
        return sorted(self._sound(settings.share_changes(row_id, found)))

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


def _separated(name: str, ask: Callable[[str], Iterable[_Value]]) -> list[_Value]:
    """A whole answer to a question with a separator drawn for it; one that is garbled is asked for again."""
    for _ in range(TRIES):
        with suppress(GarbledError):
            return list(ask(f"\x1f{token_hex(12)}"))
    raise GarbledError(
        f"{name} printed what has not the fields that were asked for, {TRIES} times; nothing of it was used: "
        f"see what {name} prints beside its rows"
    )
