"""The hours of the window in force, kept between the cycles of one process.

A quarter has more hours than a cycle has time for, and all but the last few are as they were. Each read notes
the earliest hour it changed, whoever made it, so only the hours from there on are asked for again. Another
window, resource or set of rules starts anew. Nothing here is state: without it every answer is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.store import Row, Store


@dataclass(slots=True)
class ClosedHours:
    """Rows of usage_by_hour, by hour."""

    scope: tuple[object, ...] = ()
    since: Instant = 0
    read_id: int = 0
    hours: dict[Instant, list[Row]] = field(default_factory=dict)

    def rows(self, store: Store, scope: dict[str, object]) -> list[Row]:
        """What usage_by_hour answers for this scope."""
        since, until = cast("Instant", scope["since"]), cast("Instant", scope["until"])
        changed_from = self._changed_from(store, scope, since)
        for row in store.all("usage_by_hour", **scope | {"since": changed_from}):
            self.hours.setdefault(row[0], []).append(row)
        return [row for hour in sorted(self.hours) if since <= hour < until for row in self.hours[hour]]

    def _changed_from(self, store: Store, scope: dict[str, object], since: Instant) -> Instant:
        """Forget the hours that are not to be relied on; from where they have to be asked for."""
        here = self._here(store, scope)
        known = here == self.scope and since >= self.since
        seen = self.read_id if known else 0
        found = store.one("touched_since", cluster_id=scope["cluster_id"], read_id=seen)
        self.read_id, touched = found or (0, None)
        self.scope = here
        if not known:
            self.since, self.hours = since, {}
            return since
        reached = max(self.hours, default=since)
        changed_from = max(since, min(reached, hour_of(touched) if touched is not None else reached))
        self.hours = {hour: rows for hour, rows in self.hours.items() if since <= hour < changed_from}
        return changed_from

    def _here(self, store: Store, scope: dict[str, object]) -> tuple[object, ...]:
        """What decides an answer besides the hours: resource and classification."""
        classified = store.one("classification_mark", cluster_id=scope["cluster_id"])
        return (repr(scope["tres"]), repr(scope["weights"]), classified)
