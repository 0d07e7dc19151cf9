"""What a scrape gets in each state a daemon can be in: gaps and holds after a failure, never a zero."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.measure.tally import Tallied, Tally
from slurm_ai_factory.core.records import FLOOR_VERDICTS, HOUR, Change, Further, LeverKind
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.monitor import page
from slurm_ai_factory.monitor.board import CAUSES, Board, Durations, Metered, Reconciled, Steered
from slurm_ai_factory.monitor.metrics import MOST_GROUPS, BoardCollector, Exposition
from tests.conftest import new_ledger
from tests.monitor import examples
from tests.monitor.life import OPENMETRICS, living
from tests.monitor.prometheus import promtool, unavailable

BOUNDED = {
    "account", "beneficiary", "bound", "category", "cause", "cluster", "kind", "le", "mode", "name",
    "outcome", "part", "phase", "promise", "quality", "reason", "resource", "sector", "share_of", "status",
    "verdict", "version", "window",
}  # fmt: skip
STATES = {
    "fresh": Board("c"),
    "complete": examples.complete(),
    "promised": examples.complete(further=examples.FURTHER),
    "held": examples.held("no_account"),
    "failed": examples.failed(),
    "failed at first": examples.failed(before=False),
    "standby": examples.standby(),
    "overdue": examples.overdue(),
}


def samples(board: Board) -> dict[str, float]:
    """Every sample as ``name{label values}``."""
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in BoardCollector(board).collect()
        for sample in family.samples
    }


def names(board: Board) -> set[str]:
    return {sample.partition("{")[0] for sample in samples(board)}


@pytest.mark.parametrize("state", ["fresh", "failed", "failed at first", "standby", "overdue"])
def test_without_a_complete_cycle_there_is_no_measurement(state: str) -> None:
    shown = names(STATES[state])
    assert not {name for name in shown if "share" in name or "resource_seconds" in name or "verdict" in name}
    assert {"saf_cycles_total", "saf_hold", "saf_failure", "saf_decisions_total"} <= shown


def test_a_failure_is_a_hold_with_a_cause_and_the_last_read_stays_known() -> None:
    found = samples(examples.failed("ledger"))
    assert found["saf_hold{c,read_failed}"] == 1
    assert found["saf_failure{c,ledger}"] == 1
    assert found["saf_failure{c,slurm}"] == 0
    assert found["saf_last_read_timestamp_seconds{c}"] == examples.NOW
    assert found["saf_cycles_total{c,failed}"] == 1


def test_a_cycle_that_hangs_is_a_hold_until_it_ends() -> None:
    board = examples.overdue()
    found = samples(board)
    assert found["saf_hold{c,read_failed}"] == 1
    assert found["saf_overdue_since_timestamp_seconds{c}"] == examples.NOW + 300
    for ended in (examples.shown, None):
        board = examples.overdue()
        if ended:
            board.complete(ended())
        else:
            board.fail("failed", "no", "slurm")
        assert "saf_overdue_since_timestamp_seconds" not in names(board)


def test_a_cycle_that_has_just_ended_is_not_called_overdue() -> None:
    board = examples.complete()
    version = board.version
    board.complete(examples.shown())
    assert not board.overdue(examples.NOW, version)
    assert board.overdue(examples.NOW, board.version)
    assert not board.overdue(examples.NOW, board.version), "it is told once"


def test_standing_by_is_no_failure() -> None:
    found = samples(examples.standby())
    assert found["saf_hold{c,standby}"] == 1
    assert [value for name, value in found.items() if name.startswith("saf_failure")] == [0] * len(CAUSES)


@pytest.mark.parametrize("reason", sorted(HOLDS - {"read_failed", "standby"}))
def test_a_hold_is_the_only_one(reason: str) -> None:
    holds = {name: value for name, value in samples(examples.held(reason)).items() if "saf_hold" in name}
    assert [name for name, value in holds.items() if value] == [f"saf_hold{{c,{reason}}}"]


def test_one_verdict_and_one_mode_are_in_force() -> None:
    found = samples(examples.complete())
    for family in ("saf_verdict", "saf_mode"):
        assert sum(value for name, value in found.items() if name.startswith(f"{family}{{")) == 1
    assert found["saf_mode{c,enforce}"] == 1


def test_each_promise_has_its_series_and_the_verdicts_of_its_bound() -> None:
    found = samples(examples.complete(further=examples.FURTHER))
    cap, floor, first = (
        f"c,{name},2027Q1,gres/gpu"
        for name in ("industry,cap,delivered", "care,floor,promise:region", "region,floor,delivered")
    )
    assert {name: value for name, value in found.items() if cap in name} == {
        f"saf_promise_share_ratio{{{cap}}}": pytest.approx(0.23),
        f"saf_promise_target_ratio{{{cap}}}": 0.2,
        f"saf_promise_at_risk{{{cap}}}": 1,
        f"saf_promise_charge_resource_seconds{{{cap},mine}}": 0.23 * 30 * examples.DAY * 100,
        f"saf_promise_charge_resource_seconds{{{cap},all}}": 30 * examples.DAY * 100,
        f"saf_promise_verdict{{{cap},kept}}": 0,
        f"saf_promise_verdict{{{cap},exceeded_idle}}": 0,
        f"saf_promise_verdict{{{cap},exceeded}}": 0,
        f"saf_promise_verdict{{{cap},open}}": 1,
    }
    assert found[f"saf_promise_share_ratio{{{floor}}}"] == pytest.approx(0.6)
    assert found[f"saf_promise_share_ratio{{{first}}}"] == pytest.approx(0.3)
    for promise in (floor, first):
        verdicts = [name for name in found if name.startswith(f"saf_promise_verdict{{{promise}")]
        assert [name.rpartition(",")[2] for name in verdicts] == [f"{v}}}" for v in FLOOR_VERDICTS]


def test_further_promises_change_no_series_of_the_first() -> None:
    alone, beside = samples(examples.complete()), samples(examples.complete(further=examples.FURTHER))
    assert alone == {name: value for name, value in beside.items() if name in alone}
    assert all(name.startswith("saf_promise_") for name in beside.keys() - alone.keys())
    verdicts = [name for name in beside if name.startswith("saf_verdict{")]
    assert len(verdicts) == len(FLOOR_VERDICTS)


def test_a_share_of_an_unknown_capacity_is_left_out_and_never_zero() -> None:
    m = examples.measurement(promise="care", share_of="capacity", capacity=None, total_charge=0)
    found = samples(examples.complete(further=(Further(m, 0.01),)))
    of = "c,care,floor,capacity,2027Q1,gres/gpu"
    assert f"saf_promise_charge_resource_seconds{{{of},mine}}" in found
    assert f"saf_promise_charge_resource_seconds{{{of},all}}" not in found
    assert f"saf_promise_share_ratio{{{of}}}" not in found
    assert found[f"saf_promise_verdict{{{of},open}}"] == 1


def test_the_parts_of_the_charge_add_up() -> None:
    board = examples.complete(measurement=examples.measurement(unclassified_charge=1000))
    found = samples(board)
    parts = [
        value for name, value in found.items() if name.startswith("saf_window_delivered_resource_seconds")
    ]
    assert board.shown
    assert sum(parts) == board.shown.measurement.total_charge


def test_what_is_not_known_is_left_out() -> None:
    board = examples.complete(
        measurement=examples.measurement(capacity=None, starved_charge=None),
        steered=(Steered("regional", None, None),),
    )  # fmt: skip
    absent = {"saf_capacity_share_ratio", "saf_window_capacity_resource_seconds"}
    absent |= {"saf_window_starved_resource_seconds", "saf_starved_resource_seconds_total"}
    absent |= {"saf_capacity_resource_seconds_total"}
    absent |= {
        "saf_raw_shares",
        "saf_authority_ratio",
        "saf_queue_demand_resources",
        "saf_reconciled_timestamp_seconds",
    }
    assert not absent & names(board)
    assert {"saf_authority_ratio", "saf_queue_demand_resources"} <= names(
        examples.complete(authority=0.4, demand={"regional": 3.0})
    )


def test_the_counters_are_those_of_the_tally_and_have_no_window() -> None:
    sums = Tallied(regional=3.0, non_regional=5.0, unclassified=1.0, waiting=4.0, starved=2.0, capacity=10.0)
    found = samples(examples.complete(tally=Tally("gres/gpu", examples.NOW, sums)))
    assert {name: value for name, value in found.items() if "resource_seconds_total" in name} == {
        "saf_delivered_resource_seconds_total{c,gres/gpu,regional}": 3,
        "saf_delivered_resource_seconds_total{c,gres/gpu,non_regional}": 5,
        "saf_delivered_resource_seconds_total{c,gres/gpu,unclassified}": 1,
        "saf_waiting_resource_seconds_total{c,gres/gpu}": 4,
        "saf_starved_resource_seconds_total{c,gres/gpu}": 2,
        "saf_capacity_resource_seconds_total{c,gres/gpu}": 10,
    }


def test_a_daemon_that_stood_by_does_not_count_the_hours_of_the_other() -> None:
    for outcome, kept in (("failed", True), ("standby", False)):
        board = examples.complete(tally=Tally("gres/gpu", examples.NOW, Tallied(regional=3.0)))
        board.fail(outcome, "no")
        board.fail("failed", "no", "slurm")
        assert board.shown
        assert (board.shown.tally is not None) is kept


def test_people_read_names_of_sectors_and_of_the_resource() -> None:
    groups = [Group(("J",), Beneficiary.REGIONAL, 3), Group(("regional",), Beneficiary.REGIONAL, 2)]
    weighted = Resource({"cpu": Decimal("0.25"), "gres/gpu": 16})
    m = examples.measurement(resource=weighted, resource_label="billing units")
    found = samples(examples.complete(groups={"sector": groups}, measurement=m))
    assert found["saf_resource_info{c,0.25*cpu+16*gres/gpu,billing units}"] == 1
    sector = "saf_sector_delivered_resource_seconds{c,2027Q1,0.25*cpu+16*gres/gpu,regional"
    assert found[f"{sector},J,Information and communication}}"] == 3
    assert found[f"{sector},regional,not recorded}}"] == 2


def test_a_small_site_has_its_digits_and_no_minus_zero() -> None:
    small = examples.measurement(regional_charge=Decimal("0.0001"), starved_charge=-0.0)
    _, text = Exposition(examples.complete(measurement=small, authority=-0.0)).text("")
    assert b"-0.0\n" not in text
    assert b'resource="gres/gpu",window="2027Q1"} 0.0\n' in text
    delivered = samples(examples.complete(measurement=small))
    assert delivered["saf_window_delivered_resource_seconds{c,2027Q1,gres/gpu,regional}"] == 0.0001


def test_the_end_of_a_cycle_is_shown_by_the_clock_of_the_host() -> None:
    """The cluster's may be another one, as that of the demo."""
    board = examples.complete()
    assert "saf_last_cycle_timestamp_seconds" not in names(board)
    board.complete(examples.shown(), 1.5e9)
    assert samples(board)["saf_last_cycle_timestamp_seconds{c}"] == 1.5e9
    assert samples(board)["saf_last_read_timestamp_seconds{c}"] == examples.NOW
    board.fail("failed", "no", "slurm")
    assert samples(board)["saf_last_cycle_timestamp_seconds{c}"] == 1.5e9


