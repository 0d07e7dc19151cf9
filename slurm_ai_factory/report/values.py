"""The content of a report as one frozen value, and as plain values under the names of its files.

The rule: figures are those of the measurement that `saf share` prints; HTML, CSV and JSON are all made from
``value(report)``, so they cannot differ. Tested in tests/report/test_report.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import fsum
from typing import Any, NamedTuple

from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.fingerprint import FORMAT, RowsDigest, fingerprint
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.figures import figure_values, number, part, share_value, when
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import ExpertiseMeasurement
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term, changes
from slurm_ai_factory.core.records import HOUR, Charge, Hour, Instant, Measurement
from slurm_ai_factory.report.programme import Programme, answer_value, programme_value
from slurm_ai_factory.report.promises import ReportedPromise, promise_value, recorded_value
from slurm_ai_factory.report.surroundings import Surroundings, surroundings_value
from slurm_ai_factory.report.tables import Table, TableRow

WEEK = 7 * 24 * HOUR

SHORT = (
    "window", "since", "until", "resource", "target_share", "delivered_share", "capacity_share",
    "regional_charge", "total_charge", "verdict", "verdict_reason",
)  # fmt: skip
"""Figures of a window in the trend, and of another resource."""

OF_TERM = ("promise", "bound", "share_of")
"""What a report has of its term instead, so that earlier reports keep their fingerprint."""


class Sender(NamedTuple):
    """The facility that publishes the report."""

    facility: str
    region: Mapping[str, str] | None  #: by language
    contact: str | None
    time_zone: str
    min_organisations: int


class Month(NamedTuple):
    """The control in a civil month."""

    month: str  #: 2027-03
    decisions: int
    held: int  #: decisions on hold
    reasons: Mapping[str, int]  #: of the holds -> how often
    changes: int
    raw_shares_first: int | None  #: before the month's first change
    raw_shares_last: int | None  #: after its last


class ControlHistory(NamedTuple):
    """The control in the window."""

    modes: tuple[str, ...]  #: of its decisions
    months: tuple[Month, ...]


class Earlier(NamedTuple):
    """Earlier figures of a window, to compare it with."""

    window: str
    as_of: Instant
    regional: Charge | None  #: None where the window was not over
    total: Charge | None
    published: bool  #: in the last published report of the window; if not, as the ledger knew it then


class Restatement(NamedTuple):
    """A window whose figures are not what they were."""

    window: str
    regional_before: Charge
    total_before: Charge
    regional_now: Charge
    total_now: Charge
    by_accounting: Charge | None  #: of the difference in regional charge: corrections in Slurm's accounting
    by_classification: Charge | None  #: the rest: rules, registry, account tree; None in another resource
    told_apart: bool  #: whether each cause involves enough organisations to be shown alone
    target_before: float
    target_now: float
    terms_changed: tuple[str, ...]  #: fields of the term of the promise that changed
    lost_reservations: tuple[str, ...] = ()  #: of those that rules name; runs had them before


class Audited(NamedTuple):
    """Checks of the ledger, by command."""

    command: str  #: verify or reconcile
    checks: int
    last: Instant
    findings: int  #: of all checks


class Basis(NamedTuple):
    """The evidence under the figures of a report."""

    settings: str  #: SHA-256 of the settings that change the content
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
    reached: int  #: regional organisations that got resources
    names: tuple[str, ...] | None  #: of these; None if they are not listed
    control: ControlHistory
    expertise: ExpertiseMeasurement
    expertise_tables: tuple[Table, ...]
    unmet_shown: bool  #: whether unmet hours involve enough organisations to be shown
    terms: PromiseTerms  #: of the promise
    compared_with: tuple[Earlier, ...]  #: windows of the trend that have earlier figures
    restatements: tuple[Restatement, ...]
    audits: tuple[Audited, ...]  #: since the window began, by command
    programme: Programme
    surroundings: Surroundings | None = None  #: None in a report that was published without them
    promises: tuple[ReportedPromise, ...] = ()  #: the further ones
    promises_changed: tuple[str, ...] = ()  #: those of which the report that this one replaces says otherwise
    note: str | None = None  #: the facility's own response, in plain text
    approved: int = 0  #: entries approved by a second person until then
    basis: Basis
    head: tuple[int, str] | None = None  #: entry and hash of the chain when the report was published


def value(report: Report) -> dict[str, Any]:
    """The report as plain values. Charges are resource-seconds, ratios 0 to 1, instants ISO 8601 in UTC."""
    printed = report_figures(report)
    digest = canonical.digest("figures", 1, printed)
    entry, head = report.head or (None, None)
    return printed | {"fingerprint": _fingerprint(report.basis, digest) | {"entry": entry, "head": head}}


def report_figures(report: Report) -> dict[str, Any]:
    """The report as plain values, without its fingerprint."""
    measured = report.measurement
    nothing = {"surroundings": dict.fromkeys(("energy", "grid", "water"))}
    earlier = {} if report.surroundings else nothing  # what was said before these were recorded
    return {
        "report": _about(report),
        "promise": _promise(report),
        "answer": answer_value(report.programme) | {"note": report.note},
        "share": {
            key: cell for key, cell in share_value(measured, report.margin).items() if key not in OF_TERM
        },
        "resources": [
            {"name": m.resource.name} | figure_values(SHORT, m, report.margin) for m in report.resources
        ],
        **({"promises": [*map(promise_value, report.promises)]} if report.promises else {}),
        "trend": [figure_values(SHORT, m, report.margin) for m in report.trend],
        "weeks": list(_weeks(measured)),
        "tables": {table.name: table_value(table, measured.total_charge) for table in report.tables},
        "programme": programme_value(report.programme, measured) | earlier,
        **({"surroundings": surroundings_value(report.surroundings)} if report.surroundings else {}),
        "organisations": {"regional": report.reached, "names": report.names and list(report.names)},
        "control": _control(report.control),
        "expertise": _expertise(report),
        "restatements": _restatements(report),
        "audits": [audit._asdict() | {"last": when(audit.last)} for audit in report.audits],
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
    """The term of the verdict, and the changes of the promise in the time shown."""
    window = report.measurement.window
    term = report.terms.of(window)
    shown = report.terms.between(report.trend[0].window.since, window.until)
    return {
        "share": term.share,
        "share_of": term.share_of,
        **recorded_value(term),
        "actor": term.actor,
        "changes": [_changed(*pair) for pair in changes(shown)],
        "retroactive": [
            recorded_value(term) | {"actor": term.actor, "reason": term.reason}
            for term in shown
            if term.retroactive
        ],
    }


def _changed(before: Term, after: Term) -> dict[str, Any]:
    """The fields of a term that changed, before and after."""
    was, now = (term.plain() | {"resource": term.resource.name} for term in (before, after))
    fields = {name: {"was": was[name], "now": now[name]} for name in after.differing(before)}
    return recorded_value(after) | {"changed": fields}


def _weeks(measured: Measurement) -> Iterator[dict[str, Any]]:
    """Weeks from the start of the window, each with the share from that start to its end."""
    regional = total = 0.0
    unknown = measured.starved_charge is None
    weeks: dict[int, list[Hour]] = {}
    for hour in measured.hours:
        weeks.setdefault((hour.at - measured.window.since) // WEEK, []).append(hour)
    for week, hours in sorted(weeks.items()):
        of_week = fsum(hour.regional for hour in hours), fsum(hour.total for hour in hours)
        regional, total = regional + of_week[0], total + of_week[1]
        yield {
            "since": when(measured.window.since + week * WEEK),
            "days": len(hours) / 24,
            "regional_charge": of_week[0],
            "total_charge": of_week[1],
            "delivered_share": of_week[0] / of_week[1] if of_week[1] > 0 else None,
            "share_to_date": regional / total if total > 0 else None,
            "waiting_charge": fsum(hour.regional_waiting for hour in hours),
            "starved_charge": None if unknown else share.starved(hours, measured.target_share),
        }


def table_value(table: Table, whole: Charge | Decimal) -> dict[str, Any]:
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
    months = [month._asdict() | {"reasons": dict(sorted(month.reasons.items()))} for month in control.months]
    return {
        "modes": list(control.modes),
        "changes": sum(month.changes for month in control.months),
        "held": sum(month.held for month in control.months),
        "decisions": sum(month.decisions for month in control.months),
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
        **{table.name: table_value(table, measured.total_hours) for table in report.expertise_tables},
    }


def _restatements(report: Report) -> dict[str, Any]:
    own = report.measurement.window.name
    same = (earlier for earlier in report.compared_with if earlier.published and earlier.window == own)
    return {
        "replaces": next(map(_earlier, same), None),
        "compared_with": list(map(_earlier, report.compared_with)),
        "rows": list(map(_restatement, report.restatements)),
        **({"promises": list(report.promises_changed)} if report.promises_changed else {}),
    }


def _earlier(earlier: Earlier) -> dict[str, Any]:
    known = earlier.regional is not None and earlier.total is not None
    return {
        "window": earlier.window,
        "as_of": when(earlier.as_of),
        "delivered_share": part(earlier.regional or 0, earlier.total or 0) if known else None,
        "published": earlier.published,
    }


def _restatement(row: Restatement) -> dict[str, Any]:
    comparable = row.by_accounting is not None
    return {
        "window": row.window,
        "target_share_before": row.target_before,
        "target_share": row.target_now,
        "regional_charge_before": number(row.regional_before),
        "total_charge_before": number(row.total_before),
        "delivered_share_before": part(row.regional_before, row.total_before),
        "regional_charge": number(row.regional_now),
        "total_charge": number(row.total_now),
        "delivered_share": part(row.regional_now, row.total_now),
        "regional_charge_difference": number(row.regional_now - row.regional_before) if comparable else None,
        "causes_told": row.told_apart,
        "regional_charge_by_accounting": _number(row.by_accounting if row.told_apart else None),
        "regional_charge_by_classification": _number(row.by_classification if row.told_apart else None),
        "terms_changed": list(row.terms_changed),
        **({"lost_reservations": list(row.lost_reservations)} if row.lost_reservations else {}),
    }


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
        "parts": [digest._asdict() for digest in basis.rows],
    }
