"""One line for Nagios and Icinga: a state, why, and performance data. Pure.

The rules are those of https://www.monitoring-plugins.org/doc/guidelines.html: exit code 0, 1, 2 or 3;
one line; what follows ``|`` is for graphs. Tested in tests/monitor/test_nagios.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from slurm_ai_factory.core.escaped import for_terminal
from slurm_ai_factory.core.measure.assessment import Assessment, assess
from slurm_ai_factory.core.measure.judgement import GROUNDS
from slurm_ai_factory.core.records import Further, Instant, Measurement, Verdict
from slurm_ai_factory.language import NBSP, Language
from slurm_ai_factory.monitor.sentence import promise_sentence


class ServiceState(IntEnum):
    """A state of a service; its value is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3  #: the check itself could not be made


class ServiceCheck(NamedTuple):
    """The state of a service, why, and performance data."""

    state: ServiceState
    text: str
    performance: str = ""


WORST = (ServiceState.OK, ServiceState.WARNING, ServiceState.UNKNOWN, ServiceState.CRITICAL)
"""The state of several services together is the last of theirs. What could not be read may be critical: a
warning that lasts would keep a monitor from reporting it."""


def service_line(check: ServiceCheck) -> str:
    """The line that the plugin prints; ``|`` and line ends would end its text."""
    plain = for_terminal(check.text.replace("|", "/").replace(NBSP, " ").removesuffix("."))
    return f"SAF {check.state.name} - {plain}" + (f" | {check.performance}" if check.performance else "")


def checked_together(checks: Mapping[str, ServiceCheck]) -> ServiceCheck:
    """The checks of several clusters as one, the worst first, with the cluster before texts and labels.

    >>> ok, away = ServiceCheck(ServiceState.OK, "fine.", "age=1s"), ServiceCheck(ServiceState.UNKNOWN, "no.")
    >>> service_line(checked_together({"gpu": ok, "cpu": away}))
    'SAF UNKNOWN - cpu: UNKNOWN, no; gpu: OK, fine | gpu.age=1s'
    >>> late = ServiceCheck(ServiceState.WARNING, "late.")
    >>> service_line(checked_together({"gpu": late, "cpu": away}))
    'SAF UNKNOWN - cpu: UNKNOWN, no; gpu: WARNING, late'
    """
    ordered = sorted(checks.items(), key=lambda check: WORST.index(check[1].state), reverse=True)
    return ServiceCheck(
        ordered[0][1].state,
        "; ".join(f"{name}: {check.state.name}, {check.text.removesuffix('.')}" for name, check in ordered),
        " ".join(f"{name}.{label}" for name, check in checks.items() for label in check.performance.split()),
    )


def service_check(
    promises: Sequence[Further], holds: Sequence[Mapping[str, Any]], speech: Language
) -> tuple[ServiceState, str]:
    """The state of the promises, the first one first, and of the control, and the sentences why."""
    (m, margin), *further = promises
    problems = [*_of_promise(assess(m, margin)), *_of_further(further, speech), *_of_holds(holds, speech)]
    state = max((state for state, _ in problems), default=ServiceState.OK)
    reasons = [text for _, text in sorted(problems, reverse=True) if text]
    return state, "; ".join([promise_sentence(m, margin, speech).removesuffix("."), *reasons])


def _of_promise(known: Assessment) -> Iterator[tuple[ServiceState, str]]:
    """What is wrong with the share; without words where the sentence of the promise has them."""
    if known.below:
        urgent = known.at_risk and known.verdict is not Verdict.MISSED_DEMAND  # without jobs there is no cure
        yield ServiceState.CRITICAL if urgent else ServiceState.WARNING, ""
    if known.reason == "unread":
        yield ServiceState.WARNING, ""
    if known.reason == "unclassified":
        yield ServiceState.WARNING, GROUNDS[known.reason]


def _of_further(further: Iterable[Further], speech: Language) -> Iterator[tuple[ServiceState, str]]:
    """The further promises at risk."""
    for m, margin in further:
        known = assess(m, margin)
        if known.at_risk:
            share = speech.plain_percent(m.delivered_share or 0.0, m.target_share)
            promised = speech.promised(m.bound, m.target_share)
            yield ServiceState.WARNING, f"promise {m.promise} is at risk: {share}, promised {promised}"


def _of_holds(holds: Sequence[Mapping[str, Any]], speech: Language) -> Iterator[tuple[ServiceState, str]]:
    for hold in holds:
        reason, since = hold["reason"], hold["since"]
        if reason == "stale":
            yield ServiceState.CRITICAL, f"no complete read since {since}; see whether the daemon runs"
        elif reason == "write_failed":
            yield ServiceState.WARNING, f"the change of RawShares at {since} did not take effect"
        else:
            yield ServiceState.WARNING, f"on hold since {since}: {speech.word('live_why', reason)}"


def performance_data(m: Measurement, margin: float, now: Instant, stale_after: int) -> str:
    """The figures of the check, ``label=value;warning;critical;minimum;maximum``; none that is not known."""
    limit = "" if m.unclassified_limit is None else f"{100 * m.unclassified_limit:g}"
    shares = (
        ("share", m.delivered_share, f"{100 * m.target_share:g}:;;0;100"),
        ("required", assess(m, margin).required_share, ";;0;"),
        ("unclassified", m.unclassified_share, f"{limit};;0;100"),
    )
    known = [f"{label}={100 * value:.4f}%;{rest}" for label, value, rest in shares if value is not None]
    return " ".join([*known, f"age={max(0, now - m.as_of)}s;;{stale_after};0;"])