def test_a_comparison_of_the_books_is_shown() -> None:
    board = examples.complete()
    board.reconciled = Reconciled(examples.NOW, 0, 3600, 12)
    assert samples(board)["saf_reconcile_unexplained_tres_seconds{c}"] == 12


METERED = Metered({"E_IT": 9, "W_IN": 8}, 5, "2027Q1", 0.97, True, {"gpu+node": 3.5}, None, {"E_IT": 4.0}, {})


def test_meters_are_shown_also_after_a_failed_cycle_and_what_is_not_known_is_left_out() -> None:
    board = examples.failed()
    board.meter(METERED)
    energy = {name: value for name, value in samples(board).items() if "energy" in name or "meter" in name}
    assert energy == {
        "saf_meter_read_until_timestamp_seconds{c,E_IT}": 9,
        "saf_meter_read_until_timestamp_seconds{c,W_IN}": 8,
        "saf_window_run_energy_joules{c,2027Q1,gpu+node}": 3.5,
        "saf_window_building_energy_joules{c,2027Q1,E_IT}": 4,
        "saf_energy_closure_ratio{c,2027Q1}": 0.97,
        "saf_energy_closes{c,2027Q1}": 1,
    }


def test_a_switch_has_metrics_of_its_own_and_its_changes_are_counted() -> None:
    inputs = {"usage_share": 0.22, "u_ref": 0.26, "hysteresis": 0.01}
    change = Change(
        cluster="c", account="regional", raw_shares_before=10, raw_shares_after=1000, lever=LeverKind.QOS
    )
    seen = examples.shown(
        steered=(Steered("regional", 1000, 1000),), lever=LeverKind.QOS, raised=1000, statuses=("applied",),
        decision=replace(examples.shown().decision, inputs=inputs, changes=(change,)),
    )  # fmt: skip
    board = Board("c")
    for now in (
        seen,
        seen,
        replace(seen, steered=(Steered("regional", 10, 10),)),
        replace(seen, statuses=()),
    ):
        board.complete(now)
    found = samples(board)
    of = {name: value for name, value in found.items() if name.startswith("saf_switch")}
    assert of == {
        "saf_switch_changes_total{c,raised}": 2, "saf_switch_changes_total{c,lowered}": 1,
        "saf_switch_raised{c,qos,regional}": 1, "saf_switch_value{c,qos,regional}": 1000,
        "saf_switch_value_wanted{c,qos,regional}": 1000, "saf_switch_usage_ratio{c,qos,regional}": 0.22,
        "saf_switch_set_point_ratio{c,qos,regional}": 0.26,
        "saf_switch_hysteresis_ratio{c,qos,regional}": 0.01,
    }  # fmt: skip
    assert not any(name.startswith("saf_raw_shares") for name in found)
    gone = samples(
        examples.complete(steered=(Steered("regional", None, None),), lever=LeverKind.QOS, raised=1)
    )
    assert not any(name.startswith(("saf_switch_raised", "saf_switch_value")) for name in gone)


