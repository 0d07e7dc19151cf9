"""Ordered rules: who a subject's charge is for, and which rule said so.

Total and deterministic: at any instant, the first rule that is in force and whose every condition holds
decides; when none does, the answer is ``unclassified`` and nothing is guessed. An answer is one beneficiary,
or several with fractions that add up to 1. Conditions compare whole names; ``account_subtree`` also holds for
every account below the one named. Rules, registry entries and links have dates, on whole hours, so that an
hour's charge is on one side of any of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from itertools import groupby, pairwise
from typing import NamedTuple

from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.records import FOREVER, Charge, Instant, Subject
from slurm_ai_factory.core.rules.organisations import (
    Link,
    Organisation,
    Regional,
    Registry,
    link_row,
    organisation_row,
)


class Beneficiary(StrEnum):
    """Who a charge is for."""

    REGIONAL = "regional"
    NON_REGIONAL = "non_regional"
    UNCLASSIFIED = "unclassified"


NAMES = ("account_subtree", "account", "user", "qos", "partition", "wckey", "reservation", "comment")
"""What Slurm says of a subject."""
LINKED = ("organisation", "category", "sector", "municipality", "hub")
"""What the registry says of an organisation that a subject's account is linked to."""
OF_ACCOUNTS = ("account_subtree", "account", "user")
CONDITIONS = (*NAMES, *(f"linked_{name}" for name in LINKED))
DETAILS = ("category", "organisation", "sector", "municipality", "hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: all its conditions must hold; each condition lists the names it accepts."""

    name: str
    beneficiary: Beneficiary | None  #: None: the registry says, where the account is linked to somebody
    conditions: Mapping[str, frozenset[str]]
    category: str = ""
    organisation: str = ""
    sector: str = ""
    municipality: str = ""
    hub: str = ""
    since: Instant = 0
    until: Instant = FOREVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The answer for one subject: beneficiary, the rule that said so, and what is known of them."""

    beneficiary: Beneficiary
    rule: str = ""
    category: str = ""
    organisation: str = ""
    sector: str = ""
    municipality: str = ""
    hub: str = ""


UNCLASSIFIED = Classification(beneficiary=Beneficiary.UNCLASSIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A reasoned correction: who the runs of one job were for, whatever the rules say."""

    number: str
    job: str
    beneficiary: Beneficiary | None  #: None: an earlier override is taken back
    organisation: str = ""
    reason: str
    actor: str
    at: Instant


class ClassifiedFraction(NamedTuple):
    """Which fraction of a charge is for whom."""

    fraction: Charge
    classification: Classification


class ClassifiedPart(NamedTuple):
    """Which fraction of a subject's charge in [since, until) is for whom."""

    since: Instant
    until: Instant
    fraction: Charge
    classification: Classification


def always(classification: Classification) -> tuple[ClassifiedPart, ...]:
    """All of it, at all times."""
    return (ClassifiedPart(0, FOREVER, 1, classification),)


class Unknown(NamedTuple):
    """A name in a rule that nothing has: likely mistyped."""

    rule: str
    condition: str
    name: str
    nearest: str  #: the known name most like it; empty where none is


@dataclass(frozen=True)
class Rules:
    """Ordered rules together with all they are read against.

    ``parents`` is the account tree (account -> parent), ``region`` the municipalities whose organisations are
    regional, and when.
    """

    rules: tuple[Rule, ...]
    parents: Mapping[str, str | None] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry)
    region: frozenset[Regional] = frozenset()
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def classify(self, subject: Subject, at: Instant) -> tuple[ClassifiedFraction, ...]:
        """Who a subject's charge at an instant is for; the fractions add up to 1.

        >>> region = Rule(name="region", beneficiary=Beneficiary.REGIONAL,
        ...               conditions={"account_subtree": frozenset({"regional"})})
        >>> rules = Rules((region,), {"umcg": "regional", "regional": "root"})
        >>> [answer.classification.rule for answer in rules.classify(Subject("c", "umcg", *"abcde"), 0)]
        ['region']
        >>> rules.classify(Subject("c", "astro", *"abcde"), 0)[0].classification.beneficiary
        <Beneficiary.UNCLASSIFIED: 'unclassified'>
        """
        if override := self.overrides.get(subject.override):
            return (self._overridden(override, at),)
        lineage = tuple(self.lineage(subject.account))
        linked = self.registry.linked(lineage, at)
        for rule in self.rules:
            if rule.since <= at < rule.until and _all_hold(rule, subject, lineage, linked):
                if rule.beneficiary is not None:
                    return (ClassifiedFraction(1, self._told(rule, rule.beneficiary, at)),)
                if linked:
                    return tuple(self._by_registry(rule, linked, at))
        return (ClassifiedFraction(1, UNCLASSIFIED),)

    def mostly(self, subject: Subject, at: Instant) -> Classification:
        """Who most of a subject's charge at an instant is for: of several, the largest fraction."""
        return max(self.classify(subject, at), key=lambda answer: answer.fraction).classification

    def parts(self, subject: Subject) -> tuple[ClassifiedPart, ...]:
        """Who a subject's charge is for, at all times: cut wherever the answer changes."""
        cuts = [0, *sorted(self._cuts(subject) - {0, FOREVER}), FOREVER]
        spans = ((self.classify(subject, since), since, until) for since, until in pairwise(cuts))
        found: list[ClassifiedPart] = []
        for answers, same in groupby(spans, lambda span: span[0]):
            times = [at for _, *span in same for at in span]
            found += [ClassifiedPart(times[0], times[-1], *answer) for answer in answers]
        return tuple(found)

    def _cuts(self, subject: Subject) -> set[Instant]:
        override = self.overrides.get(subject.override)
        keys = {override.organisation} if override else self._organisations_of_rules
        return self._cuts_of_rules | self.registry.cuts(self.lineage(subject.account), keys)

    @cached_property
    def _cuts_of_rules(self) -> set[Instant]:
        spans = [(rule.since, rule.until) for rule in self.rules]
        return {at for span in spans + [one[1:] for one in self.region] for at in span}

    @cached_property
    def _organisations_of_rules(self) -> set[str]:
        return {rule.organisation for rule in self.rules} - {""}

    def _overridden(self, override: Override, at: Instant) -> ClassifiedFraction:
        beneficiary = override.beneficiary or Beneficiary.UNCLASSIFIED
        rule = Rule(
            name=f"override {override.number}",
            beneficiary=beneficiary,
            conditions={},
            organisation=override.organisation,
        )
        return ClassifiedFraction(1, self._told(rule, beneficiary, at))

    def _told(self, rule: Rule, beneficiary: Beneficiary, at: Instant) -> Classification:
        """What a rule tells, completed by what the registry knows of the organisation it names."""
        whom = self.registry.organisation(rule.organisation, at)
        details = {name: getattr(rule, name) or (getattr(whom, name) if whom else "") for name in DETAILS}
        return Classification(beneficiary=beneficiary, rule=rule.name, **details)

    def is_regional(self, municipality: str, at: Instant) -> bool:
        """Whether the organisations of a municipality are regional at an instant."""
        return any(one.municipality == municipality and one.since <= at < one.until for one in self.region)

    def _by_registry(
        self, rule: Rule, linked: Sequence[tuple[Link, Organisation]], at: Instant
    ) -> Iterator[ClassifiedFraction]:
        """A fraction for each organisation; the rest is not regional, and nobody's in the registry."""
        rest: Charge = 1
        for link, whom in linked:
            regional = self.is_regional(whom.municipality, at)
            details = {name: getattr(whom, name) for name in DETAILS}
            beneficiary = Beneficiary.REGIONAL if regional else Beneficiary.NON_REGIONAL
            fraction = 1 if link.fraction == 1 else link.fraction
            yield ClassifiedFraction(
                fraction, Classification(beneficiary=beneficiary, rule=rule.name, **details)
            )
            rest -= fraction
        if rest:
            yield ClassifiedFraction(
                rest, Classification(beneficiary=Beneficiary.NON_REGIONAL, rule=rule.name)
            )

    def lineage(self, account: str) -> Iterable[str]:
        """The account and its ancestors, upwards; an account whose parent is unknown stands alone."""
        seen: set[str] = set()
        step: str | None = account
        while step and step not in seen:
            seen.add(step)
            yield step
            step = self.parents.get(step)

    def top_level(self, account: str) -> str:
        """The ancestor directly under root, or the account itself; root is its own."""
        *_, top = (one for one in self.lineage(account) if one != "root" or account == "root")
        return top

    def unknown_accounts(self) -> list[str]:
        """Accounts named by rules that the cluster does not have: likely a mistyped name."""
        known = {"account": self.parents.keys(), "account_subtree": self.parents.keys()}
        return sorted({one.name for one in self.unknown(known)})

    def unknown(self, known: Mapping[str, Collection[str]]) -> list[Unknown]:
        """Names in conditions that are not among those known; only conditions in ``known`` are looked at."""
        return [
            Unknown(rule.name, key, name, next(iter(get_close_matches(name, known[key], n=1)), ""))
            for rule in self.rules
            for key, names in rule.conditions.items()
            if key in known
            for name in sorted(names - set(known[key]))
        ]

    def unmatched_accounts(self, users: Iterable[tuple[str, str]]) -> list[str]:
        """Accounts of these (account, user) that no rule can match, whatever their jobs ask for.

        Nor whoever they are linked to, and whenever: dates and the registry are left out.
        """
        rules = Rules(tuple(map(_of_accounts, self.rules)), self.parents)
        subjects = (Subject("", account, user, "", "", "", "") for account, user in users)
        return sorted({one.account for one in subjects if rules.mostly(one, 0) is UNCLASSIFIED})

    @cached_property
    def digest(self) -> str:
        """Changes whenever an answer could: over the rules in order and all they are read against."""
        tree = sorted([account, parent or ""] for account, parent in self.parents.items())
        overrides = [
            [number, one.beneficiary, one.organisation] for number, one in sorted(self.overrides.items())
        ]
        return canonical.digest(
            "rules",
            1,
            {
                "rules": [_plain(rule) for rule in self.rules],
                "accounts": tree,
                "organisations": sorted(map(organisation_row, self.registry.organisations)),
                "links": sorted(map(link_row, self.registry.links)),
                "region": sorted(list(one) for one in self.region),
                "overrides": overrides,
            },
        )


