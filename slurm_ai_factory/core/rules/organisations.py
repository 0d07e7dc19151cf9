"""The registry of organisations, and their links to Slurm accounts, each from one instant to another.

The rule: an entry says what was true in [since, until), and entries of the same thing never overlap, so that
at any instant there is one answer. ``problems`` says of each entry why it may not be; nothing here is ever
corrected silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cached_property
from itertools import groupby, pairwise
from typing import NamedTuple, TypeVar

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import FOREVER, HOUR, Instant

CATEGORIES = ("business", "knowledge_institution", "government")

SBI_SECTIONS = {
    "A": "Agriculture, forestry and fishing",
    "B": "Mining and quarrying",
    "C": "Manufacturing",
    "D": "Electricity, gas, steam and air conditioning supply",
    "E": "Water supply; sewerage, waste management and remediation",
    "F": "Construction",
    "G": "Wholesale and retail trade; repair of motor vehicles",
    "H": "Transportation and storage",
    "I": "Accommodation and food service",
    "J": "Information and communication",
    "K": "Financial institutions",
    "L": "Renting, buying and selling of real estate",
    "M": "Consultancy, research and other specialised business services",
    "N": "Renting and other business support",
    "O": "Public administration and compulsory social security",
    "P": "Education",
    "Q": "Health and social work",
    "R": "Culture, sports and recreation",
    "S": "Other services",
    "T": "Households as employers",
    "U": "Extraterritorial organisations",
}
"""The sections of the SBI 2008 (CBS), the Dutch national version of NACE Rev. 2."""

FRACTION_PLACES = 6
"""Decimals of a fraction, so that a charge of 20 digits is still split exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """Who an organisation was in [since, until)."""

    organisation: str  #: its key: a short name in lower case, as rules and links spell it
    name: str
    kvk: str = ""  #: number in the Dutch trade register, 8 digits; empty for those outside the Netherlands
    category: str
    sector: str  #: a section of the SBI, or one of the programme's own codes
    municipality: str = ""  #: code of Statistics Netherlands, GM0014; empty outside the Netherlands
    hub: str = ""
    since: Instant
    until: Instant = FOREVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Which part of an account's charge was for an organisation in [since, until)."""

    organisation: str
    account: str
    fraction: Decimal = Decimal(1)
    since: Instant
    until: Instant = FOREVER


class Regional(NamedTuple):
    """A municipality whose organisations are regional in [since, until)."""

    municipality: str
    since: Instant = 0
    until: Instant = FOREVER


def always_regional(municipalities: Iterable[str]) -> frozenset[Regional]:
    """A region that never changed."""
    return frozenset(map(Regional, municipalities))


def organisation_row(one: Organisation) -> list[str | int]:
    """An organisation's entry as it goes into digests."""
    places = [one.category, one.sector, one.municipality, one.hub]
    return [one.organisation, one.name, one.kvk, *places, one.since, one.until]


def link_row(one: Link) -> list[str | int]:
    """A link as it goes into digests: 0.4 and 0.40 are one fraction."""
    return [one.organisation, one.account, f"{one.fraction.normalize():f}", one.since, one.until]


