"""Readings from a table and from a real Prometheus with what DCGM exports of a real GPU: each taken once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.errors import MeterError
from slurm_ai_factory.monitor.series import ask_series
from tests.core.energy import h100
from tests.monitor.prometheus import Prometheus, prometheus, unavailable
from tests.saf import Saf

COUNTER = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
POWER = "DCGM_FI_DEV_POWER_USAGE"
NAME = "{Hostname}/{gpu}/{UUID}"
BEGAN = (int(time.time()) - 86_400) // 900 * 900
LENGTH = len(h100.rows("samples"))
BLANK = range(40, 43)
"""Seconds in which DCGM had no value of the second GPU; then its driver was loaded again."""


def exposition() -> str:
    """The H100 as DCGM exports it, as GPU 0; GPU 1 is the same with blanks and a reset. It ends, and dies."""
    lines = []
    for name, column, scale in ((COUNTER, "energy_counter_j", 1000), (POWER, "power_w", 1)):
        lines.append(f"# TYPE {name} gauge")
        for second, (_, text) in enumerate(h100.column(column)):
            value = float(text) * scale
            for gpu in (0, 1):
                told = f"{value - 10**7 * gpu * (second > max(BLANK)) + 2 * 10**7 * gpu:.0f}"
                told = "9223372036854775794" if gpu and second in BLANK else told
                labels = f'gpu="{gpu}",UUID="GPU-{gpu}",Hostname="n1",hpc_job="7"'
                lines.append(f"{name}{{{labels}}} {told} {BEGAN + second}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def dcgm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if why := unavailable():
        pytest.skip(why)
    with prometheus(tmp_path_factory.mktemp("dcgm"), told=[exposition()]) as running:
        yield running


def asked(dcgm: Prometheus, *more: str) -> list[str]:
    return [
        "meter", "import", "--prometheus", dcgm.url, "--query", COUNTER, "--unit", "mJ", "--kind", "E_GPU",
        "--meter", NAME, "--step", "1s", "-S", iso(BEGAN), "-E", iso(BEGAN + LENGTH + 60), *more,
    ]  # fmt: skip


def test_the_counter_of_dcgm_becomes_readings_once(dcgm: Prometheus, books: Saf) -> None:
    first = books.json(*asked(dcgm))
    reasons = [row["reason"] for row in first["skipped"]]
    assert len([reason for reason in reasons if "was not measured" in reason]) == len(BLANK)
    assert len([reason for reason in reasons if "the counter went back" in reason]) == 1
    assert len(reasons) == len(BLANK) + 1
    again = books.json(*asked(dcgm))
    assert (again["new"], again["known"]) == (0, first["new"])
    listed = books.json("meter", "list", "-S", iso(BEGAN), "-E", iso(BEGAN + LENGTH))
    joules = sum(float(row["value"]) for row in listed if row["meter"] == "n1/0/GPU-0") / 1000
    assert joules == pytest.approx(h100.TOTAL_JOULES, rel=0.001)


def test_a_value_that_prometheus_repeats_is_not_a_measurement(dcgm: Prometheus) -> None:
    """After the exporter died its last value stays for as long as Prometheus looks back."""
    series = ask_series(dcgm.url, COUNTER, NAME, BEGAN, BEGAN + LENGTH + 60, 1, timeout=60)
    assert [one.samples[-1][0] for one in series] == [BEGAN + LENGTH - 1] * 2


@pytest.mark.parametrize(
    ("query", "name", "why"),
    [
        (COUNTER, "{node}/{gpu}", "they have Hostname, UUID, gpu, hpc_job"),
        (COUNTER, "{Hostname}", "two series for meter n1"),
        ("sum(", NAME, "refused the query: "),
    ],
)
def test_what_cannot_be_asked_is_said(dcgm: Prometheus, query: str, name: str, why: str) -> None:
    with pytest.raises(MeterError, match=why):
        ask_series(dcgm.url, query, name, BEGAN, BEGAN + 60, 1, timeout=60)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "does not answer: Connection refused; check"),
        ("file:///etc/passwd", "is not the address"),
        ("http://anna:secret@127.0.0.1:1", "is not the address"),
    ],
)
def test_a_prometheus_that_is_none_is_said(url: str, why: str) -> None:
    with pytest.raises(MeterError, match=why):
        ask_series(url, "up", NAME, 0, 60, 60, timeout=5)


TABLE = """meter;kind;since;until;value;unit
hall;E_IT;2026-01-01T00:00Z;2026-01-01T01:00Z;1.5;MWh
hall;E_IT;2026-01-01T01:00Z;2026-01-01T02:00Z;N/A;MWh
well;W_SURFACE;2026-01-01;2026-01-02;0;m3
"""


def test_a_table_is_taken_once_corrected_and_listed(books: Saf, tmp_path: Path) -> None:
    file = tmp_path / "bms.csv"
    file.write_text(TABLE)
    books.run("meter", "import", str(file), "--dry-run")
    assert books.json("meter", "list", "--window", "2026-01") == []
    done = books.run("meter", "import", str(file))
    assert done.stderr.splitlines() == [
        "skipped line 3: 'N/A' is not a number", "2 readings recorded, 0 known already, 1 skipped",
    ]  # fmt: skip
    assert books.json("meter", "import", str(file))["known"] == 2
    correction = books.json("meter", "correct", "1", "--value", "1.4", "--reason", "mistyped")
    books.run("meter", "correct", "2", "--withdraw", "--reason", "not connected")
    listed = books.json("meter", "list", "--window", "2026-01", "--kind", "E_IT")
    assert [(row["value"], row["replaces"]) for row in listed] == [("1.5", None), ("1.4", 1)]
    assert correction == {"entry": 3, "replaces": 1}
    assert "not connected" in books.run("meter", "list", "--window", "2026-01").stdout


def test_a_meter_is_taken_out_of_use_and_put_back(books: Saf, tmp_path: Path) -> None:
    file = tmp_path / "bms.csv"
    file.write_text(TABLE)
    books.run("meter", "import", str(file))
    end = ("meter", "end", "hall", "--kind", "E_IT", "--reason", "replaced")
    refused = books.run(*end, "--at", "2026-01-01T00:00Z", code=1).stderr
    assert "hall has a reading up to" in refused
    unknown = ("meter", "end", "hal", "--kind", "E_IT", "--reason", "replaced", "--at", "yesterday")
    assert "of E_IT by hal; its meters of E_IT are hall" in books.run(*unknown, code=1).stderr
    done = books.json(*end, "--at", "2026-02-01T00:00Z")
    assert done == {"entry": 1, "meter": "hall", "kind": "E_IT", "ended_at": "2026-02-01T00:00:00Z"}
    assert "recorded of hall already" in books.run(*end, "--at", "2026-02-01T00:00Z", code=1).stderr
    file.write_text(f"{TABLE.splitlines()[0]}\nhall;E_IT;2026-02-01;2026-02-02;1;MWh\n")
    skipped = books.json("meter", "import", str(file))
    assert (skipped["new"], len(skipped["skipped"])) == (0, 1)
    assert "hall is out of use since 2026-02-01T00:00:00Z" in skipped["skipped"][0]["reason"]
    books.run(*end, "--in-use")
    assert books.json("meter", "import", str(file))["new"] == 1
    assert books.json("meter", "retired") == [], "it is in use again"
    listed = [(row["meter"], row["ended_at"]) for row in books.json("meter", "retired", "--all")]
    assert listed == [("hall", "2026-02-01T00:00:00Z"), ("hall", None)]
    books.run(*end, "--at", "2026-03-01T00:00Z")
    listed = [(row["meter"], row["ended_at"]) for row in books.json("meter", "retired")]
    assert listed == [("hall", "2026-03-01T00:00:00Z")]
    assert books.run("ledger", "verify").returncode == 0


def test_an_instant_of_a_file_that_means_two_or_none_is_refused(books: Saf, tmp_path: Path) -> None:
    """The hours that a change of the clock leaves out and has twice; a date without dashes is a date."""
    file = tmp_path / "bms.csv"
    spans = (("2025-10-26T02:15", "2025-10-26T02:30"), ("2025-03-30T02:15", "2025-03-30T03:15"),
             ("yesterday", "now"), ("9" * 500, "1"), ("20260101", "20260102"))  # fmt: skip
    file.write_text("\n".join([TABLE.splitlines()[0], *(f"hall;E_IT;{a};{b};1;kWh" for a, b in spans)]))
    said = books.run("meter", "import", str(file), code=1).stderr.splitlines()
    for line, why in enumerate(("is not one instant", "is not one instant", "is not an instant",
                                "is not an instant that has passed")):  # fmt: skip
        assert said[line].startswith(f"{file}:{line + 2}: ")
        assert why in said[line]
    file.write_text("\n".join([TABLE.splitlines()[0], "hall;E_IT;20260101;20260102;1;kWh"]))
    books.run("meter", "import", str(file))
    (row,) = books.json("meter", "list", "--window", "2026-01")
    assert (row["since"], row["until"]) == ("2025-12-31T23:00:00Z", "2026-01-01T23:00:00Z")


def test_what_a_file_does_not_use_is_refused(books: Saf, tmp_path: Path) -> None:
    file = tmp_path / "bms.csv"
    file.write_text(TABLE)
    both = books.run("meter", "import", str(file), "--unit", "kWh", "-E", "now", code=2).stderr
    assert "a FILE does not use --unit, -E" in both
    assert "leave it out" in books.run("grid", "import", str(file), "--baseline-kw", "9", code=2).stderr


def test_where_jobs_ran_is_taken_once(books: Saf, tmp_path: Path) -> None:
    file = tmp_path / "placements.csv"
    file.write_text(
        "job,node,gpus,since,until\n7,n1,0+1,2026-01-01,2026-01-02\n8,n2,,2026-01-01,2026-01-02\n"
    )
    assert books.json("meter", "place", str(file)) == {"new": 2, "known": 0}
    assert books.json("meter", "place", str(file)) == {"new": 0, "known": 2}


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        ("meter import wrong.csv", 1, "wrong.csv:2: 'E_XY' is not a kind of meter"),
        ("meter import future.csv", 1, "'2999-01-02' is not an instant that has passed"),
        ("meter import", 2, "--prometheus, --query, --meter, --unit, -S, --kind is missing"),
        ("meter import --prometheus http://127.0.0.1:1 --query up --meter m --unit kW --kind W_IN "
         "-S now-1day", 2, "'kW' is not a unit of W_IN"),
        ("meter import --prometheus http://127.0.0.1:1 --query up --meter m --unit kW --kind P_15MIN "
         "-S now-1day --step 5m", 2, "P_15MIN needs --step 15m"),
        ("meter correct 1 --reason r", 2, "give either --value or --withdraw"),
        ("meter correct 1 --value -2 --reason r", 2, "--value: -2 is below 0"),
        ("meter correct 1 --value 2 --reason r", 1, "there is no entry 1; see `saf meter list`"),
        ("meter place wrong.csv", 1, "lacks the column job, node"),
        ("meter end hall --kind E_IT --reason r", 2, "give either --at or --in-use"),
        ("meter end hall --kind E_IT --at 2026-01-01 --reason r", 1,
         "no readings of E_IT by hall; its meters of E_IT are none yet"),
        ("meter end hall --kind E_IT --at soon --reason r", 2, "'soon' is not an instant"),
        ("meter end hall --kind E_IT --at tomorrow --reason r", 2, "is in the future"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(books: Saf, command: str, code: int, why: str) -> None:
    head, rest = TABLE.splitlines()[:2]
    (books.directory / "wrong.csv").write_text(f"{head}\n{rest.replace('E_IT', 'E_XY')}\n")
    (books.directory / "future.csv").write_text(f"{head}\nhall;E_IT;2026-01-01;2999-01-02;1;MWh\n")
    assert why in books.run(*command.split(), code=code).stderr
    assert books.json("meter", "list", "--window", "2026-01") == []
