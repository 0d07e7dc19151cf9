"""Everything a report says, as one frozen value, and that value under the names that its files have.

The rule: figures are those of the measurement that `saf share` prints; HTML, CSV and JSON are all made from
``value(report)``, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import fsum
from typing import Any, NamedTuple

from slurm_ai_factory.core import canonical, tres
from slurm_ai_factory.core.fingerprint import FORMAT, RowsDigest, fingerprint
from slurm_ai_factory.core.measure import judgement, share
from slurm_ai_factory.core.measure.figures import number, part, share_value, when
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import ExpertiseMeasurement
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term, changes
from slurm_ai_factory.core.records import HOUR, Charge, Hour, Instant, Measurement
from slurm_ai_factory.report.tables import Table, TableRow

WEEK = 7 * 24 * HOUR


class Sender(NamedTuple):
    """Who says it."""

    facility: str
    region: Mapping[str, str] | None  #: by language
    contact: str | None
    time_zone: str
    min_organisations: int


class Month(NamedTuple):
    """What the control did in a civil month."""

    month: str  #: 2027-03
    decisions: int
    held: int  #: decisions that could not steer
    reasons: Mapping[str, int]  #: why not, and how often
    changes: int
    raw_shares_first: int | None  #: before the month's first change
    raw_shares_last: int | None  #: after its last


class ControlHistory(NamedTuple):
    """What was done for the floor in the window."""

    modes: tuple[str, ...]  #: that it was in
    months: tuple[Month, ...]


class Earlier(NamedTuple):
    """What a window is compared with."""

    window: str
    as_of: Instant
    regional: Charge | None  #: None where the window was not over
    total: Charge | None
    published: bool  #: in the last report of the window that was; else it is what was known then


class Restatement(NamedTuple):
    """A window that is told otherwise than it was."""

    window: str
    regional_before: Charge
    total_before: Charge
    regional_now: Charge
    total_now: Charge
    by_accounting: Charge | None  #: of the difference in regional charge: corrections in Slurm's accounting
    by_classification: Charge | None  #: the rest: rules, registry, account tree; None in another resource
    told_apart: bool  #: whether each of both causes rests on enough organisations
    target_before: float
    target_now: float
    terms_changed: tuple[str, ...]  #: what the promise's term says otherwise


class Audited(NamedTuple):
    """Checks of the books that were made."""

    command: str  #: verify or reconcile
    checks: int
    last: Instant
    findings: int  #: of all of them


class Basis(NamedTuple):
    """What the report rests on, beside its figures."""

    settings: str  #: SHA-256 of the settings that counted
    since: Instant
    until: Instant
    rows: tuple[RowsDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A governance report."""

    sender: Sender
    known_at: Instant
    measurement: Measurement
    margin: float
    resources: tuple[Measurement, ...]  #: the same window in other resources
    trend: tuple[Measurement, ...]  #: this window and those before it, oldest first
    tables: tuple[Table, ...]
    reached: int  #: regional organisations that got anything
    names: tuple[str, ...] | None  #: of these; None where they are not told
    control: ControlHistory
    expertise: ExpertiseMeasurement
    expertise_table: Table
    unmet_shown: bool  #: whether the hours that the region did not get rest on enough organisations
    terms: PromiseTerms  #: of the promise
    compared_with: tuple[Earlier, ...]  #: for each window of the trend that there is something of
    restatements: tuple[Restatement, ...]
    audits: tuple[Audited, ...]  #: since the window began, by command
    approved: int = 0  #: entries that a second person had approved by then
    basis: Basis
    head: tuple[int, str] | None = None  #: of the chain, entry and hash, where the report was published


def value(report: Report) -> dict[str, Any]:
    """The report under the names of its files. Charges are resource-seconds, ratios 0..1, instants UTC."""
    printed = report_figures(report)
    digest = canonical.digest("figures", 1, printed)
    entry, head = report.head or (None, None)
    return printed | {"fingerprint": _fingerprint(report.basis, digest) | {"entry": entry, "head": head}}


