"""What is said of a measurement, in one sentence of a language: for page and terminal. Pure.

The rule: ``assess`` decides what is said; here it gets its words. Tested in tests/monitor/test_sentence.py.
"""

from __future__ import annotations

from slurm_ai_factory.core.measure.assessment import Assessment, assess
from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.records import HOUR, Measurement, Verdict
from slurm_ai_factory.language import Language


def promise_sentence(m: Measurement, margin: float, speech: Language) -> str:
    """The promise and its state, in one sentence."""
    known = assess(m, margin)
    promised, window = speech.plain_floor(m.target_share), speech.window(m.window.name)
    if m.ended:
        return f"{speech.text('live_now.ended', window=window)}."
    if m.delivered_share is None or known.floor_side is None:
        key = "live_now.unread" if m.unread_seconds else "live_now.nothing"
        return f"{speech.text(key, window=window, promised=promised)}."
    share = speech.plain_percent(m.delivered_share, m.target_share)
    state = speech.text(
        f"live_now.{known.floor_side}",
        share=share,
        what=resource_time(m, speech),
        window=window,
        promised=promised,
    )
    clause = _clause(m, known)
    if not clause:
        return f"{state}."
    required = "" if known.required_share is None else speech.plain_percent(known.required_share)
    hours = speech.plain(m.unread_seconds / HOUR)
    return f"{state}{speech.text(f'live_now.{clause}', required=required, hours=hours)}."


def _clause(m: Measurement, known: Assessment) -> str:
    """The key of what follows from the state; empty if nothing does."""
    if m.unread_seconds:
        return "never_read"
    if known.verdict is Verdict.MISSED_STARVED:
        return "starved"
    if known.verdict is Verdict.MISSED_DEMAND:
        return "demand"
    if known.verdict is Verdict.MET and not m.window.rolling:
        return "final"
    if known.required_share is None:
        return ""
    if known.required_share > 1:
        return "lost"
    if known.attainable is not False:
        return "needs" if known.attainable is None else "mend"
    return "beyond" if forecast_of(m).demand_rate else "idle"


def resource_time(m: Measurement, speech: Language) -> str:
    """The resource of the promise as a share is of it: GPU time, or the time of its label."""
    if m.resource_label:
        return speech.text("live_time.labelled", label=m.resource_label)
    return speech.word("live_time", resource_key(m))


def resource_hours(m: Measurement, speech: Language) -> str:
    """The unit of a charge: GPU hours, or the hours of its label."""
    if m.resource_label:
        return speech.text("live_time.labelled_hours", label=m.resource_label)
    key = resource_key(m)
    return speech.word("live_time", "weighted_hours") if key == "weighted" else speech.word("unit", key)


def resource_key(m: Measurement) -> str:
    """The key of the resource's words: its name, or ``weighted`` for a weighted sum."""
    return "weighted" if "*" in m.resource.name else m.resource.name
