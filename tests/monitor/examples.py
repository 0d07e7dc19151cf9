"""Boards in the states that a daemon can be in, made of values alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.core.control.lever import Reach
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import HOUR, Bound, Decision, Further, Hour, Measurement, Window
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.monitor.board import Board, Done, Shown, Steered
from slurm_ai_factory.monitor.joint import JointShown

DAY = 24 * HOUR
SINCE = 1798758000
"""2027-01-01 in Amsterdam."""
NOW = SINCE + 30 * DAY
WINDOW = Window("2027Q1", SINCE, SINCE + 90 * DAY)


def measurement(
    share: float = 0.3, days: int = 30, *, others_waiting: float = 0.0, **changes: Any
) -> Measurement:
    """So many days of a quarter on a machine of 100 GPUs, all of them busy, this part for the region.

    ``others_waiting``: of the machine, in each hour.
    """
    busy = 100.0 * HOUR
    hours = tuple(
        Hour(SINCE + n * HOUR, share * busy, busy, 0.0, busy, 0.0, others_waiting * busy)
        for n in range(days * 24)
    )
    total = days * DAY * 100
    values: dict[str, Any] = {
        "cluster": "c", "window": WINDOW, "as_of": SINCE + days * DAY, "resource": Resource({"gres/gpu": 1}),
        "target_share": 0.25, "regional_charge": round(share * total), "total_charge": total,
        "unclassified_charge": 0, "capacity": total, "waiting_charge": 0, "starved_charge": 0.0,
        "regional_running": 30, "regional_pending": 10, "newest_record_at": SINCE + days * DAY,
        "hours": hours,
    }  # fmt: skip
    return Measurement(**values | changes)


FURTHER = (
    Further(measurement(0.6, promise="care", share_of="promise:region", target_share=0.5), 0.01),
    Further(
        measurement(0.23, others_waiting=1.0, promise="industry", bound=Bound.CAP, target_share=0.2), 0.0
    ),
)
"""A floor that is part of the first promise and above it, and a cap that is exceeded while others wait."""


JOINT = JointShown(
    "both",
    Further(measurement(0.2, promise="both", cluster="gpu,cpu", resource_label="unit"), 0.01),
    ZoneInfo("Europe/Amsterdam"),
)
"""A promise over two clusters, below its floor."""


def shown(**changes: Any) -> Shown:
    """A complete cycle in which all is well."""
    decision = Decision(
        at=NOW, reason="at_set_point", sentence="no change: the shares are already as wanted",
        inputs={"usage_share": 0.3, "share_wanted": 0.28, "share": 0.27},
    )  # fmt: skip
    groups = [
        Group(("research",), Beneficiary.NON_REGIONAL, 70 * DAY),
        Group(("business",), Beneficiary.REGIONAL, 30 * DAY),
    ]  # fmt: skip
    values: dict[str, Any] = {
        "at": NOW, "mode": "enforce", "seconds": 0.2, "phases": {"read": 0.1, "measure": 0.1},
        "measurement": measurement(), "margin": 0.01, "groups": {"category": groups, "sector": groups},
        "reach": Reach(30, 0, 0), "decision": decision,
        "reason_since": NOW - DAY, "steered": (Steered("regional", 37, 37),),
        "weight_fairshare": 100000,
        "history": [Done(NOW - DAY, "regional", 33, 37, "applied", "raise")], "statuses": (), "unreadable": 0,
        "unknown_states": 0, "unknown_accounts": (), "runs": 20, "changed": 3, "period": 300,
        "stale_after": 1800, "zone": ZoneInfo("Europe/Amsterdam"),
    }  # fmt: skip
    return Shown(**values | changes)


def complete(**changes: Any) -> Board:
    """After a complete cycle."""
    board = Board("c")
    board.complete(shown(**changes))
    return board


def held(reason: str) -> Board:
    """After a cycle that holds."""
    decision = replace(shown().decision, reason=reason, sentence=f"hold: {reason}", inputs={})
    return complete(decision=decision)


def failed(cause: str = "slurm", *, before: bool = True) -> Board:
    """After a cycle that failed, with or without a complete one before."""
    board = complete() if before else Board("c")
    board.fail("failed", "slurmdbd does not answer; see systemctl status slurmdbd", cause)
    return board


def overdue(*, before: bool = True) -> Board:
    """While a cycle hangs, with or without a complete one before."""
    board = complete() if before else Board("c")
    assert board.overdue(NOW + 300, board.version)
    return board


def standby() -> Board:
    """While another saf is active."""
    board = Board("c")
    board.fail("standby", "another saf is active for cluster c and this one stands by")
    return board
