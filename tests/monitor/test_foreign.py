"""Two writers of one row through whole cycles and a real ledger: what saf remembers of them."""

from __future__ import annotations

import time
from dataclasses import replace

from slurm_ai_factory.core.control.foreign import REASSERTIONS_MOST
from slurm_ai_factory.core.records import DAY, HOUR, Change, ChangeStatus, Decision, Pause
from slurm_ai_factory.steps.applying import write_seconds
from tests.monitor.life import Life, configuration, living
from tests.monitor.test_release import _steered

THEIRS = 20


def test_an_interrupted_write_is_no_change_by_another_user(ledger_url: str) -> None:
    with living(ledger_url, time.monotonic, configuration('on_foreign_change = "yield"')) as life:
        ours, control = _steered(life), life.site.ledger.control
        change = Change(cluster="c", account="regional", raw_shares_before=ours, raw_shares_after=ours + 9)
        decision = Decision(at=life.model.now, reason="raise", sentence="", inputs={}, changes=(change,))
        control.record(decision, "enforce", "saf", ChangeStatus.PLANNED)
        life.model.raw_shares["regional"] = ours + 9
        waits: list[float] = []
        life.site = replace(life.site, wait=waits.append)
        assert after(life).reason != "foreign_change"
        assert waits[:1] == [write_seconds(life.site)], "whoever planned it may be writing still"
        assert control.foreign_changes(1) == []


def after(life: Life, seconds: int = HOUR) -> Decision:
    """The decision of the next cycle."""
    life.beat(seconds)
    assert life.board.shown
    return life.board.shown.decision


def test_a_tug_of_war_ends_and_then_an_operator_decides(ledger_url: str) -> None:
    with living(ledger_url, time.monotonic, configuration('on_foreign_change = "reassert"')) as life:
        _steered(life)
        for _ in range(REASSERTIONS_MOST):
            life.model.raw_shares["regional"] = THEIRS
            assert "the next cycle writes saf's own value back" in after(life).sentence
            assert life.model.raw_shares["regional"] == THEIRS
            assert after(life).reason == "reassert"
            assert life.model.raw_shares["regional"] > THEIRS
        life.model.raw_shares["regional"] = THEIRS
        for seconds in (HOUR, HOUR, DAY, DAY):
            decision = after(life, seconds)
            assert decision.reason == "foreign_change"
            assert f"wrote its own value back {REASSERTIONS_MOST} times within a day" in decision.sentence
            assert "by whom is not recorded" in decision.sentence, "the model has no log"
        assert life.model.raw_shares["regional"] == THEIRS
        control = life.site.ledger.control
        seen = control.foreign_changes(100)
        assert len(seen) == REASSERTIONS_MOST + 1, "each change is one row, in however many cycles it is seen"
        assert not any(change.accepted for change in seen)
        control.say_pause(Pause(life.model.now, life.model.now, "jan", ""))
        assert after(life).reason in ("raise", "follow")
        assert life.model.raw_shares["regional"] > THEIRS
        life.model.raw_shares["regional"] = THEIRS
        assert after(life).reason == "foreign_change", "what was accepted is not what comes later"
