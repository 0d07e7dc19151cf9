"""The rest of an hour: what ended runs have in it after the instant up to which everything is known.

Usage is kept by whole hours. A read that stops in the middle of one may tell of runs that ended later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.measure.share import SortedRun, counter
from slurm_ai_factory.core.records import Charge, Instant, Subject
from slurm_ai_factory.core.rules.classify import Classification


class Rest(NamedTuple):
    """What a part of an ended run has in an interval."""

    subject: Subject
    classification: Classification
    delivered: Charge
    waiting: Charge


def of_hour(
    runs: Iterable[SortedRun], weights: Mapping[str, tres.Count], since: Instant, until: Instant
) -> Iterator[Rest]:
    """What ended runs have in [since, until), which is the rest of an hour."""
    counts = counter(weights)
    for run, parts in runs:
        delivered = counts(run.alloc_tres) * _between(charge.delivered(run, until), since, until)
        wanted = counts(charge.wanted_tres(run)) * charge.waiting_tasks(run)
        waiting = wanted * _between(charge.waited(run, until), since, until)
        for part in parts:
            if part.since <= since < part.until and (delivered or waiting):
                found = part.classification
                yield Rest(run.subject, found, delivered * part.fraction, waiting * part.fraction)


def _between(span: tuple[Instant, Instant, int], since: Instant, until: Instant) -> int:
    return charge.spread(*span, until) - charge.spread(*span, since)
