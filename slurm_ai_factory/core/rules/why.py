"""Why a subject is classified as it is, in facts to check. Tested in tests/core/rules/test_organisations.py.

The rule: nothing is decided here; the facts are those of the answer of ``classify``.
"""

from __future__ import annotations

from collections.abc import Iterator

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import FOREVER, Instant, Subject
from slurm_ai_factory.core.rules.classify import Rule, Rules
from slurm_ai_factory.core.rules.organisations import Link, Organisation


def why(rules: Rules, subject: Subject, at: Instant) -> list[str]:
    """The facts behind the rules' answer for a subject at an instant, one a line.

    >>> from slurm_ai_factory.core.rules.classify import Beneficiary
    >>> rule = Rule(name="region", beneficiary=Beneficiary.REGIONAL,
    ...             conditions={"account_subtree": frozenset({"regional"}), "qos": frozenset({"long"})})
    >>> subject = Subject("c", "umcg", "jan", "main", "long", "", "")
    >>> why(Rules((rule,), {"umcg": "regional", "regional": "root"}), subject, 0)
    ['account_subtree: umcg < regional', 'qos: long']
    """
    if override := rules.overrides.get(subject.override):
        return [
            f"override {override.number} by {override.actor} at {windows.iso(override.at)}: {override.reason}"
        ]
    name = rules.classify(subject, at)[0].classification.rule
    deciding = next((rule for rule in rules.rules if rule.name == name), None)
    return list(_facts(rules, deciding, subject, at)) if deciding else ["no rule holds"]


def _facts(rules: Rules, rule: Rule, subject: Subject, at: Instant) -> Iterator[str]:
    if rule.since or rule.until != FOREVER:
        yield f"the rule applies {_span(rule.since, rule.until)}"
    lineage = list(rules.lineage(subject.account))
    linked = rules.registry.linked(lineage, at)
    for key, names in rule.conditions.items():
        if key == "account_subtree":
            upto = next(n for n, account in enumerate(lineage) if account in names)
            yield f"account_subtree: {' < '.join(lineage[: upto + 1])}"
        elif key.startswith("linked_"):
            detail = key.removeprefix("linked_")
            values = {getattr(organisation, detail) for _, organisation in linked} & names
            yield f"{key}: {', '.join(sorted(values))}"
        else:
            yield f"{key}: {getattr(subject, key)}"
    if rule.beneficiary is None:
        yield from (_linked(rules, link, organisation, at) for link, organisation in linked)


def _linked(rules: Rules, link: Link, organisation: Organisation, at: Instant) -> str:
    place = organisation.municipality or "outside the Netherlands"
    inside = "in the region" if rules.is_regional(organisation.municipality, at) else "not in the region"
    return (
        f"registry: {link.fraction.normalize():f} of account {link.account} is for "
        f"{organisation.organisation} ({organisation.name}) {_span(link.since, link.until)}; "
        f"{place} is {inside}"
    )


def _span(since: Instant, until: Instant) -> str:
    parts = [f"from {windows.iso(since)}"] if since else []
    parts += [f"until {windows.iso(until)}"] if until != FOREVER else []
    return " ".join(parts) or "at all times"
