"""The sections of saf.toml: each key's type, default and meaning, declared once.

The check, `saf config show`, `saf init` and docs/reference/config.md are made from these declarations.
Tested in tests/config/test_config.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.config import values
from slurm_ai_factory.core.control.foreign import ForeignAnswer
from slurm_ai_factory.core.control.switch import Switch
from slurm_ai_factory.core.energy.closure import EmissionFactor
from slurm_ai_factory.core.energy.keeping import GridMode, KeepingPolicy
from slurm_ai_factory.core.energy.runs import StatedWatts
from slurm_ai_factory.core.programme.retention import Retention
from slurm_ai_factory.core.records import LeverKind, Mode
from slurm_ai_factory.core.tres import Resource

_UNSET: Any = object()

DEFAULT = "default"
"""The origin of a key that is not in the file."""


def _key(convert: Callable[[object], Any], doc: str, default: Any = _UNSET, *, secret: bool = False) -> Any:
    metadata = {
        "convert": convert,
        "doc": doc,
        "secret": secret,
        "default": None if default is _UNSET else default,
    }
    if default is _UNSET:
        return field(metadata=metadata)
    if default is None:
        return field(metadata=metadata, default=None)
    return field(metadata=metadata, default_factory=lambda: convert(default))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSection:
    """The cluster."""

    name: str = _key(values.as_text, "ClusterName as in slurm.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseSection:
    """The first term of the promise to the region; `saf promise set` records later ones."""

    target_share: float = _key(values.as_ratio, "the floor: regional charge / all charge", 0.25)
    margin: float = _key(values.as_ratio, "how far above the floor the control aims", 0.01)
    resource: Resource = _key(
        values.as_resource,
        'resource of the promise: "billing", "gres/gpu", "node", "cpu" or a table of weights',
        "billing",
    )
    resource_label: str | None = _key(
        values.as_text,
        'name of one unit of the resource in texts, such as "GPU"; useful with a table of weights',
        None,
    )
    window: str = _key(
        values.as_window, "window of the promise: month, quarter, half, year or rolling:30d", "quarter"
    )
    time_zone: ZoneInfo = _key(values.as_zone, "time zone in which windows begin and end", "UTC")
    unclassified_limit: float | None = _key(
        values.as_ratio,
        "largest unclassified share of the charge with which a window can be called met",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySection:
    """Which organisations are regional by the first term of the promise, and the codes of the registry."""

    region: frozenset[str] = _key(
        values.as_region,
        "municipalities whose organisations are regional: CBS codes, or the name of a shipped list",
        [],
    )
    sectors: tuple[str, ...] = _key(
        values.as_codes,
        "sectors of the programme, in addition to the sections A to U of the SBI",
        ["agriculture", "care", "education", "energy", "industry", "logistics", "public_services"],
    )
    hubs: tuple[str, ...] = _key(values.as_codes, "hubs that use the machine", [])
    municipalities: dict[str, str] = _key(
        values.as_municipalities,
        "names of municipalities that the shipped list of 2023 lacks, by CBS code",
        {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmSection:
    """How Slurm is read."""

    source: str = _key(
        values.as_source,
        "source of the current state: Slurm's commands; or pyslurm or slurmrestd in addition to them",
        "commands",
    )
    rest_url: str = _key(
        values.as_rest_url,
        "where slurmrestd listens, when it is the source: its socket, or a port of this machine",
        "unix:/run/slurmrestd/slurmrestd.socket",
    )
    rest_token_file: Path | None = _key(
        values.as_path,
        "file with the token for slurmrestd, read again when it fails; by default `scontrol token` makes one",
        None,
    )
    python: Path | None = _key(
        values.as_path, "Python interpreter that has pyslurm; by default the one that runs saf", None
    )
    directory: Path | None = _key(
        values.as_path, "directory of the Slurm commands; by default those in PATH", None
    )
    conf: Path | None = _key(
        values.as_path, "path of slurm.conf; by default SLURM_CONF or Slurm's own default", None
    )
    timeout: int = _key(values.as_seconds, "timeout of each Slurm command", "60s")
    clock_tolerance: int = _key(
        values.as_seconds,
        "largest difference from slurmctld's clock; saf reads nothing while it is larger",
        "5s",
    )
    since: str | None = _key(
        values.as_start, "where reading accounting starts; by default at the start of the window", None
    )
    overlap: int = _key(
        values.as_seconds, "how much accounting every cycle reads again, to find late records", "1h"
    )
    overlap_hourly: int = _key(values.as_seconds, "how much accounting saf reads again once an hour", "6h")
    overlap_daily: int = _key(values.as_seconds, "how much accounting saf reads again once a day", "7d")
    read_window: int = _key(
        values.as_seconds,
        "maximum interval per sacct query; shortened automatically if sacct times out",
        "1d",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSection:
    """The ledger database."""

    url: str | None = _key(
        values.as_text,
        "PostgreSQL URL such as postgresql:///saf; by default an embedded PostgreSQL in state_directory",
        None,
        secret=True,
    )
    url_file: Path | None = _key(values.as_path, "file that holds the URL with its password", None)
    state_directory: Path = _key(
        values.as_path, "data directory of the embedded PostgreSQL", "/var/lib/slurm-ai-factory"
    )
    timeout: int = _key(values.as_seconds, "how long saf waits for an answer of PostgreSQL", "2m")
    expire_decisions_after: int | None = _key(
        values.as_retention,
        "age at which `saf ledger expire` may delete decisions that changed nothing; by default never",
        None,
    )
    signing_key: Path | None = _key(
        values.as_path,
        "Ed25519 private key in PEM; `saf ledger head`, the log and `saf hub state` sign with it",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSection:
    """Whether and how the region is steered."""

    mode: Mode = _key(
        values.as_mode,
        "observe: write nothing; advise: recommend RawShares; enforce: set RawShares",
        "observe",
    )
    account: tuple[str, ...] = _key(
        values.as_names, "account of the region, or a list of accounts below the same account", "regional"
    )
    promises: dict[str, tuple[str, ...]] = _key(
        values.as_accounts_of,
        "further promises that are steered, each with its top-level account or a list of them",
        {},
    )
    lever: LeverKind = _key(
        values.as_lever,
        "account: steer RawShares; qos or partition: switch its Priority or PriorityJobFactor between the "
        "value found and control.raised",
        "account",
    )
    qos: str | None = _key(values.as_text, "QOS that holds the region, for lever = qos", None)
    partition: str | None = _key(
        values.as_text, "partition that holds the region, for lever = partition", None
    )
    raised: int | None = _key(
        values.as_whole, "Priority or PriorityJobFactor while the region goes first, for a switch", None
    )
    hysteresis: float = _key(
        values.as_ratio, "how far usage passes the set-point on either side before a switch changes", 0.01
    )
    share_min: float = _key(values.as_ratio, "lowest share of its level that the region gets", 0.05)
    share_max: float = _key(values.as_ratio, "highest share of its level that the region gets", 0.9)
    slew: float = _key(values.as_ratio, "largest step of one write, as a share of the level", 0.05)
    band: float = _key(
        values.as_ratio, "steps smaller than this wait until they would change the job order", 0.03
    )
    credit_max: float = _key(
        values.as_ratio, "how far the set-point may be above usage to pay back a deficit", 0.2
    )
    debit_max: float = _key(
        values.as_ratio, "how far the set-point may be below usage: this, or two runs if that is more", 0.015
    )
    writes_per_day: int = _key(values.as_whole, "maximum number of writes in 24 hours", 24)
    on_foreign_change: ForeignAnswer = _key(
        values.as_answer,
        "when another user changed what is steered. adopt: steer on from the new value; reassert: write "
        "saf's own value back in the next cycle, 3 times a day at most; yield: leave it until `saf resume`",
        "adopt",
    )
    lease: int | None = _key(
        values.as_seconds,
        "time without a completed cycle after which `saf release` restores the baseline; by default never",
        None,
    )
    recovery: int = _key(
        values.as_seconds, "rolling windows: shortest time over which a deficit is repaid", "72h"
    )
    horizon: int = _key(
        values.as_seconds, "calendar windows: shortest time over which a deficit is repaid", "48h"
    )

    @property
    def steered(self) -> tuple[str, ...]:
        """The names of what is steered: accounts, or one QOS or partition."""
        if self.lever is LeverKind.ACCOUNT:
            return self.account
        return (getattr(self, self.lever) or "",)

    @property
    def switch(self) -> Switch | None:
        """The switch; None where accounts are steered."""
        if self.lever is LeverKind.ACCOUNT:
            return None
        return Switch(self.lever, self.steered[0], self.raised or 0, self.hysteresis)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSection:
    """Whether nodes are kept free while the grid operator allows less power."""

    mode: GridMode = _key(
        values.as_grid_mode,
        "off: do nothing; plan: say which nodes would be kept free; advise: record it too; enforce: keep "
        "them free by a reservation",
        "off",
    )
    reservation: str = _key(
        values.as_plain_name, "name of the reservation, which no one else may use", "saf-grid"
    )
    node_busy: Decimal | None = _key(values.as_positive, "power of a node that runs jobs, in watts", None)
    node_idle: Decimal | None = _key(values.as_positive, "power of a node without jobs, in watts", None)
    expected: Decimal | None = _key(
        values.as_positive,
        "power of the connection to expect, in watts; by default the highest quarter of an hour of the last "
        "seven days",
        None,
    )
    ahead: int = _key(values.as_seconds, "how far ahead a limit is looked at", "2d")

    @property
    def policy(self) -> KeepingPolicy:
        """How nodes are kept free, where mode is not off."""
        return KeepingPolicy(
            name=self.reservation,
            busy_watts=self.node_busy or Decimal(0),
            idle_watts=self.node_idle or Decimal(0),
            ahead_seconds=self.ahead,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterSection:
    """Which meters do not count in the verdict on water."""

    exempt: dict[str, str] = _key(
        values.as_exempt,
        'meters whose water is not used by the process, each with its use: { toilets = "sanitary" }',
        {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSection:
    """How `saf run` runs."""

    period: int = _key(values.as_seconds, "time between the starts of two cycles", "5m")
    listen: str = _key(
        values.as_address, "address:port of the status page, /metrics, /healthz and /readyz", "127.0.0.1:9810"
    )
    web_config_file: Path | None = _key(
        values.as_path,
        "TLS and basic authentication, in the format of a Prometheus web configuration file",
        None,
    )
    ready_after: int = _key(
        values.as_seconds, "age of the last complete cycle above which /readyz fails", "30m"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSection:
    """The sender of governance reports, and how much they show."""

    facility: str | None = _key(
        values.as_text, "name of the facility in titles; by default the name of the cluster", None
    )
    region: dict[str, str] | None = _key(
        values.as_by_language, "name of the region in titles, or one for each language", None
    )
    contact: str | None = _key(values.as_text, "contact for readers", None)
    windows: int = _key(values.as_whole, "number of windows in the chart over time, including this one", 8)
    min_organisations: int = _key(
        values.as_few,
        "figures of fewer organisations are suppressed, as are figures from which they could be derived",
        3,
    )
    name_organisations: bool = _key(
        values.as_yes_or_no,
        "list the names of regional organisations that got resources, without figures",
        False,
    )
    currency: str = _key(values.as_text, "currency of prices and statements", "EUR")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertiseSection:
    """The promise on hours of the expertise centre."""

    target_share: float = _key(values.as_ratio, "the floor: regional hours / all hours", 0.25)
    unmet_recorded: bool = _key(
        values.as_yes_or_no,
        "whether requested hours that were not given are recorded too; if not, they never excuse a miss",
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySection:
    """How long the ledger keeps names of people and texts; `saf ledger pseudonymise` applies it."""

    pseudonymise_after: int | None = _key(
        values.as_retention, "age from the end of a run at which its user gets a pseudonym", None
    )
    withhold_lines_after: int | None = _key(
        values.as_retention, "age at which unparsable lines are withheld; by default pseudonymise_after", None
    )
    withhold_staff_after: int | None = _key(
        values.as_retention, "age at which the name of the actor is withheld from entries and decisions", None
    )
    withhold_texts_after: int | None = _key(
        values.as_retention, "age at which reasons, activities, sentences and notes are withheld", None
    )

    def retention(self) -> Retention:
        """The periods in seconds; None for what is kept."""
        lines = self.withhold_lines_after or self.pseudonymise_after
        return Retention(self.pseudonymise_after, lines, self.withhold_staff_after, self.withhold_texts_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSection:
    """The actor that the ledger records."""

    allow_as: bool = _key(
        values.as_yes_or_no,
        "accept `--as NAME` without proof, from a portal that has authenticated the user",
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSection:
    """Changes that take effect only once a second person has approved them."""

    promise: bool = _key(values.as_yes_or_no, "terms of the promise", False)
    registry: bool = _key(values.as_yes_or_no, "entries of the registry with effect on the past", False)
    overrides: bool = _key(values.as_yes_or_no, "overrides of single jobs, and their removal", False)
    publications: bool = _key(values.as_yes_or_no, "publishing a report", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySection:
    """How the energy of runs is found, and when it is shown by beneficiary."""

    closure_least: Decimal = _key(
        values.as_positive, "closure below which no figures by beneficiary are given", 0.9
    )
    closure_most: Decimal = _key(
        values.as_positive, "closure above which no figures by beneficiary are given", 1.1
    )
    whole_nodes: bool = _key(
        values.as_yes_or_no,
        "every job has its nodes to itself, so that Slurm's counter of energy is the job's own",
        False,
    )
    node_watts_most: Decimal | None = _key(
        values.as_positive,
        "the most that a node can draw, in watts; a reading above it is marked and not summed",
        None,
    )
    watts: tuple[StatedWatts, ...] = _key(
        values.as_watts, "power of one of a TRES, for runs without a meter: [[energy.watts]]", []
    )
    emissions: tuple[EmissionFactor, ...] = _key(
        values.as_emissions, "CO2 of one kWh: [[energy.emissions]]", []
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSection:
    """What this site is called by the programme that takes in its days: `saf hub state`."""

    site: str | None = _key(
        values.as_code, "name of this site; its statements are signed with ledger.signing_key", None
    )
    infrastructure: str = _key(values.as_code, "kind of infrastructure in the statements", "local")


SECTIONS: dict[str, type] = {
    "cluster": ClusterSection,
    "promise": PromiseSection,
    "registry": RegistrySection,
    "slurm": SlurmSection,
    "ledger": LedgerSection,
    "control": ControlSection,
    "grid": GridSection,
    "water": WaterSection,
    "daemon": DaemonSection,
    "report": ReportSection,
    "expertise": ExpertiseSection,
    "privacy": PrivacySection,
    "actor": ActorSection,
    "approval": ApprovalSection,
    "energy": EnergySection,
    "hub": HubSection,
}
