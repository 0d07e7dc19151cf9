"""The sections of saf.toml: a key's type, default and documentation are said here, once.

The check, `saf config show`, `saf init` and docs/reference/config.md are made from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.config import values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.pace import Overlap
from slurm_ai_factory.core.programme.retention import Retention
from slurm_ai_factory.core.programme.tariff import Tariff
from slurm_ai_factory.core.programme.terms import FIRST_REASON, Term
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.rules.classify import Rule
from slurm_ai_factory.core.rules.organisations import Codes
from slurm_ai_factory.core.tres import Count, resource_name

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
    """Which cluster."""

    name: str = _key(values.as_text, "ClusterName, as slurm.conf spells it")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseSection:
    """What was promised to the region: the first term of the promise; `saf promise set` makes later ones."""

    target_share: float = _key(values.as_ratio, "the floor: regional charge / all charge", 0.25)
    margin: float = _key(values.as_ratio, "how far above the floor the control steers", 0.01)
    resource: dict[str, Count] = _key(
        values.as_resource,
        'the unit of the promise: "billing", "gres/gpu", "node", "cpu" or a table of weights',
        "billing",
    )
    resource_label: str | None = _key(
        values.as_text, 'what people call one of the resource, "GPU" for a table of weights', None
    )
    window: str = _key(values.as_window, "judged over: month, quarter, half, year or rolling:30d", "quarter")
    time_zone: ZoneInfo = _key(values.as_zone, "civil time of the windows", "Europe/Amsterdam")
    unclassified_limit: float | None = _key(
        values.as_ratio,
        "no window is called met while more than this part of its charge is unclassified",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySection:
    """Who is regional by the promise's first term, and the words that the registry of organisations uses."""

    region: frozenset[str] = _key(
        values.as_region,
        "municipalities whose organisations are regional: CBS codes, or a list that is shipped",
        "groningen-noord-drenthe",
    )
    sectors: tuple[str, ...] = _key(
        values.as_codes,
        "the programme's own sectors, beside the sections A to U of the SBI",
        ["agriculture", "care", "education", "energy", "industry", "logistics", "public_services"],
    )
    hubs: tuple[str, ...] = _key(
        values.as_codes, "the hubs that use the machine", ["groningen", "south", "amsterdam", "european"]
    )
    municipalities: dict[str, str] = _key(
        values.as_municipalities,
        "CBS codes newer than the list of 2023 that is shipped, with their names",
        {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmSection:
    """How Slurm is read."""

    source: str = _key(
        values.as_source, "what is asked about now: Slurm's commands, or pyslurm beside them", "commands"
    )
    python: Path | None = _key(values.as_path, "the Python that has pyslurm; else the one of saf", None)

    directory: Path | None = _key(values.as_path, "where the Slurm commands are; else PATH", None)
    conf: Path | None = _key(values.as_path, "slurm.conf; else SLURM_CONF or Slurm's own default", None)
    timeout: int = _key(values.as_seconds, "deadline of one command", "60s")
    clock_tolerance: int = _key(
        values.as_seconds, "nothing is read while this machine's clock and slurmctld's differ by more", "5s"
    )
    since: str | None = _key(
        values.as_instant, "read accounting from here on; else from the window's start", None
    )
    overlap: int = _key(values.as_seconds, "read this much again every time, for late records", "1h")
    overlap_hourly: int = _key(values.as_seconds, "read this much again once an hour", "6h")
    overlap_daily: int = _key(values.as_seconds, "read this much again once a day", "7d")
    read_window: int = _key(
        values.as_seconds,
        "asked of sacct at once; less when that is too much",
        "1d",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSection:
    """Where the ledger is."""

    url: str | None = _key(
        values.as_text,
        "PostgreSQL, e.g. postgresql:///saf; without it an embedded one in state_directory",
        None,
        secret=True,
    )
    url_file: Path | None = _key(values.as_path, "a file that holds the url and its password", None)
    state_directory: Path = _key(
        values.as_path, "home of the embedded PostgreSQL", "/var/lib/slurm-ai-factory"
    )
    timeout: int = _key(values.as_seconds, "give PostgreSQL up when it says nothing for this long", "2m")
    signing_key: Path | None = _key(
        values.as_path,
        "Ed25519 private key in PEM that `saf ledger head` and the log sign the head with",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSection:
    """Whether and how RawShares are steered."""

    mode: str = _key(
        values.as_mode, "observe: never write; advise: say what to set; enforce: set it", "observe"
    )
    account: tuple[str, ...] = _key(
        values.as_names,
        "the top-level account that holds the region, or a list of those that do",
        "regional",
    )
    share_min: float = _key(values.as_ratio, "lowest part of the level the region is given", 0.05)
    share_max: float = _key(values.as_ratio, "highest part of the level the region is given", 0.9)
    slew: float = _key(values.as_ratio, "largest step of one write, as part of the level", 0.05)
    band: float = _key(values.as_ratio, "smaller steps wait while they change no order", 0.03)
    credit_max: float = _key(values.as_ratio, "how far the set-point may lie above usage", 0.2)
    debit_max: float = _key(
        values.as_ratio, "how far the set-point may lie below usage: this, or two runs", 0.015
    )
    writes_per_day: int = _key(values.as_whole, "most writes in 24 hours", 24)
    recovery: int = _key(values.as_seconds, "rolling windows: a deficit is repaid over at least this", "72h")
    horizon: int = _key(values.as_seconds, "calendar windows: a deficit is repaid over at least this", "48h")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSection:
    """How `saf run` runs."""

    period: int = _key(values.as_seconds, "beat: one cycle each", "5m")
    listen: str = _key(
        values.as_address, "address:port of the status page, /metrics, /healthz and /readyz", "127.0.0.1:9810"
    )
    web_config_file: Path | None = _key(
        values.as_path, "TLS and basic authentication, in the format of Prometheus' web configuration", None
    )
    ready_after: int = _key(values.as_seconds, "not ready when the last complete cycle is older", "30m")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSection:
    """What a governance report says of its sender, and how much it shows."""

    facility: str | None = _key(values.as_text, "name of the facility in titles; else the cluster's", None)
    region: dict[str, str] | None = _key(
        values.as_by_language, "the region in titles: a name, or one for each language", None
    )
    contact: str | None = _key(values.as_text, "whom readers can ask", None)
    windows: int = _key(values.as_whole, "so many windows in the chart over time, this one included", 8)
    min_organisations: int = _key(
        values.as_few, "no figure that rests on fewer organisations can be read or worked out", 3
    )
    name_organisations: bool = _key(
        values.as_yes_or_no,
        "list the names of regional organisations that were reached, without figures",
        False,
    )
    currency: str = _key(values.as_text, "of prices and statements", "EUR")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertiseSection:
    """The promise about the hours of the expertise centre."""

    target_share: float = _key(values.as_ratio, "the floor: regional hours / all hours", 0.25)
    unmet_recorded: bool = _key(
        values.as_yes_or_no,
        "whether hours asked for and not given are entered too; else they excuse no miss",
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySection:
    """How long names of people and texts about them are kept; `saf ledger pseudonymise` keeps to it."""

    pseudonymise_after: int | None = _key(
        values.as_retention, "users get pseudonyms in runs that ended this long ago", None
    )
    withhold_lines_after: int | None = _key(
        values.as_retention,
        "lines that could not be read are withheld this long after; else by pseudonymise_after",
        None,
    )
    withhold_staff_after: int | None = _key(
        values.as_retention, "who did it, in every entry and decision, is withheld after this long", None
    )
    withhold_texts_after: int | None = _key(
        values.as_retention, "reasons, activities, sentences and notes are withheld after this long", None
    )

    def retention(self) -> Retention:
        """How long each is kept."""
        lines = self.withhold_lines_after or self.pseudonymise_after
        return Retention(self.pseudonymise_after, lines, self.withhold_staff_after, self.withhold_texts_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSection:
    """Whom the ledger notes as the one who acted."""

    allow_as: bool = _key(
        values.as_yes_or_no,
        "`--as NAME` is taken at its word, as from a portal that knows who logged in",
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSection:
    """What is in force only once a second person has approved it."""

    promise: bool = _key(values.as_yes_or_no, "terms of the promise", False)
    registry: bool = _key(
        values.as_yes_or_no, "entries of the registry that change what is known of the past", False
    )
    overrides: bool = _key(values.as_yes_or_no, "overrides of single jobs, and taking them back", False)
    publications: bool = _key(values.as_yes_or_no, "giving a report out", False)


SLOW_COMMANDS = 4
"""Commands of Slurm in a row, each just within its deadline, between two words of a leader to the ledger."""

SECTIONS: dict[str, type] = {
    "cluster": ClusterSection,
    "promise": PromiseSection,
    "registry": RegistrySection,
    "slurm": SlurmSection,
    "ledger": LedgerSection,
    "control": ControlSection,
    "daemon": DaemonSection,
    "report": ReportSection,
    "expertise": ExpertiseSection,
    "privacy": PrivacySection,
    "actor": ActorSection,
    "approval": ApprovalSection,
}


OF_TERM = {
    "share": "promise.target_share",
    "margin": "promise.margin",
    "resource": "promise.resource",
    "label": "promise.resource_label",
    "window": "promise.window",
    "time_zone": "promise.time_zone",
    "unclassified_limit": "promise.unclassified_limit",
    "region": "registry.region",
    "min_organisations": "report.min_organisations",
    "expertise_share": "expertise.target_share",
}
"""The fields of a term, and the keys that say them in the first term."""

LONGEST_TOLD = 60
"""A value of more characters is not repeated in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything configured, and where each value comes from."""

    cluster: ClusterSection
    promise: PromiseSection
    registry: RegistrySection
    slurm: SlurmSection
    ledger: LedgerSection
    control: ControlSection
    daemon: DaemonSection
    report: ReportSection
    expertise: ExpertiseSection
    privacy: PrivacySection
    actor: ActorSection
    approval: ApprovalSection
    tariffs: tuple[Tariff, ...]
    rules: tuple[Rule, ...]
    file: str
    origins: Mapping[str, str]
    promised: Term | None = None  #: the term that took the place of the keys of OF_TERM; None: none did

    def first_term(self, at: Instant = 0, actor: str = "") -> Term:
        """What is configured, as the first term, recorded at an instant by an actor."""
        promise = self.promise
        return Term(
            since=0,
            share=promise.target_share,
            margin=promise.margin,
            resource=promise.resource,
            label=promise.resource_label or "",
            window=promise.window,
            time_zone=promise.time_zone.key,
            unclassified_limit=promise.unclassified_limit,
            region=tuple(sorted(self.registry.region)),
            min_organisations=self.report.min_organisations,
            expertise_share=self.expertise.target_share,
            source=self.file,
            reason=FIRST_REASON,
            actor=actor,
            recorded_at=at,
        )

    def under(self, term: Term) -> Config:
        """The configuration with a term's values in place of those that the file has of them."""
        promise = replace(
            self.promise,
            target_share=term.share,
            margin=term.margin,
            resource=dict(term.resource),
            resource_label=term.label or None,
            window=term.window,
            time_zone=term.zone,
            unclassified_limit=term.unclassified_limit,
        )
        return replace(
            self,
            promise=promise,
            registry=replace(self.registry, region=frozenset(term.region)),
            report=replace(self.report, min_organisations=term.min_organisations),
            expertise=replace(self.expertise, target_share=term.expertise_share),
            promised=term,
        )

    def contradicting(self, term: Term) -> str:
        """What the file says otherwise than the term in force, in one sentence; empty where it says nothing.

        A key that is not in the file says nothing, but for the time zone, in which the dates of rules are.
        """
        mine, its = self.first_term().plain(), term.plain()
        said = [
            f"{key}{_told(mine[name], its[name])}"
            for name, key in OF_TERM.items()
            if mine[name] != its[name] and (self.origins[key] != DEFAULT or name == "time_zone")
        ]
        if not said:
            return ""
        since = windows.civil_day(term.since, term.zone) if term.since else "the beginning"
        return (
            f"{self.file} contradicts the promise's term in force since {since}: {', '.join(said)}; the term "
            "holds: remove these keys from the file, or change the promise with `saf promise set`"
        )

    def first_instant(self) -> int | None:
        """Where reading starts on an empty ledger, when it is configured; civil time without an offset."""
        typed = self.slurm.since
        return None if typed is None else windows.instant(typed, 0, self.promise.time_zone)

    def overlap(self) -> Overlap:
        """How far before the watermark to read again."""
        slurm = self.slurm
        return Overlap(always=slurm.overlap, hourly=slurm.overlap_hourly, daily=slurm.overlap_daily)

    def leader_silence(self) -> float:
        """After how many seconds the ledger takes a leader that says nothing for dead.

        One that lives asks for the lock once a period; within a cycle it waits for a few commands of Slurm.
        """
        return max(1.5 * self.daemon.period, SLOW_COMMANDS * self.slurm.timeout)

    @property
    def users_of_rules(self) -> frozenset[str]:
        """The users that rules name."""
        return frozenset(name for rule in self.rules for name in rule.conditions.get("user", ()))

    def policy(self, half_life_seconds: int) -> Policy:
        """The control law's parameters, with the half-life slurmctld has now."""
        control = self.control
        return Policy(
            account=control.account,
            target_share=self.promise.target_share,
            margin=self.promise.margin,
            half_life_seconds=half_life_seconds,
            period_seconds=self.daemon.period,
            recovery_seconds=control.recovery,
            horizon_seconds=control.horizon,
            share_min=control.share_min,
            share_max=control.share_max,
            credit_max=control.credit_max,
            debit_max=control.debit_max,
            slew=control.slew,
            band=control.band,
            writes_per_day=control.writes_per_day,
        )

    def promise_of(self, resource: Mapping[str, Count] | None = None) -> Promise:
        """The promise, in its own resource or another."""
        weights = dict(resource or self.promise.resource)
        return Promise(
            cluster=self.cluster.name,
            target_share=self.promise.target_share,
            margin=self.promise.margin,
            resource=resource_name(weights),
            weights=weights,
            unclassified_limit=self.promise.unclassified_limit,
            label="" if resource else self.promise.resource_label or "",
            ended=self.promised is not None and self.promised.ended,
        )

    def terms(self, accounts: Collection[str]) -> Codes:
        """The codes that entries of the registry may use; ``accounts`` are the cluster's."""
        return Codes(
            municipalities=values.shipped_municipalities() | self.registry.municipalities,
            sectors=self.registry.sectors,
            hubs=self.registry.hubs,
            accounts=frozenset(accounts),
        )


def _told(mine: object, its: object) -> str:
    """Both values, where they fit into a sentence."""
    text = f" is {mine} in the file and {its} in the term"
    return text if len(text) <= LONGEST_TOLD else ""
