"""The product's values, in Slurm's words. Tested in tests/core/measure/test_share.py.

Every value is frozen. An instant is an int, seconds since the epoch in UTC, as in Slurm's own accounting
tables; only ``windows`` knows civil time. A charge is TRES x seconds of a named resource and is exact
(int or Decimal); ratios and rates are floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from slurm_ai_factory.core.tres import Resource

Instant = int
Interval = tuple[Instant, Instant]
Charge = int | Decimal

Inputs = Mapping[str, float | int | str | None]
"""What a decision was made from, by name."""

HOUR = 3600
DAY = 24 * HOUR
FOREVER: Instant = 2**63 - 1
"""The end of what has no end; the greatest bigint."""
PARENT_SHARES = 2147483647
"""RawShares of an association with Fairshare=parent (SLURMDB_FS_USE_PARENT, slurmdb.h)."""


STATES = frozenset((
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL",
    "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "LAUNCH_FAILED", "COMPLETING", "CONFIGURING",
    "EXPEDITING", "POWER_UP_NODE", "RECONFIG_FAIL", "RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "SPECIAL_EXIT", "STOPPED", "REVOKED", "RESV_DEL_HOLD", "SIGNALING", "STAGE_OUT",
))  # fmt: skip
"""The job states and state flags of Slurm 22.05 to 26.05 (slurm_protocol_defs.c: job_state_string)."""

FINISHED = frozenset((
    "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE",
    "OUT_OF_MEMORY",
))  # fmt: skip
"""The states of jobs that are over."""


class Mode(StrEnum):
    """What a cycle does about its decision (control.mode)."""

    OBSERVE = "observe"  #: records it
    ADVISE = "advise"  #: records it and says what to set
    ENFORCE = "enforce"  #: sets RawShares


class LeverKind(StrEnum):
    """What the control changes (control.lever): by the kind of object in Slurm that has it."""

    ACCOUNT = "account"
    QOS = "qos"
    PARTITION = "partition"

    @property
    def attribute(self) -> str:
        """The number that is changed, as Slurm calls it."""
        return {"account": "RawShares", "qos": "Priority", "partition": "PriorityJobFactor"}[self]

    @property
    def setting(self) -> str:
        """What is to be corrected in saf.toml where the wrong object is changed.

        >>> LeverKind.ACCOUNT.setting, LeverKind.QOS.setting
        ('control.account', 'control.qos, or control.lever')
        """
        return f"control.{self}" + ("" if self is LeverKind.ACCOUNT else ", or control.lever")


class SwitchNow(NamedTuple):
    """A QOS's Priority or a partition's PriorityJobFactor now, and how much such a term weighs."""

    value: int
    weight: int  #: PriorityWeightQOS or PriorityWeightPartition
    beside: int = 0  #: the highest value of another QOS or partition

    def gain(self, raised: int, *, normalised: bool) -> float:
        """How much raising it adds to a job's priority.

        A value counts as a part of the highest one, unless PriorityFlags says otherwise; see
        priority_multifactor.c, NO_NORMAL_QOS and NO_NORMAL_PART.

        >>> SwitchNow(5, 1000, 50).gain(10, normalised=True), SwitchNow(5, 1000).gain(10, normalised=False)
        (100.0, 5000.0)
        """
        lowered = self.value if self.value < raised else 0
        return self.weight * (raised - lowered) / (max(raised, self.beside) if normalised else 1)


class ChangeStatus(StrEnum):
    """What became of a change."""

    OBSERVED = "observed"  #: recorded in mode observe, not made
    ADVISED = "advised"  #: recommended in mode advise, not made
    APPLIED = "applied"  #: slurmctld works with it
    FAILED = "failed"  #: slurmctld works with another value
    PLANNED = "planned"  #: begun; not read back yet


class Subject(NamedTuple):
    """What Slurm knows of the owner of a run; classification uses nothing else. Absent parts are empty."""

    cluster: str
    account: str
    user: str
    partition: str
    qos: str
    wckey: str
    reservation: str
    comment: str = ""  #: the word after ``saf:`` in the job's comment
    override: str = ""  #: the number of the override that applies to the run


class Run(NamedTuple):
    """One allocation of a job, as Slurm's accounting last listed it. Key: (cluster, db_index).

    A requeued or resized job has several runs. ``end_at`` is None while the run is open; ``start_at`` is
    None while it waits and for good when it never started. TRES are in the canonical text of ``tres``.
    """

    db_index: int  #: DBIndex: unsigned 64 bit, may exceed 2**63
    job_id: int  #: JobIDRaw
    job_label: str  #: JobID as users write it: 7, 7_3 (array), 7+1 (heterogeneous), 7_[1-9] (waiting array)
    subject: Subject
    state: str  #: the base word: COMPLETED, CANCELLED, REQUEUED, RUNNING, ...
    submit_at: Instant | None
    eligible_at: Instant | None
    start_at: Instant | None
    end_at: Instant | None
    elapsed_seconds: int  #: suspended time excluded
    suspended_seconds: int
    req_tres: str
    alloc_tres: str
    energy_joules: int | None = None  #: as counted by Slurm; None where it does not gather energy
    told_start_at: Instant | None = None  #: the resized job's own start, where Slurm lists it; not kept


class Rejected(NamedTuple):
    """A line of sacct that cannot be parsed as a run: quarantined with its reason, never counted as zero."""

    line: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """A row of the association tree with the shares and usage slurmctld works with (sacctmgr, sshare)."""

    cluster: str
    account: str
    parent: str | None  #: parent account; None for the root account
    user: str | None = None  #: None for the account's own row
    partition: str | None = None
    raw_shares: int  #: slurmctld's; slurmdbd's where sshare did not list the row
    stored_shares: int | None = None  #: slurmdbd's; differs while an update has not reached slurmctld
    norm_shares: float | None = None
    raw_usage: int | None = None  #: decayed billing TRES-seconds; None when sshare did not list the row
    effectv_usage: float | None = None
    level_fs: float | None = None

    @property
    def key(self) -> str:
        """The account, or account/user."""
        return self.account if self.user is None else f"{self.account}/{self.user}"

    @property
    def steerable(self) -> bool:
        """Whether ``raw_shares`` is a number that competes: not 0 and not ``parent``."""
        return 0 < self.raw_shares < PARENT_SHARES


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityConfig:
    """The configuration of slurmctld's priority plugin (scontrol show config)."""

    cluster: str
    version: str
    priority_type: str
    decay_half_life_seconds: int  #: 0: no decay
    calc_period_seconds: int
    weight_fairshare: int
    weight_age: int
    flags: tuple[str, ...]
    enforce: tuple[str, ...]  #: AccountingStorageEnforce
    tres: tuple[str, ...]  #: AccountingStorageTRES
    private_data: tuple[str, ...] = ()
    usage_reset: str = "NONE"  #: PriorityUsageResetPeriod
    slurm_user: str = ""  #: the name alone


