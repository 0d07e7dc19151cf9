"""Joint promises as the daemon shows them: measured once for all clusters, and never out of date."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme.joint import JointWeight
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.daemon import _measure_joint
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.loop import Loop
from slurm_ai_factory.monitor.board import Board
from slurm_ai_factory.monitor.joint import JointBoard, JointShown
from slurm_ai_factory.monitor.metrics import JOINT, BoardCollector, Exposition
from tests.conftest import new_ledger
from tests.monitor import examples
from tests.monitor.examples import NOW
from tests.monitor.life import Life, configuration, jointly, living
from tests.monitor.model import DAY, GPUS, START
from tests.monitor.prometheus import promtool, unavailable

HOUR = 3600
MISSING = JointShown("both", None, error="joint promise both counts cluster d, which is not there")


def joint_board(*shown: JointShown, boards: tuple[Board, ...] = (), now: int = NOW) -> JointBoard:
    """Joint promises as measured, beside a cluster that is well."""
    made = JointBoard(boards or (examples.complete(),), lambda: now)
    made.show(shown)
    return made


def samples(joint: JointBoard) -> dict[str, float]:
    """Every sample of a joint promise as ``name{label values}``."""
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in BoardCollector(*joint.boards, joint=joint).collect()
        for sample in family.samples
        if sample.name.startswith("saf_joint")
    }


def test_each_joint_promise_has_its_share_floor_verdict_and_forecast() -> None:
    found = samples(joint_board(examples.JOINT))
    of = "both,2027Q1"
    charge = 30 * DAY * 100
    assert found == {
        "saf_joint_measured{both}": 1,
        f"saf_joint_share_ratio{{{of}}}": pytest.approx(0.2),
        f"saf_joint_target_ratio{{{of}}}": 0.25,
        f"saf_joint_at_risk{{{of}}}": 1,
        f"saf_joint_charge_resource_seconds{{{of},mine}}": 0.2 * charge,
        f"saf_joint_charge_resource_seconds{{{of},all}}": charge,
        f"saf_joint_required_share_ratio{{{of}}}": pytest.approx((0.26 * 90 - 6) / 60),
        f"saf_joint_forecast_share_ratio{{{of}}}": pytest.approx(0.2),
        f"saf_joint_recent_share_ratio{{{of}}}": pytest.approx(0.2),
        f"saf_joint_unread_seconds{{{of}}}": 0,
        f"saf_joint_watermark_timestamp_seconds{{{of}}}": NOW,
        f"saf_joint_verdict{{{of},open}}": 1,
        f"saf_joint_verdict{{{of},met}}": 0,
        f"saf_joint_verdict{{{of},missed_demand}}": 0,
        f"saf_joint_verdict{{{of},missed_starved}}": 0,
    }


def test_one_that_was_not_measured_has_no_figure_and_says_so() -> None:
    assert samples(joint_board(MISSING)) == {"saf_joint_measured{both}": 0}
    beside = samples(joint_board(MISSING, examples.JOINT._replace(name="all")))
    assert [beside[f"saf_joint_measured{{{name}}}"] for name in ("both", "all")] == [0, 1]
    assert samples(joint_board()) == {}, "no joint promise holds"


@pytest.mark.parametrize(
    ("late", "boards", "measured"),
    [
        (1800, (examples.complete(),), {1}),
        (1801, (examples.complete(),), {0}),
        (0, (examples.failed(), examples.complete()), {1}),
        (0, (examples.standby(), examples.complete()), {1}),
        (0, (examples.failed(), examples.standby()), set()),
        (0, (examples.overdue(),), set()),
        (0, (Board("c"),), set()),
    ],
    ids=["just ready", "late", "one of two", "another has one", "none", "hangs", "fresh"],
)
def test_what_is_out_of_date_is_left_out(late: int, boards: tuple[Board, ...], measured: set[int]) -> None:
    """One cluster's failure holds the instant back up to which all were read; after ready_after it counts."""
    found = samples(joint_board(examples.JOINT, boards=boards, now=NOW + late))
    assert {int(value) for name, value in found.items() if "measured" in name} == measured
    assert any("share" in name for name in found) == (measured == {1})


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_they_are_measured_for_all_and_no_cluster_is_waited_for_forever(ended: list[str]) -> None:
    """After each cluster ended a cycle, or one ended two: never twice for one beat of all."""
    boards = {name: Board(name) for name in "abc"}
    joint = JointBoard(list(boards.values()), lambda: NOW)
    since = ""
    for number, name in enumerate(ended):
        boards[name].fail("standby" if number % 2 else "failed", "no")
        since += name
        due = set(since) == set("abc") or since.count(name) > 1
        assert joint.claim() == due
        if due:
            since = ""
            joint.show(())


