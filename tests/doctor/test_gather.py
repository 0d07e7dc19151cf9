"""The reads that only some checks need go side by side, and each ends or fails by itself."""

from __future__ import annotations

from threading import Barrier, Event

import pytest

from slurm_ai_factory.doctor.gather import side_by_side
from slurm_ai_factory.errors import SlurmError

DEADLINE = 30


def test_every_read_goes_beside_the_others() -> None:
    together = Barrier(14)
    facts, unread = side_by_side({str(n): lambda: together.wait(timeout=DEADLINE) for n in range(14)})
    assert sorted(facts.values()) == list(range(14))
    assert unread == {}


def test_a_read_that_hangs_or_fails_takes_no_other_with_it() -> None:
    others = Event()

    def hangs() -> None:
        assert others.wait(timeout=DEADLINE), "the others wait for this one"
        raise SlurmError("no complete answer within 60 s")

    def refused() -> None:
        raise SlurmError("sacctmgr failed")

    def answers() -> int:
        others.set()
        return 3

    facts, unread = side_by_side({"first": hangs, "second": refused, "third": answers})
    assert facts == {"first": None, "second": None, "third": 3}
    assert unread == {"first": "no complete answer within 60 s", "second": "sacctmgr failed"}


def test_a_defect_is_no_read_that_failed() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side({"one": lambda: 1 / 0, "other": lambda: 1})