def report_figures(report: Report) -> dict[str, Any]:
    """All that the report says, but for its fingerprint."""
    measured = report.measurement
    return {
        "report": _about(report),
        "promise": _promise(report),
        "share": share_value(measured, report.margin),
        "resources": [{"name": one.resource} | _short(one) for one in report.resources],
        "trend": [_short(one) for one in report.trend],
        "weeks": list(_weeks(measured)),
        "tables": {one.name: _table(one, measured.total_charge) for one in report.tables},
        "organisations": {"regional": report.reached, "names": report.names and list(report.names)},
        "control": _control(report.control),
        "expertise": _expertise(report),
        "restatements": _restatements(report),
        "audits": [_audited(one) for one in report.audits],
    }


def _about(report: Report) -> dict[str, Any]:
    sender = report.sender
    return {
        "facility": sender.facility,
        "region": sender.region and dict(sender.region),
        "contact": sender.contact,
        "cluster": report.measurement.cluster,
        "time_zone": sender.time_zone,
        "min_organisations": sender.min_organisations,
        "as_of": when(report.known_at),
        "read_until": when(report.measurement.as_of),
        "approved": report.approved,
    }


def _promise(report: Report) -> dict[str, Any]:
    """The term that the verdict rests on, and where the promise changed in the time that is shown."""
    window = report.measurement.window
    term = report.terms.of(window)
    shown = report.terms.between(report.trend[0].window.since, window.until)
    return {
        "share": term.share,
        "share_of": term.share_of,
        **_recorded(term),
        "changes": [_changed(*pair) for pair in changes(shown)],
        "retroactive": [_late(one) for one in shown if one.retroactive],
    }


def _recorded(term: Term) -> dict[str, Any]:
    return {
        "since": when(term.since or None),
        "source": term.source,
        "recorded_at": when(term.recorded_at or None),
        "ended": term.ended,
    }


def _late(term: Term) -> dict[str, Any]:
    """A term that was recorded after it began, with who did that and why."""
    return _recorded(term) | {"actor": term.actor, "reason": term.reason}


def _changed(before: Term, after: Term) -> dict[str, Any]:
    """What the promise was and is, in what changed."""
    was, now = (one.plain() | {"resource": tres.resource_name(one.resource)} for one in (before, after))
    told = {name: {"was": was[name], "now": now[name]} for name in after.differing(before)}
    return _recorded(after) | {"changed": told}


def _short(one: Measurement) -> dict[str, Any]:
    return {
        "window": one.window.name,
        "since": when(one.window.since),
        "until": when(one.window.until),
        "resource": one.resource,
        "target_share": one.target_share,
        "delivered_share": one.delivered_share,
        "capacity_share": one.capacity_share,
        "regional_charge": number(one.regional_charge),
        "total_charge": number(one.total_charge),
        "verdict": str(judgement.verdict(one)),
        "verdict_reason": judgement.judge(one).reason,
    }


