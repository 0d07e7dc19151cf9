"""A cycle in one sentence, for the log and for `saf cycle`. Tested in tests/monitor/test_terms.py."""

from __future__ import annotations

from slurm_ai_factory import question
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.control.level import differing_shares, steered_rows
from slurm_ai_factory.core.measure import judgement
from slurm_ai_factory.core.words import count
from slurm_ai_factory.steps.applying import Outcome
from slurm_ai_factory.steps.keeping import Kept
from slurm_ai_factory.steps.values import CycleReport


def cycle_sentence(report: CycleReport) -> str:
    m = report.gathered.measurement
    part = "nothing delivered yet" if m.delivered_share is None else f"region {m.delivered_share:.1%}"
    done = ", ".join(_outcome(outcome, len(report.outcomes)) for outcome in report.outcomes)
    beside = "".join(f"; promise {decision.promise}: {decision.sentence}" for decision in report.beside)
    held = report.decision.sentence + beside
    others = (change.sentence for change in report.gathered.foreign.values())
    foreign = "".join(f"; {sentence}" for sentence in others if sentence not in held)
    return (
        f"{m.window.name}: {part} of {m.called}, promised {m.target_share:.0%}, {judgement.verdict(m)}; "
        f"{report.decision.sentence}{beside}{f' [{done}]' if done else ''}"
        f"{foreign}{grid_sentence(report.kept)}{_complaints(report)}"
    )


def grid_sentence(kept: Kept | None) -> str:
    """What was done about a limit, to follow other sentences; empty where nothing is to be said."""
    if kept is None or kept.keeping.reason == "no_limit":
        return ""
    did = f" [{kept.keeping.reason} {kept.outcome}{f': {kept.note}' if kept.note else ''}]"
    return f"; grid: {kept.keeping.sentence}{did if kept.outcome else ''}"


def _outcome(outcome: Outcome, rows: int) -> str:
    """The outcome of a change, by name where there are several."""
    name = f"{outcome.change.account} " if rows > 1 else ""
    return f"{name}{outcome.status}{f' ({outcome.note})' if outcome.note else ''}"


def _complaints(report: CycleReport) -> str:
    unknown = ", ".join(report.gathered.unknown_accounts)
    read = report.gathered.read
    words = report.gathered.signals.demand.unknown
    apart = lever.reach(question.by_detail(0, report.gathered.groups)).sentences
    differing = differing_shares(steered_rows(report.steered, report.gathered.associations))
    contradiction = report.gathered.contradiction
    complaints = (
        (contradiction, contradiction),
        ("; ".join(apart), apart),
        (f"slurmctld does not have slurmdbd's RawShares of {', '.join(differing)}", differing),
        (f"rules name unknown accounts: {unknown}", unknown),
        (f"{count(len(set(read.rejected)), 'line')} of sacct cannot be read", read.rejected),
        (f"jobs are in the queue for reasons that are not known: {', '.join(sorted(words))}", words),
        (f"runs counted in states that are not known: {', '.join(read.unknown_states)}", read.unknown_states),
    )
    return "".join(f"; {complaint}" for complaint, applies in complaints if applies)
