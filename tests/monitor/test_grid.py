"""The metrics of grid and water: base units, and nothing of what is not known."""

from __future__ import annotations

from fractions import Fraction

from slurm_ai_factory.core.energy.keeping import Keeping, LimitedStretch
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.monitor.grid import GridShown
from tests.core.energy import test_water as water
from tests.core.energy.test_grid import CONTRACT, LIMIT, measured, reading, whole
from tests.monitor import examples
from tests.monitor.test_metrics import samples

STRETCH = LimitedStretch(0, 900, 3, Fraction(400))


def shown(keeping: Keeping | None, **changes: object) -> GridShown:
    values: dict[str, object] = {
        "grid": measured(whole(reading(8, 401), reading(39, 0)), [CONTRACT, LIMIT]),
        "water": water.measured(water.POTABLE, water.litres("canal", Kind.W_SURFACE, 5)),
        "limited_year_seconds": 7200, "keeping": keeping, "reserved": 2, "held": 8.0, **changes,
    }  # fmt: skip
    return GridShown(**values)  # type: ignore[arg-type]


def of(grid: GridShown) -> dict[str, float]:
    found = samples(examples.complete(grid=grid))
    return {name: value for name, value in found.items() if "_grid" in name or "saf_water_" in name}


def test_power_is_in_watts_energy_in_joules_and_water_in_cubic_metres() -> None:
    found = of(shown(None))
    assert {name.partition("{")[0]: value for name, value in found.items() if "verdict" not in name} == {
        "saf_grid_power_watts": 0, "saf_grid_allowed_watts": 600_000, "saf_grid_peak_watts": 500_000,
        "saf_grid_exceeded_seconds": 4 * 900, "saf_grid_excess_joules": 301 * 900 * 1000,
        "saf_grid_unread_seconds": 0, "saf_grid_unallowed_seconds": 0, "saf_grid_limited_seconds": 3600,
        "saf_grid_limited_year_seconds": 7200, "saf_water_used_cubic_metres": 0.005,
    }  # fmt: skip
    assert sum(value for name, value in found.items() if "verdict" in name) == 2


def test_what_is_kept_free_is_shown_and_a_hold_by_its_reason() -> None:
    keeping = Keeping(at=0, reason="create", sentence="s", stretch=STRETCH, expected_kw=Fraction(700))
    found = of(shown(keeping))
    kept = {name: value for name, value in found.items() if name.startswith(("saf_grid_nodes", "saf_queue"))}
    assert sorted(kept.values()) == [2, 3, 8]
    assert not any(value for name, value in found.items() if name.startswith("saf_grid_hold"))
    held = of(shown(Keeping(at=0, reason="foreign", sentence="s")))
    assert [name for name, value in held.items() if name.startswith("saf_grid_hold") and value] == [
        "saf_grid_hold{c,foreign}"
    ]
    assert not any(name.startswith("saf_grid_expected") for name in held)


def test_what_is_not_known_of_the_grid_is_left_out() -> None:
    unknown = of(shown(None, grid=measured([], []), water=water.measured(), held=None))
    names = {name.partition("{")[0] for name in unknown}
    absent = {
        *("saf_grid_power_watts", "saf_grid_allowed_watts", "saf_water_used_cubic_metres"),
        *("saf_grid_exceeded_seconds", "saf_grid_excess_joules"),
    }
    assert not names & absent
    assert samples(examples.complete()).keys() & unknown.keys() == set()
