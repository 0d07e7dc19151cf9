"""Sums by hour and beneficiary that are kept, so that a quarter is not added up again for every question.

A quarter has more rows of hourly usage than a cycle or a person has time for, and all but the last few hours
are as they were. Every read notes the earliest hour it changed, and the sums from there on hold no longer.
Nothing rests on what is kept: an hour that is not known is added up on the spot, and the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import DAY, Instant
from slurm_ai_factory.ledger.store import SqlRow, Store

UNSETTLED = DAY
"""Most runs end within a day, and change the hours they ran in: sums of these would not hold for long."""

AT_ONCE = 92 * DAY
"""A quarter: a second's work on a large machine's ledger."""


class Compared(NamedTuple):
    """Something that is kept beside what it is made from."""

    rows: int
    differing: int
    first: Instant | None  #: the earliest hour that differs


Scope = Mapping[str, object]
"""What a sum is of: cluster_id, set_id, resource, tres, weights, since and until (on whole hours)."""


def hourly_sums(store: Store, scope: Scope) -> list[SqlRow]:
    """(hour, beneficiary, delivered, waiting) of the scope, in no order. Ask inside one snapshot."""
    unknown = _unknown(store, scope)
    found = [] if unknown == [scope] else store.all("hourly_sums", **scope)
    for part in unknown:
        found += store.all("usage_by_hour", **part)
    return found


def keep_sums(store: Store, scope: Scope) -> None:
    """Have the sums of the scope known, unless a subject has no answer yet. Not inside a transaction."""
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
    """Have the newest hours known that are not, at most ``AT_ONCE`` of them. Not inside a transaction."""
    unknown = _unknown(store, scope)
    if unknown:
        since, until = unknown[-1]["since"], unknown[-1]["until"]
        keep_sums(store, {**scope, "since": max(since, until - AT_ONCE), "until": until})


def compared(store: Store, scope: Scope) -> Compared:
    """The sums that are kept of the scope beside what is added up now. Not inside a transaction."""
    with store.snapshot():
        unknown = [range(part["since"], part["until"]) for part in _unknown(store, scope)]
        kept = {row[:2]: row[2:] for row in store.all("hourly_sums", **scope)}
        found = {row[:2]: row[2:] for row in store.all("usage_by_hour", **scope)}
    keys = kept.keys() | {key for key in found if not any(key[0] in part for part in unknown)}
    differing = [hour for hour, whom in keys if kept.get((hour, whom)) != found.get((hour, whom))]
    return Compared(len(keys), len(differing), min(differing, default=None))


def _unknown(store: Store, scope: Scope) -> list[dict[str, Any]]:
    """The scope, cut down to each interval of hours whose sums are not known."""
    parts = store.all("hours_not_summed", **scope)
    return [{**scope, "since": since, "until": until} for since, until in parts]
