"""The registry of organisations, and their links to Slurm accounts, each from one instant to another.

The rule: an entry says what was true in [since, until), and entries of the same thing never overlap, so that
there is one answer at any instant. ``entry_problems`` says why an entry is refused; nothing here is ever
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

COMPANY_SIZES = ("micro", "small", "medium", "large")
"""Of companies, by staff and turnover or balance sheet (European Commission, Recommendation 2003/361/EC)."""

COMPANY_STAGES = ("startup", "scaleup", "established")

ACCESS_MODES = ("playground", "fast_lane", "large_scale", "regional", "other")
"""How an account got access: the three modes of the European AI Factories, the region's own, and others."""

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
    """What an organisation was in [since, until)."""

    organisation: str  #: its key: a short name in lower case, as rules and links spell it
    name: str
    kvk: str = ""  #: number in the Dutch trade register, 8 digits; empty for those outside the Netherlands
    category: str
    sector: str  #: a section of the SBI, or one of the programme's own codes
    municipality: str = ""  #: code of Statistics Netherlands, GM0014; empty outside the Netherlands
    hub: str = ""
    size: str = ""  #: of a company; one of COMPANY_SIZES, empty where it is not recorded
    stage: str = ""  #: of a company; one of COMPANY_STAGES, empty where it is not recorded
    since: Instant
    until: Instant = FOREVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Which part of an account's charge was for an organisation in [since, until)."""

    organisation: str
    account: str
    fraction: Decimal = Decimal(1)
    access: str = ""  #: one of ACCESS_MODES, empty where it is not recorded
    granted: Decimal | None = None  #: resource-hours granted for the whole interval; None where not recorded
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


def organisation_row(entry: Organisation) -> list[str | int]:
    """The row that digests of rules have of an organisation: what decides whose a charge is."""
    places = [entry.category, entry.sector, entry.municipality, entry.hub]
    return [entry.organisation, entry.name, entry.kvk, *places, entry.since, entry.until]


def link_row(link: Link) -> list[str | int]:
    """The row that digests of rules have of a link: 0.4 and 0.40 are one fraction."""
    return [link.organisation, link.account, f"{link.fraction.normalize():f}", link.since, link.until]


def access_row(link: Link) -> list[str | int]:
    """The row that digests of rules have of a link's mode of access, where a promise is made to one."""
    return [link.organisation, link.account, link.access, link.since, link.until]


Linked = tuple[Link, Organisation]
"""A link with its organisation as registered at an instant."""

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
    """Why an entry is refused: the field, and what is wrong with it."""

    entry: RegistryEntry
    field: str
    reason: str


@dataclass(frozen=True)
class Registry:
    """Every entry, as known at some instant. Entries that end where they begin are left out."""

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
        """The key of every organisation that was ever registered."""
        return frozenset(self._by_key)

    def organisation(self, key: str, at: Instant) -> Organisation | None:
        """The entry of an organisation at an instant; None when it was not registered then."""
        return next((entry for entry in self._by_key.get(key, ()) if entry.since <= at < entry.until), None)

    def entries_of(self, key: str) -> tuple[Organisation, ...]:
        """The entries of an organisation, in the order of time."""
        return self._by_key.get(key, ())

    def entry_before(self, key: str, until: Instant) -> Organisation | None:
        """The last entry of an organisation that began before an instant."""
        return next((entry for entry in reversed(self.entries_of(key)) if entry.since < until), None)

    def links_of(self, account: str) -> tuple[Link, ...]:
        """The links of an account itself, in the order of time."""
        return self._by_account.get(account, ())

    def linked(self, accounts: Iterable[str], at: Instant) -> list[Linked]:
        """The links, with their organisations, of the first of these accounts that has any at an instant."""
        for account in accounts:
            links = [link for link in self.links_of(account) if link.since <= at < link.until]
            pairs = [(link, self.organisation(link.organisation, at)) for link in links]
            if registered := [(link, organisation) for link, organisation in pairs if organisation]:
                return registered
        return []

    def cuts(self, accounts: Iterable[str], keys: Iterable[str] = ()) -> set[Instant]:
        """The instants at which anything changes for these accounts, or of these organisations."""
        links = [entry for account in accounts for entry in self.links_of(account)]
        keys = {link.organisation for link in links} | set(keys)
        entries: list[RegistryEntry] = [*links, *(entry for key in keys for entry in self.entries_of(key))]
        return {at for entry in entries for at in (entry.since, entry.until)}

    def plus(self, entries: Iterable[RegistryEntry]) -> Registry:
        """The registry with these entries; each replaces one of the same thing from the same instant."""
        organisations = {(entry.organisation, entry.since): entry for entry in self.organisations}
        links = {(entry.organisation, entry.account, entry.since): entry for entry in self.links}
        for entry in entries:
            if isinstance(entry, Organisation):
                organisations[entry.organisation, entry.since] = entry
            else:
                links[entry.organisation, entry.account, entry.since] = entry
        return Registry(_lasting(organisations.values()), _lasting(links.values()))

    def ended(self, key: str, at: Instant) -> list[RegistryEntry]:
        """The entries that end an organisation and its links at an instant, for all that last longer."""
        links = (entry for entry in self.links if entry.organisation == key)
        entries: list[RegistryEntry] = [*self.entries_of(key), *links]
        return [shortened(entry, max(at, entry.since)) for entry in entries if entry.until > at]


