"""`saf grid`: rows of allowed power imported, corrected and listed, and the verdicts on grid and water."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.core.energy.keeping import ActKind, ActOutcome, ReservationAct
from slurm_ai_factory.core.energy.meters import QUARTER, Kind, Reading
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import civil, today
from tests.core.energy.test_flexorder import order
from tests.saf import Saf

HEADER = "since,until,max_kw,kind,reference,told_at\n"
CONTRACT = "2020-01-01,2090-01-01,900,contract,C1,2020-01-01\n"
DAY = ("-S", iso(today() - 24 * HOUR), "-E", iso(today()))


@pytest.fixture
def metered(books: Saf, ledger_url: str) -> Saf:
    """Yesterday at 800 kW, a contract of 900 kW, and no water; in UTC."""
    books.configure("promise", time_zone="UTC")
    begin, end = today() - 24 * HOUR, today()
    kw = [
        Reading("main", Kind.P_15MIN, at, at + QUARTER, Decimal(800), "kW", "bms.csv")
        for at in range(begin, end, QUARTER)
    ]
    water = [
        Reading(meter, kind, begin, end, Decimal(value), "m3", "bms.csv")
        for meter, kind, value in (
            ("cooling", Kind.W_POTABLE, 0), ("toilets", Kind.W_POTABLE, 2), ("canal", Kind.W_SURFACE, 0),
        )
    ]  # fmt: skip
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.meters.append([("test", each) for each in [*kw, *water]], at=end, actor="a")
    return books


def imported(saf: Saf, text: str | bytes, *options: str) -> dict[str, int]:
    file = saf.directory / "grid.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return dict(saf.json("grid", "import", str(file), *options))


def test_a_limit_is_exceeded_corrected_and_withdrawn(metered: Saf) -> None:
    metered.configure("water", exempt={"toilets": "sanitary"})
    assert imported(metered, HEADER + CONTRACT)["new"] == 1
    status = metered.json("grid", "status", *DAY)
    assert [(status[part]["verdict"], status[part]["reason"]) for part in ("grid", "water")] == [
        ("kept", "within"), ("kept", "none"),
    ]  # fmt: skip
    limit = f"{civil(1)}T10:00,{civil(1)}T12:00,500,tdtr,L1,{civil(2)}\n"
    assert imported(metered, HEADER + CONTRACT + limit) == {"new": 1, "known": 1, "problems": []}
    grid = metered.json("grid", "status", *DAY)["grid"]
    assert (grid["verdict"], grid["exceeded"], grid["excess_kwh"], grid["peak_kw"]) == (
        "exceeded",
        8,
        600,
        800,
    )
    assert (grid["limited_hours"], grid["limited_hours_allowed"]) == (2, 1314)
    shown = metered.run("grid", "status", *DAY).stdout
    assert "8 quarters, 600.0 kWh too much" in shown
    assert "not what the grid would be without it" in shown
    assert "toilets: sanitary, 2.0 m3" in shown
    metered.run("grid", "correct", "2", "--max-kw", "800", "--reason", "misread")
    assert metered.json("grid", "status", *DAY)["grid"]["verdict"] == "kept"
    metered.run("grid", "correct", "1", "--withdraw", "--reason", "another site's")
    grid = metered.json("grid", "status", *DAY)["grid"]
    assert (grid["verdict"], grid["unallowed"]) == ("open", 88)
    shown = metered.run("grid", "status", *DAY).stdout
    assert "limited              at least 2 hours of the window; " in shown
    listed = metered.json("grid", "list")
    assert [(row["entry"], row["max_kw"], row["counts"]) for row in listed] == [
        (1, 900, False), (2, 500, False), (3, 800, True), (4, 900, False),
    ]  # fmt: skip
    assert "misread" not in metered.run("grid", "list").stdout
    assert metered.run("ledger", "verify").returncode == 0


def test_water_of_a_meter_that_is_not_exempt_counts(metered: Saf) -> None:
    water = metered.json("grid", "status", *DAY)["water"]
    assert (water["verdict"], water["w_potable"], water["w_surface"]) == ("exceeded", 2, 0)


def test_what_is_not_recorded_is_said_so(books: Saf) -> None:
    shown = books.run("grid", "status", *DAY).stdout
    assert shown.count("not recorded") == 4
    grid = books.json("grid", "status", *DAY)["grid"]
    assert grid["exceeded"] is grid["excess_kwh"] is grid["peak_kw"] is None
    assert shown.count("open") == 2
    assert books.json("grid", "list") == []


def test_a_flex_order_is_imported_against_a_baseline(metered: Saf) -> None:
    file = metered.directory / "order.xml"
    file.write_bytes(order(TimeStamp="2026-01-01T00:00:00Z"))
    assert "give --baseline-kw" in metered.run("grid", "import", str(file), code=2).stderr
    assert imported(metered, file.read_bytes(), "--baseline-kw", "1000", "--dry-run")["new"] == 1
    assert metered.json("grid", "list") == []
    imported(metered, file.read_bytes(), "--baseline-kw", "1000")
    (row,) = metered.json("grid", "list")
    assert (row["max_kw"], row["kind"], row["since"]) == (750, "redispatch", "2027-03-26T23:00:00Z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + CONTRACT.replace("900", "many"), ":2: column max_kw: 'many' is not a number of kilowatts"),
        (HEADER, "wrong.csv: has no line below the first"),
        ("since\n", "lacks the column until"),
    ],
)
def test_a_wrong_table_adds_nothing(books: Saf, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(text + ("" if text == HEADER else CONTRACT))
    assert message in books.run("grid", "import", str(file), code=1).stderr
    assert books.json("grid", "list") == []


def test_a_mode_without_the_power_of_nodes_is_refused(books: Saf) -> None:
    books.configure("grid", mode="enforce", node_busy=500)
    assert "[grid] mode = enforce needs node_busy and node_idle" in books.run("grid", "list", code=1).stderr


def test_what_was_kept_free_is_no_capacity(books: Saf, ledger_url: str) -> None:
    """A node of 10 CPUs for six hours, of which two had passed when the reservation was changed."""
    before = books.json("share", *DAY)["capacity"]
    since = today() - 12 * HOUR
    act = ReservationAct(ActKind.CREATE, "saf-grid", since, since + 6 * HOUR, ("n1",))
    inputs = {"tres": {"n1": "cpu=10,node=1", "n2": "cpu=5,node=1"}}
    with open_ledger(ledger_url, "loop") as ledger:
        said: dict[str, Any] = {"actor": "a", "sentence": "s"}
        for at, made in ((since - HOUR, act), (since + 2 * HOUR, act._replace(nodes=("n2",)))):
            plan = ledger.reserving.record(made, ActOutcome.PLANNED, at=at, inputs=inputs, **said)
            ledger.reserving.record(made, ActOutcome.APPLIED, at=at, inputs={}, plan_id=plan, **said)
    assert [act["outcome"] for act in books.json("grid", "history")] == ["applied", "applied"]
    assert books.json("share", *DAY)["capacity"] == before - (2 * 10 + 4 * 5) * HOUR