class Node(NamedTuple):
    """A node and its configured TRES, ``node`` included (scontrol show node)."""

    name: str
    tres: str


class Partition(NamedTuple):
    """A partition, as far as it matters for charges and for the order of jobs (scontrol show partition)."""

    name: str
    tier: int  #: PriorityTier
    weights: str  #: TRESBillingWeights; empty for none
    oversubscribe: str


class GatheredEnergy(NamedTuple):
    """How Slurm gathers the energy of jobs (scontrol show config)."""

    plugin: str  #: the last word of AcctGatherEnergyType; empty where none gathers
    contained: bool  #: whether PrologFlags has Contain


class Slurmdbd(NamedTuple):
    """The configuration of slurmdbd (sacctmgr show configuration)."""

    private_data: tuple[str, ...]
    query_seconds: int | None  #: MaxQueryTimeRange; None for no limit
    kept_seconds: int | None  #: PurgeJobAfter; None where jobs are kept for ever


class Transaction(NamedTuple):
    """A change of RawShares in slurmdbd's own log."""

    at: Instant
    actor: str
    raw_shares: str


class LoggedWriter(NamedTuple):
    """What one user wrote to associations, by slurmdbd's own log."""

    actor: str
    accounts: int  #: accounts that it added
    users: int  #: users that it added with Fairshare=parent
    budgets: int  #: changes of GrpTRESMins
    shares: int  #: changes of Fairshare
    changed: frozenset[int]  #: the numbers of the associations whose GrpTRESMins or Fairshare it changed