RegistryEntry = Organisation | Link
_Entry = TypeVar("_Entry", Organisation, Link)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """The codes that entries may use."""

    municipalities: Mapping[str, str]  #: code -> name, of the whole country
    sectors: tuple[str, ...]  #: the programme's own, beside the sections of the SBI
    hubs: tuple[str, ...]
    accounts: frozenset[str]  #: those the cluster has, or had


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why an entry may not be: the field, and what is wrong with it."""

    entry: RegistryEntry
    field: str
    reason: str


@dataclass(frozen=True)
class Registry:
    """Every entry in force, as known at some instant. Empty entries, of no time at all, are left out."""

    organisations: tuple[Organisation, ...] = ()
    links: tuple[Link, ...] = ()

    @cached_property
    def _by_key(self) -> Mapping[str, tuple[Organisation, ...]]:
        return _grouped(self.organisations, "organisation")

    @cached_property
    def _by_account(self) -> Mapping[str, tuple[Link, ...]]:
        return _grouped(self.links, "account")

    @property
    def keys(self) -> frozenset[str]:
        """The key of every organisation there ever was."""
        return frozenset(self._by_key)

    def organisation(self, key: str, at: Instant) -> Organisation | None:
        """Who that was at an instant; None when it was not registered then."""
        return next((one for one in self._by_key.get(key, ()) if one.since <= at < one.until), None)

    def entries_of(self, key: str) -> tuple[Organisation, ...]:
        """Who that was, in the order of time."""
        return self._by_key.get(key, ())

    def links_of(self, account: str) -> tuple[Link, ...]:
        """The links of an account itself, in the order of time."""
        return self._by_account.get(account, ())

    def linked(self, accounts: Iterable[str], at: Instant) -> list[tuple[Link, Organisation]]:
        """Of the first of these accounts that is linked at an instant: its links, with who they are to."""
        for account in accounts:
            links = [one for one in self.links_of(account) if one.since <= at < one.until]
            found = [(one, self.organisation(one.organisation, at)) for one in links]
            if known := [(one, whom) for one, whom in found if whom]:
                return known
        return []

    def cuts(self, accounts: Iterable[str], keys: Iterable[str] = ()) -> set[Instant]:
        """The instants at which anything changes for these accounts, or of these organisations."""
        links = [one for account in accounts for one in self.links_of(account)]
        whom = {one.organisation for one in links} | set(keys)
        entries: list[RegistryEntry] = [*links, *(one for key in whom for one in self.entries_of(key))]
        return {at for one in entries for at in (one.since, one.until)}

    def plus(self, entries: Iterable[RegistryEntry]) -> Registry:
        """With these entries; one of the same thing from the same instant takes the present one's place."""
        organisations = {(one.organisation, one.since): one for one in self.organisations}
        links = {(one.organisation, one.account, one.since): one for one in self.links}
        for one in entries:
            if isinstance(one, Organisation):
                organisations[one.organisation, one.since] = one
            else:
                links[one.organisation, one.account, one.since] = one
        return Registry(_lasting(organisations.values()), _lasting(links.values()))

    def ended(self, key: str, at: Instant) -> list[RegistryEntry]:
        """The entries that end an organisation and its links at an instant: all that would last longer."""
        links = (one for one in self.links if one.organisation == key)
        entries: list[RegistryEntry] = [*self.entries_of(key), *links]
        return [replace(one, until=max(at, one.since)) for one in entries if one.until > at]


def _lasting(entries: Iterable[_Entry]) -> tuple[_Entry, ...]:
    return tuple(one for one in entries if one.until > one.since)


def _grouped(entries: Iterable[_Entry], name: str) -> dict[str, tuple[_Entry, ...]]:
    found: dict[str, list[_Entry]] = {}
    for one in sorted(entries, key=lambda one: one.since):
        found.setdefault(getattr(one, name), []).append(one)
    return {key: tuple(ones) for key, ones in found.items()}


def news(present: Registry, entries: Iterable[RegistryEntry]) -> list[RegistryEntry]:
    """The entries that are not known just so."""
    known = {*present.organisations, *present.links}
    return [one for one in entries if one not in known]


def known_otherwise(present: Registry, entries: Iterable[RegistryEntry]) -> list[Problem]:
    """The entries that say something else of the same thing from the same instant than is known."""
    known = {*map(_thing, present.organisations), *map(_thing, present.links)}
    found = (one for one in news(present, entries) if _thing(one) in known)
    return [
        Problem(entry=one, field="since", reason="is known otherwise; --correct corrects") for one in found
    ]


def effective(present: Registry, one: RegistryEntry) -> Instant:
    """From which instant on an entry changes what is known: from its end, where that is all it changes."""
    known: list[RegistryEntry] = [*present.organisations, *present.links]
    ends = [other.until for other in known if _open(other) == _open(one)]
    return min(*ends, one.until) if ends else one.since


def _thing(one: RegistryEntry) -> tuple[str, ...]:
    return type(one).__name__, one.organisation, getattr(one, "account", ""), str(one.since)


def entry_problems(present: Registry, entries: Iterable[RegistryEntry], terms: Codes) -> list[Problem]:
    """Why these entries may not be added to what is present: each by itself, and all of them together."""
    new = list(entries)
    known = {_open(one) for one in present.organisations} | {_open(one) for one in present.links}
    found = [problem for one in new for problem in _alone(one, None if _open(one) in known else terms)]
    together = present.plus(new)
    return found or [*_twice(new), *(problem for one in new for problem in _together(one, together))]


def _open(one: RegistryEntry) -> RegistryEntry:
    """The entry without its end: what is only ended is not held against codes that have gone since."""
    return replace(one, until=FOREVER)


def _alone(one: RegistryEntry, terms: Codes | None) -> Iterator[Problem]:
    for name, wrong in _wrongs(one, terms):
        yield Problem(entry=one, field=name, reason=wrong)


def _wrongs(one: RegistryEntry, terms: Codes | None) -> Iterator[tuple[str, str]]:
    yield from _of_dates(one)
    if terms:
        yield from _of_organisation(one, terms) if isinstance(one, Organisation) else _of_link(one, terms)


def _of_dates(one: RegistryEntry) -> Iterator[tuple[str, str]]:
    if one.since % HOUR:
        yield "since", "does not begin on a whole UTC hour; usage is kept per hour"
    if one.until % HOUR and one.until != FOREVER:
        yield "until", "does not end on a whole UTC hour; usage is kept per hour"
    if one.until < one.since:
        yield "until", f"ends {windows.iso(one.until)}, before it begins"


