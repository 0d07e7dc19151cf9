"""Who a charge is for: the first rule that holds, by itself or by the registry of organisations.

Rule: the region is the municipalities of the promise's term in force. What no rule takes is unclassified;
what an account's links leave is nobody's in the registry, and not regional.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from tests.second.rows import Known, newest

FIRST = "region"
"""The name of the first promise."""
REGIONAL, OTHERS, UNCLASSIFIED = "regional", "non_regional", "unclassified"
PLACES = ("category", "sector", "municipality", "hub")
WHOLE = Fraction(1)


class Answer(NamedTuple):
    """A fraction of a charge and whose it is; organisation and places are empty where not known."""

    fraction: Fraction
    side: str
    organisation: str = ""
    category: str = ""
    sector: str = ""
    municipality: str = ""
    hub: str = ""
    access: str = ""
    promises: str = ""  #: the further promises that it counts for, with blanks between


class Piece(NamedTuple):
    """An answer in [since, until)."""

    since: int
    until: int
    answer: Answer


class Who:
    """All that answers depend on, as known at an instant. Rules are JSON, all else are rows."""

    def __init__(self, known: Known) -> None:
        rows = newest(known.rows("promise_terms"), "promise", "since")
        every = sorted(rows, key=lambda one: (str(one.promise), int(one.since)))
        self.terms = [one for one in every if one.promise == FIRST]
        self.further = {one.promise: [t for t in every if t.promise == one.promise] for one in every}
        del self.further[FIRST]
        self.rules = known.rows("rules_used", "recorded_at")[-1].rules["rules"]
        self.parents = {one.account: one.parent for one in known.rows("accounts", "recorded_at")}
        self.overrides = {str(one.override_id): one for one in known.rows("overrides")}
        self.organisations = newest(known.rows("organisations"), "organisation", "since")
        self.links = newest(known.rows("links"), "organisation", "account", "since")
        dated = [(one.since, one.until) for one in (*self.organisations, *self.links)]
        dated += [(rule["since"], rule["until"]) for rule in self.rules]
        self.cuts = {at for ends in dated for at in ends} | {one.since for one in every}

    def term(self, at: int) -> Any:
        """The promise's term in force at an instant; the first one held before it began, too."""
        return next((one for one in reversed(self.terms) if one.since <= at), self.terms[0])

    def pieces(self, run: Any, since: int, until: int) -> Iterator[Piece]:
        """Whose a run's charge is in [since, until), cut wherever that can change."""
        cuts = sorted({since, until} | {at for at in self.cuts if since < at < until})
        for begin, end in pairwise(cuts):
            for answer in self.answers(run, begin):
                names = (name for name in sorted(self.further) if self._counts(name, run, answer, begin))
                yield Piece(begin, end, answer._replace(promises=" ".join(names)))

    def promised(self, name: str, at: int) -> Any:
        """The term of a further promise in force at an instant; nothing where none is."""
        terms = [one for one in self.further[name] if one.since <= at]
        return None if not terms or terms[-1].ended else terms[-1]

    def _counts(self, name: str, run: Any, answer: Answer, at: int) -> bool:
        """Whether a charge counts for a further promise: what nobody can be named for counts for none."""
        term = self.promised(name, at)
        if term is None or answer.side == UNCLASSIFIED:
            return False
        for key, names in term.who.items():
            lineage = self._lineage(run.account)
            own = {"account_subtree": lineage, "beneficiary": [answer.side]}
            if not set(names) & set(own.get(key) or [getattr(run, key, getattr(answer, key, ""))]):
                return False
        return True

    def answers(self, run: Any, at: int) -> list[Answer]:
        """Whose it is at an instant; the fractions add up to 1."""
        if one := self.overrides.get(run.override):
            return [self._told(one.beneficiary or UNCLASSIFIED, {"organisation": one.organisation}, run, at)]
        lineage = self._lineage(run.account)
        linked = self._linked(lineage, at)
        for rule in self.rules:
            if rule["since"] <= at < rule["until"] and _holds(rule["conditions"], run, lineage, linked):
                if rule["beneficiary"] != "registry":
                    return [self._told(rule["beneficiary"], rule, run, at)]
                if linked:
                    return self._by_registry(linked, at)
        return [Answer(WHOLE, UNCLASSIFIED)]

    def side(self, organisation: str, at: int) -> str:
        """Which side an organisation is on; unclassified where it is not registered."""
        entry = self._entry(organisation, at)
        regional = entry and entry.municipality in self.term(at).region
        return UNCLASSIFIED if entry is None else REGIONAL if regional else OTHERS

    def last(self, organisation: str, until: int) -> Any:
        """The last entry of an organisation that began before an instant."""
        entries = [one for one in self.organisations if one.organisation == organisation]
        return _latest(one for one in entries if one.since < min(until, one.until))

    def recorded(self, account: str, organisation: str, since: int, until: int) -> dict[str, str]:
        """Size, stage, mode of access and whether hours were granted, as of the end of [since, until)."""
        entry = self.last(organisation, until)
        company = entry is None or entry.category == "business"
        said = {one: getattr(entry, one, "") if company else "not_business" for one in ("size", "stage")}
        links = (one for one in self.links if one.organisation == organisation)
        own = [one for one in links if one.since < min(until, one.until)]
        lines = ([one for one in own if one.account == above] for above in self._lineage(account))
        nearest = _latest(next(filter(None, lines), []))
        granted = any(one.granted and since < one.until for one in own)
        return {**said, "access": nearest.access if nearest else "", "grant": "granted" if granted else ""}

    def granted(self, since: int, until: int) -> Fraction:
        """The hours granted to the region, evenly over the time of each link."""
        found = Fraction(0)
        for one in self.links:
            begin, end = max(one.since, since), min(one.until, until)
            entry = self.last(one.organisation, until)
            if one.granted and begin < end and entry.municipality in self.term(begin).region:
                found += Fraction(one.granted) * Fraction(end - begin, one.until - one.since)
        return found

    def _entry(self, organisation: str, at: int) -> Any:
        entries = (one for one in self.organisations if one.organisation == organisation)
        return next((one for one in entries if one.since <= at < one.until), None)

    def _lineage(self, account: str) -> list[str]:
        """An account and those above it."""
        found = [account]
        while above := self.parents.get(found[-1]):
            found.append(above)
        return found

    def _linked(self, lineage: Sequence[str], at: int) -> list[tuple[Any, Any]]:
        """The organisations that an account is linked to or, where it has none, the one above it."""
        for account in lineage:
            links = [one for one in self.links if one.account == account and one.since <= at < one.until]
            found = [(one, self._entry(one.organisation, at)) for one in links]
            if registered := [pair for pair in found if pair[1]]:
                return registered
        return []

    def _by_registry(self, linked: Sequence[tuple[Any, Any]], at: int) -> list[Answer]:
        found = [
            Answer(
                Fraction(link.fraction), self.side(one.organisation, at), one.organisation,
                **{p: getattr(one, p) for p in PLACES}, access=link.access,
            )
            for link, one in linked
        ]  # fmt: skip
        rest = WHOLE - sum((one.fraction for one in found), start=Fraction(0))
        return [*found, Answer(rest, OTHERS)] if rest else found

    def _told(self, side: str, said: Mapping[str, str], run: Any, at: int) -> Answer:
        """What a rule or an override says, completed by the registry; access where all links agree."""
        whom = said.get("organisation", "")
        entry = self._entry(whom, at)
        linked = self._linked(self._lineage(run.account), at)
        modes = {link.access for link, _ in linked if whom in ("", link.organisation)}
        access = modes.pop() if len(modes) == 1 else ""
        places = {one: said.get(one) or getattr(entry, one, "") for one in PLACES}
        return Answer(WHOLE, side, whom, **places, access=access)


def _latest(rows: Iterable[Any]) -> Any:
    return max(rows, key=lambda one: int(one.since), default=None)


def _holds(
    conditions: Mapping[str, list[str]], run: Any, lineage: Sequence[str], linked: Sequence[Any]
) -> bool:
    """Whether every condition holds; each lists the names that it takes."""
    told: dict[str, Sequence[str]] = {"account_subtree": lineage}
    for name in conditions.keys() - told.keys():
        of_linked = name.startswith("linked_")
        ones = [one for _, one in linked] if of_linked else [run]
        told[name] = [getattr(one, name.removeprefix("linked_")) for one in ones]
    return all(set(names) & set(told[name]) for name, names in conditions.items())