class Hold(NamedTuple):
    """Why nothing may be steered now, found before the control law decides."""

    reason: str  #: a code: see reasons.HOLDS
    sentence: str  #: the finding, and what to do next


class Pause(NamedTuple):
    """An operator's stop of the control; a pause that ends where it begins ends the one before it."""

    at: Instant  #: when it was recorded
    until: Instant
    actor: str
    reason: str

    def lasts(self, at: Instant) -> bool:
        """Whether the control is stopped at an instant, without a later pause."""
        return self.at < self.until and at < self.until


class Acknowledgement(NamedTuple):
    """A finding of `saf doctor` that an operator accepts; one that ends where it begins withdraws another."""

    check: str
    level: str  #: of the finding then; a worse one is not covered
    at: Instant  #: when it was recorded
    until: Instant
    actor: str
    reason: str


class Outage(NamedTuple):
    """An interval in which a node was not up; ``until`` is None while it lasts."""

    node: str
    since: Instant
    until: Instant | None
    state: str
    tres: str


class Size(NamedTuple):
    """An interval in which the cluster had these TRES in all; ``until`` is None for the present size."""

    since: Instant
    until: Instant | None
    tres: str


class Reservation(NamedTuple):
    """A reservation in an interval in which it did not change; ``until`` is None where it has no end.

    ``tres`` is in Slurm's order, without node; ``accounts`` has the account of each association that may use
    it, empty where slurmdbd no longer has the association.
    """

    number: int  #: id_resv; runs have it as #ID where their sacct row lacks the name
    name: str
    since: Instant
    until: Instant | None
    tres: tuple[tuple[str, int], ...]
    accounts: tuple[str, ...]


class Hour(NamedTuple):
    """One hour of a window: rates integrated over that hour, in resource-seconds."""

    at: Instant
    regional: float
    total: float
    regional_waiting: float
    capacity: float
    unclassified: float = 0.0
    others_waiting: float = 0.0  #: as ``regional_waiting``, of all that is not regional


class Window(NamedTuple):
    """Half-open interval [since, until) in which the promise is judged; both on a whole hour."""

    name: str
    since: Instant
    until: Instant
    rolling: bool = False


FIRST = "region"
"""The name of the first promise, which the region is made; `saf.toml` has its first term."""


class Bound(StrEnum):
    """What a promise bounds a share by."""

    FLOOR = "floor"  #: at least the share
    CAP = "cap"  #: at most the share


class Verdict(StrEnum):
    """Whether the promise was kept in a window; of a floor the first three, of a cap the next three."""

    MET = "met"
    MISSED_DEMAND = "missed_demand"
    MISSED_STARVED = "missed_starved"
    KEPT = "kept"
    EXCEEDED_IDLE = "exceeded_idle"  #: by charge on resources that nobody else waited for
    EXCEEDED = "exceeded"
    OPEN = "open"


FLOOR_VERDICTS = (Verdict.MET, Verdict.MISSED_DEMAND, Verdict.MISSED_STARVED, Verdict.OPEN)
"""The verdicts on a floor."""