def shortened(entry: RegistryEntry, until: Instant) -> RegistryEntry:
    """The entry up to an earlier end; hours granted for all of its time are cut in proportion.

    >>> year = Link(organisation="o", account="a", granted=Decimal(1200), since=0, until=12 * HOUR)
    >>> shortened(year, 6 * HOUR).granted
    Decimal('600.00')
    """
    shorter = replace(entry, until=until)
    if isinstance(entry, Link) and isinstance(shorter, Link) and entry.granted and until > entry.since:
        granted = entry.granted * (until - entry.since) / (entry.until - entry.since)
        return replace(shorter, granted=round(granted, 2))
    return shorter


def _lasting(entries: Iterable[_Entry]) -> tuple[_Entry, ...]:
    return tuple(entry for entry in entries if entry.until > entry.since)


def _grouped(entries: Iterable[_Entry], name: str) -> dict[str, tuple[_Entry, ...]]:
    groups: dict[str, list[_Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.since):
        groups.setdefault(getattr(entry, name), []).append(entry)
    return {key: tuple(group) for key, group in groups.items()}


def news(present: Registry, entries: Iterable[RegistryEntry]) -> list[RegistryEntry]:
    """The entries that are not in the registry exactly so."""
    known = {*present.organisations, *present.links}
    return [entry for entry in entries if entry not in known]


def known_otherwise(present: Registry, entries: Iterable[RegistryEntry]) -> list[Problem]:
    """The entries that differ from what is known of the same thing from the same instant."""
    known = {*map(_thing, present.organisations), *map(_thing, present.links)}
    return [
        Problem(entry=entry, field="since", reason="is known otherwise; --correct corrects it")
        for entry in news(present, entries)
        if _thing(entry) in known
    ]


def effective(present: Registry, entry: RegistryEntry) -> Instant:
    """The instant from which an entry changes what is known: its end, where it changes nothing else."""
    known: list[RegistryEntry] = [*present.organisations, *present.links]
    ends = [other.until for other in known if _open(other) == _open(entry)]
    return min(*ends, entry.until) if ends else entry.since


def _thing(entry: RegistryEntry) -> tuple[str, ...]:
    return type(entry).__name__, entry.organisation, getattr(entry, "account", ""), str(entry.since)


def entry_problems(present: Registry, entries: Iterable[RegistryEntry], terms: Codes) -> list[Problem]:
    """Why these entries are refused: first what is wrong with each, then whether they contradict others."""
    new = list(entries)
    known = {_open(entry) for entry in present.organisations} | {_open(entry) for entry in present.links}
    alone = [problem for entry in new for problem in _alone(entry, None if _open(entry) in known else terms)]
    together = present.plus(new)
    if alone:
        return alone
    # Of entries of the same thing from the same instant it is not known which is meant.
    twice = [
        Problem(entry=second, field="since", reason="is a second entry of the same from then")
        for _, same in groupby(sorted(new, key=_thing), _thing)
        for _, second in pairwise(same)
    ]
    return twice + [problem for entry in new for problem in _together(entry, together)]


def _open(entry: RegistryEntry) -> RegistryEntry:
    """The entry without its end: an entry that is only ended may have codes that no longer exist."""
    return replace(entry, until=FOREVER)


def _alone(entry: RegistryEntry, terms: Codes | None) -> Iterator[Problem]:
    """What is wrong with an entry by itself; its codes are not checked without ``terms``."""
    wrongs = [*_of_dates(entry)]
    if terms and isinstance(entry, Organisation):
        wrongs += _of_organisation(entry, terms)
    elif terms and isinstance(entry, Link):
        wrongs += _of_link(entry, terms)
    for name, wrong in wrongs:
        yield Problem(entry=entry, field=name, reason=wrong)


def _of_dates(entry: RegistryEntry) -> Iterator[tuple[str, str]]:
    if entry.since % HOUR:
        yield "since", "does not begin on a whole UTC hour; usage is kept per hour"
    if entry.until % HOUR and entry.until != FOREVER:
        yield "until", "does not end on a whole UTC hour; usage is kept per hour"
    if entry.until < entry.since:
        yield "until", f"ends {windows.iso(entry.until)}, before it begins"


def _of_organisation(entry: Organisation, terms: Codes) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", entry.organisation):
        yield "organisation", f"{entry.organisation!r} is not a key: lower case letters, digits, - _ ."
    if not entry.name.strip():
        yield "name", "is empty"
    if entry.kvk and not (entry.kvk.isascii() and entry.kvk.isdigit() and len(entry.kvk) == 8):
        yield "kvk", f"{entry.kvk!r} is not a KvK number: 8 digits; spreadsheets drop a leading 0"
    if entry.municipality and not entry.kvk:
        yield "kvk", "is empty; only organisations outside the Netherlands have none"
    if entry.category not in CATEGORIES:
        yield "category", f"{entry.category!r} is not one of {', '.join(CATEGORIES)}"
    if entry.sector not in SBI_SECTIONS and entry.sector not in terms.sectors:
        own = ", ".join(terms.sectors)
        yield "sector", f"{entry.sector!r} is neither an SBI section (A to U) nor one of {own}"
    if entry.municipality and entry.municipality not in terms.municipalities:
        yield "municipality", f"{entry.municipality!r} is not a CBS code of a municipality, such as GM0014"
    if entry.hub and entry.hub not in terms.hubs:
        known = ", ".join(terms.hubs) or "nothing"
        yield "hub", f"{entry.hub!r} is not in registry.hubs, which has {known}"
    yield from _of_company(entry)


def _of_company(entry: Organisation) -> Iterator[tuple[str, str]]:
    for name, value, known in (("size", entry.size, COMPANY_SIZES), ("stage", entry.stage, COMPANY_STAGES)):
        if value and value not in known:
            yield name, f"{value!r} is not one of {', '.join(known)}"
        elif value and entry.category != "business":
            yield name, "is only recorded of businesses"


def _of_link(link: Link, terms: Codes) -> Iterator[tuple[str, str]]:
    if link.account not in terms.accounts:
        of_site = "; take in a statement of its site first: saf hub intake" if "/" in link.account else ""
        yield "account", f"the cluster has no account {link.account!r}{of_site}"
    if not 0 < link.fraction <= 1:
        yield "fraction", f"{link.fraction} is not above 0 and at most 1"
    elif link.fraction != round(link.fraction, FRACTION_PLACES):
        yield "fraction", f"{link.fraction} has more than {FRACTION_PLACES} decimals"
    if link.access and link.access not in ACCESS_MODES:
        yield "access", f"{link.access!r} is not one of {', '.join(ACCESS_MODES)}"
    if link.granted is not None and link.until == FOREVER:
        yield "until", "is empty; granted hours are for an interval that ends"


def _together(entry: RegistryEntry, registry: Registry) -> Iterator[Problem]:
    """Where an entry contradicts the others."""
    if isinstance(entry, Organisation):
        wrongs = _organisation_among(entry, registry)
    else:
        wrongs = _link_among(entry, registry)
    for name, wrong in wrongs:
        yield Problem(entry=entry, field=name, reason=wrong)


def _organisation_among(entry: Organisation, registry: Registry) -> Iterator[tuple[str, str]]:
    for other in registry.entries_of(entry.organisation):
        if other.since != entry.since and _overlap(entry, other):
            yield "since", f"overlaps with the entry of {entry.organisation} {_span(other)}; end that first"
    for other in registry.organisations if entry.kvk else ():
        if other.kvk == entry.kvk and other.organisation != entry.organisation and _overlap(entry, other):
            yield "kvk", f"{entry.kvk} is the number of {other.organisation} {_span(other)}"
    for link in registry.links:
        if link.organisation == entry.organisation and not _within(link, registry):
            yield "until", f"account {link.account} is linked {_span(link)}, longer than this; end the link"
            return


def _link_among(link: Link, registry: Registry) -> Iterator[tuple[str, str]]:
    if link.until <= link.since:  # withdrawn
        return
    if link.organisation not in registry.keys:
        yield "organisation", f"{link.organisation!r} is not registered"
    elif not _within(link, registry):
        yield "since", f"{link.organisation} is not registered all the time {_span(link)}"
    others = [other for other in registry.links_of(link.account) if _overlap(link, other)]
    for other in others:
        if other.organisation == link.organisation and other.since != link.since:
            yield "since", f"overlaps with the link {_span(other)}; end that first"
    for at in sorted({max(link.since, other.since) for other in others}):
        whole = sum(other.fraction for other in others if other.since <= at < other.until)
        if whole > 1:
            when = windows.iso(at)
            yield "fraction", f"the fractions of account {link.account} add up to {whole} at {when}"
            return


def _within(link: Link, registry: Registry) -> bool:
    """Whether the link's organisation was registered all the time that the link lasts."""
    at = link.since
    for entry in registry.entries_of(link.organisation):
        if entry.since <= at < entry.until:
            at = entry.until
    return at >= link.until


def _overlap(entry: RegistryEntry, other: RegistryEntry) -> bool:
    return entry.since < other.until and other.since < entry.until


def _span(entry: RegistryEntry) -> str:
    until = "" if entry.until == FOREVER else f" until {windows.iso(entry.until)}"
    return f"since {windows.iso(entry.since)}{until}"


def entry_value(entry: RegistryEntry) -> dict[str, object]:
    return {field.name: getattr(entry, field.name) for field in fields(entry)}
