"""Show-back: the charge of an organisation in a window, its price, and its part of the promise.

Tested in tests/cli/test_statement.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.figures import part
from slurm_ai_factory.core.programme import tariff
from slurm_ai_factory.core.programme.expertise import HoursKind
from slurm_ai_factory.core.programme.tariff import StatementLine
from slurm_ai_factory.core.records import Charge, Instant, Subject, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification
from slurm_ai_factory.errors import ConfigError, SafError
from slurm_ai_factory.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement of one organisation. Charges are resource-seconds."""

    organisation: str
    name: str
    window: Window
    as_of: Instant
    unread_seconds: int  #: time in the window that no read of accounting covers
    resource: str  #: of the promise
    charge: Charge
    part_of_regional: float | None  #: of all regional charge
    part_of_promise: float | None  #: of the charge that was promised to the region
    expertise_hours: Decimal
    currency: str
    zone: ZoneInfo  #: of its days
    lines: tuple[StatementLine, ...]


def gather_statement(ask: Question, organisation: str) -> Statement:
    """The statement. Raises SafError if the organisation is unknown or a price is missing."""
    entries = ask.ledger.registry.known(ask.known_at).entries_of(organisation)
    if not entries:
        raise SafError(f"no organisation {organisation!r} is registered; see `saf organisation list`")
    measured, promise = ask.measure(), ask.config.promise_of()
    own = _charges(ask, organisation, promise.resource.name)
    charge = sum(own.values(), start=0)
    regional = sum((c for (side, _), c in own.items() if side is Beneficiary.REGIONAL), start=0)
    promised = Decimal(str(promise.target_share)) * measured.total_charge
    return Statement(
        organisation=organisation, name=entries[-1].name, window=ask.window, as_of=ask.known_at,
        unread_seconds=measured.unread_seconds, resource=promise.resource.name, charge=charge,
        part_of_regional=part(regional, measured.regional_charge),
        part_of_promise=part(Decimal(regional), promised),
        expertise_hours=_expertise_hours(ask, organisation), currency=ask.config.report.currency,
        zone=ask.config.promise.time_zone, lines=tuple(_lines(ask, organisation)),
    )  # fmt: skip


def _charges(ask: Question, organisation: str, resource: str) -> dict[tuple[Beneficiary, str], Charge]:
    """The charge of the organisation by beneficiary and category, in a resource."""

    def key(_: Subject, classification: Classification) -> tuple[str, ...]:
        return (classification.category,) if classification.organisation == organisation else ()

    own = ask.config.promise.resource
    weights = own.weights if resource == own.name else {resource: 1}
    groups = ask.groups(key, weights)
    return {(group.beneficiary, group.name): group.delivered for group in groups if group.names}


def _lines(ask: Question, organisation: str) -> Iterator[StatementLine]:
    tariffs = ask.config.tariffs
    if not tariffs:
        raise ConfigError(f"{ask.config.file}: a statement needs prices; add [[tariff]] tables")
    for piece in tariff.pieces(ask.window, tariffs):
        for resource in tariff.resources(tariffs):
            for (side, category), charge in sorted(
                _charges(ask.over((piece.since, piece.until)), organisation, resource).items()
            ):
                price = tariff.price(tariffs, side, category, resource, piece.since)
                if price is None:
                    raise ConfigError(
                        f"{ask.config.file}: no [[tariff]] for {side} {resource} from "
                        f'{windows.iso(piece.since)} on; add one, with price = "0" if it is free'
                    )
                yield StatementLine(piece.since, piece.until, side, category, resource, charge, price)


def _expertise_hours(ask: Question, organisation: str) -> Decimal:
    entries = ask.ledger.expertise.entries(
        *windows.days(ask.window, ask.config.promise.time_zone), ask.known_at
    )
    own = (
        entry.hours
        for entry in entries
        if entry.organisation == organisation and entry.kind is HoursKind.DELIVERED
    )
    return sum(own, start=Decimal(0))
