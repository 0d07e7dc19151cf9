"""A month's usage of each account, as Waldur takes it.

The rule: the amounts are the ledger's, of allocated TRES; Waldur's own agent has requested ones (theirs.py).
Waldur's `set_usage` replaces what it has of a resource and component in the month of a date, so only whole
months fit. The unit is that of the agent's ``backend_components``: TRES-minutes, of ``mem`` MiB-minutes,
divided by ``unit_factor``, with two decimals (ComponentUsageItemSerializer of Waldur MasterMind).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from slurm_ai_factory.audit.theirs import RunInInterval
from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import Charge, Instant, Run


class AccountUsage(NamedTuple):
    """What the runs of an account used in an interval."""

    charges: Mapping[str, Charge]  #: TRES-seconds by component; 0 where the account had none
    open_runs: int  #: those that have not ended yet, so that their charge may still change


def parse_components(texts: Iterable[str]) -> dict[str, Decimal]:
    """TRES -> TRES-minutes in Waldur's unit, from TRES=FACTOR or TRES alone. Raises ValueError.

    >>> parse_components(["gres/gpu", "cpu=60000"])
    {'gres/gpu': Decimal('1'), 'cpu': Decimal('60000')}
    """
    components: dict[str, Decimal] = {}
    for text in texts:
        name, equals, typed = text.partition("=")
        try:
            factor = Decimal(typed if equals else 1)
        except ArithmeticError:
            factor = Decimal()
        if not name or not factor.is_finite() or factor <= 0:
            raise ValueError(f"{text!r} is not a component such as gres/gpu or cpu=60000")
        if name in components:
            raise ValueError(f"the component {name} is given twice")
        components[name] = factor
    return components


def usage_by_account(
    runs: Iterable[Run], components: Iterable[str], since: Instant, until: Instant, at: Instant
) -> dict[str, AccountUsage]:
    """Each account with runs in [since, until), by name; runs without an account are under "".

    Open runs count up to ``at``, or to ``until`` if that is earlier.
    """
    charges: defaultdict[str, dict[str, Charge]] = defaultdict(lambda: dict.fromkeys(components, 0))
    opened: Counter[str] = Counter()
    for run in runs:
        account, seconds = run.subject.account, RunInInterval(run, since, until, at).seconds
        opened[account] += run.end_at is None
        for name, held in tres.parse_tres(run.alloc_tres).items():
            if name in charges[account]:
                charges[account][name] += held * seconds
    return {account: AccountUsage(charges[account], opened[account]) for account in sorted(charges)}


def set_usage(month: str, used: AccountUsage, components: Mapping[str, Decimal]) -> dict[str, object]:
    """What a call of `set_usage` takes for a month such as 2027-03, without the resource's UUID.

    Noon in UTC on the first lies in the same month in every time zone.

    >>> set_usage("2027-03", AccountUsage({"cpu": 36_000_000}, 0), {"cpu": Decimal(60000)})
    {'date': '2027-03-01T12:00:00Z', 'usages': [{'type': 'cpu', 'amount': '10.00'}]}
    """
    usages = [
        {"type": name, "amount": waldur_amount(used.charges[name], factor)}
        for name, factor in components.items()
    ]
    return {"date": f"{month}-01T12:00:00Z", "usages": usages}


def waldur_amount(charge: Charge, factor: Decimal) -> str:
    """TRES-seconds in Waldur's unit.

    >>> waldur_amount(5400, Decimal(1)), waldur_amount(36_000_000, Decimal(60000))
    ('90.00', '10.00')
    """
    hundredths = round(Fraction(charge) * 100 / (60 * Fraction(factor)))
    return f"{hundredths // 100}.{hundredths % 100:02}"