VERDICTS = {
    Bound.FLOOR: FLOOR_VERDICTS,
    Bound.CAP: (Verdict.KEPT, Verdict.EXCEEDED_IDLE, Verdict.EXCEEDED, Verdict.OPEN),
}
"""The verdicts on each bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was delivered in a window, to whom, and of what capacity; made by ``share.measure_window``.

    ``regional`` is the side that the promise is made to: the region, or the beneficiaries of a further one.
    ``total`` is what the share is a part of: all charge, the capacity, or the charge of another promise.
    """

    promise: str = FIRST
    bound: Bound = Bound.FLOOR
    share_of: str = "delivered"  #: or capacity, or promise:NAME
    cluster: str
    window: Window
    as_of: Instant
    resource: Resource
    target_share: float
    unclassified_limit: float | None = None  #: part of all charge above which the verdict is not met
    ended: bool = False  #: no promise held; the share is that of the last one
    regional_charge: Charge
    total_charge: Charge
    unclassified_charge: Charge
    capacity: Charge | None  #: None where the cluster's size is not known
    waiting_charge: Charge
    starved_charge: float | None  #: None where the capacity is not known
    regional_running: Charge = 0  #: of the resource, allocated to regional runs at ``as_of``
    regional_pending: Charge = 0  #: of the resource, wanted by eligible regional runs at ``as_of``
    newest_record_at: Instant | None
    unread_seconds: int = 0  #: of the window up to ``as_of``, that no read of accounting covered
    hours: tuple[Hour, ...] = field(repr=False, default=())
    resource_label: str = ""  #: what people call the resource; empty for its own name

    @property
    def called(self) -> str:
        """The resource in tables and sentences."""
        return self.resource_label or self.resource.name

    @property
    def delivered_share(self) -> float | None:
        """Regional charge / all charge; None when nothing was delivered."""
        return float(self.regional_charge / self.total_charge) if self.total_charge else None

    @property
    def unclassified_share(self) -> float | None:
        """Unclassified charge / all charge; None when nothing was delivered."""
        return float(self.unclassified_charge / self.total_charge) if self.total_charge else None

    @property
    def capacity_share(self) -> float | None:
        """Regional charge / capacity; None when the capacity is not known."""
        return float(self.regional_charge / self.capacity) if self.capacity else None

    @property
    def shortfall_charge(self) -> float:
        """What the region lacks, of the same total, to be at the target."""
        promised = Decimal(str(self.target_share)) * self.total_charge
        return max(0.0, float(promised - self.regional_charge))

    @property
    def whole_charge(self) -> Charge | None:
        """What the share is a part of; None where that is the capacity, and its size is not known."""
        unknown = self.share_of == "capacity" and self.capacity is None
        return None if unknown else self.total_charge

    @property
    def excess_charge(self) -> float:
        """What was delivered above the target, of the same total; of interest for a cap."""
        allowed = Decimal(str(self.target_share)) * self.total_charge
        return max(0.0, float(self.regional_charge - allowed))


class Further(NamedTuple):
    """The measurement of a further promise, and its margin."""

    measurement: Measurement
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All inputs of a decision but the policy and the law's own state."""

    measurement: Measurement
    associations: tuple[Association, ...]
    holds: tuple[Hold, ...] = ()  #: while there is one, nothing is steered
    regional_backlog: float = 0.0  #: resource-seconds that waiting regional jobs may be expected to use
    run_charge: float = 0.0  #: of a run that ended lately, each weighted by itself; 0 where none did
    earlier: tuple[
        Hour, ...
    ] = ()  #: those before the window that usage still holds; none if not all is known
    switch: SwitchNow | None = None  #: None where control.lever is no switch, or Slurm does not have it
    waiting_rows: frozenset[str] | None = None  #: accounts and account/user with jobs that could start
    back_to: Mapping[str, int] = field(
        default_factory=dict
    )  #: account, QOS or partition -> value to write back, where another user changed it
    noted: Inputs = field(default_factory=dict)  #: recorded with the decision, which does not depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value to set: the object (cluster, lever, account), the present and the wanted value.

    With another lever than an account, ``account`` is the name of the QOS or partition, and the two values
    are of the lever's attribute.
    """

    cluster: str
    account: str
    raw_shares_before: int
    raw_shares_after: int
    lever: LeverKind = LeverKind.ACCOUNT

    @property
    def object(self) -> str:
        """The account, or the QOS or partition with its kind."""
        return self.account if self.lever is LeverKind.ACCOUNT else f"{self.lever} {self.account}"

    @property
    def step(self) -> str:
        """The change in words."""
        return f"{self.object} {self.lever.attribute} {self.raw_shares_before} -> {self.raw_shares_after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """The control law's state between two decisions; kept in the ledger, passed in as a value."""

    at: Instant
    u_ref: float
    writes_last_day: int = 0
    baseline: Mapping[str, int] = field(
        default_factory=dict
    )  #: account, QOS or partition -> value found first


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the controller wants, and why. Recorded before it is carried out; everything shows this value."""

    promise: str = FIRST
    at: Instant
    reason: str  #: a code: see reasons.REASONS
    sentence: str
    inputs: Inputs
    state: ControlState | None = None
    changes: tuple[Change, ...] = ()