def _of_organisation(one: Organisation, terms: Codes) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", one.organisation):
        yield "organisation", f"{one.organisation!r} is not a key: lower case letters, digits, - _ ."
    if not one.name.strip():
        yield "name", "is empty"
    if one.kvk and not (one.kvk.isascii() and one.kvk.isdigit() and len(one.kvk) == 8):
        yield "kvk", f"{one.kvk!r} is not a KvK number: 8 digits; spreadsheets drop a leading 0"
    if one.municipality and not one.kvk:
        yield "kvk", "is empty; only organisations outside the Netherlands have none"
    if one.category not in CATEGORIES:
        yield "category", f"{one.category!r} is not one of {', '.join(CATEGORIES)}"
    if one.sector not in SBI_SECTIONS and one.sector not in terms.sectors:
        yield "sector", f"{one.sector!r} is no SBI section (A to U) and not one of {', '.join(terms.sectors)}"
    if one.municipality and one.municipality not in terms.municipalities:
        yield "municipality", f"{one.municipality!r} is not a CBS code of a municipality, such as GM0014"
    if one.hub and one.hub not in terms.hubs:
        yield "hub", f"{one.hub!r} is not one of {', '.join(terms.hubs)}"


def _of_link(one: Link, terms: Codes) -> Iterator[tuple[str, str]]:
    if one.account not in terms.accounts:
        yield "account", f"the cluster has no account {one.account!r}"
    if not 0 < one.fraction <= 1:
        yield "fraction", f"{one.fraction} is not above 0 and at most 1"
    elif one.fraction != round(one.fraction, FRACTION_PLACES):
        yield "fraction", f"{one.fraction} has more than {FRACTION_PLACES} decimals"


def _together(one: RegistryEntry, registry: Registry) -> Iterator[Problem]:
    """What an entry is at odds with."""
    if isinstance(one, Organisation):
        wrongs = _organisation_among(one, registry)
    else:
        wrongs = _link_among(one, registry)
    for name, wrong in wrongs:
        yield Problem(entry=one, field=name, reason=wrong)


def _organisation_among(one: Organisation, registry: Registry) -> Iterator[tuple[str, str]]:
    for other in registry.entries_of(one.organisation):
        if other.since != one.since and _overlap(one, other):
            yield "since", f"overlaps with what is known of {one.organisation} {_span(other)}; end that first"
    for other in registry.organisations if one.kvk else ():
        if other.kvk == one.kvk and other.organisation != one.organisation and _overlap(one, other):
            yield "kvk", f"{one.kvk} is the number of {other.organisation} {_span(other)}"
    for link in registry.links:
        if link.organisation == one.organisation and not _within(link, registry):
            yield "until", f"account {link.account} is linked {_span(link)}, longer than this; end the link"
            return


def _link_among(one: Link, registry: Registry) -> Iterator[tuple[str, str]]:
    if one.until <= one.since:  # taken back
        return
    if one.organisation not in registry.keys:
        yield "organisation", f"{one.organisation!r} is not registered"
    elif not _within(one, registry):
        yield "since", f"{one.organisation} is not registered all the time {_span(one)}"
    others = [other for other in registry.links_of(one.account) if _overlap(one, other)]
    for other in others:
        if other.organisation == one.organisation and other.since != one.since:
            yield "since", f"overlaps with the link {_span(other)}; end that first"
    for at in sorted({max(one.since, other.since) for other in others}):
        whole = sum(other.fraction for other in others if other.since <= at < other.until)
        if whole > 1:
            yield "fraction", f"the fractions of account {one.account} add up to {whole} at {windows.iso(at)}"
            return


def _within(link: Link, registry: Registry) -> bool:
    """Whether who the link is to was registered all the time that it lasts."""
    at = link.since
    for one in registry.entries_of(link.organisation):
        if one.since <= at < one.until:
            at = one.until
    return at >= link.until


def _twice(new: Iterable[RegistryEntry]) -> Iterator[Problem]:
    """Entries of the same thing from the same instant: which of them is meant?"""
    for _, same in groupby(sorted(new, key=_thing), _thing):
        for _, second in pairwise(same):
            yield Problem(entry=second, field="since", reason="is said twice of the same thing")


def _overlap(one: RegistryEntry, other: RegistryEntry) -> bool:
    return one.since < other.until and other.since < one.until


def _span(one: RegistryEntry) -> str:
    until = "" if one.until == FOREVER else f" until {windows.iso(one.until)}"
    return f"since {windows.iso(one.since)}{until}"


def entry_value(entry: RegistryEntry) -> dict[str, object]:
    """An entry by field."""
    return {one.name: getattr(entry, one.name) for one in fields(entry)}