def _plain(rule: Rule) -> list[canonical.Plain]:
    conditions = {key: sorted(names) for key, names in rule.conditions.items()}
    details = [rule.category, rule.organisation, rule.sector, rule.municipality, rule.hub]
    return [rule.name, rule.beneficiary, conditions, *details, rule.since, rule.until]


def _of_accounts(rule: Rule) -> Rule:
    """The rule as far as it is about accounts, always in force, and deciding by itself."""
    conditions = {key: names for key, names in rule.conditions.items() if key in OF_ACCOUNTS}
    decides = rule.beneficiary or Beneficiary.NON_REGIONAL
    return Rule(name=rule.name, beneficiary=decides, conditions=conditions)


def _all_hold(
    rule: Rule, subject: Subject, lineage: Collection[str], linked: Sequence[tuple[Link, Organisation]]
) -> bool:
    return all(_holds(key, names, subject, lineage, linked) for key, names in rule.conditions.items())


def _holds(
    key: str,
    names: frozenset[str],
    subject: Subject,
    lineage: Collection[str],
    linked: Sequence[tuple[Link, Organisation]],
) -> bool:
    if key == "account_subtree":
        return not names.isdisjoint(lineage)
    if key.startswith("linked_"):
        return any(getattr(whom, key.removeprefix("linked_")) in names for _, whom in linked)
    return getattr(subject, key) in names