def _weeks(measured: Measurement) -> Iterator[dict[str, Any]]:
    """Seven days at a time from the window's beginning, with the share from there up to then."""
    regional = total = 0.0
    weeks: dict[int, list[Hour]] = {}
    for hour in measured.hours:
        weeks.setdefault((hour.at - measured.window.since) // WEEK, []).append(hour)
    for week, hours in sorted(weeks.items()):
        own, all_ = fsum(hour.regional for hour in hours), fsum(hour.total for hour in hours)
        regional, total = regional + own, total + all_
        yield {
            "since": when(measured.window.since + week * WEEK),
            "days": len(hours) / 24,
            "regional_charge": own,
            "total_charge": all_,
            "delivered_share": own / all_ if all_ > 0 else None,
            "share_to_date": regional / total if total > 0 else None,
            "waiting_charge": fsum(hour.regional_waiting for hour in hours),
            "starved_charge": share.starved(hours, measured.target_share),
        }


def _table(table: Table, whole: Charge | Decimal) -> dict[str, Any]:
    hidden = table.hidden
    return {
        "total": number(table.total),
        "rows": [_row(row, table, whole) for row in table.rows],
        "suppressed": None if hidden is None else {"rows": table.hidden_names} | _row(hidden, table, whole),
    }


def _row(row: TableRow, table: Table, whole: Charge | Decimal) -> dict[str, Any]:
    return {
        "name": row.name,
        "organisations": row.organisations,
        "charge": number(row.charge),
        "part_of_table": part(row.charge, table.total),
        "share": part(row.charge, whole),
    }


def _control(control: ControlHistory) -> dict[str, Any]:
    months = [one._asdict() | {"reasons": dict(sorted(one.reasons.items()))} for one in control.months]
    return {
        "modes": list(control.modes),
        "changes": sum(one.changes for one in control.months),
        "held": sum(one.held for one in control.months),
        "decisions": sum(one.decisions for one in control.months),
        "months": months,
    }


def _expertise(report: Report) -> dict[str, Any]:
    measured = report.expertise
    return {
        "target_share": measured.target_share,
        "delivered_share": measured.delivered_share,
        "regional_hours": number(measured.regional_hours),
        "total_hours": number(measured.total_hours),
        "unclassified_hours": number(measured.unclassified_hours),
        "unmet_recorded": measured.unmet_hours is not None,
        "unmet_hours": _number(measured.unmet_hours if report.unmet_shown else None),
        "shortfall_hours": number(measured.shortfall_hours),
        "verdict": str(expertise.hours_verdict(measured)),
        "category": _table(report.expertise_table, measured.total_hours),
    }


def _restatements(report: Report) -> dict[str, Any]:
    own = report.measurement.window.name
    given = (one for one in report.compared_with if one.published and one.window == own)
    return {
        "replaces": next(map(_earlier, given), None),
        "compared_with": [_earlier(one) for one in report.compared_with],
        "rows": [_restatement(one) for one in report.restatements],
    }


def _earlier(one: Earlier) -> dict[str, Any]:
    known = one.regional is not None and one.total is not None
    share = part(one.regional or 0, one.total or 0) if known else None
    told = {"window": one.window, "as_of": when(one.as_of), "delivered_share": share}
    return told | {"published": one.published}


def _restatement(one: Restatement) -> dict[str, Any]:
    comparable = one.by_accounting is not None
    return {
        "window": one.window,
        "target_share_before": one.target_before,
        "target_share": one.target_now,
        "regional_charge_before": number(one.regional_before),
        "total_charge_before": number(one.total_before),
        "delivered_share_before": part(one.regional_before, one.total_before),
        "regional_charge": number(one.regional_now),
        "total_charge": number(one.total_now),
        "delivered_share": part(one.regional_now, one.total_now),
        "regional_charge_difference": number(one.regional_now - one.regional_before) if comparable else None,
        "causes_told": one.told_apart,
        "regional_charge_by_accounting": _number(one.by_accounting if one.told_apart else None),
        "regional_charge_by_classification": _number(one.by_classification if one.told_apart else None),
        "terms_changed": list(one.terms_changed),
    }


def _audited(one: Audited) -> dict[str, Any]:
    return one._asdict() | {"last": when(one.last)}


def _number(charge: Charge | None) -> int | float | None:
    return None if charge is None else number(charge)


def _fingerprint(basis: Basis, figures: str) -> dict[str, Any]:
    return {
        "sha256": fingerprint(basis.rows, basis.settings, figures),
        "format": FORMAT,
        "settings": basis.settings,
        "figures": figures,
        "since": when(basis.since),
        "until": when(basis.until),
        "parts": [one._asdict() for one in basis.rows],
    }
