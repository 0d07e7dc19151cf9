"""Hours of the expertise centre: who got them, measured against the same floor as the compute.

Entries are never changed. A further entry with signed hours corrects a mistake; it names the entry that it
corrects, and the reason. Hours are exact (Decimal, hundredths). A day is a civil date and lies in the window
that contains its midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import NamedTuple, TypeVar

from slurm_ai_factory.core.measure.judgement import STARVED_TOLERANCE
from slurm_ai_factory.core.programme import sheet
from slurm_ai_factory.core.programme.sheet import Fault
from slurm_ai_factory.core.records import Instant, Verdict, Window
from slurm_ai_factory.core.rules.classify import Beneficiary

_T = TypeVar("_T")

COLUMNS = ("date", "organisation", "role", "hours", "activity")
"""Of a table of hours; ``kind`` may be there too."""

MOST_HOURS = 10_000
"""More than this in one entry is a mistyped number."""


class HoursKind(StrEnum):
    """Whether the hours were given."""

    DELIVERED = "delivered"
    UNMET = "unmet"  #: asked for and not given


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """Hours to be entered, or a correction of an entry."""

    day: date
    organisation: str
    role: str  #: of the expert: data scientist, engineer, lawyer, ...; no name
    hours: Decimal  #: of a correction: what it adds, below 0 for what it takes away
    activity: str
    kind: HoursKind = HoursKind.DELIVERED
    corrects: int | None = None
    reason: str = ""  #: of a correction


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertiseEntry(NewEntry):
    """An entry as the ledger has it."""

    entry_id: int
    recorded_at: Instant
    actor: str


class Hours(NamedTuple):
    """Hours of one organisation in a window."""

    organisation: str
    beneficiary: Beneficiary
    delivered: Decimal
    unmet: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertiseMeasurement:
    """The hours that went to each organisation in a window; made by ``measure_hours``."""

    window: Window
    as_of: Instant
    target_share: float
    regional_hours: Decimal
    total_hours: Decimal
    unclassified_hours: Decimal
    unmet_hours: Decimal | None  #: that the region asked for and did not get; None where this is not recorded
    organisations: tuple[Hours, ...]

    @property
    def delivered_share(self) -> float | None:
        """Regional hours / all hours; None when there are none."""
        return float(self.regional_hours / self.total_hours) if self.total_hours else None

    @property
    def shortfall_hours(self) -> Decimal:
        """Hours that the region lacks, of the same total, to be at the target."""
        promised = Decimal(str(self.target_share)) * self.total_hours
        return max(Decimal(0), promised - self.regional_hours)


def parse_hours(text: str, least: Decimal | int = Decimal("0.01")) -> Decimal:
    """Hours as people type them, 1.5 or 1,5, not below ``least``. Raises ValueError.

    >>> parse_hours("7,25"), parse_hours("3")
    (Decimal('7.25'), Decimal('3.00'))
    """
    try:
        value = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number of hours such as 1.5") from None
    if not value.is_finite() or not least <= value <= MOST_HOURS:
        raise ValueError(f"{text!r} is not between {least} and {MOST_HOURS}")
    if value != value.quantize(Decimal("0.01")):
        raise ValueError(f"{text!r} has more than two decimals")
    return value.quantize(Decimal("0.01"))


def entry(fields: Mapping[str, str], known: Collection[str]) -> NewEntry:
    """An entry from texts by field, for a known organisation. Raises ValueError that begins with the field.

    >>> row = {"date": "2027-02-30", "organisation": "umcg", "role": "jurist", "hours": "3", "activity": "a"}
    >>> entry(row, ["umcg"])
    Traceback (most recent call last):
    ValueError: date: '2027-02-30' is not a date such as 2027-01-31
    """
    for name in ("organisation", "role", "activity"):
        if not fields.get(name, "").strip():
            raise ValueError(f"{name}: is empty")
    if fields["organisation"].strip() not in known:
        name = fields["organisation"].strip()
        raise ValueError(f"organisation: {name!r} is not registered; see `saf organisation list`")
    return NewEntry(
        day=_of("date", _day, fields.get("date", "")),
        organisation=fields["organisation"].strip(),
        role=fields["role"].strip(),
        hours=_of("hours", parse_hours, fields.get("hours", "")),
        activity=fields["activity"].strip(),
        kind=_of("kind", _kind, fields.get("kind", "") or "delivered"),
    )


def _of(name: str, convert: Callable[[str], _T], text: str) -> _T:
    try:
        return convert(text.strip())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date such as 2027-01-31") from None


def _kind(text: str) -> HoursKind:
    if text not in list(HoursKind):
        raise ValueError(f"{text!r} is not one of {', '.join(HoursKind)}")
    return HoursKind(text)


def from_sheet(data: bytes, known: Collection[str]) -> tuple[list[NewEntry], list[Fault]]:
    """The entries of a table and its faults; ``known`` are the registered organisations.

    >>> from_sheet(b"date;organisation;role;hours;activity\\n2027-01-04;umcg;engineer;1,5;intake\\n", [])[1]
    [Fault(line=2, column='organisation', reason="'umcg' is not registered; see `saf organisation list`")]
    """
    table = sheet.read_sheet(data, COLUMNS, ("kind",))
    entries, faults = [], list(table.faults)
    for line in table.lines:
        try:
            entries.append(entry(line.cells, known))
        except ValueError as error:
            column, _, reason = str(error).partition(": ")
            faults.append(Fault(line.number, column, reason))
    if not entries and not faults:
        faults.append(Fault(0, "", "has no line below the first"))
    return entries, faults


def correction(entries: Sequence[ExpertiseEntry], entry_id: int, wanted: Decimal, reason: str) -> NewEntry:
    """The correction that makes an entry count as ``wanted`` hours. Raises ValueError.

    ``entries`` are those of the ledger, with all earlier corrections.
    """
    first = next((entry for entry in entries if entry.entry_id == entry_id), None)
    if first is None:
        raise ValueError(f"there is no entry {entry_id}; see `saf expertise list`")
    if first.corrects is not None:
        raise ValueError(f"entry {entry_id} is itself a correction; correct entry {first.corrects}")
    if wanted < 0 or not reason.strip():
        raise ValueError("a correction needs a reason, and hours that are not below 0")
    difference = wanted - entry_standing(entries, entry_id)
    if not difference:
        raise ValueError(f"entry {entry_id} already counts as {wanted} hours")
    return NewEntry(
        day=first.day, organisation=first.organisation, role=first.role, hours=difference,
        activity=first.activity, kind=first.kind, corrects=entry_id, reason=reason.strip(),
    )  # fmt: skip


def entry_standing(entries: Iterable[ExpertiseEntry], entry_id: int) -> Decimal:
    """The hours of an entry with all its corrections."""
    return sum((e.hours for e in entries if entry_id in (e.entry_id, e.corrects)), start=Decimal(0))


def measure_hours(
    entries: Iterable[ExpertiseEntry],
    window: Window,
    as_of: Instant,
    *,
    target_share: float,
    beneficiary: Callable[[str, date], Beneficiary],
    unmet_recorded: bool,
) -> ExpertiseMeasurement:
    """The sums of ``entries``, all of days in the window; ``beneficiary`` takes organisation and day."""
    totals: dict[tuple[str, Beneficiary], dict[HoursKind, Decimal]] = {}
    for entry in entries:
        key = entry.organisation, beneficiary(entry.organisation, entry.day)
        sums = totals.setdefault(key, dict.fromkeys(HoursKind, Decimal(0)))
        sums[entry.kind] += entry.hours
    rows = [
        Hours(*key, sums[HoursKind.DELIVERED], sums[HoursKind.UNMET]) for key, sums in sorted(totals.items())
    ]
    regional = [row for row in rows if row.beneficiary is Beneficiary.REGIONAL]
    unclassified = [row for row in rows if row.beneficiary is Beneficiary.UNCLASSIFIED]
    return ExpertiseMeasurement(
        window=window,
        as_of=as_of,
        target_share=target_share,
        regional_hours=_delivered(regional),
        total_hours=_delivered(rows),
        unclassified_hours=_delivered(unclassified),
        unmet_hours=sum((row.unmet for row in regional), start=Decimal(0)) if unmet_recorded else None,
        organisations=tuple(rows),
    )


def _delivered(rows: Iterable[Hours]) -> Decimal:
    return sum((row.delivered for row in rows), start=Decimal(0))


def hours_verdict(measured: ExpertiseMeasurement) -> Verdict:
    """The verdict, by the rules of ``judgement.verdict``; open until a calendar window is over.

    Unmet requests that are not recorded cannot excuse a miss.
    """
    if measured.window.until > measured.as_of and not measured.window.rolling:
        return Verdict.OPEN
    if not measured.shortfall_hours:
        return Verdict.MET
    tolerated = STARVED_TOLERANCE * measured.target_share * float(measured.total_hours)
    unmet = measured.unmet_hours
    demand = unmet is not None and min(unmet, measured.shortfall_hours) <= tolerated
    return Verdict.MISSED_DEMAND if demand else Verdict.MISSED_STARVED
