"""Show-back: what one organisation got in a window, what that costs, and its part of the promise."""

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

OTHERS = "\0"
"""What all other organisations are called together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement of one organisation. Charges are resource-seconds."""

    organisation: str
    name: str
    window: Window
    as_of: Instant
    unread_seconds: int  #: of the window, what no read of accounting covered
    resource: str  #: that of the promise
    charge: Charge
    part_of_regional: float | None  #: of all regional charge
    part_of_promise: float | None  #: of the charge that was promised to the region
    expertise_hours: Decimal
    currency: str
    zone: ZoneInfo  #: of its days
    lines: tuple[StatementLine, ...]


def gather_statement(ask: Question, organisation: str) -> Statement:
    """The statement. Raises SafError where the organisation is not known or a price is missing."""
    entries = ask.ledger.registry.known(ask.known_at).entries_of(organisation)
    if not entries:
        raise SafError(f"no organisation {organisation!r} is registered; see `saf organisation list`")
    measured, promise = ask.measure(), ask.config.promise_of()
    own = _charges(ask, organisation, promise.resource)
    charge = sum(own.values(), start=0)
    regional = sum((c for (side, _), c in own.items() if side is Beneficiary.REGIONAL), start=0)
    promised = Decimal(str(promise.target_share)) * measured.total_charge
    return Statement(
        organisation=organisation,
        name=entries[-1].name,
        window=ask.window,
        as_of=ask.known_at,
        unread_seconds=measured.unread_seconds,
        resource=promise.resource,
        charge=charge,
        part_of_regional=part(regional, measured.regional_charge),
        part_of_promise=part(Decimal(regional), promised),
        expertise_hours=_expertise_hours(ask, organisation),
        currency=ask.config.report.currency,
        zone=ask.config.promise.time_zone,
        lines=tuple(_lines(ask, organisation)),
    )


def _charges(ask: Question, organisation: str, resource: str) -> dict[tuple[Beneficiary, str], Charge]:
    """The organisation's charge by beneficiary and category, in one resource."""

    def key(_: Subject, found: Classification) -> str:
        return found.category if found.organisation == organisation else OTHERS

    promise = ask.config.promise_of()
    weights = promise.weights if resource == promise.resource else {resource: 1}
    groups = ask.groups(key, weights)
    return {(one.beneficiary, one.name): one.delivered for one in groups if one.name != OTHERS}


def _lines(ask: Question, organisation: str) -> Iterator[StatementLine]:
    tariffs = ask.config.tariffs
    if not tariffs:
        raise ConfigError(f"{ask.config.file}: a statement wants prices: add [[tariff]]")
    for piece in tariff.pieces(ask.window, tariffs):
        for resource in tariff.resources(tariffs):
            for (side, category), charge in sorted(
                _charges(ask.over((piece.since, piece.until)), organisation, resource).items()
            ):
                price = tariff.price(tariffs, side, category, resource, piece.since)
                if price is None:
                    raise ConfigError(_missing(ask, piece, side, resource))
                yield StatementLine(piece.since, piece.until, side, category, resource, charge, price)


def _missing(ask: Question, piece: Window, side: Beneficiary, resource: str) -> str:
    return (
        f"{ask.config.file}: no [[tariff]] for {side} {resource} from {windows.iso(piece.since)} on; "
        'add one, with price = "0" where it is free'
    )


def _expertise_hours(ask: Question, organisation: str) -> Decimal:
    entries = ask.ledger.expertise.entries(
        *windows.days(ask.window, ask.config.promise.time_zone), ask.known_at
    )
    own = (
        one.hours for one in entries if one.organisation == organisation and one.kind is HoursKind.DELIVERED
    )
    return sum(own, start=Decimal(0))
