"""Saves sums by hour and beneficiary, so that a quarter is not summed again for every question.

A quarter has more rows of hourly usage than a cycle or a person has time for, and all but the last hours are
unchanged. Every read records the earliest hour it changed; saved sums from there on are invalid. No answer
depends on what is saved: an hour without a valid sum is summed on the spot.
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


Scope = Mapping[str, object]
"""What is summed: cluster_id, set_id, resource, tres, weights, since and until (on whole hours)."""


def hourly_sums(store: Store, scope: Scope) -> list[SqlRow]:
    """(hour, beneficiary, delivered, waiting) of the scope, in no order. Ask inside one snapshot."""
    unknown = _unknown(store, scope)
    rows = [] if unknown == [scope] else store.all("hourly_sums", **scope)
    for part in unknown:
        rows += store.all("usage_by_hour", **part)
    return rows


def keep_sums(store: Store, scope: Scope) -> None:
    """Save the sums of the scope, unless a subject is unclassified yet. Not inside a transaction."""
    if not _unknown(store, scope):
        return
    with store.holding("summing", scope["cluster_id"]), store.snapshot():
        if store.all("unsorted_subjects", **scope):
            return
        store.do("add_sums", **scope)
        for part in _unknown(store, scope):
            store.do("drop_hourly_sums", **part)
            store.do("keep_hourly_sums", **part)
        store.do("note_sums", **scope)


def keep_more(store: Store, scope: Scope) -> None:
    """Save sums of the newest hours without any, at most ``AT_ONCE`` of them. Not inside a transaction."""
    unknown = _unknown(store, scope)
    if unknown:
        since, until = unknown[-1]["since"], unknown[-1]["until"]
        keep_sums(store, {**scope, "since": max(since, until - AT_ONCE), "until": until})


def compared(store: Store, scope: Scope) -> Compared:
    """Compare the saved sums of the scope with fresh ones. Not inside a transaction."""
    with store.snapshot():
        unknown = [range(part["since"], part["until"]) for part in _unknown(store, scope)]
        kept = {row[:2]: row[2:] for row in store.all("hourly_sums", **scope)}
        fresh = {row[:2]: row[2:] for row in store.all("usage_by_hour", **scope)}
    keys = kept.keys() | {key for key in fresh if not any(key[0] in part for part in unknown)}
    differing = [key[0] for key in keys if kept.get(key) != fresh.get(key)]
    return Compared(len(keys), len(differing), min(differing, default=None))


def _unknown(store: Store, scope: Scope) -> list[dict[str, Any]]:
    """The scope, cut down to each interval of hours without valid sums."""
    parts = store.all("hours_not_summed", **scope)
    return [{**scope, "since": since, "until": until} for since, until in parts]
