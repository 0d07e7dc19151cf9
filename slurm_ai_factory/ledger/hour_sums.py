"""Saves sums by hour and side of every promise, and by day and subject: no question sums a quarter again.

A quarter has more rows of hourly usage than a cycle or a person has time for, and all but the last days are
unchanged. Sums are saved of whole days (UTC). Every read records the earliest hour it changed; sums from
that day on are invalid. No answer depends on what is saved: an hour without a valid sum is summed on the
spot.
Tested in tests/ledger/test_accounting.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import DAY, Instant
from slurm_ai_factory.ledger.store import SqlRow, Store

UNSETTLED = DAY
"""Most runs end within a day and change the hours they ran in, so sums of these are not saved."""

AT_ONCE = 92 * DAY
"""A quarter: a second's work on a large machine's ledger."""


class Compared(NamedTuple):
    """How many rows were compared with what they come from, and how many differ."""

    rows: int
    differing: int
    first: Instant | None  #: the earliest hour that differs


KEEP = ("drop_hourly_sums", "keep_hourly_sums", "drop_daily_sums", "keep_daily_sums")
"""Save the sums of an interval again."""

SUMS = (("hourly_sums", "usage_by_hour", 3), ("daily_sums", "usage_by_day", 3))
"""Queries for saved sums and for fresh ones, and how many of their columns are the key."""

Scope = Mapping[str, object]
"""What is summed: cluster_id, set_id, resource, tres, weights, since and until (on whole hours)."""


def added(store: Store, scope: Scope, saved: str, fresh: str) -> list[SqlRow]:
    """The rows of the query ``saved`` for the days with valid sums, of ``fresh`` for the other hours.

    A key may come twice. Ask inside one snapshot.
    """
    unknown = _unknown(store, scope)
    rows = [] if unknown == [scope] else store.all(saved, **scope)
    for part in unknown:
        rows += store.all(fresh, **part)
    return rows


def keep_sums(store: Store, scope: Scope) -> None:
    """Save the sums of whole days, unless a subject is unclassified yet. Not inside a transaction."""
    if not _unknown(store, scope):
        return
    with store.holding("summing", scope["cluster_id"]), store.snapshot():
        if store.all("unsorted_subjects", **scope):
            return
        store.do("add_sums", **scope)
        for part in _unknown(store, scope):
            for query in KEEP:
                store.do(query, **part)
        store.do("note_sums", **scope)


def keep_more(store: Store, scope: Scope) -> None:
    """Save sums of the newest days without any, at most ``AT_ONCE`` of them. Not inside a transaction."""
    unknown = _unknown(store, scope)
    if unknown:
        since, until = unknown[-1]["since"], unknown[-1]["until"]
        keep_sums(store, {**scope, "since": max(since, until - AT_ONCE), "until": until})


def compared(store: Store, scope: Scope, saved: str, fresh: str, columns: int) -> Compared:
    """Compare the saved sums of whole days, with ``columns`` as their key, with fresh ones.

    Not inside a transaction.
    """
    with store.snapshot():
        unknown = [range(part["since"], part["until"]) for part in _unknown(store, scope)]
        kept = {row[:columns]: row[columns:] for row in store.all(saved, **scope)}
        now = {row[:columns]: row[columns:] for row in store.all(fresh, **scope)}
    keys = kept.keys() | {key for key in now if not any(key[0] in part for part in unknown)}
    differing = [key[0] for key in keys if kept.get(key) != now.get(key)]
    return Compared(len(keys), len(differing), min(differing, default=None))


def _unknown(store: Store, scope: Scope) -> list[dict[str, Any]]:
    """The scope, cut down to each interval of it without valid sums."""
    parts = store.all("hours_not_summed", **scope)
    return [{**scope, "since": since, "until": until} for since, until in parts]
