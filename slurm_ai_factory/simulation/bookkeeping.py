"""What the model cluster delivered, as the product measures it: what the controller observes, window sums.

The hours come from the model; everything else is made of them the way ``core.share`` makes it of a ledger.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Observed, Window
from slurm_ai_factory.simulation.arrays import ALL, REGIONAL, UP, WAITING, Floats
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import NAME


class Books:
    """The hours of a model cluster, kept up as it advances."""

    def __init__(
        self, cluster: ModelCluster, promise: Promise, window: str, zone: ZoneInfo, horizon: int
    ) -> None:
        self.cluster, self.promise, self.window, self.zone = cluster, promise, window, zone
        self.horizon = horizon  # seconds
        self._hours: list[Hour] = []  # whole ones
        self._sums = np.zeros((1, UP + 1))  # of all hours before each
        self._run_charge: dict[tuple[int, int], float] = {}  # of intervals, the last ones asked for

    def observed(self) -> Observed:
        """What the controller gets: the promise's own window as of now, and the queue."""
        return Observed(
            measurement=self.measurement(),
            associations=self.cluster.associations(),
            regional_backlog=self._backlog(float(self.cluster.rates[UP])),
            run_charge=self._usual_charge(self.cluster.now),
            waiting_accounts=self.cluster.waiting_accounts,
        )

    def measurement(self) -> Measurement:
        """The promise's own window as of now."""
        now = self.cluster.now
        window = windows.window(self.window, now, self.zone)
        self._keep_up()
        first = max(0, (window.since - self.cluster.began) // HOUR)
        hours = (*self._hours[first:], *self._begun())
        regional, everything, waiting, _, up = self._between(first)
        rates = self.cluster.rates
        return Measurement(
            cluster=NAME, window=window, as_of=now, resource=self.promise.resource,
            target_share=self.promise.target_share, regional_charge=round(regional),
            total_charge=round(everything), unclassified_charge=0, capacity=round(up),
            waiting_charge=round(waiting), starved_charge=None, regional_running=round(rates[REGIONAL]),
            regional_pending=round(rates[WAITING]), newest_record_at=now, hours=hours,
        )  # fmt: skip

    def _backlog(self, size: float) -> float:
        """No more than the whole machine until the horizon, as ``signals`` has it."""
        return min(size * self.horizon, self.cluster.backlog(self.horizon))

    def _usual_charge(self, now: int) -> float:
        """As the ledger tells it: of the runs that ended lately."""
        found = (self._charge_of_runs(interval) for interval in share.lately(now))
        return next((charge for charge in found if charge), 0.0)

    def _charge_of_runs(self, interval: tuple[int, int]) -> float:
        if interval not in self._run_charge:
            if len(self._run_charge) > 1:
                self._run_charge.clear()
            self._run_charge[interval] = self.cluster.run_charge(*interval)
        return self._run_charge[interval]

    def _keep_up(self) -> None:
        """Take in the hours that have become whole."""
        whole = (self.cluster.now - self.cluster.began) // HOUR
        new = self.cluster.hours[len(self._hours) : whole]
        if not len(new):
            return
        began = self.cluster.began + len(self._hours) * HOUR
        self._hours += [_hour(began + number * HOUR, row) for number, row in enumerate(new)]
        self._sums = np.concatenate([self._sums, self._sums[-1] + np.cumsum(new, axis=0)])

    def _begun(self) -> list[Hour]:
        """The hour that has begun and is not whole."""
        whole = len(self._hours)
        return [_hour(self.cluster.began + whole * HOUR, row) for row in self.cluster.hours[whole:]]

    def _between(self, first: int) -> Floats:
        """Sums from an hour on, up to now."""
        whole = len(self._hours)
        sums: Floats = self._sums[whole] - self._sums[min(first, whole)]
        rest: Floats = self.cluster.hours[whole:].sum(axis=0)
        return sums + rest


def _hour(at: int, row: Floats) -> Hour:
    return Hour(at, float(row[REGIONAL]), float(row[ALL]), float(row[WAITING]), float(row[UP]))


def hours_of(since: int, rows: Floats) -> list[Hour]:
    """Rows of the model's hours as the product's."""
    return [_hour(since + number * HOUR, row) for number, row in enumerate(rows)]


def windows_of(name: str, since: int, until: int, zone: ZoneInfo) -> list[Window]:
    """The windows a name means between two instants, in order; rolling ones are laid end to end."""
    found: list[Window] = []
    if name.startswith("rolling:"):
        length = windows.duration(name.removeprefix("rolling:"))
        ends = range(since + length, until + 1, length)
        return [windows.window(name, end, zone) for end in ends]
    at = since
    while at < until:
        found.append(windows.window(name, at, zone))
        at = found[-1].until
    return [one for one in found if one.since < until]