def test_two_loops_never_measure_at_the_same_time() -> None:
    board = Board("a")
    joint = JointBoard([board], lambda: NOW)
    board.fail("failed", "no")
    assert joint.claim()
    board.fail("failed", "no")
    assert not joint.claim()
    joint.show(())
    assert joint.claim()


def test_a_new_reason_is_news_once() -> None:
    joint = JointBoard([examples.complete()], lambda: NOW)
    assert joint.show([MISSING]) == [MISSING]
    assert joint.show([MISSING]) == []
    other = MISSING._replace(error="the ledger is away")
    assert joint.show([other]) == [other]
    assert joint.show([examples.JOINT]) == []
    assert joint.show([other]) == [other]


def test_a_scrape_shows_each_measurement() -> None:
    board = examples.complete()
    joint = JointBoard([board], lambda: NOW)
    exposition = Exposition(board, joint=joint)
    assert b"saf_joint" not in exposition.text("")[1]
    joint.show([examples.JOINT])
    exposition.renew()
    assert b'saf_joint_share_ratio{promise="both",window="2027Q1"}' in exposition.text("")[1]
    joint.show([])
    assert b"saf_joint" not in exposition.text("")[1]


def test_promtool_finds_nothing() -> None:
    if reason := unavailable():
        pytest.skip(reason)
    joint = joint_board(MISSING, examples.JOINT._replace(name="all"))
    _, text = Exposition(*joint.boards, joint=joint).text("text/plain;version=0.0.4")
    done = promtool("check", "metrics", stdin=text.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Two:
    """Two clusters on the model in one ledger, each with its loop, as a daemon has them."""

    def __init__(self, lives: dict[str, Life]) -> None:
        self.lives = lives
        self.loops = {
            name: Loop(life.site.config, cast("Any", None), life.site.clock, time.monotonic)
            for name, life in lives.items()
        }
        for name, life in lives.items():
            self.loops[name].board = life.board
        self.board = JointBoard(
            [life.board for life in lives.values()], lambda: max(life.model.now for life in lives.values())
        )
        self.hook = partial(_measure_joint, self.board, self.loops)

    def beat(self, name: str, seconds: int = 6 * HOUR) -> None:
        """A cycle of one cluster, and what is done beside it."""
        self.lives[name].beat(seconds)
        self.loops[name].joint = self.hook
        self.loops[name]._afterwards(self.lives[name].site)

    def record(self, name: str, *weights: tuple[str, str]) -> None:
        """A joint promise that began with the model's time, and what each cluster counts in it."""
        book = self.lives["gpu"].site.ledger.joint
        assert book.record(jointly(configuration(), name)) == ()
        for cluster, unit in weights:
            row = JointWeight(name, cluster, START, Resource.parse(unit), "a", "b", "ann@host", START + DAY)
            assert book.weigh(row) == ()


@pytest.fixture
def two(postgresql: str) -> Iterator[Two]:
    with new_ledger(postgresql) as url, named(url, "gpu") as gpu, named(url, "cpu") as cpu:
        yield Two({"gpu": gpu, "cpu": cpu})


@contextmanager
def named(url: str, name: str) -> Iterator[Life]:
    config = configuration()
    with living(url, time.perf_counter, replace(config, cluster=replace(config.cluster, name=name))) as life:
        yield life


def test_one_loop_measures_for_all_and_it_is_the_sum_of_both(two: Two) -> None:
    two.lives["cpu"].model.busy = 0.5
    for name in ("gpu", "cpu", "gpu", "cpu"):
        two.beat(name, 2 * DAY)
    two.record("both", ("gpu", "gres/gpu"), ("cpu", "2*node"))
    measured = [two.board.version]
    for name in ("gpu", "cpu", "gpu", "cpu"):
        two.beat(name)
        measured.append(two.board.version)
    assert [after - measured[0] for after in measured] == [0, 0, 1, 1, 2], "once for both, not for each"
    (each,) = two.board.current()
    assert each.measured
    m = each.measured[0]
    shown = {name: life.board.shown for name, life in two.lives.items()}
    assert shown["gpu"]
    assert shown["cpu"]
    assert m.as_of == shown["gpu"].measurement.as_of == shown["cpu"].measurement.as_of
    gpu, cpu, weight = shown["gpu"].measurement, shown["cpu"].measurement, Fraction(2, GPUS)
    assert m.total_charge == Fraction(gpu.total_charge) + weight * Fraction(cpu.total_charge)
    assert m.regional_charge == Fraction(gpu.regional_charge) + weight * Fraction(cpu.regional_charge)


def test_one_cluster_with_weight_1_has_the_metrics_of_its_own_promise(two: Two) -> None:
    for name in ("gpu", "cpu"):
        two.beat(name, 5 * DAY)
    two.record("alone", ("gpu", "gres/gpu"))
    for name in ("cpu", "gpu"):
        two.beat(name, 7 * DAY)
    every = {
        (sample.name, *(sample.labels.get(key, "") for key in ("cluster", "promise", "part", "verdict"))):
        sample.value
        for family in BoardCollector(*two.board.boards, joint=two.board).collect()
        for sample in family.samples
    }  # fmt: skip
    own = {
        "share_ratio": "saf_promise_share_ratio", "target_ratio": "saf_promise_target_ratio",
        "at_risk": "saf_promise_at_risk", "charge_resource_seconds": "saf_promise_charge_resource_seconds",
        "required_share_ratio": "saf_required_share_ratio",
        "forecast_share_ratio": "saf_forecast_share_ratio", "recent_share_ratio": "saf_recent_share_ratio",
        "unread_seconds": "saf_unread_seconds",
        "watermark_timestamp_seconds": "saf_watermark_timestamp_seconds",
        "verdict": "saf_promise_verdict", "measured": "",
    }  # fmt: skip
    assert {f"saf_joint_{key}" for key in own} == {name for name, *_ in JOINT} | {
        "saf_joint_verdict", "saf_joint_measured"
    }  # fmt: skip
    found = {key: value for key, value in every.items() if key[0].startswith("saf_joint")}
    assert found.pop(("saf_joint_measured", "", "alone", "", "")) == 1
    for (name, _, _, part, verdict), value in found.items():
        theirs = own[name.removeprefix("saf_joint_")]
        promise = "region" if theirs.startswith("saf_promise_") else ""
        assert every[theirs, "gpu", promise, part, verdict] == value, name
    assert len(found) >= 14, "the share is below the floor at the end of the second week"


def test_what_keeps_it_from_being_measured_is_logged_once_and_ends_no_cycle(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("gpu", "cpu"):
        two.beat(name, DAY)
    two.record("both", ("gpu", "gres/gpu"), ("cpu", "node"))
    two.record("alone", ("gpu", "gres/gpu"))
    for name in ("gpu", "cpu"):
        two.beat(name)
    assert samples(two.board)["saf_joint_measured{both}"] == 1
    gone = two.loops.pop("cpu")
    for _ in range(3):
        two.lives["cpu"].beat(6 * HOUR)
        two.beat("gpu")
    found = samples(two.board)
    assert {name: value for name, value in found.items() if "{both" in name} == {
        "saf_joint_measured{both}": 0
    }
    assert found["saf_joint_measured{alone}"] == 1
    said = [one for one in caplog.messages if "joint promise both was not measured" in one]
    assert len(said) == 1
    assert "counts cluster cpu, and this process knows gpu only" in said[0]
    two.loops["cpu"] = gone
    for name in ("gpu", "cpu"):
        two.beat(name)
    assert samples(two.board)["saf_joint_measured{both}"] == 1


def test_a_ledger_that_is_away_leaves_no_old_figure(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("gpu", "cpu"):
        two.beat(name, DAY)
    two.record("both", ("gpu", "gres/gpu"), ("cpu", "node"))
    for name in ("gpu", "cpu"):
        two.beat(name)
    assert samples(two.board)

    class Away:
        """A book whose ledger went away beside the cycle."""

        def holding(self, _moment: int) -> None:
            raise LedgerError("the ledger is away")

    life = two.lives["cpu"]
    two.beat("gpu")
    life.beat(6 * HOUR)
    with caplog.at_level(logging.WARNING):
        away = replace(life.site, ledger=replace(life.site.ledger, joint=cast("Any", Away())))
        two.loops["cpu"]._afterwards(away)
    assert "the joint promises were not measured: the ledger is away" in caplog.messages
    assert samples(two.board) == {}
    for name in ("gpu", "cpu"):
        two.beat(name)
    assert samples(two.board)["saf_joint_measured{both}"] == 1