def test_a_foreign_change_is_shown_although_the_shares_were_zero_before() -> None:
    assert samples(examples.complete(steered=(Steered("regional", 37, 37, 0),)))["saf_foreign_change{c}"] == 1
    assert samples(examples.complete())["saf_foreign_change{c}"] == 0


@pytest.mark.parametrize("board", STATES.values(), ids=STATES)
def test_labels_are_bounded(board: Board) -> None:
    for family in BoardCollector(board).collect():
        assert set().union(*(sample.labels for sample in family.samples), set()) <= BOUNDED


def test_series_do_not_grow_with_groups() -> None:
    groups = [Group((f"g{n:04}",), Beneficiary.REGIONAL, 10_000 - n) for n in range(2000)]
    found = samples(examples.complete(groups={"sector": groups}))
    sectors = {name: value for name, value in found.items() if "saf_sector" in name}
    assert len(sectors) == MOST_GROUPS + 1
    assert sum(sectors.values()) == sum(group.delivered for group in groups)


def test_counters_only_grow() -> None:
    board = examples.complete()
    before = {name: value for name, value in samples(board).items() if "_total{" in name}
    board.complete(examples.shown(statuses=("applied",)))
    board.fail("failed", "no", "slurm")
    after = samples(board)
    assert all(after[name] >= value for name, value in before.items())
    assert after["saf_changes_total{c,applied}"] == 1
    assert after["saf_decisions_total{c,at_set_point}"] == 2


