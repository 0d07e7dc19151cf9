"""Asks a Prometheus for the values of a query over an interval. Tested in tests/cli/test_meter.py."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from slurm_ai_factory.core.energy.samples import Series
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import MeterError

ADDRESS = re.compile(r"https?://[^@\s?#]+")
"""Without a user's name or password, which would be recorded with the readings."""
MOST_POINTS = 10_000
"""In one question; Prometheus answers at most 11,000 a series."""
MOST_BYTES = 256 * 2**20
"""Of one answer."""


def ask_series(
    url: str, query: str, name: str, since: Instant, until: Instant, step: int, timeout: float
) -> list[Series]:
    """The samples of every series of a query at since, since + step, ... up to ``until``, by meter.

    Prometheus repeats the last value of a series for some minutes: a value that is a step old or older was
    not measured again, and is left out. ``name`` makes the name of a meter from the labels of its series:
    ``{Hostname}/{gpu}``. Raises MeterError.
    """
    if not ADDRESS.fullmatch(url):
        raise MeterError(f"{url} is not the address of a Prometheus, such as http://localhost:9090")
    samples: dict[str, list[tuple[Instant, str]]] = {}
    for first in range(since, until + 1, MOST_POINTS * step):
        span = first, min(until, first + (MOST_POINTS - 1) * step), step
        measured = dict(_answer(url, f"timestamp({query})", name, span, timeout))
        for meter, values in _answer(url, query, name, span, timeout):
            of = {at: float(text) for at, text in measured.get(meter, ())}
            new = [(at, text) for at, text in values if at - of.get(at, 0) < step]
            samples.setdefault(meter, []).extend(new)
    return [Series(meter, samples[meter]) for meter in sorted(samples)]


def _named(url: str, name: str, labels: Mapping[str, str]) -> str:
    try:
        return name.format_map(labels)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        there = ", ".join(sorted(labels)) or "no labels"
        raise MeterError(f"--meter {name!r} does not fit the series at {url}: they have {there}") from error


def _answer(
    url: str, query: str, name: str, span: tuple[Instant, Instant, int], timeout: float
) -> list[tuple[str, list[tuple[Instant, str]]]]:
    """(meter, its values) of every series of a query."""
    start, end, step = span
    asked = urlencode({"query": query, "start": start, "end": end, "step": step})
    try:
        where = f"{url.rstrip('/')}/api/v1/query_range?{asked}"
        with urlopen(where, timeout=timeout) as answer:  # noqa: S310 - ADDRESS allows http and https only
            body = answer.read(MOST_BYTES + 1)
    except HTTPError as error:
        raise MeterError(f"Prometheus at {url} refused the query: {_why(error)}") from error
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)  # of urllib; an OSError in another has its number in front
        why = getattr(reason, "strerror", None) or reason
        raise MeterError(f"Prometheus at {url} does not answer: {why}; check --prometheus") from error
    if len(body) > MOST_BYTES:
        raise MeterError(f"Prometheus at {url} answered more than {MOST_BYTES >> 20} MiB; ask for less")
    try:
        rows = [
            (_named(url, name, row["metric"]), [(round(at), str(text)) for at, text in row["values"]])
            for row in json.loads(body)["data"]["result"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MeterError(f"{url} does not answer as a Prometheus does; check --prometheus") from error
    if twice := [meter for meter, times in Counter(meter for meter, _ in rows).items() if times > 1]:
        raise MeterError(
            f"the query has two series for meter {twice[0]}; name them apart with --meter, or add them up"
        )
    return rows


def _why(error: HTTPError) -> Any:
    try:
        return json.loads(error.read(2**16))["error"]
    except (KeyError, TypeError, ValueError, OSError):
        return error
