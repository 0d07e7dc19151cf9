"""The energy of a window as its users see it: measured, apportioned or modelled, and whether it closes."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.windows import iso
from tests.cli.conftest import CPUS, DAYS, today
from tests.saf import Saf

DAY = 24 * HOUR
SINCE, UNTIL = today() - 5 * DAY, today()
SPAN = ("-S", iso(SINCE), "-E", iso(UNTIL))
WATTS = 10
"""Of a CPU, as it is stated."""
TOTAL = WATTS * sum(CPUS.values()) * HOUR * DAYS
REGIONAL = WATTS * (CPUS["genomes"] + 0.4 * CPUS["joint"]) * HOUR * DAYS


def model(saf: Saf) -> Saf:
    watts = f'tres = "cpu", watts = {WATTS}, since = 2020-01-01, source = "data sheet"'
    factor = 'basis = "location", grams_per_kwh = 268, since = 2020-01-01, source = "CBS"'
    saf.configure(rules=f"{saf.rules}\n[energy]\nwatts = [{{ {watts} }}]\nemissions = [{{ {factor} }}]\n")
    return saf


def take(saf: Saf, *lines: tuple[object, ...]) -> None:
    file = saf.directory / "meters.csv"
    rows = [",".join(map(str, line)) for line in lines]
    file.write_text("\n".join(["meter,kind,since,until,value,unit", *rows]))
    assert saf.json("meter", "import", str(file))["new"] == len(lines)


def test_nothing_recorded_is_said_and_never_zero(books: Saf) -> None:
    answer = books.json("energy", *SPAN)
    assert answer["run_joules"] is answer["idle_joules"] is answer["closure"] is None
    assert answer["unknown_node_seconds"] == len(CPUS) * DAYS * HOUR
    assert set(answer["building"].values()) == {None}
    assert {row["value"] for row in answer["indicators"]} == {None}
    shown = books.run("energy", *SPAN)
    assert "closure" in shown.stdout
    assert shown.stdout.count("not recorded") >= 10
    assert shown.stdout.count("readings do not cover the whole window so far") == 5
    assert "0.0 kWh" not in shown.stdout
    assert books.json("energy", "--window", "2001")["run_joules"] is None
    never = books.run("energy", "--window", "2001")
    assert "8 760.0 hours of 2001 were never read" in never.stderr
    assert "0.0 kWh" not in never.stdout


def test_a_meter_that_was_read_for_a_part_is_not_said_to_have_no_readings(books: Saf) -> None:
    take(books, ("hall", "E_IT", iso(SINCE), iso(SINCE + HOUR), 212.5, "kWh"))
    lines = books.run("energy", *SPAN).stdout.splitlines()
    e_it = next(line for line in lines if line.startswith("E_IT"))
    assert e_it.endswith("  readings do not cover the whole window so far")


def test_closure_decides_whether_figures_by_beneficiary_are_given(registered: Saf) -> None:
    saf = model(registered)
    take(
        saf,
        ("hall", "E_IT", iso(SINCE), iso(UNTIL), TOTAL, "J"),
        ("site", "E_DC", iso(SINCE), iso(UNTIL), TOTAL * 1.25, "J"),
        ("well", "W_IN", iso(SINCE), iso(UNTIL), 36, "L"),
    )
    answer = saf.json("energy", *SPAN, "--by", "side")
    assert answer["closure"] == pytest.approx(1)
    assert answer["quality_joules"] == {"modelled": TOTAL}
    (regional,) = [row for row in answer["groups"] if row["beneficiary"] == "regional"]
    assert regional["joules"] == pytest.approx(REGIONAL)
    assert regional["building_joules"] == pytest.approx(1.25 * REGIONAL)
    assert regional["water_cubic_metres"] == pytest.approx(0.036 * REGIONAL / TOTAL)
    assert regional["measured_ratio"] == 0
    assert {row["indicator"]: row["value"] for row in answer["indicators"]} == {
        "PUE": pytest.approx(1.25), "WUE": pytest.approx(0.036 / (TOTAL / 3.6e9)), "ERF": None, "REF": None,
    }  # fmt: skip
    assert [row["kilograms"] for row in answer["emissions"]] == [
        pytest.approx(1.25 * TOTAL / 3.6e6 * 0.268),
        None,
    ]
    saf.run("meter", "correct", "1", "--value", str(2 * TOTAL), "--reason", "a meter was left out")
    for by in ("side", "account", "organisation"):
        after = saf.json("energy", *SPAN, "--by", by)
        assert (after["closure"], after["by_beneficiary"], after["groups"]) == (pytest.approx(0.5), False, [])
    assert (
        "no figures by beneficiary: closure 0.500 is outside"
        in saf.run("energy", *SPAN, "--by", "side").stderr
    )
    refused = saf.run("energy", *SPAN, "--by", "side", "--csv", code=1)
    assert (refused.stdout, "closure 0.500 is outside" in refused.stderr) == ("", True)
    assert saf.json("energy", *SPAN, "--by", "quality")["quality_joules"] == {"modelled": TOTAL}


def test_an_answer_waits_a_day_for_readings_and_no_longer(registered: Saf) -> None:
    saf = model(registered)
    late = UNTIL - 6 * HOUR
    take(saf, ("hall", "E_IT", iso(SINCE), iso(late), TOTAL, "J"))
    answer = saf.json("energy", *SPAN)
    assert (answer["until"], answer["building"]["E_IT"]) == (iso(late), TOTAL)
    assert answer["closure"] == pytest.approx(1)
    saf.run("meter", "correct", "1", "--withdraw", "--reason", "another file")
    take(saf, ("north", "E_IT", iso(SINCE), iso(UNTIL - 2 * DAY), TOTAL, "J"))
    silent = saf.json("energy", *SPAN)
    assert (silent["until"], silent["building"]["E_IT"], silent["by_beneficiary"]) == (
        iso(UNTIL),
        None,
        False,
    )
    assert silent["closure_covered_seconds"] == 3 * DAY


def test_the_parts_of_a_window_add_up_to_it_also_beside_a_gap(registered: Saf) -> None:
    """A day's meter has no reading of its first hour, in which all runs ran, and the window is cut there."""
    saf = model(registered)
    gap = UNTIL - 2 * DAY
    take(
        saf,
        ("hall", "E_IT", iso(SINCE), iso(gap), TOTAL, "J"),
        ("hall", "E_IT", iso(gap + HOUR), iso(UNTIL), TOTAL, "J"),
    )
    spans = [(SINCE, UNTIL), (SINCE, gap + HOUR), (gap + HOUR, UNTIL)]
    whole, *parts = (saf.json("energy", "-S", iso(since), "-E", iso(until)) for since, until in spans)
    for key in ("run_joules", "run_node_seconds", "closure_covered_seconds"):
        assert whole[key] == sum(part[key] for part in parts) > 0, key
    assert whole["run_joules"] == TOTAL


