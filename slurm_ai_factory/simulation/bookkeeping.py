"""What the model cluster delivered, as the product measures it: what the controller observes, window sums.

The hours come from the model; everything else is made of them the way ``core.share`` makes it of a ledger.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.contested import remembered
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Observed, Window
from slurm_ai_factory.simulation.arrays import ALL, OTHERS_WAITING, REGIONAL, UP, WAITING, Floats
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.commitments import Sight
from slurm_ai_factory.simulation.layout import NAME

HOUR_COLUMNS = [REGIONAL, ALL, WAITING, UP, OTHERS_WAITING]
"""The model's columns in the order of an hour's fields; all of its charge is classified."""


class Books:
    """The hours of a model cluster, kept up as it advances."""

    def __init__(
        self,
        cluster: ModelCluster,
        promise: Promise,
        window: str,
        zone: ZoneInfo,
        horizon: int,
        sight: Sight | None = None,
    ) -> None:
        """``sight`` is what a promise is about where there are several; else it is about the region."""
        self.cluster, self.promise, self.window, self.zone = cluster, promise, window, zone
        self.horizon = horizon  # seconds
        self.sight = sight
        self._hours: list[Hour] = []  # whole ones
        self._sums = np.zeros((1, UP + 1))  # of all hours before each
        self._run_charge: dict[tuple[int, int], float] = {}  # of intervals, the last ones asked for

    def observed(self) -> Observed:
        """The controller's input: the promise's own window so far, the shares and the queue."""
        now, size = self.cluster.now, float(self.cluster.rates[UP])
        side = self.sight and self.sight.side
        measured = self.measurement()
        charges = (self._charge_of_runs(interval) for interval in share.lately(now))
        since, until = remembered(measured.window, self.cluster.now, self.cluster.settings.half_life)
        first, last = (max(0, at - self.cluster.began) // HOUR for at in (since, until))
        return Observed(
            measurement=measured,
            earlier=tuple(self._hours[first:last]),
            associations=self.cluster.associations(),
            # As in ``Signals.backlog``: no more than the whole machine until the horizon.
            regional_backlog=min(size * self.horizon, self.cluster.backlog(self.horizon, side)),
            run_charge=next((charge for charge in charges if charge), 0.0),
            waiting_rows=self.cluster.waiting_accounts,
        )

    def measurement(self) -> Measurement:
        """The promise's own window so far."""
        return self.over(windows.window(self.window, self.cluster.now, self.zone))

    def over(self, window: Window) -> Measurement:
        """A window up to its end, or up to now; what runs and waits is that of now."""
        as_of, began = min(window.until, self.cluster.now), self.cluster.began
        self._keep_up()
        first, whole = max(0, (window.since - began) // HOUR), min(len(self._hours), (as_of - began) // HOUR)
        begun = self._seen(self.cluster.hours[whole : -(-(as_of - began) // HOUR)])
        hours = (*self._hours[first:whole], *hours_of(began + whole * HOUR, begun))
        sums: Floats = self._sums[whole] - self._sums[min(first, whole)] + begun.sum(axis=0)
        regional, everything, waiting, _, up = sums
        rates = self._seen(self.cluster.rates)
        return Measurement(
            promise=self.promise.name, bound=self.promise.bound, share_of=self.promise.share_of,
            cluster=NAME, window=window, as_of=as_of, resource=self.promise.resource,
            target_share=self.promise.target_share, regional_charge=round(regional),
            total_charge=round(everything), unclassified_charge=0, capacity=round(up),
            waiting_charge=round(waiting), starved_charge=None, regional_running=round(rates[REGIONAL]),
            regional_pending=round(rates[WAITING]), newest_record_at=as_of, hours=hours,
        )  # fmt: skip

    def _charge_of_runs(self, interval: tuple[int, int]) -> float:
        if interval not in self._run_charge:
            if len(self._run_charge) > 1:
                self._run_charge.clear()
            self._run_charge[interval] = self.cluster.run_charge(*interval)
        return self._run_charge[interval]

    def _seen(self, rows: Floats) -> Floats:
        """The cluster's columns as those of the promise."""
        return rows if self.sight is None else rows @ self.sight.columns

    def _keep_up(self) -> None:
        """Add the hours that have become whole."""
        whole = (self.cluster.now - self.cluster.began) // HOUR
        new = self._seen(self.cluster.hours[len(self._hours) : whole])
        if not len(new):
            return
        began = self.cluster.began + len(self._hours) * HOUR
        self._hours += hours_of(began, new)
        self._sums = np.concatenate([self._sums, self._sums[-1] + np.cumsum(new, axis=0)])


def hours_of(since: int, rows: Floats) -> list[Hour]:
    """The model's hours from ``since`` on as the product's."""
    columns = rows[:, HOUR_COLUMNS].tolist()
    return [
        Hour(since + n * HOUR, regional, total, waiting, up, 0.0, others)
        for n, (regional, total, waiting, up, others) in enumerate(columns)
    ]


def windows_of(name: str, since: int, until: int, zone: ZoneInfo) -> list[Window]:
    """The windows with a name that have a part between two instants, in order.

    Rolling ones are laid end to end, and each is there as a whole.
    """
    if name.startswith("rolling:"):
        length = windows.duration(name.removeprefix("rolling:"))
        ends = range(since + length, until + 1, length)
        return [windows.window(name, end, zone) for end in ends]
    calendar: list[Window] = []
    while since < until:
        calendar.append(windows.window(name, since, zone))
        since = calendar[-1].until
    return calendar