@given(st.lists(st.floats(0, 1e6)))
def test_a_histogram_counts_every_duration_once(seconds: list[float]) -> None:
    durations = Durations()
    for each in seconds:
        durations.add(each)
    buckets = durations.buckets()
    assert buckets[-1][0] == "+Inf"
    assert buckets[-1][1] == len(seconds)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert all(count == sum(each <= float(bound) for each in seconds) for bound, count in buckets)


@pytest.mark.parametrize("board", STATES.values(), ids=STATES)
def test_promtool_finds_nothing(board: Board) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    kind, text = Exposition(board).text("text/plain;version=0.0.4")
    assert kind.startswith("text/plain")
    done = promtool("check", "metrics", stdin=text.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("board", STATES.values(), ids=STATES)
def test_openmetrics_reads_it_back(board: Board) -> None:
    kind, text = Exposition(board).text(OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    read = text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
    shown = {family.name for family in BoardCollector(board).collect()}
    assert shown <= {family.name for family in read}


def test_a_scrape_shows_each_cycle_and_the_process_as_it_is() -> None:
    board = Board("c")
    exposition = Exposition(board)
    assert b"saf_verdict" not in exposition.text("")[1]
    board.complete(examples.shown())
    exposition.renew()
    assert b"saf_verdict" in exposition.text("")[1]
    board.fail("failed", "no", "slurm")
    assert b"saf_verdict" not in exposition.text("")[1]
    board.compare(Reconciled(examples.NOW, 0, 3600, 0))
    assert b"saf_reconciled_timestamp_seconds" in exposition.text("")[1]
    assert b"process_cpu_seconds_total" in exposition.text("")[1]


def test_several_clusters_share_each_family_and_lack_only_what_is_theirs() -> None:
    """Prometheus takes a family once; a cluster that failed has a gap, and the other has none."""
    boards = [examples.complete(), Board("d"), examples.complete()]
    boards[2].cluster = "e"
    boards[2].shown = examples.shown(measurement=examples.measurement(cluster="e"))
    boards[1].fail("failed", "slurmdbd is away", "slurm")
    kind, text = Exposition(*boards).text(OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    read = list(text_string_to_metric_families(text.decode()))  # type: ignore[no-untyped-call]
    assert len({family.name for family in read}) == len(read)
    by_family = {family.name: {sample.labels.get("cluster") for sample in family.samples} for family in read}
    assert by_family["saf_delivered_share_ratio"] == {"c", "e"}
    assert by_family["saf_cycles"] == by_family["saf_hold"] == {"c", "d", "e"}
    assert text.decode().count("saf_build_info{") == 1
    holds = {
        sample.labels["cluster"]: sample.value
        for family in read
        for sample in family.samples
        if sample.labels.get("reason") == "read_failed" and sample.name == "saf_hold"
    }
    assert holds == {"c": 0, "d": 1, "e": 0}


def test_a_change_on_any_board_is_seen_in_the_next_scrape() -> None:
    boards = [Board("c"), Board("d")]
    exposition = Exposition(*boards)
    for board in boards:
        assert f'saf_verdict{{cluster="{board.cluster}"'.encode() not in exposition.text("")[1]
        board.complete(examples.shown(measurement=examples.measurement(cluster=board.cluster)))
        assert f'saf_verdict{{cluster="{board.cluster}"'.encode() in exposition.text("")[1]


def series(board: Board) -> int:
    return sum(not line.startswith(b"#") for line in Exposition(board).text("")[1].splitlines())


def test_series_do_not_depend_on_jobs_and_users(postgresql: str) -> None:
    """And nothing is asked of Slurm or the ledger for them."""
    counts, jobs = set(), set()
    for users in (3, 3000):
        with new_ledger(postgresql) as url, living(url, time.perf_counter) as life:
            life.model.users = users
            life.model.busy = 1.0 if users > 3 else 0.3
            for _ in range(3):
                life.beat(24 * HOUR)
            asked = life.model.calls
            life.site.ledger.store.close()
            counts.add(series(life.board))
            assert page.status_html(life.board, life.model.now)
            assert life.model.calls == asked
            assert life.site.ledger.store._connection is None, "a scrape has used the ledger"
            jobs.add(life.model.submitted)
    assert len(counts) == 1
    assert max(jobs) > 2 * min(jobs)


def test_each_steered_account_has_its_own_shares_and_the_region_its_ratios() -> None:
    board = examples.complete(
        steered=(Steered("ra", 10, 12), Steered("rb", None, None), Steered("rc", 30, 36, 33))
    )
    found = samples(board)
    assert {name: value for name, value in found.items() if name.startswith("saf_raw_shares")} == {
        "saf_raw_shares{c,ra}": 10, "saf_raw_shares{c,rc}": 30,
        "saf_raw_shares_wanted{c,ra}": 12, "saf_raw_shares_wanted{c,rc}": 36,
    }  # fmt: skip
    assert found["saf_share_ratio{c,ra, rb, rc}"] == 0.27
    assert found["saf_foreign_change{c}"] == 1
