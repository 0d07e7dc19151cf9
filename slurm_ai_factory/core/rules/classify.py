"""Ordered rules: who a subject's charge is for, and which rule decided.

Total and deterministic: at any instant, the first rule that applies then and whose every condition holds
decides; without one the answer is ``unclassified`` and nothing is guessed. An answer is one beneficiary,
or several with fractions that add up to 1. Conditions compare whole names; ``account_subtree`` also holds for
every account below the named one. Rules, registry entries and links have dates, on whole hours, so that an
hour's charge is on one side of any of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from itertools import groupby, pairwise
from typing import NamedTuple

from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.records import FOREVER, Charge, Instant, Subject
from slurm_ai_factory.core.rules.organisations import (
    Link,
    Linked,
    Regional,
    Registry,
    access_row,
    link_row,
    organisation_row,
)


class Beneficiary(StrEnum):
    """Who a charge is for."""

    REGIONAL = "regional"
    NON_REGIONAL = "non_regional"
    UNCLASSIFIED = "unclassified"


NAMES = ("account_subtree", "account", "user", "qos", "partition", "wckey", "reservation", "comment")
"""What Slurm knows of a subject."""
LINKED = ("organisation", "category", "sector", "municipality", "hub")
"""What the registry knows of an organisation that a subject's account is linked to."""
OF_ACCOUNTS = ("account_subtree", "account", "user")
CONDITIONS = (*NAMES, *(f"linked_{name}" for name in LINKED))
DETAILS = ("category", "organisation", "sector", "municipality", "hub")
PROMISED_TO = (*(name for name in NAMES if name != "user"), "beneficiary", *DETAILS, "access")
"""What a further promise may be made to: names of a subject, but no person, and its classification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: all its conditions must hold; each condition lists the names it accepts."""

    name: str
    beneficiary: Beneficiary | None  #: None: the registry decides, where the account is linked
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
    """The answer for one subject: the beneficiary, the rule that decided, and details of the organisation."""

    beneficiary: Beneficiary
    rule: str = ""
    category: str = ""
    organisation: str = ""
    sector: str = ""
    municipality: str = ""
    hub: str = ""
    access: str = ""  #: the mode of access; only where a promise is made to one
    promises: str = ""  #: the further promises that its charge counts for, with blanks between


