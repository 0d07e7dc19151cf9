"""Who a charge is for: the first rule that holds, by itself or by the registry of organisations.

Rule: the region is the municipalities of the promise's terms. What no rule takes is unclassified; what an
account's links leave is nobody's in the registry, and not regional.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tests.second.rows import Known, Row, Subject, newest

REGIONAL, OTHERS, UNCLASSIFIED = "regional", "non_regional", "unclassified"
PLACES = ("category", "sector", "municipality", "hub")


class Answer(NamedTuple):
    """A fraction of a charge and whose it is; organisation and places are empty where not known."""

    fraction: Fraction
    side: str
    organisation: str = ""
    category: str = ""
    sector: str = ""
    municipality: str = ""
    hub: str = ""


class Piece(NamedTuple):
    """An answer in [since, until)."""

    since: int
    until: int
    answer: Answer


class Who:
    """All that answers depend on, as known at an instant."""

    def __init__(self, known: Known) -> None:
        self.terms = terms(known)
        self.rules: list[Row] = known.recorded("rules_used")[-1]["rules"]["rules"]
        self.parents = {row["account"]: row["parent"] for row in known.recorded("accounts")}
        self.overrides = {str(row["override_id"]): row for row in known.recorded("overrides")}
        self.organisations = _lasting(newest(known.recorded("organisations"), "organisation", "since"))
        self.links = _lasting(newest(known.recorded("links"), "organisation", "account", "since"))
        dated = [*self.rules, *self.organisations, *self.links]
        self.cuts = {one[end] for one in dated for end in ("since", "until")}
        self.cuts |= {one["since"] for one in self.terms}

    def pieces(self, subject: Subject, since: int, until: int) -> Iterator[Piece]:
        """Whose a subject's charge is in [since, until), cut wherever that can change."""
        cuts = sorted({since, until} | {at for at in self.cuts if since < at < until})
        for begin, end in pairwise(cuts):
            for answer in self.answers(subject, begin):
                yield Piece(begin, end, answer)

    def answers(self, subject: Subject, at: int) -> list[Answer]:
        """Whose it is at an instant; the fractions add up to 1."""
        if override := self.overrides.get(subject.override):
            return [self._told(override["beneficiary"], override, at)]
        lineage = self.lineage(subject.account)
        linked = self.linked(lineage, at)
        for rule in self.rules:
            if _covers(rule, at) and _holds(rule, subject, lineage, linked):
                if rule["beneficiary"] != "registry":
                    return [self._told(rule["beneficiary"], rule, at)]
                if linked:
                    return self._by_registry(linked, at)
        return [Answer(Fraction(1), UNCLASSIFIED)]

    def side(self, organisation: str, at: int) -> str:
        """Whether an organisation is regional at an instant; unclassified where it is not registered."""
        entry = self.entry(organisation, at)
        if entry is None:
            return UNCLASSIFIED
        return REGIONAL if entry["municipality"] in term_at(self.terms, at)["region"] else OTHERS

    def entry(self, organisation: str, at: int) -> Row | None:
        """Who an organisation is at an instant."""
        found = (one for one in self.organisations if one["organisation"] == organisation)
        return next((one for one in found if _covers(one, at)), None)

    def lineage(self, account: str) -> list[str]:
        """An account and those above it."""
        found: list[str] = []
        while account and account not in found:
            found.append(account)
            account = self.parents.get(account, "")
        return found

    def linked(self, lineage: Sequence[str], at: int) -> list[tuple[Fraction, Row]]:
        """The organisations that the account is linked to or, where it has none, the one above it."""
        for account in lineage:
            links = [one for one in self.links if one["account"] == account and _covers(one, at)]
            found = [(one["fraction"], self.entry(one["organisation"], at)) for one in links]
            if known := [(Fraction(fraction), entry) for fraction, entry in found if entry]:
                return known
        return []

    def _by_registry(self, linked: list[tuple[Fraction, Row]], at: int) -> list[Answer]:
        found = [
            Answer(part, self.side(one["organisation"], at), one["organisation"], *(one[p] for p in PLACES))
            for part, one in linked
        ]
        rest = 1 - sum(one.fraction for one in found)
        return [*found, Answer(rest, OTHERS)] if rest else found

    def _told(self, side: str | None, said: Row, at: int) -> Answer:
        """What a rule or an override says, completed by the registry."""
        entry = self.entry(said.get("organisation", ""), at) or {}
        places = (said.get(place) or entry.get(place, "") for place in PLACES)
        return Answer(Fraction(1), side or UNCLASSIFIED, said.get("organisation", ""), *places)


def terms(known: Known) -> list[Row]:
    """The promise's terms, by beginning; the first one recorded held before anything was recorded, too."""
    rows = known.recorded("promise_terms")
    found = [one for one in rows if one["recorded_at"] <= known.then] or rows[:1]
    return sorted(newest(found, "since"), key=lambda one: int(one["since"]))


def term_at(found: Sequence[Row], at: int) -> Row:
    """The term in force at an instant."""
    return next((one for one in reversed(found) if one["since"] <= at), found[0])


def _lasting(rows: list[Row]) -> list[Row]:
    return [one for one in rows if one["until"] > one["since"]]


def _covers(dated: Row, at: int) -> bool:
    return bool(dated["since"] <= at < dated["until"])


def _holds(
    rule: Row, subject: Subject, lineage: Sequence[str], linked: Sequence[tuple[Fraction, Row]]
) -> bool:
    """Whether every condition of a rule holds; each lists the names that it takes."""
    told = {
        **{name: [value] for name, value in subject._asdict().items()},
        "account_subtree": lineage,
        **{f"linked_{name}": [one[name] for _, one in linked] for name in ("organisation", *PLACES)},
    }
    return all(set(names) & set(told[name]) for name, names in rule["conditions"].items())
