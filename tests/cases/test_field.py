"""The cases from the field: what a Slurm said, and what `saf cycle` and `saf share` make of it.

The logs from the field are cases of tests/simulation/test_formats.py and tests/cli/test_simulate.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.cases.conftest import Told
from tests.cases.facts import NOW, OTHERS, REGION, event, facts, job, run, size

HOUR = 4 * 3600
"""CPU-seconds of a run of four CPUs in an hour."""


def charges(share: dict[str, Any]) -> tuple[int, int]:
    return share["regional_charge"], share["total_charge"]


@pytest.mark.parametrize("version", ["22.05.8", "24.11.5"])
def test_a_run_submitted_after_its_start_is_charged_as_slurm_says(told: Told, version: str) -> None:
    """Slurm gave one its End for a Submit; of the other the clock was set back while it waited."""
    late, back = str(NOW - 3600), str(NOW - 9600)
    odd = [
        run(3, Account="umcg", Submit=late, Eligible=late),
        run(4, Submit=back, Eligible=back, Start=str(NOW - 10800), ElapsedRaw="7200"),
    ]
    config = {**facts()["config"], "SLURM_VERSION": version}
    cycle, share = told(runs=[REGION, OTHERS, *odd], config=config)
    assert cycle["rejected"] == []
    assert charges(share) == (2 * HOUR, 5 * HOUR), "20.0 CPU-hours"


def test_nodes_that_power_saving_switched_off_are_capacity(told: Told) -> None:
    """Three quarters of the machine are off for a day."""
    off = [event(f"c{number}", State="IDLE~") for number in range(75)]
    _, share = told(event=[size(90_000, 100, 400), *off])
    seconds = datetime.fromisoformat(share["as_of"]).timestamp() - (NOW - 90_000)
    assert share["capacity"] == 400 * seconds
    assert charges(share) == (HOUR, 2 * HOUR)


def test_energy_that_underflowed_is_unknown_and_its_run_is_charged(told: Told, ledger_url: str) -> None:
    energies = enumerate(("18446744073709540000", "NONE", "9223372036854775794"), 3)
    odd = [
        run(one, AllocTRES=f"billing=4,cpu=4,energy={energy},mem=4000M,node=1") for one, energy in energies
    ]
    cycle, share = told(runs=[REGION, OTHERS, *odd])
    assert cycle["rejected"] == []
    assert charges(share) == (HOUR, (2 + len(odd)) * HOUR)
    with psycopg.connect(ledger_url) as ledger:
        assert ledger.execute("SELECT DISTINCT energy_joules FROM runs").fetchall() == [(None,)]


def test_a_run_of_136_years_within_an_hour_is_set_aside_with_its_reason(told: Told) -> None:
    cycle, share = told(runs=[REGION, OTHERS, run(3, Account="umcg", ElapsedRaw="4294967196")])
    assert charges(share) == (HOUR, 2 * HOUR)
    assert {one["reason"] for one in cycle["rejected"]} == {
        "ElapsedRaw 4294967196 is more than the 3600 s from Start to End"
    }


def test_a_run_with_four_hundred_licences_is_read(told: Told) -> None:
    licences = "".join(f",license/lic{one:04}@server{one:03}={one + 1}" for one in range(400))
    cycle, share = told(runs=[REGION, OTHERS, run(3, AllocTRES=f"billing=4,cpu=4,mem=1M,node=1{licences}")])
    assert cycle["rejected"] == []
    assert charges(share) == (HOUR, 3 * HOUR)


def test_no_wckey_ends_a_cycle_or_loses_a_run(told: Told) -> None:
    """Each job waits, and ran before it was requeued."""
    keys = list(enumerate(("one\ntwo", "one\x1ftwo\x1fthree", "a|b", "\n"), 11))
    odd = [run(one, Account="umcg", WCKey=key) for one, key in keys]
    cycle, share = told(runs=[REGION, OTHERS, *odd], queue=[job(one, WCKey=key) for one, key in keys])
    assert cycle["rejected"] == []
    assert charges(share) == ((1 + len(keys)) * HOUR, (2 + len(keys)) * HOUR)
    assert cycle["decision"]["inputs"]["regional_demand"] == 4 * len(keys)