UNCLASSIFIED = Classification(beneficiary=Beneficiary.UNCLASSIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A correction with a reason: who the runs of one job were for, whatever the rules say."""

    number: str
    job: str
    beneficiary: Beneficiary | None  #: None: withdraws an earlier override
    organisation: str = ""
    reason: str
    actor: str
    at: Instant


class ClassifiedFraction(NamedTuple):
    """A fraction of a charge, and who it is for."""

    fraction: Charge
    classification: Classification


class ClassifiedPart(NamedTuple):
    """A fraction of a subject's charge in [since, until), and who it is for."""

    since: Instant
    until: Instant
    fraction: Charge
    classification: Classification


def always(classification: Classification) -> tuple[ClassifiedPart, ...]:
    """The classification as one part: the whole charge, at all times."""
    return (ClassifiedPart(0, FOREVER, 1, classification),)


class Unknown(NamedTuple):
    """A name in a rule that is not known: likely mistyped."""

    rule: str
    condition: str
    name: str
    nearest: str  #: the most similar known name; empty where none is similar


PromisedTo = tuple[tuple[str, tuple[str, ...]], ...]
"""Conditions of PROMISED_TO, each with the names it accepts; all of them must hold."""


class Membership(NamedTuple):
    """Whose charge counts for a further promise in [since, until)."""

    promise: str
    since: Instant
    until: Instant
    who: PromisedTo


@dataclass(frozen=True)
class Rules:
    """Ordered rules with all that their answers depend on.

    ``parents`` is the account tree (account -> parent); ``region`` has the municipalities whose organisations
    are regional, and when; ``promises`` has who the further promises are made to.
    """

    rules: tuple[Rule, ...]
    parents: Mapping[str, str | None] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry)
    region: frozenset[Regional] = frozenset()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    promises: frozenset[Membership] = frozenset()

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
        answers = self._by_rules(subject, at)
        if not self.promises:
            return answers
        return tuple(
            answer._replace(classification=self._promised(answer.classification, subject, at))
            for answer in answers
        )

    def _by_rules(self, subject: Subject, at: Instant) -> tuple[ClassifiedFraction, ...]:
        """Who a subject's charge is for, by override, rule and registry."""
        lineage = tuple(self.lineage(subject.account))
        linked = self.registry.linked(lineage, at)
        if override := self.overrides.get(subject.override):
            return (self._overridden(override, linked, at),)
        for rule in self.rules:
            if rule.since <= at < rule.until and _holds(rule, subject, lineage, linked):
                if rule.beneficiary is not None:
                    return (ClassifiedFraction(1, self._completed(rule, rule.beneficiary, linked, at)),)
                if linked:
                    return tuple(self._by_registry(rule, linked, at))
        return (ClassifiedFraction(1, UNCLASSIFIED),)

    def _promised(self, classification: Classification, subject: Subject, at: Instant) -> Classification:
        """The classification with its further promises."""
        names = {
            membership.promise
            for membership in self.promises
            if membership.since <= at < membership.until
            and self.counts_for(membership.who, subject, classification)
        }
        return replace(classification, promises=" ".join(sorted(names))) if names else classification

    def counts_for(self, who: PromisedTo, subject: Subject, classification: Classification) -> bool:
        """Whether a charge meets every condition of a promise; what is unclassified counts for none."""
        return classification.beneficiary is not Beneficiary.UNCLASSIFIED and all(
            any(account in names for account in self.lineage(subject.account))
            if key == "account_subtree"
            else getattr(subject, key, getattr(classification, key, "")) in names
            for key, names in who
        )

    def mostly(self, subject: Subject, at: Instant) -> Classification:
        """Who the largest fraction of a subject's charge at an instant is for."""
        return max(self.classify(subject, at), key=lambda answer: answer.fraction).classification

    def parts(self, subject: Subject) -> tuple[ClassifiedPart, ...]:
        """Who a subject's charge is for, at all times: cut wherever the answer changes."""
        override = self.overrides.get(subject.override)
        keys = {override.organisation} if override else self._organisations_of_rules
        cuts = self._cuts_of_rules | self.registry.cuts(self.lineage(subject.account), keys)
        edges = [0, *sorted(cuts - {0, FOREVER}), FOREVER]
        spans = ((self.classify(subject, since), since, until) for since, until in pairwise(edges))
        parts: list[ClassifiedPart] = []
        for answers, same in groupby(spans, lambda span: span[0]):
            times = [at for _, *span in same for at in span]
            parts += [ClassifiedPart(times[0], times[-1], *answer) for answer in answers]
        return tuple(parts)

    @cached_property
    def _cuts_of_rules(self) -> set[Instant]:
        spans = [(rule.since, rule.until) for rule in self.rules]
        spans += [(place.since, place.until) for place in self.region]
        spans += [(membership.since, membership.until) for membership in self.promises]
        return {at for span in spans for at in span}

    @cached_property
    def _organisations_of_rules(self) -> set[str]:
        return {rule.organisation for rule in self.rules} - {""}

    def _overridden(self, override: Override, linked: Sequence[Linked], at: Instant) -> ClassifiedFraction:
        beneficiary = override.beneficiary or Beneficiary.UNCLASSIFIED
        rule = Rule(
            name=f"override {override.number}",
            beneficiary=beneficiary,
            conditions={},
            organisation=override.organisation,
        )
        return ClassifiedFraction(1, self._completed(rule, beneficiary, linked, at))

    def _completed(
        self, rule: Rule, beneficiary: Beneficiary, linked: Sequence[Linked], at: Instant
    ) -> Classification:
        """The rule's answer, completed by what the registry knows of the organisation it names."""
        organisation = self.registry.organisation(rule.organisation, at)
        details = {name: getattr(rule, name) or getattr(organisation, name, "") for name in DETAILS}
        access = self._access(link for link, _ in linked if rule.organisation in ("", link.organisation))
        return Classification(beneficiary=beneficiary, rule=rule.name, access=access, **details)

    def _access(self, links: Iterable[Link]) -> str:
        """The mode of access of these links where they agree, if a promise is made to one; else empty."""
        modes = {link.access for link in links} if self._by_access else set()
        return modes.pop() if len(modes) == 1 else ""

    @cached_property
    def _by_access(self) -> bool:
        return any(key == "access" for membership in self.promises for key, _ in membership.who)

    def is_regional(self, municipality: str, at: Instant) -> bool:
        """Whether the organisations of a municipality are regional at an instant."""
        places = (place for place in self.region if place.municipality == municipality)
        return any(place.since <= at < place.until for place in places)

    def _by_registry(self, rule: Rule, linked: Sequence[Linked], at: Instant) -> Iterator[ClassifiedFraction]:
        """A fraction for each linked organisation; the rest is not regional, and for no organisation."""
        rest: Charge = 1
        for link, organisation in linked:
            regional = self.is_regional(organisation.municipality, at)
            details = {name: getattr(organisation, name) for name in DETAILS}
            beneficiary = Beneficiary.REGIONAL if regional else Beneficiary.NON_REGIONAL
            fraction = 1 if link.fraction == 1 else link.fraction
            access = self._access([link])
            yield ClassifiedFraction(
                fraction, Classification(beneficiary=beneficiary, rule=rule.name, access=access, **details)
            )
            rest -= fraction
        if rest:
            yield ClassifiedFraction(
                rest, Classification(beneficiary=Beneficiary.NON_REGIONAL, rule=rule.name)
            )

    def lineage(self, account: str) -> Iterable[str]:
        """The account and its ancestors, upwards; an account with an unknown parent is its own line."""
        seen: set[str] = set()
        step: str | None = account
        while step and step not in seen:
            seen.add(step)
            yield step
            step = self.parents.get(step)

    def unknown_accounts(self) -> list[str]:
        """Accounts in rules that the cluster does not have: likely mistyped."""
        known = {"account": self.parents.keys(), "account_subtree": self.parents.keys()}
        return sorted({unknown.name for unknown in self.unknown(known)})

    def unknown(self, known: Mapping[str, Collection[str]]) -> list[Unknown]:
        """Names in conditions that are not known; only conditions that ``known`` has are checked."""
        return [
            Unknown(rule.name, key, name, next(iter(get_close_matches(name, known[key], n=1)), ""))
            for rule in self.rules
            for key, names in rule.conditions.items()
            if key in known
            for name in sorted(names - set(known[key]))
        ]

    def unmatched_accounts(self, users: Iterable[tuple[str, str]]) -> list[str]:
        """Accounts of these (account, user) that no rule can match, whatever their jobs ask for.

        Dates and the registry are left out: only conditions on account and user count, and a rule that leaves
        the decision to the registry matches too.
        """
        always = tuple(
            Rule(
                name=rule.name,
                beneficiary=rule.beneficiary or Beneficiary.NON_REGIONAL,
                conditions={key: names for key, names in rule.conditions.items() if key in OF_ACCOUNTS},
            )
            for rule in self.rules
        )
        rules = Rules(always, self.parents)
        subjects = (Subject("", account, user, "", "", "", "") for account, user in users)
        return sorted({job.account for job in subjects if rules.mostly(job, 0) is UNCLASSIFIED})

    @cached_property
    def digest(self) -> str:
        """A digest of the rules in order and all that their answers depend on."""
        tree = sorted([account, parent or ""] for account, parent in self.parents.items())
        overrides = [
            [number, override.beneficiary, override.organisation]
            for number, override in sorted(self.overrides.items())
        ]
        return canonical.digest(
            "rules",
            1,
            {
                "rules": [
                    [
                        rule.name,
                        rule.beneficiary,
                        {key: sorted(names) for key, names in rule.conditions.items()},
                        *(rule.category, rule.organisation, rule.sector, rule.municipality, rule.hub),
                        rule.since,
                        rule.until,
                    ]
                    for rule in self.rules
                ],
                "accounts": tree,
                "organisations": sorted(map(organisation_row, self.registry.organisations)),
                "links": sorted(map(link_row, self.registry.links)),
                "region": sorted(list(place) for place in self.region),
                "overrides": overrides,
                **({"promises": sorted(map(list, self.promises))} if self.promises else {}),
                **({"access": sorted(map(access_row, self.registry.links))} if self._by_access else {}),
            },
        )


def _holds(rule: Rule, subject: Subject, lineage: Collection[str], linked: Sequence[Linked]) -> bool:
    for key, names in rule.conditions.items():
        values: Collection[str] = (getattr(subject, key, ""),)
        if key == "account_subtree":
            values = lineage
        elif key.startswith("linked_"):
            values = [getattr(organisation, key.removeprefix("linked_")) for _, organisation in linked]
        if names.isdisjoint(values):
            return False
    return True
