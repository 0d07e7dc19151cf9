"""The whole configuration, and what follows from it. Tested in tests/config/test_config.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from slurm_ai_factory.config import sections, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.pace import Overlap
from slurm_ai_factory.core.programme.tariff import Tariff
from slurm_ai_factory.core.programme.terms import FIRST_REASON, Term, nothing_before
from slurm_ai_factory.core.records import FIRST, FOREVER, Instant
from slurm_ai_factory.core.rules.classify import Rule
from slurm_ai_factory.core.rules.organisations import Codes
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import ConfigError

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
"""The fields of a term, and the keys of saf.toml that set them in the first term."""

LONGEST_VALUES = 60
"""Two values of more characters than this are left out of a sentence."""

SLOW_COMMANDS = 2
"""Timeouts of a Slurm command; there is one command between two signs of life of a leader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that is configured, and the origin of each value."""

    cluster: sections.ClusterSection
    promise: sections.PromiseSection
    registry: sections.RegistrySection
    slurm: sections.SlurmSection
    ledger: sections.LedgerSection
    control: sections.ControlSection
    grid: sections.GridSection
    water: sections.WaterSection
    daemon: sections.DaemonSection
    report: sections.ReportSection
    expertise: sections.ExpertiseSection
    privacy: sections.PrivacySection
    actor: sections.ActorSection
    approval: sections.ApprovalSection
    energy: sections.EnergySection
    hub: sections.HubSection
    tariffs: tuple[Tariff, ...]
    rules: tuple[Rule, ...]
    file: str
    origins: Mapping[str, str]
    promised: Term | None = None  #: the term that replaced the keys of OF_TERM; None if none did

    def first_term(self, at: Instant = 0, actor: str = "") -> Term:
        """The first term of the promise as it is configured, recorded at an instant by an actor."""
        promise = self.promise
        return Term(
            since=0, share=promise.target_share, margin=promise.margin, resource=promise.resource,
            label=promise.resource_label or "", window=promise.window, time_zone=promise.time_zone.key,
            unclassified_limit=promise.unclassified_limit, region=tuple(sorted(self.registry.region)),
            min_organisations=self.report.min_organisations, expertise_share=self.expertise.target_share,
            source=self.file, reason=FIRST_REASON, actor=actor, recorded_at=at,
        )  # fmt: skip

    def term_before(self, new: Term, at: Instant, actor: str) -> Term:
        """The term that is recorded before the first recorded one of a promise."""
        return self.first_term(at, actor) if new.promise == FIRST else nothing_before(new)

    def under(self, term: Term) -> Config:
        """The configuration with the values of a term instead of those in the file. Raises ConfigError."""
        self._check_dates(term)
        promise = replace(
            self.promise, target_share=term.share, margin=term.margin, resource=term.resource,
            resource_label=term.label or None, window=term.window, time_zone=term.zone,
            unclassified_limit=term.unclassified_limit,
        )  # fmt: skip
        if term.min_organisations is None or term.expertise_share is None:  # a further promise
            return replace(self, promise=promise, promised=term)
        return replace(
            self,
            promise=promise,
            registry=replace(self.registry, region=frozenset(term.region)),
            report=replace(self.report, min_organisations=term.min_organisations),
            expertise=replace(self.expertise, target_share=term.expertise_share),
            promised=term,
        )

    def _check_dates(self, term: Term) -> None:
        """Raise ConfigError where rules have dates in a time zone that is not in the file, nor the term's."""
        dated = any(rule.since or rule.until != FOREVER for rule in self.rules) or self.tariffs
        implied = self.promised is None and self.origins["promise.time_zone"] == sections.DEFAULT
        if dated and implied and term.time_zone != self.promise.time_zone.key:
            raise ConfigError(
                f"{self.file} has rules or tariffs with dates and no time zone, and the promise is in "
                f'{term.time_zone}; add under [promise]: time_zone = "{term.time_zone}"'
            )

    def contradicting(self, term: Term) -> str:
        """Where the file contradicts the current term, in one sentence; empty where it does not.

        A key that is not in the file contradicts nothing.
        """
        mine, its = self.first_term().plain(), term.plain()
        differences = []
        for name, key in OF_TERM.items():
            if mine[name] != its[name] and self.origins[key] != sections.DEFAULT:
                both = f" is {mine[name]} in the file and {its[name]} in the term"
                differences.append(f"{key}{both if len(both) <= LONGEST_VALUES else ''}")
        if not differences:
            return ""
        since = windows.civil_day(term.since, term.zone) if term.since else "the beginning"
        return (
            f"{self.file} contradicts the promise's current term (since {since}): {', '.join(differences)}; "
            "the term applies: remove these keys from the file, or change the promise with `saf promise set`"
        )

    def first_instant(self) -> int | None:
        """Where reading accounting starts on an empty ledger; None if that is not configured."""
        typed = self.slurm.since
        return None if typed is None else windows.instant(typed, 0, self.promise.time_zone)

    def overlap(self) -> Overlap:
        """How far before the watermark to read again."""
        slurm = self.slurm
        return Overlap(always=slurm.overlap, hourly=slurm.overlap_hourly, daily=slurm.overlap_daily)

    def leader_silence(self) -> float:
        """Seconds of silence after which the ledger takes a leader for dead.

        A live leader is heard before each Slurm command, and SIGNS_OF_LIFE times a period while it waits. No
        write lasts as long as this: its deadline is slurm.timeout at most.
        """
        return max(self.daemon.period / 2, SLOW_COMMANDS * self.slurm.timeout)

    @property
    def accounts_beside(self) -> tuple[str, ...]:
        """The steered accounts of further promises."""
        return tuple(name for names in self.control.promises.values() for name in names)

    @property
    def steered_accounts(self) -> tuple[str, ...]:
        """The steered accounts of every promise, those of the first one first."""
        return (*(() if self.control.switch else self.control.account), *self.accounts_beside)

    @property
    def users_of_rules(self) -> frozenset[str]:
        return frozenset(name for rule in self.rules for name in rule.conditions.get("user", ()))

    def policy(self, half_life_seconds: int) -> Policy:
        """The parameters of the control law, with the half-life that slurmctld uses."""
        control = self.control
        return Policy(
            account=self.control.promises.get(self.promise_of().name, control.account),
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

    def promise_of(self, resource: Resource | None = None) -> Promise:
        """The promise, in its own resource or in another."""
        term = self.promised or self.first_term()
        return Promise(
            name=term.promise, bound=term.bound, share_of=term.share_of, cluster=self.cluster.name,
            target_share=self.promise.target_share, margin=self.promise.margin,
            resource=resource or self.promise.resource, unclassified_limit=self.promise.unclassified_limit,
            label="" if resource else self.promise.resource_label or "", ended=term.ended,
        )  # fmt: skip

    def codes(self, accounts: Collection[str]) -> Codes:
        """The codes allowed in entries of the registry; ``accounts`` are those of the cluster."""
        return Codes(
            municipalities=values.shipped_municipalities() | self.registry.municipalities,
            sectors=self.registry.sectors,
            hubs=self.registry.hubs,
            accounts=frozenset(accounts),
        )