def test_meters_of_a_node_come_before_a_model_and_outliers_are_in_no_sum(books: Saf) -> None:
    saf = model(books)
    index = 10 + list(CPUS).index("astro")
    start = today() - DAY
    (saf.directory / "placements.csv").write_text(
        f"job,node,gpus,since,until\n{index},n1,,{start},{start + HOUR}\n"
    )
    saf.run("meter", "place", str(saf.directory / "placements.csv"))
    take(
        saf,
        ("n1", "E_NODE", start - HOUR, start, 5, "W"),
        ("n1", "E_NODE", start, start + HOUR, 1000, "kJ"),
        ("n1", "E_NODE", start + HOUR, start + 2 * HOUR, 1, "MW"),
    )
    saf.configure(rules=saf.rules.replace("[energy]", "[energy]\nnode_watts_most = 9000"))
    answer = saf.json("energy", *SPAN)
    astro = WATTS * CPUS["astro"] * HOUR
    assert answer["quality_joules"] == {"node_exclusive": 1_000_000, "modelled": TOTAL - astro}
    assert answer["idle_joules"] == 5 * HOUR
    assert answer["outliers"] == [f"n1 at {iso(start + HOUR)}"]
    shown = saf.run("energy", *SPAN, "--by", "quality").stdout
    assert "measured" in shown
    assert "node_exclusive" in shown


def test_an_energy_section_that_cannot_be_is_said(books: Saf) -> None:
    books.configure(rules=books.rules + '\n[energy]\nwatts = [{ tres = "cpu", watts = 3 }]\n')
    assert "each table wants tres, watts, source and since" in books.run("energy", code=1).stderr


def test_a_table_has_the_qualities_or_the_groups(registered: Saf) -> None:
    saf = model(registered)
    assert saf.run("energy", *SPAN, "--csv").stdout == f"quality,joules\nmodelled,{float(TOTAL)}\n"
    take(saf, ("hall", "E_IT", iso(SINCE), iso(UNTIL), TOTAL, "J"))
    header = saf.run("energy", *SPAN, "--by", "account", "--csv").stdout.splitlines()[0]
    assert header == "name,beneficiary,joules,building_joules,water_cubic_metres,measured_ratio"


def test_energy_that_belongs_to_a_run_that_is_placed_nowhere_does_not_close(registered: Saf) -> None:
    """It looks idle, so that kappa is 1; but nothing is known of the runs."""
    take(
        registered,
        ("n1", "E_NODE", iso(SINCE), iso(UNTIL), TOTAL, "J"),
        ("hall", "E_IT", iso(SINCE), iso(UNTIL), TOTAL, "J"),
    )
    answer = registered.json("energy", *SPAN, "--by", "side")
    assert (answer["closure"], answer["idle_joules"], answer["run_joules"]) == (1, TOTAL, None)
    assert (answer["by_beneficiary"], answer["groups"]) == (False, [])
    assert "energy is known for only 0% of the time of runs" in answer["why"]
